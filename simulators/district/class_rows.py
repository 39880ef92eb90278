"""The school side of the sample district: rows of STU, CRS, TRM, MST, SEC, SSE, ENR and CAR, and more of TCH.

It writes students and classes down the way schools keep them: rows of former schools beside today's, dropped and
deleted places, teachers by number here and by person there. What a correct run finds was drawn first and goes into
`Classes`.
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from simulators.district import names
from simulators.district.people import World
from simulators.district.students import (
    GRADE_CODES,
    GRADUATES_SCHOOL,
    SCHOOLS,
    Classes,
    Pupil,
    draw_pupils,
    level_of,
)

TABLES = ("STU", "CRS", "TRM", "MST", "SEC", "SSE", "ENR", "CAR")
FLEX_SCHOOLS = frozenset({2, 24})
"""Schools that schedule with Flex: staff stand in SSE, and what MST says of a teacher number is old."""
PERIODS = 6
CLASS_SIZE = 28
VACANT_TEACHER_FROM = 90_001
"""Teacher numbers of positions that nobody holds."""
NOBODYS_TEACHER = 99_999
_SUBJECTS = (
    ("0110", "English 9", "English Language Arts 9", "ENG", 5.0),
    ("0120", "English 10", "English Language Arts 10", "ENG", 5.0),
    ("0210", "Algebra 1", "Algebra 1", "MAT", 5.0),
    ("0220", "Geometry", "Geometry", "MAT", 5.0),
    ("0230", "Algebra 2", "Algebra 2, Honors", "MAT", 5.0),
    ("0310", "Biology", "Biology, the Living Earth", "SCI", 5.0),
    ("0320", "Chemistry", "Chemistry in the Earth", "SCI", 5.0),
    ("0410", "World History", "World History & Geography", "SOC", 5.0),
    ("0420", "Civics", "American Government", "SOC", 2.5),
    ("0510", "Español 1", "Español 1", "LOT", 5.0),
    ("0610", "Phys Ed", "Physical Education", "PE", 5.0),
    ("0726", "Studio Art", "Studio Art, Beginning", "ART", 5.0),
    ("0801A", "Music", "Music Ensemble", "ART", 2.5),
)


@dataclass(slots=True)
class _Draft:
    """What is being made."""

    world: World
    rng: random.Random
    classes: Classes
    staff_of: dict[tuple[int, int], int | None] = field(default_factory=dict)
    """School and teacher number → staff id of a live teacher row."""
    teachers: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    """School → its teacher numbers."""
    number_of: dict[tuple[int, int], int] = field(default_factory=dict)
    """School and person id → student number."""
    vacant: dict[int, int] = field(default_factory=dict)
    """School → number of its position that nobody holds."""
    last_number: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    def row(self, table: str, **columns: object) -> None:
        self.world.tables[table].append(columns)

    @property
    def live(self) -> int | None:
        """How a live row is marked."""
        return self.rng.choice((0, 0, 0, None))


def add(world: World, count: int) -> Classes:
    """Fill the tables of students and classes; the same world and count give the same rows."""
    rng = random.Random(
        f"students/{world.seed}"
    )  # apart, so that no other table depends on how many students there are
    draft = _Draft(world, rng, Classes())
    for table in TABLES:
        world.tables[table] = []
    draft.classes.pupils.extend(draw_pupils(rng, count, reference=world.reference))
    _add_teachers(draft)
    _add_courses(draft)
    for school in sorted({pupil.school for pupil in draft.classes.pupils} - {GRADUATES_SCHOOL}):
        _add_terms(draft, school)
    for pupil in draft.classes.pupils:
        _add_student(draft, pupil)
    _add_classes(draft)
    _add_homerooms(draft)
    return draft.classes


def _add_teachers(draft: _Draft) -> None:
    for row in draft.world.tables["TCH"]:
        school, number = int(str(row["SC"])), int(str(row["TN"]))
        draft.staff_of[school, number] = int(str(row["ID"]))
        draft.teachers[school].append(number)
    schools = {pupil.school for pupil in draft.classes.pupils} - {GRADUATES_SCHOOL}
    for place, school in enumerate(sorted(schools)):
        number = VACANT_TEACHER_FROM + place
        draft.world.mess["vacant_teacher"] += 1
        draft.row(
            "TCH", SC=school, TN=number, TE="Staff, T.B.A.", TF="", TLN="Staff", EM=None, ID=0, ID2=0, TG="", LO=0,
            HI=12, DEL=0,
        )  # fmt: skip
        draft.staff_of[school, number] = None
        draft.vacant[school] = number
        draft.teachers[school].append(number)


def _add_courses(draft: _Draft) -> None:
    for code, title, description, department, credits_ in _SUBJECTS:
        draft.row(
            "CRS", CN=code, CO=title, DE=description, CR=credits_, DC=department, LO=9, HI=12, TG="", C3=f"9{code[:3]}",
            S1=department[0], DEL=draft.live,
        )  # fmt: skip
        draft.classes.courses[code] = {
            "title": title,
            "description": description,
            "department": department,
            "credits": f"{credits_:g}",
        }
    for code, tag, deleted in (("0999", "I", 0), ("0998", "", 1)):
        draft.row(
            "CRS", CN=code, CO="Latin", DE="Latin, no longer offered", CR=5.0, DC="LOT", LO=9, HI=12, TG=tag, C3="",
            S1="", DEL=deleted,
        )  # fmt: skip


def _add_terms(draft: _Draft, school: int) -> None:
    for term, (first, last) in _terms(draft.world.reference).items():
        draft.row("TRM", SC=school, TM=term, D1=_midnight(first), D2=_midnight(last), DEL=draft.live)


def _terms(reference: date) -> dict[str, tuple[date, date]]:
    year = reference.year if reference.month >= 7 else reference.year - 1
    return {
        "Y": (date(year, 8, 13), date(year + 1, 6, 9)),
        "F": (date(year, 8, 13), date(year, 12, 18)),
        "S": (date(year + 1, 1, 11), date(year + 1, 6, 9)),
    }


def _add_student(draft: _Draft, pupil: Pupil) -> None:
    rng = draft.rng
    if pupil.case == "moved":
        _student_row(draft, pupil, school=_other_school(draft, pupil), tag="T", left=True)
    if pupil.case == "deleted_twin":
        draft.world.mess["deleted_student_row"] += 1
        _student_row(draft, pupil, school=_other_school(draft, pupil), tag="", deleted=True)
    is_gone = pupil.case == "left"
    _student_row(draft, pupil, school=pupil.school, tag=rng.choice("TNX") if is_gone else None, left=is_gone)
    if pupil.case == "two_schools":
        second = rng.choice([school for school in SCHOOLS if school > pupil.school])
        _student_row(draft, pupil, school=second, tag=None, homeroom=0)


def _other_school(draft: _Draft, pupil: Pupil) -> int:
    return draft.rng.choice([school for school in SCHOOLS if school != pupil.school])


def _student_row(
    draft: _Draft, pupil: Pupil, *, school: int, tag: str | None, left: bool = False, deleted: bool = False,
    homeroom: int | None = None,
) -> None:  # fmt: skip
    rng, reference = draft.rng, draft.world.reference
    draft.last_number[school] += 1
    number = draft.last_number[school]
    address = pupil.email
    if pupil.case == "bad_address":
        address = names.bad_address(rng, str(pupil.person_id))
    elif address is not None:
        address, kind = names.messy_address(rng, address)
        draft.world.mess.update([kind] if kind is not None else [])
    if school == pupil.school and not deleted:
        draft.number_of[school, pupil.person_id] = number
        if homeroom is None and not left:
            homeroom = _homeroom(draft, pupil)
    leave = reference - timedelta(days=rng.randint(5, 60)) if left else None
    draft.row(
        "STU", SC=school, SN=number, ID=pupil.person_id, CID=pupil.state_id or names.blank(rng),
        LN=names.blank(rng) if pupil.case == "blank_last" else _messy(draft, pupil.last_name),
        FN="Gone" if deleted else _messy(draft, pupil.first_name), MN=pupil.middle_name or rng.choice((None, "")),
        LNA="", FNA=rng.choice(("", "", names.first_name(rng))), GR=pupil.grade, BD=_midnight(pupil.birth_date),
        GN=rng.choice(("F", "M", "X")), SEM=address if address is not None else names.blank(rng), NID=None,
        CU=homeroom or 0, SP="", ED=_midnight(pupil.enter_date), LD=None if leave is None else _midnight(leave),
        TG=tag if tag is not None else rng.choice(("", " ", "", None)), DEL=1 if deleted else draft.live,
    )  # fmt: skip
    if school == GRADUATES_SCHOOL or deleted:
        return
    for year, has_left in ((reference.year, left), (reference.year - 1, True)):
        if year == reference.year or rng.random() < 0.8:
            last = leave if year == reference.year else date(year + 1, 6, 9)
            draft.row(
                "ENR", ID=pupil.person_id, SC=school, SN=number, YR=year, GR=pupil.grade - (reference.year - year),
                ED=_midnight(pupil.enter_date if year == reference.year else date(year, 8, 14)),
                LD=_midnight(last) if has_left and last is not None else None, ER="E" if has_left else "", TR="",
                PR="", DEL=draft.live,
            )  # fmt: skip


def _messy(draft: _Draft, clean: str) -> str:
    text, kind = names.messy_name(draft.rng, clean)
    draft.world.mess.update([kind] if kind is not None else [])
    return text


def _homeroom(draft: _Draft, pupil: Pupil) -> int:
    """The number of the homeroom's teacher, 0 for none. Secondary schools use the column for counselling groups."""
    if pupil.case == "no_homeroom" or pupil.school == GRADUATES_SCHOOL:
        return 0
    if pupil.case == "nobodys_homeroom":
        return NOBODYS_TEACHER
    return draft.rng.choice(draft.teachers[pupil.school])


def _add_classes(draft: _Draft) -> None:
    at_school: dict[int, list[Pupil]] = defaultdict(list)
    for pupil in draft.classes.pupils:
        if pupil.is_desired and _has_classes(pupil):
            at_school[pupil.school].append(pupil)
    leavers: dict[int, list[Pupil]] = defaultdict(list)
    for pupil in draft.classes.pupils:
        if pupil.case == "left":
            leavers[pupil.school].append(pupil)
    for school, pupils in sorted(at_school.items()):
        by_period: dict[int, list[int]] = defaultdict(list)
        count = max(2 * PERIODS, -(-len(pupils) * PERIODS // CLASS_SIZE))
        for place in range(count):
            number, period = 1_001 + place, 1 + place % PERIODS
            if _add_section(draft, school=school, number=number, period=period, is_deleted=place % 11 == 10):
                by_period[period].append(number)
            else:
                # A place in it is left behind: it must lead nowhere.
                draft.world.mess["place_in_deleted_section"] += 1
                somebody = draft.number_of[school, draft.rng.choice(pupils).person_id]
                draft.row("SEC", SC=school, SN=somebody, SE=number, DEL=0)
        for pupil in pupils:
            _add_places(draft, pupil, by_period)
        for pupil in leavers[school]:
            draft.world.mess["place_of_a_leaver"] += 1
            number = draft.number_of[school, pupil.person_id]
            draft.row("SEC", SC=school, SN=number, SE=draft.rng.choice(by_period[1]), DEL=0)


def _has_classes(pupil: Pupil) -> bool:
    # In the school of all grades, only the upper ones have classes.
    level = level_of(pupil.school)
    return level != "elementary" and (level != "k8" or pupil.grade >= 6)


def _add_section(draft: _Draft, *, school: int, number: int, period: int, is_deleted: bool) -> bool:
    rng = draft.rng
    code, title, *_ = rng.choice(_SUBJECTS)
    term = rng.choice(("Y", "Y", "F", "S"))
    teacher = rng.choice(draft.teachers[school])
    staff_id = draft.staff_of[school, teacher]
    room = rng.choice(("101", "B-12", "0007", ""))
    is_flex = school in FLEX_SCHOOLS
    draft.row(
        "MST", SC=school, SE=number, PD=period, BL="", SM=term, DY="MTWHF", CN=code,
        # What Flex left behind names somebody else.
        TN=rng.choice(draft.teachers[school]) if is_flex else teacher, TN2=0, RM=room, CR=5.0, LO=6, HI=12, MX=36,
        TS=0, CID=0, TR="", FSQ=period if is_flex else None, DEL=1 if is_deleted else draft.live,
    )  # fmt: skip
    if is_flex:
        _add_flex_staff(draft, school=school, number=number, staff_id=staff_id)
    if is_deleted:
        return False
    first, last = _terms(draft.world.reference)[term]
    draft.classes.sections[f"{school}/S/{number}"] = {
        "school_code": str(school),
        "section_number": str(number),
        "course_code": code,
        "title": title,
        "period": str(period),
        "term": term,
        "room": room or None,
        "teacher_staff_id": _employee(draft, staff_id if not is_flex or staff_id is not None else None),
        "start_date": first.isoformat(),
        "end_date": last.isoformat(),
    }
    return True


def _add_flex_staff(draft: _Draft, *, school: int, number: int, staff_id: int | None) -> None:
    rng = draft.rng
    began = _midnight(date(draft.world.reference.year, 8, 1))
    others = [other for other in draft.staff_of.values() if other is not None and other != staff_id]
    if staff_id is not None:
        draft.row("SSE", SC=school, SE=number, ID=staff_id, SD=began, ED=None, PR=1, DEL=draft.live)
        other = rng.choice(others)
        draft.row("SSE", SC=school, SE=number, ID=other, SD=began, ED=None, PR=0, DEL=0)  # helps
        earlier = rng.choice([each for each in others if each != other])
        ended = _midnight(draft.world.reference - timedelta(days=30))
        draft.row("SSE", SC=school, SE=number, ID=earlier, SD=began, ED=ended, PR=1, DEL=0)  # taught it before
    else:
        # Nobody yet, but somebody was entered by mistake. What the old number says counts then.
        draft.row("SSE", SC=school, SE=number, ID=rng.choice(others), SD=began, ED=None, PR=1, DEL=1)
        draft.world.tables["MST"][-1]["TN"] = draft.vacant[school]


def _employee(draft: _Draft, staff_id: int | None) -> str | None:
    """The employee id of a staff row, as the district's own tables spell it."""
    if staff_id is None:
        return None
    hrid = draft.world.tables["STF"][staff_id - 100_001]["HRID"]
    return str(hrid).strip().upper()


def _add_places(draft: _Draft, pupil: Pupil, by_period: dict[int, list[int]]) -> None:
    rng, school = draft.rng, pupil.school
    number = draft.number_of[school, pupil.person_id]
    began = _midnight(_terms(draft.world.reference)["Y"][0])
    for period in range(1, PERIODS + 1):
        section = rng.choice(by_period[period])
        draft.row("SEC", SC=school, SN=number, SE=section, DEL=draft.live)
        draft.row("CAR", SC=school, SN=number, SE=section, DS=began, DE=None, DEL=0)
        _find_enrolment(draft, pupil, f"{school}/S/{section}")
        if period == 1 and pupil.case == "dropped_class":
            others = [each for each in by_period[period] if each != section]
            if others:
                draft.world.mess["dropped_class"] += 1
                dropped = rng.choice(others)
                ended = _midnight(draft.world.reference - timedelta(days=40))
                draft.row("SEC", SC=school, SN=number, SE=dropped, DEL=1)
                draft.row("CAR", SC=school, SN=number, SE=dropped, DS=began, DE=ended, DEL=0)


def _find_enrolment(draft: _Draft, pupil: Pupil, section_key: str) -> None:
    section = draft.classes.sections[section_key]
    draft.classes.enrolments[f"{section_key}/{pupil.person_id}"] = {
        "section_key": section_key,
        "student_id": str(pupil.person_id),
        "school_code": str(pupil.school),
        "start_date": section["start_date"],
        "end_date": section["end_date"],
    }


def _add_homerooms(draft: _Draft) -> None:
    """What follows from the students' rows alone: no table holds a homeroom."""
    with_classes = {(row["SC"], row["SN"]) for row in draft.world.tables["SEC"] if row["DEL"] != 1}
    pupils = {pupil.person_id: pupil for pupil in draft.classes.pupils}
    for row in draft.world.tables["STU"]:
        is_active = row["DEL"] != 1 and str(row["TG"] or "").strip() == ""
        teacher = int(str(row["CU"]))
        school = int(str(row["SC"]))
        if not is_active or teacher == 0 or (row["SC"], row["SN"]) in with_classes:
            continue
        key = f"{school}/H/{teacher}"
        draft.classes.sections.setdefault(
            key,
            {
                "school_code": str(school),
                "section_number": str(teacher),
                "course_code": None,
                "title": "Homeroom",
                "period": None,
                "term": None,
                "room": None,
                "teacher_staff_id": _employee(draft, draft.staff_of.get((school, teacher))),
                "start_date": None,
                "end_date": None,
            },
        )
        pupil = pupils[int(str(row["ID"]))]
        draft.classes.homeroom_of[pupil.person_id] = key
        _find_enrolment(draft, pupil, key)


def records_of(classes: Classes) -> dict[str, dict[str, dict[str, object]]]:
    """The records that a correct run finds, by table and key, every value as the district's own tables spell it."""
    students: dict[str, dict[str, object]] = {}
    for pupil in sorted(classes.pupils, key=lambda each: each.person_id):
        if pupil.is_desired and pupil.reason is None:
            students[str(pupil.person_id)] = {
                "state_id": pupil.state_id,
                "last_name": pupil.last_name,
                "first_name": pupil.first_name,
                "middle_name": pupil.middle_name,
                "email": pupil.email,
                "school_code": str(pupil.school),
                "grade": GRADE_CODES[pupil.grade],
                "birth_date": pupil.birth_date.isoformat(),
                "enter_date": pupil.enter_date.isoformat(),
            }
    return {
        "students": students,
        "courses": dict(sorted(classes.courses.items())),
        "sections": dict(sorted(classes.sections.items())),
        "enrolments": dict(sorted(classes.enrolments.items())),
    }


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time())

"""Courses, terms, sections, rosters and enrolment history: which tables, which rows, under which names.

A section's teacher stands in one of two places: classic scheduling names a teacher number (MST.TN, TCH), Flex
scheduling keeps staff by section (SSE). Where a section has both, SSE counts: a school that has moved to Flex leaves
its old numbers behind.

Elementary students usually have no class rows (SEC) at all: their homeroom teacher's class (STU.CU) is all there is. So
that one contract can treat both alike, `sections` and `rosters` deliver homerooms too, marked `is_homeroom`: a homeroom
for each teacher number that a live, active student without class rows names, and a place in it for each such student.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, literal, null, select, union_all
from sqlalchemy.sql.expression import Subquery

from shared.ports.system import Column
from shared.sql_reading import FoundTable, SqlEntity, Statements, TableNeed, Tables
from systems.aeries_sql.people import Columns, names
from systems.aeries_sql.predicates import flag, is_active, is_live


def _plain(name: str, table: str, *, key: Columns, columns: Columns, tags_inactive: bool = False) -> SqlEntity:
    """An entity that is one table: its live rows in key order, with a joined key where one column is not enough."""
    everything = {**key, **columns}

    def build(tables: Tables) -> Statements:
        found = tables["table"]
        selected = [found.column(sql_name).label(our) for our, (sql_name, _) in everything.items()]
        if tags_inactive:
            selected.append(is_active(found).label("is_active"))
        return Statements(
            rows=select(*selected)
            .select_from(found.table)
            .where(is_live(found))
            .order_by(*(found.column(sql_name) for sql_name, _ in key.values())),
            count=select(func.count()).select_from(found.table).where(is_live(found)),
        )

    return SqlEntity(
        name=name,
        columns=(
            *((Column("key", "text"),) if len(key) > 1 else ()),
            *(column for _, column in everything.values()),
            *((Column("is_active", "boolean"),) if tags_inactive else ()),
        ),
        key=tuple(key),
        joined={"key": tuple(key)} if len(key) > 1 else {},
        needs=(
            TableNeed(
                "table", table, names(everything, is_required=True), ("DEL", *names(everything, is_required=False))
            ),
        ),
        build=build,
    )


_COURSES: Columns = {
    "title": ("CO", Column("title", "text")),
    "description": ("DE", Column("description", "text", is_required=False)),
    "department": ("DC", Column("department", "text", is_required=False)),
    "credits": ("CR", Column("credits", "decimal", is_required=False)),
    "low_grade": ("LO", Column("low_grade", "integer", is_required=False)),
    "high_grade": ("HI", Column("high_grade", "integer", is_required=False)),
    "state_code": ("C3", Column("state_code", "text", is_required=False)),
    "subject_area": ("S1", Column("subject_area", "text", is_required=False)),
    "inactive_code": ("TG", Column("inactive_code", "text")),
}
_TERMS: Columns = {
    "start_date": ("D1", Column("start_date", "date")),
    "end_date": ("D2", Column("end_date", "date")),
}
_SECTIONS: Columns = {
    "course": ("CN", Column("course", "text")),
    "period": ("PD", Column("period", "integer", is_required=False)),
    "block": ("BL", Column("block", "text", is_required=False)),
    "flex_period": ("FSQ", Column("flex_period", "integer", is_required=False)),
    "term": ("SM", Column("term", "text")),
    "room": ("RM", Column("room", "text", is_required=False)),
    "low_grade": ("LO", Column("low_grade", "integer", is_required=False)),
    "high_grade": ("HI", Column("high_grade", "integer", is_required=False)),
    "students_max": ("MX", Column("students_max", "integer", is_required=False)),
    "class_id": ("CID", Column("class_id", "integer", is_required=False)),
    "track": ("TR", Column("track", "text", is_required=False)),
}
_ENROLMENTS: Columns = {
    "number": ("SN", Column("number", "integer", is_required=False)),
    "grade": ("GR", Column("grade", "integer", is_required=False)),
    "leave_date": ("LD", Column("leave_date", "date")),
    "exit_reason": ("ER", Column("exit_reason", "text", is_required=False)),
    "track": ("TR", Column("track", "text", is_required=False)),
    "program": ("PR", Column("program", "text", is_required=False)),
}
_STUDENT = TableNeed("student", "STU", ("SC", "SN", "ID", "TG", "DEL"), ("CU",))
_CLASS = TableNeed("class", "SEC", ("SC", "SN", "SE", "DEL"))
_TEACHER = TableNeed("teacher", "TCH", ("SC", "TN", "ID", "DEL"), may_be_missing=True)
_FLEX = TableNeed("flex", "SSE", ("SC", "SE", "ID", "PR"), ("ED", "DEL"), may_be_missing=True)


def courses_entity() -> SqlEntity:
    """CRS: the district's courses, inactive ones too."""
    return _plain("courses", "CRS", key={"code": ("CN", Column("code", "text"))}, columns=_COURSES, tags_inactive=True)


def terms_entity() -> SqlEntity:
    """TRM: each school's terms with their days."""
    key: Columns = {"school": ("SC", Column("school", "integer")), "term": ("TM", Column("term", "text"))}
    return _plain("terms", "TRM", key=key, columns=_TERMS)


def sections_entity() -> SqlEntity:
    """MST with the teacher of either scheduling, and the homerooms."""
    return SqlEntity(
        name="sections",
        columns=(
            Column("key", "text"),
            Column("school", "integer"),
            Column("kind", "text"),
            Column("number", "integer"),
            *(column for _, column in _SECTIONS.values()),
            Column("teacher_number", "integer", is_required=False),
            Column("teacher_staff_id", "integer"),
            Column("is_homeroom", "boolean"),
            Column("term_key", "text"),
        ),
        key=("school", "kind", "number"),
        joined={"key": ("school", "kind", "number"), "term_key": ("school", "term")},
        needs=(
            TableNeed(
                "section",
                "MST",
                ("SC", "SE", "DEL", *names(_SECTIONS, is_required=True)),
                ("TN", *names(_SECTIONS, is_required=False)),
            ),
            _STUDENT,
            _CLASS,
            _TEACHER,
            _FLEX,
        ),
        build=_section_statements,
    )


def rosters_entity() -> SqlEntity:
    """SEC: who sits in which section today, and who in which homeroom."""
    return SqlEntity(
        name="rosters",
        columns=(
            Column("key", "text"),
            Column("school", "integer"),
            Column("student_number", "integer"),
            Column("kind", "text"),
            Column("section_number", "integer"),
            Column("section_key", "text"),
            Column("student_key", "text"),
            Column("person_id", "integer"),
            Column("student_is_active", "boolean"),
            Column("is_homeroom", "boolean"),
        ),
        key=("school", "student_number", "kind", "section_number"),
        joined={
            "key": ("school", "student_number", "kind", "section_number"),
            "section_key": ("school", "kind", "section_number"),
            "student_key": ("school", "student_number"),
        },
        needs=(_CLASS, _STUDENT),
        build=_roster_statements,
    )


def enrolments_entity() -> SqlEntity:
    """ENR: each student's stays at schools, of all years; the tables of today know only of today."""
    key: Columns = {
        "person_id": ("ID", Column("person_id", "integer")),
        "year": ("YR", Column("year", "integer")),
        "school": ("SC", Column("school", "integer")),
        "enter_date": ("ED", Column("enter_date", "date")),
    }
    return _plain("enrolments", "ENR", key=key, columns=_ENROLMENTS)


# Kinds are ordered as their letters are: homerooms before sections.
_HOMEROOM, _SECTION = "H", "S"


def _section_statements(tables: Tables) -> Statements:
    section = tables["section"]
    source: Any = section.table
    flex_teacher: ColumnElement[Any] = null()
    classic_teacher: ColumnElement[Any] = null()
    if "flex" in tables:
        first = _first_flex(tables["flex"])
        source = source.outerjoin(first, and_(first.c.sc == section.column("SC"), first.c.se == section.column("SE")))
        flex_teacher = first.c.staff_id
    if "teacher" in tables and section.has("TN"):
        teacher = tables["teacher"]
        source = source.outerjoin(teacher.table, _is_teacher_of(teacher, section.column("SC"), section.column("TN")))
        classic_teacher = _staff_id_of(teacher)
    sections = (
        select(
            section.column("SC").label("school"),
            literal(_SECTION).label("kind"),
            section.column("SE").label("number"),
            *(section.column(sql_name).label(our) for our, (sql_name, _) in _SECTIONS.items()),
            section.column("TN").label("teacher_number"),
            func.coalesce(flex_teacher, classic_teacher).label("teacher_staff_id"),
            literal(0).label("is_homeroom"),
        )
        .select_from(source)
        .where(is_live(section))
    )
    counted = select(func.count().label("n")).select_from(section.table).where(is_live(section))
    if not tables["student"].has("CU"):
        return _ordered(sections, counted, order=("school", "kind", "number"))
    student = tables["student"]
    rooms = (
        select(student.column("SC").label("sc"), student.column("CU").label("cu"))
        .where(_has_only_homeroom(student, tables["class"]))
        .distinct()
        .subquery("rooms")
    )
    rooms_source: Any = rooms
    homeroom_teacher: ColumnElement[Any] = null()
    if "teacher" in tables:
        teacher = tables["teacher"]
        rooms_source = rooms.outerjoin(teacher.table, _is_teacher_of(teacher, rooms.c.sc, rooms.c.cu))
        homeroom_teacher = _staff_id_of(teacher)
    homerooms = select(
        rooms.c.sc,
        literal(_HOMEROOM),
        rooms.c.cu,
        *(null() for _ in _SECTIONS),
        rooms.c.cu,
        homeroom_teacher,
        literal(1),
    ).select_from(rooms_source)
    counted_rooms = select(func.count().label("n")).select_from(rooms)
    return _ordered(sections, counted, homerooms, counted_rooms, order=("school", "kind", "number"))


def _roster_statements(tables: Tables) -> Statements:
    place, student = tables["class"], tables["student"]
    places = (
        select(
            place.column("SC").label("school"),
            place.column("SN").label("student_number"),
            literal(_SECTION).label("kind"),
            place.column("SE").label("section_number"),
            student.column("ID").label("person_id"),
            # Without a live student row there is nobody who could be active.
            flag(and_(student.column("SN").is_not(None), is_active(student) == 1)).label("student_is_active"),
            literal(0).label("is_homeroom"),
        )
        .select_from(
            place.table.outerjoin(
                student.table,
                and_(
                    student.column("SC") == place.column("SC"),
                    student.column("SN") == place.column("SN"),
                    is_live(student),
                ),
            )
        )
        .where(is_live(place))
    )
    counted = select(func.count().label("n")).select_from(place.table).where(is_live(place))
    order = ("school", "student_number", "kind", "section_number")
    if not student.has("CU"):
        return _ordered(places, counted, order=order)
    homerooms = select(
        student.column("SC"),
        student.column("SN"),
        literal(_HOMEROOM),
        student.column("CU"),
        student.column("ID"),
        literal(1),
        literal(1),
    ).where(_has_only_homeroom(student, place))
    counted_rooms = select(func.count().label("n")).select_from(homerooms.subquery("homerooms"))
    return _ordered(places, counted, homerooms, counted_rooms, order=order)


def _ordered(
    first: Select[Any],
    counted: Select[Any],
    second: Select[Any] | None = None,
    counted_second: Select[Any] | None = None,
    *,
    order: tuple[str, ...],
) -> Statements:
    """One or two selects of the same columns as one, and the sum of their counts."""
    if second is None or counted_second is None:
        whole: Subquery = first.subquery("whole")
        count = counted
    else:
        whole = union_all(first, second).subquery("whole")
        counts = union_all(counted, counted_second).subquery("counts")
        count = select(func.sum(counts.c.n))
    return Statements(rows=select(*whole.c).order_by(*(whole.c[name] for name in order)), count=count)


def _first_flex(flex: FoundTable) -> Subquery:
    """One staff member for each section of Flex scheduling: the primary one, still there rather than ended."""
    ended = flex.column("ED")
    ranked = (
        select(
            flex.column("SC").label("sc"),
            flex.column("SE").label("se"),
            flex.column("ID").label("staff_id"),
            func.row_number()
            .over(
                partition_by=(flex.column("SC"), flex.column("SE")),
                order_by=(case((ended.is_(None), 0), else_=1), ended.desc(), flex.column("ID")),
            )
            .label("place"),
        )
        .where(is_live(flex), flex.column("PR") == 1)
        .subquery("ranked")
    )
    return select(ranked.c.sc, ranked.c.se, ranked.c.staff_id).where(ranked.c.place == 1).subquery("first_flex")


def _is_teacher_of(teacher: FoundTable, school: ColumnElement[Any], number: ColumnElement[Any]) -> ColumnElement[bool]:
    return and_(teacher.column("SC") == school, teacher.column("TN") == number, is_live(teacher))


def _staff_id_of(teacher: FoundTable) -> ColumnElement[Any]:
    # 0 stands for nobody.
    return case((teacher.column("ID") == 0, None), else_=teacher.column("ID"))


def _has_only_homeroom(student: FoundTable, place: FoundTable) -> ColumnElement[bool]:
    has_class = exists().where(
        place.column("SC") == student.column("SC"), place.column("SN") == student.column("SN"), is_live(place)
    )
    return and_(is_live(student), is_active(student) == 1, student.column("CU") > 0, ~has_class)

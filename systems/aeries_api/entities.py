"""What each list of Aeries holds, as data: our columns, the vendor's properties, and what is made of them.

The columns are named as those of `aeries_sql` wherever they mean the same. A property that a connector cannot do
without is required: Aeries leaves out what the certificate may not read, and an absent property must not pass for an
empty one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.errors import StopRun
from shared.http.rows import FieldShape, Kind
from shared.http.shape import Json
from shared.ports.system import Column
from shared.ports.wire import Value

TARGET_ID: Final = "target_id"


@dataclass(frozen=True)
class AeriesEntity:
    """One kind of record."""

    name: str
    shapes: tuple[FieldShape, ...]
    """What is taken from each record."""
    key: tuple[str, ...]
    """The columns that tell records apart."""
    joined: Mapping[str, tuple[str, ...]]
    """Text columns made of others, with a slash between them."""
    has_status: bool = False
    """Whether `is_active` is made of `inactive_code`: active is where that is blank."""
    never_all_blank: tuple[str, ...] = ()
    """Columns that are blank in every record only when the certificate may not read them."""
    made: tuple[Column, ...] = ()
    """Further columns, which `wire` makes."""
    ignored: frozenset[str] = frozenset()
    """Properties that are read by something else than a shape."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """As the entity is delivered."""
        return (
            *(Column(name, "text") for name in self.joined),
            *(Column(shape.name, shape.kind, is_required=not shape.may_miss) for shape in self.shapes),
            *((Column("is_active", "boolean"),) if self.has_status else ()),
            *self.made,
        )


def _text(name: str, place: str, *, may_miss: bool = False, is_nullable: bool = True) -> FieldShape:
    return _shape(name, place, "text", is_nullable=is_nullable, may_miss=may_miss)


def _whole(name: str, place: str, *, may_miss: bool = False) -> FieldShape:
    return _shape(name, place, "integer", is_nullable=may_miss, may_miss=may_miss)


def _date(name: str, place: str, *, may_miss: bool = False) -> FieldShape:
    return _shape(name, place, "date", is_nullable=True, may_miss=may_miss)


def _shape(name: str, place: str, kind: Kind, *, is_nullable: bool, may_miss: bool) -> FieldShape:
    return FieldShape(name, (place,), kind, is_nullable=is_nullable, may_miss=may_miss)


def _sign(name: str, place: str) -> FieldShape:
    """A period or a room: text with leading zeros in some versions, a number in others."""

    def read(value: Json) -> Value:
        if value is None or isinstance(value, str):
            return value
        if type(value) is int:
            return str(value)
        raise ValueError(f"is no text but a {type(value).__name__}")

    return FieldShape(name, (place,), "text", is_nullable=True, may_miss=True, read=read)


SCHOOLS: Final = AeriesEntity(
    name="schools",
    shapes=(
        _whole("code", "SchoolCode"),
        _text("name", "Name"),
        _text("inactive_code", "InactiveStatusCode", may_miss=True),
        _text("city", "AddressCity", may_miss=True),
        _text("principal", "PrincipalName", may_miss=True),
        _whole("low_grade", "LowGradeLevel", may_miss=True),
        _whole("high_grade", "HighGradeLevel", may_miss=True),
        _text("state_school_id", "StateSchoolID", may_miss=True),
        _text("schedule_type", "ScheduleType", may_miss=True),
    ),
    key=("code",),
    joined={},
)
TERMS_OF_SCHOOL: Final = "Terms"
"""Where the terms of a school stand in it."""
TERMS: Final = AeriesEntity(
    name="terms",
    shapes=(
        _whole("school", "SchoolCode"),
        _text("term", "TermCode", is_nullable=False),
        _date("start_date", "StartDate"),
        _date("end_date", "EndDate"),
    ),
    key=("school", "term"),
    joined={"key": ("school", "term")},
)
STAFF: Final = AeriesEntity(
    name="staff",
    shapes=(
        _whole("id", "ID"),
        _text("hr_id", "HumanResourcesSystemID"),
        _text("last_name", "LastName"),
        _text("first_name", "FirstName"),
        _text("middle_name", "MiddleName", may_miss=True),
        _text("email", "EmailAddress"),
        _text("alternate_email", "AlternateEmailAddress", may_miss=True),
        _text("cell", "CellPhone", may_miss=True),
        _text("title", "Title", may_miss=True),
        _text("inactive_code", "InactiveStatusCode"),
        _whole("primary_school", "PrimaryAeriesSchool", may_miss=True),
        _text("state_educator_id", "StateEducatorID", may_miss=True),
        _date("hire_date", "HireDate", may_miss=True),
        # Required, because every change of a record sends it along.
        _date("leave_date", "LeaveDate"),
        _text("network_login", "NetworkLoginID", may_miss=True),
        _text("user_name", "UserName", may_miss=True),
    ),
    key=("id",),
    joined={TARGET_ID: ("id",)},
)
STUDENTS: Final = AeriesEntity(
    name="students",
    shapes=(
        _whole("school", "SchoolCode"),
        _whole("number", "StudentNumber"),
        _whole("person_id", "StudentID"),
        _text("state_id", "StateStudentID", may_miss=True),
        _text("last_name", "LastName"),
        _text("first_name", "FirstName"),
        _text("middle_name", "MiddleName", may_miss=True),
        _text("last_name_alias", "LastNameAlias", may_miss=True),
        _text("first_name_alias", "FirstNameAlias", may_miss=True),
        _whole("grade", "Grade"),
        _date("birth_date", "Birthdate", may_miss=True),
        _text("gender", "Gender", may_miss=True),
        _text("email", "StudentEmailAddress", may_miss=True),
        _text("network_login", "NetworkLoginID", may_miss=True),
        _text("homeroom_teacher", "HomeRoomTeacherNumber", may_miss=True),
        _text("program", "AttendanceProgramCodePrimary", may_miss=True),
        _date("enter_date", "SchoolEnterDate", may_miss=True),
        _date("leave_date", "SchoolLeaveDate", may_miss=True),
        # Null would make everybody active; a blank code is empty text, so null is a field that we may not read.
        _text("inactive_code", "InactiveStatusCode", is_nullable=False),
    ),
    key=("school", "number"),
    joined={"key": ("school", "number"), "person_key": ("school", "person_id")},
    has_status=True,
    never_all_blank=("last_name", "first_name", "grade"),
)
COURSES: Final = AeriesEntity(
    name="courses",
    shapes=(
        _text("code", "ID", is_nullable=False),
        _text("title", "Title"),
        _text("description", "LongDescription", may_miss=True),
        _text("department", "DepartmentCode", may_miss=True),
        FieldShape("credits", ("CreditDefault",), "decimal", is_nullable=True, may_miss=True),
        _whole("low_grade", "LowGrade", may_miss=True),
        _whole("high_grade", "HighGrade", may_miss=True),
        _text("state_code", "StateCourseCode", may_miss=True),
        _text("subject_area", "SubjectArea1", may_miss=True),
        _text("inactive_code", "InactiveStatusCode"),
    ),
    key=("code",),
    joined={},
    has_status=True,
)
MEMBERS: Final = "SectionStaffMembers"
"""Where the staff of a section stand in it."""
SECTIONS: Final = AeriesEntity(
    name="sections",
    shapes=(
        _whole("school", "SchoolCode"),
        _whole("number", "SectionNumber"),
        _text("course", "CourseID"),
        _sign("period", "Period"),
        _text("block", "PeriodBlock", may_miss=True),
        _text("term", "Semester"),
        _sign("room", "Room"),
        _whole("low_grade", "LowGrade", may_miss=True),
        _whole("high_grade", "HighGrade", may_miss=True),
        _whole("students_max", "MaxStudents", may_miss=True),
        _whole("students", "TotalStudents", may_miss=True),
        _whole("class_id", "ClassID", may_miss=True),
        _text("track", "Track", may_miss=True),
        _text("inactive_code", "InactiveStatusCode"),
    ),
    key=("school", "number"),
    joined={"key": ("school", "number"), "term_key": ("school", "term")},
    has_status=True,
    made=(Column("teacher_staff_id", "integer"), Column("staff_ids", "text")),
    ignored=frozenset({MEMBERS}),
)
SECTION_STAFF: Final = AeriesEntity(
    name="section_staff",
    shapes=(
        _whole("school", "SchoolCode"),
        _whole("section_number", "SectionNumber"),
        _whole("staff_id", "StaffID"),
        FieldShape("is_primary", ("IsPrimaryTeacher",), "boolean"),
        _text("role", "StaffRoleCode", may_miss=True),
        _date("start_date", "StartDate", may_miss=True),
        _date("end_date", "EndDate", may_miss=True),
        _text("inactive_code", "InactiveStatusCode", may_miss=True),
    ),
    key=("school", "section_number", "staff_id", "start_date"),
    joined={
        "key": ("school", "section_number", "staff_id", "start_date"),
        "section_key": ("school", "section_number"),
    },
)
ROSTERS: Final = AeriesEntity(
    name="rosters",
    shapes=(
        _whole("school", "SchoolCode"),
        _whole("section_number", "SectionNumber"),
        _whole("person_id", "StudentID"),
        _whole("sequence", "SequenceNumber"),
        _text("course", "CourseID", may_miss=True),
        _date("start_date", "DateStarted", may_miss=True),
        _date("end_date", "DateEnded", may_miss=True),
    ),
    key=("school", "section_number", "person_id", "sequence"),
    joined={
        "key": ("school", "section_number", "person_id", "sequence"),
        "section_key": ("school", "section_number"),
        "person_key": ("school", "person_id"),
        "place_key": ("school", "section_number", "person_id"),
    },
    made=(Column("is_current", "boolean"),),
)
ENROLMENTS: Final = AeriesEntity(
    name="enrolments",
    shapes=(
        _whole("person_id", "StudentID"),
        _whole("year", "AcademicYear"),
        _whole("school", "SchoolCode"),
        _date("enter_date", "EnterDate"),
        _whole("number", "StudentNumber", may_miss=True),
        _whole("grade", "Grade", may_miss=True),
        _date("leave_date", "LeaveDate"),
        _text("exit_reason", "ExitReasonCode", may_miss=True),
        _text("track", "Track", may_miss=True),
        _text("program", "AttendanceProgramCode", may_miss=True),
    ),
    key=("person_id", "year", "school", "enter_date"),
    joined={"key": ("person_id", "year", "school", "enter_date")},
)

ENTITIES: Final[Mapping[str, AeriesEntity]] = {
    each.name: each for each in (SCHOOLS, TERMS, STAFF, STUDENTS, COURSES, SECTIONS, SECTION_STAFF, ROSTERS, ENROLMENTS)
}


def entity_of(name: str) -> AeriesEntity:
    """The entity of that name; `StopRun` for one that there is not."""
    try:
        return ENTITIES[name]
    except KeyError:
        text = f"entity {name}: is not known to aeries_api; there are: {', '.join(ENTITIES)}"
        raise StopRun("SRC_CONFIG", text) from None


def columns_of(entity: str) -> Sequence[Column]:
    """The columns of an entity; `StopRun` for one that there is not."""
    return entity_of(entity).columns

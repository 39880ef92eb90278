"""What Apex's records hold: columns, names there and kinds, as data. Pure.

A student or member of staff is one record for each organisation that has that person: creating, archiving and bringing
back are all done to a person in an organisation. What else is known of a person stands in each of these records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.errors import StopRun
from shared.ports.system import Column

TARGET_ID: Final = "target_id"
MEMBERSHIP_KEY: Final = "membership_key"
ENROLLMENT_KEY: Final = "enrollment_key"
USER_ID: Final = "import_user_id"
ORG_ID: Final = "import_org_id"
CLASSROOM_ID: Final = "import_classroom_id"
ACTIVE: Final = "active"
ROLE: Final = "role"
COACH_EMAILS: Final = "coach_emails"
PRODUCT_CODES: Final = "product_codes"
TEACHER_ID: Final = "teacher_id"
STARTS_ON: Final = "start_date"
STATUS: Final = "status"
COMPLETED_ON: Final = "completed_date"


@dataclass(frozen=True)
class PersonShape:
    """Students or staff."""

    heading: str
    """What the list of a create is called."""
    batch_max: int
    """Records of one batch."""
    names: Mapping[str, str]
    """The fields of a person that are read and written, by column: their names there."""


_PERSON: Final = {
    "first_name": "FirstName",
    "middle_name": "MiddleName",
    "last_name": "LastName",
    "email": "Email",
    "login_id": "LoginId",
}

PEOPLE: Final[Mapping[str, PersonShape]] = {
    "students": PersonShape(
        "studentUsers", 2_000, {**_PERSON, "grade_level": "GradeLevel", COACH_EMAILS: "CoachEmails"}
    ),
    "staff": PersonShape("staffUsers", 2_500, _PERSON),
}
CLASSROOM_HEADING: Final = "classroomEntries"
CLASSROOM_BATCH_MAX: Final = 2_500
CLASSROOM_NAMES: Final[Mapping[str, str]] = {
    "classroom_name": "ClassroomName",
    PRODUCT_CODES: "ProductCodes",
    ORG_ID: "ImportOrgId",
    "program_code": "ProgramCode",
    STARTS_ON: "ClassroomStartDate",
}
"""Of a classroom, what is both read and written; its teacher is written by id and read by name."""


def _columns(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, "text") for name in names)


def _person_columns(kind: str) -> tuple[Column, ...]:
    return (*_columns(TARGET_ID, MEMBERSHIP_KEY, USER_ID, ORG_ID, *PEOPLE[kind].names, ROLE), Column(ACTIVE, "boolean"))


_COLUMNS: Final[Mapping[str, tuple[Column, ...]]] = {
    "students": _person_columns("students"),
    "staff": _person_columns("staff"),
    "classrooms": (
        *_columns(TARGET_ID, CLASSROOM_ID, "classroom_name", PRODUCT_CODES, ORG_ID, "program_code"),
        Column(STARTS_ON, "date"),
        *_columns(TEACHER_ID, "primary_teacher", STATUS),
    ),
    "enrollments": (
        *_columns(TARGET_ID, ENROLLMENT_KEY, CLASSROOM_ID, USER_ID, ORG_ID, STATUS),
        Column(COMPLETED_ON, "date"),
    ),
}


def columns_of(entity: str) -> tuple[Column, ...]:
    """The columns of an entity; `StopRun` for one that there is not."""
    if entity not in _COLUMNS:
        raise StopRun("SRC_CONFIG", f"apex has no entity {entity}; there are: {', '.join(_COLUMNS)}", entity=entity)
    return _COLUMNS[entity]


# --- keys made of two ids ---------------------------------------------------------------------------------------------


def membership_key(org_id: str, user_id: str) -> str:
    """The key of a person in an organisation: both ids joined by "/", written %2F in the first."""
    return f"{org_id.replace('/', '%2F')}/{user_id}"


def membership_of(key: str) -> tuple[str, str] | None:
    """Organisation and person of such a key; None for text that is none."""
    org_id, _, user_id = key.partition("/")
    return (org_id.replace("%2F", "/"), user_id) if org_id and user_id else None


def enrollment_key(classroom_id: str, user_id: str) -> str:
    """The key of a student in a classroom: both ids joined by "/", written %2F in the second."""
    return f"{classroom_id}/{user_id.replace('/', '%2F')}"


def enrollment_of(key: str) -> tuple[str, str] | None:
    """Classroom and student of such a key; None for text that is none."""
    classroom_id, _, user_id = key.rpartition("/")
    return (classroom_id, user_id.replace("%2F", "/")) if classroom_id and user_id else None

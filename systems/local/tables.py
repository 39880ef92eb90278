"""What the tables hold: names, kinds and lengths of their columns, as data. Pure.

Every table has the same frame, which no contract sets: `row_id` (its own id, our `target_id`), `written_by` (the last
change of ours that wrote the row) and `written_at`. What stands in `TABLES` is between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

ROW_ID: Final = "row_id"
TARGET_ID: Final = "target_id"
"""What the row's own id is called outside."""
WRITTEN_BY: Final = "written_by"
WRITTEN_AT: Final = "written_at"
ACTIVE: Final = "active"
KEY_CHARACTERS_MAX: Final = 200


@dataclass(frozen=True)
class LocalColumn:
    """One column."""

    kind: Literal["text", "boolean", "date"]
    """Numbers are kept as the text that the contract gives them: one number, one text, on every database."""
    characters_max: int = 0
    """Of text; longer text is refused, never cut."""


@dataclass(frozen=True)
class LocalTable:
    """One table."""

    key: str
    """The column of our key: text, unique, and null in rows that are nobody's business of ours."""
    columns: Mapping[str, LocalColumn]
    """In order, the key first and `active` among them."""


def _text(characters_max: int) -> LocalColumn:
    return LocalColumn("text", characters_max)


_KEY: Final = _text(KEY_CHARACTERS_MAX)
_DATE: Final = LocalColumn("date")
_ACTIVE: Final = LocalColumn("boolean")
_FOOT: Final = {ACTIVE: _ACTIVE, "source_system": _text(40)}

TABLES: Final[Mapping[str, LocalTable]] = {
    "staff": LocalTable(
        "staff_id",
        {
            "staff_id": _KEY,
            "last_name": _text(100),
            "first_name": _text(100),
            "middle_name": _text(100),
            "email": _text(255),
            "mobile": _text(20),
            "title": _text(100),
            "role": _text(40),
            "school_code": _text(20),
            "state_educator_id": _text(20),
            "hire_date": _DATE,
            "leave_date": _DATE,
            **_FOOT,
        },
    ),
    "students": LocalTable(
        "student_id",
        {
            "student_id": _KEY,
            "state_id": _text(20),
            "last_name": _text(100),
            "first_name": _text(100),
            "middle_name": _text(100),
            "email": _text(255),
            "school_code": _text(20),
            "grade": _text(10),
            "birth_date": _DATE,
            "homeroom": _text(200),
            "enter_date": _DATE,
            "leave_date": _DATE,
            **_FOOT,
        },
    ),
    "courses": LocalTable(
        "course_code",
        {
            "course_code": _KEY,
            "title": _text(100),
            "description": _text(255),
            "department": _text(40),
            "credits": _text(20),
            "low_grade": _text(10),
            "high_grade": _text(10),
            **_FOOT,
        },
    ),
    "sections": LocalTable(
        "section_key",
        {
            "section_key": _KEY,
            "school_code": _text(20),
            "section_number": _text(40),
            "course_code": _text(200),
            "title": _text(100),
            "period": _text(20),
            "term": _text(20),
            "room": _text(40),
            "teacher_staff_id": _text(200),
            "start_date": _DATE,
            "end_date": _DATE,
            **_FOOT,
        },
    ),
    "enrolments": LocalTable(
        "enrolment_key",
        {
            "enrolment_key": _KEY,
            "section_key": _text(200),
            "student_id": _text(200),
            "school_code": _text(20),
            "start_date": _DATE,
            "end_date": _DATE,
            **_FOOT,
        },
    ),
    "assets": LocalTable(
        "asset_tag",
        {
            "asset_tag": _KEY,
            "serial": _text(100),
            "name": _text(255),
            "model": _text(255),
            "category": _text(100),
            "status": _text(40),
            "assigned_to": _text(200),
            "location": _text(100),
            "purchase_date": _DATE,
            **_FOOT,
        },
    ),
}
"""By entity; the table has the entity's name, behind the connection's `table_prefix`."""

"""What makes a row of Aeries count: conditions that every entity shares."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Integer, case, cast, func, or_, true

from shared.sql_reading import FoundTable


def is_live(table: FoundTable) -> ColumnElement[bool]:
    """Not soft-deleted: DEL is 0 or NULL, or the table has none."""
    if not table.has("DEL"):
        return true()
    deleted = table.column("DEL")
    # The cast makes one predicate of it for bit, boolean and integer columns.
    return or_(deleted.is_(None), cast(deleted, Integer) == 0)


def is_filled(text: ColumnElement[Any]) -> ColumnElement[bool]:
    """Not blank, and not NULL."""
    # Trimmed on both sides, because databases disagree on whether '' equals ' '.
    return func.ltrim(func.rtrim(text)) != ""


def flag(condition: ColumnElement[bool]) -> ColumnElement[int]:
    """A condition as 1 or 0: SQL Server has no boolean values to select."""
    return case((condition, 1), else_=0)


def is_active(table: FoundTable) -> ColumnElement[int]:
    """1 where the inactive tag TG is blank or NULL, else 0."""
    return case((is_filled(table.column("TG")), 0), else_=1)

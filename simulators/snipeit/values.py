"""From what a body or a seed says to what a row holds: one value at a time, refused with the vendor's own words."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from simulators.snipeit.columns import Column, Kind

_NUMBER = re.compile(r"-?[0-9]{1,18}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_FLAGS: dict[object, bool] = {"1": True, "0": False, "true": True, "false": False, 1: True, 0: False}
REFS_MAX = 1_000

HasRow = Callable[[str, int], bool]
"""Whether a table has an undeleted row with this id."""


def coerced(name: str, value: Any, *, column: Column, has_row: HasRow) -> Any:
    """The value as a row holds it; `ValueError` says what is wrong with it."""
    label = name.replace("_", " ")
    if value is None or value == "":
        # An empty text is null in the database, and a flag or a counter has no null.
        return column.default if column.kind in {Kind.FLAG, Kind.REFS} or column.default == 0 else None
    if column.kind is Kind.TEXT:
        return _text(label, value, column=column, is_email=name == "email")
    if column.kind is Kind.REF:
        number = _number(label, value)
        if not has_row(column.table, number):
            raise ValueError(f"The selected {label} is invalid.")
        return number
    if column.kind is Kind.REFS:
        return _refs(label, value, column=column, has_row=has_row)
    return _PLAIN[column.kind](label, value)


def _flag(label: str, value: Any) -> bool:
    if isinstance(value, bool | int | str) and value in _FLAGS:
        return _FLAGS[value]
    raise ValueError(f"The {label} field must be true or false.")


def _text(label: str, value: Any, *, column: Column, is_email: bool) -> str:
    if not isinstance(value, str):
        raise ValueError(f"The {label} must be a string.")
    if len(value) > column.length_max:
        raise ValueError(f"The {label} may not be greater than {column.length_max} characters.")
    if column.choices and value not in column.choices:
        raise ValueError(f"The selected {label} is invalid.")
    if is_email and _EMAIL.fullmatch(value) is None:
        raise ValueError(f"The {label} must be a valid email address.")
    return value


def _number(label: str, value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return int(value)
    raise ValueError(f"The {label} must be an integer.")


def _refs(label: str, value: Any, *, column: Column, has_row: HasRow) -> tuple[int, ...]:
    items = value if isinstance(value, list | tuple) else [value]
    numbers = [_number(label, item) for item in items[:REFS_MAX]]
    if len(items) > REFS_MAX or not all(has_row(column.table, number) for number in numbers):
        raise ValueError(f"The selected {label} is invalid.")
    return tuple(sorted(set(numbers)))


def _date(label: str, value: Any) -> str:
    # The length keeps out the other spellings that fromisoformat reads.
    if isinstance(value, str) and len(value) == len("2026-11-22"):
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError:
            pass
    raise ValueError(f"The {label} does not match the format Y-m-d.")


def _stamp(label: str, value: Any) -> str:
    # The vendor's times have no zone, and a space where ISO 8601 has a T.
    if isinstance(value, str) and len(value) == len("2026-11-22 08:00:00") and value[10] == " ":
        try:
            return datetime.fromisoformat(value).isoformat(sep=" ")
        except ValueError:
            pass
    try:
        return f"{_date(label, value)} 00:00:00"
    except ValueError:
        raise ValueError(f"The {label} is not a valid date.") from None


def _money(label: str, value: Any) -> str:
    try:
        if isinstance(value, bool) or not math.isfinite(float(value)):
            raise ValueError("it is no sum")
        return f"{float(value):.2f}"
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"The {label} must be a number.") from None


def _map(label: str, value: Any) -> dict[str, str]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ValueError(f"The {label} must be a valid JSON string.")
    return {key: str(int(flag)) if isinstance(flag, bool) else str(flag) for key, flag in value.items()}


_PLAIN: dict[Kind, Callable[[str, Any], Any]] = {
    Kind.FLAG: _flag,
    Kind.NUMBER: _number,
    Kind.DATE: _date,
    Kind.STAMP: _stamp,
    Kind.MONEY: _money,
    Kind.MAP: _map,
}
"""The kinds whose check needs nothing but the value."""

"""One value: what a cell of CSV or a member of JSON says, and how a canonical value is written there. Pure.

What is wrong with a value is said without the value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date, datetime

from pydantic import JsonValue

from shared.ports.wire import Value
from systems.files.description import CsvFormat, FileField

INTEGER_MAX = 2**63 - 1
"""What a column of whole numbers holds."""

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_DECIMAL = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?")
_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?[0-9][0-9 ().-]*")
"""What begins like a formula and is a number: a telephone's, or one below zero."""
_ESCAPED = re.compile(r"'+[=+\-@\t\r]")


class FileWrong(Exception):
    """A file that is not as agreed; the text holds no value of it."""

    def __init__(self, text: str, *, line: int | None = None, is_torn: bool = False) -> None:
        self.line = line
        """Counted from 1; None for what concerns the file as a whole."""
        self.is_torn = is_torn
        """Whether it looks like a file of which the end is missing."""
        super().__init__(text if line is None else f"line {line}: {text}")


class CellRefused(Exception):
    """A value that cannot be written into the file."""


def reader_of(field: FileField, form: CsvFormat) -> Callable[[str], Value]:
    """What turns a cell that is not blank into a value; it raises `ValueError` that says what is wrong."""
    if field.kind == "text":
        return _unescaped if form.formulas == "escape" else str
    if field.kind == "integer":
        return _integer
    if field.kind == "decimal":
        return _decimal
    if field.kind == "boolean":
        words = {**dict.fromkeys(field.is_false, False), **dict.fromkeys(field.is_true, True)}
        return lambda cell: _boolean(cell, words)
    return lambda cell: _moment(cell, field)


def cell_of(value: Value, field: FileField, form: CsvFormat) -> str:
    """How a canonical value is written in CSV; `CellRefused` says what is wrong with it."""
    if value is None:
        return ""
    match field.kind:
        case "text" if isinstance(value, str):
            return _text_cell(value, form)
        case "boolean" if isinstance(value, bool):
            return field.is_true[0] if value else field.is_false[0]
        case "integer" if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        case "decimal" if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return repr(value)
        case "date" | "datetime" if isinstance(value, str):
            return _written_moment(value, field)
    raise CellRefused(f"is no {field.kind}; correct the field's format in the contract")


def member_value(member: JsonValue, field: FileField) -> Value:
    """A member of a JSON object as a value; `ValueError` says what is wrong."""
    match member:
        case None:
            return None
        case bool() if field.kind == "boolean":
            return member
        case int() if field.kind == "integer" and not isinstance(member, bool) and abs(member) <= INTEGER_MAX:
            return member
        case int() | float() if field.kind == "decimal" and not isinstance(member, bool):
            return float(member)
        case str() if field.kind == "text":
            return member
        case str() if field.kind in ("date", "datetime"):
            return _moment(member, field)
    raise ValueError(f"is no {field.kind}")


def member_of(value: Value, field: FileField) -> JsonValue:
    """How a canonical value is written in JSON; `CellRefused` says what is wrong with it."""
    if value is None:
        return None
    if field.kind in ("date", "datetime") and isinstance(value, str):
        return _written_moment(value, field)
    try:
        member_value(value, field)
    except ValueError as wrong:
        raise CellRefused(f"{wrong}; correct the field's format in the contract") from None
    return value


def _integer(cell: str) -> int:
    if not _INTEGER.fullmatch(cell) or abs(int(cell)) > INTEGER_MAX:
        raise ValueError("is no integer (leading zeros belong to text)")
    return int(cell)


def _decimal(cell: str) -> float:
    if not _DECIMAL.fullmatch(cell):
        raise ValueError("is no decimal number with a point")
    return float(cell)


def _boolean(cell: str, words: dict[str, bool]) -> bool:
    try:
        return words[cell]
    except KeyError:
        raise ValueError(f"is none of {', '.join(words)}") from None


def _moment(cell: str, field: FileField) -> str:
    try:
        if field.pattern is not None:
            moment = datetime.strptime(cell, field.pattern)  # noqa: DTZ007 - the file knows no zone, and we invent none
            return moment.date().isoformat() if field.kind == "date" else moment.isoformat()
        return (
            date.fromisoformat(cell).isoformat() if field.kind == "date" else datetime.fromisoformat(cell).isoformat()
        )
    except ValueError:
        raise ValueError(f"is no {field.kind} as {field.pattern or 'ISO 8601'} writes it") from None


def _written_moment(value: str, field: FileField) -> str:
    try:
        if field.kind == "date":
            moment: date = date.fromisoformat(value)
        else:
            moment = datetime.fromisoformat(value)
    except ValueError:
        raise CellRefused(f"is no {field.kind}; correct the field's format in the contract") from None
    return value if field.pattern is None else moment.strftime(field.pattern)


def _text_cell(value: str, form: CsvFormat) -> str:
    if "\0" in value:
        raise CellRefused("holds a zero character; correct it at the source")
    if form.formulas == "keep" or not _FORMULA.match(value) or _NUMBER.fullmatch(value):
        if form.formulas == "escape" and _ESCAPED.match(value):
            return f"'{value}"  # read back, it would lose a mark that is its own
        return value
    if form.formulas == "escape":
        return f"'{value}"
    raise CellRefused("begins as a formula does; correct it at the source, or set formulas to escape or keep")


def _unescaped(cell: str) -> str:
    return cell[1:] if _ESCAPED.match(cell) else cell

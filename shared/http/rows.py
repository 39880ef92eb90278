"""Records of a JSON answer as columns, by a table of fields. Pure: names, places and kinds in, values out.

Fields that are new to us are counted, never refused. A field that is missing or of another kind is refused with its
JSON pointer and never with its value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from shared.http.shape import Json, WrongShape
from shared.ports.wire import Value

Kind = Literal["text", "integer", "decimal", "boolean", "date", "datetime"]

_TYPES: Mapping[Kind, frozenset[type]] = {
    "text": frozenset({str}),
    "integer": frozenset({int}),
    "decimal": frozenset({int, float}),
    "boolean": frozenset({bool}),
    "date": frozenset({str}),
    "datetime": frozenset({str}),
}
_INTEGER_MAX = 2**63 - 1
"""What a column of whole numbers holds."""


@dataclass(frozen=True)
class FieldShape:
    """One field: what it is called here and there, and what it may be."""

    name: str
    """The column."""
    place: tuple[str, ...]
    """Where it stands in a record: a name, or names of objects within each other."""
    kind: Kind
    is_nullable: bool = False
    """Whether null is a value that it may have."""
    may_miss: bool = False
    """Whether it may be left out, and so may any object around it; it is null then."""
    read: Callable[[Json], Value] | None = None
    """Makes the value of whatever stands there, instead of the kind's own rule; `ValueError` says what is wrong with
    it, without the value."""


@dataclass(frozen=True)
class Rows:
    """The records of one page."""

    columns: Mapping[str, list[Value]]
    """The values of each field, by its column and in the order of the shapes."""
    length: int
    """Records on the page."""
    unknown_fields: Mapping[str, int] = field(default_factory=dict)
    """Names in the records that no shape begins with, and how often they came."""


def rows_of(items: Json, shapes: Sequence[FieldShape], *, pointer: str, ignored: frozenset[str] = frozenset()) -> Rows:
    """The records in a list; `WrongShape` with the JSON pointer of what is not as agreed. `pointer`: of the list."""
    if not isinstance(items, list):
        raise WrongShape(pointer, "is no list")
    columns = _columns(items, shapes)
    if columns is None:
        # Something is not plainly so: record by record, to read what is special and to say what and where.
        rows = [record_of(item, shapes, pointer=f"{pointer}/{index}") for index, item in enumerate(items)]
        columns = {shape.name: [row[shape.name] for row in rows] for shape in shapes}
    known = ignored.union(shape.place[0] for shape in shapes)
    unknown: dict[str, int] = {}
    if any(item.keys() - known for item in items):
        for item in items:
            for name in item.keys() - known:
                unknown[name] = unknown.get(name, 0) + 1
    return Rows(columns=columns, length=len(items), unknown_fields=unknown)


def record_of(item: Json, shapes: Sequence[FieldShape], *, pointer: str = "") -> dict[str, Value]:
    """One record by its columns; `WrongShape` as in `rows_of`."""
    if not isinstance(item, dict):
        raise WrongShape(pointer, "is no record")
    return {shape.name: _value(item, shape, pointer=pointer) for shape in shapes}


def _columns(items: Sequence[object], shapes: Sequence[FieldShape]) -> dict[str, list[Value]] | None:
    """The records turned into columns at once; None when any of them is not plainly as agreed."""
    columns: dict[str, list[Value]] = {}
    try:
        for shape in shapes:
            if shape.read is not None or len(shape.place) != 1:
                return None
            name = shape.place[0]
            columns[shape.name] = values = [item[name] for item in items]  # type: ignore[index] # no object: raises
            allowed = _TYPES[shape.kind]
            if not set(map(type, values)) <= ({*allowed, type(None)} if shape.is_nullable else allowed):
                return None
            if shape.kind in {"integer", "decimal"} and any(map(_is_no_number, values)):
                return None
    except (KeyError, TypeError, IndexError):
        return None
    return columns if set(map(type, items)) <= {dict} else None


def _value(item: Mapping[str, Json], shape: FieldShape, *, pointer: str) -> Value:
    found: Json = item
    place = pointer
    for name in shape.place:
        place = f"{place}/{name}"
        if found is None and shape.may_miss:
            break
        if not isinstance(found, dict) or name not in found:
            if shape.may_miss and (found is None or isinstance(found, dict)):
                found = None
                break
            raise WrongShape(place, "is missing")
        found = found[name]
    if shape.read is not None:
        try:
            return shape.read(found)
        except ValueError as wrong:
            raise WrongShape(place, str(wrong)) from None
    if found is None:
        if not (shape.is_nullable or shape.may_miss):
            raise WrongShape(place, "is null, and may not be")
        return None
    if type(found) not in _TYPES[shape.kind]:
        raise WrongShape(place, f"is no {shape.kind} but a {type(found).__name__}")
    if shape.kind in {"integer", "decimal"} and _is_no_number(found):
        raise WrongShape(place, "is a number that no column holds")
    return found  # type: ignore[return-value] # of one of the types above


def _is_no_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not (math.isfinite(value) and abs(value) <= _INTEGER_MAX)

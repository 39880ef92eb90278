"""What every write shares: reading a body, seeing what it changes, and the answer it leads to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulators.aeries_api.asking import Asked, Refused
from simulators.aeries_api.fields import Row, Shape, taken_in


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a write answers and what it did."""

    status: int
    shape: Shape
    row: Row
    effect: str
    record_id: str
    external_id: str | None
    log: Row | None = None
    """What a command tells of itself; its answer then has the new record beside it."""


def given_in(asked: Asked, shape: Shape) -> Row:
    """The properties that a body brings along, as they are kept; null is the same as not given (A31)."""
    given: Row = {}
    for name, value in asked.body.items():
        prop = shape.find(name)
        if prop is None:
            asked.note("A34", f"a body brings a property that {shape.name} has not; it was ignored")
        elif value is not None and f"{shape.name}.{prop.name}" not in asked.denied:
            try:
                given[prop.name] = shape.empty[prop.name] if value == "" else taken_in(prop, value)
            except ValueError as error:
                raise Refused(400, f"{prop.name} {error}") from error
    return given


def changed_in(shape: Shape, before: Row, given: Mapping[str, Any]) -> list[str]:
    """Name the properties that differ, in the order of the shape."""
    return [name for name in shape.properties if name in given and given[name] != before.get(name, shape.empty[name])]


def update_effect(record_id: str, changed: list[str]) -> str:
    """Say in the journal's words what an update did."""
    return f"updated {record_id} [{', '.join(changed)}]" if changed else f"unchanged {record_id}"

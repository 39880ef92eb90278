"""How a change looks on the wire: the pure part of the port.

Kept apart from the reading and writing part so that the plan and the applier need no columnar engine for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from pydantic import JsonValue

Value = str | int | float | bool | None
Record = Mapping[str, Value]

Body: TypeAlias = Mapping[str, JsonValue]
"""What a write sends: objects and lists of plain values, within each other as the system wants them."""

ChangeVerb = Literal["create", "update", "suspend", "reactivate", "delete"]
"""What a write does to a record; the change's class says how risky that is."""


@dataclass(frozen=True)
class WireWrite:
    """One finished write, exactly as it goes out. It stands in the plan; the applier sends it and chooses nothing."""

    method: str
    """HTTP method, or the system's own verb."""
    path: str
    """Path below the connection's base address, already escaped; never a host."""
    body: Body | None


class Wire(Protocol):
    """How a change looks on the wire. Pure: no input but its arguments."""

    def write_for(self, entity: str, *, verb: ChangeVerb, target_id: str | None, values: Record) -> WireWrite:
        """The one write that makes the given canonical values so.

        `values` holds only the fields to set (all fields for a create), by their names in the target entity. For
        `suspend` and `delete` it may be empty. `target_id` is None for a create.
        """
        ...

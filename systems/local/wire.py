"""A change as one statement: its verb, the table and row it goes to, and the values to set. Pure.

    INSERT /students      {"student_id": "S1", "last_name": …, "active": true}
    UPDATE /students/17   {"active": false}
    DELETE /students/17

The statement itself is put together by the client, from names that stand in `tables` and values that travel apart from
it: a value can never become SQL.
"""

from __future__ import annotations

import re

from pydantic import JsonValue

from shared.errors import StopRun
from shared.ports.wire import ChangeVerb, Record, WireWrite
from systems.local.tables import ACTIVE, TABLES, LocalTable

ROW_ID_PATTERN = re.compile(r"[1-9][0-9]{0,17}")


class LocalWire:
    """How a change of a local table looks; see `shared.ports.wire.Wire`."""

    def write_for(self, entity: str, *, verb: ChangeVerb, target_id: str | None, values: Record) -> WireWrite:
        """The one statement that makes the given canonical values so."""
        table = table_of(entity, code="APL_CONFIG")
        if (target_id is None) != (verb == "create"):
            raise StopRun(
                "APL_INTERNAL", f"entity {entity}: {verb} {'needs a' if target_id is None else 'takes no'} target id"
            )
        if target_id is not None and not ROW_ID_PATTERN.fullmatch(target_id):
            raise StopRun("APL_INTERNAL", f"entity {entity}: the target id is no row number of this system")
        match verb:
            case "create":
                return WireWrite("INSERT", f"/{entity}", _body(entity, table, {ACTIVE: True, **values}))
            case "delete":
                return WireWrite("DELETE", f"/{entity}/{target_id}", None)
            case "suspend":
                values = {**values, ACTIVE: False}
            case "reactivate":
                values = {**values, ACTIVE: True}
            case "update":
                pass
        return WireWrite("UPDATE", f"/{entity}/{target_id}", _body(entity, table, values))


def build_wire() -> LocalWire:
    """The encoder of writes."""
    return LocalWire()


def table_of(entity: str, *, code: str) -> LocalTable:
    """The table of an entity; `StopRun` with that code for an unknown one."""
    try:
        return TABLES[entity]
    except KeyError:
        raise StopRun(code, f"entity {entity}: is not known to local; there are: {', '.join(TABLES)}") from None


def place_of(write: WireWrite) -> tuple[str, int | None]:
    """Entity and row of a write; `StopRun` for one that this wire never made."""
    parts = write.path.split("/")
    is_create = write.method == "INSERT"
    if (
        write.method not in ("INSERT", "UPDATE", "DELETE")
        or len(parts) != (2 if is_create else 3)
        or parts[0] != ""
        or parts[1] not in TABLES
        or (not is_create and not ROW_ID_PATTERN.fullmatch(parts[2]))
        or (write.body is None) != (write.method == "DELETE")
    ):
        raise StopRun("APL_INTERNAL", f"{write.method} of a plan is no write of this system; nothing was sent")
    return parts[1], None if is_create else int(parts[2])


def _body(entity: str, table: LocalTable, values: Record) -> dict[str, JsonValue]:
    if not values:
        raise StopRun("APL_INTERNAL", f"entity {entity}: there is nothing to set")
    for name in values:
        if name not in table.columns:
            raise StopRun("APL_INTERNAL", f"entity {entity}: field {name} is no column; correct the contract")
    return dict(values)

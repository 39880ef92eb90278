"""How a change looks on its way to Snipe-IT. Pure: canonical values in, one request out.

Every change sends only what changes (PATCH is partial), which matters here: a `location_id` that is sent, even
unchanged, moves every asset that the user has (vendor's source code 8.1.4, read 2026-11-22).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.errors import StopRun
from shared.ports.wire import ChangeVerb, Record, Value, WireWrite
from systems.snipeit.entities import BASE_PATH, CHECKOUTS, ENTITIES, SnipeEntity, SnipeField, entity_of

NOTE: Final = "By the district's integration"
"""Stands in the asset's history; some servers refuse a checkout without a note."""
_ID: Final = re.compile(r"[1-9][0-9]{0,17}")
_PATHS: Final = re.compile(
    re.escape(BASE_PATH) + r"/(?P<list>[a-z]+)(?:/(?P<id>[1-9][0-9]{0,17})(?:/(?P<errand>checkout|checkin))?)?"
)

_VERBS: Final[Mapping[tuple[str, bool], ChangeVerb]] = {
    ("POST", False): "create",
    ("PATCH", True): "update",
    ("DELETE", True): "delete",
}
"""By method, and whether the path names a record."""


def build_wire() -> SnipeitWire:
    """The encoder of writes."""
    return SnipeitWire()


class SnipeitWire:
    """How a change of a record looks on the wire; see `shared.ports.wire.Wire`."""

    def write_for(self, entity: str, *, verb: ChangeVerb, target_id: str | None, values: Record) -> WireWrite:
        """The one write that makes the given canonical values so."""
        described = entity_of(entity)
        if verb not in described.verbs:
            raise _defect(entity, f"{verb} cannot be done here; correct the contract")
        if (target_id is None) != (verb == "create"):
            raise _defect(entity, f"{verb} {'needs a' if target_id is None else 'takes no'} target id")
        if entity == CHECKOUTS:
            return _checkout(values) if target_id is None else _checkin(target_id)
        if target_id is None:
            return WireWrite("POST", list_path(entity), _created(entity, _body(described, values, entity)))
        if verb == "delete":
            return WireWrite("DELETE", record_path(entity, target_id), None)
        if entity == "users" and verb in ("suspend", "reactivate"):
            values = {**values, "activated": verb == "reactivate"}
        if not values:
            raise _defect(entity, f"{verb} has nothing to send; name the fields in removal.suspended")
        return WireWrite("PATCH", record_path(entity, target_id), _body(described, values, entity))


def list_path(entity: str) -> str:
    """Where the records of an entity are listed and created."""
    return BASE_PATH + entity_of(entity).path


def record_path(entity: str, target_id: str) -> str:
    """Where one record lies, by the other side's id; `StopRun` for what cannot be one."""
    if _ID.fullmatch(target_id) is None:
        raise _defect(entity, "the target id is no whole number and names no record")
    return f"{list_path(entity)}/{target_id}"


@dataclass(frozen=True)
class Meant:
    """What a write is for and which record it names."""

    entity: str
    verb: ChangeVerb
    target_id: str | None


def meaning_of(write: WireWrite) -> Meant | None:
    """What a write is for; None for one that no plan of ours can hold."""
    found = _PATHS.fullmatch(write.path)
    if found is None:
        return None
    entity, target_id, errand = found["list"], found["id"], found["errand"]
    if errand is not None:
        is_ours = entity == "hardware" and write.method == "POST"
        return Meant(CHECKOUTS, "create" if errand == "checkout" else "delete", target_id) if is_ours else None
    verb = _VERBS.get((write.method, target_id is not None))
    if verb is None or entity == CHECKOUTS or entity not in ENTITIES or verb not in ENTITIES[entity].verbs:
        return None
    return Meant(entity, verb, target_id)


def body_names(entity: str) -> frozenset[str]:
    """What the body of a write can hold: the names by which the other side complains of a field."""
    names = {field.body for field in entity_of(entity).fields if field.body is not None}
    return frozenset(names | {"password", "groups", "checkout_to_type", "note"})


def _created(entity: str, body: dict[str, Value]) -> dict[str, Value]:
    if entity == "users":
        # A user marked so needs no password, and none that anybody knows is made up: whoever signs in does so by the
        # directory. A random password would make the same plan another plan each time.
        return {**body, "ldap_import": True}
    return body


def _checkout(values: Record) -> WireWrite:
    asset_id, user_id = values.get("asset_id"), values.get("user_id")
    if not isinstance(asset_id, str) or not isinstance(user_id, str):
        raise _defect(CHECKOUTS, "a checkout needs asset_id and user_id; look both up in the contract")
    body = {"checkout_to_type": "user", "assigned_user": _number(user_id), "note": NOTE}
    return WireWrite("POST", f"{record_path(CHECKOUTS, asset_id)}/checkout", body)


def _checkin(target_id: str) -> WireWrite:
    return WireWrite("POST", f"{record_path(CHECKOUTS, target_id)}/checkin", {"note": NOTE})


def _body(described: SnipeEntity, values: Record, entity: str) -> dict[str, Value]:
    fields = {field.column: field for field in described.fields if field.body is not None}
    body: dict[str, Value] = {}
    for name, value in values.items():
        field = fields.get(name)
        if field is None:
            raise _defect(entity, f"field {name} cannot be sent; correct the contract")
        assert field.body is not None, "the others were left out"  # noqa: S101 - own invariant
        body[field.body] = _sent(field, value)
    return body


def _sent(field: SnipeField, value: Value) -> Value:
    return _number(value) if field.form in ("id", "months") and isinstance(value, str) else value


def _number(text: str) -> Value:
    """Digits as a number; other text as it is, so that the other side refuses that one record and names the field."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else text


def _defect(entity: str, text: str) -> StopRun:
    return StopRun("APL_INTERNAL", f"entity {entity}: {text}", entity=entity)

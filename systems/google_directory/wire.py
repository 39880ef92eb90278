"""How a change looks on its way to Google's directory. Pure: canonical values in, one request out.

Users are changed with PUT, which there leaves what is absent, clears what is null and replaces arrays whole; PATCH
would accept a null for an array and keep the array (vendor's guide "Manage users", read 2026-11-22). Units, groups and
memberships have no arrays of ours and are changed with PATCH.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

from pydantic import JsonValue

from shared.errors import StopRun
from shared.ports.wire import ChangeVerb, Record, Value, WireWrite
from systems.google_directory.entities import (
    BASE_PATH,
    CUSTOMER,
    GROUPS,
    MEMBERS,
    ORG_UNITS,
    ORGANIZATION,
    USERS,
    entity_of,
)

_LIFE: Final[Mapping[str, frozenset[ChangeVerb]]] = {
    USERS: frozenset({"create", "update", "suspend", "reactivate", "delete"}),
    ORG_UNITS: frozenset({"create", "update", "delete"}),
    GROUPS: frozenset({"create", "update", "delete"}),
    MEMBERS: frozenset({"create", "update", "delete"}),
}
_NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    USERS: {
        "email": "primaryEmail",
        "org_unit_path": "orgUnitPath",
        "suspended": "suspended",
        "archived": "archived",
        "change_password_at_next_login": "changePasswordAtNextLogin",
        "in_address_list": "includeInGlobalAddressList",
        "recovery_email": "recoveryEmail",
        "recovery_phone": "recoveryPhone",
    },
    ORG_UNITS: {"name": "name", "parent_path": "parentOrgUnitPath", "description": "description"},
    GROUPS: {"email": "email", "name": "name", "description": "description"},
    MEMBERS: {"role": "role"},
}
"""Columns that stand in a body as they are, by their names there."""
_USER_NAMES: Final = {"given_name": "givenName", "family_name": "familyName", "display_name": "displayName"}
_CLEARABLE: Final = frozenset({"display_name", "recovery_email", "recovery_phone", "description", "external_id"})
_LISTS: Final = {USERS: "/users", GROUPS: "/groups", ORG_UNITS: f"/customer/{CUSTOMER}/orgunits"}
_PART: Final = r"([^/?#]+)"
_PATHS: Final = (
    (MEMBERS, re.compile(rf"/groups/{_PART}/members(?:/{_PART})?")),
    (USERS, re.compile(rf"/users(?:/{_PART})?()")),
    (GROUPS, re.compile(rf"/groups(?:/{_PART})?()")),
    (ORG_UNITS, re.compile(rf"/customer/{CUSTOMER}/orgunits(?:/(id(?::|%3A)[^/?#]+))?()")),
)


def build_wire() -> GoogleDirectoryWire:
    """The encoder of writes."""
    return GoogleDirectoryWire()


class GoogleDirectoryWire:
    """How a change of a record looks on the wire; see `shared.ports.wire.Wire`."""

    def write_for(self, entity: str, *, verb: ChangeVerb, target_id: str | None, values: Record) -> WireWrite:
        """The one write that makes the given canonical values so."""
        entity_of(entity)
        if verb not in _LIFE[entity]:
            raise _defect(entity, f"{verb} cannot be done here; correct the contract")
        if (target_id is None) != (verb == "create"):
            raise _defect(entity, f"{verb} {'needs a' if target_id is None else 'takes no'} target id")
        if target_id is None:
            return _create(entity, values)
        path = record_path(entity, target_id)
        if verb == "delete":
            return WireWrite("DELETE", path, None)
        if verb != "update":
            values = {**values, "suspended": verb == "suspend"}
        if not values:
            raise _defect(entity, f"{verb} has nothing to send")
        body = _unit_body(values) if entity == ORG_UNITS else _body(entity, values)
        return WireWrite("PUT" if entity == USERS else "PATCH", path, body)


@dataclass(frozen=True)
class Parsed:
    """A write of ours, recognised."""

    entity: str
    verb: ChangeVerb
    target_id: str | None
    """Of the record that it names; for a membership that is made, None."""
    group: str | None
    """The group of a membership, as the path names it."""


def parsed(write: WireWrite) -> Parsed | None:
    """What a write is for; None for one that no plan of ours can hold."""
    if not write.path.startswith(BASE_PATH):
        return None
    for entity, pattern in _PATHS:
        found = pattern.fullmatch(write.path, len(BASE_PATH))
        if found is None:
            continue
        first, second = (None if not part else unquote(part) for part in found.groups())
        if "." in (first, second) or ".." in (first, second):
            return None
        group = first if entity == MEMBERS else None
        target_id = (None if second is None else f"{first}/{second}") if entity == MEMBERS else first
        change = "PUT" if entity == USERS else "PATCH"
        verbs: dict[tuple[str, bool], ChangeVerb] = {
            ("POST", False): "create",
            (change, True): "update",
            ("DELETE", True): "delete",
        }
        verb = verbs.get((write.method, target_id is not None))
        return None if verb is None else Parsed(entity, verb, target_id, group)
    return None


def list_path(entity: str, *, group: str | None = None) -> str:
    """Where the records of an entity are listed and made; those of a group's members by its id or address."""
    if entity == MEMBERS:
        return f"{record_path(GROUPS, group or '')}/members"
    return BASE_PATH + _LISTS[entity]


def record_path(entity: str, name: str) -> str:
    """Where one record lies, by the other side's id, or by an address where that may stand for it."""
    if entity == MEMBERS:
        group, _, member = name.partition("/")
        return f"{list_path(MEMBERS, group=group)}/{_escaped(entity, member)}"
    if entity == ORG_UNITS and not name.startswith("id:"):
        # Without it the other side takes the id for a path, and another unit may have that.
        name = f"id:{name}"
    return f"{BASE_PATH}{_LISTS[entity]}/{_escaped(entity, name)}"


def unit_path_path(path: str) -> str:
    """Where the unit with that path lies: without the first slash, with the others."""
    parts = path.removeprefix("/").split("/")
    if not path.startswith("/") or any(part in ("", ".", "..") for part in parts):
        raise _defect(ORG_UNITS, "the path of a unit begins with a slash and has no blank part")
    return f"{BASE_PATH}{_LISTS[ORG_UNITS]}/{'/'.join(quote(part, safe='') for part in parts)}"


def unusable_password(values: Record) -> str:
    """A SHA-1 digest that belongs to no password anybody knows; the same for the same account.

    An account needs a password to be made, and a plan holds what goes out, the same each time, with no secret in it.
    So the digest is not that of a password: whoever would sign in with one has to find a text that has it.
    """
    named = "\0".join(("google_directory: no password", *(str(values.get(name)) for name in ("external_id", "email"))))
    return hashlib.sha256(named.encode()).hexdigest()[:40]


def _create(entity: str, values: Record) -> WireWrite:
    if entity == MEMBERS:
        return _join(values)
    body = _unit_body(values, is_new=True) if entity == ORG_UNITS else _body(entity, values, is_new=True)
    needed = {USERS: ("email", "given_name", "family_name"), GROUPS: ("email",), ORG_UNITS: ("org_unit_path",)}
    missing = [name for name in needed[entity] if not values.get(name)]
    if missing:
        raise _defect(entity, f"a new record needs {', '.join(missing)}; let the contract require it")
    if entity == USERS:
        body |= {"password": unusable_password(values), "hashFunction": "SHA-1"}
    return WireWrite("POST", list_path(entity), body)


def _join(values: Record) -> WireWrite:
    group, member = values.get("group_email"), values.get("member_email")
    if not isinstance(group, str) or not isinstance(member, str) or not group or not member:
        raise _defect(MEMBERS, "a membership needs group_email and member_email; let the contract require both")
    if values.get("membership_key", f"{group}/{member}") != f"{group}/{member}":
        raise _defect(MEMBERS, "membership_key is group_email and member_email joined by a slash")
    rest = {
        name: value for name, value in values.items() if name not in ("membership_key", "group_email", "member_email")
    }
    return WireWrite("POST", list_path(MEMBERS, group=group), {"email": member, **_body(MEMBERS, rest, is_new=True)})


def _body(entity: str, values: Record, *, is_new: bool = False) -> dict[str, JsonValue]:
    body: dict[str, JsonValue] = {}
    names: dict[str, JsonValue] = {}
    for column, value in values.items():
        if value is None and column not in _CLEARABLE:
            raise _defect(entity, f"field {column} cannot be null; correct the contract")
        if value is None and is_new:
            continue
        if entity == USERS and column in _USER_NAMES:
            names[_USER_NAMES[column]] = value
        elif entity == USERS and column == "external_id":
            body["externalIds"] = None if value is None else [{"type": ORGANIZATION, "value": value}]
        elif column in _NAMES[entity]:
            # A description is text there: empty where there is none.
            body[_NAMES[entity][column]] = "" if value is None and column == "description" else value
        else:
            raise _defect(entity, f"field {column} cannot be sent; correct the contract")
    return {**body, "name": names} if names else body


def _unit_body(values: Record, *, is_new: bool = False) -> dict[str, JsonValue]:
    """The path of a unit is not sent: it is made of the parent's and the name."""
    rest: dict[str, Value] = {name: value for name, value in values.items() if name != "org_unit_path"}
    path = values.get("org_unit_path")
    if path is not None:
        parent, slash, name = str(path).rpartition("/")
        if not slash or not name:
            raise _defect(ORG_UNITS, "the path of a unit begins with a slash and ends with its name")
        told = {"parent_path": parent or "/", "name": name}
        if any(rest.get(column, told[column]) != told[column] for column in told):
            raise _defect(ORG_UNITS, "parent_path and name must be those in org_unit_path; correct the contract")
        rest |= told
    return _body(ORG_UNITS, rest, is_new=is_new)


def _escaped(entity: str, name: str) -> str:
    # "." and ".." survive escaping and would be folded away on the road: another record's path.
    if not name or name in (".", ".."):
        raise _defect(entity, "the target id is blank or a dot and names no record")
    return quote(name, safe=":@")


def _defect(entity: str, text: str) -> StopRun:
    return StopRun("APL_INTERNAL", f"entity {entity}: {text}", entity=entity)

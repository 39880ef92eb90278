"""How a change looks to Apex: one finished write for each record. Pure.

Creates and enrolments stand in a plan one by one; the target puts several of them into one request (`creates`). What
archives a person stands in the body here and goes out as headers, which is how Apex wants it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote, unquote

from pydantic import JsonValue

from shared.errors import StopRun
from shared.ports.wire import ChangeVerb, Record, Value, WireWrite
from systems.apex.fields import (
    ACTIVE,
    CLASSROOM_ID,
    CLASSROOM_NAMES,
    COACH_EMAILS,
    COMPLETED_ON,
    ENROLLMENT_KEY,
    MEMBERSHIP_KEY,
    ORG_ID,
    PEOPLE,
    PRODUCT_CODES,
    ROLE,
    STARTS_ON,
    STATUS,
    TARGET_ID,
    TEACHER_ID,
    USER_ID,
    enrollment_key,
    enrollment_of,
    membership_key,
    membership_of,
)

ARCHIVE_USER: Final = "importUserId"
ARCHIVE_ORG: Final = "orgId"

WriteKind = Literal["create", "update", "archive", "enroll", "withdraw"]


@dataclass(frozen=True)
class Matched:
    """Which of our writes a write of a plan is."""

    kind: WriteKind
    place: str
    """students, staff or classrooms."""
    ids: tuple[str, ...]
    """The ids in its path."""


def build_wire() -> ApexWire:
    """The encoder."""
    return ApexWire()


class ApexWire:
    """See `shared.ports.wire.Wire`."""

    def write_for(self, entity: str, *, verb: ChangeVerb, target_id: str | None, values: Record) -> WireWrite:
        """The one write that makes the given canonical values so; `StopRun` for what Apex has no request for."""
        if entity in PEOPLE:
            return _person_write(entity, verb, target_id, values)
        if entity == "classrooms":
            return _classroom_write(verb, target_id, values)
        if entity == "enrollments":
            return _enrollment_write(verb, target_id, values)
        raise StopRun("APL_INTERNAL", f"apex has no entity {entity}")


def write_at(write: WireWrite) -> Matched | None:
    """Which of our writes this is; None for one that no plan of ours holds."""
    parts = write.path.split("/")
    if parts[0] or any(_is_no_id(part) for part in parts[1:]):
        return None
    place, *ids = parts[1:]
    kind = _kind(write.method, place, ids)
    if kind is None or (write.body is None) != (kind == "withdraw"):
        return None
    if kind in ("enroll", "withdraw"):
        ids = [ids[0], *ids[2:]]
    return Matched(kind, place, tuple(map(unquote, ids)))


def _kind(method: str, place: str, ids: list[str]) -> WriteKind | None:
    match (method, len(ids)):
        case ("POST", 0) if place in PEOPLE or place == "classrooms":
            return "create"
        case ("PUT", 1) if place in PEOPLE or place == "classrooms":
            return "update"
        case ("DELETE", 1) if place in PEOPLE:
            return "archive"
        case ("POST", 2) if place == "classrooms" and ids[1] == "students":
            return "enroll"
        case ("DELETE", 3) if place == "classrooms" and ids[1] == "students":
            return "withdraw"
        case _:
            return None


def _is_no_id(part: str) -> bool:
    return part in ("", ".", "..") or quote(unquote(part), safe="") != part


# --- people -----------------------------------------------------------------------------------------------------------


def _person_write(entity: str, verb: ChangeVerb, target_id: str | None, values: Record) -> WireWrite:
    org_id, user_id = _two(entity, verb, target_id, values, (ORG_ID, USER_ID))
    if target_id is None:
        if values.get(ACTIVE) is False:
            raise _impossible(entity, "somebody new cannot be archived; create them active or not at all")
        ids: dict[str, JsonValue] = {"ImportUserId": user_id, "ImportOrgId": org_id}
        # What is not known is left out: the text "null" would be taken for a value.
        return WireWrite("POST", f"/{entity}", {**ids, **_person_body(entity, values, leaves_out_nothing=False)})
    path = f"/{entity}/{escaped(user_id)}"
    others = _person_body(entity, values, leaves_out_nothing=True)
    if verb == "suspend" or (verb == "update" and values.get(ACTIVE) is False):
        # What else is known of the person comes along with every change; archiving has no place for it.
        return WireWrite("DELETE", path, {ARCHIVE_USER: user_id, ARCHIVE_ORG: org_id})
    if verb == "reactivate" or values.get(ACTIVE) is True:
        others["ImportOrgId"] = org_id
    elif verb == "delete":
        raise _impossible(entity, "people are archived and never deleted; let the removal ladder end at suspend")
    if not others:
        raise _impossible(entity, "there is nothing to set")
    return WireWrite("PUT", path, others)


def _person_body(entity: str, values: Record, *, leaves_out_nothing: bool) -> dict[str, JsonValue]:
    names = {**PEOPLE[entity].names, ROLE: "Role"}
    body: dict[str, JsonValue] = {}
    for name, value in values.items():
        if name in (MEMBERSHIP_KEY, TARGET_ID, USER_ID, ORG_ID, ACTIVE):
            continue
        if name not in names:
            raise _impossible(entity, f"field {name} cannot be sent")
        if value is None and leaves_out_nothing:
            if name == COACH_EMAILS:
                raise _impossible(entity, f"{COACH_EMAILS} cannot be emptied; leave out clear")
            body[names[name]] = ""
        elif value is not None:
            body[names[name]] = _text(value)
    return body


# --- classrooms and who is in them ------------------------------------------------------------------------------------


def _classroom_write(verb: ChangeVerb, target_id: str | None, values: Record) -> WireWrite:
    entity = "classrooms"
    told = values.get(CLASSROOM_ID)
    if verb not in ("create", "update") or (target_id is None) != (verb == "create"):
        raise _impossible(entity, f"there is no request to {verb} one; let the removal ladder end at preserve")
    if target_id is not None and told not in (None, target_id):
        raise _impossible(entity, f"{CLASSROOM_ID} tells the record and cannot be changed")
    body: dict[str, JsonValue] = {}
    for name, value in values.items():
        if name in (CLASSROOM_ID, TARGET_ID) or (value is None and verb == "create"):
            continue
        if name == TEACHER_ID and value is not None:
            body["ImportUserId"] = _text(value)
            if verb == "update":
                body["IsPrimary"] = "true"
        elif name not in CLASSROOM_NAMES or value is None:
            raise _impossible(entity, f"field {name} cannot be {'emptied' if value is None else 'sent'}")
        else:
            body[CLASSROOM_NAMES[name]] = _classroom_value(name, value)
    if not body:
        raise _impossible(entity, "there is nothing to set")
    if target_id is not None:
        return WireWrite("PUT", f"/{entity}/{escaped(target_id)}", body)
    if not isinstance(told, str) or not told:
        raise _impossible(entity, f"{CLASSROOM_ID} is missing")
    return WireWrite("POST", f"/{entity}", {"ImportClassroomId": told, **body})


def _classroom_value(name: str, value: Value) -> JsonValue:
    text = _text(value)
    if name == PRODUCT_CODES:
        return [code.strip() for code in text.split(",") if code.strip()]
    return text.replace("-", "/") if name == STARTS_ON else text


def _enrollment_write(verb: ChangeVerb, target_id: str | None, values: Record) -> WireWrite:
    entity = "enrollments"
    if (target_id is None) != (verb == "create") or verb not in ("create", "delete"):
        raise _impossible(entity, "an enrolment begins and ends, and nothing of it can be changed")
    classroom_id, user_id = _two(entity, verb, target_id, values, (CLASSROOM_ID, USER_ID))
    path = f"/classrooms/{escaped(classroom_id)}/students"
    if verb == "delete":
        return WireWrite("DELETE", f"{path}/{escaped(user_id)}", None)
    org_id = values.get(ORG_ID)
    if not isinstance(org_id, str) or not org_id:
        raise _impossible(entity, f"{ORG_ID} is missing")
    unsent = [name for name in (STATUS, COMPLETED_ON) if values.get(name) is not None]
    if values.get(STATUS) == "Active":
        unsent.remove(STATUS)  # which every new enrolment is
    if unsent:
        raise _impossible(entity, f"field {unsent[0]} cannot be sent")
    return WireWrite("POST", path, {"ImportUserId": user_id, "ImportOrgId": org_id})


# --- parts ------------------------------------------------------------------------------------------------------------


def _two(
    entity: str, verb: ChangeVerb, target_id: str | None, values: Record, names: tuple[str, str]
) -> tuple[str, str]:
    """The two ids of a record: by its target id, or of a new one by its fields, with which its key must agree."""
    is_person = entity in PEOPLE
    key_name = MEMBERSHIP_KEY if is_person else ENROLLMENT_KEY
    if target_id is not None:
        found = membership_of(target_id) if is_person else enrollment_of(target_id)
        if found is None:
            raise _impossible(entity, "the target id is not made of two ids")
        if verb == "create":
            raise _impossible(entity, "a new record has no target id")
        told: Mapping[str, Value] = {key_name: target_id, names[0]: found[0], names[1]: found[1]}
        for name, value in told.items():
            if values.get(name) not in (None, value):
                raise _impossible(entity, f"{name} tells the record and cannot be changed")
        return found
    if verb != "create":
        raise _impossible(entity, f"{verb} needs a target id")
    first, second = values.get(names[0]), values.get(names[1])
    if not isinstance(first, str) or not isinstance(second, str) or not first or not second:
        raise _impossible(entity, f"{names[0]} and {names[1]} are needed")
    key = membership_key(first, second) if is_person else enrollment_key(first, second)
    if values.get(key_name) not in (None, key):
        raise _impossible(entity, f"{key_name} is not {names[0]} and {names[1]} joined by a slash")
    return first, second


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def escaped(text: str) -> str:
    """An id as it stands in a path; `StopRun` for one that would lead elsewhere."""
    # "." and ".." survive escaping and would be folded away on the road: another record's path.
    if text in ("", ".", ".."):
        raise StopRun("APL_INTERNAL", "an id is blank or a dot and names no record")
    return quote(text, safe="")


def _impossible(entity: str, text: str) -> StopRun:
    return StopRun("APL_INTERNAL", f"entity {entity}: {text}; correct the contract")

"""How TitanHST's records look on the wire, both ways. Pure: values in, values out.

`TitanhstWire` makes the one write of a change; `rows_of` and `record_of` read what the other side sends. Fields that
are new to us are counted, never refused; a field that is missing or of another type is refused with its JSON pointer
and never with its value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from shared.errors import StopRun
from shared.ports.wire import ChangeVerb, Record, Value, WireWrite
from systems.titanhst.config import EntityDescription, FieldDescription, HttpDescription, description

_TYPES: Mapping[str, type] = {"text": str, "boolean": bool, "integer": int}
_ALLOWED = {
    (kind, nullable): {known, type(None)} if nullable else {known}
    for kind, known in _TYPES.items()
    for nullable in (True, False)
}
"""The types that the values of a field may have, by its kind and whether null is one of them."""

Json = object
"""A decoded JSON value."""


class WrongShape(Exception):
    """An answer is not of the described shape; the client gives it the code of its use."""

    def __init__(self, pointer: str, text: str) -> None:
        self.pointer = pointer
        self.text = text
        super().__init__(f"{pointer or '/'}: {text}")


@dataclass(frozen=True)
class Rows:
    """The records of one page."""

    columns: Mapping[str, list[Value]]
    """The values of each described field, by its canonical name and in the order of the description."""
    length: int
    """Records on the page."""
    total: int
    """What the other side says there are in all."""
    unknown_fields: Mapping[str, int]
    """Names that the description does not hold, and how often they came."""


def build_wire() -> TitanhstWire:
    """The encoder of writes."""
    return TitanhstWire(description())


class TitanhstWire:
    """How a change of a contact looks on the wire; see `shared.ports.wire.Wire`."""

    def __init__(self, http: HttpDescription) -> None:
        self._http = http

    def write_for(self, entity: str, *, verb: ChangeVerb, target_id: str | None, values: Record) -> WireWrite:
        """The one write that makes the given canonical values so."""
        described = entity_of(self._http, entity)
        if (target_id is None) != (verb == "create"):
            raise StopRun(
                "APL_INTERNAL", f"entity {entity}: {verb} {'needs a' if target_id is None else 'takes no'} target id"
            )
        base = self._http.base_path
        match verb:
            case "create":
                return WireWrite("POST", base + _path(described.create, entity), _body(described, values, entity))
            case "delete":
                return WireWrite("DELETE", base + _path(described.delete, entity, id=target_id), None)
            case "suspend":
                values = {**values, **described.suspend}
            case "reactivate":
                values = {**values, **described.reactivate}
            case "update":
                pass
        if described.update is None or not values:
            raise StopRun("APL_INTERNAL", f"entity {entity}: {verb} has nothing to send or cannot be done here")
        path = base + _path(described.update.path, entity, id=target_id)
        return WireWrite(described.update.method, path, _body(described, values, entity))


def entity_of(http: HttpDescription, entity: str) -> EntityDescription:
    """The entity's description; `StopRun` for an unknown one."""
    try:
        return http.entities[entity]
    except KeyError:
        known = ", ".join(sorted(http.entities))
        raise StopRun("SRC_CONFIG", f"entity {entity}: is not known to titanhst; there are: {known}") from None


def path_by_id(http: HttpDescription, entity: str, target_id: str) -> str:
    """Where one record lies, by the other side's id."""
    return http.base_path + _path(entity_of(http, entity).by_id, entity, id=target_id)


def path_by_key(http: HttpDescription, entity: str, key: str) -> str:
    """Where one record lies, by our key."""
    return http.base_path + _path(entity_of(http, entity).by_key, entity, key=key)


def rows_of(body: Json, *, http: HttpDescription, entity: str) -> Rows:
    """The records of one page as rows; `WrongShape` with the JSON pointer of what is not as described."""
    described = entity_of(http, entity)
    total = at(body, http.paging.total)
    if type(total) is not int or total < 0:
        raise WrongShape(http.paging.total, "is no number of records")
    items = at(body, http.paging.items)
    if not isinstance(items, list):
        raise WrongShape(http.paging.items, "is no list")
    columns = _columns(items, described)
    unknown: dict[str, int] = {}
    if columns is None:
        # Something is not as described: row by row, to say what and where.
        rows = [_row(item, described, pointer=f"{http.paging.items}/{index}") for index, item in enumerate(items)]
        columns = {name: [row[place] for row in rows] for place, name in enumerate(described.fields)}
    if sum(map(len, items)) != len(items) * len(described.known_names):
        for item in items:
            for name in item.keys() - described.known_names:
                unknown[name] = unknown.get(name, 0) + 1
    return Rows(columns=columns, length=len(items), total=total, unknown_fields=unknown)


def record_of(body: Json, *, http: HttpDescription, entity: str) -> dict[str, Value]:
    """One record by canonical names; `WrongShape` as in `rows_of`."""
    described = entity_of(http, entity)
    return dict(zip(described.fields, _row(body, described, pointer=""), strict=True))


def at(body: Json, pointer: str) -> Json:
    """What a JSON pointer points to; `WrongShape` when it points to nothing."""
    found = body
    for part in pointer.split("/")[1:]:
        if not isinstance(found, dict) or part not in found:
            raise WrongShape(pointer, "is missing")
        found = found[part]
    return found


def refused_fields(body: Json, *, http: HttpDescription, entity: str) -> Sequence[str]:
    """Names of the fields an error answer complains about: only names we know, so that no value slips through."""
    try:
        errors = at(body, http.error.fields)
    except WrongShape:
        return ()
    known = {field.wire for field in entity_of(http, entity).fields.values()}
    return sorted(name for name in errors if name in known) if isinstance(errors, dict) else ()


def entity_at(http: HttpDescription, path: str) -> str | None:
    """The entity whose paths begin as `path` does; None for a path that could lead anywhere else."""
    if "?" in path or "#" in path or any(part in (".", "..") for part in path.split("/")):
        return None
    for name, described in http.entities.items():
        place = http.base_path + described.list
        if path == place or path.startswith(place + "/"):
            return name
    return None


def _columns(items: Sequence[object], described: EntityDescription) -> dict[str, list[Value]] | None:
    """The records turned into columns at once; None when any of them is not as described."""
    columns: dict[str, list[Value]] = {}
    try:
        for name, field in described.fields.items():
            columns[name] = values = [item[field.wire] for item in items]  # type: ignore[index] # what is no object raises
            if not set(map(type, values)) <= _ALLOWED[field.kind, field.nullable]:
                return None
    except (KeyError, TypeError, IndexError):
        return None
    return columns if set(map(type, items)) <= {dict} else None


def _row(item: Json, described: EntityDescription, *, pointer: str) -> tuple[Value, ...]:
    if not isinstance(item, dict):
        raise WrongShape(pointer, "is no record")
    return tuple(_value(item, field, pointer=pointer) for field in described.fields.values())


def _value(item: dict[str, Value], field: FieldDescription, *, pointer: str) -> Value:
    place = f"{pointer}/{field.wire}"
    if field.wire not in item:
        raise WrongShape(place, "is missing")
    value = item[field.wire]
    if value is None:
        if not field.nullable:
            raise WrongShape(place, "is null, and may not be")
        return None
    if type(value) is not _TYPES[field.kind]:
        raise WrongShape(place, f"is no {field.kind} but a {type(value).__name__}")
    return value


def _path(template: str | None, entity: str, **parts: str | None) -> str:
    if template is None:
        raise StopRun("APL_INTERNAL", f"entity {entity}: the interface has no such request")
    for name, value in parts.items():
        # "." and ".." survive escaping and would be folded away on the road: another record's path.
        if not value or value in (".", ".."):
            raise StopRun("APL_INTERNAL", f"entity {entity}: {name} is blank or a dot and names no record")
        template = template.replace("{" + name + "}", quote(value, safe=""))
    return template


def _body(described: EntityDescription, values: Record, entity: str) -> dict[str, Value]:
    body: dict[str, Value] = {}
    for name, value in values.items():
        field = described.fields.get(name)
        if field is None or field.read_only:
            raise StopRun("APL_INTERNAL", f"entity {entity}: field {name} cannot be sent; correct the contract")
        if value is None and not field.nullable:
            raise StopRun("APL_INTERNAL", f"entity {entity}: field {name} cannot be null; correct the contract")
        body[field.wire] = value
    return body

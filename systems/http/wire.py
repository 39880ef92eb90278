"""How records look on the wire, both ways, as an interface document describes them. Pure: values in, values out.

`HttpWire` makes the one write of a change; `page_of` and `record_of` read what the other side sends. Fields that are
new to us are counted, never refused; a field that is missing or of another type is refused with its JSON pointer and
never with its value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, urlsplit

from pydantic import JsonValue

from shared.errors import StopRun
from shared.http import rows
from shared.http.shape import Json, WrongShape, at
from shared.ports.wire import ChangeVerb, Record, Value, WireWrite
from systems.http.description import HttpInterface
from systems.http.entities import HttpEntity
from systems.http.places import place_of, put

_SEGMENT = "[^/?#]+"


@dataclass(frozen=True)
class PageRows:
    """The records of one page."""

    rows: rows.Rows
    total: int | None
    """What the answer's body says there are in all; None where it tells none."""

    @property
    def length(self) -> int:
        """Records on the page."""
        return self.rows.length

    @property
    def unknown_fields(self) -> Mapping[str, int]:
        """Names that the description does not hold, and how often they came."""
        return self.rows.unknown_fields


@dataclass(frozen=True)
class Matched:
    """Which request of the description a write is."""

    entity: str
    verbs: tuple[ChangeVerb, ...]
    """What it may be; the first one is what an answer is read as."""
    is_batch: bool = False


class HttpWire:
    """How a change of a record looks on the wire; see `shared.ports.wire.Wire`."""

    def __init__(self, http: HttpInterface, *, name: str) -> None:
        self._http = http
        self._name = name

    def write_for(self, entity: str, *, verb: ChangeVerb, target_id: str | None, values: Record) -> WireWrite:
        """The one write that makes the given canonical values so.

        A write that goes into a batch stands here as a batch of its own: the target joins several.
        """
        described = entity_of(self._http, entity, system=self._name)
        if (target_id is None) != (verb == "create"):
            raise StopRun(
                "APL_INTERNAL", f"entity {entity}: {verb} {'needs a' if target_id is None else 'takes no'} target id"
            )
        base = self._http.base_path
        if (own := described.own_request(verb)) is not None:
            if values.keys() - set(described.companions):
                raise StopRun(
                    "APL_INTERNAL",
                    f"entity {entity}: {verb} has a request of its own, which carries no fields; change them by update",
                )
            return WireWrite(own.method, base + _path(own.path, entity, id=target_id), own.body)
        if verb == "delete":
            if described.delete is None:
                raise _cannot(entity, verb)
            return WireWrite(described.delete.method, base + _path(described.delete.path, entity, id=target_id), None)
        values = {**values, **(described.suspend if verb == "suspend" else {})}
        values = {**values, **(described.reactivate if verb == "reactivate" else {})}
        batch = described.in_batch(verb)
        if verb == "create":
            if batch is None and described.create is None:
                raise _cannot(entity, verb)
            body = _body(described, values, entity, is_whole=True)
            path = described.create if batch is None else batch.path
            return WireWrite("POST", base + _path(path, entity), body)
        update = described.update
        if (update is None and batch is None) or not values:
            raise _cannot(entity, verb)
        _require_companions(described, values, entity)
        body = _body(described, values, entity, is_whole=update is not None and update.method == "PUT")
        if batch is not None:
            _identify(described, body, by=batch.identified_by, target_id=target_id, entity=entity)
            return WireWrite("POST", base + batch.path, body)
        assert update is not None, "no batch, so it was asked for above"  # noqa: S101 - own invariant
        return WireWrite(update.method, base + _path(update.path, entity, id=target_id), body)


def entity_of(http: HttpInterface, entity: str, *, system: str = "this system") -> HttpEntity:
    """The entity's description; `StopRun` for an unknown one."""
    try:
        return http.entities[entity]
    except KeyError:
        known = ", ".join(sorted(http.entities))
        raise StopRun("SRC_CONFIG", f"entity {entity}: is not known to {system}; there are: {known}") from None


def path_by_id(http: HttpInterface, entity: str, target_id: str) -> str:
    """Where one record lies, by the other side's id."""
    asked = entity_of(http, entity).by_id
    return http.base_path + _path(asked.path if asked is not None else None, entity, id=target_id)


def path_by_key(http: HttpInterface, entity: str, key: str) -> str:
    """Where one record lies, by our key; its query is `ListRequest.query`'s matter."""
    asked = entity_of(http, entity).by_key
    if asked is not None and "{key}" not in asked.path:
        return http.base_path + asked.path
    return http.base_path + _path(asked.path if asked is not None else None, entity, key=key)


def page_of(body: Json, *, http: HttpInterface, entity: str) -> PageRows:
    """The records of one page; `WrongShape` with the JSON pointer of what is not as described."""
    described = entity_of(http, entity)
    paging = http.paging_of(described)
    total: int | None = None
    if paging.total is not None:
        found = at(body, paging.total)
        if type(found) is not int or found < 0:
            raise WrongShape(paging.total, "is no number of records")
        total = found
    items = at(body, paging.items)
    return PageRows(
        rows.rows_of(items, described.shapes, pointer=paging.items, ignored=described.known_names), total=total
    )


def record_of(body: Json, *, http: HttpInterface, entity: str, pointer: str | None = None) -> dict[str, Value]:
    """One record by canonical names, from where such answers hold it or from `pointer`; `WrongShape` as above."""
    described = entity_of(http, entity)
    pointer = http.record_of(described) if pointer is None else pointer
    return rows.record_of(at(body, pointer), described.shapes, pointer=pointer)


def id_in(body: Json, *, http: HttpInterface, entity: str, pointer: str) -> str:
    """The other side's id of one record, from where it stands alone; `WrongShape` when it is none."""
    described = entity_of(http, entity)
    found = at(body, pointer)
    if described.id is not None and described.fields[described.id].as_number and type(found) is int:
        return str(found)
    if not isinstance(found, str):
        raise WrongShape(pointer, "is no id")
    return found


def refused_fields(body: Json, *, http: HttpInterface, entity: str) -> Sequence[str]:
    """Names of the fields an error answer complains about: only names we know, so that no value slips through."""
    if http.error.fields is None or entity not in http.entities:
        return ()
    try:
        errors = at(body, http.error.fields)
    except WrongShape:
        return ()
    known = {part for field in http.entities[entity].fields.values() for part in field.place.objects}
    if isinstance(errors, dict | list):
        return sorted({name for name in errors if isinstance(name, str) and name in known})
    return ()


def entity_at(http: HttpInterface, path: str) -> str | None:
    """The entity to which a path of the description belongs; None for a path that could lead anywhere else."""
    return next((entity for _, pattern, entity in _paths(http) if pattern.fullmatch(path) and _is_straight(path)), None)


def write_at(http: HttpInterface, write: WireWrite) -> Matched | None:
    """Which write of the description this is; None for one that is none, which is never sent."""
    if not _is_straight(write.path):
        return None
    for method, pattern, matched in _writes(http):
        if method == write.method and pattern.fullmatch(write.path):
            return matched
    return None


def _is_straight(path: str) -> bool:
    parts = urlsplit(path)
    if parts.scheme or parts.netloc or "?" in path or "#" in path:
        return False
    return not any(part in (".", "..") for part in path.split("/"))


@lru_cache(maxsize=200)
def _compiled(template: str) -> re.Pattern[str]:
    return re.compile(_SEGMENT.join(re.escape(part) for part in re.split(r"\{[a-z]+\}", template)))


def _paths(http: HttpInterface) -> list[tuple[str, re.Pattern[str], str]]:
    found: list[tuple[str, re.Pattern[str], str]] = []
    for name, entity in http.entities.items():
        asked = [one.path for one in (entity.list, entity.by_id, entity.by_key) if one is not None]
        templates = [*asked, *(path for _, path in entity.templates())]
        found.extend(("", _compiled(http.base_path + template), name) for template in templates)
    return found


def _writes(http: HttpInterface) -> list[tuple[str, re.Pattern[str], Matched]]:
    found: list[tuple[str, re.Pattern[str], Matched]] = []
    for name, entity in http.entities.items():
        if entity.batch is not None:
            # Before the others: `/contacts/batch` would do for `/contacts/{id}` too.
            found.append(
                ("POST", _compiled(http.base_path + entity.batch.path), Matched(name, tuple(entity.batch.verbs), True))
            )
        for (method, template), verbs in entity.templates().items():
            found.append((method, _compiled(http.base_path + template), Matched(name, verbs)))
    return found


def filled(template: str, target_id: str) -> str:
    """A path with its id."""
    return template.replace("{id}", quote(target_id, safe=""))


def _path(template: str | None, entity: str, **parts: str | None) -> str:
    if template is None:
        raise StopRun("APL_INTERNAL", f"entity {entity}: the interface has no such request")
    for name, value in parts.items():
        # "." and ".." survive escaping and would be folded away on the road: another record's path.
        if not value or value in (".", ".."):
            raise StopRun("APL_INTERNAL", f"entity {entity}: {name} is blank or a dot and names no record")
        template = template.replace("{" + name + "}", quote(value, safe=""))
    return template


def _require_companions(described: HttpEntity, values: Record, entity: str) -> None:
    """Refuse a change that would empty what it leaves out: all by PUT, else what shares a list or object with it."""
    if described.update is not None and described.update.method == "PUT":
        needed = set(described.companions)
    else:
        touched = {described.fields[name].place.objects[0] for name in values if name in described.fields}
        needed = {name for name in described.companions if described.fields[name].place.objects[0] in touched}
    missing = [name for name in described.companions if name in needed and name not in values]
    if missing:
        raise StopRun(
            "APL_INTERNAL",
            f"entity {entity}: a change must send {', '.join(missing)} too, or the target empties them; "
            "let the contract write them (write_companions of the manifest)",
        )


def _identify(
    described: HttpEntity, body: dict[str, JsonValue], *, by: str, target_id: str | None, entity: str
) -> None:
    """See that an item of a batch says which record it changes."""
    name = described.key if by == "key" else described.id
    assert name is not None, "a description with a batch names it"  # noqa: S101 - checked at its loading
    field = described.fields[name]
    if by == "id" and target_id is not None:
        put(body, field.place, int(target_id) if field.as_number else target_id, item={})
    elif field.place.objects[0] not in body:
        raise StopRun(
            "APL_INTERNAL",
            f"entity {entity}: a change must send {name} too, by which the batch finds the record; "
            "let the contract write it (write_companions of the manifest)",
        )


def _body(described: HttpEntity, values: Record, entity: str, *, is_whole: bool) -> dict[str, JsonValue]:
    body: dict[str, JsonValue] = {}
    for name, value in values.items():
        field = described.fields.get(name)
        if field is None or field.read_only:
            raise StopRun("APL_INTERNAL", f"entity {entity}: field {name} cannot be sent; correct the contract")
        try:
            put(body, field.place, field.sent(value), item=field.item)
        except ValueError as wrong:
            raise StopRun("APL_INTERNAL", f"entity {entity}: field {name} {wrong}; correct the contract") from None
    if is_whole:
        for text, constant in described.constants.items():
            put(body, place_of(text), constant, item={})
    return body


def _cannot(entity: str, verb: ChangeVerb) -> StopRun:
    return StopRun("APL_INTERNAL", f"entity {entity}: {verb} has nothing to send or cannot be done here")

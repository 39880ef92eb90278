"""A change as one row to add, to set or to take out: its verb, the file's entity, the key and the values. Pure.

    ADD     /staff                {"staff_id": "E1", "last_name": …}
    SET     /staff/E1             {"mobile": "…"}
    REMOVE  /staff/E1             null

Values stand under the names of our fields, as canonical values: how a connection's file spells its headers and writes
its dates is settled when the row is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from shared.errors import StopRun
from shared.ports.wire import Body, ChangeVerb, Record, Value, WireWrite
from systems.files.description import TARGET_ID, FileEntity, FilesInterface

Verb = Literal["ADD", "SET", "REMOVE"]


@dataclass(frozen=True)
class RowChange:
    """A write, taken apart."""

    entity: str
    verb: Verb
    key: str | None
    """The row's; None for one that is added."""
    values: Record


class FilesWire:
    """How a change of a file looks; see `shared.ports.wire.Wire`."""

    def __init__(self, files: FilesInterface) -> None:
        self._files = files

    def write_for(self, entity: str, *, verb: ChangeVerb, target_id: str | None, values: Record) -> WireWrite:
        """The one write that makes the given canonical values so."""
        described = entity_of(self._files, entity, code="APL_CONFIG")
        if described.write is None:
            raise StopRun("APL_CONFIG", f"entity {entity}: is only read; its interface document has no write clause")
        if (target_id is None) != (verb == "create"):
            raise StopRun("APL_INTERNAL", f"entity {entity}: {verb} and its target id do not fit together")
        if target_id is None:
            return WireWrite("ADD", f"/{entity}", _body(entity, described, values, is_whole=True))
        path = f"/{entity}/{_escaped(entity, target_id)}"
        if verb == "delete":
            return WireWrite("REMOVE", path, None)
        if verb in ("suspend", "reactivate"):
            flags = described.write.suspend if verb == "suspend" else described.write.reactivate
            if not flags:
                raise StopRun("APL_CONFIG", f"entity {entity}: cannot {verb}; the file has no column for it")
            values = {**values, **flags}
        return WireWrite("SET", path, _body(entity, described, values, is_whole=False))


def entity_of(files: FilesInterface, entity: str, *, code: str) -> FileEntity:
    """What the document says of an entity; `StopRun` with that code for an unknown one."""
    try:
        return files.entities[entity]
    except KeyError:
        raise StopRun(code, f"entity {entity}: is not described; there are: {', '.join(files.entities)}") from None


def change_of(files: FilesInterface, write: WireWrite) -> RowChange:
    """What a write wants; `StopRun` for one that this wire never made."""
    parts = write.path.split("/")
    described = files.entities.get(parts[1]) if len(parts) in (2, 3) and parts[0] == "" else None
    if (
        described is None
        or described.write is None
        or write.method not in ("ADD", "SET", "REMOVE")
        or (len(parts) == 2) != (write.method == "ADD")
        or (write.body is None) != (write.method == "REMOVE")
    ):
        raise StopRun("APL_INTERNAL", f"{write.method} of a plan is no write of this system; nothing was written")
    key = parts[2].replace("%2F", "/").replace("%25", "%") if len(parts) == 3 else None
    return RowChange(parts[1], cast(Verb, write.method), key, _values(parts[1], described, write.body))


def joined_key(described: FileEntity, field: str, values: Record) -> str | None:
    """A column that is made of others; None where one of them is blank."""
    texts = [values.get(part) for part in described.fields[field].parts]
    return None if any(text is None for text in texts) else "/".join(str(text) for text in texts)


def _escaped(entity: str, target_id: str) -> str:
    if not target_id:
        raise StopRun("APL_INTERNAL", f"entity {entity}: the target id is blank and names no row")
    return target_id.replace("%", "%25").replace("/", "%2F")


def _values(entity: str, described: FileEntity, body: Body | None) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for name, value in (body or {}).items():
        if name not in described.fields or described.fields[name].parts or isinstance(value, list | dict):
            raise StopRun("APL_INTERNAL", f"entity {entity}: the plan sets what is no field; nothing was written")
        values[name] = value
    return values


def _body(entity: str, described: FileEntity, values: Record, *, is_whole: bool) -> dict[str, Value]:
    body = {
        name: value
        for name, value in values.items()
        if name not in described.fields or not described.fields[name].parts
    }
    for name in body:
        if name == TARGET_ID or name not in described.fields:
            raise StopRun("APL_INTERNAL", f"entity {entity}: field {name} cannot be written; correct the contract")
    own = described.fields[described.key].parts or (described.key,)
    if is_whole and any(body.get(name) in (None, "") for name in own):
        raise StopRun("APL_INTERNAL", f"entity {entity}: a new row needs {', '.join(own)}; correct the contract")
    for name in [name for name in values if name not in body]:
        given = [part for part in described.fields[name].parts if part in body]
        is_all = len(given) == len(described.fields[name].parts)
        if not given or (is_all and values[name] != joined_key(described, name, body)):
            raise StopRun(
                "APL_INTERNAL",
                f"entity {entity}: field {name} must be made of {', '.join(described.fields[name].parts)}, joined by /",
            )
    if not body:
        raise StopRun("APL_INTERNAL", f"entity {entity}: there is nothing to set")
    return body

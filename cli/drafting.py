"""The files of a new connector: a small draft that is valid as it stands, to be written on by a person.

Pure. It takes over what source and target call by the same name, and lists as comments what it leaves to a person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cli.problem import EXIT_USAGE, CommandFailed

Columns = Mapping[tuple[str, str], Sequence[str]]
TARGET_ID = "target_id"
ALIAS = "row"


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftWish:
    """What is known of a connector before it is written."""

    name: str
    source: str
    """`system:entity`."""
    target: str
    """`system:entity`."""
    key: str
    """`field=column`: the target's field that identifies a record, and the source's column that gives it."""


def draft_files(wish: DraftWish, columns: Columns) -> dict[str, str]:
    """The draft's files by their names in its folder; `CommandFailed` for what the systems do not have."""
    source_system, source_entity, given = _entity(wish.source, columns, option="--from")
    target_system, target_entity, fields = _entity(wish.target, columns, option="--to")
    if TARGET_ID not in fields:
        raise _wrong("--to", f"{wish.target} cannot be written", "choose an entity of a target")
    key, separator, key_column = wish.key.partition("=")
    if not separator:
        raise _wrong("--key", f"{wish.key!r} is not of the form FIELD=COLUMN", "such as external_id=employee_id")
    writable = [name for name in fields if name != TARGET_ID]
    if key not in writable:
        raise _wrong("--key", f"{wish.target} has no field {key!r}", f"the fields are {', '.join(writable)}")
    if key_column not in given:
        raise _wrong("--key", f"{wish.source} has no column {key_column!r}", f"the columns are {', '.join(given)}")
    shared = [name for name in writable if name in given and name != key]
    return {
        "connector.yaml": _definition(
            wish,
            source=(source_system, source_entity),
            target=(target_system, target_entity),
            key=(key, key_column),
            shared=shared,
            left=[name for name in writable if name != key and name not in shared],
            unused=[name for name in given if name != key_column and name not in shared],
        ),
        "examples/first.yaml": _example(target_entity, key=(key, key_column), shared=shared),
    }


def _definition(
    wish: DraftWish,
    *,
    source: tuple[str, str],
    target: tuple[str, str],
    key: tuple[str, str],
    shared: Sequence[str],
    left: Sequence[str],
    unused: Sequence[str],
) -> str:
    lines = [
        "# A draft: it can be run dry. Say of every field where it comes from; then `aether connector test`.",
        "schema_version: 1",
        f"name: {wish.name}",
        "version: 0.1.0",
        f"title: {source[1]} of {source[0]} to {target[1]} of {target[0]}",
        "lifecycle: draft",
        "",
        f"target: {{system: {target[0]}, connection: {_connection(target[0])}}}",
        "",
        "sources:",
        f"  {ALIAS}: {{system: {source[0]}, connection: {_connection(source[0])}, entity: {source[1]}}}",
        "",
        "entities:",
        f"  {target[1]}:",
        f"    from: {{source: {ALIAS}}}",
        f"    key: {key[0]}",
        "    fields:",
        f"      {key[0]}: {{from: [{ALIAS}.{key[1]}], steps: [trim], required: true, pii: identifier}}",
        # Personal until somebody says otherwise: what is masked by mistake does no harm.
        *(f"      {name}: {{from: [{ALIAS}.{name}], steps: [trim], pii: demographic}}" for name in shared),
    ]
    if left:
        lines.append(f"      # Fields of {target[1]} without a source of the same name: {', '.join(left)}")
    if unused:
        lines.append(f"      # Columns of {source[1]} that no field uses: {', '.join(unused)}")
    return "\n".join(lines) + "\n"


def _example(entity: str, *, key: tuple[str, str], shared: Sequence[str]) -> str:
    others = "".join(f", {name}: null" for name in shared)
    return (
        "title: A record with nothing but its key, and a row without one\n"
        f"entity: {entity}\n"
        "sources:\n"
        f"  {ALIAS}:\n"
        f'    - {{{key[1]}: "A1"}}\n'
        f'    - {{{key[1]}: " "}}\n'
        "records:\n"
        f'  - {{key: "A1", {key[0]}: "A1"{others}}}\n'
        "quarantined:\n"
        f"  - {{key: null, source: {ALIAS}, field: {key[0]}, code: NRM_MISSING_KEY, value_class: blank, rule: key}}\n"
        "out_of_scope: 0\n"
    )


def _connection(system: str) -> str:
    return system.replace("_", "-")


def _entity(text: str, columns: Columns, *, option: str) -> tuple[str, str, Sequence[str]]:
    system, _, entity = text.partition(":")
    if (system, entity) in columns:
        return system, entity, columns[system, entity]
    known = ", ".join(sorted(f"{system}:{entity}" for system, entity in columns)) or "none"
    raise _wrong(option, f"no installed system has {text!r}", f"write system:entity; there are: {known}")


def _wrong(option: str, what: str, fix: str) -> CommandFailed:
    return CommandFailed(f"{option}: {what}", action=f"{fix[:1].upper()}{fix[1:]}.", exit_code=EXIT_USAGE)

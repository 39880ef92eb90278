"""What changed from one release of a connector to another, in sentences for the person who approves it.

Pure. The definitions are compared part by part as the model writes them out, defaults included, so no clause can change
unsaid, not even one that is added to the language later. Tables, transforms and protected records are told by name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from shared.contract.connector import Connector, written_protected
from shared.contract.positions import Path

NAMED_MAX = 20
"""Ids of a table, or entries of a list, that one sentence names; the count says how many there are."""
_NO_VALUE = "nothing"


def differences(old: Connector, new: Connector) -> tuple[str, ...]:
    """One sentence for each difference, in the order of the language; empty for releases of the same meaning."""
    before, after = (each.definition.model_dump(mode="json", by_alias=True) for each in (old, new))
    return (
        *_changes(before, after, ()),
        *_orders(old, new),
        *_tables(old, new),
        *_transforms(old, new),
        *_protected(old, new),
    )


def _changes(before: Any, after: Any, path: Path) -> Iterator[str]:
    """What differs between two parts of a definition that stand at the same place."""
    match before, after:
        case dict(), dict():
            for name in dict.fromkeys((*before, *after)):
                if name not in after:
                    yield f"{_place((*path, name))} is gone; it was {_shown(before[name])}"
                elif name not in before:
                    yield f"{_place((*path, name))} is new: {_shown(after[name])}"
                else:
                    yield from _changes(before[name], after[name], (*path, name))
        case list(), list() if any(isinstance(part, dict) for part in (*before, *after)):
            yield from _listed_changes(before, after, path)
        case _ if not _is_same(before, after):
            yield f"{_place(path)}: {_shown(before)} → {_shown(after)}"
        case _:
            return


def _listed_changes(before: list[Any], after: list[Any], path: Path) -> Iterator[str]:
    """What differs between two lists of clauses, which are numbered from 1."""
    for place in range(max(len(before), len(after))):
        numbered = (*path, place + 1)
        if place >= len(after):
            yield f"{_place(numbered)} is gone; it was {_shown(before[place])}"
        elif place >= len(before):
            yield f"{_place(numbered)} is new: {_shown(after[place])}"
        else:
            yield from _changes(before[place], after[place], numbered)


def _orders(old: Connector, new: Connector) -> Iterator[str]:
    """The order of fields is that of a snapshot's columns; that of all else with names means nothing."""
    for entity, contract in new.definition.entities.items():
        earlier = old.definition.entities.get(entity)
        if earlier is None:
            continue
        before = [name for name in earlier.fields if name in contract.fields]
        after = [name for name in contract.fields if name in earlier.fields]
        if before != after:
            yield f"{entity}: the order of the fields is now {', '.join(contract.fields)}"


def _tables(old: Connector, new: Connector) -> Iterator[str]:
    for name in sorted(old.tables.keys() | new.tables.keys()):
        if name not in new.tables:
            yield f"table {name} is gone; it had {len(old.tables[name].entries)} ids"
        elif name not in old.tables:
            yield f"table {name} is new, with {len(new.tables[name].entries)} ids"
        else:
            yield from _entries(f"table {name}", old.tables[name].entries, new.tables[name].entries)


def _entries(what: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    added = [f"{raw_id} → {code}" for raw_id, code in after.items() if raw_id not in before]
    removed = [f"{raw_id} (was {code})" for raw_id, code in before.items() if raw_id not in after]
    changed = [
        f"{raw_id}: {before[raw_id]} → {code}"
        for raw_id, code in after.items()
        if raw_id in before and before[raw_id] != code
    ]
    for verb, entries in (("added", added), ("removed", removed), ("changed", changed)):
        if entries:
            yield f"{what}: {len(entries)} {_ids(entries)} {verb}: {_named(entries)}"


def _transforms(old: Connector, new: Connector) -> Iterator[str]:
    for name in sorted(old.transforms.keys() | new.transforms.keys()):
        before, after = old.transforms.get(name), new.transforms.get(name)
        if after is None:
            yield f"transform {name} is used no longer"
        elif before is None:
            yield f"transform {name} is used now, version {after.version}"
        elif before.sha256 != after.sha256:
            yield f"transform {name}: version {before.version} → {after.version}, its text changed"


def _protected(old: Connector, new: Connector) -> Iterator[str]:
    before, after = written_protected(old.protected), written_protected(new.protected)
    for entity in sorted(before.keys() | after.keys()):
        earlier, later = ([_shown(entry) for entry in side.get(entity, ())] for side in (before, after))
        added = [entry for entry in later if entry not in earlier]
        removed = [entry for entry in earlier if entry not in later]
        for verb, entries in (("protected now", added), ("protected no longer", removed)):
            if entries:
                yield f"{entity}: {len(entries)} {verb}: {_named(entries)}"
        if not added and not removed and earlier != later:
            yield f"{entity}: the protected records stand in another order or are repeated"


def _place(path: Path) -> str:
    """A place of the definition in words."""
    match path:
        case ("entities", entity, "fields", field, *rest):
            place, inner = f"{entity}, field {field}", rest
        case ("entities", entity, *rest):
            place, inner = f"{entity}", rest
        case ("sources", alias, *rest):
            place, inner = f"source {alias}", rest
        case ("guard", check, *rest):
            place, inner = f"guard, check {check}", rest
        case _:
            return ".".join(map(str, path))
    return f"{place}: {'.'.join(map(str, inner))}" if inner else place


def _shown(value: Any) -> str:
    """A value as the definition would write it, without what it leaves out."""
    match value:
        case None:
            return _NO_VALUE
        case str():
            return value if value.strip() == value != "" and value != _NO_VALUE else json.dumps(value)
        case _:
            return json.dumps(_without_nothing(value), ensure_ascii=False)


def _without_nothing(value: Any) -> Any:
    match value:
        case dict():
            return {name: _without_nothing(part) for name, part in value.items() if part not in (None, [], {})}
        case list():
            return [_without_nothing(part) for part in value]
        case _:
            return value


def _is_same(before: Any, after: Any) -> bool:
    """Equality in which 1 is not true, as it is not in the language."""
    return json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True)


def _ids(entries: list[str]) -> str:
    return "id" if len(entries) == 1 else "ids"


def _named(entries: list[str]) -> str:
    more = f" … and {len(entries) - NAMED_MAX} more" if len(entries) > NAMED_MAX else ""
    return "; ".join(entries[:NAMED_MAX]) + more

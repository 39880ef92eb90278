"""The schemas of all events as files, and whether they still are what was released.

    python -m shared.events.schemas export    write docs/schemas/events/<type>.json from the types as they are
    python -m shared.events.schemas check     compare them with docs/schemas/released/<type>.json; 1 when they break it
    python -m shared.events.schemas release   freeze the types that have no released copy yet

A released copy is never written again: `compatibility` says what may change under it. This file reads and writes
those two folders and decides nothing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.events.compatibility import Break, breaks, remedy
from shared.events.model import Event
from shared.events.registry import EVENTS

SCHEMAS = Path(__file__).resolve().parents[2] / "docs" / "schemas"
PRESENT, RELEASED = "events", "released"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(event: type[Event]) -> dict[str, Any]:
    """The JSON Schema of one event type."""
    return {"$schema": DIALECT, **event.model_json_schema()}


def text_of(schema: Mapping[str, Any]) -> str:
    """A schema as it stands in its file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def export(folder: Path = SCHEMAS, *, events: Mapping[str, type[Event]] = EVENTS) -> list[str]:
    """Write the schema of every type and remove files of types that are no more; the names of what changed."""
    return [path.name for path, text in _stale(folder, events) if _put(path, text)]


def release(folder: Path = SCHEMAS, *, events: Mapping[str, type[Event]] = EVENTS) -> list[str]:
    """Freeze the types that are not released yet; their names."""
    frozen = []
    for name, event in sorted(events.items()):
        path = folder / RELEASED / f"{name}.json"
        if not path.exists():
            _put(path, text_of(schema_of(event)))
            frozen.append(name)
    return frozen


def check(folder: Path = SCHEMAS, *, events: Mapping[str, type[Event]] = EVENTS) -> list[Break]:
    """Every break of what was released."""
    found: list[Break] = []
    for name, released in released_schemas(folder).items():
        event = events.get(name)
        if event is None:
            text = f"the type is gone, and stored documents of it could not be read; {remedy(name)}"
            found.append(Break(name, "", text))
        else:
            found += breaks(name, released, schema_of(event))
    return found


def released_schemas(folder: Path = SCHEMAS) -> dict[str, Any]:
    """The frozen schemas by type."""
    paths = sorted((folder / RELEASED).glob("*.json"))
    return {path.name.removesuffix(".json"): json.loads(path.read_text(encoding="utf-8")) for path in paths}


def is_current(folder: Path = SCHEMAS, *, events: Mapping[str, type[Event]] = EVENTS) -> bool:
    """Whether the exported files are those of the types as they are."""
    return not _stale(folder, events)


def _stale(folder: Path, events: Mapping[str, type[Event]]) -> list[tuple[Path, str | None]]:
    """Files that are not as they should be, with their text; None for one that should not be."""
    wanted = {folder / PRESENT / f"{name}.json": text_of(schema_of(event)) for name, event in sorted(events.items())}
    strangers = [path for path in sorted((folder / PRESENT).glob("*.json")) if path not in wanted]
    differing = [
        (path, text) for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    return [*differing, *((path, None) for path in strangers)]


def _put(path: Path, text: str | None) -> bool:
    if text is None:
        path.unlink()
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return True


def main(arguments: Sequence[str], folder: Path = SCHEMAS) -> int:
    """Do what the command line says; the exit code."""
    match list(arguments):
        case ["export"]:
            changed = export(folder)
            sys.stdout.write(f"{len(changed)} of {len(EVENTS)} schemas written\n")
            return 0
        case ["release"]:
            frozen = release(folder)
            sys.stdout.write(f"{len(frozen)} types released: {', '.join(frozen) or 'none was new'}\n")
            return 0
        case ["check"]:
            faults = [str(one) for one in check(folder)]
            if not is_current(folder):
                faults.append("docs/schemas/events is not what the types are now; run `… schemas export`")
            sys.stdout.write("".join(f"{fault}\n" for fault in faults) or "what was released still holds\n")
            return 1 if faults else 0
        case _:
            sys.stderr.write("usage: python -m shared.events.schemas export | check | release\n")
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Prints the reference of the interface language from the model that reads it.

`python -m systems.http.interface_document > docs/http-interface.md`; a test keeps the document current. It says nothing
of its own about a clause: the words are the model's.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from systems.http.description import HttpInterface
from systems.http.settings import BasicSettings, BearerSettings, HeaderSettings, InterfaceSettings, OauthSettings

_HEAD = """\
# The interface language

Printed from `systems/http/` by `python -m systems.http.interface_document > docs/http-interface.md`; do not edit.

A system over HTTP needs no code where an interface document says all that is particular to it. Its folder holds

| file | holds |
|---|---|
| `manifest.yaml` | names, roles and keys of its entities, `family: http` and `interface: http.yaml` |
| `http.yaml` | the interface: one [HttpInterface](#httpinterface) |
| `quality.yaml` | the rules that it keeps, where they are others than the family's; may be missing |
| `README.md` | what is known of the vendor, and from where |

and stands in `systems/`, or in the folder that `AETHER_VENDORS_FOLDER` names. Manifest and interface must name the same
entities; `write_companions` of the manifest must name what the interface makes every change send. What does not fit is
refused with file, line and column. [systems/titanhst](../systems/titanhst/http.yaml) is described so, and
[adding-a-vendor.md](adding-a-vendor.md) goes through one from its beginning."""
_PLACES = """\
## Places

A place says where a value stands in the other side's JSON.

| place | value |
|---|---|
| `email` | the member of that name |
| `name.first` | a member of an object within |
| `paths[type=email].value` | a member of the one item of a list with that member; `11` is a number, `"11"` is text |

Nested objects and lists are built when something is written. A list is always sent whole: a change of one of its values
sends all that are described, and items that are not described are gone then."""
_PROOFS = """\
## What proves that a list was whole

| paging | with a total | without |
|---|---|---|
| `offset_limit`, `page_number` with `ordered_by` | total, order, full pages; can be taken up | as below |
| `none` | total | the one answer itself |
| `offset_limit` | total | each page begins with the last record of the page before, up to one with nothing new |
| `page_number`, `cursor`, `link_header`, `page_header` | total | nothing: removals are never planned from it |"""
_SETTINGS = """\
## Settings of a connection

Beside `base_url`, `timeout_seconds` and `body_bytes_max`, which every system over HTTP has; `parameters` where the
interface declares some. Secrets are references such as `env:NAME`."""
_REQUIRED = "required"
_ANYTHING = "JsonValue"
_PATTERNS = {
    r"^(/[^/]+)*$": "JSON pointer",
    r"^/[^?#\s]*$": "path",
    r"^[A-Za-z0-9-]+$": "name of a header",
    r"^[^:\x00-\x1f]+$": "text",
}


def render_markdown() -> str:
    """Return docs/http-interface.md."""
    settings = (InterfaceSettings, BasicSettings, HeaderSettings, BearerSettings, OauthSettings)
    return (
        "\n\n".join(
            [
                _HEAD,
                "## Clauses",
                *_sections(HttpInterface.model_json_schema()),
                _PLACES,
                _PROOFS,
                _SETTINGS,
                *(_settings(model) for model in settings),
            ]
        )
        + "\n"
    )


def _sections(schema: Mapping[str, Any]) -> Iterator[str]:
    """A section for each part, each part before those that it is made of."""
    known = {**schema.get("$defs", {}), schema["title"]: schema}
    told = {_ANYTHING}
    waiting = [schema["title"]]
    while waiting:  # bounded by the number of parts, each of which is told once
        name = waiting.pop(0)
        if name in told:
            continue
        told.add(name)
        yield _section(name, known[name], known)
        waiting = [*_parts_of(known[name].get("properties", {})), *waiting]


def _settings(model: type[BaseModel]) -> str:
    schema = model.model_json_schema()
    own = set(model.model_fields) - set(model.__mro__[1].model_fields)  # type: ignore[attr-defined] # all are models
    described = {**schema, "properties": {name: each for name, each in schema["properties"].items() if name in own}}
    return _section(model.__name__, described, schema.get("$defs", {}))


def _section(name: str, schema: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [f"### {name}", "", _one_line(schema.get("description", "")), ""]
    lines += ["| clause | value | default | meaning |", "|---|---|---|---|"]
    for clause, described in schema.get("properties", {}).items():
        default = _REQUIRED if clause in schema.get("required", ()) else _default(described)
        # A clause that has nothing to add to the description of its part is described by that.
        part = known.get(next(iter(_parts_of(described)), ""), {})
        meaning = _one_line(described.get("description") or part.get("description", ""))
        cells = [f"`{clause}`", _value(described), default, meaning]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _parts_of(schema: object) -> Iterator[str]:
    """The parts that a piece of schema refers to, in order."""
    match schema:
        case dict():
            if isinstance(reference := schema.get("$ref"), str):
                yield reference.rpartition("/")[2]
            for name, inner in schema.items():
                if name != "discriminator":
                    yield from _parts_of(inner)
        case list():
            for inner in schema:
                yield from _parts_of(inner)
        case _:
            return


def _value(schema: Mapping[str, Any]) -> str:
    """What may be written, in words."""
    match schema:
        case {"$ref": reference}:
            name = str(reference).rpartition("/")[2]
            said = "any JSON" if name == _ANYTHING else f"[{name}](#{name.lower()})"
        case {"anyOf": variants} | {"oneOf": variants}:
            # Where a clause may be left out, null says the same.
            written = [each for each in variants if each != {"type": "null"} or "default" not in schema]
            said = " or ".join(dict.fromkeys(map(_value, written)))
        case {"type": "array"}:
            said = f"list of {_value(schema.get('items', {}))}"
        case {"type": "object"}:
            said = f"mapping of names to {_value(_values_of(schema))}"
        case {"const": value}:
            said = _code(value)
        case {"enum": values}:
            said = ", ".join(map(_code, values))
        case {"type": "string", "pattern": pattern}:
            said = _PATTERNS.get(pattern) or f"text like `{pattern}`"
        case {"type": "string"}:
            said = "text"
        case {"type": "integer" | "number" as kind}:
            said = _bounded("whole number" if kind == "integer" else "number", schema)
        case {"type": "boolean"}:
            said = "true or false"
        case {"type": kind}:
            said = str(kind)
        case _:
            said = "anything"
    return said


def _values_of(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = schema.get("additionalProperties")
    if isinstance(inner, dict):
        return inner
    patterns: Iterable[Mapping[str, Any]] = schema.get("patternProperties", {}).values()
    return next(iter(patterns), {})


def _bounded(what: str, schema: Mapping[str, Any]) -> str:
    above, most = schema.get("exclusiveMinimum"), schema.get("maximum")
    least = schema.get("minimum", above)
    if least is None or most is None:
        return what
    return f"{what}, {'above ' if above is not None else ''}{least:g} to {most:,}"


def _default(schema: Mapping[str, Any]) -> str:
    value = schema.get("default")
    if value in (None, [], {}):
        return "none"
    return "its defaults" if isinstance(value, dict) else _code(value)


def _code(value: object) -> str:
    """A value as a document writes it."""
    is_bare = isinstance(value, str) and value.strip() == value != ""
    return f"`{value if is_bare else json.dumps(value)}`"


def _one_line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    sys.stdout.write(render_markdown())

"""Prints the reference of the connector language from the model that reads it.

`python -m shared.contract.language_document > docs/connector-language.md`; a test keeps the document current.
It says nothing of its own about a clause: the words are the model's.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any, get_args

from shared.contract import field, transforms, words, worked_example
from shared.contract.examples import ExampleDocument
from shared.contract.model import ConnectorDefinition
from shared.contract.protected import ProtectedRecord

_HEAD = """\
# The connector language

Printed from `shared/contract/` by `python -m shared.contract.language_document > docs/connector-language.md`; do not
edit.

A connector is a folder of `connectors/` with these files:

| file | holds |
|---|---|
| `connector.yaml` | the definition: one [ConnectorDefinition](#connectordefinition) |
| `tables/<name>.csv` | mapping tables: ids in the first column, codes in the second, remarks in any other |
| `protected.yaml` | for each entity a list of [ProtectedRecord](#protectedrecord); may be missing |
| `examples/<name>.yaml` | rows of the sources and what must come of them: one [ExampleDocument](#exampledocument) |
| `releases/<version>.json` | what was published, never edited; a folder that differs from its release is refused |

What steps cannot say stands in `transforms/<name>.py`, beside `connectors/`. Everything but layout, comments and
`lifecycle` enters the digest of a release."""
_TRANSFORMS = """\
## Registered transforms

A file `transforms/<name>.py` defines `VERSION`, `EXAMPLES` and `transform`, which turns one text into another: `None`
is no value, and a `ValueError` says that the text cannot be one. Its examples are tried whenever a definition that
names it is loaded. It may import {modules}, and asks neither a clock nor a file."""
_REQUIRED = "required"


def render_markdown() -> str:
    """Return docs/connector-language.md."""
    modules = ", ".join(f"`{name}`" for name in sorted(transforms.MODULES_ALLOWED))
    return (
        "\n\n".join(
            [
                _HEAD,
                "## Clauses",
                *_sections([ConnectorDefinition.model_json_schema(by_alias=True)]),
                "## Names, steps and formats",
                *_named(words, ("Name", "ConnectionName", "QualifiedColumn", "Pattern", "NamedStep")),
                *_named(field, ("Format", "DateFormat")),
                _TRANSFORMS.format(modules=modules),
                "## Protected records",
                *_sections([ProtectedRecord.model_json_schema(by_alias=True)], without={"Condition"}),
                "## Examples",
                *_sections([ExampleDocument.model_json_schema(by_alias=True)]),
                "## A worked example",
                f"The folder of the connector *{worked_example.NAME}*, which a test loads and runs.",
                *_files(worked_example.FILES),
            ]
        )
        + "\n"
    )


def _sections(schemas: Iterable[Mapping[str, Any]], without: Iterable[str] = ()) -> Iterator[str]:
    """A section for each part of the schemas, each part before those that it is made of."""
    for schema in schemas:
        known = {**schema.get("$defs", {}), schema["title"]: schema}
        told = set(without)
        waiting = [schema["title"]]
        while waiting:  # bounded by the number of parts, each of which is told once
            name = waiting.pop(0)
            if name in told:
                continue
            told.add(name)
            yield _section(name, known)
            waiting = [*_parts_of(known[name].get("properties", {})), *waiting]


def _section(name: str, known: Mapping[str, Mapping[str, Any]]) -> str:
    schema = known[name]
    lines = [f"### {name}", "", _one_line(schema.get("description", "")), ""]
    lines += ["| clause | value | default | meaning |", "|---|---|---|---|"]
    for clause, described in schema.get("properties", {}).items():
        default = _REQUIRED if clause in schema.get("required", ()) else _default(described)
        # A clause that has nothing to add to the description of its part is described by that.
        part = known.get(described.get("$ref", "").rpartition("/")[2], {})
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
            for inner in schema.values():
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
            said = f"[{name}](#{name.lower()})"
        case {"anyOf": variants} | {"oneOf": variants}:
            # Where a clause may be left out, null says the same.
            written = [each for each in variants if each != {"type": "null"} or "default" not in schema]
            told = " or ".join(dict.fromkeys(map(_value, written)))
            said = _ALTERNATIVES.get(told, told)
        case {"type": "array"}:
            said = _bounded(f"list of {_value(schema.get('items', {}))}", schema, "Items")
        case {"type": "object", "additionalProperties": dict(inner)}:
            said = _bounded(f"mapping of names to {_value(inner)}", schema, "Properties")
        case {"type": "object", "patternProperties": dict(inner)}:
            said = _bounded(f"mapping of names to {_value(next(iter(inner.values())))}", schema, "Properties")
        case _:
            said = _plain(schema)
    return said


def _plain(schema: Mapping[str, Any]) -> str:
    match schema:
        case {"const": value}:
            said = _code(value)
        case {"enum": values}:
            said = _ENUMS.get(tuple(values)) or ", ".join(_code(value) for value in values)
        case {"type": "string", "pattern": pattern}:
            said = _PATTERNS.get(pattern) or f"text like `{pattern}`"
        case {"type": "string"}:
            said = _bounded("text", schema, "Length")
        case {"type": "integer" | "number" as kind}:
            said = _bounded("whole number" if kind == "integer" else "number", schema, "imum")
        case {"type": "boolean"}:
            said = "true or false"
        case {"type": kind}:
            said = str(kind)
        case _:
            said = "anything"
    return said


def _bounded(what: str, schema: Mapping[str, Any], suffix: str) -> str:
    least, most = schema.get(f"min{suffix}"), schema.get(f"max{suffix}")
    unit = " characters" if suffix == "Length" else ""
    if least is None and most is None:
        return what
    if most is None:
        return f"{what}, {least}{unit} or more"
    return f"{what}, at most {most}{unit}" if least is None else f"{what}, {least} to {most}{unit}"


def _default(schema: Mapping[str, Any]) -> str:
    value = schema.get("default")
    if value in (None, [], {}):
        return "none"
    return "its defaults" if isinstance(value, dict) else _code(value)


def _code(value: object) -> str:
    """A value as a definition writes it."""
    is_bare = isinstance(value, str) and value.strip() == value != ""
    return f"`{value if is_bare else json.dumps(value)}`"


def _named(module: ModuleType, names: Iterable[str]) -> Iterator[str]:
    """What a module says of its own words, from the text under each."""
    body = ast.parse(inspect.getsource(module)).body
    for name in names:
        for place, node in enumerate(body[:-1]):
            match node, body[place + 1]:
                case (
                    ast.Assign(targets=[ast.Name(id=defined)]),
                    ast.Expr(value=ast.Constant(value=str() as text)),
                ) if defined == name:
                    yield f"### {name}\n\n{_one_line(text)}"


def _files(files: Mapping[str, str]) -> Iterator[str]:
    for name, text in files.items():
        language = name.rpartition(".")[2]
        yield f"*{name}*\n\n```{language}\n{text}```"


def _one_line(text: str) -> str:
    return " ".join(text.split())


_PATTERNS = {
    "^[a-z][a-z0-9_]{0,62}$": "a [name](#name)",
    "^[a-z][a-z0-9-]{0,62}$": "a [name](#connectionname) with dashes",
    r"^[a-z][a-z0-9_]{0,62}\.[a-z][a-z0-9_]{0,62}$": "[`alias.column`](#qualifiedcolumn)",
}
_ENUMS = {get_args(words.NamedStep): "[named step](#namedstep)", get_args(field.Format): "[format](#format)"}
_ALTERNATIVES = {
    "true or false or whole number or text": "plain value",
    "true or false or whole number or text or null": "plain value or null",
}

if __name__ == "__main__":
    sys.stdout.write(render_markdown())

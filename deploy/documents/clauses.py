"""Prints models as a reference of clauses: a section for each model, a row for each of its fields. Pure.

The words are the models' own: descriptions and bounds come from their schemas. A language names what its patterns and
long lists of words are called.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Schema = Mapping[str, Any]
REQUIRED = "required"


@dataclass(frozen=True)
class Language:
    """What the clauses of one document are called."""

    patterns: Mapping[str, str] = field(default_factory=dict)
    """Text that must look like this pattern, by what a reader calls it."""
    enums: Mapping[tuple[Any, ...], str] = field(default_factory=dict)
    """Lists of words that have a section of their own."""
    alternatives: Mapping[str, str] = field(default_factory=dict)
    """What several kinds together are called."""
    anything: str | None = None
    """Name of the part that may be any JSON."""

    def sections(self, schemas: Iterable[Schema], without: Iterable[str] = ()) -> Iterator[str]:
        """A section for each part of the schemas, each part before those that it is made of."""
        for schema in schemas:
            known = {**schema.get("$defs", {}), schema["title"]: schema}
            told = {*without, self.anything}
            waiting = [schema["title"]]
            while waiting:  # bounded by the number of parts, each of which is told once
                name = waiting.pop(0)
                if name in told:
                    continue
                told.add(name)
                yield self.section(name, known[name], known)
                waiting = [*_parts_of(known[name].get("properties", {})), *waiting]

    def section(self, name: str, schema: Schema, known: Mapping[str, Schema]) -> str:
        """One part: its description, and a row for each clause."""
        lines = [f"### {name}", "", one_line(schema.get("description", "")), ""]
        lines += ["| clause | value | default | meaning |", "|---|---|---|---|"]
        for clause, described in schema.get("properties", {}).items():
            default = REQUIRED if clause in schema.get("required", ()) else _default(described)
            # A clause that has nothing to add to the description of its part is described by that.
            part = known.get(next(iter(_parts_of(described)), ""), {}) if "description" not in described else {}
            meaning = one_line(described.get("description") or part.get("description", ""))
            cells = [f"`{clause}`", self._value(described), default, meaning]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        return "\n".join(lines)

    def _value(self, schema: Schema) -> str:
        """What may be written, in words."""
        match schema:
            case {"$ref": reference}:
                name = str(reference).rpartition("/")[2]
                said = "any JSON" if name == self.anything else f"[{name}](#{name.lower()})"
            case {"anyOf": variants} | {"oneOf": variants}:
                # Where a clause may be left out, null says the same.
                written = [each for each in variants if each != {"type": "null"} or "default" not in schema]
                told = " or ".join(dict.fromkeys(map(self._value, written)))
                said = self.alternatives.get(told, told)
            case {"type": "array"}:
                said = _bounded(f"list of {self._value(schema.get('items', {}))}", schema, "Items")
            case {"type": "object"}:
                said = _bounded(f"mapping of names to {self._value(_values_of(schema))}", schema, "Properties")
            case _:
                said = self._plain(schema)
        return said

    def _plain(self, schema: Schema) -> str:
        match schema:
            case {"const": value}:
                said = _code(value)
            case {"enum": values}:
                said = self.enums.get(tuple(values)) or ", ".join(_code(value) for value in values)
            case {"type": "string", "pattern": pattern}:
                said = self.patterns.get(pattern) or f"text like `{pattern}`"
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


def one_line(text: str) -> str:
    """A text without line breaks."""
    return " ".join(text.split())


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


def _values_of(schema: Schema) -> Schema:
    inner = schema.get("additionalProperties")
    if isinstance(inner, dict):
        return inner
    patterns: Iterable[Schema] = schema.get("patternProperties", {}).values()
    return next(iter(patterns), {})


def _bounded(what: str, schema: Schema, suffix: str) -> str:
    least, most = schema.get(f"min{suffix}"), schema.get(f"max{suffix}")
    unit = " characters" if suffix == "Length" else ""
    if suffix == "imum" and least is None and (above := schema.get("exclusiveMinimum")) is not None:
        return f"{what}, above {above:,}" + ("" if most is None else f", at most {most:,}")
    if least is None and most is None:
        return what
    if most is None:
        return f"{what}, {least:,}{unit} or more"
    return f"{what}, at most {most:,}{unit}" if least is None else f"{what}, {least:,} to {most:,}{unit}"


def _default(schema: Schema) -> str:
    value = schema.get("default")
    if value in (None, [], {}):
        return "none"
    return "its defaults" if isinstance(value, dict) else _code(value)


def _code(value: object) -> str:
    """A value as a document writes it."""
    is_bare = isinstance(value, str) and value.strip() == value != ""
    return f"`{value if is_bare else json.dumps(value)}`"

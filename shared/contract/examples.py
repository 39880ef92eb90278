"""Examples of a connector: rows of the sources, and the records and quarantine items that must come of them.

Pure: reading an example and comparing it with what came out. Running it is for whoever has the normaliser. An example
is written in `connectors/<name>/examples/*.yaml`; its rows name only columns that the contract uses, so that a typing
error in one shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import polars as pl
from pydantic import Field, StrictBool, StrictInt, StrictStr, StringConstraints, TypeAdapter, ValidationError

from shared.contract.column_uses import column_uses
from shared.contract.known import among
from shared.contract.model import ConnectorDefinition, EntityContract
from shared.contract.positions import Located, read_yaml
from shared.contract.problems import Problem
from shared.contract.telling import told
from shared.contract.words import Document, Name

EXAMPLE_BYTES_MAX = 262_144
ROWS_MAX = 1_000
"""Rows of one source in one example."""
LEFT_ALONE = "left alone"
"""Column of the fields of a record of which nothing is known; an example may leave it out where it is null."""

Value = StrictBool | StrictInt | StrictStr | None
Row = dict[str, Value]
Rows = Annotated[tuple[Row, ...], Field(max_length=ROWS_MAX)]


class Quarantined(Document):
    """One clause that a record did not meet."""

    key: StrictStr | None
    """The record's key, null where it has none."""
    source: StrictStr
    """Alias of the source that gave the value."""
    field: StrictStr
    """The field concerned."""
    code: StrictStr
    """Of the catalogue of failures."""
    value_class: StrictStr
    """`blank` or `text(12)`."""
    rule: StrictStr
    """The clause that was not met."""


class ExampleDocument(Document):
    """What a file of an example says."""

    title: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """What it shows."""
    entity: Name | None = None
    """The entity whose records come out; may be left out where the connector has one."""
    sources: dict[Name, Rows]
    """Rows by alias; a column that a row leaves out is null. An alias that is left out has no rows."""
    target: dict[Name, Rows] = Field(default_factory=dict)
    """Rows of the target's entities in which values are looked up."""
    records: Rows
    """The records in the order of their keys: `key` and every field."""
    quarantined: tuple[Quarantined, ...]
    """In the order of their columns."""
    out_of_scope: Annotated[int, Field(ge=0)]
    """How many records the scope leaves out."""


@dataclass(frozen=True)
class Example:
    """An example with the contract that it is of."""

    file: str
    document: ExampleDocument
    entity: str
    contract: EntityContract

    def frames(self) -> dict[str, pl.DataFrame]:
        """The rows of every source that the contract uses, by alias, with every column that it uses."""
        rows = self.document.sources
        return {alias: _frame(rows.get(alias, ()), columns) for alias, columns in columns_used(self.contract).items()}

    def looked_up(self) -> dict[str, pl.DataFrame]:
        """The rows of the target's entities in which the contract looks values up, by entity."""
        rows = self.document.target
        return {entity: _frame(rows.get(entity, ()), names) for entity, names in lookup_columns(self.contract).items()}


def read_example(text: str, file: str, definition: ConnectorDefinition) -> tuple[Example | None, list[Problem]]:
    """The example in a text and everything that is wrong with it; no example when anything is."""
    if (size := len(text.encode())) > EXAMPLE_BYTES_MAX:
        fix = "split it into several examples"
        return None, [Problem(file, 1, 1, f"the file has {size} bytes, allowed {EXAMPLE_BYTES_MAX}", fix)]
    located = read_yaml(text, file)
    if located.problems:
        return None, located.problems
    try:
        document = TypeAdapter(ExampleDocument).validate_python(located.value)
    except ValidationError as error:
        return None, told(located, error.errors(include_url=False))
    entities = definition.entities
    entity = document.entity if document.entity is not None or len(entities) > 1 else next(iter(entities))
    if entity is None or entity not in entities:
        what = "the connector has several entities" if entity is None else f"{entity!r} is no entity of this connector"
        return None, [located.problem(("entity",), what, among("entities", entities))]
    example = Example(file, document, entity, entities[entity])
    problems = [*_rows_problems(example, located), *_record_problems(example, located)]
    return (None, problems) if problems else (example, [])


def differences(
    example: Example, records: pl.DataFrame, quarantined: pl.DataFrame, out_of_scope: int
) -> tuple[str, ...]:
    """What came out otherwise than the example says, one sentence each; empty when it holds."""
    wanted = [_completed(row) for row in example.document.records]
    found = [_completed(row) for row in records.to_dicts()]
    items = [item.model_dump() for item in example.document.quarantined]
    said = [*_missing("record", wanted, found), *_missing("quarantine item", items, quarantined.to_dicts())]
    if not said and wanted != found:
        said.append("the records come in another order than that of their keys")
    if out_of_scope != example.document.out_of_scope:
        said.append(f"out of scope are {out_of_scope} records, the example says {example.document.out_of_scope}")
    return tuple(f"{example.file}: {sentence}" for sentence in said)


def columns_used(contract: EntityContract) -> dict[str, list[str]]:
    """The columns of each source that a contract uses, in the order in which it names them."""
    columns: dict[str, dict[str, None]] = {}
    for use in column_uses(contract, ()):
        found = columns.setdefault(use.alias, {})
        if use.column is not None:
            found[use.column] = None
    return {alias: list(found) for alias, found in columns.items()}


def lookup_columns(contract: EntityContract) -> dict[str, list[str]]:
    """The columns of each of the target's entities that the contract's lookups use."""
    columns: dict[str, dict[str, None]] = {}
    for field in contract.fields.values():
        if field.lookup is not None:
            columns.setdefault(field.lookup.entity, {}).update({field.lookup.by: None, field.lookup.take: None})
    return {entity: list(found) for entity, found in columns.items()}


def _rows_problems(example: Example, located: Located) -> Iterator[Problem]:
    for part, given, used in (
        ("sources", example.document.sources, columns_used(example.contract)),
        ("target", example.document.target, lookup_columns(example.contract)),
    ):
        for name, rows in given.items():
            if name not in used:
                text = f"the contract of {example.entity} uses no {name!r}"
                yield located.problem((part, name), text, among(part, used), at_key=True)
                continue
            for place, row in enumerate(rows):
                for column in sorted(row.keys() - set(used[name])):
                    text = f"the contract of {example.entity} uses no column {column!r} of {name}"
                    yield located.problem((part, name, place, column), text, among("columns", used[name]), at_key=True)
            for column in used[name]:
                kinds = sorted({type(row[column]).__name__ for row in rows if row.get(column) is not None})
                if len(kinds) > 1:
                    text = f"column {column!r} of {name} holds values of several types: {', '.join(kinds)}"
                    yield located.problem(
                        (part, name), text, "write all of them alike, in quotes for text", at_key=True
                    )


def _record_problems(example: Example, located: Located) -> Iterator[Problem]:
    wanted = {"key", *example.contract.fields}
    for place, row in enumerate(example.document.records):
        for name in sorted(wanted - row.keys()):
            yield located.problem(("records", place), f"the record leaves {name} out", "write it, or null")
        for name in sorted(row.keys() - wanted - {LEFT_ALONE}):
            text = f"{name!r} is no field of {example.entity}"
            yield located.problem(("records", place, name), text, among("fields", wanted), at_key=True)


def _frame(rows: Sequence[Row], columns: Sequence[str]) -> pl.DataFrame:
    series = [pl.Series(name, [row.get(name) for row in rows], strict=True) for name in columns]
    return pl.DataFrame(series)


def _completed(row: Mapping[str, Any]) -> dict[str, Any]:
    return {LEFT_ALONE: None, **row}


def _missing(what: str, wanted: list[dict[str, Any]], found: list[dict[str, Any]]) -> Iterator[str]:
    for row in _without(wanted, found):
        yield f"there is no {what} {_written(row)}"
    for row in _without(found, wanted):
        yield f"there is a {what} too many: {_written(row)}"


def _without(rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that are not among the others, each of which stands for one only."""
    left = [_exactly(row) for row in others]
    missing = []
    for row in rows:
        if (exact := _exactly(row)) in left:
            left.remove(exact)
        else:
            missing.append(row)
    return missing


def _exactly(row: Mapping[str, Any]) -> str:
    """The row as text in which 1 is not true."""
    return json.dumps(row, sort_keys=True, default=str)


def _written(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in row.items() if name != LEFT_ALONE or value is not None)

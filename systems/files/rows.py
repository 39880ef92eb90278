"""The rows of a file of text, whatever their format: what every codec offers. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from shared.ports.wire import Record, Value
from systems.files.description import TARGET_ID
from systems.files.layout import Layout
from systems.files.wire import joined_key


@dataclass(frozen=True)
class Row:
    """One record as it stands in the file."""

    line: int
    """Where it begins, counted from 1."""
    raw: str
    """All of it, with the end of its line: a row that is not changed is written back as it was."""
    cells: Mapping[str, Any]
    """Its values by their names in the file."""


@dataclass
class OpenedText:
    """A file that is being taken apart: its head, and its rows one after another."""

    head: str
    """What stands before the first row."""
    names: tuple[str, ...]
    """Names of the columns, in their order; none where each row names its own."""
    line_end: str
    has_byte_order_mark: bool
    rows: Iterator[Row]
    """To be gone through once; `FileWrong` at the first thing that is not as agreed."""
    tail: str = ""
    """After the last row has been given: what stands behind it."""
    told_rows: int | None = None
    """After the last row: how many rows the tail says there are."""
    unknown: dict[str, int] = field(default_factory=dict)
    """Names in the file that no field has, and in how many places they came."""


class Codec(Protocol):
    """How one file's bytes become rows, and rows bytes."""

    def opened(self, content: bytes) -> OpenedText:
        """Begin to take a file apart; `FileWrong` where its head is not as agreed."""
        ...

    def new(self) -> OpenedText:
        """A file without rows, as we would make it."""
        ...

    def record(self, row: Row) -> dict[str, Value]:
        """The values of a row by field; `FileWrong` names line and column."""
        ...

    def set(self, opened: OpenedText, row: Row | None, values: Record) -> Row:
        """A row with these fields set, or a new one; `CellRefused` names the field."""
        ...

    def closed(self, opened: OpenedText, rows: Iterator[Row], *, count: int) -> bytes:
        """The file with these rows; `CellRefused` where a character cannot be written in its encoding."""
        ...


def completed(layout: Layout, values: dict[str, Value]) -> dict[str, Value]:
    """All columns of a record, of which the file holds these: in the order of the columns."""
    described = layout.described
    for name, one in described.fields.items():
        if one.parts:
            values[name] = joined_key(described, name, values)
    values[TARGET_ID] = values[described.key]
    return {name: values[name] for name in described.columns}

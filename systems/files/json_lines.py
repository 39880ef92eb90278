"""JSON Lines as rows: one object on each line, in UTF-8. Members that we do not know stay as they are. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from pydantic import JsonValue

from shared.ports.wire import Record, Value
from systems.files.cells import CellRefused, FileWrong, member_of, member_value
from systems.files.csv_text import decoded
from systems.files.description import NoProof, Sha256FileProof
from systems.files.layout import Layout
from systems.files.rows import OpenedText, Row, completed


class JsonLines:
    """See `systems.files.rows.Codec`."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._may_be_open = isinstance(layout.described.proof, NoProof | Sha256FileProof)
        self._places = {name: _place(header) for name, header in layout.headers.items()}
        self._known = {place[0] for place in self._places.values()}

    def opened(self, content: bytes) -> OpenedText:
        """Begin to take a file apart; it has no head."""
        lines = decoded(content, "utf-8").removeprefix("\ufeff").split("\n")
        last = lines.pop()
        opened = OpenedText("", (), "\n", False, iter(()))
        opened.rows = self._rows(opened, lines, last)
        return opened

    def new(self) -> OpenedText:
        """A file without rows."""
        return OpenedText("", (), "\n", False, iter(()))

    def record(self, row: Row) -> dict[str, Value]:
        """The values of a row."""
        values: dict[str, Value] = {}
        for name, field in self._layout.described.fields.items():
            if field.header is None:
                continue
            found: Any = row.cells
            for step in self._places[name]:
                found = found.get(step, _MISSING) if isinstance(found, Mapping) else _MISSING
            if found is _MISSING:
                if not field.optional:
                    raise FileWrong(f"member {self._layout.headers[name]} is missing", line=row.line)
                found = None
            try:
                values[name] = member_value(found, field)
            except ValueError as wrong:
                raise FileWrong(f"member {self._layout.headers[name]} {wrong}", line=row.line) from None
        return completed(self._layout, values)

    def set(self, opened: OpenedText, row: Row | None, values: Record) -> Row:
        """A row with these fields set; a new one has all others as null."""
        fields = self._layout.described.fields
        if row is None:
            values = {**dict.fromkeys(self._places), **values}
        cells: dict[str, Any] = orjson.loads(orjson.dumps(row.cells)) if row is not None else {}
        for name, value in values.items():
            try:
                _put(cells, self._places[name], member_of(value, fields[name]))
            except CellRefused as refused:
                raise CellRefused(f"field {name} {refused}") from None
        try:
            line = orjson.dumps(cells).decode()
        except orjson.JSONEncodeError:
            raise CellRefused("a value holds a character that UTF-8 does not have") from None
        return Row(0 if row is None else row.line, f"{line}\n", cells)

    def closed(self, opened: OpenedText, rows: Iterator[Row], *, count: int) -> bytes:
        """The file with these rows."""
        return "".join(row.raw for row in rows).encode()

    def _rows(self, opened: OpenedText, lines: list[str], last: str) -> Iterator[Row]:
        for number, line in enumerate(lines, start=1):
            yield self._row(opened, line, line + "\n", number=number, is_last=False)
        if last and not self._may_be_open:
            raise FileWrong("the last line is not ended; the file may be cut off", line=len(lines) + 1, is_torn=True)
        if last:
            yield self._row(opened, last, last, number=len(lines) + 1, is_last=True)

    def _row(self, opened: OpenedText, line: str, raw: str, *, number: int, is_last: bool) -> Row:
        try:
            cells = orjson.loads(line)
        except orjson.JSONDecodeError:
            raise FileWrong("is no JSON", line=number, is_torn=is_last) from None
        if not isinstance(cells, dict):
            raise FileWrong("is no JSON object", line=number)
        for name in cells.keys() - self._known:
            opened.unknown[name] = opened.unknown.get(name, 0) + 1
        return Row(number, raw, cells)


_MISSING = object()


def _place(header: str) -> tuple[str, ...]:
    return tuple(header[1:].split("/")) if header.startswith("/") else (header,)


def _put(cells: dict[str, Any], place: tuple[str, ...], member: JsonValue) -> None:
    for step in place[:-1]:
        inner = cells.get(step)
        if not isinstance(inner, dict):
            inner = cells[step] = {}
        cells = inner
    cells[place[-1]] = member

"""CSV as rows, strictly: a header as agreed, rows as long as it, quotes that are closed, a last line that is ended.

A file that is not so is refused with the line and never with a value. Rows that are not changed are written back byte
for byte, columns that we do not know included. Pure.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from shared.ports.wire import Record, Value
from systems.files.cells import CellRefused, FileWrong, cell_of, reader_of
from systems.files.description import CsvFormat, NoProof, Sha256FileProof, TrailerProof
from systems.files.layout import Layout
from systems.files.rows import OpenedText, Row, completed

if TYPE_CHECKING:
    from _csv import Reader

_MARK = "\ufeff"
_CODECS = {"utf-8": "utf-8", "utf-16": "utf-16", "windows-1252": "cp1252", "iso-8859-1": "latin-1"}


class CsvText:
    """See `systems.files.rows.Codec`."""

    def __init__(self, layout: Layout, form: CsvFormat) -> None:
        self._layout = layout
        self._form = form
        proof = layout.described.proof
        self._trailer = proof if isinstance(proof, TrailerProof) else None
        self._may_be_open = isinstance(proof, NoProof | Sha256FileProof)
        self._readers = [
            (name, layout.headers[name], reader_of(field, form))
            for name, field in layout.described.fields.items()
            if field.header is not None
        ]

    def opened(self, content: bytes) -> OpenedText:
        """Begin to take a file apart; its first line must hold the agreed names."""
        text = decoded(content, self._form.encoding)
        has_mark = text.startswith(_MARK)
        lines = list(io.StringIO(text.removeprefix(_MARK), newline=""))
        reader = csv.reader(lines, delimiter=self._form.delimiter, quotechar=self._form.quote, strict=True)
        if not lines:
            raise FileWrong("is empty: it has not even a header", is_torn=True)
        names = tuple(self._next(reader, lines) or ())
        self._require_names(names)
        head = "".join(lines[: reader.line_num])
        if not head.endswith("\n") and not self._may_be_open:
            raise FileWrong("the header is not ended; the file may be cut off", line=1, is_torn=True)
        opened = OpenedText(head, names, _end_of(head), has_mark, iter(()))
        opened.unknown = {name: 1 for name in names if name not in self._layout.headers.values()}
        opened.rows = self._rows(opened, reader, lines)
        return opened

    def new(self) -> OpenedText:
        """A file with the names alone."""
        names = tuple(header for _, header, _ in self._readers)
        end = "\r\n" if self._form.line_end == "crlf" else "\n"
        tail = "" if self._trailer is None else self._tail(self._trailer, 0, end)
        return OpenedText(self._line(names, end), names, end, self._form.byte_order_mark, iter(()), tail)

    def record(self, row: Row) -> dict[str, Value]:
        """The values of a row; a blank cell is null."""
        values: dict[str, Value] = {}
        for name, header, read in self._readers:
            cell = row.cells.get(header)
            try:
                values[name] = read(cell) if cell else None
            except ValueError as wrong:
                raise FileWrong(f"column {header} {wrong}", line=row.line) from None
        return completed(self._layout, values)

    def set(self, opened: OpenedText, row: Row | None, values: Record) -> Row:
        """A row with these fields set; the cells of other columns stay, and are blank in a new row."""
        cells = dict.fromkeys(opened.names, "") if row is None else dict(row.cells)
        fields = self._layout.described.fields
        for name, value in values.items():
            header = self._layout.headers[name]
            if header not in cells:
                raise CellRefused(f"field {name} has no column in the file; add the column {header}")
            try:
                cells[header] = cell_of(value, fields[name], self._form)
            except CellRefused as refused:
                raise CellRefused(f"field {name} {refused}") from None
        if self._trailer is not None and cells[opened.names[0]] == self._trailer.mark:
            raise CellRefused("the row would be taken for the file's last; correct its first column")
        line = self._line([cells[name] for name in opened.names], opened.line_end)
        encoded(line, self._form.encoding)
        return Row(0 if row is None else row.line, line, cells)

    def closed(self, opened: OpenedText, rows: Iterator[Row], *, count: int) -> bytes:
        """The file with these rows."""
        tail = opened.tail if self._trailer is None else self._tail(self._trailer, count, opened.line_end)
        mark = _MARK if opened.has_byte_order_mark else ""
        return encoded("".join([mark, opened.head, *(row.raw for row in rows), tail]), self._form.encoding)

    def _rows(self, opened: OpenedText, reader: Reader, lines: Sequence[str]) -> Iterator[Row]:
        names, width, trailer = opened.names, len(opened.names), self._trailer
        at, count = reader.line_num, 0
        while (cells := self._next(reader, lines)) is not None:
            begin, at = at, reader.line_num
            if not cells:
                if any(line.strip("\r\n") for line in lines[begin:]):
                    raise FileWrong("is blank between others", line=begin + 1)
                break
            raw = lines[begin] if at == begin + 1 else "".join(lines[begin:at])
            if trailer is not None and cells[0] == trailer.mark:
                self._see_trailer(opened, cells, raw, rest=lines[at:], line=begin + 1)
                return
            if len(cells) != width:
                text = f"has {len(cells)} values, the header {width}"
                raise FileWrong(text, line=begin + 1, is_torn=at == len(lines))
            if not raw.endswith("\n") and not self._may_be_open:
                raise FileWrong("the last line is not ended; the file may be cut off", line=begin + 1, is_torn=True)
            count += 1
            yield Row(begin + 1, raw, dict(zip(names, cells, strict=True)))
        if trailer is not None:
            raise FileWrong("the last row, which tells how many there are, is missing", line=at, is_torn=True)

    def _see_trailer(
        self, opened: OpenedText, cells: Sequence[str], raw: str, *, rest: Sequence[str], line: int
    ) -> None:
        assert self._trailer is not None, "only called with one"  # noqa: S101 - own invariant
        if any(one.strip("\r\n") for one in rest):
            raise FileWrong("tells the number of rows, but is not the last", line=line)
        count_at = self._trailer.count_at
        told = cells[count_at - 1] if len(cells) >= count_at else ""
        if not (told.isascii() and told.isdigit()):
            raise FileWrong(f"its cell {count_at} tells no number of rows", line=line, is_torn=True)
        opened.tail, opened.told_rows = raw, int(told)

    def _next(self, reader: Reader, lines: Sequence[str]) -> list[str] | None:
        before = reader.line_num
        try:
            return next(reader, None)
        except csv.Error as wrong:
            is_torn = reader.line_num >= len(lines) or "end of data" in str(wrong)
            text = (
                "its quotes are not closed" if is_torn else "is no CSV: a quote within a value, or a value without end"
            )
            raise FileWrong(text, line=before + 1, is_torn=is_torn) from None

    def _require_names(self, names: Sequence[str]) -> None:
        fields = self._layout.described.fields
        for name, header, _ in self._readers:
            if header not in names and not fields[name].optional:
                raise FileWrong(
                    f"column {header} is missing among the {len(names)} of the header; see spelling and headers", line=1
                )
        if len(set(names)) != len(names):
            raise FileWrong("two columns of the header have one name", line=1)

    def _tail(self, trailer: TrailerProof, count: int, end: str) -> str:
        return self._line([trailer.mark, *[""] * (trailer.count_at - 2), str(count)], end)

    def _line(self, cells: Sequence[str], end: str) -> str:
        line = io.StringIO(newline="")
        # Not every line break within a value makes the writer quote it.
        is_quoted = self._form.quote_all or any("\r" in cell or "\n" in cell for cell in cells)
        csv.writer(
            line,
            delimiter=self._form.delimiter,
            quotechar=self._form.quote,
            quoting=csv.QUOTE_ALL if is_quoted else csv.QUOTE_MINIMAL,
            lineterminator=end,
        ).writerow(cells)
        return line.getvalue()


def decoded(content: bytes, encoding: str) -> str:
    """The text of a file; `FileWrong` names the line of the first byte that is none in that encoding."""
    try:
        text = content.decode(_CODECS[encoding])
    except UnicodeDecodeError as wrong:
        line = None if encoding == "utf-16" else content.count(b"\n", 0, wrong.start) + 1
        is_torn = wrong.end >= len(content)
        raise FileWrong(f"is no text in {encoding}; see encoding", line=line, is_torn=is_torn) from None
    if "\0" in text:
        raise FileWrong("holds a zero character: it is no text", line=text.count("\n", 0, text.index("\0")) + 1)
    return text


def encoded(text: str, encoding: str) -> bytes:
    """The bytes of a text; `CellRefused` where the encoding has no such character."""
    try:
        return text.encode(_CODECS[encoding])
    except UnicodeEncodeError:
        raise CellRefused(f"a value holds a character that {encoding} does not have") from None


def _end_of(head: str) -> str:
    return "\n" if head.endswith("\n") and not head.endswith("\r\n") else "\r\n"

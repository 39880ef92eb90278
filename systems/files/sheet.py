"""A whole file as rows by their keys, and what several changes make of it at once. Pure.

All changes of one gathering go into one new file; each has its own answer. A row that no change names stays byte for
byte what it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from shared.errors import AetherError, RecordRefused, StopRun, TargetMoved
from shared.ports.wire import Record
from systems.files.cells import CellRefused, FileWrong
from systems.files.csv_text import CsvText
from systems.files.description import TARGET_ID, CsvFormat, JsonLinesFormat
from systems.files.json_lines import JsonLines
from systems.files.layout import Layout
from systems.files.rows import Codec, OpenedText, Row
from systems.files.wire import RowChange, joined_key


@dataclass(frozen=True)
class Sheet:
    """One file, taken apart."""

    layout: Layout
    codec: Codec
    opened: OpenedText
    rows: dict[str, Row]
    """By key. Rows without a key have names that no key is: they stay, and nothing can change them."""
    sha256: str | None
    """Of the file's bytes; None when there is no file."""

    def record(self, key: str) -> Record | None:
        """One record; None when there is none."""
        row = self.rows.get(key)
        return None if row is None else self.codec.record(row)


def codec_of(layout: Layout) -> Codec:
    """What reads and writes a file of text."""
    form = layout.described.format
    if isinstance(form, CsvFormat):
        return CsvText(layout, form)
    assert isinstance(form, JsonLinesFormat), "Parquet is read by `frames`"  # noqa: S101 - own invariant
    return JsonLines(layout)


def sheet_of(layout: Layout, content: bytes | None) -> Sheet:
    """A file taken apart; None as content is a file that is not there. `FileWrong` as for a reading."""
    codec = codec_of(layout)
    opened = codec.new() if content is None else codec.opened(content)
    rows: dict[str, Row] = {}
    for row in opened.rows:
        key = codec.record(row)[layout.described.key]
        name = f"\0line {row.line}" if key is None else str(key)
        if name in rows:
            raise FileWrong(f"has the key of line {rows[name].line}; take one of the two out", line=row.line)
        rows[name] = row
        if len(rows) > layout.rows_max:
            raise FileWrong(f"more than {layout.rows_max} rows (rows_max)")
    if opened.told_rows is not None and opened.told_rows != len(rows):
        raise FileWrong(f"{len(rows)} rows, but the last one tells {opened.told_rows}", is_torn=True)
    return Sheet(layout, codec, opened, rows, None if content is None else hashlib.sha256(content).hexdigest())


@dataclass(frozen=True)
class Rewritten:
    """What becomes of a file."""

    answers: Sequence[str | AetherError]
    """For each change: the key that its row has now (for one taken out: had), or why it cannot be."""
    content: bytes | None
    """The new file; None when it is what it was."""
    sheet: Sheet
    """The file as it is then, without having been taken apart anew."""


def rewritten(sheet: Sheet, changes: Sequence[RowChange]) -> Rewritten:
    """What the changes, one after another, make of a file."""
    rows = dict(sheet.rows)
    answers: list[str | AetherError] = []
    for change in changes:
        try:
            answers.append(_change(sheet, rows, change))
        except CellRefused as refused:
            answers.append(
                RecordRefused("APL_REFUSED_RECORD", f"entity {change.entity}: {refused}", entity=change.entity)
            )
        except AetherError as error:
            answers.append(error)
    if len(rows) > sheet.layout.rows_max:
        raise StopRun("APL_CONFIG", f"file {sheet.layout.file}: more than {sheet.layout.rows_max} rows (rows_max)")
    is_same = len(rows) == len(sheet.rows) and all(
        key == other and (row is was or row.cells == was.cells)
        for (key, row), (other, was) in zip(rows.items(), sheet.rows.items(), strict=True)
    )
    if is_same and sheet.sha256 is not None:
        return Rewritten(answers, None, sheet)
    content = sheet.codec.closed(sheet.opened, iter(rows.values()), count=len(rows))
    new = Sheet(sheet.layout, sheet.codec, sheet.opened, rows, hashlib.sha256(content).hexdigest())
    return Rewritten(answers, content, new)


def moved(before: Sheet, after: Sheet, change: RowChange) -> bool:
    """Whether the row that a change is about is another than it was."""
    key = change.key if change.key is not None else _key(before, change.values)
    was, now = before.rows.get(key), after.rows.get(key)
    return (None if was is None else was.cells) != (None if now is None else now.cells)


def _change(sheet: Sheet, rows: dict[str, Row], change: RowChange) -> str:
    place = f"entity {change.entity}"
    if change.key is None:
        key = _key(sheet, change.values)
        if key in rows:
            raise TargetMoved("APL_CONFLICT", f"{place}: there is a row with this key already; read it and decide")
        rows[key] = sheet.codec.set(sheet.opened, None, change.values)
        return key
    if change.key not in rows or change.key.startswith("\0"):
        raise TargetMoved("APL_CONFLICT", f"{place}: the row is gone; read the file and decide")
    if change.verb == "REMOVE":
        del rows[change.key]
        return change.key
    row = rows[change.key]
    new = sheet.codec.set(sheet.opened, row, change.values)
    record = sheet.codec.record(new)
    moved_to = record[TARGET_ID]
    if not isinstance(moved_to, str):
        raise RecordRefused("APL_REFUSED_RECORD", f"{place}: the change would leave the row without a key")
    if moved_to != change.key:
        if moved_to in rows:
            raise TargetMoved("APL_CONFLICT", f"{place}: another row has the new key already; read it and decide")
        _rename(rows, change.key, moved_to)
    rows[moved_to] = row if new.cells == row.cells else new
    return moved_to


def _rename(rows: dict[str, Row], old: str, new: str) -> None:
    """Give a row another key where it stands: a file keeps its order."""
    items = [(new if key == old else key, row) for key, row in rows.items()]
    rows.clear()
    rows.update(items)


def _key(sheet: Sheet, values: Record) -> str:
    described = sheet.layout.described
    name = described.key
    key = joined_key(described, name, values) if described.fields[name].parts else values.get(name)
    if not isinstance(key, str) or not key:
        raise StopRun("APL_INTERNAL", f"entity {sheet.layout.entity}: a new row has no key; correct the contract")
    return key

"""Mapping tables: `tables/<name>.csv` of a connector, each turning ids of the source into codes of the target.

The first line names the columns; the first column holds the ids, the second the codes, any further ones are remarks
for people and mean nothing. Ids and codes are kept without the white space around them.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from shared.contract.problems import Problem

TABLE_BYTES_MAX = 5_000_000
TABLE_ROWS_MAX = 100_000
_COLUMN_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


class MappingTable(BaseModel):
    """One mapping table as read."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str
    """Name of the file without `.csv`."""
    id_column: str
    """What the ids are, from the first line."""
    value_column: str
    """What the codes are, from the first line."""
    entries: Mapping[str, str]
    """The code of each id, in the order of the file."""
    lines: Mapping[str, int]
    """The line of each id, for messages; no part of the table's meaning."""


def read_table(path: Path, file: str) -> tuple[MappingTable | None, list[Problem]]:
    """The table and what is wrong with it; no table when the file cannot be read as one at all."""
    if (size := path.stat().st_size) > TABLE_BYTES_MAX:
        text = f"the file has {size} bytes, allowed {TABLE_BYTES_MAX}"
        return None, [Problem(file, 1, 1, text, "split the table or look ids up in a system")]
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return None, [Problem(file, 1, 1, f"byte {error.start} is not UTF-8", "save the file as UTF-8 text")]
    rows: list[tuple[int, list[str]]] = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:  # bounded by TABLE_BYTES_MAX
            rows.append((reader.line_num, [cell.strip() for cell in cells]))
    except csv.Error as error:
        return None, [Problem(file, reader.line_num, 1, f"this is not CSV: {error}", "correct the quotes in this line")]
    return _table(rows, path.stem, file)


def _table(rows: list[tuple[int, list[str]]], name: str, file: str) -> tuple[MappingTable | None, list[Problem]]:
    header = rows[0][1] if rows else []
    if (problem := _header_problem(header, file)) is not None:
        return None, [problem]
    entries: dict[str, str] = {}
    lines: dict[str, int] = {}
    problems: list[Problem] = []
    for line, row in rows[1:]:
        if not any(row):
            continue
        if len(row) != len(header):
            problems.append(
                Problem(file, line, 1, f"the line has {len(row)} cells, the header {len(header)}", "make them equal")
            )
        elif not row[0] or not row[1]:
            problems.append(
                Problem(
                    file, line, 1, f"{header[0] if not row[0] else header[1]} is empty", "fill it or remove the line"
                )
            )
        elif row[0] in entries:
            text = f"{header[0]} {row[0]!r} stands here a second time (first in line {lines[row[0]]})"
            problems.append(Problem(file, line, 1, text, "keep one of them"))
        elif len(entries) == TABLE_ROWS_MAX:
            problems.append(
                Problem(
                    file, line, 1, f"the table has more than {TABLE_ROWS_MAX} ids", "look ids up in a system instead"
                )
            )
            break
        else:
            entries[row[0]], lines[row[0]] = row[1], line
    return MappingTable(name=name, id_column=header[0], value_column=header[1], entries=entries, lines=lines), problems


def _header_problem(header: list[str], file: str) -> Problem | None:
    fix = "name the columns in the first line, such as site_code,location"
    if len(header) < 2:
        return Problem(file, 1, 1, f"the header has {len(header)} columns, at least 2 are needed", fix)
    for column in header:
        if _COLUMN_NAME.fullmatch(column) is None:
            return Problem(file, 1, 1, f"{column!r} is no column name", fix)
    if len(set(header)) != len(header):
        return Problem(file, 1, 1, "the header names a column twice", fix)
    return None

"""Reads one SELECT whole: page by page, in key order, inside one read-only transaction, counted in the same one.

The database's client is synchronous and lives in one worker thread of its own for as long as the reading lasts.
Nothing is retried here: an interrupted reading has lost its transaction and starts anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import polars as pl
from sqlalchemy import Connection, CursorResult, Engine
from sqlalchemy.exc import SQLAlchemyError

from shared.errors import StopRun
from shared.ports.system import Column, ExpectedRows, Page
from shared.sql_reading.cells import frame_of
from shared.sql_reading.engine import begin_snapshot
from shared.sql_reading.refusals import translated
from shared.sql_reading.settings import ROWS_MAX, SqlSettings
from shared.sql_reading.shape import Statements, TableNeed, Tables, require_tables

COUNT_ORIGIN = "select count(*) in the same transaction"


@dataclass(frozen=True)
class SqlEntity:
    """One entity: what it needs, what it delivers and how it is asked for."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    """Columns that order the rows; their values are the reading's cursor."""
    needs: tuple[TableNeed, ...]
    build: Callable[[Tables], Statements]


class SqlReading:
    """One complete read of one entity; see `shared.ports.system.Reading`."""

    def __init__(self, entity: SqlEntity, *, engine: Engine, settings: SqlSettings, rows_max: int = ROWS_MAX) -> None:
        self._entity = entity
        self._rows_max = rows_max
        self._cursor = _Cursor(entity=entity, engine=engine, settings=settings)
        self._expected: ExpectedRows | None = None
        self._is_started = False

    @property
    def expected(self) -> ExpectedRows | None:
        """The count of the same transaction; None until the last page."""
        return self._expected

    def __aiter__(self) -> AsyncIterator[Page]:
        """The pages, in key order; at least one, which is empty when there are no rows."""
        if self._is_started:
            raise RuntimeError("a reading is iterated once; ask the source for a new one")
        self._is_started = True
        return self._pages()

    async def _pages(self) -> AsyncIterator[Page]:
        loop = asyncio.get_running_loop()
        # One thread for the whole reading: a connection of SQLite may not change threads.
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sql-reading")
        try:
            count = await loop.run_in_executor(thread, self._cursor.open)
            rows, number = 0, 0
            while True:
                number += 1
                page = await loop.run_in_executor(thread, self._cursor.page, number)
                rows += page.rows.height
                if rows > self._rows_max:
                    raise StopRun(
                        "SRC_INCOMPLETE",
                        f"entity {self._entity.name}: more than {self._rows_max} rows; the reading was stopped",
                        entity=self._entity.name,
                        rows_max=self._rows_max,
                    )
                if page.rows.height == 0 and number > 1:
                    break
                yield page
                if page.rows.height == 0:
                    break
            self._expected = ExpectedRows(rows=count, origin=COUNT_ORIGIN)
        finally:
            thread.submit(self._cursor.close)
            thread.shutdown(wait=False)


@dataclass
class _Cursor:
    """The open transaction; every method runs in the reading's thread."""

    entity: SqlEntity
    engine: Engine
    settings: SqlSettings
    connection: Connection | None = field(default=None, init=False)
    result: CursorResult[Any] | None = field(default=None, init=False)

    def open(self) -> int:
        """Begins the transaction, counts and asks for the rows; returns the count."""
        try:
            self.connection = connection = begin_snapshot(self.engine)
            tables = require_tables(
                connection, self.entity.needs, schema_name=self.settings.schema_name, entity=self.entity.name
            )
            statements = self.entity.build(tables)
            count = connection.execute(statements.count).scalar_one()
            self.result = connection.execution_options(
                stream_results=True, max_row_buffer=self.settings.page_rows
            ).execute(statements.rows)
        except SQLAlchemyError as problem:
            raise translated(problem, entity=self.entity.name) from None
        self._require_columns(list(self.result.keys()))
        return count

    def page(self, number: int) -> Page:
        """The next page; empty after the last row."""
        assert self.result is not None, "open comes first"  # noqa: S101 - own invariant
        try:
            rows = self.result.fetchmany(self.settings.page_rows)
        except SQLAlchemyError as problem:
            raise translated(problem, entity=self.entity.name) from None
        frame = frame_of(rows, self.entity.columns, entity=self.entity.name)
        key = frame.select(self.entity.key)
        return Page(
            number=number,
            rows=frame,
            first_cursor=_cursor_text(key.row(0)) if frame.height else "",
            last_cursor=_cursor_text(key.row(-1)) if frame.height else "",
            sha256=_digest(frame),
        )

    def close(self) -> None:
        """Ends the transaction; the connection goes, whatever state it is in."""
        connection, result = self.connection, self.result
        self.connection = self.result = None
        if connection is None:
            return
        try:
            if result is not None:
                result.close()  # a cursor on the server outlives its rows until it is told
            connection.close()
        except SQLAlchemyError:
            connection.invalidate()

    def _require_columns(self, found: Sequence[str]) -> None:
        declared = [column.name for column in self.entity.columns]
        if list(found) != declared:
            raise RuntimeError(f"entity {self.entity.name} selects {found}, but declares {declared}")


def _digest(frame: pl.DataFrame) -> str:
    """One JSON object a row: tells null from "", and does not depend on an engine's memory layout."""
    lines = io.BytesIO()
    frame.write_ndjson(lines)
    return hashlib.sha256(lines.getbuffer()).hexdigest()


def _cursor_text(values: Sequence[object]) -> str:
    return "|".join("" if value is None else str(value) for value in values)

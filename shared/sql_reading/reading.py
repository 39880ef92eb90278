"""Reads one SELECT whole: page by page, in key order, inside one transaction, with a count of its own.

What makes the count a proof depends on how far the database keeps the reading apart from those who write meanwhile
(`SqlSettings.proof`):

- *one state*: rows and count come from one unchanging state, so the count is the number of rows there are.
- *keys read twice*: only what is committed is seen, but a row that moves in the order (its key was changed) can be
  missed or come twice. So count and keys are read again after the last page, and must be the same ones in the same
  order; a row missed once would have to be missed twice, by two scans. Otherwise the rows moved: SRC_UNSTABLE.
- *none*: what is not committed is seen. A transaction that deletes half the table and is rolled back later looks the
  same to every count and every second look, so no count proves anything: `expected` stays None, and no removal is ever
  planned from such a reading. Only that no fewer rows came than were counted first is still looked at.

The database's client is synchronous and lives in one worker thread of its own for as long as the reading lasts.
Nothing is retried here: an interrupted reading has lost its transaction and starts anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Final

import polars as pl
from sqlalchemy import Connection, CursorResult, Engine
from sqlalchemy.exc import SQLAlchemyError

from shared.errors import NeedsPerson, StopRun, TryLater
from shared.ports.metering import Request
from shared.ports.surroundings import Surroundings
from shared.ports.system import ExpectedRows, Finding, Page
from shared.sql_reading.cells import frame_of, with_joined
from shared.sql_reading.engine import begin_snapshot
from shared.sql_reading.refusals import translating
from shared.sql_reading.settings import ROWS_MAX, SqlSettings
from shared.sql_reading.shape import SqlEntity, Statements, require_tables

COUNT_ORIGIN = "select count(*) in the same transaction"
TWICE_ORIGIN = "select count(*) before and after the rows, whose keys were the same when read again"

Preflight = Callable[[Connection], Sequence[Finding]]
"""Looks at a database before anything is read from it; a finding that is not good stops the reading."""
Prepare = Callable[[], None]
"""Makes the database ready before it is connected to, for a system that keeps tables of its own."""


class SqlReading:
    """One complete read of one entity; see `shared.ports.system.Reading`."""

    def __init__(
        self,
        entity: SqlEntity,
        *,
        engine: Engine,
        settings: SqlSettings,
        surroundings: Surroundings | None = None,
        preflight: Preflight | None = None,
        prepare: Prepare | None = None,
        rows_max: int = ROWS_MAX,
    ) -> None:
        self._surroundings = surroundings or Surroundings()
        self._entity = entity
        self._rows_max = rows_max
        self._cursor = _Cursor(entity=entity, engine=engine, settings=settings, preflight=preflight, prepare=prepare)
        self._expected: ExpectedRows | None = None
        self._is_started = False

    @property
    def expected(self) -> ExpectedRows | None:
        """The proven count; None until the last page, and for ever where the isolation lets none be proven."""
        return self._expected

    def __aiter__(self) -> AsyncIterator[Page]:
        """The pages, in key order; at least one, which is empty when there are no rows."""
        if self._is_started:
            raise RuntimeError("a reading is iterated once; ask the source for a new one")
        self._is_started = True
        return self._pages()

    async def _pages(self) -> AsyncIterator[Page]:
        # A reading is one request of the connection's budget, however many pages it comes in.
        await self._surroundings.pacer.turn("SRC")
        began, outcome = self._surroundings.clock.monotonic_seconds(), "no answer"
        request = _request_to(self._cursor.engine)
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
            self._expected = await loop.run_in_executor(thread, self._cursor.proven, count, rows)
            outcome = "done"
        except (NeedsPerson, StopRun) as error:
            outcome, request = "refused", replace(request, error=error.code)
            raise
        except TryLater as error:
            request = replace(request, error=error.code)
            if error.failure.category == "rate_limited":
                await self._surroundings.pacer.slow_down(error.retry_after_seconds)
            raise
        finally:
            thread.submit(self._cursor.close)
            thread.shutdown(wait=False)
            seconds = self._surroundings.clock.monotonic_seconds() - began
            self._surroundings.meter.saw(use="SRC", outcome=outcome, seconds=seconds, request=request)


_DATABASES: Final = {"mssql": "microsoft.sql_server", "postgresql": "postgresql", "mysql": "mysql", "sqlite": "sqlite"}
"""What OpenTelemetry calls the databases that SQLAlchemy knows by these names."""


def _request_to(engine: Engine) -> Request:
    """What may be told of the reading: which database is asked, never for what."""
    database = _DATABASES.get(engine.dialect.name, "other_sql")
    return Request("SELECT", host=engine.url.host, port=engine.url.port, database=database)


@dataclass
class _Cursor:
    """The open transaction; every method runs in the reading's thread."""

    entity: SqlEntity
    engine: Engine
    settings: SqlSettings
    preflight: Preflight | None = None
    prepare: Prepare | None = None
    connection: Connection | None = field(default=None, init=False)
    statements: Statements | None = field(default=None, init=False)
    result: CursorResult[Any] | None = field(default=None, init=False)
    keys: Any = field(default_factory=hashlib.sha256, init=False)
    """Of every key so far, in order."""

    def open(self) -> int:
        """Begins the transaction, counts and asks for the rows; returns the count."""
        with translating(entity=self.entity.name):
            if self.prepare is not None:
                self.prepare()
            self.connection = connection = begin_snapshot(self.engine)
            self._require_preflight(connection)
            tables = require_tables(
                connection, self.entity.needs, schema_name=self.settings.schema_name, entity=self.entity.name
            )
            self.statements = statements = self.entity.build(tables)
            count: int = connection.execute(statements.count).scalar_one()
            self.result = connection.execution_options(
                stream_results=True, max_row_buffer=self.settings.page_rows
            ).execute(statements.rows)
        self._require_columns(list(self.result.keys()))
        return count

    def page(self, number: int) -> Page:
        """The next page; empty after the last row."""
        assert self.result is not None, "open comes first"  # noqa: S101 - own invariant
        with translating(entity=self.entity.name):
            rows = self.result.fetchmany(self.settings.page_rows)
        frame = frame_of(rows, self.entity.selected, entity=self.entity.name)
        key = frame.select(self.entity.key)
        if self.settings.proof == "keys read twice":
            self.keys.update(_lines(key))
        frame = with_joined(frame, self.entity.joined, order=[column.name for column in self.entity.columns])
        return Page(
            number=number,
            rows=frame,
            first_cursor=_cursor_text(key.row(0)) if frame.height else "",
            last_cursor=_cursor_text(key.row(-1)) if frame.height else "",
            sha256=_digest(frame),
        )

    def proven(self, count: int, rows: int) -> ExpectedRows | None:
        """How many rows there are, as far as this reading can prove it; `rows` have come."""
        match self.settings.proof:
            case "one state":
                return ExpectedRows(rows=count, origin=COUNT_ORIGIN)
            case "keys read twice":
                again = self._count_keys_again()
                if not count == rows == again:
                    raise self._moved(f"{count} rows before, {rows} read, {again} rows of the same keys after")
                return ExpectedRows(rows=count, origin=TWICE_ORIGIN)
            case "none":
                if rows < count:
                    raise self._moved(f"{count} rows were counted and {rows} came")
                return None

    def close(self) -> None:
        """Ends the transaction; the connection goes, whatever state it is in."""
        connection, result = self.connection, self.result
        self.connection = self.result = None
        if connection is None:
            return
        try:
            if self.settings.is_sql_server:
                # Rows that nobody fetched would have to be fetched before a ROLLBACK; without the connection the
                # server ends the transaction by itself.
                connection.invalidate()
            elif result is not None:
                result.close()  # a cursor on the server outlives its rows until it is told
            connection.close()
        except SQLAlchemyError:
            connection.invalidate()

    def _count_keys_again(self) -> int | None:
        """How many keys there are now; None when they are others than those that were read."""
        assert self.connection is not None and self.statements is not None, "open comes first"  # noqa: S101 - own invariant
        assert self.result is not None, "open comes first"  # noqa: S101 - own invariant
        columns = {column.key: column for column in self.statements.rows.selected_columns}
        declared = {column.name: column for column in self.entity.selected}
        wanted = [declared[name] for name in self.entity.key]
        keys, count = hashlib.sha256(), 0
        with translating(entity=self.entity.name):
            self.result.close()
            statement = self.statements.rows.with_only_columns(
                *(columns[name] for name in self.entity.key), maintain_column_froms=True
            )
            self.result = self.connection.execution_options(
                stream_results=True, max_row_buffer=self.settings.page_rows
            ).execute(statement)
            while rows := self.result.fetchmany(self.settings.page_rows):
                count += len(rows)
                keys.update(_lines(frame_of(rows, wanted, entity=self.entity.name)))
                if count > ROWS_MAX:
                    return None
            counted = self.connection.execute(self.statements.count).scalar_one()
        return count if count == counted and keys.digest() == self.keys.digest() else None

    def _moved(self, seen: str) -> StopRun:
        return StopRun(
            "SRC_UNSTABLE",
            f"entity {self.entity.name}: the rows moved while they were read: {seen}; read again, or allow snapshots",
            entity=self.entity.name,
        )

    def _require_preflight(self, connection: Connection) -> None:
        for finding in self.preflight(connection) if self.preflight is not None else ():
            if not finding.is_good:
                raise NeedsPerson("SRC_CONFIG", f"entity {self.entity.name}: {finding.text}", entity=self.entity.name)

    def _require_columns(self, found: Sequence[str]) -> None:
        declared = [column.name for column in self.entity.selected]
        if list(found) != declared:
            raise RuntimeError(f"entity {self.entity.name} selects {found}, but declares {declared}")


def _digest(frame: pl.DataFrame) -> str:
    return hashlib.sha256(_lines(frame)).hexdigest()


def _lines(frame: pl.DataFrame) -> bytes:
    """One JSON object a row: tells null from "", and does not depend on an engine's memory layout."""
    lines = io.BytesIO()
    frame.write_ndjson(lines)
    return lines.getvalue()


def _cursor_text(values: Sequence[object]) -> str:
    return "|".join("" if value is None else str(value) for value in values)

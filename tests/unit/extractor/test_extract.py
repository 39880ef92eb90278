"""Reading: what is handed on, what is certified, and what a broken reading leaves: nothing."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

import services.extractor.extract as extracting
from services.extractor.extract import HANDED_ROWS, Extract, TakenUp, extract
from shared.clock import Clock, SystemClock, to_text
from shared.errors import NeedsPerson, StopRun
from shared.ports.connections import Connection
from shared.ports.system import Column, ExpectedRows, Finding, Page
from shared.records.certificate import PageReceipt

COLUMNS = (Column("id", "integer"), Column("name", "text"), Column("active", "boolean"))


@dataclass
class PagedSource:
    """Gives the pages that a test wants, and may break after them."""

    pages: Sequence[pl.DataFrame]
    expected: int | None = None
    breaks: Exception | None = None
    read_pages: list[int] = field(default_factory=list)

    def columns(self, entity: str) -> Sequence[Column]:
        return COLUMNS

    def read(self, entity: str) -> PagedReading:
        return PagedReading(self)

    def resume(self, entity: str, *, after: str) -> PagedReading:
        return PagedReading(self, behind=int(after))

    async def check(self) -> Sequence[Finding]:
        return []

    async def close(self) -> None:
        return


def sha256_of(number: int) -> str:
    return hashlib.sha256(f"{number}".encode()).hexdigest()


@dataclass
class PagedReading:
    source: PagedSource
    behind: int = 0

    async def __aiter__(self) -> AsyncIterator[Page]:
        for number, rows in list(enumerate(self.source.pages, start=1))[self.behind :]:
            await asyncio.sleep(0)
            self.source.read_pages.append(number)
            yield Page(number, rows, str(number), str(number), sha256_of(number))
        if self.source.breaks is not None:
            raise self.source.breaks

    @property
    def expected(self) -> ExpectedRows | None:
        return None if self.source.expected is None else ExpectedRows(self.source.expected, "count")


def page(first: int, rows: int) -> pl.DataFrame:
    ids = list(range(first, first + rows))
    return pl.DataFrame({"id": ids, "name": [f"N{n}" for n in ids], "active": [True] * rows})


async def read(
    source: PagedSource,
    sink: Callable[[pl.DataFrame], None],
    *,
    taken_up: TakenUp | None = None,
    clock: Clock | None = None,
) -> Extract:
    connection = Connection.model_validate({"name": "hr", "system": "aeries_sql", "environment": "staging"})
    return await extract(
        source,
        connection=connection,
        name="hr",
        entity="people",
        side="source",
        clock=clock or SystemClock(),
        sink=sink,
        taken_up=taken_up,
    )


async def test_every_row_is_handed_on_in_order_many_pages_at_a_time() -> None:
    handed: list[pl.DataFrame] = []
    pages = [page(n * 500, 500) for n in range(50)]
    got = await read(PagedSource(pages, expected=25_000), handed.append)
    assert pl.concat(handed).equals(pl.concat(pages))
    assert len(handed) == -(-25_000 // (-(-HANDED_ROWS // 500) * 500))
    assert got.rows == 25_000
    assert got.certificate is not None
    assert got.certificate.pages == 50
    assert got.schema == pages[0].schema


async def test_rows_are_taken_while_the_next_pages_are_read() -> None:
    """The sink waits for a later page: it could never have been read, were it read only after the sink."""
    source = PagedSource([page(n * HANDED_ROWS, HANDED_ROWS) for n in range(4)], expected=4 * HANDED_ROWS)
    is_late = threading.Event()

    def sink(frame: pl.DataFrame) -> None:
        if frame.item(0, "id") == 0:
            assert is_late.wait(10)
        assert threading.current_thread() is not threading.main_thread()

    async def watch() -> None:
        while 2 not in source.read_pages:
            await asyncio.sleep(0.001)
        is_late.set()

    async with asyncio.timeout(10):
        got, _ = await asyncio.gather(read(source, sink), watch())
    assert got.certificate is not None


async def test_at_most_one_frame_waits_however_slow_the_sink_is() -> None:
    source = PagedSource([page(n * HANDED_ROWS, HANDED_ROWS) for n in range(6)], expected=6 * HANDED_ROWS)
    may_go_on = threading.Event()

    def slow(_: pl.DataFrame) -> None:
        may_go_on.wait(10)

    task = asyncio.create_task(read(source, slow))
    async with asyncio.timeout(10):
        while len(source.read_pages) < 2:
            await asyncio.sleep(0.001)
        for _ in range(50):
            await asyncio.sleep(0)
        assert source.read_pages == [1, 2]
        may_go_on.set()
        assert (await task).rows == 6 * HANDED_ROWS


async def test_an_entity_without_rows_hands_on_its_columns() -> None:
    handed: list[pl.DataFrame] = []
    got = await read(PagedSource([], expected=0), handed.append)
    assert [frame.schema for frame in handed] == [{"id": pl.Int64, "name": pl.String, "active": pl.Boolean}]
    assert got.rows == 0
    assert got.certificate is not None


@pytest.mark.parametrize("error", [StopRun("SRC_WRONG_SHAPE", "an HTML page"), NeedsPerson("SRC_AUTH", "refused")])
async def test_a_reading_that_breaks_off_is_of_no_use(error: StopRun | NeedsPerson) -> None:
    got = await read(PagedSource([page(0, 20)], expected=20, breaks=error), lambda _: None)
    assert (got.rows, got.schema, got.certificate) == (None, None, None)
    assert got.incomplete is not None
    assert got.incomplete.code == error.code
    assert "hr/people" in got.incomplete.text


async def test_too_few_rows_have_no_certificate_but_can_be_used() -> None:
    got = await read(PagedSource([page(0, 20)], expected=21), lambda _: None)
    assert (got.rows, got.certificate) == (20, None)
    assert got.schema is not None
    assert got.incomplete is not None
    assert "short of the 21 expected" in got.incomplete.text


async def test_a_full_disk_breaks_the_reading_off() -> None:
    def full(_: pl.DataFrame) -> None:
        raise StopRun("SYS_HANDLER_FAILED", "no room")

    got = await read(PagedSource([page(0, HANDED_ROWS), page(HANDED_ROWS, 5)], expected=HANDED_ROWS + 5), full)
    assert got.schema is None
    assert got.incomplete is not None
    assert got.incomplete.text == "hr/people: no room"


async def test_a_defect_of_the_sink_is_not_hidden() -> None:
    def defective(_: pl.DataFrame) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await read(PagedSource([page(0, 5)], expected=5), defective)


async def test_a_system_that_pages_in_a_circle_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extracting, "PAGES_MAX", 10)
    source = PagedSource([page(n, 1) for n in range(50)])
    got = await read(source, lambda _: None)
    assert len(source.read_pages) == 11
    assert got.schema is None
    assert got.incomplete is not None
    assert "page in a circle" in got.incomplete.text


async def test_pages_of_different_shape_give_what_fits_all() -> None:
    handed: list[pl.DataFrame] = []
    pages = [page(0, 2), pl.DataFrame({"id": ["x"], "late": [1]})]
    got = await read(PagedSource(pages, expected=3), handed.append)
    assert got.schema == {"id": pl.String, "name": pl.String, "active": pl.Boolean, "late": pl.Int64}
    assert handed[0].get_column("id").to_list() == ["0", "1", "x"]


BEGAN_AT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def left_behind(source: PagedSource, pages: int) -> TakenUp:
    """A reading whose process died behind so many pages."""
    receipts = [
        PageReceipt(
            number=number,
            rows=source.pages[number - 1].height,
            first_cursor=str(number),
            last_cursor=str(number),
            sha256=sha256_of(number),
        )
        for number in range(1, pages + 1)
    ]
    shape = source.pages[0].clear()
    return TakenUp(source, str(pages), receipts, shape, started_at=BEGAN_AT, resumed=1)


@pytest.mark.parametrize("durable", range(1, 8))
async def test_a_reading_taken_up_asks_for_the_rest_and_is_certified_as_a_whole(durable: int) -> None:
    pages = [page(n * 5, 5) for n in range(7)]
    whole = await read(PagedSource(pages, expected=35), lambda _: None)
    source, handed = PagedSource(pages, expected=35), list[pl.DataFrame]()
    got = await read(source, handed.append, taken_up=left_behind(source, durable))
    assert source.read_pages == list(range(durable + 1, 8))
    assert sum(frame.height for frame in handed) == (7 - durable) * 5
    assert got.rows == 35
    assert got.schema == whole.schema
    assert got.certificate is not None and whole.certificate is not None
    assert (got.certificate.started_at, got.certificate.resumed) == (to_text(BEGAN_AT), 1)
    times = {"started_at", "ended_at", "resumed"}
    assert got.certificate.model_dump(exclude=times) == whole.certificate.model_dump(exclude=times)


async def test_a_page_lost_between_two_processes_is_missed_by_the_certificate() -> None:
    source = PagedSource([page(n * 5, 5) for n in range(7)], expected=35)
    point = left_behind(source, 3)
    got = await read(source, lambda _: None, taken_up=TakenUp(source, "4", point.receipts, point.shape, BEGAN_AT, 1))
    assert got.certificate is None
    assert got.incomplete is not None
    assert "page 4 is missing" in got.incomplete.text


async def test_a_clock_set_back_while_reading_does_not_spoil_it() -> None:
    moments = [BEGAN_AT, BEGAN_AT - timedelta(hours=1)]

    class Backwards(SystemClock):
        def now(self) -> datetime:
            return moments.pop(0)

    got = await read(PagedSource([page(0, 5)], expected=5), lambda _: None, clock=Backwards())
    assert got.certificate is not None
    assert got.certificate.ended_at == got.certificate.started_at == to_text(BEGAN_AT)

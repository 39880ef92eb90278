"""An extractor that dies while it reads: the next one asks only for what is missing, and nobody can tell the snapshots
apart; whatever moved in between is read from the start."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from services.extractor.checkpoints import Checkpoint, CheckpointRule, Checkpoints
from services.extractor.handlers import Context, on_read_side
from services.extractor.rereading import REREADS_MAX
from shared.bus.connect import client_of, leave
from shared.bus.reading import last
from shared.clock import SystemClock, from_text
from shared.errors import StopRun
from shared.events.commands import ReadSide
from shared.events.envelope import decode
from shared.events.facts import SnapshotRead
from shared.ports.connections import Connection
from shared.ports.surroundings import Surroundings
from shared.ports.system import Page, Reading, Resumable, Source
from shared.records.certificate import PageReceipt
from shared.records.subjects import checkpoint_subject, snapshot_read_subject
from shared.run.states import RunStatus
from shared.secrets import Secret
from tests.integration.handlers.mortal_sources import Mortal, OneSource, Shelf
from tests.integration.handlers.small_house import IDS, SmallHouse
from tests.simulators.conftest import READ_TOKEN, Titan, contact, running_titan, seed
from tests.support.systems import installed_systems

PAGE_ROWS, PAGES = 10, 7
ROWS = 65
EVERY_PAGE = CheckpointRule(seconds=0)


@pytest.fixture
def titan() -> Iterator[Titan]:
    """TitanHST with seven pages of contacts, the last one not full."""
    world = seed(ROWS)
    world["contacts"] = [{**one, "email": f"p{n}@example.org"} for n, one in enumerate(world["contacts"])]
    with running_titan(seed=world) as running:
        yield running


def titan_source(titan: Titan) -> Resumable:
    surroundings = Surroundings(resolve=lambda _: Secret(READ_TOKEN))
    settings = {"base_url": titan.url, "token": "env:X", "page_limit": PAGE_ROWS, "pages_in_flight": 1}
    connection = Connection(name="alerts", system="titanhst", environment="staging", settings=settings)
    source = installed_systems(surroundings=surroundings).open_source(connection)
    assert isinstance(source, Resumable)
    return source


async def context_of(house: SmallHouse, source: Source, rule: CheckpointRule | None = EVERY_PAGE) -> Context:
    """A fresh extractor that reads this source and never sleeps."""

    async def at_once(_: float) -> None:
        return

    made: Context = (await house.replica("extractor")).context
    rng = random.Random(1)
    return replace(made, registry=OneSource(source), checkpoints=rule, sleep=at_once, rng=rng)


async def killed_behind(
    house: SmallHouse, side: Any, source: Resumable, pages: int, rule: CheckpointRule = EVERY_PAGE
) -> None:
    """An extractor dies behind that page: nothing more of it reaches the bus."""
    mortal = Mortal(source, pages)
    context = await context_of(house, mortal, rule)
    reading = asyncio.create_task(on_read_side(ReadSide(run=house.run, side=side, entity="contacts"), context))
    async with asyncio.timeout(20):
        await mortal.is_reached.wait()
    await leave(client_of(context.js))
    reading.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await reading
    await source.close()


async def read_to_the_end(house: SmallHouse, side: Any, context: Context) -> SnapshotRead:
    """The side is read; what is told of it."""
    move = await on_read_side(ReadSide(run=house.run, side=side, entity="contacts"), context)
    assert move is not None
    await context.committer.commit(move)
    subject = snapshot_read_subject(run=house.run, side=side, entity="contacts")
    stored = await last(context.js, "CORE", subject)
    assert stored is not None
    return decode(SnapshotRead, data=stored.data, headers=stored.headers, subject=subject)


async def request_anew(house: SmallHouse) -> None:
    """Another run of the house, after what is left of the present one."""
    if house.run:
        await house.cancel()
    assert (await house.request("dry-run")).is_accepted


async def uninterrupted(house: SmallHouse, side: Any, source: Source) -> SnapshotRead:
    """What a run reads that nobody disturbs."""
    await request_anew(house)
    return await read_to_the_end(house, side, await context_of(house, source))


def alike(fact: SnapshotRead, other: SnapshotRead) -> bool:
    """Whether nobody can tell what was read, except by the times and by how often it was taken up."""
    times = {"started_at", "ended_at", "resumed"}
    certificates = [[one.model_dump(exclude=times) for one in each.certificates] for each in (fact, other)]
    return (
        certificates[0] == certificates[1]
        and fact.partitions == other.partitions
        and (fact.records, fact.sources, fact.incomplete) == (other.records, other.sources, other.incomplete)
    )


def offsets(titan: Titan, after_seq: int) -> list[int]:
    return [int(one["query"]["offset"]) for one in titan.journal(after_seq=after_seq) if one["method"] == "GET"]


def seq(titan: Titan) -> int:
    return max((int(one["seq"]) for one in titan.journal()), default=0)


# --- taken up -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pages", range(PAGES + 1))
async def test_a_list_whose_reader_died_is_asked_only_for_what_is_missing(
    house: SmallHouse, titan: Titan, pages: int
) -> None:
    whole = await uninterrupted(house, "target", titan_source(titan))
    assert (whole.records, len(whole.certificates)) == (ROWS, 1)
    await request_anew(house)
    await killed_behind(house, "target", titan_source(titan), pages)
    before = seq(titan)
    fact = await read_to_the_end(house, "target", await context_of(house, titan_source(titan)))
    assert alike(fact, whole)
    asked = offsets(titan, before)
    # The last durable page is looked at once more.
    wanted = list(range(max(pages - 1, 0) * PAGE_ROWS, ROWS, PAGE_ROWS))
    assert sorted(set(asked)) == wanted
    assert len(asked) <= len(wanted) + 1, "one more may still be on its way from the dead one"
    assert fact.certificates[0].resumed == (1 if pages else 0)


@pytest.mark.parametrize("pages", range(6))
async def test_a_source_is_taken_up_like_a_target(house: SmallHouse, pages: int) -> None:
    whole = await uninterrupted(house, "source", Shelf(house.people))
    await request_anew(house)
    await killed_behind(house, "source", Shelf(house.people), pages)
    killed_at = SystemClock().now()
    shelf = Shelf(house.people)
    fact = await read_to_the_end(house, "source", await context_of(house, shelf))
    assert alike(fact, whole)
    assert shelf.asked == list(range(pages + 1, 6))
    # What is decided by time is decided as of the first page, whoever asked for it.
    began = [from_text(fact.started_at), from_text(fact.certificates[0].started_at)]
    assert all((moment <= killed_at) == (pages > 0) for moment in began)


async def test_a_reading_can_be_taken_up_more_than_once(house: SmallHouse, titan: Titan) -> None:
    whole = await uninterrupted(house, "target", titan_source(titan))
    await request_anew(house)
    for pages in (2, 3, 1):
        await killed_behind(house, "target", titan_source(titan), pages)
    before = seq(titan)
    fact = await read_to_the_end(house, "target", await context_of(house, titan_source(titan)))
    assert alike(fact, whole)
    assert min(offsets(titan, before)) == (2 + 3 + 1 - 1) * PAGE_ROWS
    assert fact.certificates[0].resumed == 3


async def test_rows_are_kept_by_the_batch_and_by_the_used_columns(house: SmallHouse) -> None:
    await request_anew(house)
    shelf = Shelf(house.people)
    await killed_behind(house, "source", shelf, 5, CheckpointRule(seconds=9_999, rows=4))
    found = await checkpoint(house, "source", "source-person")
    assert found is not None
    assert [chunk.pages.rows for chunk in found.chunks] == [4, 4]
    assert [chunk.receipts.rows for chunk in found.chunks] == [2, 2]
    frames = [
        pl.read_ipc_stream(one.data)
        async for one in house.stored("SNAP", f"snap.{house.run}.source.contacts.*.pages-source-person")
    ]
    assert len(frames) == 2
    assert all(frame.columns == ["id", "first", "email", "role"] for frame in frames)


# --- not taken up ---------------------------------------------------------------------------------------------------


async def test_a_list_that_moved_in_between_is_read_from_the_start_and_never_taken_up_again(
    house: SmallHouse, titan: Titan
) -> None:
    await request_anew(house)
    await killed_behind(house, "target", titan_source(titan), 3)
    made = titan.writer.post("/contacts", json=contact(externalId="E999"))
    assert made.status_code == 201
    await killed_behind(house, "target", titan_source(titan), 0)
    found = await checkpoint(house, "target", "target-contacts")
    assert found is not None and found.chunks == ()
    # As it was before: the old pages would fit again, and nobody may use them.
    assert titan.writer.delete(f"/contacts/{made.json()['id']}").status_code == 204
    before = seq(titan)
    fact = await read_to_the_end(house, "target", await context_of(house, titan_source(titan)))
    assert sorted(set(offsets(titan, before))) == list(range(0, ROWS, PAGE_ROWS))
    assert (fact.records, fact.certificates[0].resumed, fact.rereads) == (ROWS, 0, 0)


async def test_a_changed_record_on_the_last_durable_page_is_not_overlooked(house: SmallHouse, titan: Titan) -> None:
    await request_anew(house)
    await killed_behind(house, "target", titan_source(titan), 3)
    assert titan.writer.patch("/contacts/c-000025", json={"firstName": "Grace"}).status_code == 200
    fact = await read_to_the_end(house, "target", await context_of(house, titan_source(titan)))
    whole = await uninterrupted(house, "target", titan_source(titan))
    assert alike(fact, whole)
    assert fact.certificates[0].resumed == 0


async def test_without_a_resume_point_nothing_is_left_on_the_bus(house: SmallHouse) -> None:
    await request_anew(house)
    await killed_behind(house, "source", Shelf(house.people, point=None), 3)
    assert await checkpoint(house, "source", "source-person") is None
    assert not [one async for one in house.stored("SNAP", f"snap.{house.run}.>")]
    shelf = Shelf(house.people)
    await read_to_the_end(house, "source", await context_of(house, shelf))
    assert shelf.asked == [1, 2, 3, 4, 5]


async def test_where_no_rows_may_be_kept_none_are(house: SmallHouse) -> None:
    await request_anew(house)
    context = await context_of(house, Shelf(house.people), rule=None)
    fact = await read_to_the_end(house, "source", replace(context, replay_rows_max=0))
    assert fact.records == len(house.people)
    kept = [one.subject async for one in house.stored("SNAP", f"snap.{house.run}.>") if "pages-" in one.subject]
    assert kept == []


async def test_a_row_too_large_for_the_bus_is_no_reason_to_stop_reading(house: SmallHouse) -> None:
    await request_anew(house)
    long = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=1_500_000))
    house.people[4]["role"] = long
    context = await context_of(house, Shelf(house.people))
    checkpoints = of_this_run(house, context).of(
        "source-person", connection=CONNECTION, entity="people", columns=["id", "role"]
    )
    checkpoints.begin()
    async for page in Shelf(house.people).read("people"):
        await checkpoints.keep(page, receipt(page))
    found = await checkpoint(house, "source", "source-person")
    assert found is not None
    assert len(found.chunks) == 2, "the pages before that row can still be taken up"


CONNECTION = Connection(name="people", system="people_system", environment="staging")


@dataclass
class Later(SystemClock):
    """The machine's clock, so much later or earlier."""

    by: timedelta

    def now(self) -> datetime:
        return datetime.now(UTC) + self.by


def of_this_run(house: SmallHouse, context: Context, **changes: Any) -> Checkpoints:
    settings: dict[str, Any] = {"target_serial": 7, "clock": context.clock, "rule": EVERY_PAGE} | changes
    return Checkpoints(js=context.js, run=house.run, side="source", entity="contacts", ids=IDS, **settings)


def receipt(page: Page) -> PageReceipt:
    return PageReceipt(
        number=page.number,
        rows=page.rows.height,
        first_cursor=page.first_cursor,
        last_cursor=page.last_cursor,
        sha256=page.sha256,
    )


async def checkpoint(house: SmallHouse, side: str, reading: str) -> Checkpoint | None:
    """The last checkpoint of a reading."""
    subject = checkpoint_subject(run=house.run, side=side, entity="contacts", reading=reading)
    found = [one async for one in house.stored("SNAP", subject)]
    return Checkpoint.model_validate_json(found[-1].data) if found else None


@pytest.mark.parametrize(
    ("changes", "is_taken_up"),
    [
        ({}, True),
        ({"clock": Later(timedelta(minutes=14))}, True),
        ({"clock": Later(timedelta(minutes=16))}, False),
        ({"clock": Later(timedelta(minutes=-1))}, False),
        ({"target_serial": 8}, False),
        ({"connection": CONNECTION.model_copy(update={"settings": {"base_url": "https://other.example"}})}, False),
        ({"columns": ["id"]}, False),
        ({"entity": "jobs"}, False),
        ({"damage": True}, False),
    ],
    ids=["as left", "soon", "too late", "from the future", "applied since", "settings", "columns", "entity", "damaged"],
)
async def test_only_what_is_surely_the_same_reading_is_taken_up(
    house: SmallHouse, changes: dict[str, Any], is_taken_up: bool
) -> None:
    await request_anew(house)
    context = await context_of(house, Shelf(house.people))
    what: dict[str, Any] = {"connection": CONNECTION, "entity": "people", "columns": ["id", "email"]}
    left = of_this_run(house, context).of("source-person", **what)
    async for page in Shelf(house.people).read("people"):
        await left.keep(page, receipt(page))
    if changes.pop("damage", False):
        found = await checkpoint(house, "source", "source-person")
        assert found is not None
        pages = found.chunks[0].pages.model_copy(update={"sha256": "0" * 64})
        chunks = (found.chunks[0].model_copy(update={"pages": pages}), *found.chunks[1:])
        await left._stored(found.model_copy(update={"chunks": chunks}))
    what |= {name: changes.pop(name) for name in list(changes) if name in what}
    handed: list[pl.DataFrame] = []
    successor = of_this_run(house, context, **changes).of("source-person", **what)
    taken_up = await successor.take_up(Shelf(house.people), handed.append)
    assert (taken_up is not None) == is_taken_up
    if taken_up is not None:
        assert [one.number for one in taken_up.receipts] == [1, 2, 3, 4, 5]
        assert taken_up.after == "p5"
        assert taken_up.shape.columns == ["id", "first", "email", "role", "unused"]
        ids = pl.concat(handed).get_column("id").to_list()
        assert sorted(ids) == sorted(str(one["id"]) for one in house.people)


async def test_of_two_readers_at_once_only_what_one_of_them_saw_is_taken_up(house: SmallHouse) -> None:
    """The first was taken for dead and goes on; each writes documents, and neither's rows come twice."""
    await request_anew(house)
    context = await context_of(house, Shelf(house.people))
    what: dict[str, Any] = {"connection": CONNECTION, "entity": "people", "columns": ["id"]}
    readers = [of_this_run(house, context).of("source-person", **what) for _ in range(2)]
    pages = [page async for page in Shelf(house.people).read("people")]
    for reader, number in ((0, 1), (0, 2), (1, 1), (0, 3), (1, 2)):
        await readers[reader].keep(pages[number - 1], receipt(pages[number - 1]))
    handed: list[pl.DataFrame] = []
    taken_up = await of_this_run(house, context).of("source-person", **what).take_up(Shelf([]), handed.append)
    assert taken_up is not None
    assert ([one.number for one in taken_up.receipts], taken_up.after) == ([1, 2], "p2")
    assert pl.concat(handed).get_column("id").sort().to_list() == ["E1", "E2", "E3", "E4"]


async def test_nothing_more_is_kept_of_a_reading_that_nobody_may_take_up_any_more(house: SmallHouse) -> None:
    await request_anew(house)
    context = await context_of(house, Shelf(house.people))
    clock = Later(timedelta())
    checkpoints = of_this_run(house, context, clock=clock).of(
        "source-person", connection=CONNECTION, entity="people", columns=["id"]
    )
    async for page in Shelf(house.people).read("people"):
        clock.by = timedelta(minutes=8 * (page.number - 1))
        await checkpoints.keep(page, receipt(page))
    found = await checkpoint(house, "source", "source-person")
    assert found is not None
    assert len(found.chunks) == 2, "at once and after eight minutes, and not after sixteen"


async def test_what_is_kept_leaves_the_bus_by_itself(house: SmallHouse) -> None:
    await request_anew(house)
    await killed_behind(house, "source", Shelf(house.people), 3)
    stored = [one async for one in house.stored("SNAP", f"snap.{house.run}.>")]
    assert len(stored) == 9, "rows, receipts and a document for each page"
    assert {one.headers["Nats-TTL"] for one in stored} == {"1200"}


# --- read anew ------------------------------------------------------------------------------------------------------

FAULTS = [{"kind": "repeated_page"}, {"kind": "short_page", "items_missing": 3}]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault["kind"]))
async def test_pages_that_shift_once_cost_a_second_reading_and_no_certificate(
    house: SmallHouse, titan: Titan, fault: dict[str, Any]
) -> None:
    whole = await uninterrupted(house, "target", titan_source(titan))
    await request_anew(house)
    titan.arm(**fault, method="GET", path_pattern="/contacts$", after=2)
    before = seq(titan)
    fact = await read_to_the_end(house, "target", await context_of(house, titan_source(titan)))
    assert alike(fact, whole)
    assert fact.rereads == 1
    assert offsets(titan, before).count(0) == 2


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault["kind"]))
async def test_pages_that_never_stop_shifting_block_the_run(
    house: SmallHouse, titan: Titan, fault: dict[str, Any]
) -> None:
    await request_anew(house)
    titan.arm(**fault, method="GET", path_pattern="/contacts$", after=2, times=1_000)
    before = seq(titan)
    fact = await read_to_the_end(house, "target", await context_of(house, titan_source(titan)))
    assert fact.incomplete is not None
    assert (fact.incomplete.code, fact.certificates, fact.partitions) == ("SRC_UNSTABLE", (), ())
    assert "(read 3 times)" in fact.incomplete.text
    assert (fact.rereads, offsets(titan, before).count(0)) == (REREADS_MAX, REREADS_MAX + 1)
    state = await house.state()
    assert state.status is RunStatus.BLOCKED
    assert state.failure is not None and state.failure.code == "SRC_UNSTABLE"


@pytest.mark.parametrize("kind", ["torn_body", "html_page", "unauthorized"])
async def test_another_answer_than_a_page_is_not_asked_for_anew(house: SmallHouse, titan: Titan, kind: str) -> None:
    await request_anew(house)
    titan.arm(kind=kind, method="GET", path_pattern="/contacts$", after=2)
    before = seq(titan)
    fact = await read_to_the_end(house, "target", await context_of(house, titan_source(titan)))
    assert fact.incomplete is not None and fact.incomplete.code in {"SRC_WRONG_SHAPE", "SRC_AUTH"}
    assert (fact.rereads, offsets(titan, before).count(0)) == (0, 1)


async def test_a_reading_taken_up_that_then_moves_is_read_from_the_start_without_a_pause(house: SmallHouse) -> None:
    """The earlier reading was left for another reason; its end does not count as one that was thrown away."""
    await request_anew(house)
    await killed_behind(house, "source", Shelf(house.people), 3)

    class Shifting(Shelf):
        def resume(self, entity: str, *, after: str) -> Reading:
            raise StopRun("SRC_UNSTABLE", "the page is another")

    shelf = Shifting(house.people)
    fact = await read_to_the_end(house, "source", await context_of(house, shelf))
    assert shelf.asked == [1, 2, 3, 4, 5]
    assert (fact.records, fact.rereads, fact.certificates[0].resumed) == (len(house.people), 0, 0)

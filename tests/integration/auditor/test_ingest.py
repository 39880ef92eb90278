"""The auditor on a real bus: every message once, in one order, by one writer, whatever crashes."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry
from sqlalchemy import Table, delete, func, select, text, update
from sqlalchemy.exc import DBAPIError, OperationalError

from services.auditor.pulling import StreamPull
from services.auditor.store import Batch, Store, WriterFenced
from shared.audit import tables
from shared.audit.lookups import Lookups
from shared.audit.stored_tree import RecordAltered
from shared.bus.commit import Committer
from shared.bus.delivery import DeadLetter, Delivery, dead_letter_message
from shared.bus.lease import plant_fence
from shared.bus.publishing import Outgoing, publish_one
from shared.bus.topology import PROVISIONER
from shared.clock import SystemClock
from shared.events import facts, queries
from shared.events.documents import FailureNote
from shared.run.counts import NineCounts
from shared.run.states import RunStatus
from tests.integration.auditor.house import House, new_run, run_state
from tests.support.bus import until

PERSONAL = "Maria-Example-1984"


async def bodies(store: Store) -> list[str]:
    return await Lookups(store.engine).entries(first=0, limit=100_000)


async def acknowledged(house: House, consumer: str, stream: str) -> int:
    js = await house.bus.js_as("auditor")
    return int((await js.consumer_info(stream, consumer)).ack_floor.stream_seq)


@pytest_asyncio.fixture
async def second_store(tmp_path: Path) -> AsyncIterator[Store]:
    """Another empty database, on SQLite."""
    store = Store.open(f"sqlite+aiosqlite:///{tmp_path / 'second.db'}")
    await store.migrate()
    yield store
    await store.close()


async def test_a_run_is_recorded_sealed_and_verified(house: House) -> None:
    run = new_run()
    auditor = await house.auditor()
    await house.whole_run(run)
    view = await house.until_sealed(auditor, run)
    assert view.counts == NineCounts(planned=3, applied=3)
    await house.until_recorded()
    report = await house.verified(auditor)
    assert report.is_valid, report.first_failure
    assert (report.entries, report.runs_sealed) == (await house.stored(), 1)
    assert report.entries_proven == report.entries
    answer = queries.RunAnswer.model_validate_json(await house.ask(auditor, "run", f'{{"run":"{run}"}}'))
    assert answer.summary is not None
    sealed = facts.RunSealed.model_validate(answer.summary)
    assert sealed.counts.applied == 3
    health = queries.HealthAnswer.model_validate_json(await house.ask(auditor, "health"))
    assert health.lag == {"CORE": 0, "LEDGER": 0, "DLQ": 0}
    assert not any("mismatch" in body for body in await bodies(house.store))


async def test_what_is_recorded_is_acknowledged(house: House) -> None:
    await house.auditor()
    await house.whole_run(new_run())

    async def is_acknowledged() -> bool:
        js = await house.bus.js_as("auditor")
        last = (await js.stream_info("LEDGER")).state.last_seq
        return await acknowledged(house, "auditor_ledger", "LEDGER") == last > 0

    await until(is_acknowledged)


async def test_what_the_database_does_not_take_is_told_as_waiting(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_: Store, batch: Batch, token: int) -> None:
        raise OperationalError("INSERT", {}, Exception("no room"))

    registry = CollectorRegistry()
    await house.auditor(registry=registry)
    await house.whole_run(new_run())
    await house.until_recorded()

    def waiting() -> float:
        return sum(registry.get_sample_value("aether_audit_lag", {"stream": one}) or 0 for one in ("CORE", "LEDGER"))

    lookups = Lookups(house.store.engine)

    async def is_told() -> bool:
        # Counted anew each time: the auditor itself seals the first run whenever it comes to it.
        return waiting() == await house.stored() - await lookups.size() > 0

    with monkeypatch.context() as patched:
        patched.setattr(Store, "append", refuse)
        await house.whole_run(new_run())

        await until(is_told, 15)
    await house.until_recorded()
    await until(lambda: _nothing(waiting), 15)


async def _nothing(waiting: Callable[[], float]) -> bool:
    return waiting() == 0


async def test_a_writer_that_ends_between_commit_and_acknowledgement_records_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: StreamPull) -> None:
        return None

    run = new_run()
    with monkeypatch.context() as patched:
        patched.setattr(StreamPull, "acknowledge", never)
        first = await house.auditor()
        await house.whole_run(run)
        await house.until_sealed(first, run)
        await house.until_recorded()
        await house.stop(first)
    assert await acknowledged(house, "auditor_core", "CORE") == 0
    second = await house.auditor()
    # The past is still with the dead writer's deliveries; new messages overtake it and must not hide it.
    other = new_run()
    await house.whole_run(other)
    await house.until_sealed(second, other)
    await house.until_recorded()
    report = await house.verified(second)
    assert report.is_valid, report.first_failure
    assert (report.entries, report.runs_sealed) == (await house.stored(), 2)


async def test_messages_delivered_to_a_writer_that_died_are_not_lost_behind_newer_ones(house: House) -> None:
    js = await house.bus.js_as("auditor")
    run = new_run()
    await house.whole_run(run)
    # Somebody took the messages of LEDGER and died with them: for half a minute the consumer hands out newer ones only.
    taken = await (await js.pull_subscribe_bind("auditor_ledger", "LEDGER")).fetch(100, timeout=2)
    assert taken
    auditor = await house.auditor()
    await house.conclude(run, 2, first=50)
    await house.until_sealed(auditor, run, seconds=15)
    await house.until_recorded(seconds=15)
    recorded = await house.stored()
    # Now the dead one's deliveries come a second time: they are acknowledged and recorded no second time.
    for message in taken:
        await message.nak()

    async def is_acknowledged() -> bool:
        last = (await js.stream_info("LEDGER")).state.last_seq
        return await acknowledged(house, "auditor_ledger", "LEDGER") == last

    await until(is_acknowledged, 15)
    report = await house.verified(auditor)
    assert report.is_valid
    assert report.entries == recorded


async def test_a_run_that_ended_while_no_auditor_was_up_is_sealed_later(house: House) -> None:
    run = new_run()
    await house.whole_run(run)
    auditor = await house.auditor()
    await house.until_sealed(auditor, run)


async def test_of_two_auditors_one_writes_and_the_other_takes_over(house: House) -> None:
    first = await house.auditor(lease_seconds=3)
    await until(first.is_writing)
    second = await house.auditor(lease_seconds=3)
    await until(second.is_ready)
    run = new_run()
    await house.whole_run(run)
    await house.until_sealed(second, run)  # it answers from the same record
    assert first.is_writing()
    assert not second.is_writing()
    await house.stop(first)
    await until(second.is_writing)
    other = new_run()
    await house.whole_run(other)
    await house.until_sealed(second, other)
    await house.until_recorded()
    report = await house.verified(second)
    assert report.is_valid, report.first_failure
    assert report.entries == await house.stored()


async def test_a_writer_whose_lease_went_to_another_writes_nothing(store: Store) -> None:
    await store.take_over(7)
    await store.append(Batch((), (), {}), 7)
    await store.take_over(8)
    with pytest.raises(WriterFenced, match="later lease than 7"):
        await store.append(Batch((), (), {}), 7)
    with pytest.raises(WriterFenced):
        await store.add_checkpoint(size=1, text="x", token=7)


async def test_a_log_rebuilt_from_the_streams_is_the_same_log(house: House, second_store: Store) -> None:
    auditor = await house.auditor()
    runs = [new_run() for _ in range(3)]
    await asyncio.gather(*(house.whole_run(run, changes=40) for run in runs))
    for run in runs:
        await house.until_sealed(auditor, run)
    await house.until_recorded()
    await house.stop(auditor)
    rebuilt = await house.auditor(second_store)
    await house.until_recorded(second_store)
    assert await bodies(second_store) == await bodies(house.store)
    # So every checkpoint that was ever signed holds for the rebuilt log.
    old, new = Lookups(house.store.engine), Lookups(second_store.engine)
    size = await old.size()
    assert await new.root_at(size) == await old.root_at(size)
    assert (await house.verified(rebuilt)).runs_sealed == 3


@pytest.mark.parametrize("table", [tables.entry, tables.checkpoint, tables.tree_node], ids=lambda table: table.name)
async def test_rows_of_the_record_are_never_changed_or_deleted(house: House, table: Table) -> None:
    auditor = await house.auditor()
    run = new_run()
    await house.whole_run(run)
    await house.until_sealed(auditor, run)
    column = next(iter(table.c))
    for statement in (update(table).values({column: column}), delete(table)):
        with pytest.raises(DBAPIError, match="append-only"):
            async with house.store.engine.begin() as connection:
                await connection.execute(statement)
    if house.store.engine.dialect.name == "postgresql":
        with pytest.raises(DBAPIError, match="append-only"):
            async with house.store.engine.begin() as connection:
                await connection.execute(text(f"TRUNCATE {table.name}"))


async def test_nothing_is_added_to_a_record_that_was_altered(house: House) -> None:
    auditor = await house.auditor()
    run = new_run()
    await house.whole_run(run)
    await house.until_sealed(auditor, run)
    await house.until_recorded()
    await house.stop(auditor)
    is_sqlite = house.store.engine.dialect.name == "sqlite"
    guard = "DROP TRIGGER entry_no_update" if is_sqlite else "DROP TRIGGER entry_no_change ON entry"
    async with house.store.engine.begin() as connection:
        await connection.execute(text(guard))
        await connection.execute(
            update(tables.entry).where(tables.entry.c.entry_index == 1).values(leaf_hash=b"x" * 32)
        )
        await connection.execute(
            text("DROP TRIGGER tree_node_no_update" if is_sqlite else "DROP TRIGGER tree_node_no_change ON tree_node")
        )
        await connection.execute(update(tables.tree_node).values(hash=b"y" * 32))
    with pytest.raises(RecordAltered, match="does not lead to the root"):
        await (await house.idle_auditor()).run()


async def test_an_unreadable_message_is_an_entry_like_any_other(house: House) -> None:
    auditor = await house.auditor()
    message = Outgoing("evt.extractor.odd", b"{\xff", "odd-1", {"ce-type": "aether.run.requested.v1"})
    await publish_one(house.writers["extractor"], message)
    await publish_one(house.writers["extractor"], Outgoing("audit.extractor.odd", b"", "odd-2"))
    await house.until_recorded()
    stored = await bodies(house.store)
    assert len(stored) == 2
    assert all('"is_undecodable":true' in body for body in stored)
    assert '"type":"aether.run.requested.v1"' in stored[0]
    assert '"type":"unknown"' in stored[1]
    assert (await house.verified(auditor)).is_valid


async def test_no_personal_value_reaches_the_entries(house: House) -> None:
    auditor = await house.auditor()
    run = new_run()
    note = FailureNote(code="APL_CONFLICT", text=PERSONAL)
    said = [
        facts.RunCancelled(run=run, actor="otto", reason=PERSONAL),
        facts.RunResumed(run=run, actor="otto", reason=PERSONAL),
        facts.CommandRefused(command="approve", run=run, actor="otto", refusal=note),
        facts.ApplyRefused(run=run, refusal=note),
        facts.SnapshotRead(
            run=run, side="source", entity="staff", attempt="a1", certificates=(), sources=(), incomplete=note,
            records=1, quarantined=1, quarantined_by_code={PERSONAL: 1},
            unmapped=(facts.UnmappedId(table="sites", value=PERSONAL, rows=1),), out_of_scope=0, partitions=(),
            started_at="2026-11-22T08:00:00.000Z", seconds=1.0, memory_peak_mb=9, target_serial=0,
        ),
    ]  # fmt: skip
    for event in said:
        await house.say(event, f"evt.extractor.x.{run}", run)
    outcome = facts.OutcomeRecorded(
        run=run, change_id="c1", fencing_token=1, result="failed", code="APL_CONFLICT", target_id=PERSONAL
    )
    await house.say(outcome, facts.change_subject(run, "c1"), run, service="applier")
    letter = dead_letter_message(
        service="applier",
        delivery=Delivery(stream="CORE", consumer="applier", subject=f"cmd.apply.{run}", seq=4, deliveries=8),
        letter=DeadLetter(reason=PERSONAL, code="SYS_HANDLER_FAILED"),
        body=PERSONAL.encode(),
        headers={},
        now=SystemClock().now(),
    )
    await publish_one(house.writers["applier"], letter)
    applier = house.writers["applier"]
    await plant_fence(applier, Committer(applier, service="applier", clock=SystemClock()), target="hst", token=3)
    await house.until_recorded()
    stored = await bodies(house.store)
    assert len(stored) == len(said) + 3
    assert not [body for body in stored if PERSONAL in body or "Maria" in body]
    assert any('"fencing_token":3' in body and '"target":"hst"' in body for body in stored)
    answer = queries.RunAnswer.model_validate_json(await house.ask(auditor, "run", f'{{"run":"{run}"}}'))
    assert answer.run is None  # no document of this run was ever published
    health = queries.HealthAnswer.model_validate_json(await house.ask(auditor, "health"))
    assert [one.code for one in health.dead_letters] == ["SYS_HANDLER_FAILED"]
    assert health.dead_letters_total == 1


async def test_counts_that_the_ledger_does_not_bear_out_are_an_entry(house: House) -> None:
    auditor = await house.auditor()
    run = new_run()
    await house.say_state(run_state(run, RunStatus.APPLYING, changes=3))
    await house.conclude(run, 2)
    await house.say_state(run_state(run, RunStatus.SUCCEEDED, changes=3, counts=NineCounts(planned=3, applied=3)))
    await house.until_sealed(auditor, run)
    assert [body for body in await bodies(house.store) if "aether.audit.mismatch.v1" in body and run in body]


async def test_messages_deleted_before_they_were_read_are_told_and_not_waited_for(house: House) -> None:
    run = new_run()
    await house.whole_run(run)
    admin = await house.bus.js_as(PROVISIONER)
    await admin.purge_stream("LEDGER", seq=3)
    await house.auditor()

    async def is_told() -> bool:
        return any("aether.audit.messages_lost.v1" in body for body in await bodies(house.store))

    await until(is_told)
    async with house.store.engine.connect() as connection:
        first = await connection.execute(
            select(func.min(tables.entry.c.stream_seq)).where(tables.entry.c.stream == "LEDGER")
        )
        assert first.scalar_one() == 3


async def test_an_auditor_survives_a_restart_of_the_bus(house: House) -> None:
    auditor = await house.auditor()
    first = new_run()
    await house.whole_run(first)
    await house.until_sealed(auditor, first)
    house.bus.server.kill()
    await house.bus.server.restart_async()
    second = new_run()
    await house.whole_run(second)
    await house.until_sealed(auditor, second, seconds=60)
    await house.until_recorded(seconds=60)
    assert (await house.verified(auditor)).is_valid


async def test_how_fast_messages_become_entries(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    changes = 5000
    await house.conclude(new_run(), changes)
    lookups = Lookups(house.store.engine)
    started = time.monotonic()
    auditor = await house.auditor(batch_messages_max=2000)

    async def is_recorded() -> bool:
        return await lookups.size() == 2 * changes

    await until(is_recorded, 60)
    rate = 2 * changes / (time.monotonic() - started)
    with capsys.disabled():
        sys.stdout.write(f"\n{house.store.engine.dialect.name}: {rate:,.0f} entries/s from the bus to the database\n")
    await house.until_recorded()
    assert (await house.verified(auditor)).entries_proven == 2 * changes


async def test_how_soon_a_single_message_is_an_entry(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    auditor = await house.auditor()
    await until(auditor.is_writing)
    lookups = Lookups(house.store.engine)
    waits: list[float] = []
    for number in range(1, 11):
        started = time.monotonic()
        await house.say_state(run_state(new_run(), RunStatus.QUEUED))

        async def is_there(wanted: int = number) -> bool:
            return await lookups.size() >= wanted

        await until(is_there)
        waits.append(time.monotonic() - started)
    median = sorted(waits)[len(waits) // 2] * 1000
    with capsys.disabled():
        sys.stdout.write(f"\n{house.store.engine.dialect.name}: a single message is an entry after {median:.0f} ms\n")
    assert median < 1000

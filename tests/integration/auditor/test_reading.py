"""What a program beside the auditor reads, and never writes: runs by many questions, entries and proofs, figures."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import DBAPIError

import services.auditor.migrations
from services.auditor.store import Store
from shared.audit import tables
from shared.audit.bundle import verify_bundle
from shared.audit.entries import AuditEntry
from shared.audit.entry_lookups import EntryLookups
from shared.audit.lookups import Lookups
from shared.audit.opening import read_only_engine
from shared.audit.run_charts import RunCharts
from shared.audit.views import runs_answer
from shared.bus.publishing import publish_one
from shared.clock import SystemClock, from_text, to_text
from shared.events import facts
from shared.events.documents import FailureNote
from shared.events.queries import RunsQuery
from shared.run.counts import NineCounts
from shared.run.states import RunStatus
from tests.integration.auditor.house import KEY, House, event_message, new_run, run_state


async def test_runs_are_found_by_state_mode_and_text_page_by_page(house: House) -> None:
    await house.auditor()
    runs = [new_run() for _ in range(7)]
    for number, run in enumerate(runs):
        status = RunStatus.HELD if number % 2 else RunStatus.QUEUED
        state = run_state(run, status)
        changed = {"requester": "vera_100%" if number == 3 else "otto", "mode": "dry-run" if number < 2 else "apply"}
        await house.say_state(state.model_copy(update=changed))
    await house.until_recorded()
    lookups = Lookups(house.store.engine)

    async def found(question: RunsQuery) -> list[str]:
        return [view.run for view in (await runs_answer(lookups, question)).runs]

    assert await found(RunsQuery(status=("held",))) == [runs[5], runs[3], runs[1]]
    assert await found(RunsQuery(mode="dry-run")) == [runs[1], runs[0]]
    assert await found(RunsQuery(text="VERA_")) == [runs[3]]
    assert await found(RunsQuery(text="0%")) == [runs[3]]  # no pattern: a sign like any other
    assert await found(RunsQuery(text=runs[4][-6:])) == [runs[4]]
    seen: list[str] = []
    question = RunsQuery(limit=3)
    for _ in range(5):
        answer = await runs_answer(lookups, question)
        seen += [view.run for view in answer.runs]
        if answer.goes_on is None:
            break
        question = question.model_copy(update={"before": answer.goes_on})
    assert seen == list(reversed(runs))


async def test_a_reading_program_reads_what_is_there_and_cannot_write(store: Store, database_url: str) -> None:
    await store.take_over(3)
    await store.add_checkpoint(size=2, text="signed", token=3)
    engine = read_only_engine(database_url)
    assert await Lookups(engine).checkpoints(first=0, limit=5) == ["signed"]
    for statement in (
        insert(tables.dead_letter).values(
            seq=1, stream="CORE", stream_seq=1, subject="s", service="differ", code="c", reason="r", at="a"
        ),
        tables.run.delete(),
    ):
        with pytest.raises(DBAPIError, match=r"readonly|read-only"):
            async with engine.begin() as connection:
                await connection.execute(statement)
    await store.add_checkpoint(size=3, text="later", token=3)
    assert await Lookups(engine).checkpoints(first=1, limit=5) == ["later"]
    await engine.dispose()


def test_a_database_that_nobody_made_is_not_made_by_reading(tmp_path: Path) -> None:
    async def read() -> None:
        engine = read_only_engine(f"sqlite+aiosqlite:///{tmp_path / 'none.db'}")
        with pytest.raises(DBAPIError):
            await Lookups(engine).size()
        await engine.dispose()
        # The thread that could not connect tells the loop so a moment later, which must be there.
        await asyncio.sleep(0.2)

    asyncio.run(read())
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="in memory"):
        read_only_engine("sqlite+aiosqlite://")


async def test_entries_are_found_by_kind_person_run_time_and_text(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.auditor()
    run, other = new_run(), new_run()
    await house.whole_run(run, changes=4)
    await house.until_recorded()
    between = SystemClock().now()
    acted = facts.ConsoleActed(actor="admin.ada", what="roles_changed", subject="otto", detail={"roles": "operator"})
    await publish_one(
        await house.bus.js_as("console"), event_message(acted, "audit.console.acted", "console", service="console")
    )
    await house.say_state(run_state(other, RunStatus.QUEUED))
    await house.until_recorded()
    entries = EntryLookups(house.store.engine)
    everything = (await entries.search_entries(limit=500)).entries
    assert [one.index for one in everything] == list(reversed(range(len(everything))))
    of_run = await entries.search_entries(run=run, limit=500)
    assert {one.run for one in of_run.entries} == {run}
    acts = (await entries.search_entries(type="aether.console.acted.v1", limit=10)).entries
    assert [(one.actor, one.summary["detail.roles"]) for one in acts] == [("admin.ada", "operator")]
    assert (await entries.search_entries(actor="admin.ada", limit=10)).entries == acts
    outcomes = await entries.search_entries(type="aether.change.concluded.v1", limit=500)
    assert len(outcomes.entries) == 4
    assert len((await entries.search_entries(actor="/services/applier", limit=500)).entries) >= 8
    late = (await entries.search_entries(since=between, limit=500)).entries
    early = (await entries.search_entries(until=between, limit=500)).entries
    assert len(late) + len(early) == len(everything)
    assert early[0].index + 1 == late[-1].index
    assert acts[0] in late
    assert (await entries.search_entries(text="ROLES_CHANGED", limit=10)).entries == acts
    assert (await entries.search_entries(text="no such text", limit=10)).goes_on is None
    first = await entries.search_entries(limit=5)
    second = await entries.search_entries(before=first.goes_on, limit=5)
    assert [one.index for one in (*first.entries, *second.entries)] == [one.index for one in everything[:10]]
    # A text is looked for in so many entries and no more; the answer says where to go on.
    monkeypatch.setattr("shared.audit.entry_lookups.TEXT_SCAN_MAX", 3)
    seen: list[AuditEntry] = []
    before: int | None = None
    for _ in range(len(everything)):
        part = await entries.search_entries(text="run_requested", before=before, limit=10)
        seen += part.entries
        if (before := part.goes_on) is None:
            break
    assert [one.run for one in seen] == [run]


async def test_an_entry_is_proven_under_the_newest_checkpoint(house: House) -> None:
    await house.auditor()
    await house.whole_run(new_run(), changes=3)
    await house.until_recorded()
    entries = EntryLookups(house.store.engine)
    entry = await entries.entry(2)
    bundle = await entries.inclusion(2, verifier_key=KEY.verifier_key)
    assert entry is not None and bundle is not None
    assert bundle.entry == entry
    assert verify_bundle(bundle.model_dump_json(), KEY.verifier_key).is_valid
    newest, first = await entries.newest_checkpoint(), await entries.checkpoint_over(0)
    assert newest is not None and first is not None
    assert (newest.size, newest.text) == (bundle.size, bundle.checkpoint)
    assert 0 < first.size <= newest.size
    today = datetime.now(UTC).date()
    yesterday, tomorrow = today - timedelta(days=1), today + timedelta(days=1)
    per_day = await entries.entries_per_day(since=yesterday, until=tomorrow)
    assert sum(number for _, number in per_day) == await Lookups(house.store.engine).size()
    assert [day for day, _ in per_day] == [yesterday.isoformat(), today.isoformat()]
    with pytest.raises(ValueError, match="at most"):
        await entries.entries_per_day(since=today - timedelta(days=900), until=today)
    assert await entries.checkpoint_over(10_000) is None
    assert await entries.entry(10_000) is None
    assert await entries.inclusion(10_000, verifier_key=KEY.verifier_key) is None


async def test_figures_over_runs_tell_days_durations_and_what_failed(house: House) -> None:
    await house.auditor()
    good, bad = new_run(), new_run()
    await house.whole_run(good, changes=2)
    note = FailureNote(code="SRC_UNREACHABLE", text="no answer")
    state = run_state(bad, RunStatus.FAILED, changes=1, counts=NineCounts(planned=1, failed=1))
    outcome = facts.OutcomeRecorded(
        run=bad, change_id="c" * 64, fencing_token=1, result="failed", code="APL_UNREACHABLE"
    )
    await house.say(outcome, facts.change_subject(bad, "c" * 64), bad, service="applier")
    later = to_text(from_text(state.changed_at) + timedelta(seconds=90))
    await house.say_state(state.model_copy(update={"failure": note, "changed_at": later}))
    await house.until_recorded()
    charts = RunCharts(house.store.engine)
    since = datetime.now(UTC) - timedelta(days=1)
    days = await charts.runs_per_day(since=since)
    assert {(one.connector, one.status, one.number) for one in days} == {
        ("staff", "succeeded", 1),
        ("staff", "failed", 1),
    }
    assert await charts.runs_per_day(since=since, until=since) == ()
    took = {one.run: one.seconds for one in await charts.durations("staff", limit=10)}
    assert took[bad] == pytest.approx(90, abs=0.01)
    assert await charts.durations("none", limit=10) == ()
    mix = {one.code: (one.changes, one.runs) for one in await charts.failure_mix(since=since)}
    assert mix == {"APL_UNREACHABLE": (1, 0), "SRC_UNREACHABLE": (0, 1)}


async def test_runs_of_an_older_database_get_their_new_columns_filled(database_url: str) -> None:
    store = Store.open(database_url)

    def to_version(connection: Connection, version: str) -> None:
        config = Config()
        config.set_main_option("script_location", str(Path(services.auditor.migrations.__file__).parent))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, version)

    states = [run_state(new_run(), RunStatus.HELD, changes=number or None) for number in range(3)]
    async with store.engine.begin() as connection:
        await connection.run_sync(to_version, "0001")
        for state in states:
            row = {
                "run": state.run, "connector": "staff", "status": "held", "requested_at": state.changed_at,
                "state": state.model_dump_json(),
            }  # fmt: skip
            await connection.execute(insert(tables.run).values(row))
        entry = {
            "entry_index": 0, "leaf_hash": b"0" * 32, "body": "{}", "type": "t", "stream": "CORE", "stream_seq": 1,
        }  # fmt: skip
        await connection.execute(insert(tables.entry).values(entry))
    await store.migrate()
    async with store.engine.connect() as connection:
        run = tables.run.c
        rows = {
            row.run: (row.requester, row.mode, row.plan_digest)
            for row in await connection.execute(select(run.run, run.requester, run.mode, run.plan_digest))
        }
        assert (await connection.execute(select(tables.entry.c.actor))).scalar_one() is None
    assert rows == {
        state.run: ("otto", "apply", state.plan.plan_digest if state.plan is not None else None) for state in states
    }
    assert [one.run for one in await Lookups(store.engine).unlisted(limit=10)] == [states[2].run, states[1].run]
    await store.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_index_over_kinds_serves_the_question_for_them(store: Store, database_url: str) -> None:
    """The condition of the index and that of the question must be spelled alike."""
    file = database_url.removeprefix("sqlite+aiosqlite:///")
    with sqlite3.connect(file) as connection:
        query = f"SELECT body FROM entry WHERE type = ? AND {tables.NOT_OF_THE_LEDGER} ORDER BY entry_index DESC"
        plan = json.dumps(connection.execute(f"EXPLAIN QUERY PLAN {query}", ("t",)).fetchall())
    connection.close()
    assert "entry_by_type" in plan
    assert "TEMP B-TREE" not in plan

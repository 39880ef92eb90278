"""The monitor's figures follow from the auditor's own tables, on SQLite and on PostgreSQL, and from nothing else."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from sqlalchemy import delete
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.auditor.merging import Arrived, microseconds
from services.auditor.recording import Projected, project, record
from services.auditor.store import Batch, NewEntry, Store
from services.monitor import rows as rows_module
from services.monitor.bus_figures import BusFigures
from services.monitor.certificates import Certificates
from services.monitor.collecting import register
from services.monitor.recorded import Recorded
from services.monitor.rows import Rows
from shared.audit import tables
from shared.audit.opening import read_only_engine
from shared.clock import SystemClock, to_text
from shared.events import facts
from shared.events.documents import FailureNote
from shared.events.envelope import body_of, headers_of
from shared.events.model import Event
from shared.run.counts import NineCounts
from shared.run.state import PhaseTime, PlanSummary, RunState
from shared.run.states import RunStatus

S = RunStatus
START = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
CANARY = "Ana-María Canary <canary.person@example.org>"


def at(seconds: float) -> str:
    return to_text(START + timedelta(seconds=seconds))


def run_state(
    run: str, *history: tuple[RunStatus, float], connector: str = "staff", level: str | None = "PASS", **more: object
) -> RunState:
    """The document of a run with this history."""
    plan = None
    if level is not None:
        plan = PlanSummary.model_validate(
            {"plan_digest": f"sha256:{run}", "content_digest": "c", "verdict_digest": "v", "verdict_level": level,
             "changes": 5, "changes_by_class": {"update": 5}, "approvals_needed": 1, "created_at": at(0),
             "expires_at": at(9)}
        )  # fmt: skip
    document = {
        "run": run, "connector": connector, "connector_version": "1", "release_digest": "r", "mode": "apply",
        "requester": CANARY, "status": history[-1][0], "changed_at": at(history[-1][1]), "work": (), "partitions": 1,
        "target": "hst", "plan": plan,
        "history": tuple(PhaseTime(status=status, at=at(seconds)) for status, seconds in history), **more,
    }  # fmt: skip
    return RunState.model_validate(document)


def snapshot(run: str, seconds: float, codes: Mapping[str, int], *, is_whole: bool = True) -> facts.SnapshotRead:
    return facts.SnapshotRead(
        run=run, side="source", entity="people", attempt="a1", certificates=(), sources=(),
        incomplete=None if is_whole else FailureNote(code="SRC_INCOMPLETE", text=CANARY), target_serial=0, records=9,
        quarantined=sum(codes.values()), quarantined_by_code=dict(codes), unmapped=(), out_of_scope=0, partitions=(),
        started_at=at(seconds), seconds=1.0, memory_peak_mb=9,
    )  # fmt: skip


def sealed(state: RunState, counts: NineCounts, **codes: int) -> facts.RunSealed:
    phases: dict[str, float] = {}
    for one, following in itertools.pairwise(state.history):
        seconds = (datetime.fromisoformat(following.at) - datetime.fromisoformat(one.at)).total_seconds()
        phases[one.status.value] = phases.get(one.status.value, 0.0) + seconds
    return facts.RunSealed(
        run=state.run, connector=state.connector, connector_version="1", mode=state.mode, status=state.status.value,
        plan_digest=None, verdict_digest=None, approvers=(CANARY,), counts=counts, counts_by_class={},
        counts_by_code=codes, phases=phases, first_entry=0, last_entry=1,
    )  # fmt: skip


@dataclass
class Record:
    """An auditor's database that takes events as if they had come over the bus."""

    store: Store
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(0))

    async def take(self, *events: Event, stream: str = "CORE") -> None:
        """Append these events to the log, in one transaction."""
        projected, entries = Projected(), []
        for event in events:
            index = next(self.numbers)
            headers = headers_of(event, message_id=f"m{index}", source="/services/x", subject="x", time=START)
            moment = microseconds(START) + index
            arrived = Arrived(stream, index + 1, f"x.{index}", headers, body_of(event), moment)
            made = record(arrived, index)
            assert made.event is not None, event
            project(made, arrived, projected)
            entries.append(NewEntry(made.entry, made.body, made.leaf_hash))
        await self.store.append(Batch(entries, (), {}, projected), 1)


@pytest_asyncio.fixture
async def log(store: Store) -> Record:
    await store.take_over(1)
    return Record(store)


@dataclass
class Monitor:
    """A monitor that was just started."""

    recorded: Recorded
    registry: CollectorRegistry

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    @property
    def figures(self) -> list[str]:
        """Every sample but the moment of the last look."""
        lines = generate_latest(self.registry).decode().splitlines()
        return [line for line in lines if not line.startswith(("#", "aether_monitor_last_look"))]


@pytest_asyncio.fixture
async def started(database_url: str, store: Store) -> AsyncIterator[Starter]:
    starter = Starter(database_url)
    yield starter
    for engine in starter.engines:
        await engine.dispose()


class Starter:
    """Starts monitors on one database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engines: list[AsyncEngine] = []

    async def __call__(self) -> Monitor:
        engine = read_only_engine(self.url)
        self.engines.append(engine)
        registry = CollectorRegistry()
        recorded = Recorded(Rows(engine), SystemClock())
        register(registry, recorded, BusFigures((), None), Certificates(()))  # type: ignore[arg-type]  # nobody is asked
        await recorded.look()
        return Monitor(recorded, registry)


DONE = NineCounts(planned=5, applied=3, failed=1, noop_already=1)
APPLIED: Sequence[tuple[RunStatus, float]] = (
    (S.QUEUED, 0), (S.EXTRACTING, 1), (S.AWAITING_APPROVAL, 4), (S.APPROVED, 1_004), (S.APPLYING, 1_005),
    (S.VERIFYING, 1_015), (S.PARTIAL, 1_016),
)  # fmt: skip


async def _live_through(log: Record) -> None:
    """A few runs of two connectors."""
    partial = run_state(
        "r1", *APPLIED, counts=DONE, failure=FailureNote(code="APL_CONFLICT", text=CANARY)
    )  # what failed of it is told by its seal as well
    await log.take(run_state("r1", *APPLIED[:2]), snapshot("r1", 1, {"NRM_UNMAPPED": 2}), partial)
    await log.take(sealed(partial, DONE, APL_CONFLICT=1, SYS_MADE_UP=1))
    good = run_state("r2", (S.QUEUED, 2_000), (S.NO_CHANGES, 2_003), level=None)
    await log.take(good, snapshot("r2", 2_001, {"NRM_UNMAPPED": 3}), sealed(good, NineCounts(planned=0)))
    await log.take(
        run_state("r3", (S.QUEUED, 3_000), (S.EXTRACTING, 3_001)),
        snapshot("r3", 3_001, {}, is_whole=False),
        run_state("r3", (S.QUEUED, 3_000), (S.EXTRACTING, 3_001), (S.HELD, 3_010), level="HOLD"),
        run_state("r4", (S.QUEUED, 3_500), connector="students", level=None),
    )


async def test_every_figure_of_runs_is_what_the_record_says(log: Record, started: Starter) -> None:
    await _live_through(log)
    monitor = await started()
    assert monitor.value("aether_runs_ended_total", connector="staff", mode="apply", status="partial") == 1
    assert monitor.value("aether_runs_ended_total", connector="staff", mode="apply", status="no_changes") == 1
    assert monitor.value("aether_runs_open", connector="staff", status="held") == 1
    assert monitor.value("aether_runs_open", connector="staff", status="extracting") == 0
    since = monitor.value("aether_runs_open_since_timestamp_seconds", connector="staff", status="held")
    assert since == START.timestamp() + 3_010
    assert monitor.value("aether_run_changes_planned_total", connector="staff") == 5
    assert [monitor.value("aether_run_changes_total", connector="staff", outcome=name) for name in
            ("applied", "failed", "noop_already", "unknown")] == [3, 1, 1, None]  # fmt: skip
    assert monitor.value("aether_run_failures_total", connector="staff", code="APL_CONFLICT") == 2
    assert monitor.value("aether_run_failures_total", connector="staff", code="other") == 1
    assert monitor.value("aether_run_seconds_sum", connector="staff", mode="apply") == pytest.approx(16 + 3)
    assert monitor.value("aether_run_seconds_bucket", connector="staff", mode="apply", le="5.0") == 1
    assert monitor.value("aether_run_seconds_bucket", connector="staff", mode="apply", le="+Inf") == 2
    waited = monitor.value("aether_run_phase_seconds_sum", connector="staff", phase="awaiting_approval")
    assert waited == pytest.approx(1_000)
    success = monitor.value("aether_connector_last_success_timestamp_seconds", connector="staff")
    assert success == pytest.approx(START.timestamp() + 2_003)
    assert monitor.value("aether_connector_last_success_timestamp_seconds", connector="students") is None
    last = monitor.value("aether_connector_last_run_timestamp_seconds", connector="students")
    assert last == START.timestamp() + 3_500
    assert monitor.value("aether_guard_level", connector="staff") == 2
    # The read that broke off says nothing; the quarantine has lasted since the first.
    records = monitor.value("aether_quarantine_records", connector="staff", entity="people", code="NRM_UNMAPPED")
    assert records == 3
    since = monitor.value("aether_quarantine_since_timestamp_seconds", connector="staff", entity="people")
    assert since == START.timestamp() + 1


async def test_who_listened_all_the_time_and_who_starts_now_say_the_same(log: Record, started: Starter) -> None:
    listening = await started()
    assert listening.value("aether_runs_ended_total", connector="staff", mode="apply", status="partial") is None
    await _live_through(log)
    await listening.recorded.look()
    late = await started()
    assert listening.figures == late.figures
    before = late.figures
    # What ended is not counted twice, whoever tells of it again.
    again = run_state("r2", (S.QUEUED, 2_000), (S.NO_CHANGES, 2_003), level=None)
    await log.take(again, sealed(again, NineCounts(planned=0)))
    await late.recorded.look()
    assert late.figures == before == (await started()).figures


async def test_pages_of_any_length_give_the_same(
    log: Record, started: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _live_through(log)
    whole = await started()
    for name, number in (("PAGE_RUNS", 1), ("NAMED_MAX", 1)):
        monkeypatch.setattr(rows_module, name, number)
    monkeypatch.setattr("services.monitor.rows.FEED_ENTRIES", 2)
    monkeypatch.setattr("services.monitor.recorded.FEED_ENTRIES", 2)
    paged = await started()
    assert paged.figures == whole.figures
    held = (S.QUEUED, 3_000), (S.EXTRACTING, 3_001), (S.HELD, 3_010)
    ended = run_state("r3", *held, (S.REJECTED, 3_100), counts=None)
    await log.take(*(run_state(f"s{each}", (S.QUEUED, 4_000 + each)) for each in range(7)), ended)
    await paged.recorded.look()
    assert paged.value("aether_runs_open", connector="staff", status="queued") == 7
    assert paged.value("aether_runs_ended_total", connector="staff", mode="apply", status="rejected") == 1
    assert paged.figures == (await started()).figures


async def test_unknown_effects_are_there_until_their_outcome_is(log: Record, started: Starter) -> None:
    await log.take(run_state("r1", *APPLIED[:5]))
    intents = [facts.IntentRecorded(run="r1", change_id=f"{each}", fencing_token=1, attempt=1) for each in range(3)]
    await log.take(*intents, stream="LEDGER")
    monitor = await started()
    assert monitor.value("aether_unknown_effects", connector="staff") == 3
    outcomes = [
        facts.OutcomeRecorded(run="r1", change_id=f"{each}", fencing_token=1, result="applied") for each in range(2)
    ]
    await log.take(*outcomes, stream="LEDGER")
    await monitor.recorded.look()
    assert monitor.value("aether_unknown_effects", connector="staff") == 1


async def test_a_run_that_ended_while_somebody_listened_leads_to_its_trace(log: Record, started: Starter) -> None:
    monitor = await started()
    good = run_state("r2", (S.QUEUED, 0), (S.NO_CHANGES, 3), level=None, trace="0af7651916cd43dd8448eb211c80319c")
    await log.take(good)
    await monitor.recorded.look()
    told = generate_openmetrics(monitor.registry).decode().splitlines()  # type: ignore[no-untyped-call]  # no types
    (bucket,) = (line for line in told if "trace_id" in line and line.startswith("aether_run_seconds"))
    assert bucket.startswith('aether_run_seconds_bucket{connector="staff",le="5.0",mode="apply"} 1.0 # ')
    assert '{trace_id="0af7651916cd43dd8448eb211c80319c"} 3.0' in bucket


async def test_a_connection_is_in_quarantine_until_it_is_healthy(log: Record, started: Starter) -> None:
    note = FailureNote(code="APL_AUTH", text=CANARY)
    health = facts.ConnectionHealth(
        connection="hst", status="quarantined", since=at(1), reason=note, run=None, probes=0
    )
    await log.take(health, health.model_copy(update={"connection": "snipe", "probes": 3}))
    monitor = await started()
    assert monitor.value("aether_connection_quarantined", connection="hst") == 1
    await log.take(health.model_copy(update={"status": "healthy", "reason": None}))
    await monitor.recorded.look()
    assert monitor.value("aether_connection_quarantined", connection="hst") == 0
    assert monitor.value("aether_connection_quarantined", connection="snipe") == 1
    assert (await started()).figures == monitor.figures


async def test_a_replay_says_nothing_about_quarantine(log: Record, started: Starter) -> None:
    await log.take(run_state("r1", (S.QUEUED, 1)), snapshot("r1", 1, {"NRM_UNMAPPED": 2}))
    await log.take(run_state("r2", (S.QUEUED, 2), replay_of="r1"), snapshot("r2", 2, {}))
    monitor = await started()
    name = "aether_quarantine_records"
    assert monitor.value(name, connector="staff", entity="people", code="NRM_UNMAPPED") == 2
    await log.take(run_state("r3", (S.QUEUED, 3), replay_of="r1"), snapshot("r3", 3, {}))
    await monitor.recorded.look()
    assert monitor.value(name, connector="staff", entity="people", code="NRM_UNMAPPED") == 2


async def test_no_person_stands_in_a_label(log: Record, started: Starter) -> None:
    await _live_through(log)
    bad = run_state(
        "r9", (S.QUEUED, 1), (S.FAILED, 2), connector=CANARY, failure=FailureNote(code="SYS_SECRET", text="x")
    )
    read = snapshot("r9", 1, {"NRM_UNMAPPED": 1}).model_copy(update={"entity": CANARY})
    health = facts.ConnectionHealth(
        connection=CANARY, status="quarantined", since=at(1), reason=None, run=None, probes=0
    )
    await log.take(bad, read, sealed(bad, NineCounts(planned=0), **{CANARY: 3}), health)
    monitor = await started()
    for told in (generate_latest(monitor.registry).decode(), generate_openmetrics(monitor.registry).decode()):  # type: ignore[no-untyped-call]  # the library has no types there
        assert not [word for word in ("Canary", "canary", "example.org", "Ana", "r9", "r1") if word in told]
    assert monitor.value("aether_runs_ended_total", connector="other", mode="apply", status="failed") == 1
    assert monitor.value("aether_connection_quarantined", connection="other") == 1


async def test_a_log_that_became_shorter_is_read_anew(log: Record, started: Starter) -> None:
    await _live_through(log)
    monitor = await started()
    await _forget_everything(log.store)
    log.numbers = itertools.count(0)
    await log.take(run_state("n1", (S.QUEUED, 1), (S.NO_CHANGES, 2), level=None))
    await monitor.recorded.look()
    assert monitor.value("aether_runs_ended_total", connector="staff", mode="apply", status="no_changes") == 1
    assert monitor.value("aether_runs_ended_total", connector="staff", mode="apply", status="partial") is None


async def _forget_everything(store: Store) -> None:
    """As a database that is restored from nothing; the triggers stand in the way of anything less."""
    async with store.engine.begin() as connection:
        if store.engine.dialect.name == "sqlite":
            names = (await connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type='trigger'")).scalars()
            for name in names.all():
                await connection.exec_driver_sql(f'DROP TRIGGER "{name}"')
        else:
            for name in tables.APPEND_ONLY:
                await connection.exec_driver_sql(f"ALTER TABLE {name} DISABLE TRIGGER USER")
        for table in (tables.entry, tables.run, tables.run_event):
            await connection.execute(delete(table))


async def test_a_database_that_is_away_leaves_the_figures_and_says_so(
    log: Record, started: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _live_through(log)
    monitor = await started()
    before, looked_at = monitor.figures, monitor.recorded.looked_at

    async def away(_: Rows) -> int:
        raise OperationalError("select", {}, OSError(CANARY))

    monkeypatch.setattr(Rows, "last_index", away)
    await monitor.recorded.try_to_look()
    assert (monitor.figures, monitor.recorded.looked_at) == (before, looked_at)
    assert monitor.recorded.is_current

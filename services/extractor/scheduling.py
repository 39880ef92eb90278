"""Runs by schedule: looks which times are due, keeps the bus's alarm clocks, and answers what is scheduled.

The bus rings (`sched.…` messages become ticks), and every replica looks by itself now and then as well, so that a bell
that was lost with a server is made good. Whoever looks decides the same (`shared.schedule.deciding`); who is quicker
settles the time, the others find it settled.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import nats.errors
import structlog
from nats.js.errors import APIError
from prometheus_client import CollectorRegistry

from services.extractor.admission import Admission
from services.extractor.handlers import Context, is_promoted
from services.extractor.schedule_moves import Looked, after_look, last_status, left_out, still, taken, told
from shared.bus.publishing import PublishFailed
from shared.bus.reading import StreamUnavailable, last
from shared.clock import from_text, to_text
from shared.contract.loading import Connector
from shared.contract.model import Schedule
from shared.errors import AetherError
from shared.events.commands import RequestRun
from shared.events.schedules import ScheduleFired, ScheduleSkipped
from shared.events.stored import Stored
from shared.run.active import active_in, active_subject
from shared.run.moves import Decision, Move, run_state_in
from shared.run.state import state_subject
from shared.schedule.calendar import HouseCalendar
from shared.schedule.calendar_file import load_calendar
from shared.schedule.deciding import Due, Later, LeftOut, clause_of, decide, preview, run_of
from shared.schedule.state import ITSELF, ScheduleState, schedule_state_in, schedule_subject
from shared.schedule.times import largest_gap, with_seconds
from shared.telemetry.families import counter, gauge

LOOK_SECONDS: Final = 20.0
"""How often each replica looks by itself."""
TRIES_MAX: Final = 20
"""Looks at one schedule in a row while others are quicker."""
TICK_SECONDS: Final = 300
"""How long a tick is kept that nobody took: the next look settles its time anyway."""
BUS_SECONDS: Final = 10.0
FRESH_SECONDS_MIN: Final = 3600.0
"""The least age of a last success at which a connector counts as stale."""
STREAM: Final = "SCHED"

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Scheduled:
    """A connector that runs by itself."""

    connector: Connector
    schedule: Schedule

    @property
    def name(self) -> str:
        """The connector's name."""
        return self.connector.definition.name


class Scheduling:
    """The schedules of the house, as one replica sees them."""

    def __init__(self, context: Context, *, calendar: Path | None, registry: CollectorRegistry) -> None:
        """`calendar` is read anew at every look; None: no day and no window is left out."""
        self._context = context
        self._calendar_path = calendar
        self._firings = counter("aether_schedule_firings_total", registry)
        self._due = gauge("aether_schedule_last_due_timestamp_seconds", registry)
        self._next = gauge("aether_schedule_next_timestamp_seconds", registry)
        self._paused = gauge("aether_schedule_paused", registry)
        self._fresh = gauge("aether_connector_freshness_limit_seconds", registry)
        self._told: set[str] = set()

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self.look_at_all()
            await asyncio.sleep(LOOK_SECONDS)

    async def look_at_all(self) -> None:
        """Set the alarm clocks, and settle what is due; what fails is tried again at the next look."""
        for name in self._context.connectors.names():
            try:
                await self._keep(name)
                await self.look(name)
            except (AetherError, PublishFailed, StreamUnavailable, nats.errors.Error, APIError, TimeoutError) as error:
                code = error.code if isinstance(error, AetherError) else "SYS_HANDLER_FAILED"
                log.warning("schedule_not_looked_at", connector=name, code=code, error=type(error).__name__)

    async def on_tick(self, subject: str) -> None:
        """A bell rang for a connector: `tick.<connector>`."""
        await self.look(subject.partition(".")[2])

    async def look(self, name: str) -> None:
        """Settle the latest time of one schedule, if it is due and still open."""
        scheduled = self.scheduled(name)
        if scheduled is None:
            return
        calendar = self.calendar()
        for _ in range(TRIES_MAX):
            if await self._settle(scheduled, calendar):
                return

    # -- what is scheduled -------------------------------------------------------------------------------------------

    def scheduled(self, name: str) -> Scheduled | None:
        """The connector with its schedule; None where it has none, or is no active release."""
        if name not in self._context.connectors.names():
            return None
        connector = self._context.connectors.load(name)
        schedule = connector.definition.schedule
        if schedule is None or connector.definition.lifecycle != "active":
            return None
        return Scheduled(connector, schedule)

    def calendar(self) -> HouseCalendar | None:
        """The calendar as it is now; `CalendarInvalid` names what is wrong with it."""
        return None if self._calendar_path is None else load_calendar(self._calendar_path)

    # -- settling ----------------------------------------------------------------------------------------------------

    async def _settle(self, scheduled: Scheduled, calendar: HouseCalendar | None) -> bool:
        """Decide and publish; False when somebody was quicker and it must be looked at anew."""
        context, name = self._context, scheduled.name
        now = context.clock.now()
        state = schedule_state_in(await last(context.js, "CORE", schedule_subject(name)))
        active = active_in(await last(context.js, "CORE", active_subject(name)))
        looked = Looked(state, active, active_subject(name))
        present = self._present(state, scheduled, now)
        what = decide(scheduled.schedule, calendar, present, connector=name, now=now)
        runs = [] if active is None else [one for one in (active.run, active.waiting) if one is not None]
        runs += [] if present.last_run is None else [present.last_run]
        admission = await self._admission(scheduled, what, now) if isinstance(what, Due) else None
        runs += [] if admission is None else [admission.run]
        watched = (schedule_subject(name), active_subject(name), *dict.fromkeys(state_subject(one) for one in runs))
        was_quicker: list[str] = []

        def choose(read: Mapping[str, Stored | None]) -> Decision:
            if not still(read, looked, name):
                was_quicker.append(name)
                return Decision()
            after = after_look(present, last_status(read, present), at=to_text(now))
            if after.paused is not None and present.paused is None:
                # It has just paused itself: what is due now is left out like every time from now on.
                again = decide(scheduled.schedule, calendar, after, connector=name, now=now)
                return told(state, *(left_out(after, again) if isinstance(again, LeftOut) else (after, ())))
            match what:
                case Due() if admission is not None:
                    return told(state, *taken(read, after, what, lambda: admission))
                case LeftOut():
                    return told(state, *left_out(after, what))
                case _:
                    return told(state, after, ())

        decision = await context.committer.commit(Move(reads=watched, decide=choose))
        if was_quicker:
            return False
        self._count(decision)
        self._show(scheduled, calendar, decision, present, now)
        if isinstance(what, Later):
            await self._ring_at(name, what)
        return True

    def _present(self, state: ScheduleState | None, scheduled: Scheduled, now: datetime) -> ScheduleState:
        """The schedule's document; one whose clause is new begins now, and keeps its pause."""
        clause = clause_of(scheduled.schedule)
        if state is None:
            return ScheduleState(connector=scheduled.name, since=to_text(now), clause=clause)
        if state.clause != clause:
            return state.model_copy(update={"since": to_text(now), "clause": clause, "settled": None})
        return state

    async def _admission(self, scheduled: Scheduled, due: Due, now: datetime) -> Admission:
        connector = scheduled.connector
        return Admission(
            request=RequestRun(connector=scheduled.name, mode=scheduled.schedule.mode),
            requester=ITSELF,
            run=run_of(scheduled.name, due.nominal),
            definition=connector.definition,
            release_digest=connector.digest,
            is_published=connector.is_published,
            is_promoted=await is_promoted(connector, self._context),
            at=to_text(now),
        )

    # -- alarm clocks ------------------------------------------------------------------------------------------------

    async def _keep(self, name: str) -> None:
        """Let the bus's own schedule be what the release says; one that is no more is taken away."""
        scheduled = self.scheduled(name)
        subject = f"sched.cron.{name}"
        found = await last(self._context.js, STREAM, subject)
        rings = found is not None and "Nats-Schedule" in found.headers
        if scheduled is None:
            if rings:
                await self._put(subject, {"Nats-Rollup": "sub"})
            return
        wanted = {
            "Nats-Schedule": with_seconds(scheduled.schedule.cron),
            "Nats-Schedule-Time-Zone": scheduled.schedule.time_zone,
            "Nats-Schedule-Target": f"tick.{name}",
            "Nats-Schedule-TTL": f"{TICK_SECONDS}s",
        }
        if found is None or any(found.headers.get(key) != value for key, value in wanted.items()):
            await self._put(subject, wanted)

    async def _ring_at(self, name: str, later: Later) -> None:
        """Have the bus ring once more, when the jittered beginning has come."""
        subject, at = f"sched.jitter.{name}", later.at.strftime("%Y-%m-%dT%H:%M:%SZ")
        found = await last(self._context.js, STREAM, subject)
        if found is not None and found.headers.get("Nats-Schedule") == f"@at {at}":
            return
        await self._put(
            subject,
            {
                "Nats-Schedule": f"@at {at}",
                "Nats-Schedule-Target": f"tick.{name}",
                "Nats-Schedule-TTL": f"{TICK_SECONDS}s",
            },
        )

    async def _put(self, subject: str, headers: dict[str, str]) -> None:
        marks = hashlib.sha256(repr(sorted(headers.items())).encode()).hexdigest()[:16]
        await self._context.js.publish(
            subject,
            b"",
            stream=STREAM,
            timeout=BUS_SECONDS,
            headers={**headers, "Nats-Msg-Id": f"{subject}.{marks}.{self._context.ids.token(8)}"},
        )

    # -- figures -----------------------------------------------------------------------------------------------------

    def _count(self, decision: Decision) -> None:
        for message in decision.messages:
            if isinstance(message.event, ScheduleFired):
                self._firings.labels(message.event.connector, "run").inc()
            elif isinstance(message.event, ScheduleSkipped):
                self._firings.labels(message.event.connector, message.event.reason.code).inc()

    def _show(
        self,
        scheduled: Scheduled,
        calendar: HouseCalendar | None,
        decision: Decision,
        before: ScheduleState,
        now: datetime,
    ) -> None:
        name, schedule = scheduled.name, scheduled.schedule
        changed = [message.event for message in decision.messages if isinstance(message.event, ScheduleState)]
        state = changed[0] if changed else before
        self._paused.labels(name).set(state.paused is not None)
        coming = preview(schedule, calendar, state, connector=name, now=now, count=1)
        for nominal, _ in coming:
            self._next.labels(name).set(nominal.timestamp())
        if state.settled is not None and state.last_code is None:
            self._due.labels(name).set(from_text(state.settled).timestamp())
        limit = 2 * largest_gap(schedule.cron, schedule.time_zone, now)
        self._fresh.labels(name).set(max(limit, timedelta(seconds=FRESH_SECONDS_MIN)).total_seconds())


async def status_of(context: Context, run: str | None) -> str | None:
    """Where a run stands now; None where there is none."""
    if run is None:
        return None
    stored = await last(context.js, "CORE", state_subject(run))
    return None if stored is None else str(run_state_in(run, stored).status)

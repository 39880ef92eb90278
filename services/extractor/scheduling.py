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
from datetime import datetime
from pathlib import Path
from typing import Final

import nats.errors
import structlog
from prometheus_client import CollectorRegistry

from services.extractor.admission import Admission
from services.extractor.handlers import Context, is_promoted
from services.extractor.schedule_figures import ScheduleFigures
from services.extractor.schedule_moves import Looked, last_status, left_out, still, taken, told
from shared.bus.connect import PermissionRefused
from shared.bus.publishing import PublishFailed, PublishRefused
from shared.bus.reading import NotGenuine, StreamUnavailable, last
from shared.clock import to_text
from shared.contract.loading import Connector
from shared.contract.model import Schedule
from shared.errors import AetherError
from shared.events.commands import RequestRun
from shared.events.stored import Stored
from shared.run.active import active_in, active_subject
from shared.run.moves import Decision, Move, run_state_in
from shared.run.state import state_subject
from shared.schedule.calendar import HouseCalendar
from shared.schedule.calendar_file import CalendarInvalid, load_calendar
from shared.schedule.deciding import Due, Later, LeftOut, clause_of, counted, decide, decide_blind, run_of
from shared.schedule.state import ITSELF, ScheduleState, schedule_state_in, schedule_subject
from shared.schedule.times import with_seconds

LOOK_SECONDS: Final = 20.0
"""How often each replica looks by itself."""
TRIES_MAX: Final = 20
"""Looks at one schedule in a row while others are quicker."""
TICK_SECONDS: Final = 300
"""How long a tick is kept that nobody took: the next look settles its time anyway."""
BUS_SECONDS: Final = 10.0
NO_CLAUSE: Final = ""
"""In the document of a schedule that is no more."""
STREAM: Final = "SCHED"

log = structlog.get_logger(__name__)


FAILURES: Final = (
    AetherError,
    PublishFailed,
    PublishRefused,
    PermissionRefused,
    StreamUnavailable,
    NotGenuine,
    nats.errors.Error,
    TimeoutError,
    OSError,
)
"""After which the next look tries again; a defect of ours ends the program, as everywhere."""


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
        self._figures = ScheduleFigures(registry)
        self._calendar_fault: str | None = None

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self.look_at_all()
            await asyncio.sleep(LOOK_SECONDS)

    async def look_at_all(self) -> None:
        """Set the alarm clocks, and settle what is due; what fails is tried again at the next look."""
        try:
            names = self._context.connectors.names()
        except (AetherError, OSError) as error:
            self._not_looked_at("all", error)
            return
        for name in sorted({*names, *self._figures.shown}):
            try:
                if (scheduled := self.scheduled(name)) is None:
                    await self._give_up(name)
                else:
                    await self._keep(scheduled)
                    await self.look(name)
            except FAILURES as error:
                self._not_looked_at(name, error)

    async def on_tick(self, subject: str) -> None:
        """A bell rang for a connector: `tick.<connector>`.

        What a person must mend is logged and not raised: a bell says nothing that would be lost, and the next look
        comes by anyway, so it is no dead letter.
        """
        name = subject.partition(".")[2]
        try:
            if self.scheduled(name) is None:
                # Also for one whose folder is gone, which no look comes by any more.
                await self._give_up(name)
            else:
                await self.look(name)
        except AetherError as error:
            self._not_looked_at(name, error)

    async def look(self, name: str) -> None:
        """Settle the latest time of one schedule, if it is due and still open."""
        scheduled = self.scheduled(name)
        if scheduled is None:
            return
        calendar, fault = self._calendar_now()
        for _ in range(TRIES_MAX):
            if await self._settle(scheduled, calendar, fault):
                return

    def _not_looked_at(self, name: str, error: Exception) -> None:
        code = error.code if isinstance(error, AetherError) else "SYS_HANDLER_FAILED"
        log.warning("schedule_not_looked_at", connector=name, code=code, error=type(error).__name__)

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

    def _calendar_now(self) -> tuple[HouseCalendar | None, str | None]:
        """The calendar, or why it cannot be used, which is logged once."""
        try:
            calendar, fault = self.calendar(), None
        except CalendarInvalid as invalid:
            calendar, fault = None, invalid.message
            if fault != self._calendar_fault:
                log.error("calendar_not_usable", code=invalid.code, problems=len(invalid.problems))
        self._calendar_fault = fault
        return calendar, fault

    # -- settling ----------------------------------------------------------------------------------------------------

    async def _settle(self, scheduled: Scheduled, calendar: HouseCalendar | None, fault: str | None) -> bool:
        """Decide and publish; False when somebody was quicker and it must be looked at anew."""
        context, name = self._context, scheduled.name
        now = context.clock.now()
        state = schedule_state_in(await last(context.js, "CORE", schedule_subject(name)))
        active = active_in(await last(context.js, "CORE", active_subject(name)))
        looked = Looked(state, active, active_subject(name))
        present = self._present(state, scheduled, now)
        what = (
            decide(scheduled.schedule, calendar, present, connector=name, now=now)
            if fault is None
            else decide_blind(scheduled.schedule, fault, present, connector=name, now=now)
        )
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
            after = counted(present, last_status(read, present), at=to_text(now))
            if after.paused is not None and present.paused is None:
                # It has just paused itself: what is due now is left out like every time from now on.
                again = decide(scheduled.schedule, calendar, after, connector=name, now=now)
                return told(state, *(left_out(after, again) if isinstance(again, LeftOut) else (after, ())))
            match what:
                case Due() if admission is not None:
                    return told(state, *taken(read, after, what, admission))
                case LeftOut():
                    return told(state, *left_out(after, what))
                case _:
                    return told(state, after, ())

        decision = await context.committer.commit(Move(reads=watched, decide=choose))
        if was_quicker:
            return False
        self._figures.count(decision)
        if fault is None:
            changed = [message.event for message in decision.messages if isinstance(message.event, ScheduleState)]
            shown = changed[0] if changed else present
            self._figures.show(scheduled.schedule, calendar, shown, connector=name, now=now)
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

    async def _keep(self, scheduled: Scheduled) -> None:
        """Let the bus's own schedule be what the release says."""
        name = scheduled.name
        found = await last(self._context.js, STREAM, cron_subject(name))
        wanted = {
            "Nats-Schedule": with_seconds(scheduled.schedule.cron),
            "Nats-Schedule-Time-Zone": scheduled.schedule.time_zone,
            "Nats-Schedule-Target": f"tick.{name}",
            "Nats-Schedule-TTL": f"{TICK_SECONDS}s",
        }
        if found is None or any(found.headers.get(key) != value for key, value in wanted.items()):
            await self._put(cron_subject(name), wanted)

    async def _give_up(self, name: str) -> None:
        """Take away the alarm clock of a connector that runs by itself no more, and forget its clause.

        Should it have a schedule again, that one begins then: what passed meanwhile is nobody's.
        """
        self._figures.hide(name)
        found = await last(self._context.js, STREAM, cron_subject(name))
        if found is None or "Nats-Schedule" not in found.headers:
            return

        def forget(read: Mapping[str, Stored | None]) -> Decision:
            state = schedule_state_in(read[schedule_subject(name)])
            return Decision() if state is None else told(state, state.model_copy(update={"clause": NO_CLAUSE}), ())

        await self._context.committer.commit(Move(reads=(schedule_subject(name),), decide=forget))
        # A plain message takes the place of the one that rang: no right to purge the stream is needed.
        await self._put(cron_subject(name), {"Nats-Rollup": "sub"})

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


def cron_subject(connector: str) -> str:
    """Where the bus keeps a connector's alarm clock."""
    return f"sched.cron.{connector}"


async def status_of(context: Context, run: str | None) -> str | None:
    """Where a run stands now; None where there is none."""
    if run is None:
        return None
    stored = await last(context.js, "CORE", state_subject(run))
    return None if stored is None else str(run_state_in(run, stored).status)

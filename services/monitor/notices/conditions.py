"""The conditions of the house that people are told of, and which of them are present now.

Pure. A condition has a beginning and an end, and each occurrence of it an id of its own that stays the same in every
look at the same record: so it can be told once. Nothing here says to whom or how. No text of a failure, of a person or
of a vendor enters a condition: only names of connectors and connections, ids of runs, states, counts and codes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, get_args

from services.monitor.notices.past import ALARM_QUIET, LogPast
from shared.clock import to_text
from shared.events.operating import ConditionKind
from shared.run.states import RunStatus
from shared.schedule.state import ITSELF

KINDS: Final[tuple[ConditionKind, ...]] = get_args(ConditionKind)
UNKNOWN_AFTER: Final = timedelta(minutes=10)
"""An intent without an outcome is nothing unusual while its answer is on the way; after so long it is."""

WAITING: Final[Mapping[str, ConditionKind]] = {
    RunStatus.AWAITING_APPROVAL.value: "run_awaiting_approval",
    RunStatus.HELD.value: "run_held",
    RunStatus.PAUSED.value: "run_paused",
}
"""States in which a run waits for a person."""
ENDED_BADLY: Final[Mapping[str, ConditionKind]] = {
    RunStatus.BLOCKED.value: "run_blocked",
    RunStatus.FAILED.value: "run_failed",
    RunStatus.PARTIAL.value: "run_partial",
}
"""Ends of runs that stand until a later run of the connector is better."""
GOOD: Final = (RunStatus.SUCCEEDED.value, RunStatus.NO_CHANGES.value, RunStatus.PLANNED.value)
"""What ends every condition above; `planned` is the good end of a dry-run."""
PAST_THE_GUARD: Final = (
    *GOOD,
    *(each.value for each in (RunStatus.HELD, RunStatus.AWAITING_APPROVAL, RunStatus.APPROVED, RunStatus.APPLYING)),
    *(each.value for each in (RunStatus.PAUSED, RunStatus.THROTTLED, RunStatus.VERIFYING, RunStatus.PARTIAL)),
    *(each.value for each in (RunStatus.REJECTED, RunStatus.EXPIRED, RunStatus.STALE, RunStatus.SUPERSEDED)),
)
"""What ends the condition that a connector's runs are blocked."""
BETTER: Final[Mapping[ConditionKind, tuple[str, ...]]] = {
    "run_blocked": PAST_THE_GUARD,
    "run_failed": GOOD,
    "run_partial": GOOD,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One occurrence of something that people should know."""

    id: str
    kind: ConditionKind
    since: str
    """RFC 3339, in UTC."""
    connector: str | None = None
    run: str | None = None
    connection: str | None = None
    code: str | None = None
    """Of the catalogue."""
    status: str | None = None
    """Of the run."""
    counts: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class SeenRun:
    """What a row of a run says that matters here."""

    run: str
    connector: str
    mode: str
    status: str
    requested_at: str
    since: str
    """When it came into its state."""
    requester: str | None = None
    code: str | None = None
    counts: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class BadStreak:
    """The runs of a connector in one mode that ended alike since the last better one."""

    first: SeenRun
    newest: SeenRun
    runs: int
    after: str
    """When the last better run was asked for; empty where there was none. It tells this streak from others."""


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Changes of a run whose effect has been unknown for longer than is usual."""

    run: str
    connector: str
    changes: int
    since: str


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the auditor's record found."""

    waiting: tuple[SeenRun, ...] = ()
    streaks: tuple[BadStreak, ...] = ()
    unresolved: tuple[Unresolved, ...] = ()
    past: LogPast = field(default_factory=LogPast)


def present(look: Look, *, now: datetime) -> dict[str, Condition]:
    """The conditions that are present, by id."""
    found = [*_of_waiting(look.waiting), *_of_streaks(look.streaks), *_of_unresolved(look.unresolved)]
    found += _of_log(look.past, now=now)
    return {condition.id: condition for condition in found}


def streaks_of(ended: Iterable[SeenRun], better: Mapping[tuple[str, str, ConditionKind], str]) -> list[BadStreak]:
    """The streaks that runs which ended badly form, in the order of the newest run of each.

    `better` says when the newest better run was asked for, by connector, mode and kind of condition. Of dry-runs only
    scheduled ones count: who asked for another one looks at it.
    """
    streaks: dict[tuple[str, str, ConditionKind], list[SeenRun]] = {}
    for run in sorted(ended, key=lambda one: (one.requested_at, one.run)):
        kind = ENDED_BADLY.get(run.status)
        if kind is None or not (run.mode == "apply" or run.requester == ITSELF):
            continue
        key = (run.connector, run.mode, kind)
        if run.requested_at > better.get(key, ""):
            streaks.setdefault(key, []).append(run)
    return [BadStreak(runs[0], runs[-1], len(runs), better.get(key, "")) for key, runs in streaks.items()]


def _of_waiting(runs: Iterable[SeenRun]) -> list[Condition]:
    found = []
    for run in runs:
        kind = WAITING.get(run.status)
        if kind is None:
            continue
        # A run may be paused several times, and each is an occurrence of its own.
        again = f"/{run.since}" if kind == "run_paused" else ""
        found.append(
            Condition(
                f"{kind}/{run.run}{again}", kind, run.since, connector=run.connector, run=run.run, code=run.code,
                status=run.status, counts=run.counts,
            )
        )  # fmt: skip
    return found


def _of_streaks(streaks: Iterable[BadStreak]) -> list[Condition]:
    found = []
    for streak in streaks:
        newest = streak.newest
        kind = ENDED_BADLY[newest.status]
        counts = (*newest.counts, ("runs in a row", streak.runs)) if streak.runs > 1 else newest.counts
        found.append(
            Condition(
                f"{kind}/{newest.connector}/{newest.mode}/after-{streak.after or 'none'}", kind, streak.first.since,
                connector=newest.connector, run=newest.run, code=newest.code, status=newest.status, counts=counts,
            )
        )  # fmt: skip
    return found


def _of_unresolved(unresolved: Iterable[Unresolved]) -> list[Condition]:
    return [
        Condition(
            f"unknown_effects/{one.run}", "unknown_effects", one.since, connector=one.connector, run=one.run,
            counts=(("unknown", one.changes),),
        )
        for one in unresolved
    ]  # fmt: skip


def _of_log(past: LogPast, *, now: datetime) -> list[Condition]:
    found = [
        Condition(f"schedule_paused/{connector}/{paused.entry}", "schedule_paused", paused.at, connector=connector)
        for connector, paused in sorted(past.paused.items())
    ]
    found += [
        Condition(
            f"connection_quarantined/{connection}/{at.at}", "connection_quarantined", at.at, connection=connection,
            code=at.code,
        )
        for connection, at in sorted(past.quarantined.items())
    ]  # fmt: skip
    # In the form of the log, so that the two are compared as texts.
    quiet_since = to_text(now - ALARM_QUIET)
    found += [
        Condition(
            f"alarm_raised/{alarm.service}/{alarm.code}/{alarm.entry}", "alarm_raised", alarm.first_at, code=alarm.code,
            run=alarm.run, counts=(("alarms", alarm.times),),
        )
        for alarm in past.alarms()
        if alarm.last_at > quiet_since
    ]  # fmt: skip
    return found

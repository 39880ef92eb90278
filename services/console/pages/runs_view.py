"""What the list of runs shows: one line a run, and what the newest of them say together as charts.

Pure. The charts are drawn from as many runs as the caller read; the model says how many these were.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from markupsafe import Markup
from pydantic import BaseModel, ConfigDict, Field

from services.console.charts import Bar, Column, Part, bars, columns, stacked_bar
from services.console.pages.run_view import count_lines, failure_line
from shared.audit.figures import phase_seconds
from shared.clock import from_text
from shared.events.queries import RunView
from shared.run.counts import NineCounts
from shared.run.state import RunState
from shared.run.states import WAITING_FOR_A_PERSON, RunStatus, is_terminal

ROWS_MAX: Final = 100
CHART_RUNS_MAX: Final = 200
DAYS_SHOWN: Final = 14
DURATIONS_SHOWN: Final = 30
FAILURES_SHOWN: Final = 10
TEXT_CHARS_MAX: Final = 100

_WAITING: Final = frozenset(status.value for status in WAITING_FOR_A_PERSON)
_KINDS: Final[Mapping[str, str]] = {
    "succeeded": "ok", "no_changes": "ok", "planned": "info", "partial": "warn", "held": "warn",
    "awaiting_approval": "act", "failed": "bad", "blocked": "bad", "rejected": "quiet", "expired": "quiet",
    "stale": "quiet", "superseded": "quiet", "cancelled": "quiet", "paused": "warn",
}  # fmt: skip
_OUTCOMES: Final[tuple[tuple[str, str], ...]] = (
    ("ok", "succeeded or without changes"),
    ("info", "dry-run with changes"),
    ("act", "waiting for approval"),
    ("warn", "partial, held or paused"),
    ("bad", "failed or blocked"),
    ("busy", "under way"),
    ("quiet", "rejected, expired, superseded or cancelled"),
)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class RunsFilter(_Model):
    """Which runs are asked for; what is empty asks for nothing."""

    connector: str = ""
    status: str = ""
    mode: str = ""
    requester: str = ""
    text: str = ""
    """Stands in the run's id, its connector or its requester."""
    since: str = ""
    """First day, as `2026-01-31`, in the district's zone."""
    until: str = ""
    """Last day."""
    before: str = ""
    """Where the page before ended."""

    @property
    def is_empty(self) -> bool:
        """Whether all runs are asked for."""
        return not any(value for name, value in self.model_dump().items() if name != "before")


class RunRow(_Model):
    """One run of the list."""

    run: str
    connector: str
    connector_version: str
    mode: str
    status: str
    requester: str | None
    requested_at: str
    seconds: float | None
    """Time at work, without what was spent waiting for people; None while the run is under way."""
    planned: int | None
    """Changes of the plan; None while there is none."""
    counts: NineCounts | None
    failure_code: str | None


class Outcome(_Model):
    """What became of one run, as charts need it."""

    run: str
    connector: str
    day: date
    """In the district's zone."""
    at: str
    """Hour and minute of the request, in that zone."""
    kind: str
    seconds: float | None
    counts_by_code: dict[str, int] = Field(default_factory=dict)


class DayRow(_Model):
    """The runs of one day, by outcome."""

    day: date
    by_kind: dict[str, int]


class FailureRow(_Model):
    """How often a code came up."""

    code: str
    number: int
    owner: str
    text: str


class RunsFigures(_Model):
    """What the newest runs say together."""

    runs_read: int
    days: tuple[DayRow, ...]
    failures: tuple[FailureRow, ...]


class RunsPage(_Model):
    """The list of runs."""

    wanted: RunsFilter
    rows: tuple[RunRow, ...]
    goes_on: str | None
    """What to ask with as `before` for the runs that follow; None when there are none."""
    figures: RunsFigures


def run_row(view: RunView, seconds: float | None) -> RunRow:
    """One line of the list."""
    return RunRow(
        run=view.run,
        connector=view.connector,
        connector_version=view.connector_version,
        mode=view.mode,
        status=view.status,
        requester=view.requester,
        requested_at=view.requested_at,
        seconds=seconds,
        planned=view.plan.changes if view.plan is not None else None,
        counts=view.counts,
        failure_code=view.failure.code if view.failure is not None else None,
    )


def seconds_at_work(state: RunState) -> float | None:
    """How long a run that has ended was at work, without waiting for people."""
    if not is_terminal(state.status):
        return None
    return round(sum(length for status, length in phase_seconds(state).items() if status not in _WAITING), 3)


def outcome_of(state: RunState, *, requested_at: str, counts_by_code: Mapping[str, int], zone: ZoneInfo) -> Outcome:
    """One run for the charts."""
    by_code = dict(counts_by_code)
    local = from_text(requested_at).astimezone(zone)
    if state.failure is not None and not by_code and kind_of(state.status.value) in {"bad", "warn"}:
        by_code = {state.failure.code: 1}
    return Outcome(
        run=state.run,
        connector=state.connector,
        day=local.date(),
        at=f"{local:%H:%M}",
        kind=kind_of(state.status.value),
        seconds=seconds_at_work(state),
        counts_by_code=by_code,
    )


def kind_of(status: str) -> str:
    """Which colour and sign a state has."""
    return _KINDS.get(status, "busy")


def figures_of(outcomes: Sequence[Outcome], *, today: date) -> RunsFigures:
    """Runs by day and outcome over the last days, and the codes that came up; days without runs are there too."""
    days = [today - timedelta(days=back) for back in reversed(range(DAYS_SHOWN))]
    by_day: dict[date, Counter[str]] = {day: Counter() for day in days}
    codes: Counter[str] = Counter()
    for one in outcomes:
        if one.day in by_day:
            by_day[one.day][one.kind] += 1
        codes.update(one.counts_by_code)
    ordered = sorted(codes.items(), key=lambda pair: (-pair[1], pair[0]))[:FAILURES_SHOWN]
    return RunsFigures(
        runs_read=len(outcomes),
        days=tuple(DayRow(day=day, by_kind=dict(counted)) for day, counted in by_day.items()),
        failures=tuple(
            FailureRow(code=line.code, number=line.number, owner=line.owner, text=line.text)
            for line in (failure_line(code, number) for code, number in ordered if number > 0)
        ),
    )


def outcome_names() -> tuple[tuple[str, str], ...]:
    """Kind and name of each outcome, in the order of the chart."""
    return _OUTCOMES


# --- drawn ----------------------------------------------------------------------------------------------------------


def days_chart(figures: RunsFigures) -> Markup:
    """Runs a day, by outcome."""
    total = sum(sum(day.by_kind.values()) for day in figures.days)
    drawn = [
        Column(
            f"{day.day:%b} {day.day.day}",
            tuple(Part(kind, name, float(day.by_kind.get(kind, 0))) for kind, name in _OUTCOMES),
        )
        for day in figures.days
    ]
    told = "; ".join(f"{column.label}: {column.total:.0f}" for column in drawn if column.total) or "no runs"
    return columns(drawn, title=f"Runs a day by outcome, {total} in {DAYS_SHOWN} days", description=told)


def durations_chart(outcomes: Sequence[Outcome]) -> Markup:
    """Seconds at work of the newest runs that have ended, oldest at the left."""
    ended = [one for one in outcomes if one.seconds is not None][:DURATIONS_SHOWN]
    drawn = [
        Column(f"{one.day:%b} {one.day.day} {one.at}", (Part(one.kind, one.connector, one.seconds or 0.0),))
        for one in reversed(ended)
    ]
    told = "; ".join(f"{one.run} ({one.connector}): {one.seconds} s" for one in ended) or "no run has ended"
    return columns(drawn, title=f"Seconds at work of the last {len(drawn)} runs", description=told, unit=" s")


def failures_chart(figures: RunsFigures) -> Markup:
    """The codes that came up most."""
    drawn = [Bar(row.code, "bad", float(row.number), f"{row.number:,}") for row in figures.failures]
    told = "; ".join(f"{row.code}: {row.number}" for row in figures.failures) or "nothing"
    return bars(drawn, title="What stood in the way, by code", description=told)


def counts_bar(counts: NineCounts | None) -> Markup:
    """The nine counts as one bar; nothing for a run without."""
    if counts is None or counts.planned == 0:
        return Markup("")
    parts = [Part(line.kind, line.name.replace("_", " "), float(line.number)) for line in count_lines(counts)]
    return stacked_bar(parts, title=f"Of {counts.planned:,} changes")


# --- asked for ------------------------------------------------------------------------------------------------------


class BadFilter(ValueError):
    """A filter that asks for nothing that there can be; the text says place, value and what to write."""


def checked(wanted: RunsFilter) -> RunsFilter:
    """The filter; `BadFilter` for a state, a mode or a day that there is not."""
    if wanted.status and wanted.status not in {status.value for status in RunStatus}:
        raise BadFilter(f"status: {wanted.status[:40]!r} is no state of a run; choose one of the list")
    if wanted.mode and wanted.mode not in {"dry-run", "apply"}:
        raise BadFilter(f"mode: {wanted.mode[:40]!r} is none; write dry-run or apply")
    for name, value in (("text", wanted.text), ("requester", wanted.requester), ("connector", wanted.connector)):
        if len(value) > TEXT_CHARS_MAX:
            raise BadFilter(f"{name}: {len(value)} characters, allowed are {TEXT_CHARS_MAX}; search for less")
    for name, value in (("since", wanted.since), ("until", wanted.until)):
        if value:
            _day(name, value)
    return wanted


def moments_of(wanted: RunsFilter, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
    """The first moment asked for, and the first moment after."""
    since = datetime.combine(_day("since", wanted.since), datetime.min.time(), zone) if wanted.since else None
    last = _day("until", wanted.until) if wanted.until else None
    after = datetime.combine(last + timedelta(days=1), datetime.min.time(), zone) if last is not None else None
    return since, after


def _day(name: str, value: str) -> date:
    try:
        day = date.fromisoformat(value)
    except ValueError:
        raise BadFilter(f"{name}: {value[:40]!r} is no day; write it as 2026-01-31") from None
    if not 2000 <= day.year <= 2999:
        raise BadFilter(f"{name}: the year {day.year} is out of range; write a day between 2000 and 2999")
    return day

"""Reads runs from the record for the inbox, the list and the page of one run; it decides nothing and is bounded."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import orjson

from services.console.pages.inbox_view import Growth, Item, needs
from services.console.pages.run_view import EARLIER_RUNS, RunPage, run_page, usual_seconds
from services.console.pages.runs_view import (
    CHART_RUNS_MAX,
    Outcome,
    RunRow,
    RunsFilter,
    moments_of,
    outcome_of,
    run_row,
    seconds_at_work,
)
from shared.audit.figures import phase_seconds
from shared.audit.lookups import Lookups
from shared.audit.stored import StoredRun
from shared.audit.views import place_of, place_text, run_answer, run_view
from shared.clock import Clock, to_text
from shared.events.facts import SnapshotRead
from shared.events.queries import DeadLetterView, RunView
from shared.run.state import RunState
from shared.run.states import TERMINAL, RunStatus

READINGS_MAX: Final = 5
"""How often the list is read further while a filter that the database does not know takes rows out."""
READ_AT_ONCE: Final = 200
WAITING_MAX: Final = 100
DEAD_LETTERS_MAX: Final = 20
CONNECTORS_MAX: Final = 25
"""Connectors whose quarantine is looked at for the inbox."""
SNAPSHOT_EVENTS_MAX: Final = 40
_STAND_STILL: Final = frozenset({RunStatus.HELD, RunStatus.AWAITING_APPROVAL, RunStatus.PAUSED})
UNDER_WAY: Final = frozenset(RunStatus) - TERMINAL - _STAND_STILL


async def run_page_of(lookups: Lookups, run: str, *, clock: Clock) -> RunPage | None:
    """The page of one run; None when the record does not hold it."""
    answer = await run_answer(lookups, run)
    view = answer.run
    if view is None:
        return None
    earlier = await lookups.runs(
        connector=view.connector, mode=view.mode, before=(view.requested_at, view.run), limit=EARLIER_RUNS
    )
    states = (RunState.model_validate_json(one.state) for one in earlier)
    usual = usual_seconds([phase_seconds(state) for state in states if state.has_ended])
    return run_page(answer, usual=usual, entries=await lookups.entry_range(run), now=clock.now())


async def run_view_of(lookups: Lookups, run: str) -> RunView | None:
    """Where one run stands; None when the record does not hold it."""
    stored = await lookups.run(run)
    return None if stored is None else await run_view(stored, lookups, await lookups.signed_size())


async def run_rows(
    lookups: Lookups, wanted: RunsFilter, *, limit: int, zone: ZoneInfo
) -> tuple[tuple[RunRow, ...], str | None]:
    """The newest runs of the kind asked for, and where those that follow begin."""
    since, after = moments_of(wanted, zone)
    # Moments of request are texts in UTC whose order is that of time.
    since_text = to_text(since) if since is not None else ""
    before = place_of(wanted.before or None)
    if after is not None and (before is None or before[0] > to_text(after)):
        before = (to_text(after), "")
    found: list[StoredRun] = []
    for _ in range(READINGS_MAX):
        read = await lookups.runs(
            connector=wanted.connector or None,
            status=(wanted.status,) if wanted.status else (),
            mode=wanted.mode or None,
            text=wanted.text or wanted.requester or None,
            before=before,
            limit=READ_AT_ONCE if wanted.requester else limit + 1,
        )
        in_time = [one for one in read if one.requested_at >= since_text]
        found += [one for one in in_time if not wanted.requester or _requester(one) == wanted.requester]
        if len(found) > limit or not in_time or len(in_time) < len(read) or not wanted.requester:
            break
        before = (read[-1].requested_at, read[-1].run)
    signed = await lookups.signed_size()
    views = [(await run_view(one, lookups, signed), one) for one in found[:limit]]
    rows = tuple(run_row(view, seconds_at_work(RunState.model_validate_json(one.state))) for view, one in views)
    return rows, place_text(views[-1][0]) if len(found) > limit and views else None


async def active_rows(lookups: Lookups) -> tuple[RunRow, ...]:
    """The runs that are under way now."""
    stored = await lookups.runs(status=[status.value for status in UNDER_WAY], limit=WAITING_MAX)
    return tuple([run_row(await run_view(one, lookups, 0), None) for one in stored])


async def outcomes(lookups: Lookups, *, connector: str | None, zone: ZoneInfo) -> tuple[Outcome, ...]:
    """What became of the newest runs."""
    found = []
    for one in await lookups.runs(connector=connector, limit=CHART_RUNS_MAX):
        sealed = orjson.loads(one.sealed) if one.sealed is not None else {}
        state = RunState.model_validate_json(one.state)
        by_code = sealed.get("counts_by_code", {})
        found.append(outcome_of(state, requested_at=one.requested_at, counts_by_code=by_code, zone=zone))
    return tuple(found)


async def recent_views(lookups: Lookups) -> tuple[RunView, ...]:
    """The newest runs, and every run that waits for a person however old; newest first."""
    signed = await lookups.signed_size()
    stored = {one.run: one for one in await lookups.runs(limit=CHART_RUNS_MAX)}
    for one in await lookups.runs(status=[status.value for status in _STAND_STILL], limit=WAITING_MAX):
        stored.setdefault(one.run, one)
    ordered = sorted(stored.values(), key=lambda one: (one.requested_at, one.run), reverse=True)
    return tuple([await run_view(one, lookups, signed) for one in ordered])


async def record_needs(lookups: Lookups, views: tuple[RunView, ...], *, now: datetime) -> tuple[Item, ...]:
    """What the record says that waits for a person."""
    letters: list[DeadLetterView] = await lookups.dead_letters(run=None, limit=DEAD_LETTERS_MAX)
    unsealed = await lookups.unsealed(limit=1)
    oldest = await run_view(unsealed[0], lookups, 0) if unsealed else None
    growth = await _growth(lookups, views)
    return needs(views, dead_letters=letters, growth=growth, unsealed=oldest, now=now)


async def _growth(lookups: Lookups, views: tuple[RunView, ...]) -> list[Growth]:
    by_connector: dict[str, list[RunView]] = {}
    for view in views:
        if view.replay_of is None and view.retry_of is None:
            by_connector.setdefault(view.connector, []).append(view)
    found = []
    for connector, runs in list(by_connector.items())[:CONNECTORS_MAX]:
        numbers = [
            (view.run, number) for view in runs[:2] if (number := await _quarantined(lookups, view.run)) is not None
        ]
        if len(numbers) == 2:  # the newest and the one before
            found.append(Growth(connector=connector, run=numbers[0][0], now=numbers[0][1], before=numbers[1][1]))
    return found


async def _quarantined(lookups: Lookups, run: str) -> int | None:
    """Records of the source that a run set aside; None when it read none."""
    events = await lookups.run_events(run, limit=SNAPSHOT_EVENTS_MAX, types=(SnapshotRead.event_type,))
    newest: dict[str, int] = {}
    for stored in events:
        read = SnapshotRead.model_validate_json(stored.body)
        if read.side == "source":
            newest.setdefault(read.entity, read.quarantined)
    return sum(newest.values()) if newest else None


def _requester(stored: StoredRun) -> str | None:
    requester: str | None = orjson.loads(stored.state).get("requester")
    return requester

"""What the pages about connectors show, from definitions and from the record of runs.

It reads nothing itself. How old the last success may be is measured by the connector's own habit: the middle of the
times between its last successes. Nothing is called late before there is a habit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from services.console.definitions import Known
from services.console.pages.contract_words import EntityWords, LimitWords, entity_words, limit_words
from shared.clock import from_text
from shared.contract.connector import Connector
from shared.events.facts import SnapshotRead
from shared.events.queries import RunView

SUCCESSES: Final = ("succeeded", "no_changes")
"""States in which the target is as the source would have it."""
SUCCESSES_LOOKED_AT: Final = 12
GAPS_MIN: Final = 3
"""Times between successes that make a habit."""
LATE_FACTOR: Final = 2.0
"""A connector is late when its last success is older than so many of its usual intervals."""
LATE_SECONDS_MIN: Final = 3_600.0
"""Runs that were asked for by hand within minutes are no habit to be late by."""
RUNS_SHOWN: Final = 10
SHADOWS_SHOWN: Final = 8
UNMAPPED_SHOWN: Final = 30
DRIFT_SHOWN: Final = 50
TABLE_ROWS_SHOWN: Final = 100

Freshness = Literal["fresh", "late", "unknown", "never"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Fresh(_Model):
    """How fresh a connector's target is."""

    state: Freshness
    """`unknown` while there were too few successes to know the habit."""
    last_success: str | None
    age_seconds: float | None
    usual_seconds: float | None
    """The middle of the times between its last successes."""


class SideView(_Model):
    """One system at one end of a connector."""

    alias: str
    """The source's name in the connector; `target` for the target."""
    system: str
    title: str
    connection: str
    entity: str


class RunLine(_Model):
    """One run, short."""

    run: str
    version: str
    mode: str
    status: str
    requester: str | None
    requested_at: str
    changes: int | None
    verdict: str | None
    replay_of: str | None


class ProblemView(_Model):
    """One thing that is wrong with a definition."""

    place: str
    """File, line and column."""
    text: str
    fix: str
    code: str


class ConnectorRow(_Model):
    """One connector of the list."""

    name: str
    title: str | None
    version: str | None
    lifecycle: str | None
    """None for a definition that is not valid."""
    is_released: bool
    """Whether this version is stored as a release."""
    sources: tuple[SideView, ...]
    targets: tuple[SideView, ...]
    """One for each entity of the target."""
    fresh: Fresh
    last_run: RunLine | None
    quarantined: int | None
    """Records of the source in quarantine in the newest run that read anything; None when no run is known."""
    quarantine_run: str | None
    problems: tuple[ProblemView, ...]


class TableWords(_Model):
    """One mapping table."""

    name: str
    id_column: str
    value_column: str
    ids: int


class TablePage(_Model):
    """A part of a mapping table."""

    name: str
    id_column: str
    value_column: str
    total: int
    """Lines that hold the text looked for; all without one."""
    lines: tuple[tuple[str, str], ...]


class DriftLine(_Model):
    """Something that was not as agreed."""

    run: str
    at: str
    entity: str
    what: str
    where: str
    rows: int
    policy: str


class UnmappedLine(_Model):
    """An id that a mapping table does not hold."""

    run: str
    table: str
    value: str
    rows: int


class ConnectorPage(_Model):
    """One connector, whole."""

    row: ConnectorRow
    digest: str | None
    entities: tuple[EntityWords, ...]
    limits: tuple[LimitWords, ...]
    approval: tuple[str, ...]
    tables: tuple[TableWords, ...]
    drift: tuple[DriftLine, ...]
    unmapped: tuple[UnmappedLine, ...]
    read_runs: int
    """Runs in which drift was looked for."""
    versions: tuple[str, ...]
    """Stored releases, newest first."""
    runs: tuple[RunLine, ...]
    shadows: tuple[RunLine, ...]
    """Dry-runs of another version than the folder's, or over the rows of another run."""
    replayable: tuple[RunLine, ...]
    """Runs that read the systems and came to a plan: their rows can be planned again."""


class Reading(_Model):
    """What one run read, with when it was asked for."""

    at: str
    read: tuple[SnapshotRead, ...]
    """The newest reading of each side of each entity."""

    @property
    def quarantined(self) -> int:
        """Records of the source that were set aside."""
        return sum(one.quarantined for one in self.read if one.side == "source")


def freshness(successes: Sequence[str], now: datetime) -> Fresh:
    """How fresh a target is, from the moments of its last successes, the newest first."""
    if not successes:
        return Fresh(state="never", last_success=None, age_seconds=None, usual_seconds=None)
    moments = [from_text(one) for one in successes]
    age = max(0.0, (now - moments[0]).total_seconds())
    gaps = [(newer - older).total_seconds() for newer, older in pairwise(moments)]
    if len(gaps) < GAPS_MIN:
        return Fresh(state="unknown", last_success=successes[0], age_seconds=age, usual_seconds=None)
    usual = median(gaps)
    is_late = age > max(usual * LATE_FACTOR, LATE_SECONDS_MIN)
    return Fresh(state="late" if is_late else "fresh", last_success=successes[0], age_seconds=age, usual_seconds=usual)


def run_line(view: RunView) -> RunLine:
    """One run, short."""
    return RunLine(
        run=view.run,
        version=view.connector_version,
        mode=view.mode,
        status=view.status,
        requester=view.requester,
        requested_at=view.requested_at,
        changes=None if view.plan is None else view.plan.changes,
        verdict=None if view.plan is None else view.plan.verdict_level,
        replay_of=view.replay_of,
    )


def connector_row(
    known: Known,
    titles: Mapping[str, str],
    *,
    runs: Sequence[RunView],
    successes: Sequence[str],
    readings: Sequence[Reading],
    now: datetime,
) -> ConnectorRow:
    """One line of the list; `runs` and `readings` are the newest, newest first, `titles` are of systems by name."""
    definition = None if known.connector is None else known.connector.definition
    newest = next((reading for reading in readings if reading.read), None)
    return ConnectorRow(
        name=known.name,
        title=None if definition is None else definition.title,
        version=None if definition is None else definition.version,
        lifecycle=None if definition is None else definition.lifecycle,
        is_released=known.connector is not None and known.connector.is_published,
        sources=() if known.connector is None else _sources(known.connector, titles),
        targets=() if known.connector is None else _targets(known.connector, titles),
        fresh=freshness(successes, now),
        last_run=run_line(runs[0]) if runs else None,
        quarantined=None if newest is None else newest.quarantined,
        quarantine_run=None if newest is None else newest.read[0].run,
        problems=problem_views(known),
    )


def problem_views(known: Known) -> tuple[ProblemView, ...]:
    """What is wrong with a definition, each with its place as far as there is one."""
    views = tuple(
        ProblemView(place=f"{one.file}:{one.line}:{one.column}", text=one.text, fix=one.fix, code=one.code)
        for one in known.problems
    )
    if known.fault is None:
        return views
    return (
        *views,
        ProblemView(place=known.name, text=known.fault, fix="correct what the text names", code="CTR_INVALID"),
    )


def connector_page(
    known: Known, row: ConnectorRow, *, runs: Sequence[RunView], readings: Sequence[Reading]
) -> ConnectorPage:
    """One connector, whole; an invalid one has its problems and its runs only."""
    connector = known.connector
    definition = None if connector is None else connector.definition
    return ConnectorPage(
        row=row,
        digest=None if connector is None else connector.digest,
        entities=() if connector is None else _entities(connector),
        limits=() if definition is None else limit_words(definition),
        approval=() if definition is None else (
            f"An approval of a plan of risk D0 or D1 holds {definition.approval.valid_hours} h.",
            f"An approval of a plan of risk D2 holds {definition.approval.valid_hours_high_risk} h.",
        ),
        tables=() if connector is None else tuple(
            TableWords(
                name=name, id_column=table.id_column, value_column=table.value_column, ids=len(table.entries)
            )
            for name, table in sorted(connector.tables.items())
        ),
        drift=_drift(readings),
        unmapped=_unmapped(readings),
        read_runs=sum(bool(reading.read) for reading in readings),
        versions=tuple(reversed(known.versions)),
        runs=tuple(run_line(view) for view in runs[:RUNS_SHOWN]),
        shadows=tuple(run_line(view) for view in runs if _is_shadow(view, row.version))[:SHADOWS_SHOWN],
        replayable=tuple(run_line(view) for view in runs if view.replay_of is None and view.plan is not None)[
            :SHADOWS_SHOWN
        ],
    )  # fmt: skip


def table_page(connector: Connector, name: str, *, text: str, offset: int, limit: int) -> TablePage | None:
    """A part of a mapping table: the lines in which a text stands; None when there is no such table."""
    table = connector.tables.get(name)
    if table is None:
        return None
    wanted = text.casefold()
    lines = [
        (raw_id, code)
        for raw_id, code in table.entries.items()
        if not wanted or wanted in raw_id.casefold() or wanted in code.casefold()
    ]
    return TablePage(
        name=name,
        id_column=table.id_column,
        value_column=table.value_column,
        total=len(lines),
        lines=tuple(lines[offset : offset + limit]),
    )


def _sources(connector: Connector, titles: Mapping[str, str]) -> tuple[SideView, ...]:
    return tuple(
        SideView(
            alias=alias,
            system=source.system,
            title=titles.get(source.system, source.system),
            connection=source.connection,
            entity=source.entity,
        )
        for alias, source in connector.definition.sources.items()
    )


def _targets(connector: Connector, titles: Mapping[str, str]) -> tuple[SideView, ...]:
    target = connector.definition.target
    return tuple(
        SideView(
            alias="target",
            system=target.system,
            title=titles.get(target.system, target.system),
            connection=target.connection,
            entity=entity,
        )
        for entity in connector.definition.entities
    )


def _entities(connector: Connector) -> tuple[EntityWords, ...]:
    return tuple(
        entity_words(name, contract, protected=len(connector.protected.get(name, ())))
        for name, contract in connector.definition.entities.items()
    )


def _is_shadow(view: RunView, version: str | None) -> bool:
    return view.mode == "dry-run" and (view.replay_of is not None or view.connector_version != version)


def _drift(readings: Sequence[Reading]) -> tuple[DriftLine, ...]:
    whats = {"missing": "column is gone", "type": "other type", "new": "new column", "value": "value outside the list"}
    lines = [
        DriftLine(
            run=read.run,
            at=reading.at,
            entity=read.entity,
            what=whats[one.what] + (f": {one.detail}" if one.detail else ""),
            where=f"{one.alias}.{one.column}" + (f" → {one.field}" if one.field else ""),
            rows=one.rows,
            policy=one.policy,
        )
        for reading in readings
        for read in reading.read
        for one in read.drift
    ]
    return tuple(lines[:DRIFT_SHOWN])


def _unmapped(readings: Sequence[Reading]) -> tuple[UnmappedLine, ...]:
    """Of the newest run that read anything: what was corrected since is no work any more."""
    newest = next((reading for reading in readings if reading.read), None)
    if newest is None:
        return ()
    lines = [
        UnmappedLine(run=read.run, table=one.table, value=one.value, rows=one.rows)
        for read in newest.read
        for one in read.unmapped
    ]
    return tuple(lines[:UNMAPPED_SHOWN])

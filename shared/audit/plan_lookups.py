"""Reads the plans in the auditor's database: pages, groups and single changes of a plan, and a record over its runs.

Everything is masked already; it changes nothing. What became of a change is looked up with it: the outcome in the
ledger, or that the plan set the change aside. Every answer is bounded by the caller's limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import orjson
from sqlalchemy import ColumnElement, Select, and_, case, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.audit import tables
from shared.audit.stored import PlanReview
from shared.events.queries import ChangeView

OPEN: Final = "open"
"""The result to ask for of changes that have none: nothing was begun yet."""
UNKNOWN: Final = "unknown"
"""The result of a change with an intent and no outcome."""
QUARANTINED: Final = "quarantined"
MASKED_SIGN: Final = "…("
"""Stands in every key that is shown masked; such a key may be many people's."""

Grouping = Literal["class", "cohort", "alike", "entity"]

_change, _body, _outcome, _aside = (
    tables.plan_change.c,
    tables.plan_change_body.c,
    tables.change_outcome.c,
    tables.plan_aside.c,
)
_GROUPS: Final = {
    "class": _change.change_class,
    "cohort": _change.cohort,
    "alike": _change.alike,
    "entity": _change.entity,
}
_outcome_of_change: Final = and_(_outcome.run == _change.run, _outcome.change_id == _change.change_id)
_became: Final = case(
    (_change.excluded.is_not(None), QUARANTINED),
    (_outcome.change_id.is_(None), None),
    else_=func.coalesce(_outcome.result, UNKNOWN),
)
_code: Final = func.coalesce(_change.excluded, _outcome.code)


@dataclass(frozen=True, slots=True)
class PlanFilter:
    """Which changes of a plan are asked for; what is None asks for nothing."""

    entity: str | None = None
    change_class: str | None = None
    cohort: str | None = None
    alike: str | None = None
    result: str | None = None
    """A result of the ledger, `unknown`, or `open`."""
    text: str | None = None
    """Stands in the key or in a value as they are shown; case does not matter."""

    @property
    def is_empty(self) -> bool:
        """Whether every change is asked for."""
        return self == PlanFilter()


@dataclass(frozen=True, slots=True)
class ChangeGroup:
    """Changes that have something in common."""

    name: str | None
    """Name of the class, cohort or entity, or the digest of what alike changes do; None for no cohort."""
    number: int
    sample: ChangeView
    """The first of them."""


@dataclass(frozen=True, slots=True)
class RecordChange:
    """One change of a record, in one run."""

    run: str
    change: ChangeView


@dataclass(frozen=True, slots=True)
class AsideView:
    """A change that was found and left out of a plan, masked."""

    run: str
    entity: str
    key: str
    record: str | None
    change_class: str
    code: str
    fields: tuple[str, ...]
    """Names of the fields that would have changed."""


class PlanLookups:
    """Questions about plans to the database of one auditor."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        # The two databases have the same function under two names.
        self._position_in = func.strpos if engine.dialect.name == "postgresql" else func.instr

    async def review(self, run: str) -> PlanReview | None:
        """What the header of a run's plan says; None while the plan is not in the database."""
        async with self._engine.connect() as connection:
            return await _review(connection, run)

    async def changes(
        self, run: str, wanted: PlanFilter, *, offset: int, limit: int
    ) -> tuple[tuple[ChangeView, ...], int]:
        """A part of a plan's changes in change-id order, and how many there are of the kind asked for."""
        async with self._engine.connect() as connection:
            if wanted.is_empty:
                # Places are numbered without gaps, so nothing need be counted.
                review = await _review(connection, run)
                total = review.changes if review is not None and review.is_listed else 0
                places = list(range(offset, min(offset + limit, total)))
            else:
                conditions = self._chosen(run, wanted)
                counted = select(func.count()).select_from(tables.plan_change).where(*conditions)
                total = int((await connection.execute(counted)).scalar_one())
                page = select(_change.position).where(*conditions).order_by(_change.position)
                places = list((await connection.execute(page.offset(offset).limit(limit))).scalars())
            return await _at(connection, run, places), total

    async def groups(self, run: str, by: Grouping, wanted: PlanFilter, *, limit: int) -> tuple[ChangeGroup, ...]:
        """The changes asked for, put together by what they have in common; the largest groups first."""
        column, number = _GROUPS[by], func.count().label("number")
        query = select(column, number, func.min(_change.position)).group_by(column)
        if by == "alike" and wanted.change_class is not None:
            # What is alike is of one class. Asked of the group, the index over what is alike serves the whole question.
            query = query.having(func.min(_change.change_class) == wanted.change_class)
            wanted = replace(wanted, change_class=None)
        query = query.where(*self._chosen(run, wanted)).order_by(number.desc(), func.min(_change.position)).limit(limit)
        async with self._engine.connect() as connection:
            found = [tuple(row) for row in await connection.execute(query)]
            samples = await _at(connection, run, sorted(place for _, _, place in found))
        by_place = dict(zip(sorted(place for _, _, place in found), samples, strict=True))
        return tuple(ChangeGroup(name, int(count), by_place[place]) for name, count, place in found)

    async def change(self, run: str, change_id: str) -> ChangeView | None:
        """One change of a run; None when its plan does not hold it."""
        query = select(_change.position).where(_change.run == run, _change.change_id == change_id)
        async with self._engine.connect() as connection:
            found = (await connection.execute(query)).scalars().first()
            return None if found is None else (await _at(connection, run, [found]))[0]

    async def page_of(self, run: str, change_id: str) -> str | None:
        """The subject of the page on PLAN that holds a change."""
        query = select(_change.page).where(_change.run == run, _change.change_id == change_id)
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).scalars().first()

    async def changes_of_record(self, record: str, *, limit: int) -> tuple[RecordChange, ...]:
        """The changes of one record over all runs, newest run first; `record` is `ChangeView.record`."""
        return await self._over_runs(_change.record == record, limit=limit)

    async def changes_of_key(
        self, key_shown: str, *, entity: str | None = None, limit: int
    ) -> tuple[RecordChange, ...]:
        """The changes of the records of this key over all runs, newest run first.

        None for a key that is shown masked, because many people may look like it; `changes_of_record` knows them apart.
        """
        if MASKED_SIGN in key_shown:
            return ()
        conditions = [_change.key_shown == key_shown]
        if entity is not None:
            conditions.append(_change.entity == entity)
        return await self._over_runs(and_(*conditions), limit=limit)

    async def asides(
        self, run: str, *, code: str | None = None, key_shown: str | None = None, offset: int = 0, limit: int
    ) -> tuple[AsideView, ...]:
        """What was found and left out of a run's plan, by entity and key."""
        query = _asides().where(_aside.run == run).order_by(_aside.position).offset(offset).limit(limit)
        if code is not None:
            query = query.where(_aside.code == code)
        if key_shown is not None:
            query = query.where(_aside.key_shown == key_shown)
        async with self._engine.connect() as connection:
            return tuple(_aside_view(row) for row in await connection.execute(query))

    async def asides_of_record(self, record: str, *, limit: int) -> tuple[AsideView, ...]:
        """What was left out of one record over all runs, newest run first; `record` is `ChangeView.record`."""
        return await self._asides_over_runs(_aside.record == record, limit=limit)

    async def asides_of_key(self, key_shown: str, *, limit: int) -> tuple[AsideView, ...]:
        """What was left out of the records of this key over all runs, newest run first; none for a masked key."""
        if MASKED_SIGN in key_shown:
            return ()
        return await self._asides_over_runs(_aside.key_shown == key_shown, limit=limit)

    async def _asides_over_runs(self, condition: ColumnElement[bool], *, limit: int) -> tuple[AsideView, ...]:
        query = _asides().where(condition).order_by(_aside.run.desc(), _aside.position).limit(limit)
        async with self._engine.connect() as connection:
            return tuple(_aside_view(row) for row in await connection.execute(query))

    async def _over_runs(self, condition: ColumnElement[bool], *, limit: int) -> tuple[RecordChange, ...]:
        """Run ids begin with the moment of the run, so their order is that of time."""
        query = _views().add_columns(_change.run).where(condition)
        query = query.order_by(_change.run.desc(), _change.position).limit(limit)
        async with self._engine.connect() as connection:
            return tuple(RecordChange(row[3], _view(row[:3])) for row in await connection.execute(query))

    def _chosen(self, run: str, wanted: PlanFilter) -> list[ColumnElement[bool]]:
        """Which changes are asked for."""
        conditions: list[ColumnElement[bool]] = [_change.run == run]
        for column, value in (
            (_change.entity, wanted.entity),
            (_change.change_class, wanted.change_class),
            (_change.cohort, wanted.cohort),
            (_change.alike, wanted.alike),
        ):
            if value is not None:
                conditions.append(column == value)
        if wanted.text:
            conditions.append(self._position_in(_change.search, wanted.text.lower()) > 0)
        if wanted.result is not None:
            conditions.append(_has_become(run, wanted.result))
        return conditions


def _has_become(run: str, result: str) -> ColumnElement[bool]:
    """Whether this became of a change."""
    of_change = exists().where(_outcome.run == run, _outcome.change_id == _change.change_id)
    is_planned = _change.excluded.is_(None)
    if result == OPEN:
        return and_(is_planned, ~of_change)
    found = of_change.where(_outcome.result.is_(None) if result == UNKNOWN else _outcome.result == result)
    return or_(~is_planned, found) if result == QUARANTINED else and_(is_planned, found)


def _views() -> Select[Any]:
    """Body, result and code of changes."""
    joined = tables.plan_change.join(
        tables.plan_change_body, and_(_body.run == _change.run, _body.position == _change.position)
    )
    return select(_body.body, _became, _code).select_from(joined.outerjoin(tables.change_outcome, _outcome_of_change))


def _view(row: Sequence[Any]) -> ChangeView:
    body, result, code = row
    return ChangeView.model_validate(orjson.loads(body) | {"result": result, "code": code})


async def _at(connection: AsyncConnection, run: str, places: Iterable[int]) -> tuple[ChangeView, ...]:
    """The changes at these places of a run's plan, in order."""
    query = _views().where(_change.run == run, _change.position.in_(list(places))).order_by(_change.position)
    return tuple(_view(row) for row in await connection.execute(query))


async def _review(connection: AsyncConnection, run: str) -> PlanReview | None:
    query = select(tables.plan_review.c.body).where(tables.plan_review.c.run == run)
    body = (await connection.execute(query)).scalar_one_or_none()
    return None if body is None else PlanReview.model_validate_json(body)


def _asides() -> Select[Any]:
    return select(
        _aside.run, _aside.entity, _aside.key_shown, _aside.record, _aside.change_class, _aside.code, _aside.fields
    )


def _aside_view(row: Sequence[Any]) -> AsideView:
    run, entity, key, record, change_class, code, fields = row
    return AsideView(run, entity, key, record, change_class, code, tuple(orjson.loads(fields)))

"""The rows that a plan becomes in the auditor's database: masked, with what they are looked for by.

Pure. It takes the pages one at a time and holds none of them; what it holds of a plan is the ids of its changes, and
what was left out, up to a bound.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from services.auditor.masking import Masking, key_shown, record_of
from services.auditor.recording import storable
from shared.audit.entries import NAME_CHARS_MAX
from shared.audit.stored import PlanReview
from shared.plan.change import Aside, Change
from shared.plan.document import Plan, PlanPage
from shared.policy.figures import GuardFigures

LISTED_CHANGES_MAX: Final = 1_000_000
"""A plan with more is not listed: nobody pages through it, and its rows would be most of the database."""
ASIDES_MAX: Final = 100_000
"""Of what was left out of one plan; figures count all of it."""
COLUMN_CHARS_MAX: Final = 500
"""Of a key or a cohort, so that every database can keep it in an index."""

Row = dict[str, Any]


@dataclass(slots=True)
class PlanRows:
    """The rows of one page."""

    changes: list[Row] = field(default_factory=list)
    bodies: list[Row] = field(default_factory=list)


class PlanMaking:
    """Makes the rows of one run's plan from its pages, each shown twice: first for the ids, then for the rows."""

    def __init__(self, plan: Plan, *, run: str, tried: Collection[str] | None = None) -> None:
        """`tried` are the changes that the run tries again; None for the run that planned."""
        self._run = run
        self._plan = plan
        self._tried = tried
        self._masking = Masking(plan.header)
        self._ids: list[bytes] = []
        self._excluded = {} if tried is not None else {one.change_id: one.code for one in plan.header.excluded}
        self._set_aside = {one.change_id for one in plan.header.excluded}
        self._hidden_keys: set[str] = set()
        self._asides: list[Aside] = []

    def count(self, page: bytes) -> None:
        """Learn the ids of a page's changes; the page has been checked against the header's list."""
        self._ids += [
            bytes.fromhex(change["change_id"])
            for change in orjson.loads(page)["changes"]
            if self._is_of_run(change["change_id"])
        ]

    def order(self) -> None:
        """Give every change its place, once all ids are known."""
        self._ids.sort()

    def rows(self, page: PlanPage, *, subject: str) -> PlanRows:
        """The rows of one page's changes; what it leaves out is kept for `asides`."""
        made = PlanRows()
        for change in page.changes:
            if self._is_of_run(change.change_id):
                self._add(change, subject, made)
        if self._tried is None:
            self._asides += page.aside[: ASIDES_MAX - len(self._asides)]
        return made

    def asides(self) -> list[Row]:
        """The rows of what was left out, by entity and key; called once every page was shown.

        An aside holds no values to compare its key with, so where the plan masked one key of an entity all are masked.
        """
        ordered = sorted(self._asides, key=lambda one: (one.entity, one.key, one.change_class, one.code))
        return [self._aside(one, position) for position, one in enumerate(ordered)]

    def review(self) -> PlanReview:
        """What the header says to a reviewer, of a plan whose changes are listed."""
        return review_of(
            self._plan,
            run=self._run,
            changes=len(self._ids),
            is_listed=True,
            asides=len(self._asides),
            is_retry=self._tried is not None,
        )

    def _is_of_run(self, change_id: str) -> bool:
        return self._tried is None or (change_id in self._tried and change_id not in self._set_aside)

    def _add(self, change: Change, subject: str, made: PlanRows) -> None:
        view = self._masking.view(change)
        if view.key != change.key and "@" not in change.key:
            self._hidden_keys.add(change.entity)
        place = {"run": self._run, "position": bisect_left(self._ids, bytes.fromhex(change.change_id))}
        made.changes.append(
            place
            | {
                "change_id": change.change_id,
                "entity": _named(change.entity),
                "change_class": view.change_class,
                "wave": change.wave,
                "key_shown": _column(view.key),
                "record": view.record,
                "cohort": None if view.cohort is None else _column(view.cohort),
                "alike": view.alike,
                "excluded": self._excluded.get(change.change_id),
                "page": subject,
                "search": storable(self._masking.search_text(view)),
            }
        )
        made.bodies.append(place | {"body": view.model_dump_json(exclude={"result", "code"})})

    def _aside(self, aside: Aside, position: int) -> Row:
        is_hidden = aside.entity in self._hidden_keys
        return {
            "run": self._run,
            "position": position,
            "entity": _named(aside.entity),
            "key_shown": _column(key_shown(aside.key, is_personal=is_hidden)),
            "record": None if aside.commitment_key is None else record_of(aside.key, aside.commitment_key),
            "change_class": aside.change_class.value,
            "code": aside.code,
            "fields": orjson.dumps(aside.fields).decode(),
        }


def review_of(
    plan: Plan, *, run: str, changes: int, is_listed: bool, asides: int = 0, is_retry: bool = False
) -> PlanReview:
    """What the header says to a reviewer. What was left out is told of the run that planned, and not of a retry."""
    header = plan.header
    return PlanReview(
        run=run,
        plan_run=header.run,
        plan_digest=plan.plan_digest,
        is_listed=is_listed,
        target=header.target,
        target_system=header.target_system,
        environment=header.environment,
        target_read_at=header.target_read_at,
        verdict=header.verdict.lines,
        left_out={} if is_retry else left_out_in(header.figures),
        changes=changes,
        excluded=0 if is_retry else len(header.excluded),
        asides=asides,
    )


def left_out_in(figures: GuardFigures) -> dict[str, int]:
    """Changes that were found and left out of a plan, by code of the catalogue."""
    found: Counter[str] = Counter()
    for entity in figures.entities:
        found.update(entity.aside)
    return dict(sorted(found.items()))


def _named(text: str) -> str:
    return storable(text)[:NAME_CHARS_MAX]


def _column(text: str) -> str:
    return storable(text)[:COLUMN_CHARS_MAX]

"""Plans as they lie on PLAN: read, checked against their page list, and masked for a reviewer.

What was listed in the database is read there; this is for plans that are not, or not yet. Only masked views are kept
in memory, and for a while, never a page. A page that is not what the plan's header says is refused.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from nats.js import JetStreamContext

from services.auditor.masking import Masking
from shared.audit.plan_lookups import PlanFilter
from shared.bus.reading import last, read_all
from shared.errors import StopRun
from shared.events.envelope import decode
from shared.events.queries import ChangeView
from shared.events.stored import Stored
from shared.plan.document import Plan, PlanPage, header_subject, pages_filter

PLANS_KEPT_MAX: Final = 16
CHANGES_KEPT_MAX: Final = 200_000
"""Of all kept plans together; a larger plan is read again for every question."""


@dataclass(frozen=True, slots=True)
class PlanViewed:
    """One plan, masked."""

    plan: Plan
    changes: tuple[ChangeView, ...]
    """In change-id order."""


class PlanViews:
    """The plans that were asked for last."""

    def __init__(self, js: JetStreamContext) -> None:
        self._js = js
        self._kept: OrderedDict[str, PlanViewed] = OrderedDict()
        self._reading = asyncio.Lock()  # one at a time: two readers of one plan would hold it twice

    async def of_run(self, run: str) -> PlanViewed | None:
        """The plan of a run; None when it has none, or its pages have passed their age."""
        plan = await plan_on_bus(self._js, run)
        if plan is None:
            return None
        async with self._reading:
            if (kept := self._kept.get(plan.plan_digest)) is not None and kept.plan.header.run == run:
                self._kept.move_to_end(plan.plan_digest)
                return kept
            viewed = PlanViewed(plan, await self._read(plan))
            self._keep(viewed)
            return viewed

    async def _read(self, plan: Plan) -> tuple[ChangeView, ...]:
        masking = Masking(plan.header)
        views: list[ChangeView] = []
        async for stored in pages_of(self._js, plan):
            views.extend(masking.view(change) for change in page_in(stored).changes)
        return tuple(sorted(views, key=lambda view: view.change_id))

    def _keep(self, viewed: PlanViewed) -> None:
        if len(viewed.changes) > CHANGES_KEPT_MAX:
            return
        self._kept[viewed.plan.plan_digest] = viewed
        while (
            len(self._kept) > PLANS_KEPT_MAX or sum(len(one.changes) for one in self._kept.values()) > CHANGES_KEPT_MAX
        ):
            self._kept.popitem(last=False)


def chosen(viewed: PlanViewed, views: Iterable[ChangeView], wanted: PlanFilter) -> list[ChangeView]:
    """Those of a plan's changes that are asked for; what became of them is not looked at."""
    masking, text = Masking(viewed.plan.header), (wanted.text or "").lower()
    return [
        view
        for view in views
        if wanted.entity in (None, view.entity)
        and wanted.change_class in (None, view.change_class)
        and wanted.cohort in (None, view.cohort)
        and wanted.alike in (None, view.alike)
        and (not text or text in masking.search_text(view))
    ]


async def plan_on_bus(js: JetStreamContext, run: str) -> Plan | None:
    """Header and page list of a run's plan; None when it has none, or its age has passed."""
    stored = await last(js, "PLAN", header_subject(run))
    if stored is None:
        return None
    return decode(Plan, data=stored.data, headers=stored.headers, subject=stored.subject)


async def pages_of(js: JetStreamContext, plan: Plan) -> AsyncGenerator[Stored, None]:
    """The pages that the plan's header names, in the order of the stream; `StopRun` when one is not as listed."""
    wanted = {page.subject: page.sha256 for page in plan.pages}
    async with aclosing(read_all(js, "PLAN", pages_filter(plan.header.run))) as found:
        async for stored in found:
            # Pages of an earlier attempt are left-overs; the header names those that count.
            if wanted.get(stored.subject) != sha256(stored.data).hexdigest():
                continue
            del wanted[stored.subject]
            yield stored
    if wanted:
        raise not_as_listed(plan, len(wanted))


def page_in(stored: Stored) -> PlanPage:
    """The page in a message."""
    return decode(PlanPage, data=stored.data, headers=stored.headers, subject=stored.subject)


def not_as_listed(plan: Plan, pages: int) -> StopRun:
    """What to say of a plan whose pages are gone or altered."""
    run = plan.header.run
    text = f"run {run}: {pages} of {len(plan.pages)} pages of the plan are not there as listed"
    return StopRun("APL_PLAN_ALTERED", text, run=run)

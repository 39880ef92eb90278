"""Plans as a reviewer sees them: read from PLAN, checked against their page list, masked, and kept for a while.

Only masked views are kept in memory, never a page. A page that is not what the plan's header says is refused.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from nats.js import JetStreamContext

from services.auditor.masking import view_of
from shared.bus.reading import last, read_all
from shared.errors import StopRun
from shared.events.envelope import decode
from shared.events.queries import ChangeView
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
        stored = await last(self._js, "PLAN", header_subject(run))
        if stored is None:
            return None
        plan = decode(Plan, data=stored.data, headers=stored.headers, subject=stored.subject)
        async with self._reading:
            if (kept := self._kept.get(plan.plan_digest)) is not None and kept.plan.header.run == run:
                self._kept.move_to_end(plan.plan_digest)
                return kept
            viewed = PlanViewed(plan, await self._read(plan))
            self._keep(viewed)
            return viewed

    async def _read(self, plan: Plan) -> tuple[ChangeView, ...]:
        personal = {entity.entity: frozenset(entity.personal_fields) for entity in plan.header.entities}
        wanted = {page.subject: page.sha256 for page in plan.pages}
        views: list[ChangeView] = []
        async for stored in read_all(self._js, "PLAN", pages_filter(plan.header.run)):
            # Pages of an earlier attempt are left-overs; the header names those that count.
            if wanted.get(stored.subject) != sha256(stored.data).hexdigest():
                continue
            del wanted[stored.subject]
            page = decode(PlanPage, data=stored.data, headers=stored.headers, subject=stored.subject)
            views.extend(view_of(change, personal) for change in page.changes)
        if wanted:
            raise StopRun(
                "APL_PLAN_ALTERED",
                f"run {plan.header.run}: {len(wanted)} of {len(plan.pages)} pages of the plan are not there as listed",
                run=plan.header.run,
            )
        return tuple(sorted(views, key=lambda view: view.change_id))

    def _keep(self, viewed: PlanViewed) -> None:
        if len(viewed.changes) > CHANGES_KEPT_MAX:
            return
        self._kept[viewed.plan.plan_digest] = viewed
        while (
            len(self._kept) > PLANS_KEPT_MAX or sum(len(one.changes) for one in self._kept.values()) > CHANGES_KEPT_MAX
        ):
            self._kept.popitem(last=False)

"""Changes as pages: how they are cut, and how stored pages are read back and checked.

`cut` is pure; `read_changes` reads the PLAN stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nats.js import JetStreamContext

from shared.bus.reading import last
from shared.errors import StopRun
from shared.events.documents import PageReference
from shared.events.envelope import body_of, decode
from shared.hashing.canonical import sha256_hex
from shared.plan.change import Change
from shared.plan.document import PAGE_BYTES_MAX, PAGE_CHANGES_MAX, PlanPage, page_subject


@dataclass(frozen=True)
class CutPage:
    """One page and its reference."""

    page: PlanPage
    reference: PageReference


def cut(changes: Sequence[Change], *, run: str, entity: str, partition: int) -> list[CutPage]:
    """Pages of at most `PAGE_CHANGES_MAX` changes and `PAGE_BYTES_MAX` bytes, in change-id order."""
    pages: list[CutPage] = []
    rest = list(changes)
    while rest:
        take = min(len(rest), PAGE_CHANGES_MAX)
        while True:
            number = len(pages) + 1
            page = PlanPage(run=run, partition=partition, number=number, changes=tuple(rest[:take]))
            body = body_of(page)
            if len(body) <= PAGE_BYTES_MAX:
                break
            if take == 1:
                raise StopRun(
                    "SYS_HANDLER_FAILED",
                    f"run {run}: one change takes {len(body)} bytes on a page, allowed {PAGE_BYTES_MAX}",
                    run=run,
                )
            take = max(1, take // 2)
        reference = PageReference(
            subject=page_subject(run, entity, partition, number), sha256=sha256_hex(body), changes=take
        )
        pages.append(CutPage(page=page, reference=reference))
        rest = rest[take:]
    return pages


async def read_changes(js: JetStreamContext, pages: Sequence[PageReference], *, run: str) -> list[Change]:
    """The changes of these pages; `StopRun` when one is missing or not what was stored."""
    changes: list[Change] = []
    for reference in pages:
        stored = await last(js, "PLAN", reference.subject)
        if stored is None or sha256_hex(stored.data) != reference.sha256:
            raise StopRun(
                "DIF_SNAPSHOT_GONE", f"run {run}: page {reference.subject} is missing or altered; run again", run=run
            )
        changes += decode(PlanPage, data=stored.data, headers=stored.headers, subject=stored.subject).changes
    return changes

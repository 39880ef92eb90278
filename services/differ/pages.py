"""Changes as pages, what was left out as pages, and the plan's index: how they are cut, stored and read back.

Cutting is pure; publishing and reading act on the PLAN stream. What is read back is what was stored, or the run stops.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from nats.js import JetStreamContext

from shared.bus.publishing import Outgoing, publish_one
from shared.bus.reading import last
from shared.errors import StopRun
from shared.events.documents import PageReference
from shared.events.envelope import decode, headers_of
from shared.hashing.canonical import sha256_hex
from shared.plan.change import Aside, Change
from shared.plan.document import (
    PAGE_BYTES_MAX,
    PAGE_CHANGES_MAX,
    PlanIndexPart,
    PlanPage,
    index_subject,
    page_subject,
)
from shared.plan.index import index_of
from shared.plan.pages import body_of_page
from shared.telemetry.tracing import current_traceparent

IN_FLIGHT = 8
"""Pages that wait for their acknowledgement, or for their answer, at once."""
ASIDES_ON_A_PAGE_MAX = 2_000

Stored = TypeVar("Stored", PlanPage, PlanIndexPart)


@dataclass(frozen=True)
class CutPage:
    """One page, its bytes and its reference."""

    page: PlanPage
    body: bytes = field(repr=False)
    reference: PageReference


@dataclass(frozen=True)
class CutPart:
    """One part of the index, its bytes and its reference."""

    page: PlanIndexPart
    body: bytes = field(repr=False)
    reference: PageReference


def cut(
    changes: Sequence[Change], aside: Sequence[Aside] = (), *, run: str, entity: str, partition: int
) -> list[CutPage]:
    """Pages of changes in the given order, then pages of what was left out; each below the bounds of a page.

    A page holds changes or asides, never both, so that asides can be read without the changes.
    """
    pages: list[CutPage] = []
    rest_of_changes, rest_of_aside = list(changes), list(aside)
    while rest_of_changes or rest_of_aside:
        holds_changes = bool(rest_of_changes)
        rest = len(rest_of_changes) if holds_changes else len(rest_of_aside)
        take = min(rest, PAGE_CHANGES_MAX if holds_changes else ASIDES_ON_A_PAGE_MAX)
        while True:
            page = PlanPage(
                run=run,
                partition=partition,
                number=len(pages) + 1,
                changes=tuple(rest_of_changes[:take]),
                aside=() if holds_changes else tuple(rest_of_aside[:take]),
            )
            body = body_of_page(page)
            if len(body) <= PAGE_BYTES_MAX:
                break
            if take == 1:
                raise StopRun(
                    "SYS_HANDLER_FAILED",
                    f"run {run}: one change takes {len(body)} bytes on a page, allowed {PAGE_BYTES_MAX}",
                    run=run,
                )
            take = max(1, take // 2)
        subject = page_subject(run, entity, partition, page.number)
        reference = PageReference(subject=subject, sha256=sha256_hex(body), changes=len(page.changes))
        pages.append(CutPage(page=page, body=body, reference=reference))
        if holds_changes:
            rest_of_changes = rest_of_changes[take:]
        else:
            rest_of_aside = rest_of_aside[take:]
    return pages


def cut_index(changes: Iterable[Change], *, run: str, entity: str, partition: int) -> list[CutPart]:
    """The plan's index over these changes, in parts."""
    parts = []
    for part in index_of(changes, run=run, entity=entity, partition=partition):
        body = body_of_page(part)
        subject = index_subject(run, entity, partition, part.number)
        reference = PageReference(subject=subject, sha256=sha256_hex(body), changes=len(part.entries))
        parts.append(CutPart(page=part, body=body, reference=reference))
    return parts


def references_of(messages: Iterable[CutPage | CutPart]) -> tuple[PageReference, ...]:
    """Where they lie, in order."""
    return tuple(message.reference for message in messages)


async def publish(js: JetStreamContext, messages: Sequence[CutPage | CutPart], *, at: datetime) -> None:
    """Store every message and wait until all are; `at` is when they were made."""
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def send(message: CutPage | CutPart) -> None:
        reference = message.reference
        # The content is part of the id: a page that was stored differently must not pass for this one.
        message_id = f"{reference.subject}.{reference.sha256[:16]}"
        headers = headers_of(
            message.page,
            message_id=message_id,
            source="/services/differ",
            subject=message.page.run,
            time=at,
            traceparent=current_traceparent(),
        )
        async with gate:
            await publish_one(
                js, Outgoing(subject=reference.subject, body=message.body, headers=headers, message_id=message_id)
            )

    async with asyncio.TaskGroup() as group:
        for message in messages:
            group.create_task(send(message))


async def read_pages(js: JetStreamContext, references: Sequence[PageReference], *, run: str) -> list[PlanPage]:
    """These pages; `StopRun` when one is missing or not what was stored."""
    return await _read(js, references, PlanPage, run=run)


async def read_index(js: JetStreamContext, references: Sequence[PageReference], *, run: str) -> list[PlanIndexPart]:
    """These parts of the index; `StopRun` when one is missing or not what was stored."""
    return await _read(js, references, PlanIndexPart, run=run)


async def _read(
    js: JetStreamContext, references: Sequence[PageReference], kind: type[Stored], *, run: str
) -> list[Stored]:
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def read(reference: PageReference) -> Stored:
        async with gate:
            stored = await last(js, "PLAN", reference.subject)
        if stored is None or sha256_hex(stored.data) != reference.sha256:
            raise StopRun(
                "DIF_SNAPSHOT_GONE", f"run {run}: page {reference.subject} is missing or altered; run again", run=run
            )
        return decode(kind, data=stored.data, headers=stored.headers, subject=stored.subject)

    return list(await asyncio.gather(*(read(reference) for reference in references)))

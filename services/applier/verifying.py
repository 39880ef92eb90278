"""The last look before a run ends: whether the target shows what it said it had done.

A sample of the changes that count as applied, and that nobody has read back, is read. It is a sample, so that a large
run does not end with as many requests again; it is spread evenly and always the same for the same outcomes. Nothing is
written, and only outcomes that the target does not bear out are told anew, by the caller.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from services.applier.requests import DEFECTS, Exhausted
from services.applier.stopping import Stopped
from services.applier.together import together
from shared.errors import AetherError
from shared.events.facts import OutcomeRecorded
from shared.plan.change import Change

log = structlog.get_logger(__name__)

SAMPLE_MAX: Final = 20
VERIFYING_SECONDS_MAX: Final = 60.0
"""A target that answers no sooner is not waited for: every change has its outcome already."""


@dataclass
class Findings:
    """What the looks came to."""

    shown: int = 0
    not_shown: list[Change] = field(default_factory=list)
    errors: int = 0
    """Looks that failed; the first one ends the verification."""


def sample_of(changes: Sequence[Change], outcomes: Mapping[str, OutcomeRecorded]) -> list[Change]:
    """The changes to read back, in change-id order: at most `SAMPLE_MAX`, spread evenly over all that qualify."""
    candidates = sorted(
        (
            change
            for change in changes
            if (outcome := outcomes.get(change.change_id)) is not None
            and outcome.result == "applied"
            and not outcome.is_read_back
        ),
        key=lambda change: change.change_id,
    )
    size = min(SAMPLE_MAX, len(candidates))
    return [candidates[number * len(candidates) // size] for number in range(size)]


async def looked_back(
    sample: Sequence[Change], is_shown: Callable[[Change], Awaitable[bool]], *, at_once: int
) -> Findings:
    """Look at each of the sample; the findings are what was seen until the end, or until the first look that failed.

    A look that fails says nothing about the change, whose outcome is durable and rests on the target's own word. So
    it must not fail the run, nor keep it from ending while a target is out of order: it is counted, logged, and the
    verification ends.
    """
    findings = Findings()
    waiting = deque(sample)

    async def look() -> None:
        while waiting and not findings.errors:
            change = waiting.popleft()
            try:
                if await is_shown(change):
                    findings.shown += 1
                else:
                    findings.not_shown.append(change)
            except (AetherError, Exhausted, Stopped, *DEFECTS) as error:
                findings.errors += 1
                log.warning("verification_ended", change=change.change_id, error=f"{type(error).__name__}: {error}")

    try:
        async with asyncio.timeout(VERIFYING_SECONDS_MAX):
            await together(lambda _: (look() for _ in range(min(at_once, len(waiting)))))
    except TimeoutError:
        findings.errors += 1
        log.warning("verification_ended", error=f"no end within {VERIFYING_SECONDS_MAX:g} s")
    return findings

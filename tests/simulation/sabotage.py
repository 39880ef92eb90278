"""Houses that are broken on purpose: each lacks one thing that must never be missing.

A rule that nobody has seen fail is a wish, so `test_sabotage` lives seeds in each of these until one is found out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from types import MappingProxyType
from typing import Any, Final

import services.applier.approved_plan as approved_plan
import services.applier.handlers as handlers
import services.differ.approving as approving
from services.applier.apply import Applying
from services.applier.changing import Changing
from services.applier.journal import Journal
from shared.bus.lease import LeaseHold
from shared.events.facts import OutcomeRecorded
from shared.plan.change import Change
from shared.run.state import RunState

Sabotage = Callable[[], AbstractContextManager[None]]
LATE_SECONDS: Final = 0.3


@contextmanager
def _instead(place: Any, name: str, other: Any) -> Iterator[None]:
    original = getattr(place, name)
    setattr(place, name, other)
    try:
        yield
    finally:
        setattr(place, name, original)


@contextmanager
def intent_after_the_write() -> Iterator[None]:
    """Writes go out before their intents are durable."""
    intend = Journal.intend

    async def later(self: Journal, change_id: str, attempt: int) -> None:
        async def at_last() -> None:
            await asyncio.sleep(LATE_SECONDS)
            await intend(self, change_id, attempt)

        self._late = asyncio.create_task(at_last())  # type: ignore[attr-defined]  # held by the journal

    with _instead(Journal, "intend", later):
        yield


@contextmanager
def no_fence() -> Iterator[None]:
    """The fence is planted, and the messages of the applier do not name it."""
    durable = Journal._durable

    async def unfenced(self: Journal, event: Any) -> None:
        self._fence = None  # type: ignore[assignment]  # that is the sabotage
        await durable(self, event)

    with _instead(Journal, "_durable", unfenced):
        yield


@contextmanager
def lease_not_looked_at() -> Iterator[None]:
    """Writes go out whether or not the lease is still held."""
    with _instead(LeaseHold, "require_held", lambda self: None):
        yield


@contextmanager
def blind_resend() -> Iterator[None]:
    """A write without an answer is sent again without a look."""

    async def not_found(self: Changing, *_: Any, **__: Any) -> None:
        return None

    with _instead(Changing, "_found", not_found):
        yield


@contextmanager
def no_look_before() -> Iterator[None]:
    """A change that was intended before a crash is written again without a look."""

    async def go(self: Changing, change: Any) -> None:
        return None

    with _instead(Changing, "look", go):
        yield


@contextmanager
def approvals_not_checked() -> Iterator[None]:
    """Whoever approves, and whatever, counts."""
    with (
        _instead(approving, "check_approval", lambda *_, **__: None),
        _instead(approved_plan, "examine_approvals", lambda *_, **__: None),
    ):
        yield


@contextmanager
def ended_without_a_look() -> Iterator[None]:
    """A run that is cancelled ends without asking the target what became of the writes whose outcome is unknown."""

    async def not_attempted(self: Applying, change: Change, *, late: Any) -> OutcomeRecorded:
        return self._changing.outcome(change, "not_attempted", tries=0)

    with _instead(Applying, "_looked_up", not_attempted):
        yield


@contextmanager
def left_out_carried_out() -> Iterator[None]:
    """An approval of a part is taken for one of the whole plan."""
    work_of = approved_plan.work_of

    async def all_of_it(state: RunState, *rest: Any) -> approved_plan.Work:
        return await work_of(state.model_copy(update={"deferred": ()}) if state.retry_of is None else state, *rest)

    with _instead(handlers, "work_of", all_of_it):
        yield


@contextmanager
def parts_not_examined() -> Iterator[None]:
    """What a part leaves out is taken from the run's document, whatever was signed."""
    with (
        _instead(approving, "check_subset", lambda *_, **__: None),
        _instead(approved_plan, "examine_subset", lambda *_: None),
    ):
        yield


SABOTAGES: Final[Mapping[str, Sabotage]] = MappingProxyType(
    {
        one.__name__.replace("_", "-"): one
        for one in (
            intent_after_the_write,
            no_fence,
            lease_not_looked_at,
            blind_resend,
            no_look_before,
            approvals_not_checked,
            ended_without_a_look,
            left_out_carried_out,
            parts_not_examined,
        )
    }
)

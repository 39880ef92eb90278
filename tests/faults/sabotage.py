"""Programs of the house that are broken on purpose: what the crash points must be able to find.

A harness that has never seen a violation proves nothing. Each defect here is one that a hurried hand could make; the
tests beside it show that it is caught. `doomed --sabotage NAME` builds one in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from shared.events.facts import OutcomeRecorded


@dataclass(frozen=True)
class Sabotage:
    """One defect."""

    service: str
    build_in: Callable[[], None]
    """Changes the running program; it must have imported its modules."""


def record_intents_late() -> None:
    """The intent goes out after the write, with the outcome, instead of before it."""
    from services.applier.journal import Journal

    held: dict[str, int] = {}
    intend, conclude = Journal.intend, Journal.conclude

    async def hold(self: Journal, change_id: str, attempt: int) -> None:
        held[change_id] = attempt

    async def both(self: Journal, outcome: OutcomeRecorded) -> None:
        if outcome.change_id in held:
            await intend(self, outcome.change_id, held.pop(outcome.change_id))
        await conclude(self, outcome)

    _replace(Journal, intend=hold, conclude=both)


def ignore_the_lease() -> None:
    """A lease is taken and then believed in for ever: no token goes with a message, and a loss is not heeded."""
    from shared.bus.commit import Committer
    from shared.bus.lease import LeaseHold

    outgoing = Committer.outgoing

    def unfenced(self: Committer, *args: Any, fence: object = None, **kwargs: Any) -> Any:
        return outgoing(self, *args, **kwargs)

    _replace(Committer, outgoing=unfenced)
    _replace(LeaseHold, require_held=lambda self: None, is_held=lambda self: True, _lose=lambda self, loss: None)


def acknowledge_first() -> None:
    """A message is acknowledged when it arrives and not when its effects are durable."""
    from shared.bus.broker import _RuledDelivery

    on_receive = _RuledDelivery.on_receive

    async def acknowledged(self: _RuledDelivery) -> None:
        await self._message.ack()
        await on_receive(self)

    _replace(_RuledDelivery, on_receive=acknowledged)


def _replace(holder: type, **methods: Callable[..., Any]) -> None:
    for name, method in methods.items():
        if not callable(getattr(holder, name)):
            raise AttributeError(f"{holder.__name__}.{name} is no method any more; the defect has no place")
        setattr(holder, name, method)


SABOTAGES: Final = {
    "late-intents": Sabotage("applier", record_intents_late),
    "lease-ignored": Sabotage("applier", ignore_the_lease),
    "acknowledged-first": Sabotage("differ", acknowledge_first),
}

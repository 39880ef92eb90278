"""The ledger of one run: intents and outcomes as they lie on the bus, and the nine counts over them.

`RunLedger` reads and writes the LEDGER stream, always under the fence of the lease; `counts_of` is pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from nats.js import JetStreamContext

from shared.bus.commit import Committer
from shared.bus.publishing import Fence, publish_batch
from shared.bus.reading import read_all
from shared.events.envelope import decode
from shared.events.facts import IntentRecorded, OutcomeRecorded, change_subject, outcomes_filter
from shared.run.counts import NineCounts
from shared.run.moves import Message

BATCH_MAX = 500
"""Messages of one group commit."""


@dataclass
class Known:
    """What the ledger says of a run's changes."""

    attempts: dict[str, int] = field(default_factory=dict)
    """Attempt of the last intent, by change; also of changes that have an outcome."""
    outcomes: dict[str, OutcomeRecorded] = field(default_factory=dict)

    @property
    def unknown(self) -> set[str]:
        """Changes with an intent and no outcome."""
        return set(self.attempts) - set(self.outcomes)


class RunLedger:
    """Intents and outcomes of one run."""

    def __init__(self, js: JetStreamContext, committer: Committer, *, run: str, token: int, fence: Fence) -> None:
        self._js = js
        self._committer = committer
        self._run = run
        self._token = token
        self._fence = fence

    async def read(self) -> Known:
        """Everything that is known."""
        return await read_known(self._js, self._run)

    async def intend(self, attempts: Mapping[str, int]) -> None:
        """Make intents durable; none is, when the fence is another's (`Conflict`)."""
        await self._publish(
            IntentRecorded(run=self._run, change_id=change_id, fencing_token=self._token, attempt=attempt)
            for change_id, attempt in attempts.items()
        )

    async def conclude(self, outcomes: Sequence[OutcomeRecorded]) -> None:
        """Make outcomes durable; none is, when the fence is another's (`Conflict`)."""
        await self._publish(outcomes)

    async def _publish(self, events: Iterable[IntentRecorded | OutcomeRecorded]) -> None:
        outgoing = [
            self._committer.outgoing(
                Message(
                    subject=change_subject(self._run, event.change_id),
                    event=event,
                    message_id=_message_id(event),
                    about=self._run,
                ),
                fence=self._fence,
            )
            for event in events
        ]
        for start in range(0, len(outgoing), BATCH_MAX):
            await publish_batch(self._js, outgoing[start : start + BATCH_MAX])

    @property
    def token(self) -> int:
        """The fencing token that intents and outcomes carry."""
        return self._token


def _message_id(event: IntentRecorded | OutcomeRecorded) -> str:
    if isinstance(event, IntentRecorded):
        return f"{event.run}.{event.change_id}.intent.{event.fencing_token}.{event.attempt}"
    # With the token: a former holder's late outcome must meet the fence, not pass for the one that is stored.
    return f"{event.run}.{event.change_id}.outcome.{event.fencing_token}"


async def read_known(js: JetStreamContext, run: str) -> Known:
    """Everything that the ledger says of a run's changes."""
    known = Known()
    async for stored in read_all(js, "LEDGER", outcomes_filter(run)):
        if stored.headers.get("ce-type") == IntentRecorded.event_type:
            intent = decode(IntentRecorded, data=stored.data, headers=stored.headers, subject=stored.subject)
            known.attempts[intent.change_id] = intent.attempt
        else:
            outcome = decode(OutcomeRecorded, data=stored.data, headers=stored.headers, subject=stored.subject)
            known.outcomes[outcome.change_id] = outcome
    return known


def counts_of(planned: Sequence[str], known: Known) -> NineCounts:
    """The nine counts over the planned change ids."""
    results: Counter[str] = Counter()
    for change_id in planned:
        outcome = known.outcomes.get(change_id)
        if outcome is not None:
            results[outcome.result] += 1
        else:
            results["unknown" if change_id in known.attempts else "not_attempted"] += 1
    return NineCounts(planned=len(planned), **results)


def counts_without_plan(planned: int, known: Known) -> NineCounts:
    """The nine counts where the plan's changes cannot be named: what the ledger does not mention was not attempted."""
    results: Counter[str] = Counter(outcome.result for outcome in known.outcomes.values())
    results["unknown"] = len(known.unknown)
    results["not_attempted"] += planned - results.total()
    return NineCounts(planned=planned, **results)


def codes_of(known: Known) -> dict[str, int]:
    """Outcomes by failure code, in code order."""
    codes = Counter(outcome.code for outcome in known.outcomes.values() if outcome.code is not None)
    return {code: codes[code] for code in sorted(codes)}

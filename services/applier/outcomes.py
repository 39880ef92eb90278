"""What the ledger says of one run's changes: intents and outcomes as they lie on the bus, and the counts over them.

`read_known` reads the LEDGER stream; `counts_of` and the others are pure. What stands there is written by the journal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from nats.js import JetStreamContext

from shared.bus.reading import read_all
from shared.events.envelope import decode
from shared.events.facts import IntentRecorded, OutcomeRecorded, outcomes_filter
from shared.run.counts import NineCounts


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


async def read_known(js: JetStreamContext, run: str) -> Known:
    """Everything that the ledger says of a run's changes; of several outcomes of one change the last counts."""
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

"""Adds up what ended runs say of themselves: how many, how long, what became of their changes and why not.

Pure. An ended run never changes, so it is added once and then forgotten; only a bounded number of the last ones is
remembered, for a message that comes twice. All of it follows from the auditor's rows, so a program that starts anew
arrives at the same numbers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from services.monitor.labels import CODES, MODES, OUTCOMES, STATUSES, Names, known
from shared.run.states import RunStatus

RUN_SECONDS: Final = (1.0, 5.0, 15.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0)
PHASE_SECONDS: Final = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 180.0, 600.0, 1800.0, 7200.0, 43200.0, 172800.0)
REMEMBERED_MAX: Final = 20_000
"""Ended runs whose ids are kept, newest last; who would tell one of an older run again is not believed to exist."""

WITH_A_PERSON: Final = frozenset({RunStatus.HELD.value, RunStatus.AWAITING_APPROVAL.value, RunStatus.PAUSED.value})
"""Phases in which a run waits for somebody to decide."""
SUCCESSES: Final = frozenset({RunStatus.SUCCEEDED.value, RunStatus.NO_CHANGES.value})


@dataclass(frozen=True, slots=True)
class EndedRun:
    """What counts of a run that has ended."""

    run: str
    connector: str
    mode: str
    status: str
    requested_at: float
    """Seconds since 1970."""
    phases: Mapping[str, float]
    """Seconds in each state that it left."""
    planned: int
    outcomes: Mapping[str, int]
    failure: str | None
    trace: str | None = None
    """Id of its trace, where it is known."""

    @property
    def ended_at(self) -> float:
        """Seconds since 1970."""
        return self.requested_at + sum(self.phases.values())


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One observation that can be looked at."""

    trace: str
    value: float
    at: float


@dataclass(slots=True)
class Distribution:
    """A histogram: observations by bucket, their sum, and the newest exemplar of each bucket."""

    bounds: Sequence[float]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0
    exemplars: dict[int, Exemplar] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def observe(self, value: float, *, exemplar: Exemplar | None = None) -> None:
        """Add one observation."""
        place = bisect_left(self.bounds, value)
        self.counts[place] += 1
        self.total += value
        if exemplar is not None and (place not in self.exemplars or self.exemplars[place].at <= exemplar.at):
            self.exemplars[place] = exemplar


class Tally:
    """The sums over all ended runs."""

    def __init__(self, connectors: Names, *, remembered_max: int = REMEMBERED_MAX) -> None:
        self._connectors = connectors
        self._remembered_max = remembered_max
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._sealed: OrderedDict[str, None] = OrderedDict()
        self.runs: Counter[tuple[str, str, str]] = Counter()
        """By connector, mode, status."""
        self.planned: Counter[str] = Counter()
        self.changes: Counter[tuple[str, str]] = Counter()
        """By connector and outcome."""
        self.failures: Counter[tuple[str, str]] = Counter()
        """By connector and code."""
        self.seconds: dict[tuple[str, str], Distribution] = {}
        """By connector and mode."""
        self.phases: dict[tuple[str, str], Distribution] = {}
        """By connector and phase."""
        self.last_success: dict[str, float] = {}
        self.last_unknown: dict[str, tuple[float, int]] = {}
        """Of the last ended run that applied, by connector: when it ended, and how many effects are unknown."""

    def add(self, run: EndedRun) -> bool:
        """Count a run that has ended; False when it was counted before."""
        if not self._is_new(self._ended, run.run):
            return False
        connector, mode = self._connectors(run.connector), known(run.mode, MODES)
        status = known(run.status, STATUSES)
        self.runs[connector, mode, status] += 1
        if run.failure is not None:
            self.failures[connector, known(run.failure, CODES)] += 1
        if RunStatus.APPLYING.value in run.phases:
            self.planned[connector] += run.planned
        self._add_times(run, connector, mode)
        if run.mode == "apply":
            self._add_apply(run, connector)
        return True

    def add_codes(self, run: str, connector: str, codes: Mapping[str, int]) -> bool:
        """Count why changes of a sealed run were not applied; False when it was counted before."""
        if not self._is_new(self._sealed, run):
            return False
        label = self._connectors(connector)
        for code, number in codes.items():
            self.failures[label, known(code, CODES)] += number
        return True

    def _add_times(self, run: EndedRun, connector: str, mode: str) -> None:
        at = run.ended_at
        own = {phase: seconds for phase, seconds in run.phases.items() if phase not in WITH_A_PERSON}
        taken = sum(own.values())
        self._distribution(self.seconds, (connector, mode), RUN_SECONDS).observe(
            taken, exemplar=None if run.trace is None else Exemplar(run.trace, taken, at)
        )
        for phase, seconds in run.phases.items():
            self._distribution(self.phases, (connector, known(phase, STATUSES)), PHASE_SECONDS).observe(
                seconds, exemplar=None if run.trace is None else Exemplar(run.trace, seconds, at)
            )

    def _add_apply(self, run: EndedRun, connector: str) -> None:
        for outcome in OUTCOMES:
            if number := run.outcomes.get(outcome, 0):
                self.changes[connector, outcome] += number
        if run.status in SUCCESSES:
            self.last_success[connector] = max(run.ended_at, self.last_success.get(connector, 0.0))
        if RunStatus.APPLYING.value in run.phases and run.ended_at >= self.last_unknown.get(connector, (0.0, 0))[0]:
            self.last_unknown[connector] = (run.ended_at, run.outcomes.get("unknown", 0))

    def _distribution(
        self, of: dict[tuple[str, str], Distribution], key: tuple[str, str], bounds: Sequence[float]
    ) -> Distribution:
        return of.setdefault(key, Distribution(bounds))

    def _is_new(self, remembered: OrderedDict[str, None], run: str) -> bool:
        if run in remembered:
            return False
        remembered[run] = None
        if len(remembered) > self._remembered_max:
            remembered.popitem(last=False)
        return True

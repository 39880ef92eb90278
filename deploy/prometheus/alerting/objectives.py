"""Objectives of console and commands, and how fast what they allow is used up (burn rates over two windows each).

The four pairs of windows are those of the Site Reliability Workbook, chapter 5: 14.4 times over 1 h and 5 min, 6 over
6 h and 30 min, 3 over a day and 2 h, 1 over 3 days and 6 h. A budget is for thirty days. Commands are few in a
house, so the share of the long window counts only when at least `FEW` requests failed in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from deploy.prometheus.alerting.model import Alert, Case, Expected, Group, Recording, Severity

FEW: Final = 3
WINDOWS: Final = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
_STARTS_AFTER: Final = "400m"
"""Of a case: seven hours, after which every window speaks (the longest of what there is)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Burn:
    """One pair of windows."""

    factor: float
    long: str
    short: str
    holds: str
    severity: Severity


BURNS: Final = (
    Burn(factor=14.4, long="1h", short="5m", holds="2m", severity="critical"),
    Burn(factor=6, long="6h", short="30m", holds="15m", severity="critical"),
    Burn(factor=3, long="1d", short="2h", holds="1h", severity="warning"),
    Burn(factor=1, long="3d", short="6h", holds="3h", severity="warning"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What part of requests is to be good, and how the bad ones are told from all."""

    name: str
    level: str
    """First part of the recorded names."""
    what: str
    target: float
    every: str
    """The counter of all requests, with its matchers."""
    good: str = ""
    """The counter of the good ones; or `bad`."""
    bad: str = ""
    bad_series: str = ""
    """For the cases: the series that rises with each bad request, where `bad` is given."""
    all_series: str = ""
    good_series: str = ""

    @property
    def budget(self) -> float:
        """The part that may be bad."""
        return round(1 - self.target, 6)

    def ratio(self, window: str) -> str:
        """The recorded share of bad requests over a window."""
        return f"{self.level}:bad:ratio_rate{window}"

    def failed(self, window: str) -> str:
        """The recorded number of bad requests over a window."""
        return f"{self.level}:bad:increase{window}"

    def recordings(self) -> Iterator[Recording]:
        """Shares and numbers over every window."""
        for window in WINDOWS:
            every = f"sum(rate({self.every}[{window}]))"
            if self.bad:
                # No series of bad ones says that there were none.
                share = f"(sum(rate({self.bad}[{window}])) or 0 * {every}) / ({every} > 0)"
                number = f"sum(increase({self.bad}[{window}]))"
            else:
                share = f"1 - sum(rate({self.good}[{window}])) / ({every} > 0)"
                number = f"sum(increase({self.every}[{window}])) - sum(increase({self.good}[{window}]))"
            yield Recording(name=self.ratio(window), expr=share)
            yield Recording(name=self.failed(window), expr=number)

    def alerts(self) -> Iterator[Alert]:
        """One for each pair of windows."""
        for burn in BURNS:
            limit = round(burn.factor * self.budget, 6)
            yield Alert(
                name=self.name,
                severity=burn.severity,
                labels={"window": burn.long},
                expr=f"{self.ratio(burn.long)} > {limit} and on () {self.ratio(burn.short)} > {limit}"
                f" and on () {self.failed(burn.long)} >= {FEW}",
                holds=burn.holds,
                summary=f"{self.what}: the budget for errors burns {burn.factor:g} times too fast.",
                description=f"{{{{ $value | humanizePercentage }}}} were bad over {burn.long}, and as many over"
                f" {burn.short};"
                f" {self.budget:.1%} are allowed over 30 days, so the alert begins at {limit:.2%}.",
                cases=tuple(self._cases(burn)),
            )

    def _cases(self, burn: Burn) -> Iterator[Case]:
        """Requests of which so many in a thousand are bad, by the minute; what each pair says of it is known."""
        for bad in self._shares():
            share = bad / 1000
            is_bad = share > burn.factor * self.budget
            yield Case(
                what=f"{bad} of 1000 are bad",
                series=self._series(bad),
                at=_STARTS_AFTER,
                fires=(self._expected(burn, share),) if is_bad else (),
            )
        yield Case(what="2 bad ones among few", series=self._few(), at=_STARTS_AFTER)

    def _shares(self) -> tuple[int, ...]:
        """Between the limits of the pairs, one below all and one above."""
        limits = [0.0, *sorted(burn.factor * self.budget for burn in BURNS), 1.0]
        return tuple(
            max(round((low + min(high, low * 1.5 if low else high)) * 500), 0) for low, high in pairwise(limits)
        )

    def _series(self, bad: int) -> dict[str, str]:
        if self.bad:
            return {self.all_series: f"0+{1000 - bad}x420", self.bad_series: f"0+{bad}x420"}
        return {self.all_series: "0+1000x420", self.good_series: f"0+{1000 - bad}x420"}

    def _few(self) -> dict[str, str]:
        if self.bad:
            return {self.all_series: "0x420", self.bad_series: "0x380 2x40"}
        return {self.all_series: "0x380 2x40", self.good_series: "0x420"}

    def _expected(self, burn: Burn, share: float) -> Expected:
        limit = burn.factor * self.budget
        return Expected(
            labels={},
            summary=f"{self.what}: the budget for errors burns {burn.factor:g} times too fast.",
            description=f"{share * 100:.4g}% were bad over {burn.long}, and as many over {burn.short};"
            f" {self.budget * 100:.1f}% are allowed over 30 days, so the alert begins at {limit * 100:.2f}%.",
        )


_PAGES: Final = "aether_console_request_seconds"
_HANDLED: Final = "aether_handler_seconds"
_PAGE: Final = 'service="console",route="/runs"'
_REQUEST: Final = 'event="aether.run.request"'

CONSOLE_ANSWERS: Final = Objective(
    name="ConsoleErrors",
    level="aether_console_answers",
    what="The console's answers",
    target=0.999,
    every=f"{_PAGES}_count",
    bad=f'{_PAGES}_count{{status="5xx"}}',
    all_series=f'{_PAGES}_count{{{_PAGE},status="2xx"}}',
    bad_series=f'{_PAGES}_count{{{_PAGE},status="5xx"}}',
)
CONSOLE_SPEED: Final = Objective(
    name="ConsoleSlow",
    level="aether_console_speed",
    what="The console's speed (within 1 second)",
    target=0.99,
    every=f'{_PAGES}_bucket{{le="+Inf"}}',
    good=f'{_PAGES}_bucket{{le="1.0"}}',
    all_series=f'{_PAGES}_bucket{{{_PAGE},status="2xx",le="+Inf"}}',
    good_series=f'{_PAGES}_bucket{{{_PAGE},status="2xx",le="1.0"}}',
)
REQUESTS_ANSWERED: Final = Objective(
    name="RunRequestsFail",
    level="aether_run_requests",
    what="Answers to requests for runs",
    target=0.995,
    every=f"{_HANDLED}_count{{{_REQUEST}}}",
    bad=f'{_HANDLED}_count{{{_REQUEST},outcome=~"failed|later"}}',
    all_series=f'{_HANDLED}_count{{{_REQUEST},outcome="done",service="extractor"}}',
    bad_series=f'{_HANDLED}_count{{{_REQUEST},outcome="failed",service="extractor"}}',
)
REQUESTS_SPEED: Final = Objective(
    name="RunRequestsSlow",
    level="aether_run_requests_speed",
    what="Answers to requests for runs (within 2.5 seconds)",
    target=0.99,
    every=f'{_HANDLED}_bucket{{{_REQUEST},le="+Inf"}}',
    good=f'{_HANDLED}_bucket{{{_REQUEST},le="2.5"}}',
    all_series=f'{_HANDLED}_bucket{{{_REQUEST},outcome="done",le="+Inf"}}',
    good_series=f'{_HANDLED}_bucket{{{_REQUEST},outcome="done",le="2.5"}}',
)
_ALL: Final = (CONSOLE_ANSWERS, CONSOLE_SPEED, REQUESTS_ANSWERED, REQUESTS_SPEED)

OBJECTIVES: Final = Group(
    component="objectives",
    evaluated_minutes=10,
    recordings=tuple(recording for objective in _ALL for recording in objective.recordings()),
    alerts=tuple(alert for objective in _ALL for alert in objective.alerts()),
)

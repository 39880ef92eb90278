"""What an alert is: a query, a time for which it must hold, words with numbers, and the cases that prove both sides.

The expected words of a case are written by hand, so that the texts are checked and not only repeated. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from deploy.grafana.building.queries import check_query

Severity = Literal["critical", "warning", "none"]
"""`critical` wakes somebody, `warning` waits for the morning, `none` is no trouble at all."""
Component = Literal["programs", "bus", "runs", "safety", "objectives"]
RUNBOOKS: Final = "docs/runbooks/alerts"
_NAME: Final = re.compile(r"[A-Z][A-Za-z]+")
_RECORDED: Final = re.compile(r"[a-z_]+:[a-z_]+:[a-z0-9_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """One alert that fires in a case: its labels beside name, severity and component, and its two texts."""

    labels: Mapping[str, str]
    summary: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Series as promtool writes them, one value a minute, and what fires at a moment; nothing when `fires` is empty."""

    what: str
    series: Mapping[str, str]
    at: str
    fires: tuple[Expected, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One rule. Several may share a name when they differ in severity; each has cases of its own."""

    name: str
    severity: Severity
    expr: str
    holds: str = "0m"
    """For how long without a break, before it fires."""
    summary: str
    description: str
    cases: tuple[Case, ...]
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse an alert that nobody tried, or that says nothing."""
        if _NAME.fullmatch(self.name) is None:
            raise ValueError(f"{self.name!r} is no name of an alert")
        if not (self.summary and self.description.endswith(".")):
            raise ValueError(f"{self.name} has no summary, or a description that is no sentence")
        if not any(case.fires for case in self.cases) or all(case.fires for case in self.cases):
            raise ValueError(f"{self.name} needs a case in which it fires, and one in which it is silent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A series that is computed beforehand."""

    name: str
    expr: str

    def __post_init__(self) -> None:
        """Refuse a name that is not level:what:how."""
        if _RECORDED.fullmatch(self.name) is None:
            raise ValueError(f"{self.name!r} is not level:what:how")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rules that are evaluated together; a file of rules and a file of tests."""

    component: Component
    alerts: tuple[Alert, ...]
    recordings: tuple[Recording, ...] = ()
    evaluated_minutes: int = 1
    """How often promtool evaluates in the cases; rarer where cases go over many hours."""

    def __post_init__(self) -> None:
        """Refuse what no program gives, and two rules that could not be told apart."""
        recorded = {recording.name for recording in self.recordings}
        for expr in self.expressions():
            check_query(expr, recorded=recorded)
        told = [(alert.name, alert.severity, *sorted(alert.labels.items())) for alert in self.alerts]
        if len(set(told)) != len(told):
            raise ValueError(f"{self.component}: two rules with the same name, severity and labels")

    def expressions(self) -> Iterator[str]:
        """Every query of it."""
        yield from (recording.expr for recording in self.recordings)
        yield from (alert.expr for alert in self.alerts)

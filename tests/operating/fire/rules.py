"""The rules of deploy/prometheus with every time divided by one number, so that faults of minutes show within seconds.

Divided are: how long a rule must hold, windows and offsets of queries, numbers that moments are compared with, and how
old a schedule lets a success become. Shares, counts and names stay. Rules over days have a number of their own
(`OWN_FACTORS`), and all their times are divided by it. It chooses no rule and starts nothing. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from deploy.prometheus.alerting.model import Alert, Group

FACTOR: Final = 15
"""Not more: the monitor reads the record every 15 seconds, and a rule calls it blind after 300."""
OWN_FACTORS: Final[Mapping[str, int]] = {
    "QuarantineGrows": 1440,  # a day is one minute
    "SchedulePaused": 360,  # a day is four minutes
    "QuarantineOld": 5040,  # two weeks are four minutes
}
"""By what the times of a rule are divided, where it is not `FACTOR`."""
MOMENT_SECONDS_MIN: Final = 300
"""Numbers from here on that stand in a query over moments are seconds."""
_MILLISECONDS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION: Final = re.compile(r"\b(\d+)([smhd])\b")
_SECONDS: Final = re.compile(r"(?<=[<>] )(\d+)\b(?! \*)")
_AHEAD: Final = re.compile(r"(?<=\], )(\d+)\b")
_LIMIT: Final = "aether_connector_freshness_limit_seconds"


def duration(text: str, factor: int) -> str:
    """A duration of Prometheus, divided."""

    def divided(found: re.Match[str]) -> str:
        number = int(found[1]) * _MILLISECONDS[found[2]]
        return f"{max(number // factor, 1) if number else 0}ms"

    return _DURATION.sub(divided, text)


def query(expr: str, factor: int) -> str:
    """A query whose windows, offsets and seconds are divided; series of recording rules keep their names."""

    def seconds(found: re.Match[str]) -> str:
        number = int(found[1])
        return str(number / factor) if number >= MOMENT_SECONDS_MIN else found[1]

    if "time()" in expr:
        expr = _SECONDS.sub(seconds, expr)
    expr = _AHEAD.sub(seconds, expr).replace(_LIMIT, f"({_LIMIT} / {factor})")
    expr = re.sub(r"\[([^\]]*)\]", lambda found: f"[{duration(found[1], factor)}]", expr)
    return re.sub(r"(?<=offset )\S+", lambda found: duration(found[0], factor), expr)


def shortened(groups: Sequence[Group]) -> dict[str, Any]:
    """A file of rules as Prometheus reads it."""
    return {
        "groups": [
            {
                "name": f"aether-{group.component}",
                "rules": [
                    *({"record": each.name, "expr": query(each.expr, FACTOR)} for each in group.recordings),
                    *(_rule(group, alert) for alert in group.alerts),
                ],
            }
            for group in groups
        ]
    }


def _rule(group: Group, alert: Alert) -> dict[str, Any]:
    factor = OWN_FACTORS.get(alert.name, FACTOR)
    return {
        "alert": alert.name,
        "expr": query(alert.expr, factor),
        "for": duration(alert.holds, factor),
        "labels": {
            "severity": alert.severity,
            "component": group.component,
            **alert.labels,
        },
    }

"""Decides whether a query of a dashboard or an alert may be: only figures of the table, only labels that they have.

It reads the parts of PromQL that we use (names, matchers, `by` and `without`, `on` and `ignoring`) and refuses what it
does not understand; Prometheus itself has the last word, in the tests. It asks nothing of anybody. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final

from shared.telemetry.figures import FIGURE, Figure

TARGET_LABELS: Final = frozenset({"job", "instance", "service"})
"""What Prometheus itself lays on every series (deploy/prometheus/prometheus.yml)."""
OTHER_FIGURES: Final = frozenset(
    {
        "up",
        "process_cpu_seconds_total",
        "process_max_fds",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
    }
)
"""What every program or Prometheus itself gives besides."""
GRAFANA_SPANS: Final = ("$__rate_interval", "$__range", "$__interval")

_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_MATCHERS: Final = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)?\s*\{([^{}]*)\}")
_MATCHER: Final = re.compile(r"^\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(?:=~|!~|!=|=)\s*S\s*$")
_GROUPING: Final = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^()]*)\)")
_SPAN: Final = re.compile(r"\[[^\]]*\]")
_OFFSET: Final = re.compile(r"\boffset\s+\d+[smhdw]")
_NUMBER: Final = re.compile(r"(?<![a-zA-Z0-9_:.])\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![a-zA-Z0-9_:.])", re.IGNORECASE)
_WORDS: Final = frozenset(
    {
        *("and", "or", "unless", "bool", "by", "without", "on", "ignoring", "group_left", "group_right"),
        *("sum", "max", "min", "count", "avg", "topk", "bottomk", "quantile"),
        *("abs", "absent", "changes", "clamp_max", "clamp_min", "deriv", "histogram_quantile", "increase"),
        *("label_replace", "max_over_time", "min_over_time", "avg_over_time", "predict_linear", "rate", "resets"),
        *("scalar", "sort", "sort_desc", "time", "timestamp", "vector", "count_values"),
    }
)
_SUFFIXES: Final = {"_bucket": frozenset({"le"}), "_sum": frozenset(), "_count": frozenset()}


class RefusedQuery(ValueError):
    """The query names what no program gives."""


def check_query(query: str, *, recorded: Collection[str] = ()) -> None:
    """Refuse a query with a figure or a label that is not in the table; `recorded` names series of our own rules."""
    bare = _STRING.sub("S", query)
    for figure, inside in _MATCHERS.findall(bare):
        allowed = _labels_of(figure, recorded) if figure else None
        for part in filter(None, (each.strip() for each in inside.split(","))):
            matcher = _MATCHER.match(part)
            if matcher is None:
                raise RefusedQuery(f"{query!r}: {part!r} is no matcher")
            if allowed is None:
                raise RefusedQuery(f"{query!r}: a matcher without the name of a figure")
            if matcher[1] not in allowed:
                raise RefusedQuery(
                    f"{query!r}: {figure} has no label {matcher[1]}; it has {', '.join(sorted(allowed))}"
                )
    named = figures_of(query)
    allowed = frozenset[str]().union(*(_labels_of(figure, recorded) for figure in named), _made_labels(query))
    for inside in _GROUPING.findall(bare):
        for label in filter(None, (each.strip() for each in inside.split(","))):
            if label not in allowed:
                raise RefusedQuery(f"{query!r}: no figure in it has the label {label}")
    if not named:
        raise RefusedQuery(f"{query!r} names no figure")


def figures_of(query: str) -> tuple[str, ...]:
    """The figures that a query names, as they stand in it, each once."""
    return tuple(dict.fromkeys(_names(query)))


def family_of(name: str) -> Figure | None:
    """The row of the table that gives this series, or None."""
    for suffix in ("", *_SUFFIXES):
        row = FIGURE.get(name.removesuffix(suffix)) if name.endswith(suffix) else None
        if row is not None and (not suffix or row.kind == "histogram") and (suffix or row.kind != "histogram"):
            return row
    return None


def _names(query: str) -> Iterator[str]:
    bare = _STRING.sub("S", query)
    for pattern in (_OFFSET, _SPAN, _GROUPING):
        bare = pattern.sub(" ", bare)
    bare = _NUMBER.sub(" ", re.sub(r"\{[^{}]*\}", " ", bare))
    for name in _NAME.findall(bare):
        if name not in _WORDS and name != "S":
            yield name


def _made_labels(query: str) -> frozenset[str]:
    """Labels that `label_replace` makes: its second argument but one of strings."""
    return frozenset(re.findall(r'label_replace\(.*?,\s*"([a-z_]+)",', query, re.DOTALL))


def _labels_of(name: str, recorded: Collection[str]) -> frozenset[str]:
    if name in recorded or ":" in name:
        if name not in recorded:
            raise RefusedQuery(f"{name} is recorded by no rule of deploy/prometheus")
        return frozenset({"service", "connector", "le"})
    if name in OTHER_FIGURES:
        return TARGET_LABELS
    row = family_of(name)
    if row is None:
        raise RefusedQuery(f"{name} is not in the table of figures (shared/telemetry/figures.py)")
    suffix = name.removeprefix(row.name)
    return TARGET_LABELS | frozenset(row.labels) | _SUFFIXES.get(suffix, frozenset())

"""Makes metric families from their rows in the table of figures, so that no program can spell one otherwise.

`counter`, `gauge` and `histogram` are for what a program counts itself; `family` is for a collector that computes its
samples when it is asked. A name that is not in the table is a KeyError, one of another kind a TypeError.
"""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from shared.telemetry.figures import FIGURE, Figure, Kind


def counter(name: str, registry: CollectorRegistry) -> Counter:
    """The counter of that row, counted by this program."""
    row = _row(name, "counter")
    return Counter(row.name, row.help, row.labels, registry=registry)


def gauge(name: str, registry: CollectorRegistry) -> Gauge:
    """The gauge of that row, set by this program."""
    row = _row(name, "gauge")
    return Gauge(row.name, row.help, row.labels, registry=registry)


def histogram(name: str, registry: CollectorRegistry, *, buckets: Sequence[float]) -> Histogram:
    """The histogram of that row, observed by this program; `buckets` are upper bounds in seconds."""
    row = _row(name, "histogram")
    return Histogram(row.name, row.help, row.labels, registry=registry, buckets=buckets)


def counter_family(name: str) -> CounterMetricFamily:
    """The counter of that row, without samples yet."""
    row = _row(name, "counter")
    return CounterMetricFamily(row.name, row.help, labels=row.labels)


def gauge_family(name: str) -> GaugeMetricFamily:
    """The gauge of that row, without samples yet."""
    row = _row(name, "gauge")
    return GaugeMetricFamily(row.name, row.help, labels=row.labels)


def histogram_family(name: str) -> HistogramMetricFamily:
    """The histogram of that row, without samples yet."""
    row = _row(name, "histogram")
    return HistogramMetricFamily(row.name, row.help, labels=row.labels)


def _row(name: str, kind: Kind) -> Figure:
    row = FIGURE[name]
    if row.kind != kind:
        raise TypeError(f"{name} is a {row.kind} in the table of figures, not a {kind}")
    return row

"""Gives Prometheus what the monitor knows, family by family as the table of figures names them.

It computes nothing that is not known already: an answer of /metrics asks neither database nor bus. Until the record
was read for the first time its figures are left out, because a zero would be a claim.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar as PrometheusExemplar

from services.monitor.bus_figures import BusFigures, BusState
from services.monitor.certificates import Certificates
from services.monitor.labels import STATUSES, known
from services.monitor.recorded import Recorded
from services.monitor.tally import Distribution
from shared.run.states import TERMINAL, RunStatus
from shared.telemetry.families import counter_family, gauge_family, histogram_family

LEVELS: Final = {"PASS": 0, "WARN": 1, "HOLD": 2, "BLOCK": 3}
LabelsT = TypeVar("LabelsT", bound=tuple[str, ...])
"""The values of a family's labels, in their order."""

OPEN_STATUSES: Final = tuple(status.value for status in RunStatus if status not in TERMINAL)


class MonitorCollector(Collector):
    """The figures of this service."""

    def __init__(self, recorded: Recorded, bus: BusFigures, certificates: Certificates) -> None:
        self._recorded = recorded
        self._bus = bus
        self._certificates = certificates

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry need not ask for the figures to know their names."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Every family with what is known now."""
        recorded = self._recorded
        yield _gauge(
            "aether_monitor_last_look_timestamp_seconds", {(): recorded.looked_at} if recorded.looked_at else {}
        )
        yield from _of_runs(recorded) if recorded.looked_at is not None else ()
        yield _gauge(
            "aether_certificate_expiry_timestamp_seconds", {(name,): at for name, at in self._certificates.ends.items()}
        )
        yield from _of_bus(self._bus.state)


def register(registry: CollectorRegistry, recorded: Recorded, bus: BusFigures, certificates: Certificates) -> None:
    """Let the program's /metrics give these figures."""
    registry.register(MonitorCollector(recorded, bus, certificates))


def _of_runs(recorded: Recorded) -> Iterable[Metric]:
    tally = recorded.tally
    yield _counter("aether_runs_ended_total", tally.runs)
    yield from _of_open_runs(recorded)
    yield _counter("aether_run_changes_planned_total", {(name,): number for name, number in tally.planned.items()})
    yield _counter("aether_run_changes_total", tally.changes)
    yield _counter("aether_run_failures_total", tally.failures)
    yield _histogram("aether_run_seconds", tally.seconds)
    yield _histogram("aether_run_phase_seconds", tally.phases)
    yield _gauge(
        "aether_connector_last_success_timestamp_seconds", {(name,): at for name, at in tally.last_success.items()}
    )
    last_run: dict[tuple[str, ...], float] = {}
    for connector, at in recorded.last_run.items():
        key = (recorded.connectors(connector),)
        last_run[key] = max(at, last_run.get(key, at))
    yield _gauge("aether_connector_last_run_timestamp_seconds", last_run)
    levels = {(name,): LEVELS[verdict] for name, verdict in recorded.verdicts().items() if verdict in LEVELS}
    yield _gauge("aether_guard_level", levels)
    yield _gauge("aether_quarantine_records", recorded.quarantines.records())
    yield _gauge("aether_quarantine_since_timestamp_seconds", recorded.quarantines.since())
    connectors = {recorded.connectors(name) for name in recorded.last_run}
    unknown = dict.fromkeys(connectors, 0) | recorded.unknown_effects()
    yield _gauge("aether_unknown_effects", {(name,): number for name, number in unknown.items()})
    yield _gauge(
        "aether_connection_quarantined",
        {(name,): int(is_there) for name, is_there in recorded.quarantined_connections().items()},
    )


def _of_open_runs(recorded: Recorded) -> Iterable[Metric]:
    connectors = {recorded.connectors(name) for name in recorded.last_run}
    number: dict[tuple[str, ...], int] = {(name, status): 0 for name in connectors for status in OPEN_STATUSES}
    since: dict[tuple[str, ...], float] = {}
    for run in recorded.open.values():
        key = (recorded.connectors(run.connector), known(run.status, STATUSES))
        number[key] = number.get(key, 0) + 1
        since[key] = min(run.since, since.get(key, run.since))
    yield _gauge("aether_runs_open", number)
    yield _gauge("aether_runs_open_since_timestamp_seconds", since)


def _of_bus(state: BusState) -> Iterable[Metric]:
    yield _gauge("aether_bus_server_up", {(server,): int(is_up) for server, is_up in state.up.items()})
    yield _counter("aether_bus_slow_consumers_total", {(name,): n for name, n in state.slow_consumers.items()})
    streams = state.streams.items()
    yield _gauge("aether_bus_stream_messages", {(name,): one.messages for name, one in streams})
    yield _gauge("aether_bus_stream_bytes", {(name,): one.bytes for name, one in streams})
    limits = {(name,): one.limit_bytes for name, one in streams if one.limit_bytes >= 0}
    yield _gauge("aether_bus_stream_limit_bytes", limits)
    yield _gauge("aether_bus_stream_replicas", {(name,): one.replicas for name, one in streams})
    yield _gauge("aether_bus_stream_replicas_current", {(name,): one.replicas_current for name, one in streams})
    consumers = state.consumers.items()
    yield _gauge("aether_bus_consumer_pending", {key: one.pending for key, one in consumers})
    yield _gauge("aether_bus_consumer_ack_pending", {key: one.ack_pending for key, one in consumers})
    yield _gauge("aether_bus_consumer_redelivered", {key: one.redelivered for key, one in consumers})


def _counter(name: str, values: Mapping[LabelsT, float]) -> Metric:
    family = counter_family(name)
    for labels, value in sorted(values.items()):
        family.add_metric(labels, value)
    return family


def _gauge(name: str, values: Mapping[LabelsT, float]) -> Metric:
    family = gauge_family(name)
    for labels, value in sorted(values.items()):
        family.add_metric(labels, value)
    return family


def _histogram(name: str, values: Mapping[tuple[str, str], Distribution]) -> Metric:
    family: HistogramMetricFamily = histogram_family(name)
    for labels, distribution in sorted(values.items()):
        family.add_metric(labels, _buckets(distribution), distribution.total)
    return family


def _buckets(distribution: Distribution) -> list[tuple[str, float] | tuple[str, float, PrometheusExemplar]]:
    """Cumulative, as Prometheus has them, the last without an upper bound."""
    bounds = [*(str(bound) for bound in distribution.bounds), "+Inf"]
    buckets: list[tuple[str, float] | tuple[str, float, PrometheusExemplar]] = []
    below = 0
    for place, (bound, number) in enumerate(zip(bounds, distribution.counts, strict=True)):
        below += number
        seen = distribution.exemplars.get(place)
        if seen is None:
            buckets.append((bound, float(below)))
        else:
            exemplar = PrometheusExemplar({"trace_id": seen.trace}, seen.value, seen.at)
            buckets.append((bound, float(below), exemplar))
    return buckets

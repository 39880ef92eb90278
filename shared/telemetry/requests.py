"""Requests to outside systems as Prometheus metrics: how many, how they ended, how long they took, by connection.

Names of connections stand in the district's own document and are few; they are no personal data.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)


class RequestMetrics:
    """The meters of one program; each is a `shared.ports.metering.Meter`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "aether_system_requests",
            "Requests to outside systems by how they ended.",
            ("connection", "use", "outcome"),
            registry=registry,
        )
        self._seconds = Histogram(
            "aether_system_request_seconds",
            "How long requests to outside systems took.",
            ("connection", "use"),
            registry=registry,
            buckets=SECONDS,
        )

    def of(self, connection: str) -> ConnectionMeter:
        """The meter of one connection."""
        return ConnectionMeter(self._requests, self._seconds, connection)


class ConnectionMeter:
    """Counts the requests of one connection."""

    def __init__(self, requests: Counter, seconds: Histogram, connection: str) -> None:
        self._requests = requests
        self._seconds = seconds
        self._connection = connection

    def saw(self, *, use: str, outcome: str, seconds: float) -> None:
        """A request has ended."""
        self._requests.labels(self._connection, use, outcome).inc()
        self._seconds.labels(self._connection, use).observe(seconds)

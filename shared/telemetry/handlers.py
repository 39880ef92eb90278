"""How long handlers take, by event and by what became of it; the exemplars of the figure lead to traces."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

from prometheus_client import CollectorRegistry

from shared.telemetry.carrying import sampled_trace_id
from shared.telemetry.families import histogram

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)

Outcome = Literal["done", "refused", "later", "failed"]
"""`refused`: a reason of the catalogue; `later`: to be tried again; `failed`: a defect of ours, or the bus."""


class Handling:
    """One handling under way; whoever handles says what became of it."""

    def __init__(self) -> None:
        self.outcome: Outcome = "failed"


class HandlerMetrics:
    """The figure of one program."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = histogram("aether_handler_seconds", registry, buckets=SECONDS)

    @contextmanager
    def handling(self, event: str) -> Iterator[Handling]:
        """Measure one handling; `event` is a type of the registry or a subject of the table, never what a sender wrote.

        What ends without a word counts as failed.
        """
        one, began = Handling(), time.perf_counter()
        try:
            yield one
        finally:
            trace_id = sampled_trace_id()
            self._seconds.labels(event, one.outcome).observe(
                time.perf_counter() - began, exemplar=None if trace_id is None else {"trace_id": trace_id}
            )

"""Traces: one for every run, from the request of a person to the seal of the auditor.

A message carries the trace it belongs to in `traceparent` (W3C Trace Context). The broker continues it around every
handler, and what a handler publishes carries it on. A run's document names the run's trace, so that a person who
decides days later does not begin a second one: `document_context` goes on in the document's trace, with a link to the
person's. Spans leave the process only when the operator names a collector. Nothing here decides anything about a run.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from shared.telemetry.carrying import current_traceparent
from shared.telemetry.sampling import sampler

__all__ = ["current_traceparent", "flush", "otlp_headers_in", "tracer_provider"]

FLUSH_SECONDS_MAX: Final = 3.0
"""How long a program that ends waits for its last spans to be sent."""
HEADER_PAIRS_MAX: Final = 16


def tracer_provider(
    service: str,
    *,
    otlp_endpoint: str | None = None,
    otlp_headers: Mapping[str, str] | None = None,
    ratio: float = 1.0,
    environment: str | None = None,
) -> TracerProvider:
    """What makes the spans of one program.

    Without an endpoint (`AETHER_OTLP_ENDPOINT`, the whole address, e.g. `http://collector:4318/v1/traces`) spans are
    made, so that the trace travels, and then dropped. `ratio` is the share of traces kept of those that begin here.
    """
    about = {"service.name": service}
    if environment is not None:
        about["deployment.environment.name"] = environment
    provider = TracerProvider(resource=Resource.create(about), sampler=sampler(ratio), shutdown_on_exit=False)
    if otlp_endpoint is not None:
        # Loaded only where spans are sent: it brings a client of HTTP and the forms of the protocol.
        from shared.telemetry.exporting import collector_processor

        provider.add_span_processor(collector_processor(service, endpoint=otlp_endpoint, headers=otlp_headers))
    return provider


def flush(provider: trace.TracerProvider, *, seconds_max: float = FLUSH_SECONDS_MAX) -> bool:
    """Send what is left and end; whether that was done in time. A collector that hangs keeps no program from ending."""
    if not isinstance(provider, TracerProvider):
        return True
    ending = threading.Thread(target=provider.shutdown, name="traces-flush", daemon=True)
    ending.start()
    ending.join(seconds_max)
    return not ending.is_alive()


def otlp_headers_in(text: str) -> dict[str, str]:
    """Headers from `name=value,name=value`; `ValueError` without repeating what was there."""
    headers: dict[str, str] = {}
    for number, pair in enumerate(filter(None, (part.strip() for part in text.split(","))), start=1):
        name, is_pair, value = pair.partition("=")
        if not is_pair or not name.strip() or number > HEADER_PAIRS_MAX:
            raise ValueError(
                f"part {number} is no name=value (at most {HEADER_PAIRS_MAX}, separated by commas); correct the secret"
            )
        headers[name.strip().lower()] = value.strip()
    return headers

"""Traces that begin at the command line: only where the environment names a collector, as for every other program.

Without one, a command carries no trace and the service that takes it begins the run's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from cli.problem import CommandFailed

ENDPOINT = "AETHER_OTLP_ENDPOINT"
HEADERS = "AETHER_OTLP_HEADERS"
RATIO = "AETHER_TRACE_RATIO"
PROGRAM = "cli"


@contextmanager
def traced() -> Iterator[None]:
    """Send the spans of what is done meanwhile to the collector that the environment names, if it names one."""
    endpoint = os.environ.get(ENDPOINT)
    if not endpoint:
        yield
        return
    from opentelemetry import trace

    from shared.secrets import resolve
    from shared.telemetry.tracing import flush, otlp_headers_in, tracer_provider

    reference = os.environ.get(HEADERS)
    try:
        headers = otlp_headers_in(resolve(reference)) if reference else {}
        ratio = float(os.environ.get(RATIO, "1"))
    except ValueError:
        raise CommandFailed(
            f"{HEADERS} or {RATIO} cannot be read",
            action=f"The secret of {HEADERS} holds name=value,name=value; {RATIO} is a number from 0 to 1.",
        ) from None
    if not 0 <= ratio <= 1:
        raise CommandFailed(f"{RATIO} is {ratio:g}", action="Give a number from 0 to 1.")
    provider = tracer_provider(PROGRAM, otlp_endpoint=endpoint, otlp_headers=headers, ratio=ratio)
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        flush(provider)

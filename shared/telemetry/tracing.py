"""Traces: one for every run, from the request of a person to the seal of the auditor.

A message carries the trace it belongs to in `traceparent` (W3C Trace Context). The broker continues it around every
handler, and what a handler publishes carries it on. A run's document names the run's trace, so that a person who
decides days later does not begin a second one: `continuing` goes on in the document's trace and links to the person's.
Spans leave the process only when the operator names a collector. Nothing here decides anything about a run.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

TRACE_PARENT = "traceparent"
EXPORTER_MODULE = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
"""Of the package opentelemetry-exporter-otlp-proto-http, which is the operator's to install."""

log = structlog.get_logger(__name__)

_PROPAGATOR = TraceContextTextMapPropagator()


def tracer_provider(service: str, *, otlp_endpoint: str | None = None) -> TracerProvider:
    """What makes the spans of one program.

    Without an endpoint (`AETHER_OTLP_ENDPOINT`, the whole address, e.g. `http://collector:4318/v1/traces`) spans are
    made, so that the trace travels, and then dropped. An endpoint without the exporter's package is said in the log.
    """
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    if otlp_endpoint is None:
        return provider
    exporter = _exporter_class()
    if exporter is None:
        log.error("traces_not_exported", service=service, reason=f"{EXPORTER_MODULE} is not installed")
        return provider
    provider.add_span_processor(BatchSpanProcessor(exporter(endpoint=otlp_endpoint)))
    return provider


def current_traceparent() -> str | None:
    """The present span as a header's value; None outside every trace."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get(TRACE_PARENT)


@contextmanager
def continuing(tracer: trace.Tracer, name: str, headers: Mapping[str, str]) -> Iterator[None]:
    """Go on in the trace that the headers of a message name; in the present one when they name none, or the same.

    The span begun there links to the present span, so that both can be followed.
    """
    named = _PROPAGATOR.extract(dict(headers), context=Context())
    there = trace.get_current_span(named).get_span_context()
    here = trace.get_current_span().get_span_context()
    if not there.is_valid or there.trace_id == here.trace_id:
        yield
        return
    links = [trace.Link(here)] if here.is_valid else []
    with tracer.start_as_current_span(name, context=named, links=links):
        yield


def _exporter_class() -> Any:
    """The exporter's class, or None when its package is not there."""
    try:
        if importlib.util.find_spec(EXPORTER_MODULE) is None:
            return None
    except ModuleNotFoundError:
        return None
    return importlib.import_module(EXPORTER_MODULE).OTLPSpanExporter

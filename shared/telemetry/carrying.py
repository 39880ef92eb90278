"""The trace that messages carry: into their headers, out of them, and what of it a figure or a document may name.

Light on purpose: the command line needs this and no machinery that sends spans.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

TRACE_PARENT: Final = "traceparent"

_PROPAGATOR = TraceContextTextMapPropagator()


def current_traceparent() -> str | None:
    """The present span as a header's value; None outside every trace."""
    return traceparent_of(None)


def traceparent_of(span: Span | None) -> str | None:
    """A span as a header's value, the present one for None; None outside every trace."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, context=None if span is None else trace.set_span_in_context(span, Context()))
    return carrier.get(TRACE_PARENT)


def context_in(headers: Mapping[str, str]) -> Context:
    """The place in a trace that the headers of a message name; an empty one when they name none."""
    return _PROPAGATOR.extract(dict(headers), context=Context())


def span_in(context: Context) -> trace.SpanContext:
    """The span that a context stands in; an invalid one where there is none."""
    return trace.get_current_span(context).get_span_context()


def trace_id_of(span: Span) -> str | None:
    """The trace of a span in hexadecimal digits; None where there is none."""
    context = span.get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else None


def sampled_trace_id() -> str | None:
    """The present trace, if it is kept: what an exemplar names."""
    context = trace.get_current_span().get_span_context()
    is_kept = context.is_valid and context.trace_flags.sampled
    return trace.format_trace_id(context.trace_id) if is_kept else None


def document_context(headers: Mapping[str, str]) -> tuple[Context | None, list[Link]]:
    """Where what concerns a document belongs: in the trace that its headers name, with a link to the present span.

    None, the present context, when they name no trace or the same.
    """
    named = context_in(headers)
    there, here = span_in(named), trace.get_current_span().get_span_context()
    if not there.is_valid or there.trace_id == here.trace_id:
        return None, []
    return named, [Link(here)] if here.is_valid else []

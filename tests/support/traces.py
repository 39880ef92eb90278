"""A collector of traces for tests: OTLP over HTTP, decoded with the protocol's own messages."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

Mood = Literal["takes", "refuses", "hangs"]
HANGS_SECONDS_MAX = 60.0


@dataclass(frozen=True)
class ToldSpan:
    """One span as it arrived."""

    service: str
    name: str
    kind: int
    trace: str
    span: str
    parent: str
    attributes: dict[str, Any]
    events: tuple[tuple[str, dict[str, Any]], ...]
    links: tuple[str, ...]
    began_ns: int
    ended_ns: int
    status: int
    status_text: str


@dataclass
class Collector:
    """What arrived, and how the next batches are met."""

    url: str = ""
    mood: Mood = "takes"
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    met: int = 0
    """Batches that came, also those that were not taken."""
    released: threading.Event = field(default_factory=threading.Event)
    """Ends every wait of a collector that hangs."""

    def spans(self) -> list[ToldSpan]:
        """Every span so far."""
        return [span for body in list(self.bodies) for span in _spans_in(body)]

    def of_trace(self, trace: str) -> list[ToldSpan]:
        """The spans of one trace."""
        return [span for span in self.spans() if span.trace == trace]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port of this machine."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.met += 1
            if collector.mood == "hangs":
                collector.released.wait(HANGS_SECONDS_MAX)
            if collector.mood == "takes":
                is_zipped = self.headers.get("Content-Encoding") == "gzip"
                collector.headers.append({name.lower(): value for name, value in self.headers.items()})
                collector.bodies.append(gzip.decompress(body) if is_zipped else body)
            self.send_response(200 if collector.mood == "takes" else 500)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector.url = f"http://127.0.0.1:{server.server_address[1]}/v1/traces"
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    serving.start()
    try:
        yield collector
    finally:
        collector.released.set()
        server.shutdown()
        server.server_close()
        serving.join(5)


def wait_for(is_there: Any, *, seconds_max: float = 20.0) -> None:
    """Wait until a condition holds; spans come in batches."""
    deadline = time.monotonic() + seconds_max
    while not is_there():
        assert time.monotonic() < deadline, f"not there after {seconds_max:g} s"
        time.sleep(0.05)


def _spans_in(body: bytes) -> Iterator[ToldSpan]:
    request = ExportTraceServiceRequest.FromString(body)
    for resource in request.resource_spans:
        service = _attributes(resource.resource.attributes)["service.name"]
        for scope in resource.scope_spans:
            for one in scope.spans:
                yield ToldSpan(
                    service=service,
                    name=one.name,
                    kind=one.kind,
                    trace=one.trace_id.hex(),
                    span=one.span_id.hex(),
                    parent=one.parent_span_id.hex(),
                    attributes=_attributes(one.attributes),
                    events=tuple((event.name, _attributes(event.attributes)) for event in one.events),
                    links=tuple(link.trace_id.hex() for link in one.links),
                    began_ns=one.start_time_unix_nano,
                    ended_ns=one.end_time_unix_nano,
                    status=one.status.code,
                    status_text=one.status.message,
                )


def _attributes(pairs: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs:
        kind = pair.value.WhichOneof("value")
        value: Any = getattr(pair.value, kind) if kind else None
        found[pair.key] = [one.string_value for one in value.values] if kind == "array_value" else value
    return found

"""The gateway of a simulated vendor: reads a request, applies rate and faults, asks the vendor, journals, answers.

It knows nothing of any vendor's records. Between the vendor's effect and its journal entry nothing is awaited, so the
journal's order is the order of effects; only afterwards is an answer delayed, torn or cut.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote

from starlette.types import Receive, Scope, Send

from simulators.kit.faults import Fault, FaultKind, FaultMenu
from simulators.kit.journal import Journal
from simulators.kit.paging import Page, Windows
from simulators.kit.serve import Wire, wire_of
from simulators.kit.stopwatch import Stopwatch

BODY_DRAIN_BYTES_MAX = 8 * 1024 * 1024
"""How much of a body that is too large is still read, so that the client can read the refusal."""
QUERY_FIELDS_MAX = 100
JSON_TYPE = "application/json"
LOGIN_PAGE = b"<!doctype html><html><head><title>Sign in</title></head><body><form>Please sign in.</form></body></html>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, read and split."""

    method: str
    path: str
    segments: tuple[str, ...]
    """The path's parts, split before they were percent-decoded, so an encoded slash stays inside its part."""
    query: dict[str, str]
    headers: dict[str, str]
    """Names in lower case; the last of several equal names counts."""
    body: bytes
    is_body_too_large: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back, and what was done."""

    status: int
    body: bytes = b""
    content_type: str = JSON_TYPE
    headers: dict[str, str] = field(default_factory=dict)
    effect: str = "none"
    external_id: str | None = None
    record_id: str | None = None


class Vendor(Protocol):
    """What a simulated system gives the gateway."""

    body_bytes_max: int

    def page(self, call: Call) -> Page | None:
        """Say which page this call asks for, or None when it is not a well-formed list request."""
        ...

    def answer(self, call: Call, *, window: slice | None, pretend: bool) -> Answer:
        """Do what the call asks and answer it; with `pretend`, answer as if, and do nothing."""
        ...

    def refusal(self, status: int, message: str, **more: object) -> Answer:
        """Say no in the vendor's own shape, with further members."""
        ...


@dataclass(slots=True)
class TokenBucket:
    """A rate limit: `burst` requests at once, then `per_second`; time comes from the clock it is given."""

    per_second: float
    burst: int
    monotonic: Callable[[], float]
    _tokens: float = field(init=False)
    _filled_at: float = field(init=False)

    def __post_init__(self) -> None:
        if self.per_second <= 0 or self.burst < 1:
            raise ValueError(f"rate {self.per_second}/s with burst {self.burst}: need a rate above 0 and a burst of 1")
        self._tokens = float(self.burst)
        self._filled_at = self.monotonic()

    def wait_seconds(self) -> int:
        """Take one token and return 0, or return the whole seconds until there is one."""
        now = self.monotonic()
        self._tokens = min(float(self.burst), self._tokens + (now - self._filled_at) * self.per_second)
        self._filled_at = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0
        return max(1, math.ceil((1.0 - self._tokens) / self.per_second))

    def headers(self, wait: int) -> dict[str, str]:
        """Tell what is left: how many requests the coming stretch of whole seconds still admits."""
        seconds = wait or max(1, math.ceil(1.0 / self.per_second))
        remaining = 0 if wait else math.floor(self._tokens + self.per_second * seconds)
        return {
            "RateLimit-Limit": str(self.burst + math.floor(self.per_second * seconds)),
            "RateLimit-Remaining": str(remaining),
            "RateLimit-Reset": str(seconds),
        }


class Gateway:
    """The ASGI application in front of one vendor."""

    def __init__(
        self,
        *,
        vendor: Vendor,
        faults: FaultMenu,
        journal: Journal,
        bucket: TokenBucket | None,
        stopwatch: Stopwatch,
    ) -> None:
        self._vendor = vendor
        self._stopwatch = stopwatch
        self._faults = faults
        self._journal = journal
        self._bucket = bucket
        self._windows = Windows()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or cut its connection."""
        call = await _read_call(scope, receive, body_bytes_max=self._vendor.body_bytes_max)
        if call is None:
            return  # the client left before it had finished asking
        self._stopwatch.saw_request()
        wait = self._bucket.wait_seconds() if self._bucket is not None else 0
        if wait:
            answer: Answer | None = _retry_later(self._vendor, wait)
            fault = None
            done = answer
        else:
            page = self._vendor.page(call)
            fault = self._faults.take(method=call.method, path=call.path, page=page)
            done = self._act(call, page=page, fault=fault)
            answer = None if fault is not None and fault.kind in _CUTTING else done
        self._record(call, fault=fault, done=done, status=answer.status if answer is not None else None)
        if answer is not None:
            self._stopwatch.answered(answer.status)
            if self._bucket is not None:
                answer = replace(answer, headers=self._bucket.headers(wait) | answer.headers)

        wire = wire_of(scope)
        if fault is not None and fault.kind in _HOLDING:
            await wire.hold(receive, seconds=fault.seconds)
        if answer is None:
            await _cut(wire, receive)
        else:
            await _send(answer, send)

    def _act(self, call: Call, *, page: Page | None, fault: Fault | None) -> Answer | None:
        """Do the call under a fault: the answer that would go out, or None where the vendor never got the request."""
        kind = fault.kind if fault is not None else None
        if kind is FaultKind.RESET_BEFORE_EFFECT:
            return None
        instead = self._instead_of_the_vendor(fault) if fault is not None else None
        if instead is not None:
            return instead
        is_lie = kind is FaultKind.LYING_SUCCESS
        done = self._vendor.answer(call, window=self._window(page, fault), pretend=is_lie)
        return _torn(done) if kind is FaultKind.TORN_BODY else done

    def _instead_of_the_vendor(self, fault: Fault) -> Answer | None:
        answer: Answer | None = None
        match fault.kind:
            case FaultKind.TOO_MANY_REQUESTS:
                answer = _retry_later(self._vendor, fault.retry_after_seconds)
            case FaultKind.SERVER_ERROR:
                answer = self._vendor.refusal(fault.status, "the service is not available")
            case FaultKind.CAPACITY:
                answer = self._vendor.refusal(402, "no seat is left")
            case FaultKind.QUOTA:
                answer = _quota(self._vendor, fault.retry_after_seconds)
            case FaultKind.UNAUTHORIZED:
                answer = self._vendor.refusal(401, "the token is not valid")
            case FaultKind.HTML_PAGE:
                answer = Answer(status=200, body=LOGIN_PAGE, content_type="text/html; charset=utf-8")
        return answer

    def _window(self, page: Page | None, fault: Fault | None) -> slice | None:
        if page is None:
            return None
        if fault is not None and fault.kind is FaultKind.SHORT_PAGE:
            return self._windows.short(page, items_missing=fault.items_missing)
        if fault is not None and fault.kind is FaultKind.REPEATED_PAGE:
            return self._windows.repeated(page)
        return self._windows.honest(page)

    def _record(self, call: Call, *, fault: Fault | None, done: Answer | None, status: int | None) -> None:
        self._journal.record(
            method=call.method,
            path=call.path,
            query=call.query,
            body=call.body,
            status=status,
            fault=fault.kind.value if fault is not None else None,
            effect=done.effect if done is not None else "none",
            external_id=done.external_id if done is not None else None,
            record_id=done.record_id if done is not None else None,
            request_id=call.headers.get("x-request-id"),
        )


_CUTTING = frozenset({FaultKind.TIMEOUT_AFTER_EFFECT, FaultKind.RESET_AFTER_EFFECT, FaultKind.RESET_BEFORE_EFFECT})
_HOLDING = frozenset({FaultKind.TIMEOUT_AFTER_EFFECT, FaultKind.SLOW})


def _retry_later(vendor: Vendor, seconds: int) -> Answer:
    return _with_wait(vendor.refusal(429, "too many requests"), seconds)


def _quota(vendor: Vendor, seconds: int) -> Answer:
    return _with_wait(vendor.refusal(403, "the quota is used up", reason="quota"), seconds)


def _with_wait(answer: Answer, seconds: int) -> Answer:
    return replace(answer, headers=answer.headers | {"Retry-After": str(seconds)})


def _torn(answer: Answer) -> Answer:
    # An empty body (204) has no middle; half of an empty object is torn just as well.
    whole = answer.body or b"{}"
    return replace(answer, status=200, body=whole[: len(whole) // 2])


async def _read_call(scope: Scope, receive: Receive, *, body_bytes_max: int) -> Call | None:
    chunks: list[bytes] = []
    size = 0
    more = True
    while more and size <= BODY_DRAIN_BYTES_MAX:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk = message.get("body", b"")
        if size <= body_bytes_max:
            chunks.append(chunk)
        size += len(chunk)
        more = message.get("more_body", False)
    raw_path: bytes = scope["raw_path"]
    try:
        pairs = parse_qsl(
            scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX
        )
    except ValueError:
        pairs = []
    return Call(
        method=scope["method"],
        path=scope["path"],
        segments=tuple(unquote(part) for part in raw_path.decode("latin-1").split("/")[1:]),
        query=dict(pairs),
        headers={name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]},
        body=b"".join(chunks)[:body_bytes_max],
        is_body_too_large=size > body_bytes_max,
    )


async def _send(answer: Answer, send: Send) -> None:
    headers: list[tuple[bytes, bytes]] = [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()
    ]
    headers.append((b"content-type", answer.content_type.encode("latin-1")))
    if answer.status != 204:
        headers.append((b"content-length", str(len(answer.body)).encode("latin-1")))
    start: dict[str, Any] = {"type": "http.response.start", "status": answer.status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": answer.body})


async def _cut(wire: Wire, receive: Receive) -> None:
    wire.cut()
    # The server must have seen the loss before we return, or it would take the silence for a bug of ours.
    while (await receive())["type"] != "http.disconnect":
        pass

"""What the servers of the bus say of themselves, their streams and consumers, asked for every ten seconds.

Each server is asked at its monitoring address, which gives figures and takes no orders. In a cluster every server
tells of every stream; believed is the one that leads it, and only where none leads, any that holds it. A server that
does not answer is down by its own figure, and what was known of the streams stays until somebody tells it anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx
import orjson
import structlog

from services.monitor.labels import OTHER, known
from shared.bus.topology import CONSUMERS, STREAMS

ASK_SECONDS: Final = 10.0
ANSWER_SECONDS_MAX: Final = 2.0
ANSWER_BYTES_MAX: Final = 4 * 2**20
"""The house's ten streams are some twenty kilobytes."""
HOUSE_SUFFIX: Final = "_HOUSE"
"""Accounts of the services end with it; the streams of others on the same server are not told."""

STREAM_NAMES: Final = frozenset(row.name for row in STREAMS)
CONSUMER_NAMES: Final = frozenset(row.name for row in CONSUMERS)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """One stream."""

    messages: int
    bytes: int
    limit_bytes: int
    """-1: none."""
    replicas: int
    replicas_current: int
    """Leader and followers that are up to date; 0 where none leads."""


@dataclass(frozen=True, slots=True)
class ConsumerFigures:
    """One consumer."""

    pending: int
    ack_pending: int
    redelivered: int


@dataclass(frozen=True, slots=True)
class ServerAnswer:
    """What one server said, by its three answers."""

    varz: Mapping[str, Any]
    jsz: Mapping[str, Any]
    is_healthy: bool


@dataclass(slots=True)
class BusState:
    """What is known of the bus."""

    up: dict[str, bool]
    slow_consumers: dict[str, int]
    streams: dict[str, StreamFigures]
    consumers: dict[tuple[str, str], ConsumerFigures]
    """By stream and consumer; what is not in the table of the bus is added up as `other`."""


def taken(state: BusState, answers: Mapping[str, ServerAnswer | None]) -> BusState:
    """The state after a round; None for a server that did not answer."""
    up = {server: answer is not None and answer.is_healthy for server, answer in answers.items()}
    slow = dict(state.slow_consumers)
    streams = dict(state.streams)
    consumers = dict(state.consumers)
    leading: dict[str, Mapping[str, Any]] = {}
    leaderless: dict[str, Mapping[str, Any]] = {}
    for server, answer in answers.items():
        if answer is None:
            continue
        slow[server] = _number(answer.varz.get("slow_consumers"))
        for stream in _streams_in(answer.jsz):
            leader = (stream.get("cluster") or {}).get("leader")
            if leader == answer.varz.get("server_name"):
                leading[stream["name"]] = stream
            elif not leader:
                leaderless.setdefault(stream["name"], stream)
    told = [(stream, True) for stream in leading.values()]
    told += [(stream, False) for name, stream in leaderless.items() if name not in leading]
    others: dict[tuple[str, str], ConsumerFigures] = {}
    for stream, is_led in told:
        name = stream["name"]
        if name not in STREAM_NAMES:
            continue
        streams[name] = _stream_figures(stream, is_led=is_led)
        for row in stream.get("consumer_detail") or ():
            key = (name, known(row.get("name"), CONSUMER_NAMES))
            if key[1] == OTHER:
                others[key] = _sum(others.get(key), _consumer_figures(row))
            else:
                consumers[key] = _consumer_figures(row)
        # Readers that came and went leave nothing behind.
        consumers.pop((name, OTHER), None)
    return BusState(up, slow, streams, consumers | others)


class BusFigures:
    """Asks the servers, and keeps what they said."""

    def __init__(self, servers: Sequence[tuple[str, str]], client: httpx.AsyncClient) -> None:
        self._servers = servers
        self._client = client
        self.state = BusState({}, {}, {}, {})

    async def run(self) -> None:
        """Ask for ever, until cancelled; nobody is asked where no server is named."""
        while self._servers:
            await self.ask()
            await asyncio.sleep(ASK_SECONDS)

    async def ask(self) -> None:
        """Ask every server once."""
        answers = await asyncio.gather(*(self._answer_of(name, url) for name, url in self._servers))
        self.state = taken(self.state, dict(zip((name for name, _ in self._servers), answers, strict=True)))

    async def _answer_of(self, name: str, url: str) -> ServerAnswer | None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                _, varz = await self._get(f"{url}/varz")
                _, jsz = await self._get(f"{url}/jsz?accounts=1&streams=1&consumers=1&config=1")
                status, _ = await self._get(f"{url}/healthz?js-enabled-only=true")
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as error:
            log.warning("bus_server_does_not_answer", server=name, error=type(error).__name__)
            return None
        return ServerAnswer(varz, jsz, is_healthy=status == httpx.codes.OK)

    async def _get(self, url: str) -> tuple[int, Mapping[str, Any]]:
        async with self._client.stream("GET", url) as answer:
            body = bytearray()
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > ANSWER_BYTES_MAX:
                    raise ValueError(f"an answer of more than {ANSWER_BYTES_MAX} bytes")
        document = orjson.loads(bytes(body))
        if not isinstance(document, dict):
            raise ValueError("an answer that is no object")
        return answer.status_code, document


def _streams_in(jsz: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [
        stream
        for account in jsz.get("account_details") or ()
        if str(account.get("name", "")).endswith(HOUSE_SUFFIX)
        for stream in account.get("stream_detail") or ()
    ]


def _stream_figures(stream: Mapping[str, Any], *, is_led: bool) -> StreamFigures:
    config, state = stream.get("config") or {}, stream.get("state") or {}
    followers = (stream.get("cluster") or {}).get("replicas") or ()
    current = sum(1 for one in followers if one.get("current") and not one.get("offline"))
    return StreamFigures(
        messages=_number(state.get("messages")),
        bytes=_number(state.get("bytes")),
        limit_bytes=_number(config.get("max_bytes"), otherwise=-1),
        replicas=_number(config.get("num_replicas"), otherwise=1),
        replicas_current=1 + current if is_led else 0,
    )


def _consumer_figures(row: Mapping[str, Any]) -> ConsumerFigures:
    return ConsumerFigures(
        pending=_number(row.get("num_pending")),
        ack_pending=_number(row.get("num_ack_pending")),
        redelivered=_number(row.get("num_redelivered")),
    )


def _sum(one: ConsumerFigures | None, other: ConsumerFigures) -> ConsumerFigures:
    if one is None:
        return other
    return ConsumerFigures(
        one.pending + other.pending, one.ack_pending + other.ack_pending, one.redelivered + other.redelivered
    )


def _number(value: Any, *, otherwise: int = 0) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise

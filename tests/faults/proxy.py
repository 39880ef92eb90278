"""A TCP proxy that misbehaves as told: between the house and its bus, its databases and its vendor.

Each connection has a fate, commanded or drawn from a seed: bytes come late, slowly, not at all, in one direction only,
or the connection is reset after so many of them. A test sees by the counters that a fault really happened. It knows no
protocol: what it breaks, it breaks at any byte. It listens and connects on the loopback address only.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Literal, Self

HOST = "127.0.0.1"
CHUNK_BYTES = 16 * 1024
CHUNKS_WAITING_MAX = 64
"""Chunks of one direction under way; a sender that is quicker waits, as it would for a full pipe."""
CONNECTIONS_MAX = 200
LINGER_0 = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends RST instead of FIN."""
CONNECT_SECONDS_MAX = 5.0

Ending = Literal["none", "reset", "drop", "half_open", "slow_close", "refuse"]
ENDINGS: tuple[Ending, ...] = ("none", "reset", "drop", "half_open", "slow_close", "refuse")


@dataclass(frozen=True, slots=True)
class Fate:
    """What meets one connection."""

    latency_seconds: float = 0.0
    jitter_seconds: float = 0.0
    """Added to the latency of each chunk, evenly drawn between 0 and this; order is kept."""
    bytes_a_second: int | None = None
    ending: Ending = "none"
    after_bytes: int = 0
    """The ending sets in when this many bytes have passed, both directions together."""
    lasts_seconds: float | None = None
    """After so long a dropped or half-open connection is reset, as a middlebox forgets it; None leaves it as it is."""
    close_seconds: float = 0.0
    """How much later than the one side the other learns of a slow close."""


CALM = Fate()


@dataclass(frozen=True, slots=True)
class Weather:
    """From what fates are drawn."""

    endings: Mapping[Ending, float] = field(default_factory=dict)
    """Share of connections by ending; what is missing to 1 ends as the peers want."""
    slow_share: float = 0.0
    """Share of connections with latency and jitter, and as many with little bandwidth."""
    latency_seconds_max: float = 0.05
    bytes_a_second_min: int = 50_000
    after_bytes_max: int = 20_000
    lasts_seconds: float | None = 1.0
    faults_max: int = 20
    """So many connections end badly, the later ones do not: what is tested must be able to come to its end."""


class Proxy:
    """Listens on a port and passes on to another, as the fates say.

    Commands (`stall`, `cut`, `refuse`) hold for what is connected and what comes; fates are dealt at connecting.
    """

    def __init__(self, upstream_port: int, *, seed: int = 0, weather: Weather | None = None, port: int = 0) -> None:
        self.counters: Counter[str] = Counter()
        """Faults that really happened, by kind; and `connections`."""
        self.weather = weather
        self.fate = CALM
        """What the next connections get when there is no weather."""
        self.port = port
        self.upstream_port = upstream_port
        self._seed = seed
        self._drawn_from = self._spent_before = 0
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()

    # --- life -------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.refuse()
        self.cut()
        await asyncio.gather(*(link.task for link in self._links if link.task is not None), return_exceptions=True)

    def reseed(self, seed: int) -> None:
        """Draw the fates of what connects from now on from another seed."""
        self._seed = seed
        self._drawn_from = self.counters["connections"]
        self._spent_before = self._bad_ends()

    def _bad_ends(self) -> int:
        return sum(self.counters[ending] for ending in ENDINGS)

    # --- commands ---------------------------------------------------------------------------------------------------

    async def accept(self) -> None:
        """Listen, again on the same port after `refuse`."""
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, HOST, self.port, limit=CHUNK_BYTES)
            self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Listen no more: who connects is refused by the kernel. What is connected stays."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self.counters["refuse"] += 1

    def stall(self) -> None:
        """Let nothing pass in either direction until `flow`; nothing is lost, as on a network parted for a while."""
        self._flowing.clear()
        self.counters["stall"] += 1

    def flow(self) -> None:
        """Let everything pass again."""
        self._flowing.set()

    def cut(self) -> int:
        """Reset every connection; how many there were."""
        links = [link for link in self._links if not link.is_over]
        for link in links:
            link.reset()
        self.counters["cut"] += len(links)
        return len(links)

    @property
    def connected(self) -> int:
        """Connections that stand."""
        return sum(not link.is_over for link in self._links)

    # --- how --------------------------------------------------------------------------------------------------------

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._links = {link for link in self._links if not link.is_over}
        number = self.counters["connections"] - self._drawn_from
        self.counters["connections"] += 1
        rng = Random(f"{self._seed}:{number}")
        fate = self.fate if self.weather is None else self._drawn(self.weather, rng)
        link = _Link(reader, writer, fate=fate, rng=rng, flowing=self._flowing, counters=self.counters)
        link.task = asyncio.current_task()
        if fate.ending == "refuse" or len(self._links) >= CONNECTIONS_MAX:
            self.counters["refuse"] += 1
            link.reset()
            return
        self._links.add(link)
        await link.run(self.upstream_port)

    def _drawn(self, weather: Weather, rng: Random) -> Fate:
        spent = self._bad_ends() - self._spent_before
        names = [ending for ending in ENDINGS if weather.endings.get(ending)]
        shares = [weather.endings[name] for name in names]
        chosen: Ending = rng.choices([*names, "none"], [*shares, max(0.0, 1 - sum(shares))])[0]
        is_late, is_narrow = rng.random() < weather.slow_share, rng.random() < weather.slow_share
        late = rng.uniform(0, weather.latency_seconds_max) if is_late else 0.0
        return Fate(
            latency_seconds=late,
            jitter_seconds=late / 2,
            bytes_a_second=rng.randint(weather.bytes_a_second_min, 20 * weather.bytes_a_second_min)
            if is_narrow
            else None,
            ending="none" if spent >= weather.faults_max else chosen,
            after_bytes=rng.randint(0, weather.after_bytes_max),
            lasts_seconds=weather.lasts_seconds,
            close_seconds=rng.uniform(0.1, 1.0),
        )


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@dataclass(eq=False)
class _Link:
    """One connection and its continuation."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    fate: Fate
    rng: Random
    flowing: asyncio.Event
    counters: Counter[str]
    is_over: bool = False
    passed_bytes: int = 0
    has_struck: bool = False
    task: asyncio.Task[None] | None = None
    _onward: asyncio.StreamWriter | None = None

    async def run(self, port: int) -> None:
        try:
            await self._passing(port)
        except asyncio.CancelledError:
            if not self.is_over:
                self.reset()
                raise
            # Otherwise it was `reset` that ended us.
        if self.is_over:
            return
        self.is_over = True
        for writer in (self.writer, self._onward):
            if writer is not None:
                writer.close()

    async def _passing(self, port: int) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                reader, self._onward = await asyncio.open_connection(HOST, port, limit=CHUNK_BYTES)
        except (OSError, TimeoutError):
            self.reset()
            return
        for writer in (self.writer, self._onward):
            writer.transport.set_write_buffer_limits(high=CHUNK_BYTES)
        if self.fate.latency_seconds or self.fate.jitter_seconds:
            self.counters["latency"] += 1
        if self.fate.bytes_a_second is not None:
            self.counters["bandwidth"] += 1
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pump(self.reader, self._onward, is_back=False))
            group.create_task(self._pump(reader, self.writer, is_back=True))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_back: bool) -> None:
        """Pass on one direction: read at once, hand out when it is time."""
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_WAITING_MAX)
        handing = asyncio.create_task(self._hand_out(waiting, writer))
        now = asyncio.get_running_loop().time
        due = 0.0
        try:
            while not self.is_over:
                try:
                    chunk = await reader.read(CHUNK_BYTES)
                except OSError:
                    self.reset()  # what the one side suffers the other sees
                    return
                if self._is_swallowed(len(chunk), is_back=is_back):
                    if not chunk:
                        return
                    continue
                late = self.fate.latency_seconds + self.rng.uniform(0, self.fate.jitter_seconds)
                due = max(due, now() + late)
                await waiting.put((due, chunk))
                if not chunk:
                    await handing
                    return
        finally:
            handing.cancel()
            with suppress(asyncio.CancelledError):
                await handing

    async def _hand_out(self, waiting: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while True:  # until the end of the stream, or cancelled with its pump
            due, chunk = await waiting.get()
            if (pause := due - loop.time()) > 0:
                await asyncio.sleep(pause)
            await self.flowing.wait()
            try:
                if not chunk:
                    await self._close_onward(writer)
                    return
                if self.fate.bytes_a_second is not None:
                    await asyncio.sleep(len(chunk) / self.fate.bytes_a_second)
                writer.write(chunk)
                await writer.drain()
            except OSError:
                self.reset()
                return

    async def _close_onward(self, writer: asyncio.StreamWriter) -> None:
        if self.fate.ending == "slow_close":
            self.counters["slow_close"] += 1
            await asyncio.sleep(self.fate.close_seconds)
        if writer.can_write_eof():
            writer.write_eof()

    def _is_swallowed(self, size: int, *, is_back: bool) -> bool:
        """Count what passes; whether it vanishes. The ending strikes in the middle of a stream, at any byte."""
        self.passed_bytes += size
        ending = self.fate.ending
        if ending not in ("reset", "drop", "half_open") or self.passed_bytes < self.fate.after_bytes:
            return False
        if not self.has_struck:
            self.has_struck = True
            self.counters[ending] += 1
            if ending == "reset":
                self.reset()
                return True
            if self.fate.lasts_seconds is not None:
                asyncio.get_running_loop().call_later(self.fate.lasts_seconds, self.reset)
        # Half open: what is asked still arrives, what is answered never does.
        return ending == "drop" or is_back

    def reset(self) -> None:
        """RST to both sides."""
        if self.is_over:
            return
        self.is_over = True
        for writer in (self.writer, self._onward):
            if writer is None:
                continue
            connection: socket.socket | None = writer.get_extra_info("socket")
            if connection is not None:
                with suppress(OSError):
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
            writer.transport.abort()
        # Whatever waits for room or for better weather waits no more.
        if self.task is not None and self.task is not asyncio.current_task():
            self.task.cancel()

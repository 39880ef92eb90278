"""Each fault of the proxy, seen by a plain socket client: a fault nobody saw would prove nothing about the house."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio

from tests.faults.proxy import HOST, Ending, Fate, Proxy, Weather

SILENCE_SECONDS = 0.3
"""How long nothing must come to count as nothing."""


class Upstream:
    """Sends back what it receives and remembers it."""

    def __init__(self) -> None:
        self.received = b""
        self.saw_end_at: float | None = None
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(65_536):
                self.received += chunk
                writer.write(chunk)
                await writer.drain()
            self.saw_end_at = time.monotonic()
        writer.close()


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[Upstream]:
    made = Upstream()
    await made.start()
    yield made
    await made.stop()


async def _open(proxy: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(HOST, proxy.port)


async def _echoed(proxy: Proxy, body: bytes) -> bytes:
    reader, writer = await _open(proxy)
    try:
        writer.write(body)
        async with asyncio.timeout(20):
            return await reader.readexactly(len(body))
    finally:
        writer.close()


async def _is_silent(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(SILENCE_SECONDS):
            await reader.read(1)
    except TimeoutError:
        return True
    return False


async def test_calm_proxy_passes_everything_on_in_order(upstream: Upstream) -> None:
    body = bytes(range(256)) * 4_000
    async with Proxy(upstream.port) as proxy:
        assert await _echoed(proxy, body) == body
        assert set(proxy.counters) == {"connections"}


async def test_latency_delays_each_way(upstream: Upstream) -> None:
    async with Proxy(upstream.port) as proxy:
        proxy.fate = Fate(latency_seconds=0.1, jitter_seconds=0.05)
        begun = time.monotonic()
        assert await _echoed(proxy, b"late") == b"late"
        assert time.monotonic() - begun >= 0.2
        assert proxy.counters["latency"] == 1


async def test_latency_is_not_paid_for_each_chunk_one_after_the_other(upstream: Upstream) -> None:
    body = b"x" * 1_000_000
    async with Proxy(upstream.port) as proxy:
        proxy.fate = Fate(latency_seconds=0.5)
        begun = time.monotonic()
        assert await _echoed(proxy, body) == body
        assert time.monotonic() - begun < 60 * 0.5, "61 chunks, each delayed after the one before"


async def test_bandwidth_is_capped(upstream: Upstream) -> None:
    body = b"x" * 50_000
    async with Proxy(upstream.port) as proxy:
        proxy.fate = Fate(bytes_a_second=100_000)
        begun = time.monotonic()
        assert await _echoed(proxy, body) == body
        assert time.monotonic() - begun >= 0.5


async def test_reset_after_bytes_is_seen_as_a_reset_by_both_sides(upstream: Upstream) -> None:
    async with Proxy(upstream.port) as proxy:
        proxy.fate = Fate(ending="reset", after_bytes=15)
        reader, writer = await _open(proxy)
        writer.write(b"ten bytes.")
        with pytest.raises(ConnectionResetError):
            await reader.read(20)  # the echo of ten bytes makes it twenty
        writer.close()
        assert upstream.received == b"ten bytes."
        assert proxy.counters["reset"] == 1


async def test_dropped_bytes_vanish_and_the_connection_stays(upstream: Upstream) -> None:
    async with Proxy(upstream.port) as proxy:
        proxy.fate = Fate(ending="drop", after_bytes=5)
        reader, writer = await _open(proxy)
        writer.write(b"gone forever")
        assert await _is_silent(reader)
        assert (upstream.received, proxy.connected) == (b"", 1)
        assert proxy.counters["drop"] == 1
        writer.close()


async def test_half_open_connection_delivers_what_is_asked_and_never_an_answer(upstream: Upstream) -> None:
    async with Proxy(upstream.port) as proxy:
        proxy.fate = Fate(ending="half_open")
        reader, writer = await _open(proxy)
        writer.write(b"do it")
        assert await _is_silent(reader)
        assert upstream.received == b"do it"
        assert proxy.counters["half_open"] == 1
        writer.close()


async def test_forgotten_connection_is_reset_after_its_time(upstream: Upstream) -> None:
    async with Proxy(upstream.port) as proxy:
        proxy.fate = Fate(ending="drop", lasts_seconds=0.2)
        reader, writer = await _open(proxy)
        writer.write(b"x")
        async with asyncio.timeout(20):
            with pytest.raises(ConnectionResetError):
                await reader.read(1)
        writer.close()


async def test_slow_close_reaches_the_other_side_late(upstream: Upstream) -> None:
    async with Proxy(upstream.port) as proxy:
        proxy.fate = Fate(ending="slow_close", close_seconds=0.4)
        _, writer = await _open(proxy)
        writer.write(b"bye")
        await writer.drain()
        closed_at = time.monotonic()
        writer.write_eof()
        async with asyncio.timeout(20):
            while upstream.saw_end_at is None:
                await asyncio.sleep(0.01)
        assert upstream.saw_end_at - closed_at >= 0.4
        assert proxy.counters["slow_close"] >= 1
        writer.close()


async def test_refused_until_accepted_again_on_the_same_port(upstream: Upstream) -> None:
    async with Proxy(upstream.port) as proxy:
        port = proxy.port
        await proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await _open(proxy)
        await proxy.accept()
        assert proxy.port == port
        assert await _echoed(proxy, b"again") == b"again"


async def test_stalled_bytes_wait_and_none_is_lost(upstream: Upstream) -> None:
    async with Proxy(upstream.port) as proxy:
        reader, writer = await _open(proxy)
        proxy.stall()
        writer.write(b"wait")
        assert await _is_silent(reader)
        proxy.flow()
        async with asyncio.timeout(20):
            assert await reader.readexactly(4) == b"wait"
        writer.close()


async def test_cut_resets_what_is_connected(upstream: Upstream) -> None:
    async with Proxy(upstream.port) as proxy:
        assert await _echoed(proxy, b"warm") == b"warm"
        reader, writer = await _open(proxy)
        writer.write(b"x")
        await reader.readexactly(1)
        assert proxy.cut() >= 1
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        writer.close()


async def test_sender_that_is_quicker_than_the_receiver_waits(upstream: Upstream) -> None:
    """What the proxy holds is bounded: sixty-four chunks and the buffers of the two sockets."""
    async with Proxy(upstream.port) as proxy:
        proxy.stall()
        _, writer = await _open(proxy)
        writer.transport.set_write_buffer_limits(high=1)
        sent = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(2):
                while sent < 256 * 2**20:
                    writer.write(b"x" * 2**20)
                    await writer.drain()
                    sent += 2**20
        assert sent < 64 * 2**20, "the proxy took everything in"
        writer.transport.abort()


async def test_equal_seeds_draw_equal_fates(upstream: Upstream) -> None:
    endings: dict[Ending, float] = {"reset": 0.5, "refuse": 0.2}

    async def story(seed: int) -> list[str]:
        async with Proxy(upstream.port, seed=seed, weather=Weather(endings, after_bytes_max=10)) as proxy:
            told: list[str] = []
            for _ in range(30):
                try:
                    await _echoed(proxy, b"twelve bytes")
                    told.append("fine")
                except (OSError, asyncio.IncompleteReadError):
                    told.append("broken")
            return told

    first = await story(1)
    assert await story(1) == first
    assert await story(2) != first
    assert {"fine", "broken"} == set(first)


async def test_weather_ends_after_its_faults(upstream: Upstream) -> None:
    async with Proxy(upstream.port, weather=Weather({"refuse": 1.0}, faults_max=3)) as proxy:
        for _ in range(3):
            with pytest.raises((OSError, asyncio.IncompleteReadError)):
                await _echoed(proxy, b"x")
        assert await _echoed(proxy, b"x") == b"x"

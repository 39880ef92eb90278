"""Faults of the bus: nonsense, a stream that is full, a client that does not read, a server that is cut off."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

from cli.embedded_setup import reference
from cli.processes import Child
from cli.stack import ROOT
from deploy.prometheus.alerting.bus import BUS as BUS_ALERTS
from shared.asking.profiles import write_private
from shared.bus.publishing import Outgoing, publish_one
from shared.bus.topology import inbox_prefix
from tests.operating.fire.fault import as_provisioner
from tests.operating.fire.house import House, free_ports, watching
from tests.operating.prometheus import Prometheus
from tests.support.cluster import ClusterUnderTest, cluster

QUESTIONS_MAX: Final = 20_000
QUESTION_SECONDS: Final = 0.01
LINE_BYTES_MAX: Final = 16_384
WHOLE_SECONDS_MAX: Final = 90.0
"""Until the cluster is seen whole: before a server is cut off, and after."""


@asynccontextmanager
async def messages_nobody_understands(house: House) -> AsyncIterator[None]:
    """A captured extractor sends the differ what is no message."""
    async with house.road.bus_as("extractor") as js:
        for number in range(3):
            headers = {"ce-id": f"nonsense-{number}", "ce-specversion": "1.0"}
            await publish_one(
                js,
                Outgoing(
                    subject="cmd.diff.nonsense",
                    body=b"\xff{",
                    headers=headers,
                    message_id=f"nonsense-{number}",
                ),
            )
    yield


@asynccontextmanager
async def stream_is_nearly_full(house: House) -> AsyncIterator[None]:
    """The stream of dead letters may hold little more than it holds."""
    async with as_provisioner(house) as js:
        info = await js.stream_info("DLQ")
        kept = info.config.max_bytes
        await js.update_stream(info.config.evolve(max_bytes=int(info.state.bytes / 0.95)))
        try:
            yield
        finally:
            await js.update_stream(info.config.evolve(max_bytes=kept))


@asynccontextmanager
async def client_does_not_read(house: House) -> AsyncIterator[None]:
    """A captured extractor asks for snapshots again and again, and reads no answer."""
    task = asyncio.create_task(_ask_and_never_read(house))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _ask_and_never_read(house: House) -> None:
    stack = house.road.stack
    at = urlsplit(stack.bus_url)
    user = "extractor"
    password = (stack.layout.bus / "secrets" / user).read_text(encoding="utf-8")
    inbox = f"{inbox_prefix(user)}.never-read"
    # The stream reader stops taking from the socket once it holds twice its limit.
    _, writer = await asyncio.open_connection(at.hostname, at.port, limit=LINE_BYTES_MAX)
    told = {"verbose": False, "pedantic": False, "user": user, "pass": password, "headers": True, "protocol": 1}
    told |= {"name": "reads-nothing", "lang": "test", "version": "1", "no_responders": True}
    question = json.dumps({"seq": 1, "batch": 1000}).encode()
    asked = b"PUB $JS.API.DIRECT.GET.SNAP %s %d\r\n%s\r\n" % (inbox.encode(), len(question), question)
    try:
        writer.write(b"CONNECT %s\r\nSUB %s 1\r\nPING\r\n" % (json.dumps(told).encode(), inbox.encode()))
        for _ in range(QUESTIONS_MAX):
            writer.write(asked)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await writer.drain()
            await asyncio.sleep(QUESTION_SECONDS)
    except ConnectionError:
        pass  # cut off, as it should be
    finally:
        writer.close()


@asynccontextmanager
async def server_is_cut_off(house: House) -> AsyncIterator[None]:
    """A cluster of three beside the house, under a monitor and a Prometheus of its own; one server hears nothing."""
    folder = house.folder / "cluster"
    async with cluster(folder) as three:
        monitor, [port] = await _monitor(house, three), free_ports(1)
        monitor.environment = {**monitor.environment, "AETHER_ADMIN_PORT": str(port)}
        try:
            monitor.start()
            await monitor.wait_ready(seconds_max=60)
            async with watching(folder / "prometheus", {"monitor": port}, groups=(BUS_ALERTS,)) as asked:
                house.watched.append(asked)
                try:
                    await _seen_whole(asked)
                    three.part("c")
                    yield
                    three.heal()
                    await _seen_whole(asked)
                finally:
                    house.watched.remove(asked)
        finally:
            await monitor.stop()


async def _seen_whole(asked: Prometheus) -> None:
    """Wait until the streams are seen and no alert is there."""
    async with asyncio.timeout(WHOLE_SECONDS_MAX):
        while not await asked.instant("aether_bus_stream_replicas_current") or await asked.alerts():
            await asyncio.sleep(1)


async def _monitor(house: House, three: ClusterUnderTest) -> Child:
    """A monitor over the cluster; the record that it reads is the house's."""
    folder = house.folder / "cluster"
    write_private(folder / "monitor.password", three.server.password_of("monitor"))
    servers = ",".join(f"{name}={node.monitoring_url}" for name, node in three.nodes.items())
    return Child(
        name="monitor",
        arguments=[sys.executable, "-m", "services.monitor"],
        environment={
            **house.environment,
            "PYTHONPATH": str(ROOT),
            "AETHER_ENVIRONMENT": "staging",
            "AETHER_NATS_URL": three.settings_for("monitor").url,
            "AETHER_NATS_PASSWORD": reference(folder / "monitor.password"),
            "AETHER_READY_FILE": str(folder / "monitor.json"),
            "AETHER_AUDIT_DATABASE_URL": f"sqlite+aiosqlite:///{house.road.stack.layout.database('auditor')}",
            "AETHER_BUS_MONITORING_URLS": servers,
        },
        log=folder / "monitor.log",
        ready_file=folder / "monitor.json",
    )

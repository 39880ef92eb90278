"""Three nats-servers as one bus: killed, frozen, parted from each other, healed.

Each route between two servers goes through a proxy of its own, so that a test can part one server from the others while
its clients still reach it. `ClusterUnderTest` stands where `BusUnderTest` stands, with every stream held three times.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import socket
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import nats.errors
from nats.js.errors import APIError

from shared.bus.connect import BusSettings, connect, leave
from shared.bus.embedded import EmbeddedPerson, EmbeddedServer
from shared.bus.provision import provision
from shared.bus.server_config import Cluster
from shared.bus.topology import CONSUMERS, HOUSE_USERS, PROVISIONER, ConsumerSpec
from tests.faults.proxy import HOST, Proxy
from tests.support.bus import PEOPLE, BusUnderTest, until

NODES = ("a", "b", "c")
REPLICAS = len(NODES)
ELECTION_SECONDS_MAX = 30.0
PROVISION_TRIES_MAX = 20


class ClusterUnderTest(BusUnderTest):
    """Three running, provisioned servers and the connections a test made to them."""

    def __init__(self, nodes: dict[str, EmbeddedServer], routes: dict[tuple[str, str], Proxy]) -> None:
        super().__init__(next(iter(nodes.values())))
        self.nodes = nodes
        self._routes = routes
        self.only: str | None = None
        """The one node that new connections are told of; None: all of them."""

    def settings_for(self, user: str) -> BusSettings:
        """How a program would be told to connect as this user."""
        known = self.nodes.values() if self.only is None else [self.nodes[self.only]]
        return BusSettings(",".join(node.url for node in known), user, self.server.password_of(user))

    async def provision(self, consumers: Sequence[ConsumerSpec] = CONSUMERS) -> None:
        """Bring streams and consumers to the table, each on all three servers."""
        js = await self.js_as(PROVISIONER)
        for left in reversed(range(PROVISION_TRIES_MAX)):
            try:
                await provision(js, REPLICAS, consumers)
                return
            except (APIError, nats.errors.Error):  # the servers still elect a leader among themselves
                if not left:
                    raise
                await asyncio.sleep(0.3)

    # --- who leads --------------------------------------------------------------------------------------------------

    async def leader(self, stream: str, *, asked: str | None = None) -> str | None:
        """The node that leads a stream, None while there is none; `asked`: in whose opinion."""
        names = [asked] if asked is not None else [name for name, node in self.nodes.items() if node.pid is not None]
        for name in names:
            found = (await self._streams_of(name)).get(stream, {}).get("cluster", {}).get("leader")
            if found:
                return str(found)
        return None

    async def until_led(self, stream: str, *, not_by: str | None = None, asked: str | None = None) -> str:
        """Wait until a stream has a leader, another one than before."""
        found: str | None = None

        async def is_led() -> bool:
            nonlocal found
            found = await self.leader(stream, asked=asked)
            return found is not None and found != not_by

        await until(is_led, ELECTION_SECONDS_MAX)
        assert found is not None
        return found

    async def last_seq(self, stream: str, node: str) -> int:
        """The last sequence of a stream as that node's own store has it."""
        return int((await self._streams_of(node)).get(stream, {}).get("state", {}).get("last_seq", 0))

    async def until_alike(self, *streams: str) -> None:
        """Wait until every node's own store ends at the same sequence."""

        async def is_alike() -> bool:
            for stream in streams:
                if len({await self.last_seq(stream, node) for node in self.nodes}) != 1:
                    return False
            return True

        await until(is_alike, ELECTION_SECONDS_MAX)

    async def until_whole(self) -> None:
        """Wait until the three agree on who leads them and on who leads each stream, as before a fault."""

        async def is_whole() -> bool:
            told = [await asyncio.to_thread(_told, node.monitoring_url) for node in self.nodes.values()]
            if len({one.get("meta_cluster", {}).get("leader") for one in told} | {None}) != 2:
                return False
            opinions = [{n: s.get("cluster", {}).get("leader") for n, s in _streams(one).items()} for one in told]
            return all(opinions[0].values()) and all(one == opinions[0] for one in opinions)

        await until(is_whole, ELECTION_SECONDS_MAX)
        for node in self.nodes.values():
            await self._until_answered(node)

    async def _until_answered(self, node: EmbeddedServer) -> None:
        """Wait until a question to that node reaches the leaders: its routes may take longer than their elections."""
        client = await connect(BusSettings(node.url, "auditor", self.server.password_of("auditor")))
        try:
            for stream in ("CORE", "LEDGER", "PLAN", "LEASE"):

                async def is_answered(subject: str = f"$JS.API.STREAM.MSG.GET.{stream}") -> bool:
                    try:
                        answer = await client.request(subject, b'{"last_by_subj": ">"}', timeout=1)
                    except (nats.errors.TimeoutError, nats.errors.NoRespondersError):
                        return False
                    # An answer that there is no leader to answer is none.
                    return json.loads(answer.data).get("error", {}).get("code") in {None, 404}

                await until(is_answered, ELECTION_SECONDS_MAX)
        finally:
            await leave(client)

    async def _streams_of(self, node: str) -> dict[str, Any]:
        return _streams(await asyncio.to_thread(_told, self.nodes[node].monitoring_url))

    # --- what befalls a node ----------------------------------------------------------------------------------------

    def freeze(self, node: str) -> None:
        """Stop a node in its tracks; its connections stay open and silent."""
        self._signal(node, signal.SIGSTOP)

    def thaw(self, node: str) -> None:
        """Let a frozen node go on where it was."""
        self._signal(node, signal.SIGCONT)

    def part(self, node: str) -> None:
        """Let nothing pass between a node and the others; its clients still reach it."""
        for pair, route in self._routes.items():
            if node in pair:
                route.stall()

    def heal(self) -> None:
        """Let everything pass between all nodes."""
        for route in self._routes.values():
            route.flow()

    def _signal(self, node: str, number: signal.Signals) -> None:
        pid = self.nodes[node].pid
        assert pid is not None, f"node {node} does not run"
        os.kill(pid, number)


@asynccontextmanager
async def cluster(folder: Path, people: Sequence[EmbeddedPerson] = PEOPLE) -> AsyncIterator[ClusterUnderTest]:
    """A provisioned cluster of three."""
    async with AsyncExitStack() as stack:
        ports = dict(zip(NODES, _free_ports(len(NODES)), strict=True))
        # Told to the others and reached by nobody: a server must not find ways around the proxies by hearsay.
        closed = stack.enter_context(socket.socket())
        closed.bind((HOST, 0))
        nowhere = f"{HOST}:{closed.getsockname()[1]}"
        routes = {
            (one, other): await stack.enter_async_context(Proxy(ports[other]))
            for one in NODES
            for other in NODES
            if one != other
        }
        passwords = {user: secrets.token_urlsafe(24) for user in (*HOUSE_USERS, *(person.name for person in people))}
        route_password = secrets.token_urlsafe(24)
        nodes = {
            name: EmbeddedServer(
                folder / name,
                people,
                passwords,
                server_name=name,
                cluster=Cluster(
                    name="aether",
                    port=ports[name],
                    routes=tuple(f"{HOST}:{routes[name, other].port}" for other in NODES if other != name),
                    password=route_password,
                    advertise=nowhere,
                ),
            )
            for name in NODES
        }
        for node in nodes.values():
            stack.callback(node.stop)
        await asyncio.gather(*(node.start_async() for node in nodes.values()))
        made = ClusterUnderTest(nodes, routes)
        await made.provision()
        yield made
        made.heal()
        await made.leave()


def _told(monitoring_url: str) -> dict[str, Any]:
    """What a server says of itself and its streams; nothing when it does not answer."""
    url = f"{monitoring_url}/jsz?accounts=true&streams=true"
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            told: dict[str, Any] = json.load(answer)
    except OSError:
        return {}
    return told


def _streams(told: dict[str, Any]) -> dict[str, Any]:
    return {
        stream["name"]: stream
        for account in told.get("account_details") or ()
        for stream in account.get("stream_detail") or ()
    }


def _free_ports(number: int) -> list[int]:
    """Free ports, all different; the routes of a cluster must be known before any of its servers runs."""
    probes = [socket.socket() for _ in range(number)]
    try:
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()

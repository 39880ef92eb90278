"""The bus under TLS and with an encrypted store, on the real server: who is believed, and what lies on the disk."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import nats.errors
import pytest

from deploy.setup.certificates import Pair, make_authority, make_certificate
from shared.asking.client import connected
from shared.asking.problem import CommandFailed
from shared.asking.profiles import Profile
from shared.bus.connect import (
    BusMisaddressed,
    BusNotTrusted,
    BusSettings,
    BusUnreachable,
    connect,
    leave,
    tls_options,
)
from shared.bus.embedded import _binary
from shared.bus.server_config import Cluster, Person, Tls, render_server_config
from shared.bus.topology import HOUSE_USERS, PROVISIONER
from shared.children import die_with_parent
from shared.clock import SystemClock
from tests.support.bus import until

PASSWORD = "a-password-for-tests-only"
WAIT_SECONDS = 2.0
CANARY = b"canary-7f3a-of-nobody"
STORE_KEY = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class Server:
    """A running nats-server and where it is."""

    port: int
    monitoring_port: int
    store: Path

    @property
    def url(self) -> str:
        return f"tls://127.0.0.1:{self.port}"

    def routes(self) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.monitoring_port}/routez", timeout=5) as answer:
            return int(json.load(answer)["num_routes"])


def now() -> datetime:
    return SystemClock().now()


@pytest.fixture(scope="module")
def authority() -> Pair:
    return make_authority("tests", now=now())


@pytest.fixture
def trusted(tmp_path: Path, authority: Pair) -> Path:
    path = tmp_path / "authority.pem"
    path.write_text(authority.certificate)
    return path


@contextmanager
def serving(folder: Path, pair: Pair | None, authority: Pair, **settings: Any) -> Iterator[Server]:
    """A server with a certificate, or a plain one without."""
    folder.mkdir()
    tls = None
    if pair is not None:
        tls = Tls(folder / "server.pem", folder / "server.key", folder / "authority.pem")
        tls.certificate.write_text(pair.certificate)
        tls.key.write_text(pair.key)
        tls.authorities.write_text(authority.certificate)
    config = folder / "nats-server.conf"
    config.write_text(
        render_server_config(
            passwords=dict.fromkeys(HOUSE_USERS, PASSWORD),
            people=[Person("otto", frozenset({"operator"}), PASSWORD)],
            store_dir=folder / "store",
            environment="staging",
            ports_dir=folder,
            tls=tls,
            **settings,
        )
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [_binary(), "--config", str(config)], stdout=log, stderr=log, preexec_fn=die_with_parent()
        )
    try:
        ports = _ports(folder, process)
        yield Server(_port(ports["nats"][0]), _port(ports["monitoring"][0]), folder / "store")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _ports(folder: Path, process: subprocess.Popen[bytes]) -> dict[str, list[str]]:
    for _ in range(400):
        for path in folder.glob("*.ports"):
            if (text := path.read_text()).endswith("}"):
                found: dict[str, list[str]] = json.loads(text)
                return found
        assert process.poll() is None, (folder / "log").read_text()
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError((folder / "log").read_text())


def _port(address: str) -> int:
    return int(address.rsplit(":", 1)[1])


def certificate(authority: Pair, name: str = "localhost") -> Pair:
    return make_certificate(authority, [name], now=now())


def settings_for(server: Server, authorities: Path | None, *, host: str = "127.0.0.1") -> BusSettings:
    return BusSettings(f"tls://{host}:{server.port}", PROVISIONER, PASSWORD, authorities)


async def test_services_and_people_work_over_an_encrypted_bus(tmp_path: Path, authority: Pair, trusted: Path) -> None:
    with serving(tmp_path / "a", certificate(authority), authority) as server:
        client = await connect(settings_for(server, trusted), wait_seconds=10)
        try:
            await client.jetstream().add_stream(name="SHOWN", subjects=["shown.>"])
            assert (await client.jetstream().stream_info("SHOWN")).config.name == "SHOWN"
        finally:
            await leave(client)
        secret = tmp_path / "otto"
        secret.write_text(PASSWORD)
        profile = Profile(nats_url=server.url, nats_ca=trusted, user="otto", password=f"file:{secret}")
        async with connected(profile) as person:
            assert person.connection.is_connected


async def test_a_server_under_another_authority_is_not_believed(tmp_path: Path, authority: Pair) -> None:
    other = tmp_path / "other.pem"
    other.write_text(make_authority("somebody else", now=now()).certificate)
    with serving(tmp_path / "a", certificate(authority), authority) as server:
        with pytest.raises(BusNotTrusted, match=r"self-signed certificate|unable to get"):
            await connect(settings_for(server, other), wait_seconds=10)
        with pytest.raises(BusNotTrusted):  # nor is it one of those that this machine knows
            await connect(settings_for(server, None), wait_seconds=10)
        secret = tmp_path / "otto"
        secret.write_text(PASSWORD)
        profile = Profile(nats_url=server.url, nats_ca=other, user="otto", password=f"file:{secret}")
        with pytest.raises(CommandFailed, match=r"cannot be reached.*certificate"):
            async with connected(profile):
                pass


async def test_an_expired_certificate_is_not_believed(tmp_path: Path, authority: Pair, trusted: Path) -> None:
    expired = make_certificate(authority, ["localhost"], now=now() - timedelta(days=10), days=9)
    with serving(tmp_path / "a", expired, authority) as server, pytest.raises(BusNotTrusted, match="expired"):
        await connect(settings_for(server, trusted), wait_seconds=10)


async def test_a_certificate_of_another_server_is_not_believed(tmp_path: Path, authority: Pair, trusted: Path) -> None:
    only_nats1 = make_certificate(authority, ["nats1"], now=now())
    with (
        serving(tmp_path / "a", only_nats1, authority) as server,
        pytest.raises(BusNotTrusted, match=r"localhost|[Hh]ostname"),
    ):
        await connect(settings_for(server, trusted, host="localhost"), wait_seconds=10)


async def test_an_encrypted_server_lets_nobody_in_who_speaks_plainly(
    tmp_path: Path, authority: Pair, trusted: Path
) -> None:
    with serving(tmp_path / "a", certificate(authority), authority) as server:
        plain = BusSettings(f"nats://127.0.0.1:{server.port}", PROVISIONER, PASSWORD)
        with pytest.raises((BusUnreachable, nats.errors.Error)):
            await connect(plain, wait_seconds=WAIT_SECONDS)


async def test_a_password_is_never_sent_to_a_server_that_offers_no_encryption(trusted: Path) -> None:
    heard = bytearray()

    async def pretend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.15.1","max_payload":1048576,"tls_required":false}\r\n')
        while piece := await reader.read(4096):
            heard.extend(piece)
        writer.close()

    server = await asyncio.start_server(pretend, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(BusUnreachable):
            await connect(
                BusSettings(f"tls://127.0.0.1:{port}", PROVISIONER, PASSWORD, trusted), wait_seconds=WAIT_SECONDS
            )
    assert heard, "the client must have tried"
    assert PASSWORD.encode() not in heard and b"CONNECT" not in heard


async def test_streams_are_unreadable_on_the_disk_under_a_store_key(
    tmp_path: Path, authority: Pair, trusted: Path
) -> None:
    found = {}
    for name, key in (("open", None), ("closed", STORE_KEY)):
        with serving(tmp_path / name, certificate(authority), authority, store_key=key) as server:
            client = await connect(settings_for(server, trusted), wait_seconds=10)
            try:
                js = client.jetstream()
                # The provisioner may publish to the interface only; there a stream may listen for what is no request.
                await js.add_stream(name="CANARY", subjects=["$JS.API.CANARY"], no_ack=True)
                await client.publish("$JS.API.CANARY", CANARY)
                await client.flush()

                async def is_stored(js: Any = js) -> bool:
                    return bool((await js.stream_info("CANARY")).state.messages)

                await until(is_stored)
            finally:
                await leave(client)
        found[name] = [path for path in server.store.rglob("*") if path.is_file() and CANARY in path.read_bytes()]
    assert found["open"], "the canary must be found where nothing is encrypted, or this shows nothing"
    assert found["closed"] == []


async def test_only_a_server_of_the_house_joins_the_cluster(tmp_path: Path, authority: Pair) -> None:
    stranger = make_authority("somebody else", now=now())
    secret = "the-password-of-the-routes"

    def cluster(*routes: str) -> Cluster:
        return Cluster(name="tests", port=-1, routes=routes, password=secret)

    with serving(
        tmp_path / "a", certificate(authority), authority, server_name="a", cluster=cluster("127.0.0.1:9")
    ) as first:
        listened = re.search(r"Listening for route connections on [^:]+:(\d+)", (tmp_path / "a" / "log").read_text())
        assert listened is not None
        route = f"127.0.0.1:{listened.group(1)}"
        with (
            serving(tmp_path / "s", certificate(stranger), stranger, server_name="s", cluster=cluster(route)),
            serving(
                tmp_path / "b", certificate(authority), authority, server_name="b", cluster=cluster(route)
            ) as second,
        ):

            async def have_met() -> bool:
                return second.routes() > 0 and first.routes() > 0

            await until(have_met)
            refused = (tmp_path / "a" / "log").read_text()
            assert "tls" in refused.lower() and "error" in refused.lower()
            names = _names_of_routes(first)
    assert names == {"b"}


def _names_of_routes(server: Server) -> set[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.monitoring_port}/routez", timeout=5) as answer:
        return {str(route["remote_name"]) for route in json.load(answer)["routes"]}


@pytest.mark.parametrize(
    ("url", "names_authority", "said"),
    [
        ("nats://a:4222,tls://b:4222", False, "some addresses are encrypted"),
        ("nats://a:4222", True, "asks for no encryption"),
    ],
)
def test_addresses_that_contradict_each_other_are_refused(
    trusted: Path, url: str, names_authority: bool, said: str
) -> None:
    with pytest.raises(BusMisaddressed, match=said):
        tls_options(url, trusted if names_authority else None)


def test_a_file_without_certificates_is_named(tmp_path: Path) -> None:
    path = tmp_path / "empty.pem"
    path.write_text("nothing")
    with pytest.raises(BusMisaddressed, match=re.escape(str(path))):
        tls_options("tls://a:4222", path)


def test_plain_addresses_need_nothing() -> None:
    assert tls_options("nats://127.0.0.1:4222", None) == {}
    options = tls_options("tls://a:4222, tls://b:4222", None)
    assert options["tls"].verify_mode is ssl.CERT_REQUIRED and options["tls"].check_hostname

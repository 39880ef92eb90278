"""The house in which alerts are fired: connectors for each trouble, ends that are near, a channel nobody hears.

What has to be wrong from the beginning is made wrong here; what is broken later stands in `faults`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from cli.embedded_setup import Layout
from cli.stack import ROOT
from deploy.prometheus.alerting import GROUPS
from deploy.prometheus.alerting.model import Group
from shared.asking.profiles import write_private
from shared.children import die_with_parent
from shared.contract.loading import load_connector
from shared.contract.releases import publish
from shared.events.commands import RequestRun
from shared.events.schedules import NameSchedule
from simulators.district.__main__ import make
from tests.operating.fire.channel import Channel
from tests.operating.fire.rules import shortened
from tests.operating.prometheus import Prometheus
from tests.support.road import CONNECTOR, District, Road, house

DUE: Final = f"{CONNECTOR}-due"
ALSO_DUE: Final = f"{CONNECTOR}-also-due"
RESTING: Final = f"{CONNECTOR}-resting"
FAILING: Final = f"{CONNECTOR}-failing"
STUCK: Final = f"{CONNECTOR}-stuck"
WAITING: Final = f"{CONNECTOR}-waiting"
COPIES: Final[Mapping[str, str]] = {
    DUE: "*/5 * * * *",
    ALSO_DUE: "2-59/5 * * * *",
    RESTING: "*/5 * * * *",
    FAILING: "",
    STUCK: "",
    WAITING: "",
}
"""Connectors beside that of the project, each for one trouble, and the times of their schedules."""
STAFF: Final = 2400
SERVICES: Final = ("extractor", "differ", "applier", "auditor", "console", "monitor")
OLD_SECONDS: Final = 60 * 86400.0
READY_SECONDS_MAX: Final = 30.0
SPILL_BYTES: Final = 64 * 2**20
TOKEN_HOURS: Final = 10
STOP_SECONDS_MAX: Final = 20.0
PORTS: Final = range(20_000, 30_000)


@dataclass(frozen=True)
class House:
    """What faults act on."""

    road: Road
    prometheus: Prometheus
    folder: Path
    spill: Path | None
    """A disk of its own for what the extractor lays down; None where none may be mounted."""
    channel: Channel
    """A channel of notices that answers; a second one does not."""
    release_file: Path
    """What stands in it the differ says is its release, while it is there."""
    environment: Mapping[str, str]
    """Of programs beside the house: that of this program, without settings of others."""
    watched: list[Prometheus] = field(default_factory=list)
    """Whose alerts are looked at."""

    async def request(self, connector: str, mode: str) -> str:
        """Ask for a run of any of its connectors; its id."""
        async with self.road.stack.client("operator") as person:
            reply = await person.request_run(RequestRun.model_validate({"connector": connector, "mode": mode}))
        if reply.run is None:
            raise RuntimeError(f"{connector}: no run: {reply}")
        return reply.run


@contextlib.asynccontextmanager
async def troubled_house(folder: Path) -> AsyncIterator[House]:
    """The house, and the Prometheus that watches it with shortened rules."""
    district = District(folder / "district")
    make(out=district.folder, seed=7, staff=STAFF)
    *numbers, hook = free_ports(len(SERVICES) + 1)
    ports = dict(zip(SERVICES, numbers, strict=True))
    channel, release_file = Channel(hook), folder / "release"
    settings = {name: {"AETHER_ADMIN_PORT": str(port)} for name, port in ports.items()}
    settings["monitor"] |= {
        "AETHER_CERTIFICATES": ",".join(
            f"{name}={certificate(folder / f'{name}.pem', hours=hours)}"
            for name, hours in (("soon", 30), ("at-once", 4), ("later", 2000))
        ),
        "AETHER_NOTICES": str(_notices(folder, answering=channel.port)),
        "AETHER_CONSOLE_URL": "https://console.example.org",
    }
    _lay_down_token(folder / "house")
    with _disk(folder / "spill") as spill:
        if spill is not None:
            settings["extractor"]["AETHER_SPILL_FOLDER"] = str(spill)
        connectors = _connectors(folder / "connectors")
        async with (
            channel.listening(),
            house(
                district,
                folder / "house",
                has_console=True,
                has_monitor=True,
                connectors=connectors,
                programs={
                    "monitor": ("tests.operating.fire.hasty_monitor",),
                    "differ": ("tests.operating.fire.other_release", "differ", str(release_file)),
                },
                settings=settings,
                on_notice=lambda text: None,
            ) as road,
        ):
            os.utime(road.stack.layout.read_token, (time.time() - OLD_SECONDS,) * 2)
            async with road.stack.client("operator") as operator:
                await operator.pause_schedule(NameSchedule(connector=RESTING, reason="to see the alert"))
            async with watching(folder / "prometheus", ports) as asked:
                environment = {name: value for name, value in os.environ.items() if not name.startswith("AETHER_")}
                yield House(road, asked, folder, spill, channel, release_file, environment, [asked])


@contextlib.asynccontextmanager
async def watching(
    folder: Path, ports: Mapping[str, int], *, groups: Sequence[Group] = GROUPS
) -> AsyncIterator[Prometheus]:
    """A Prometheus with the shortened rules, over those admin ports and over itself."""
    [port] = free_ports(1)
    with _laid_down(folder, ports, port=port, groups=groups) as (config, log):
        process = await asyncio.create_subprocess_exec(
            *("prometheus", f"--config.file={config}"),
            *(f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}"),
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent(),
        )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False) as client:
            deadline = time.monotonic() + READY_SECONDS_MAX
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get("/-/ready")).is_success:
                        break
                if process.returncode is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"prometheus does not start; look at {folder / 'log'}")
                await asyncio.sleep(0.2)
            yield Prometheus(client)
    finally:
        process.terminate()
        async with asyncio.timeout(STOP_SECONDS_MAX):
            await process.wait()


@contextlib.contextmanager
def _laid_down(
    folder: Path, ports: Mapping[str, int], *, port: int, groups: Sequence[Group]
) -> Iterator[tuple[Path, BinaryIO]]:
    """Configuration and rules of a Prometheus, and its log, open to be written."""
    folder.mkdir(parents=True)
    (folder / "rules.yml").write_text(json.dumps(shortened(groups)), encoding="utf-8")
    targets = [
        {"targets": [f"127.0.0.1:{number}"], "labels": {"service": service}} for service, number in ports.items()
    ]
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / "rules.yml")],
        "scrape_configs": [
            {"job_name": "aether", "honor_labels": True, "static_configs": targets},
            {
                "job_name": "prometheus",
                "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
            },
        ],
    }
    path = folder / "prometheus.yml"
    path.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
    with (folder / "log").open("wb") as log:
        yield path, log


def certificate(path: Path, *, hours: float) -> Path:
    """A certificate that ends after so many hours."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bus.test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(hours=hours))
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(made.public_bytes(Encoding.PEM))
    return path


async def until(holds: Callable[[], bool], *, seconds_max: float) -> bool:
    """Whether it came to hold in that time."""
    deadline = time.monotonic() + seconds_max
    while not holds():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.5)
    return True


def free_ports(number: int) -> list[int]:
    """So many ports that are free and differ; none of those that the system gives to whoever asks for any."""
    found: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == number:
            return found
    raise RuntimeError(f"of {len(PORTS)} ports {number} are not free")


def _lay_down_token(folder: Path) -> None:
    """The vendor's token, of three parts whose claims say when it ends; the house keeps what is there."""
    layout = Layout(folder.resolve(), True)
    layout.read_token.parent.mkdir(parents=True, mode=0o700)
    layout.data.chmod(0o700)
    parts = ({"alg": "none"}, {"exp": int(time.time()) + TOKEN_HOURS * 3600})
    head, claims = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    write_private(layout.read_token, f"{head}.{claims}.c2lnbmF0dXJl")


def _notices(folder: Path, *, answering: int) -> Path:
    """A channel whose other side is not there, and one that hears of paused schedules and answers."""
    secret = folder / "notices.secret"
    write_private(secret, "a text of more than twenty-four bytes")
    [nobody] = free_ports(1)
    channels = [
        {
            "name": name,
            "kind": "webhook",
            "url": f"http://127.0.0.1:{port}/hook",
            "secret": f"file:{secret}",
            "conditions": conditions,
        }
        for name, port, conditions in (("nobody", nobody, "all"), ("answering", answering, ["schedule_paused"]))
    ]
    path = folder / "notices.yaml"
    path.write_text(json.dumps({"channels": channels}), encoding="utf-8")  # JSON is YAML
    return path


def _connectors(folder: Path) -> Path:
    shutil.copytree(ROOT / "connectors", folder)
    for name, cron in COPIES.items():
        made = folder / name
        shutil.copytree(folder / CONNECTOR, made, ignore=shutil.ignore_patterns("releases"))
        definition = made / "connector.yaml"
        text = definition.read_text(encoding="utf-8").replace(f"name: {CONNECTOR}\n", f"name: {name}\n", 1)
        if cron:
            text += f'\nschedule: {{cron: "{cron}", time_zone: America/Los_Angeles, mode: dry-run}}\n'
        definition.write_text(text, encoding="utf-8")
        publish(
            made,
            load_connector(made),
            by="stella",
            at=datetime(2026, 11, 1, 8, tzinfo=UTC),
        )
    return folder


@contextlib.contextmanager
def _disk(folder: Path) -> Iterator[Path | None]:
    """A small disk in memory; None where this user may mount none."""
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SPILL_BYTES}", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)

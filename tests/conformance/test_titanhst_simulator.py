"""TitanHST against the simulator as its own program: source, target and wire meet somebody who knows none of them."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from shared.errors import NeedsPerson, RecordRefused, TargetMoved
from shared.ports.connections import Connection
from shared.ports.registry import Registry, installed_systems_folder
from shared.ports.surroundings import Surroundings
from shared.ports.system import Source, Target
from shared.ports.wire import Record
from shared.secrets import Secret
from tests.conformance.fake_titanhst import contact
from tests.conformance.source_suite import Bench, SourceSuite

REPOSITORY = Path(__file__).resolve().parents[2]
START_SECONDS_MAX = 20.0
TOKENS = {
    "env:READ": "reading-token-for-the-simulator",
    "env:WRITE": "writing-token-for-the-simulator",
    "env:OLD": "x" * 40,
}
REGISTRY = Registry(
    installed_systems_folder(), surroundings=Surroundings(resolve=lambda reference: Secret(TOKENS[reference]))
)
NEW: Record = {
    "external_id": "N/1 ü",
    "first_name": "Zoë",
    "last_name": "O'Neil",
    "email": None,
    "mobile": "+17145550100",
    "role": "NURSE",
    "location": "TL-010",
    "active": True,
}


@dataclass(frozen=True)
class Simulator:
    url: str

    def connection(self, *, token: str = "env:READ", url: str = "") -> Connection:
        settings = {"base_url": url or self.url, "token": token, "write_token": "env:WRITE", "page_limit": 10}
        return Connection(name="alerts", system="titanhst", environment="staging", settings=settings)

    def source(self, *, token: str = "env:READ", url: str = "") -> Source:
        return REGISTRY.open_source(self.connection(token=token, url=url))

    def target(self) -> Target:
        return REGISTRY.open_target(self.connection())


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    seed = {
        "roles": [{"code": "NURSE", "name": "Nurse"}, {"code": "TEACHER", "name": "Teacher"}],
        "locations": [{"code": "TL-010", "name": "Alder High"}],
        "contacts": [contact(number) for number in range(1, 26)],
    }
    (tmp_path / "seed.json").write_text(json.dumps(seed))
    (tmp_path / "read").write_text(TOKENS["env:READ"])
    (tmp_path / "write").write_text(TOKENS["env:WRITE"])
    ready = tmp_path / "ready.json"
    command = [
        *(sys.executable, "-m", "simulators.titanhst", "--port", "0", "--state", str(tmp_path / "seed.json")),
        *("--read-token-file", str(tmp_path / "read"), "--write-token-file", str(tmp_path / "write")),
        *("--ready-file", str(ready)),
    ]
    log = (tmp_path / "log").open("wb")
    process = subprocess.Popen(command, cwd=REPOSITORY, env=dict(os.environ), stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not ready.exists() or not ready.read_text().strip():
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, "the simulator did not start"
            time.sleep(0.02)
        yield Simulator(json.loads(ready.read_text())["url"])
    finally:
        process.terminate()
        process.wait(10)
        log.close()


class TestTitanhstReadsTheSimulator(SourceSuite):
    @pytest_asyncio.fixture
    async def bench(self, simulator: Simulator) -> AsyncIterator[Bench]:
        async def make_empty() -> None:
            target = simulator.target()
            wire = REGISTRY.wire("titanhst")
            for number in range(1, 26):
                delete = wire.write_for("contacts", verb="delete", target_id=f"c-{number:06d}", values={})
                await target.write(delete, idempotency_key=str(number))
            await target.close()

        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            nobody = f"http://127.0.0.1:{probe.getsockname()[1]}"
        sources = simulator.source(), simulator.source(url=nobody), simulator.source(token="env:OLD")
        yield Bench(
            source=sources[0],
            entity="contacts",
            rows=25,
            unreachable=sources[1],
            refused=sources[2],
            make_empty=make_empty,
        )
        for source in sources:
            await source.close()


async def test_life_of_a_contact_from_create_to_delete(simulator: Simulator) -> None:
    target, wire = simulator.target(), REGISTRY.wire("titanhst")
    created = await target.write(
        wire.write_for("contacts", verb="create", target_id=None, values=NEW), idempotency_key="1"
    )
    assert created.status == 201
    target_id = created.target_id
    assert await target.fetch("contacts", target_id=None, key="N/1 ü") == {**NEW, "target_id": target_id}
    steps: list[tuple[str, Record, Record]] = [
        (
            "update",
            {"email": "zoe@district.example", "mobile": None},
            {"email": "zoe@district.example", "mobile": None},
        ),
        ("suspend", {}, {"active": False}),
        ("reactivate", {"last_name": "Neil"}, {"active": True, "last_name": "Neil"}),
    ]
    for verb, values, after in steps:
        write = wire.write_for("contacts", verb=verb, target_id=target_id, values=values)  # type: ignore[arg-type] # from a table
        receipt = await target.write(write, idempotency_key=verb)
        assert (receipt.target_id, receipt.status) == (target_id, 200)
        record = await target.fetch("contacts", target_id=target_id, key=None)
        assert record is not None
        assert {name: record[name] for name in after} == after
    delete = wire.write_for("contacts", verb="delete", target_id=target_id, values={})
    assert (await target.write(delete, idempotency_key="9")).status == 204
    assert await target.fetch("contacts", target_id=target_id, key=None) is None
    with pytest.raises(TargetMoved):
        await target.write(delete, idempotency_key="10")
    await target.close()


async def test_refusals_of_the_simulator_are_told_apart(simulator: Simulator) -> None:
    target, wire = simulator.target(), REGISTRY.wire("titanhst")
    with pytest.raises(RecordRefused) as refused:
        await target.write(
            wire.write_for("contacts", verb="update", target_id="c-000001", values={"role": "PILOT", "mobile": "12"}),
            idempotency_key="1",
        )
    assert refused.value.facts["fields"] == "mobilePhone,role"
    with pytest.raises(TargetMoved):
        await target.write(
            wire.write_for("contacts", verb="create", target_id=None, values={**NEW, "external_id": "E00001"}),
            idempotency_key="2",
        )
    with pytest.raises(TargetMoved):
        await target.write(
            wire.write_for("contacts", verb="suspend", target_id="c-999999", values={}), idempotency_key="3"
        )
    await target.close()


async def test_credential_that_may_only_read_cannot_write(simulator: Simulator) -> None:
    connection = simulator.connection()
    settings = {**connection.settings, "write_token": "env:READ"}
    target = REGISTRY.open_target(connection.model_copy(update={"settings": settings}))
    suspend = REGISTRY.wire("titanhst").write_for("contacts", verb="suspend", target_id="c-000001", values={})
    with pytest.raises(NeedsPerson) as caught:
        await target.write(suspend, idempotency_key="1")
    assert caught.value.code == "APL_AUTH"
    await target.close()


async def test_many_readers_at_once_each_read_the_whole(simulator: Simulator) -> None:
    source = simulator.source()

    async def count(entity: str) -> int:
        return sum([page.rows.height async for page in source.read(entity)])

    assert await asyncio.gather(*(count("contacts") for _ in range(5)), count("roles"), count("locations")) == [
        25
    ] * 5 + [
        2,
        1,
    ]
    await source.close()

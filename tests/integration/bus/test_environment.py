"""Staging and production apart: accounts, programs and connections, on the real server."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.bus.connect import BusSettings, connect, leave
from shared.bus.embedded import EmbeddedServer
from shared.bus.environment import require_environment
from shared.bus.topology import PROVISIONER, Environment
from shared.errors import NeedsPerson
from shared.ports.connections import Connection
from shared.ports.registry import Registry, installed_systems_folder


@pytest.mark.parametrize(("house", "other"), [("staging", "production"), ("production", "staging")])
async def test_a_program_refuses_the_bus_of_the_other_environment(
    tmp_path: Path, house: Environment, other: Environment
) -> None:
    async with EmbeddedServer(tmp_path / "bus", environment=house) as server:
        client = await connect(BusSettings(server.url, "extractor", server.password_of("extractor")))
        try:
            await require_environment(client, house)
            with pytest.raises(NeedsPerson, match=f"{house.upper()}_HOUSE, not {other.upper()}_HOUSE") as refused:
                await require_environment(client, other)
        finally:
            await leave(client)
    assert refused.value.code == "SYS_ENVIRONMENT"


async def test_streams_of_a_former_release_are_kept(tmp_path: Path) -> None:
    accounts = tmp_path / "bus" / "store" / "jetstream"
    async with EmbeddedServer(tmp_path / "bus") as server:
        client = await connect(BusSettings(server.url, PROVISIONER, server.password_of(PROVISIONER)))
        await client.jetstream().add_stream(name="KEPT", subjects=["kept.>"])
        await leave(client)
    (accounts / "STAGING_HOUSE").rename(accounts / "HOUSE")
    async with EmbeddedServer(tmp_path / "bus") as server:
        client = await connect(BusSettings(server.url, PROVISIONER, server.password_of(PROVISIONER)))
        assert (await client.jetstream().stream_info("KEPT")).config.subjects == ["kept.>"]
        await leave(client)


def connection(environment: Environment) -> Connection:
    return Connection(
        name="hr", system="ocde_hr_sql", environment=environment, settings={"url": "sqlite:////nowhere/hr.db"}
    )


def test_a_house_of_staging_opens_no_connection_to_production() -> None:
    staging = Registry(installed_systems_folder(), environment="staging")
    staging.open_source(connection("staging"))
    with pytest.raises(NeedsPerson, match="connection hr is to production") as refused:
        staging.open_source(connection("production"))
    assert refused.value.code == "SYS_ENVIRONMENT"
    production = Registry(installed_systems_folder(), environment="production")
    for environment in ("staging", "production"):
        production.open_source(connection(environment))

"""`aether system check`: what the extractor finds when it is asked to try a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest

from services.extractor import questions
from services.extractor.handlers import Context
from services.extractor.questions import connection_checked
from shared.errors import NeedsPerson
from shared.events.queries import ConnectionQuery
from shared.ports.connections import Connection, Connections
from shared.ports.surroundings import Surroundings
from shared.secrets import resolve
from simulators.kit.serve import serving
from simulators.titanhst.app import TitanConfig, create_app
from tests.conformance.bench import Vendor
from tests.conformance.benches.titanhst import nobody
from tests.support.systems import installed_systems

READ, WRITE = "reading-token-of-the-check", "writing-token-of-the-check"


@pytest.fixture
def url() -> Iterator[str]:
    app = create_app(TitanConfig(read_token=READ, write_token=WRITE, seed={"contacts": []}))
    with serving(app) as address:
        yield address


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHECK_READ", READ)
    monkeypatch.setenv("CHECK_OLD", "nobody-knows-this-one")
    monkeypatch.delenv("CHECK_UNSET", raising=False)


def context(url: str, token: str) -> Context:
    connection = Connection(
        name="alerts",
        system="titanhst",
        environment="staging",
        settings={"base_url": url, "token": token, "timeout_seconds": 5},
    )
    registry = installed_systems(surroundings=Surroundings(resolve=resolve))
    found = SimpleNamespace(connections=Connections(connections={"alerts": connection}), registry=registry)
    return cast(Context, found)  # the question needs no bus


@pytest.mark.usefixtures("secrets")
async def test_a_sound_connection_is_told_so_with_its_tier(url: str) -> None:
    answer = await connection_checked(ConnectionQuery(connection="alerts"), context(url, "env:CHECK_READ"))
    assert (answer.system, answer.environment, answer.tier) == ("titanhst", "staging", "silver")
    assert {"network", "authentication", "shape"} <= {one.subject for one in answer.findings}
    assert all(one.is_good for one in answer.findings)


@pytest.mark.usefixtures("secrets")
@pytest.mark.parametrize(
    ("token", "is_there", "subject"),
    [
        ("env:CHECK_OLD", True, "authentication"),
        ("env:CHECK_UNSET", True, "settings"),
        ("env:CHECK_READ", False, "network"),
    ],
)
async def test_what_is_wrong_is_told_by_its_kind(url: str, token: str, is_there: bool, subject: str) -> None:
    with nobody() as nowhere:
        asked = context(url if is_there else nowhere, token)
        answer = await connection_checked(ConnectionQuery(connection="alerts"), asked)
    assert [(one.subject, one.is_good) for one in answer.findings if not one.is_good] == [(subject, False)]
    assert "nobody-knows-this-one" not in answer.model_dump_json()


@pytest.mark.usefixtures("secrets")
async def test_a_system_that_never_answers_has_an_end(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "CHECK_SECONDS_MAX", 0.3)
    async with Vendor(url) as vendor, asyncio.timeout(10):
        await vendor.arm("slow", seconds=60, times=100)
        answer = await connection_checked(ConnectionQuery(connection="alerts"), context(url, "env:CHECK_READ"))
    assert [(one.subject, one.is_good) for one in answer.findings] == [("network", False)]


async def test_an_unknown_connection_is_refused_with_its_likely_name(url: str) -> None:
    with pytest.raises(NeedsPerson, match="did you mean alerts"):
        await connection_checked(ConnectionQuery(connection="alert"), context(url, "env:CHECK_READ"))

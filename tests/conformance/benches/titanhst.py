"""TitanHST on the bench: contacts, and the two code lists."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from shared.ports.connections import Connection
from shared.ports.wire import Record
from simulators.kit.serve import serving
from simulators.titanhst.app import TitanConfig, create_app
from tests.conformance.bench import Bench, Observed, Vendor, Writing
from tests.support.systems import installed_systems

ENTITIES = ("contacts", "roles", "locations")
ROWS = 25
SECRETS = {
    "env:READ": "reading-token-of-the-bench",
    "env:WRITE": "writing-token-of-the-bench",
    "env:OLD": "token-that-nobody-knows",
}


@contextmanager
def nobody() -> Iterator[str]:
    """An address at which nothing answers, for as long as the block lasts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{probe.getsockname()[1]}"


@asynccontextmanager
async def opened(entity: str, folder: Path) -> AsyncIterator[Bench]:
    """One entity of a simulated TitanHST."""
    app = create_app(TitanConfig(read_token=SECRETS["env:READ"], write_token=SECRETS["env:WRITE"], seed=_seed()))
    with serving(app) as url, nobody() as nowhere:
        async with Vendor(url) as vendor:
            observed = Observed()
            registry = installed_systems(surroundings=observed.surroundings(SECRETS))
            source = registry.open_source(_connection(url))
            refused = registry.open_source(_connection(url, token="env:OLD"))
            unreachable = registry.open_source(_connection(nowhere))
            target = registry.open_target(_connection(url))
            may_only_read = registry.open_target(_connection(url, write_token="env:READ"))

            async def make_empty() -> None:
                await vendor.replace_state(_seed(0) if entity == "contacts" else {**_seed(0), entity: []})

            yield Bench(
                source=source,
                entity=entity,
                rows=ROWS,
                unreachable=unreachable,
                refused=refused,
                make_empty=make_empty,
                vendor=vendor,
                list_path=f"/api/v1/{entity}$",
                sensitive=frozenset({"Wilhelmina", "Ash-Grove", "w7@district.example", *SECRETS.values()}),
                surroundings=observed,
                writing=Writing(
                    target=target,
                    wire=registry.wire("titanhst"),
                    new=_new,
                    change={"first_name": "Changed", "email": "changed@district.example"},
                    key="external_id",
                    write_path="/api/v1/contacts",
                    may_only_read=may_only_read,
                )
                if entity == "contacts"
                else None,
            )
            for each in (source, refused, unreachable, target, may_only_read):
                await each.close()


def _connection(url: str, *, token: str = "env:READ", write_token: str = "env:WRITE") -> Connection:
    settings = {"base_url": url, "token": token, "write_token": write_token, "page_limit": 10, "timeout_seconds": 5}
    return Connection(name="alerts", system="titanhst", environment="staging", settings=settings)


def _seed(contacts: int = ROWS) -> dict[str, Any]:
    return {
        "roles": [{"code": f"R{n:02d}", "name": f"Role {n}"} for n in range(ROWS)],
        "locations": [{"code": f"TL-{n:03d}", "name": f"Site {n}"} for n in range(ROWS)],
        "contacts": [
            {
                "id": f"c-{n:06d}",
                "externalId": f"E{n}",
                "firstName": "Wilhelmina",
                "lastName": "Ash-Grove",
                "email": f"w{n}@district.example",
                "role": "R01",
                "locationCode": "TL-001",
            }
            for n in range(1, contacts + 1)
        ],
    }


def _new(number: int) -> Record:
    return {
        "external_id": f"N/{number} ü",
        "first_name": "Zoë",
        "last_name": "O'Neil",
        "email": None,
        "mobile": "+17145550100",
        "role": "R02",
        "location": "TL-002",
        "active": True,
    }

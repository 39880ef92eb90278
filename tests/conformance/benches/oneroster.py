"""OneRoster on the bench: users of a service of 1.2, classes of one of 1.1."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from shared.ports.connections import Connection
from simulators.kit.serve import serving
from simulators.oneroster.app import OneRosterConfig, create_app
from tests.conformance.bench import Bench, Observed, Vendor
from tests.conformance.benches.titanhst import nobody
from tests.support.systems import installed_systems

ENTITIES = ("users", "classes")
ROWS = 25
CLIENT = "client-of-the-bench"
SECRETS = {"env:SECRET": "secret-of-the-bench", "env:OLD": "secret-that-nobody-knows"}
VERSIONS = {"users": "1.2", "classes": "1.1"}
LISTS = {"users": "/ims/oneroster/rostering/v1p2/users$", "classes": "/ims/oneroster/v1p1/classes$"}


@asynccontextmanager
async def opened(entity: str, folder: Path) -> AsyncIterator[Bench]:
    """One entity of a simulated roster service."""
    app = create_app(OneRosterConfig(client_id=CLIENT, client_secret=SECRETS["env:SECRET"], seed=_seed()))
    with serving(app) as url, nobody() as nowhere:
        async with Vendor(url) as vendor:
            observed = Observed()
            registry = installed_systems(surroundings=observed.surroundings(SECRETS))
            source = registry.open_source(_connection(url, entity))
            refused = registry.open_source(_connection(url, entity, secret="env:OLD"))
            unreachable = registry.open_source(_connection(nowhere, entity))

            async def make_empty() -> None:
                await vendor.replace_state({**_seed(), entity: [], "enrollments": []})

            async def expire_token() -> None:
                await vendor.arm("unauthorized", times=1)

            yield Bench(
                source=source,
                entity=entity,
                rows=ROWS,
                unreachable=unreachable,
                refused=refused,
                make_empty=make_empty,
                vendor=vendor,
                list_path=LISTS[entity],
                sensitive=frozenset({"Wilhelmina", "Ash-Grove", "w7@district.example", *SECRETS.values()}),
                expire_token=expire_token,
                surroundings=observed,
            )
            for each in (source, refused, unreachable):
                await each.close()


def _connection(url: str, entity: str, *, secret: str = "env:SECRET") -> Connection:
    settings = {
        "base_url": url,
        "version": VERSIONS[entity],
        "client_id": CLIENT,
        "client_secret": secret,
        "page_limit": 10,
        "timeout_seconds": 5,
    }
    return Connection(name="roster", system="oneroster", environment="staging", settings=settings)


def _seed() -> dict[str, Any]:
    stamp = {"dateLastModified": "2026-11-01T08:00:00.000Z"}
    term = {"title": "Fall", "type": "term", "startDate": "2026-08-17", "endDate": "2026-12-18", "schoolYear": "2027"}
    return {
        "orgs": [{"sourcedId": "S1", "name": "North", "type": "school", "identifier": "1", **stamp}],
        "academicSessions": [{"sourcedId": "T1", **term, **stamp}],
        "courses": [{"sourcedId": "C1", "title": "Algebra", "orgSourcedId": "S1", **stamp}],
        "classes": [
            {
                "sourcedId": f"R{number:02d}",
                "title": f"Algebra of Wilhelmina {number}",
                "courseSourcedId": "C1",
                "classType": "scheduled",
                "schoolSourcedId": "S1",
                "termSourcedIds": ["T1"],
                "periods": ["1"],
                **stamp,
            }
            for number in range(ROWS)
        ],
        "users": [
            {
                "sourcedId": f"U{number:02d}",
                "enabledUser": True,
                "username": f"w{number}",
                "userIds": [{"type": "SIS", "identifier": str(number)}],
                "givenName": "Wilhelmina",
                "familyName": "Ash-Grove",
                "email": f"w{number}@district.example",
                "grades": ["09"],
                "roles": [{"role": "student", "roleType": "primary", "orgSourcedId": "S1"}],
                **stamp,
            }
            for number in range(ROWS)
        ],
        "enrollments": [],
    }

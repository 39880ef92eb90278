"""What every seed begins with: a published connector, prepared databases, and a district of a few people.

Made once for a program; a seed gets copies. Nobody in it exists.
"""

from __future__ import annotations

import atexit
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.auditor.ingest import LogKey
from services.auditor.store import Store
from services.differ.ledger import Ledger
from services.differ.memory import Scope, Seed
from shared.contract.catalog import Connectors
from shared.contract.loading import Connector, load_connector
from shared.contract.releases import publish
from shared.ports.wire import Value
from tests.simulation.database import Databases
from tests.simulation.loop import VirtualLoop

BEGINNING: Final = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
"""The moment of every seed's start."""
CONNECTOR: Final = "tiny"
TARGET: Final = "small"
ENTITY: Final = "contacts"
DIFFER_URL: Final = "sqlite+aiosqlite:///differ.db"
AUDITOR_URL: Final = "sqlite+aiosqlite:///auditor.db"
GONE_MAX: Final = 4
"""People who may have left before the seed begins."""
LOG_KEY: Final = LogKey(private=Ed25519PrivateKey.from_private_bytes(bytes(range(32))), origin="simulation.invalid/log")

DEFINITION: Final = f"""
schema_version: 1
name: {CONNECTOR}
version: 1.0.0
title: People to a small target
lifecycle: active
target: {{system: small_system, connection: {TARGET}}}
sources:
  person: {{system: people_system, connection: people, entity: people}}
entities:
  {ENTITY}:
    from: {{source: person}}
    key: external_id
    correlate: [email]
    fields:
      external_id: {{from: [person.id], required: true, pii: identifier}}
      first_name: {{from: [person.first], required: true, pii: name}}
      email: {{from: [person.email], is_rename: true, pii: contact}}
      role: {{from: [person.role], is_role: true}}
      active: {{constant: true, format: boolean}}
    removal: {{ladder: suspend, suspended: {{active: false}}}}
partitions: 2
"""


class FixedConnectors(Connectors):
    """A catalogue whose folder never changes, so that it is read once."""

    @lru_cache(maxsize=4)  # noqa: B019 - one catalogue lives as long as the program
    def _loaded(self, folder: Path) -> Connector:
        return load_connector(folder)


@dataclass(frozen=True)
class Shape:
    """What the seeds of one program share."""

    connectors: Connectors
    databases: dict[str, bytes]
    """Images of the prepared databases, by path."""


@lru_cache(maxsize=1)
def shape() -> Shape:
    """The beginning of every seed."""
    folder = tempfile.TemporaryDirectory(prefix="aether-simulation-")
    atexit.register(folder.cleanup)
    home = Path(folder.name) / CONNECTOR
    home.mkdir()
    (home / "connector.yaml").write_text(DEFINITION, encoding="utf-8")
    publish(home, load_connector(home), at=BEGINNING, by="olga")
    databases = Databases()
    loop = VirtualLoop()
    try:
        with databases.in_place():
            loop.run_until_complete(_prepare())
        images = databases.images()
    finally:
        databases.close()
        loop.close()
    return Shape(FixedConnectors(Path(folder.name)), images)


async def _prepare() -> None:
    """As if the connector had run for weeks, and a few people had been missed for three days."""
    ledger = Ledger(DIFFER_URL)
    await ledger.prepare()
    await ledger.remember_history(
        Seed(
            scope=Scope(connector=CONNECTOR, target=TARGET, entity=ENTITY),
            certified_runs=2,
            has_applied=True,
            links={},
            missed={gone_key(number): BEGINNING - timedelta(days=3) for number in range(GONE_MAX)},
            rows_accepted={},
        )
    )
    await ledger.close()
    store = Store.open(AUDITOR_URL)
    await store.migrate()
    await store.close()


def gone_key(number: int) -> str:
    """Key of a person who left before the beginning."""
    return f"E9{number}"


@dataclass
class District:
    """The people, as the source has them."""

    rng: Random
    people: dict[str, dict[str, str | None]]
    _joined: int = 0

    @classmethod
    def made(cls, rng: Random) -> tuple[District, dict[str, dict[str, Value]]]:
        """A small district, and the target's records of it: some lack, some differ, some are of people who left."""
        size, share = rng.randint(8, 30), rng.uniform(0.5, 1.0)
        district = cls(rng, {})
        records: dict[str, dict[str, Value]] = {}
        for number in range(size):
            key = district.join()
            if rng.random() < share:
                records[f"t-{number}"] = _record(f"t-{number}", district.people[key])
        for number in range(rng.randint(0, GONE_MAX)):
            key = gone_key(number)
            left: dict[str, str | None] = {"id": key, "first": "Gone", "email": f"{key}@example.org", "role": "TEACHER"}
            records[f"t-9{number}"] = _record(f"t-9{number}", left)
        for _ in range(rng.randint(0, size // 2)):
            district.move_on()
        return district, records

    def join(self) -> str:
        """One person more."""
        self._joined += 1
        key = f"E{self._joined}"
        self.people[key] = {
            "id": key,
            "first": f"Name{self._joined}",
            "email": f"p{self._joined}@example.org",
            "role": "TEACHER",
        }
        return key

    def move_on(self) -> None:
        """Something changes at the source."""
        key = self.rng.choice(sorted(self.people))
        match self.rng.randrange(6):
            case 0:
                self.join()
            case 1:
                self.people[key]["email"] = f"q{self.rng.randrange(10**6)}@example.org"
            case 2:
                self.people[key]["role"] = "AIDE"
            case _:
                self.people[key]["first"] = f"Renamed{self.rng.randrange(10**6)}"

    def rows(self) -> list[dict[str, str | None]]:
        """What a reading of the source gives."""
        return [dict(self.people[key]) for key in sorted(self.people)]


def _record(target_id: str, person: dict[str, str | None]) -> dict[str, Value]:
    return {
        "target_id": target_id,
        "external_id": person["id"],
        "first_name": person["first"],
        "email": person["email"],
        "role": person["role"],
        "active": True,
    }

"""Gives the differ's ledger a past that it did not live through: `python -m services.differ.seeding FILE.json`.

For a demonstration district, or one that moves here from another tool, that shall not start as if nobody had ever
looked at it. The database is that of `AETHER_DATABASE_URL`; the differ need not run. The file is one JSON object:

    {
      "connector": "titanhst-staff",
      "target": "titanhst",
      "entities": {
        "contacts": {
          "certified_runs": 2,
          "has_applied": true,
          "links": {"100001": "C000001"},
          "missed": {"100007": "2026-11-19T08:00:00Z"},
          "rows_accepted": {"person": 2400}
        }
      }
    }

`target` is the name of the target connection, `links` are target ids by our key, `missed` says when a key was first
missed, and `rows_accepted` how many rows the last accepted run read, by source. Only `certified_runs` must be given.
What the ledger knows of writes stays; numbers of runs are replaced. It tells the ledger nothing that a run would not
find out by itself in time, and no field's value.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, Field, StringConstraints, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.differ.ledger import Ledger
from services.differ.memory import Scope, Seed
from shared.clock import SystemClock
from shared.events.model import Document
from shared.secrets import SecretReference

FILE_BYTES_MAX = 512 * 2**20
KEYS_MAX = 5_000_000
CERTIFIED_RUNS_MAX = 1_000_000
FAULTS_SHOWN_MAX = 10

_Name = Annotated[str, StringConstraints(min_length=1, max_length=63)]
_Key = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class EntityPast(Document):
    """The past of one entity."""

    certified_runs: int = Field(ge=0, le=CERTIFIED_RUNS_MAX)
    """Earlier runs whose reads were all certified; removals are planned from the third run on."""
    has_applied: bool = True
    """Whether something was applied before; limits on creates and updates hold only then."""
    links: dict[_Key, _Key] = Field(default_factory=dict, max_length=KEYS_MAX)
    """Target id by our key."""
    missed: dict[_Key, AwareDatetime] = Field(default_factory=dict, max_length=KEYS_MAX)
    """When a certified read first missed the key."""
    rows_accepted: dict[_Name, Annotated[int, Field(ge=0)]] = Field(default_factory=dict, max_length=20)
    """Rows of the last accepted run, by source."""


class Past(Document):
    """The past of one connector."""

    connector: _Name
    target: _Name
    """Name of the target connection."""
    entities: dict[_Name, EntityPast] = Field(min_length=1, max_length=20)


class SeedingSettings(BaseSettings):
    """What the program is told by its environment."""

    model_config = SettingsConfigDict(env_prefix="AETHER_", extra="ignore", frozen=True)

    database_url: str
    """The differ's own database."""
    database_password: SecretReference | None = None
    """Reference to the password of the user that the address names."""


class SeedRefused(Exception):
    """The file cannot be taken; the message names it, the places and what to do."""


def past_from(body: bytes, name: str, *, now: datetime) -> Past:
    """The past that a file tells of; `SeedRefused` with the first faults, each with its place."""
    try:
        past = Past.model_validate_json(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        faults = [f"{'.'.join(str(part) for part in fault['loc']) or 'file'}: {fault['msg']}" for fault in found]
        raise SeedRefused(f"{name}: {_listed(faults)}") from None
    faults = [
        f"entities.{entity}.{fault}" for entity, one in past.entities.items() for fault in _faults_of(one, now=now)
    ]
    if faults:
        raise SeedRefused(f"{name}: {_listed(faults)}")
    return past


def _faults_of(past: EntityPast, *, now: datetime) -> list[str]:
    late = [f"missed.{key}: {at.isoformat()} has not come yet" for key, at in past.missed.items() if at > now]
    keys_of: dict[str, str] = {}
    shared = []
    for key, target_id in past.links.items():
        if target_id in keys_of:
            shared.append(f"links.{key}: {target_id} is linked to {keys_of[target_id]} already; a record has one key")
        keys_of[target_id] = key
    return [*late, *shared]


def _listed(faults: list[str]) -> str:
    more = len(faults) - FAULTS_SHOWN_MAX
    return "; ".join(faults[:FAULTS_SHOWN_MAX]) + (f"; and {more} more" if more > 0 else "")


async def seed(ledger: Ledger, past: Past) -> None:
    """Write the past into the ledger; done again it changes nothing."""
    await ledger.prepare()
    for entity, one in past.entities.items():
        await ledger.remember_history(
            Seed(
                scope=Scope(connector=past.connector, target=past.target, entity=entity),
                certified_runs=one.certified_runs,
                has_applied=one.has_applied,
                links=one.links,
                missed=one.missed,
                rows_accepted=one.rows_accepted,
            )
        )


def _read(path: Path) -> bytes:
    try:
        if (size := path.stat().st_size) > FILE_BYTES_MAX:
            raise SeedRefused(f"{path.name}: {size} bytes, allowed {FILE_BYTES_MAX}; seed entity by entity")
        return path.read_bytes()
    except OSError as error:
        raise SeedRefused(f"{path.name}: cannot be read ({error.strerror}); name a readable JSON file") from error


async def _seed_database(settings: SeedingSettings, past: Past) -> None:
    ledger = Ledger(settings.database_url, password=settings.database_password)
    try:
        await seed(ledger, past)
    finally:
        await ledger.close()


def main(arguments: list[str]) -> int:
    """Entry point; 0 when the past was written, 1 when not."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m services.differ.seeding FILE.json\n")
        return 1
    try:
        path = Path(arguments[0])
        past = past_from(_read(path), path.name, now=SystemClock().now())
        asyncio.run(_seed_database(SeedingSettings(), past))
    except (SeedRefused, ValidationError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for entity, one in past.entities.items():
        sys.stdout.write(
            f"{past.connector} {entity}: {one.certified_runs} certified runs, {len(one.links)} links, "
            f"{len(one.missed)} missed\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

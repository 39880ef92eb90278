"""A district's files in a folder, and what reads and writes them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from shared.ports.connections import Connection
from shared.ports.registry import Registry, installed_systems_folder
from shared.ports.system import Receipt, Source, Target
from shared.ports.wire import ChangeVerb
from tests.conformance.bench import Observed

VENDORS = Path(__file__).with_name("vendors")
CATAPULT_HEADER = "id,school,nameFirst,nameLast,email,mobileNumber,title,role\r\n"


@lru_cache(maxsize=1)
def _registry() -> tuple[Registry, Observed, dict[str, str]]:
    """One for all tests of a process: reading every manifest takes longer than most of them."""
    observed, secrets = Observed(), dict[str, str]()
    surroundings = observed.surroundings(secrets)
    return Registry(installed_systems_folder(), vendors_folder=VENDORS, surroundings=surroundings), observed, secrets


class House:
    """The registry, and connections to one place."""

    def __init__(
        self, place: Mapping[str, Any], *, system: str = "district_files", secrets: Mapping[str, str] | None = None
    ) -> None:
        self.place = dict(place)
        self.system = system
        self.registry, self.observed, known = _registry()
        known.update(secrets or {})
        self._opened: list[Source] = []

    def source(self, **settings: Any) -> Source:
        """A source; closed with the house."""
        source = self.registry.open_source(self._connection(settings))
        self._opened.append(source)
        return source

    def target(self, **settings: Any) -> Target:
        """A target; closed with the house."""
        target = self.registry.open_target(self._connection(settings))
        self._opened.append(target)
        return target

    async def send(
        self, target: Target, entity: str, verb: ChangeVerb, target_id: str | None = None, **values: Any
    ) -> Receipt:
        """One change, as a plan would hold it."""
        write = self.registry.wire(self.system).write_for(entity, verb=verb, target_id=target_id, values=values)
        return await target.write(write, idempotency_key="change")

    async def close(self) -> None:
        """Close what was opened."""
        for each in self._opened:
            await each.close()

    def _connection(self, settings: dict[str, Any]) -> Connection:
        return Connection(
            name="files",
            system=self.system,
            environment="staging",
            settings={**self.place, "page_rows": 10, "settle_seconds": 0, **settings},
        )


async def rows_of(source: Source, entity: str) -> list[dict[str, Any]]:
    """All rows of a new reading."""
    frames = [page.rows async for page in source.read(entity)]
    return pl.concat(frames).to_dicts()


def contact(number: int, **values: Any) -> dict[str, Any]:
    """All fields of a contact."""
    return {"contact_id": f"N{number}", "name": "Zoë", "since": "2026-08-13", "is_active": True, **values}

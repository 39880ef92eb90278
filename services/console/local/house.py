"""The local tables and what the connectors say of them, for the pages of one console.

Definitions are read anew only when a file of them changed: reading all of them takes a good part of a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from anyio import to_thread

from services.console.definitions import Definitions
from services.console.local.origins import LOCAL, Origins, origins_of
from services.console.local.reading import LocalData
from services.console.settings import ConsoleSettings
from shared.contract.connector import Connector
from shared.errors import NeedsPerson


@dataclass(frozen=True)
class Said:
    """What the connectors say of the local tables."""

    origins: Origins
    faulty: tuple[str, ...]
    """Connectors whose definition cannot be read; what only these describe counts as personal."""


class LocalHouse:
    """The local tables of one console; `data` is None where no database is named."""

    def __init__(self, data: LocalData | None, definitions: Definitions, *, connectors: Path) -> None:
        self.data = data
        self._folder = connectors
        self._definitions = definitions
        self._said: tuple[object, Said] | None = None

    @classmethod
    def of(cls, settings: ConsoleSettings, definitions: Definitions) -> Self:
        """The tables that the settings name; nothing is connected yet."""
        url, schema = settings.local_database_url, settings.local_database_schema
        password, prefix = settings.local_database_password, settings.local_table_prefix
        data = None if url is None else LocalData.open(url, password=password, schema=schema, prefix=prefix)
        return cls(data, definitions, connectors=settings.connectors)

    async def close(self) -> None:
        """Close every connection."""
        if self.data is not None:
            await self.data.close()

    def keys(self) -> dict[str, str]:
        """The local tables by the name of their entity, each with its key column."""
        return {name: entity.key for name, entity in self._definitions.registry.manifest(LOCAL).entities.items()}

    async def said(self) -> Said:
        """What the connectors say now."""
        return await to_thread.run_sync(self._read)

    def _read(self) -> Said:
        state = self._fingerprint()
        if self._said is None or self._said[0] != state:
            self._said = (state, self._fresh())
        return self._said[1]

    def _fingerprint(self) -> tuple[tuple[str, int], ...]:
        """Equal as long as no file of a connector changed."""
        files = sorted(each for each in self._folder.glob("*/**/*") if each.is_file())
        return tuple((str(each), each.stat().st_mtime_ns) for each in files)

    def _fresh(self) -> Said:
        found: list[Connector] = []
        faulty: list[str] = []
        for name in self._definitions.names():
            try:
                found.append(self._definitions.connector(name))
            except NeedsPerson:
                faulty.append(name)
        return Said(origins_of(found), tuple(faulty))

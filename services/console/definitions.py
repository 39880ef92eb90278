"""The connectors, connections and systems of this house, as their files say.

Nothing here opens a system or resolves a secret: a page shows what is written down. What was read is kept until one of
the files changes. Checking definitions takes the better part of a second the first time, so that whoever serves pages
asks through the methods that are awaited: these read in a thread.
"""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from shared.contract.catalog import Connectors, Listing
from shared.contract.connector import Connector
from shared.contract.problems import ContractInvalid, Problem
from shared.contract.transforms import installed_transforms_folder
from shared.errors import NeedsPerson
from shared.policy.connector_policy import check_policy
from shared.ports.connections import Connection, Connections, load_connections
from shared.ports.registry import Registry
from shared.secrets import SecretReference

VENDORS_VARIABLE: Final = "AETHER_VENDORS_FOLDER"
FILES_MAX: Final = 5_000
"""Files whose times are looked at to see whether a definition changed."""
REFERENCE_DEPTH_MAX: Final = 6
"""How deep settings are looked through for references."""
REFERENCES_MAX: Final = 50
"""References of one connection that are shown."""

_REFERENCE: Final = TypeAdapter(SecretReference)
_Stamp = tuple[tuple[str, int, int], ...]
Read = TypeVar("Read")


@dataclass(frozen=True)
class Known:
    """One connector's folder, valid or not."""

    name: str
    connector: Connector | None
    """None when the definition cannot be used."""
    problems: tuple[Problem, ...] = ()
    fault: str | None = None
    """What is wrong where no place in a file can be named."""
    versions: tuple[str, ...] = ()
    """Stored releases, oldest first."""


@dataclass(frozen=True)
class CredentialReference:
    """Where a credential is kept; never what it is."""

    setting: str
    """Name of the setting, dots between its parts."""
    reference: str
    changed_at: float | None
    """When the file was last written, in seconds since 1970; None for what is no file."""
    is_missing: bool = False
    """Whether it is a file that this program does not find."""


@dataclass(frozen=True)
class KnownConnection:
    """One connection with what its settings say, without their values."""

    connection: Connection
    references: tuple[CredentialReference, ...]
    problem: str | None
    """What the system's own model has against the settings."""


class Definitions:
    """What the files say."""

    def __init__(self, *, connectors: Path, systems: Path, connections: Path, vendors: Path | None = None) -> None:
        self._folder = connectors
        self._connections = connections
        self.registry = Registry(systems, vendors_folder=vendors)
        self._catalog: Connectors | None = None
        self._turn = asyncio.Lock()
        self._stamp: _Stamp | None = None
        self._known: tuple[Known, ...] = ()
        self._connections_stamp: _Stamp | None = None
        self._known_connections: tuple[KnownConnection, ...] = ()

    @property
    def catalog(self) -> Connectors:
        """The connectors, checked against what the systems deliver; the first question takes a second."""
        if self._catalog is None:
            self._catalog = Connectors(self._folder, self.registry.columns(), self.registry.write_companions())
        return self._catalog

    def names(self) -> tuple[str, ...]:
        """The connectors by name, valid or not."""
        return tuple(sorted(each.parent.name for each in self._folder.glob("*/connector.yaml")))

    def listings(self) -> tuple[Listing, ...]:
        """One line a connector."""
        return self.catalog.listings()

    def connector(self, name: str) -> Connector:
        """One connector; `NeedsPerson` says what is wrong with it."""
        return self.catalog.load(name)

    def connections(self) -> Connections:
        """The connections; secrets are references."""
        return load_connections(self._connections)

    # -- awaited: read in a thread, and kept until a file changes ----------------------------------------------------

    async def known(self) -> tuple[Known, ...]:
        """Every connector in the order of its name; `NeedsPerson` when the folder itself cannot be used."""
        return await self._in_turn(self._read_known)

    async def named(self, name: str) -> Known | None:
        """The connector of that name; None when there is none."""
        return next((one for one in await self.known() if one.name == name), None)

    async def known_connections(self) -> tuple[KnownConnection, ...]:
        """Every connection in the order of its name; `NeedsPerson` when the document cannot be used."""
        return await self._in_turn(self._read_connections)

    async def release(self, name: str, version: str) -> Connector:
        """A stored release; `NeedsPerson` when there is none or it was altered."""
        return await self._in_turn(lambda: self.catalog.load(name, version))

    async def _in_turn(self, read: Callable[[], Read]) -> Read:
        # One at a time: a second page that asks meanwhile takes what the first one found.
        async with self._turn:
            return await asyncio.to_thread(read)

    def _read_known(self) -> tuple[Known, ...]:
        stamp = _stamp_of(self._files())
        if stamp != self._stamp:
            self._known = tuple(self._known_of(name) for name in self.catalog.names())
            self._stamp = stamp
        return self._known

    def _known_of(self, name: str) -> Known:
        try:
            versions = self.catalog.versions(name)
            connector = self.catalog.load(name)
            check_policy(connector.definition)
            return Known(name, connector, versions=versions)
        except ContractInvalid as invalid:
            return Known(name, None, problems=invalid.problems)
        except NeedsPerson as error:
            return Known(name, None, fault=error.message)

    def _files(self) -> Iterator[Path]:
        """What a definition is made of; examples mean nothing to a run."""
        for pattern in ("*/*.yaml", "*/tables/*.csv", "*/releases/*.json"):
            yield from self._folder.glob(pattern)
        yield from installed_transforms_folder().glob("*.py")

    def _read_connections(self) -> tuple[KnownConnection, ...]:
        stamp = _stamp_of([self._connections])
        if stamp != self._connections_stamp:
            document = self.connections()
            self._known_connections = tuple(self._known_connection(document.named(name)) for name in document.names())
            self._connections_stamp = stamp
        # The times of credentials are looked at each time: they are what a person just renewed.
        return tuple(
            KnownConnection(one.connection, _references(one.connection), one.problem) for one in self._known_connections
        )

    def _known_connection(self, connection: Connection) -> KnownConnection:
        try:
            self.registry.check_settings(connection)
        except NeedsPerson as error:
            return KnownConnection(connection, (), error.message)
        return KnownConnection(connection, (), None)


def _stamp_of(files: Iterator[Path] | list[Path]) -> _Stamp:
    """Name, time and size of files: another stamp, another content."""
    found = []
    for file in files:
        try:
            seen = file.stat()
        except OSError:
            continue  # gone since it was listed; the next look has another stamp
        found.append((str(file), seen.st_mtime_ns, seen.st_size))
        if len(found) > FILES_MAX:
            raise NeedsPerson("CTR_INVALID", f"there are more than {FILES_MAX} files of connectors; split the folder")
    return tuple(sorted(found))


def _references(connection: Connection) -> tuple[CredentialReference, ...]:
    """The references among a connection's settings. Only text that has the form of one is ever taken."""
    found: list[CredentialReference] = []
    for setting, text in _texts(connection.settings, ""):
        try:
            reference = _REFERENCE.validate_python(text)
        except ValidationError:
            continue
        changed_at, is_missing = _file_time(reference)
        found.append(CredentialReference(setting, reference, changed_at, is_missing))
        if len(found) == REFERENCES_MAX:
            break
    return tuple(found)


def _texts(value: object, place: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    elif depth < REFERENCE_DEPTH_MAX and isinstance(value, dict):
        for name, part in value.items():
            yield from _texts(part, f"{place}.{name}" if place else str(name), depth + 1)
    elif depth < REFERENCE_DEPTH_MAX and isinstance(value, list):
        for number, part in enumerate(value, start=1):
            yield from _texts(part, f"{place}.{number}", depth + 1)


def _file_time(reference: str) -> tuple[float | None, bool]:
    """When the file behind a reference was written, and whether it is missing; it is never opened."""
    scheme, _, path = reference.partition(":")
    if scheme != "file":
        return None, False
    try:
        seen = Path(path).stat()
    except (OSError, ValueError):
        return None, True
    return (seen.st_mtime, False) if stat.S_ISREG(seen.st_mode) else (None, True)

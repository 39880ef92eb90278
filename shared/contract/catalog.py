"""The connectors of a folder: which there are, what state each is in, and one of them by name, version or digest.

Reads files only when asked, so a changed file is seen by the next question; what was asked for by its digest is kept,
for nothing else has that digest. What a run was started with is found by its digest, whatever has become of the folder
since.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shared.contract.connector import Connector
from shared.contract.known import EntityColumns, WriteCompanions
from shared.contract.loading import load_connector
from shared.contract.model import Lifecycle
from shared.contract.problems import ContractInvalid, Problem
from shared.contract.releases import release_of, release_with, released_versions
from shared.errors import NeedsPerson
from shared.ids import is_name

CONNECTORS_MAX = 500
RELEASES_KEPT_MAX = 20
"""Connectors that are remembered by their digest."""


@dataclass(frozen=True)
class Listing:
    """One line of the list of connectors."""

    name: str
    version: str | None
    """None, like all the following, when the definition is not valid."""
    title: str | None
    lifecycle: Lifecycle | None
    digest: str | None
    problems: tuple[Problem, ...]
    """Empty for a valid definition."""
    is_published: bool = False
    """Whether this version is stored as a release."""


class Connectors:
    """The connectors in the subfolders of one folder; with `columns` and `companions`, checked against what the systems
    declare."""

    def __init__(
        self,
        folder: Path,
        columns: EntityColumns | None = None,
        companions: WriteCompanions | None = None,
        *,
        transforms_folder: Path | None = None,
    ) -> None:
        self._folder = folder
        self._columns = columns
        self._companions = companions
        self._transforms = transforms_folder
        self._met: dict[tuple[str, str], Connector] = {}

    def names(self) -> tuple[str, ...]:
        """The names of all subfolders that hold a definition, in order."""
        found = sorted(path.parent.name for path in self._folder.glob("*/connector.yaml"))
        if len(found) > CONNECTORS_MAX:
            raise NeedsPerson(
                "CTR_INVALID", f"there are {len(found)} connectors, allowed {CONNECTORS_MAX}; split the folder"
            )
        return tuple(name for name in found if is_name(name))

    def load(self, name: str, version: str | None = None) -> Connector:
        """The connector of that name as its folder has it, or the release of that version.

        `NeedsPerson` CTR_UNKNOWN when there is none, `ContractInvalid` for a faulty folder, CTR_ALTERED for a release
        that was altered. A folder that holds the version asked for is taken before the release: it has the lifecycle of
        today.
        """
        folder = self._known(name)
        if version is None:
            return self._loaded(folder)
        connector = self._of_folder(folder)
        if connector is not None and connector.definition.version == version:
            return connector
        released = release_of(folder, version)
        if released is None:
            known = ", ".join(self.versions(name)) or "none"
            text = f"connector {name} has no release {version}; the releases are {known}"
            raise NeedsPerson("CTR_UNKNOWN", text, connector=name)
        return released

    def release(self, name: str, digest: str) -> Connector:
        """The connector with exactly this digest, as its folder has it or as a release; CTR_UNKNOWN without one."""
        # What has this digest cannot change, so it need not be read again for each partition of a run.
        if (name, digest) in self._met:
            return self._met[name, digest]
        folder = self._known(name)
        connector = self._of_folder(folder)
        if connector is None or connector.digest != digest:
            connector = release_with(folder, digest)
        if connector is None:
            text = f"connector {name} has no release with digest {digest}; publish a release before its folder changes"
            raise NeedsPerson("CTR_UNKNOWN", text, connector=name)
        if len(self._met) >= RELEASES_KEPT_MAX:
            self._met.pop(next(iter(self._met)))
        self._met[name, digest] = connector
        return connector

    def versions(self, name: str) -> tuple[str, ...]:
        """The versions of the connector that are stored as releases, oldest first."""
        return released_versions(self._known(name))

    def _known(self, name: str) -> Path:
        names = self.names()
        if name not in names:
            known = ", ".join(names) or "none"
            raise NeedsPerson(
                "CTR_UNKNOWN", f"there is no connector {name!r}; the connectors are {known}", connector=name
            )
        return self._folder / name

    def _loaded(self, folder: Path) -> Connector:
        return load_connector(folder, self._columns, self._companions, transforms_folder=self._transforms)

    def _of_folder(self, folder: Path) -> Connector | None:
        """The folder's connector; None while it is faulty, which makes no release unknown."""
        try:
            return self._loaded(folder)
        except ContractInvalid:
            return None

    def listings(self) -> tuple[Listing, ...]:
        """All connectors in order of their names; a faulty one is listed with its problems."""
        return tuple(self._listing(name) for name in self.names())

    def _listing(self, name: str) -> Listing:
        try:
            connector = self._loaded(self._folder / name)
        except ContractInvalid as error:
            return Listing(name, None, None, None, None, error.problems)
        definition = connector.definition
        return Listing(
            name,
            definition.version,
            definition.title,
            definition.lifecycle,
            connector.digest,
            (),
            connector.is_published,
        )

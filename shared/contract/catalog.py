"""The connectors of a folder: which there are, what state each is in, and one of them by name.

Reads files only when asked and keeps nothing, so a changed file is seen by the next question.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shared.contract.checking import EntityColumns
from shared.contract.loading import Connector, load_connector
from shared.contract.model import Lifecycle
from shared.contract.problems import ContractInvalid, Problem
from shared.errors import NeedsPerson
from shared.ids import is_name

CONNECTORS_MAX = 500


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


class Connectors:
    """The connectors in the subfolders of one folder; with `columns`, checked against what the systems declare."""

    def __init__(self, folder: Path, columns: EntityColumns | None = None) -> None:
        self._folder = folder
        self._columns = columns

    def names(self) -> tuple[str, ...]:
        """The names of all subfolders that hold a definition, in order."""
        found = sorted(path.parent.name for path in self._folder.glob("*/connector.yaml"))
        if len(found) > CONNECTORS_MAX:
            raise NeedsPerson(
                "CTR_INVALID", f"there are {len(found)} connectors, allowed {CONNECTORS_MAX}; split the folder"
            )
        return tuple(name for name in found if is_name(name))

    def load(self, name: str) -> Connector:
        """The connector of that name; `NeedsPerson` CTR_UNKNOWN without one, `ContractInvalid` for a faulty one."""
        names = self.names()
        if name not in names:
            known = ", ".join(names) or "none"
            raise NeedsPerson(
                "CTR_UNKNOWN", f"there is no connector {name!r}; the connectors are {known}", connector=name
            )
        return load_connector(self._folder / name, self._columns)

    def listings(self) -> tuple[Listing, ...]:
        """All connectors in order of their names; a faulty one is listed with its problems."""
        return tuple(self._listing(name) for name in self.names())

    def _listing(self, name: str) -> Listing:
        try:
            connector = load_connector(self._folder / name, self._columns)
        except ContractInvalid as error:
            return Listing(name, None, None, None, None, error.problems)
        definition = connector.definition
        return Listing(name, definition.version, definition.title, definition.lifecycle, connector.digest, ())

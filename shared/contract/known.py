"""What the names in a definition can mean: its own aliases and fields, its files, and what the systems declare.

Pure: the one value that every check of a definition is handed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from shared.contract.model import ConnectorDefinition
from shared.contract.positions import Located, Path
from shared.contract.problems import Problem
from shared.contract.protected import ProtectedRecords
from shared.contract.tables import MappingTable
from shared.contract.transforms import Transform

EntityColumns = Mapping[tuple[str, str], Collection[str]]
"""The columns that systems declare, by (system, entity); a source or target that is not in it does not exist."""
WriteCompanions = Mapping[tuple[str, str], Collection[str]]
"""The columns that every change of a record has to send along, by (system, entity); none where there is no entry."""


@dataclass(frozen=True)
class Known:
    """A definition whose shape is accepted, with everything that its names may mean."""

    definition: ConnectorDefinition
    tables: Mapping[str, MappingTable | None]
    """None for a table that is there and could not be read."""
    transforms: Mapping[str, Transform | None]
    """None for a transform that is there and cannot be used."""
    located: Located
    """Places of the definition."""
    columns: EntityColumns | None
    """None when nothing is known of the systems."""
    companions: WriteCompanions = field(default_factory=dict)
    protected: ProtectedRecords = field(default_factory=dict)
    listed: Located = field(default_factory=lambda: Located("protected.yaml"))
    """Places of the list of protected records."""

    @property
    def usable_transforms(self) -> dict[str, Transform]:
        """The transforms that can be called."""
        return {name: transform for name, transform in self.transforms.items() if transform is not None}

    def declared(self, system: str, entity: str) -> Collection[str] | None:
        """The columns of an entity; None when there is no such entity, or nothing is known of any."""
        return None if self.columns is None else self.columns.get((system, entity))

    def entities_of(self, system: str) -> list[str]:
        """The entities of a system."""
        return [entity for name, entity in self.columns or () if name == system]

    def problem(self, path: Path, text: str, fix: str, *, at_key: bool = False) -> Problem:
        """A problem of the definition."""
        return self.located.problem(path, text, fix, at_key=at_key)


def among(what: str, names: Collection[str]) -> str:
    """What may be written, for the end of a message."""
    return f"the {what} are {', '.join(sorted(names))}" if names else f"there are no {what}"

"""The family as the registry meets it: one interface document makes one system; see `shared.ports.family`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel

from shared.ports.family import FamilyEntity
from shared.ports.surroundings import Surroundings
from shared.ports.system import Column
from systems.files.columns import columns_of
from systems.files.description import FilesInterface
from systems.files.settings import FilesSettings, settings_of
from systems.files.wire import FilesWire

if TYPE_CHECKING:  # planning needs no network, and writing no columnar engine
    from systems.files.source import FilesSource
    from systems.files.target import FilesTarget


def family_of(document: Mapping[str, Any], *, name: str) -> FilesFamily:
    """The system that the interface document describes; pydantic's `ValidationError` holds the places of problems."""
    return FilesFamily(FilesInterface.model_validate(dict(document)))


class FilesFamily:
    """One system of the family."""

    def __init__(self, files: FilesInterface) -> None:
        self.files = files
        self._settings = settings_of(files)

    def entities(self) -> Mapping[str, FamilyEntity]:
        """Every entity of the interface document, by its name."""
        return {
            name: FamilyEntity(columns=entity.columns, is_writable=entity.write is not None, write_companions=())
            for name, entity in self.files.entities.items()
        }

    def settings(self) -> type[BaseModel]:
        """The model of a connection's settings."""
        return self._settings

    def columns_of(self, entity: str) -> Sequence[Column]:
        """The columns of an entity; `StopRun` for an unknown one."""
        return columns_of(self.files, entity)

    def build_source(self, config: BaseModel, surroundings: Surroundings) -> FilesSource:
        """A source with the login that may only read."""
        from systems.files.source import source_of

        return source_of(cast(FilesSettings, config), surroundings)

    def build_target(self, config: BaseModel, surroundings: Surroundings) -> FilesTarget:
        """A target with the login that may write."""
        from systems.files.target import target_of

        return target_of(cast(FilesSettings, config), surroundings)

    def build_wire(self) -> FilesWire:
        """The pure encoder of writes."""
        return FilesWire(self.files)

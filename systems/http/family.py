"""The family as the registry meets it: one interface document makes one system; see `shared.ports.family`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel

from shared.ports.family import FamilyEntity
from shared.ports.surroundings import Surroundings
from shared.ports.system import Column
from systems.http.columns import columns_of
from systems.http.description import HttpInterface
from systems.http.settings import InterfaceSettings, settings_of
from systems.http.wire import HttpWire

if TYPE_CHECKING:  # planning needs no network, and writing no columnar engine
    from systems.http.source import HttpSource
    from systems.http.target import HttpTarget


def family_of(document: Mapping[str, Any], *, name: str) -> HttpFamily:
    """The system that the interface document describes; pydantic's `ValidationError` holds the places of problems."""
    return HttpFamily(HttpInterface.model_validate(dict(document)), name=name)


class HttpFamily:
    """One system of the family."""

    def __init__(self, http: HttpInterface, *, name: str) -> None:
        self.http = http
        self._name = name
        self._settings = settings_of(http, name=name)

    def entities(self) -> Mapping[str, FamilyEntity]:
        """Every entity of the interface document, by its name."""
        return {
            name: FamilyEntity(
                columns=tuple(entity.fields),
                is_writable=bool(entity.templates()) or entity.batch is not None,
                write_companions=entity.companions,
            )
            for name, entity in self.http.entities.items()
        }

    def settings(self) -> type[BaseModel]:
        """The model of a connection's settings."""
        return self._settings

    def columns_of(self, entity: str) -> Sequence[Column]:
        """The columns of an entity; `StopRun` for an unknown one."""
        return columns_of(self.http, entity, system=self._name)

    def build_source(self, config: BaseModel, surroundings: Surroundings) -> HttpSource:
        """A source with the credential that may only read."""
        from systems.http.source import source_of

        return source_of(self.http, cast(InterfaceSettings, config), surroundings, name=self._name)

    def build_target(self, config: BaseModel, surroundings: Surroundings) -> HttpTarget:
        """A target with the credential that may write."""
        from systems.http.target import target_of

        return target_of(self.http, cast(InterfaceSettings, config), surroundings, name=self._name)

    def build_wire(self) -> HttpWire:
        """The pure encoder of writes."""
        return HttpWire(self.http, name=self._name)

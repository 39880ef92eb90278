"""Families: systems that differ in data only, spoken to by one body of code.

A family's code lies in `systems/<family>/`; `family.py` there offers `family_of(document, name=…)`, which turns a
system's interface document into a `Family`. What a family makes of the document is its own affair; the registry
compares what comes of it with the manifest, opens sources and targets through it, and knows no family by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel

from shared.ports.surroundings import Surroundings
from shared.ports.wire import Wire

if TYPE_CHECKING:
    from shared.ports.system import Column, Source, Target


@dataclass(frozen=True)
class FamilyEntity:
    """What an interface document says of one entity, as far as the manifest has to agree with it."""

    columns: tuple[str, ...]
    is_writable: bool
    """Whether it knows any request that changes a record."""
    write_companions: tuple[str, ...]
    """See `shared.ports.manifest.ManifestEntity.write_companions`."""


class Family(Protocol):
    """One system of a family, ready to be opened."""

    def entities(self) -> Mapping[str, FamilyEntity]:
        """Every entity of the interface document, by its name."""
        ...

    def settings(self) -> type[BaseModel]:
        """The model of a connection's settings."""
        ...

    def columns_of(self, entity: str) -> Sequence[Column]:
        """The columns of an entity; `StopRun` for an unknown one."""
        ...

    def build_source(self, config: BaseModel, surroundings: Surroundings) -> Source:
        """A source with the credential that may only read; `config` is one of `settings()`."""
        ...

    def build_target(self, config: BaseModel, surroundings: Surroundings) -> Target:
        """A target with the credential that may write."""
        ...

    def build_wire(self) -> Wire:
        """The pure encoder of writes."""
        ...


class FamilyModule(Protocol):
    """What `systems/<family>/family.py` offers."""

    def family_of(self, document: Mapping[str, Any], *, name: str) -> Family:
        """The system that the document describes; raises pydantic's `ValidationError` with the places in it.

        `name` is the system's, for messages.
        """
        ...

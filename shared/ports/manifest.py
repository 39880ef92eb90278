"""The manifest: what a system's folder says of itself, so that nobody has to import it to know it.

Read from `systems/<name>/manifest.yaml`. It names the modules to load and what they offer; it holds no address, no
credential and no code.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Role = Literal["source", "target"]
"""Read from it, or (also) write to it."""

SystemName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
"""The folder's name."""
Entry = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*:[A-Za-z_][A-Za-z0-9_]*$", max_length=100)]
"""`module:name` inside the system's folder."""


class ManifestEntity(BaseModel):
    """One kind of record that the system has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    roles: list[Role] = Field(min_length=1)
    """What can be done with it."""
    key: str = Field(min_length=1, max_length=100)
    """The column that tells its records apart."""


class Manifest(BaseModel):
    """One system, described."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: SystemName
    """The same as the folder's name."""
    title: str = Field(min_length=1, max_length=100)
    """The system's name for people."""
    summary: str = Field(min_length=1, max_length=500)
    """One or two sentences: what is read or written, and over what."""
    entities: dict[str, ManifestEntity] = Field(min_length=1)
    """By the names that connectors use."""
    capabilities: list[Role] = Field(min_length=1)
    """The roles that the system can play at all."""
    config: Entry
    """The pydantic model of a connection's settings."""
    columns: Entry
    """`columns_of(entity) -> Sequence[Column]`: the columns of each entity, known without a connection."""
    source: Entry | None = None
    """`build_source(config, surroundings) -> Source`."""
    target: Entry | None = None
    """`build_target(config, surroundings) -> Target`."""
    wire: Entry | None = None
    """`build_wire() -> Wire`."""
    confirmed_with_vendor: bool
    """Whether the vendor has confirmed the behaviour that this system assumes."""

    @model_validator(mode="after")
    def _entries_fit_capabilities(self) -> Manifest:
        if ("source" in self.capabilities) != (self.source is not None):
            raise ValueError("capability source and entry source go together; give both or neither")
        if ("target" in self.capabilities) != (self.target is not None and self.wire is not None):
            raise ValueError("capability target goes together with entries target and wire; give all or none")
        for name, entity in self.entities.items():
            for role in entity.roles:
                if role not in self.capabilities:
                    raise ValueError(f"entity {name} has role {role}, which capabilities leave out; add it there")
        return self

"""The manifest: what a system's folder says of itself, so that nobody has to import it to know it.

Read from `systems/<name>/manifest.yaml`. It names the modules to load and what they offer, or the family that reads the
system from an interface document beside it; it holds no address, no credential and no code.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Role = Literal["source", "target"]
"""Read from it, or (also) write to it."""

SystemName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
"""The folder's name."""
FamilyName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
"""The folder beside the installed systems that holds the code of a family."""
DocumentName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*\.yaml$", max_length=60)]
"""A file in the system's folder."""
Entry = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*:[A-Za-z_][A-Za-z0-9_]*$", max_length=100)]
"""`module:name` inside the system's folder."""


class ManifestEntity(BaseModel):
    """One kind of record that the system has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    roles: list[Role] = Field(min_length=1)
    """What can be done with it."""
    key: str = Field(min_length=1, max_length=100)
    """The column that tells its records apart."""
    write_companions: list[str] = []
    """Columns that every change of a record has to send along, because the system empties what is left out."""
    soft_delete: bool = False
    """Whether a deleted record can be brought back for a while."""
    undo_days: int | None = Field(default=None, ge=0, le=3_650)
    """For how long it can be brought back; None where that is not documented."""


class VendorLimits(BaseModel):
    """What the vendor documents of its limits; None: nothing is documented."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rate_per_second: float | None = Field(default=None, gt=0, le=10_000)
    """Requests a second."""
    requests_at_once: int | None = Field(default=None, ge=1, le=1_000)
    """Requests under way at the same time."""
    batch_max: int | None = Field(default=None, ge=1, le=100_000)
    """Records in one request that takes several."""


_ENTRIES = ("config", "columns", "source", "target", "wire")


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
    limits: VendorLimits = VendorLimits()
    """Of the vendor, not of ours."""
    family: FamilyName | None = None
    """The family whose code speaks to it, by `interface`; then there are none of the entries that follow."""
    interface: DocumentName | None = None
    """The document in this folder that describes the system to its family."""
    config: Entry | None = None
    """The pydantic model of a connection's settings."""
    columns: Entry | None = None
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
    def _is_of_a_family_or_has_entries(self) -> Manifest:
        if (self.family is None) != (self.interface is None):
            raise ValueError("family and interface go together; give both or neither")
        if self.family is not None:
            given = [name for name in _ENTRIES if getattr(self, name) is not None]
            if given:
                raise ValueError(f"a system of a family has no code of its own; leave out {', '.join(given)}")
        elif self.config is None or self.columns is None:
            raise ValueError("config and columns are needed, or family and interface in their place")
        return self

    @model_validator(mode="after")
    def _entries_fit_capabilities(self) -> Manifest:
        if self.family is None:
            self._require_entries()
        for name, entity in self.entities.items():
            for role in entity.roles:
                if role not in self.capabilities:
                    raise ValueError(f"entity {name} has role {role}, which capabilities leave out; add it there")
        return self

    def _require_entries(self) -> None:
        if ("source" in self.capabilities) != (self.source is not None):
            raise ValueError("capability source and entry source go together; give both or neither")
        if ("target" in self.capabilities) != (self.target is not None and self.wire is not None):
            raise ValueError("capability target goes together with entries target and wire; give all or none")

"""What the applier is told by its environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from shared.ports.registry import installed_systems_folder
from shared.settings import ServiceSettings


class ApplierSettings(ServiceSettings):
    """Settings of the applier; it holds the only credentials that may write."""

    systems: Path = installed_systems_folder()
    """Folder of the systems."""
    vendors_folder: Path | None = None
    """Folder of further systems that are data alone: a manifest and an interface document each."""
    connections: Path
    """File of the connections and their secret references."""
    identities: Path
    """File of the people who may approve, with their public keys."""
    lease_seconds: int = Field(default=12, ge=2, le=120)
    """Time to live of the lease on a target: how long after a crash another applier may go on."""
    probe_seconds: float = Field(default=60, ge=1, le=3600)
    """First pause between two checks of a connection in quarantine; each further one is twice as long."""
    probe_seconds_max: float = Field(default=900, ge=1, le=86_400)
    """Longest pause between two checks of a connection in quarantine."""
    writes_in_flight: int = Field(default=16, ge=1, le=256)
    """Writes to one target under way at once."""

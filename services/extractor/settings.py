"""What the extractor is told by its environment."""

from __future__ import annotations

from pathlib import Path

from shared.ports.registry import installed_systems_folder
from shared.settings import ServiceSettings


class ExtractorSettings(ServiceSettings):
    """Settings of the extractor; it holds credentials that may read, and no other."""

    connectors: Path = Path("connectors")
    """Folder of the connector definitions."""
    systems: Path = installed_systems_folder()
    connections: Path
    """File of the connections and their secret references."""

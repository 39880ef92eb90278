"""What the differ is told by its environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from shared.ports.registry import installed_systems_folder
from shared.secrets import SecretReference
from shared.settings import ServiceSettings, sqlite_folder


class DifferSettings(ServiceSettings):
    """Settings of the differ; it holds no credential of any outside system."""

    connectors: Path = Path("connectors")
    """Folder of the connector definitions."""
    systems: Path = installed_systems_folder()
    """Folder of the systems."""
    vendors_folder: Path | None = None
    """Folder of further systems that are data alone: a manifest and an interface document each."""
    connections: Path
    """File of the connections; only names, systems and environments are read here, never a secret."""
    identities: Path
    """File of the people who may approve, with their public keys."""
    database_url: str
    """The differ's own database: what was written last, what was missed, and what earlier plans brought."""
    database_password: SecretReference | None = None
    """Reference to the password of the user that `database_url` names; it is read anew for each connection."""
    commitment_key: str
    """Reference to the secret from which the keys of all commitments are derived."""

    def places(self) -> Mapping[str, Path]:
        """The folder of the database, where it is a file."""
        return sqlite_folder(self.database_url)

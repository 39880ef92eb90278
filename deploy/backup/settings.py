"""What backup and restore are told by their environment, under `AETHER_…`; secrets are references, never values."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.bus.topology import Environment
from shared.secrets import SecretReference

DATABASE_NAME = r"[a-z][a-z0-9_]{0,31}"


class BackupSettings(BaseSettings):
    """Settings of `python -m deploy.backup`."""

    model_config = SettingsConfigDict(env_prefix="AETHER_", extra="ignore", frozen=True)

    environment: Environment = "staging"
    """Which of the district's houses this is; a backup of the one is never restored into the other."""
    nats_url: str | None = None
    """Address of the bus without credentials; several are separated by commas. Not needed to verify."""
    nats_ca: Path | None = None
    """PEM file of the authorities that the bus is believed by; None: those that this machine knows."""
    nats_password: SecretReference | None = None
    """Reference to the password of the bus's provisioner."""
    backup_databases: dict[str, str] = Field(default_factory=dict)
    """Addresses of the databases by name, as JSON: `{"auditor": "postgresql+psycopg://…", "console": "sqlite:////…"}`.
    Each is the service's own `AETHER_DATABASE_URL`; a restore fills the databases that are named here."""
    backup_database_passwords: dict[str, SecretReference] = Field(default_factory=dict)
    """References to the passwords of databases, by the same names, where the address has none."""
    backup_recipients: tuple[str, ...] = ()
    """Public age keys (`age1…`), as JSON list: every file is encrypted for them. Empty: not encrypted."""
    backup_identity: SecretReference | None = None
    """Reference to the secret age key (`AGE-SECRET-KEY-1…`) that an encrypted backup is restored with."""
    postgres_programs: Path | None = None
    """Folder of pg_dump and pg_restore; None: looked for where Debian and PATH have them."""

    @field_validator("backup_databases")
    @classmethod
    def _known_kinds(cls, databases: dict[str, str]) -> dict[str, str]:
        for name, url in databases.items():
            if re.fullmatch(DATABASE_NAME, name) is None:
                raise ValueError("a name in AETHER_BACKUP_DATABASES may hold small letters, digits and _, at most 32")
            if not url.startswith(("sqlite", "postgresql")):
                raise ValueError(f"the address of {name} is none of SQLite or PostgreSQL")
        return databases

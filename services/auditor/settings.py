"""What the auditor is told by its environment, under `AETHER_…`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from shared.audit.entries import NAME_CHARS_MAX
from shared.retention import LISTINGS_KEEP_DAYS, LISTINGS_KEEP_DAYS_MAX, LISTINGS_KEEP_DAYS_MIN
from shared.secrets import SecretReference
from shared.settings import ServiceSettings, sqlite_folder

BATCH_MESSAGES_MAX = 2000
"""Most messages of one transaction; far below what a consumer may have unacknowledged (5,000)."""


class AuditorSettings(ServiceSettings):
    """Settings of the auditor."""

    database_url: str = Field(pattern=r"^(sqlite\+aiosqlite|postgresql\+psycopg)://")
    """Where the record lies: `sqlite+aiosqlite:///…` or `postgresql+psycopg://…`."""
    database_password: SecretReference | None = None
    """Reference to the password of the user that `database_url` names; it is read anew for each connection."""
    signing_key: SecretReference
    """Reference to the Ed25519 private key that signs checkpoints (PKCS #8 PEM, or base64 of its 32 bytes)."""
    log_origin: str = Field(default="aether.local/audit", pattern=r"^[^\s+]+$", max_length=NAME_CHARS_MAX)
    """Name of the log in its checkpoints, and of its key."""
    batch_messages_max: int = Field(default=500, ge=1, le=BATCH_MESSAGES_MAX)
    """Most messages that one transaction records."""
    listings_keep_days: int = Field(default=LISTINGS_KEEP_DAYS, ge=LISTINGS_KEEP_DAYS_MIN, le=LISTINGS_KEEP_DAYS_MAX)
    """How long the changes of an ended run's plan can be looked through in the console."""

    def places(self) -> Mapping[str, Path]:
        """The folder of the database, where it is a file."""
        return sqlite_folder(self.database_url)

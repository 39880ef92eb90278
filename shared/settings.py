"""What every program of the house is told by its environment, under `AETHER_…`.

Secrets are references (`env:NAME`, `file:/path`), never values.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Settings that all services share."""

    model_config = SettingsConfigDict(env_prefix="AETHER_", extra="ignore", frozen=True, use_attribute_docstrings=True)

    environment: Literal["staging", "production"] = "staging"
    """Which of the district's two houses this is. A connection to production cannot be used in the one of staging."""
    nats_url: str
    """Address of the bus without credentials, e.g. `nats://127.0.0.1:4222`; several are separated by commas. `tls://`
    encrypts, and then the bus must show a certificate."""
    nats_ca: Path | None = None
    """PEM file of the authorities that the bus is believed by; None: those that this machine knows."""
    nats_password: str
    """Reference to the password of the service's own user on the bus."""
    admin_host: str = "127.0.0.1"
    """Where the admin port listens; it is for probes and Prometheus, never for the world."""
    admin_port: int = Field(default=0, ge=0, le=65535)
    """Port of /livez, /readyz and /metrics; 0 takes a free one."""
    ready_file: Path | None = None
    """When set: a file that names the admin address, written once the service takes work."""
    log_level: str = "info"
    """Least important level of log lines: debug, info, warning or error."""
    otlp_endpoint: str | None = None
    """Where traces are sent, e.g. `http://collector:4318/v1/traces`; without it they stay within the messages."""
    otlp_headers: str | None = None
    """Reference to the headers that the collector wants, as `name=value,name=value`: they may hold its credential."""
    trace_ratio: float = Field(default=1.0, ge=0, le=1)
    """Share of the traces that is kept, of those that begin in this program; others are kept as they began."""

    def places(self) -> Mapping[str, Path]:
        """Folders that this program writes to, by the names under which the room on their disks is told."""
        return {}


SQLITE_PREFIX: Final = "sqlite+aiosqlite:///"


def sqlite_folder(url: str) -> Mapping[str, Path]:
    """As a place: the folder of a database that is a file; of one on a server, none."""
    return {"data": Path(url.removeprefix(SQLITE_PREFIX)).parent} if url.startswith(SQLITE_PREFIX) else {}

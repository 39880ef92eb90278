"""What the monitor is told by its environment, under `AETHER_…`."""

from __future__ import annotations

from typing import Final

from pydantic import Field, field_validator

from services.monitor.notices.settings import NoticeSettings
from shared.secrets import SecretReference
from shared.settings import ServiceSettings

PLACES_MAX: Final = 100
"""Servers of the bus, or certificates, that one monitor looks at."""


class MonitorSettings(ServiceSettings, NoticeSettings):
    """Settings of the monitor; it holds no credential of any system."""

    audit_database_url: str = Field(pattern=r"^(sqlite\+aiosqlite|postgresql\+psycopg)://")
    """The auditor's database, with a login that can only read."""
    audit_database_password: SecretReference | None = None
    """Reference to the password of the user that `audit_database_url` names; it is read anew for each connection."""
    bus_monitoring_urls: str = ""
    """The monitoring addresses of the bus servers, separated by commas: `NAME=http://host:8222`, or the address alone,
    whose server is then named by its place (`bus-1`). None: no figures of the bus."""
    certificates: str = ""
    """Certificates whose end is told: `NAME=/path/to/file.pem`, separated by commas."""

    @field_validator("bus_monitoring_urls")
    @classmethod
    def _are_servers(cls, text: str) -> str:
        for name, url in named_parts(text, otherwise="bus"):
            if not url.startswith(("http://", "https://")):
                raise ValueError(f"{name}: {url!r} is no web address; write NAME=http://host:8222")
        return text

    @field_validator("certificates")
    @classmethod
    def _are_files(cls, text: str) -> str:
        for name, path in named_parts(text, otherwise="certificate"):
            if not path.startswith("/"):
                raise ValueError(f"{name}: {path!r} is no absolute path; write NAME=/path/to/file.pem")
        return text

    def servers(self) -> tuple[tuple[str, str], ...]:
        """Name and monitoring address of each server of the bus."""
        return tuple((name, url.rstrip("/")) for name, url in named_parts(self.bus_monitoring_urls, otherwise="bus"))

    def certificate_files(self) -> tuple[tuple[str, str], ...]:
        """Name and path of each certificate."""
        return named_parts(self.certificates, otherwise="certificate")


def named_parts(text: str, *, otherwise: str) -> tuple[tuple[str, str], ...]:
    """The parts of a list like `a=x,b=y`; a part without a name is `otherwise` and its place, from 1."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if len(parts) > PLACES_MAX:
        raise ValueError(f"{len(parts)} are named, {PLACES_MAX} are allowed")
    found: dict[str, str] = {}
    for place, part in enumerate(parts, start=1):
        head, sign, rest = part.partition("=")
        # An address may hold a = of its own, behind its ://.
        is_named = bool(sign) and "/" not in head
        name, value = (head.strip(), rest.strip()) if is_named else (f"{otherwise}-{place}", part)
        if not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or len(name) > 63:
            raise ValueError(f"{name[:63]!r} is no name; use letters, digits, - and _, at most 63")
        if name in found:
            raise ValueError(f"the name {name} is given twice")
        found[name] = value
    return tuple(found.items())

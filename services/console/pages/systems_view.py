"""What the page about systems shows: each system as its manifest says, each connection as its settings say.

It reads nothing itself. No value of a setting is shown but references to credentials and the host of an address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

from services.console.definitions import KnownConnection
from services.console.pages.connectors_view import RunLine
from shared.clock import from_text, to_text
from shared.events.queries import QuarantinedConnection
from shared.ports.manifest import Manifest
from shared.ports.quality import AUTHORITY, Tier, missing_for
from shared.ports.registry import Registry

ADDRESS_SETTINGS: Final = ("base_url", "url", "token_url")
CREDENTIAL_DAYS_LEFT: Final = 30
"""Days before its end from which on a credential should be renewed."""
CREDENTIAL_DAYS_OLD: Final = 365
"""A credential that nobody renewed for so long is worth a look."""

Health = Literal["ready", "quarantined", "faulty", "unknown"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class EntityRow(_Model):
    """One kind of record of a system."""

    name: str
    key: str
    can_read: bool
    can_write: bool


class SystemCard(_Model):
    """One system that is installed."""

    name: str
    title: str
    summary: str
    read_tier: str | None
    """None where it cannot be read."""
    write_tier: str | None
    """None where it cannot be written."""
    may: str
    """What the house lets a system of its lower tier do."""
    lacks: tuple[str, ...]
    """Rules that keep it from being gold for writing, or silver for reading."""
    confirmed_with_vendor: bool
    vendor_limits: tuple[str, ...]
    entities: tuple[EntityRow, ...]


class CredentialView(_Model):
    """Where a credential is kept; never what it is."""

    setting: str
    reference: str
    changed_at: str | None
    """When the file was last written; None for what is no file that this program sees."""
    is_missing: bool
    is_old: bool
    ends_at: str | None = None
    """When it ends, where it says so itself and the extractor may read it."""
    ends_soon: bool = False


class ConnectionCard(_Model):
    """One connection."""

    name: str
    system: str
    title: str
    environment: str
    address: str | None
    """Scheme and host only."""
    rate_per_second: float | None
    """The house's own budget for all programs together; None: no bound of ours."""
    health: Health
    """`unknown` while nobody says whether it is in quarantine."""
    since: str | None
    why: str | None
    code: str | None
    probes: int
    credentials: tuple[CredentialView, ...]
    problem: str | None
    """What is wrong with its settings."""
    connectors: tuple[str, ...]
    last_run: RunLine | None


class SystemsPage(_Model):
    """Every system and every connection."""

    systems: tuple[SystemCard, ...]
    connections: tuple[ConnectionCard, ...]
    connections_fault: str | None
    """Why the connections cannot be shown."""
    health_why_not: str | None
    """Why nothing is known about quarantine."""


def system_card(registry: Registry, name: str) -> SystemCard:
    """One system as its manifest and its rules say."""
    manifest, quality = registry.manifest(name), registry.quality(name)
    read = registry.tier(name, role="source") if "source" in manifest.capabilities else None
    write = registry.tier(name, role="target") if "target" in manifest.capabilities else None
    lowest = min(tier for tier in (read, write) if tier is not None)
    return SystemCard(
        name=name,
        title=manifest.title,
        summary=manifest.summary,
        read_tier=None if read is None else read.title,
        write_tier=None if write is None else write.title,
        may=AUTHORITY[lowest],
        lacks=missing_for(Tier.SILVER if write is None else Tier.GOLD, quality, manifest),
        confirmed_with_vendor=manifest.confirmed_with_vendor,
        vendor_limits=tuple(_limits(manifest)),
        entities=tuple(
            EntityRow(
                name=entity,
                key=described.key,
                can_read="source" in described.roles,
                can_write="target" in described.roles,
            )
            for entity, described in sorted(manifest.entities.items())
        ),
    )


def connection_card(
    known: KnownConnection,
    titles: Mapping[str, str],
    *,
    quarantined: Mapping[str, QuarantinedConnection] | None,
    connectors: Sequence[str],
    last_run: RunLine | None,
    now: datetime,
    ends: Mapping[tuple[str, str], str] | None = None,
) -> ConnectionCard:
    """One connection; `quarantined` is None when nobody says which are in quarantine."""
    connection = known.connection
    held = None if quarantined is None else quarantined.get(connection.name)
    health: Health = "unknown" if quarantined is None else "ready" if held is None else "quarantined"
    return ConnectionCard(
        name=connection.name,
        system=connection.system,
        title=titles.get(connection.system, connection.system),
        environment=connection.environment,
        address=_address(connection.settings),
        rate_per_second=connection.rate_per_second,
        health="faulty" if known.problem is not None else health,
        since=None if held is None else held.since,
        why=None if held is None or held.reason is None else held.reason.text,
        code=None if held is None or held.reason is None else held.reason.code,
        probes=0 if held is None else held.probes,
        credentials=tuple(
            CredentialView(
                setting=one.setting,
                reference=one.reference,
                changed_at=None if one.changed_at is None else to_text(datetime.fromtimestamp(one.changed_at, UTC)),
                is_missing=one.is_missing,
                is_old=one.changed_at is not None and _is_old(one.changed_at, now),
                ends_at=(ends or {}).get((connection.name, one.setting)),
                ends_soon=_ends_soon((ends or {}).get((connection.name, one.setting)), now),
            )
            for one in known.references
        ),
        problem=known.problem,
        connectors=tuple(connectors),
        last_run=last_run,
    )


def _is_old(changed_at: float, now: datetime) -> bool:
    return (now - datetime.fromtimestamp(changed_at, UTC)).days >= CREDENTIAL_DAYS_OLD


def _ends_soon(ends_at: str | None, now: datetime) -> bool:
    return ends_at is not None and from_text(ends_at) - now <= timedelta(days=CREDENTIAL_DAYS_LEFT)


def _address(settings: Mapping[str, object]) -> str | None:
    """Scheme and host of the connection's address: what stands behind the host, or before it, may be a secret."""
    for name in ADDRESS_SETTINGS:
        text = settings.get(name)
        if not isinstance(text, str) or not text.startswith(("http://", "https://")):
            continue
        try:
            parts = urlsplit(text)
            port = f":{parts.port}" if parts.port is not None else ""
        except ValueError:
            continue
        if parts.hostname:
            return f"{parts.scheme}://{parts.hostname}{port}"
    return None


def _limits(manifest: Manifest) -> list[str]:
    limits = manifest.limits
    found = []
    if limits.rate_per_second is not None:
        found.append(f"{limits.rate_per_second:g} requests a second")
    if limits.requests_at_once is not None:
        found.append(f"{limits.requests_at_once} requests at once")
    if limits.batch_max is not None:
        found.append(f"{limits.batch_max:,} records in one request")
    return found

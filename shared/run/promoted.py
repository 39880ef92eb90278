"""Which releases of a connector may be applied in production: the document that a promotion writes.

A release is tried in staging and then promoted by name, version and digest, with a reason; what was never promoted is
refused in production however it came into the folder of connectors.
"""

from __future__ import annotations

from typing import ClassVar, Final

from shared.events.envelope import decode
from shared.events.model import Document, Event
from shared.events.stored import Stored

PROMOTIONS_KEPT_MAX: Final = 50
"""Promotions that the document keeps, the latest; older releases are promoted anew before they are applied again."""


class Promotion(Document):
    """One release that may be applied in production."""

    version: str
    digest: str
    """Digest of the release, so that a folder cannot bring another under the same version."""
    by: str
    """The person who promoted it, by the name on the bus."""
    at: str
    """RFC 3339."""
    reason: str
    tried_in: str | None = None
    """The run in the house of staging that the person looked at."""


class ConnectorPromotions(Event):
    """What was promoted of one connector."""

    event_type: ClassVar[str] = "aether.connector.promotions.v1"
    connector: str
    promotions: tuple[Promotion, ...]
    """In the order of their making."""

    def has(self, digest: str) -> bool:
        """Whether a release with this digest was promoted."""
        return any(one.digest == digest for one in self.promotions)


def promoted_subject(connector: str) -> str:
    """The subject under which it lies."""
    return f"connector.{connector}.promoted"


def promotions_in(stored: Stored | None) -> ConnectorPromotions | None:
    """The connector's document in a stored message."""
    if stored is None:
        return None
    return decode(ConnectorPromotions, data=stored.data, headers=stored.headers, subject=stored.subject)

"""Which run of a connector is the present one: the document that keeps two from overlapping."""

from __future__ import annotations

from typing import ClassVar

from shared.events.envelope import decode
from shared.events.model import Event
from shared.events.stored import Stored


class ConnectorActive(Event):
    """The last run admitted for a connector."""

    event_type: ClassVar[str] = "aether.connector.active.v1"
    connector: str
    run: str
    waiting: str | None = None
    """An earlier run that waits for a person while a dry-run is the last one; the next apply supersedes it."""


def active_subject(connector: str) -> str:
    """The subject under which it lies."""
    return f"connector.{connector}.active"


def active_in(stored: Stored | None) -> ConnectorActive | None:
    """The connector's document in a stored message."""
    if stored is None:
        return None
    return decode(ConnectorActive, data=stored.data, headers=stored.headers, subject=stored.subject)

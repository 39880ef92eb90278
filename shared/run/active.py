"""Which run of a connector is the present one: the document that keeps two from overlapping."""

from __future__ import annotations

from typing import ClassVar

from shared.events.model import Event


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

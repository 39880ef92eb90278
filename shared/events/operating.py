"""Facts of operating the house: schedules, promotions, notices to people. They hold no personal value."""

from __future__ import annotations

from typing import ClassVar

from shared.events.model import Event
from shared.run.promoted import Promotion


class ConnectorPromoted(Event):
    """A steward promoted a release to production."""

    event_type: ClassVar[str] = "aether.connector.promoted.v1"
    connector: str
    promotion: Promotion

"""One message as a stream holds it: what a decision is shown of the bus.

Plain data; `shared.bus.reading` fetches it. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Stored:
    """One message as the stream holds it."""

    subject: str
    seq: int
    time: datetime
    """When the server stored it, UTC."""
    headers: Mapping[str, str]
    data: bytes = field(repr=False)

    @property
    def message_id(self) -> str | None:
        """The id under which it was published."""
        return self.headers.get("Nats-Msg-Id")

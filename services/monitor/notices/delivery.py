"""What a way of telling people is, and how it fails.

A sender takes one notice and either it was taken over there, or `NotDelivered` says why not. What the other side said
is kept apart from what may stand in a log: mail servers repeat addresses of people.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from ssl import SSLContext, SSLError, TLSVersion, create_default_context
from typing import Protocol

from services.monitor.notices.wording import Notice

SAID_CHARS_MAX = 500


class NotDelivered(Exception):
    """The channel did not take a notice."""

    def __init__(self, reason: str, *, said: str = "", retry_after_seconds: float | None = None) -> None:
        self.reason = reason
        """For the log: our own words, with numbers of protocols at most."""
        self.said = "".join(one if one.isprintable() else " " for one in said)[:SAID_CHARS_MAX]
        """For a person who tries the channel: what the other side answered."""
        self.retry_after_seconds = retry_after_seconds
        super().__init__(reason)


class Sender(Protocol):
    """One way to people."""

    async def send(self, notice: Notice, *, now: datetime) -> str:
        """Hand one notice over, in bounded time; returns in a sentence what the other side did. `NotDelivered`."""
        ...


def tls_context(ca: Path | None) -> SSLContext:
    """Certificates are always checked, and host names too; `NotDelivered` where the file of authorities is no good."""
    try:
        context = create_default_context(cafile=None if ca is None else str(ca))
    except (OSError, SSLError) as error:
        raise NotDelivered(f"the file of authorities {ca} cannot be read ({type(error).__name__})") from None
    context.minimum_version = TLSVersion.TLSv1_2
    return context

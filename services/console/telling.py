"""Tells the bus what happened in the console itself: who signed in, who was refused, who looked at what.

The fact is stored before the person goes on; when it cannot be stored, the act is not done.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import structlog

from services.console.visiting import Visitor
from shared.asking.problem import NoAnswer
from shared.bus.publishing import PublishFailed, PublishRefused

log = structlog.get_logger(__name__)


class Publish(Protocol):
    """Stores one fact of the console; `PublishFailed` or `PublishRefused` when it cannot."""

    async def __call__(self, *, actor: str | None, what: str, subject: str | None, detail: Mapping[str, str]) -> None:
        """Store it."""


class Telling:
    """The console's own facts."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish

    async def tell(self, what: str, *, actor: Visitor | str | None, subject: str | None = None, **detail: str) -> None:
        """Store that something happened; `NoAnswer` when it cannot be stored, and then it must not happen."""
        user = actor.user if isinstance(actor, Visitor) else actor
        try:
            await self._publish(actor=user, what=what, subject=subject, detail=detail)
        except (PublishFailed, PublishRefused) as error:
            log.error("console_fact_not_stored", what=what, error=type(error).__name__)
            raise NoAnswer(
                "what you did cannot be recorded at the moment, so it was not done",
                action="Try again shortly; if it stays so, look at the bus.",
            ) from None

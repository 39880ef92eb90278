"""Stores the console's own facts on the bus, by its own user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from services.console.telling import Publish
from shared.bus.publishing import publish_one
from shared.bus.wiring import Service
from shared.events.facts import ConsoleActed
from shared.run.moves import Message

SERVICE: Final = "console"
ACTED: Final = "audit.console.acted"
ID_CHARACTERS: Final = 26


def storing_over(service: Service) -> Publish:
    """What stores a fact over this connection to the bus; `PublishFailed` or `PublishRefused` when it cannot."""

    async def publish(*, actor: str | None, what: str, subject: str | None, detail: Mapping[str, str]) -> None:
        event = ConsoleActed.model_validate({"actor": actor, "what": what, "subject": subject, "detail": dict(detail)})
        message_id = f"{SERVICE}-{service.ids.token(ID_CHARACTERS)}"
        message = Message(subject=ACTED, event=event, message_id=message_id, about=SERVICE)
        await publish_one(service.js, service.committer.outgoing(message))

    return publish

"""Tells who listens which runs changed, once that is in the database.

A note is kept by no stream and promises nothing: who misses one looks by itself after a while. So a bus that takes no
note stops nothing.
"""

from __future__ import annotations

from collections.abc import Collection

import nats.errors
import structlog
from nats.aio.client import Client

from shared.bus.topology import AUDIT_NOTE
from shared.events.queries import RUNS_MAX, AuditNote

log = structlog.get_logger(__name__)


class Notes:
    """The auditor's notes."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def tell(self, runs: Collection[str], *, size: int) -> None:
        """Say that these runs changed, and how long the log is; nothing where no run did."""
        if not runs:
            return
        is_many = len(runs) > RUNS_MAX
        note = AuditNote(runs=() if is_many else tuple(sorted(runs)), is_many=is_many, size=size)
        try:
            await self._client.publish(AUDIT_NOTE, note.model_dump_json().encode())
        except nats.errors.Error as error:
            log.warning("audit_note_not_sent", error=type(error).__name__)

"""A differ that once tries what it may not, and then works as every other; a test starts it in place of a real one."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from services.differ.app import main
from shared.bus.connect import client_of
from shared.bus.wiring import Service

FOREIGN_SUBJECT = "evt.applier.apply_finished.forged"

_honest_run = Service.run


async def _run(service: Service, **options: Any) -> None:
    client = client_of(service.broker.jetstream)
    await client.publish(FOREIGN_SUBJECT, b"{}")
    await client.flush()
    await _honest_run(service, **options)


if __name__ == "__main__":
    with patch.object(Service, "run", _run):
        main()

"""Brings the bus's streams and consumers to what the table says, as the provisioner: `python -m deploy.setup.streams`.

Run before the services, with `AETHER_BUS_REPLICAS` copies of every stream. Done again it changes nothing. Servers that
have just started elect a leader first; that is waited for.
"""

from __future__ import annotations

import asyncio
import os
import sys

import nats.errors
from nats.js.errors import APIError

from deploy.setup.house import NATS_URL
from deploy.setup.places import MOUNTED
from shared.bus.connect import BusSettings, BusUnreachable, NotAdmitted, connect, leave
from shared.bus.provision import DriftError, ProvisionReport, provision
from shared.bus.topology import PROVISIONER

CONNECT_SECONDS_MAX = 60.0
TRIES_MAX = 60
PAUSE_SECONDS = 1.0


async def bring(settings: BusSettings, *, replicas: int) -> ProvisionReport:
    """Provision as soon as the servers agree on a leader; the last failure when they do not in time."""
    client = await connect(settings, wait_seconds=CONNECT_SECONDS_MAX)
    try:
        for left in reversed(range(TRIES_MAX)):
            try:
                return await provision(client.jetstream(), replicas)
            except (APIError, nats.errors.Error):
                if not left:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)
    finally:
        await leave(client)
    raise AssertionError("the last try returns or raises")


def main() -> int:
    """Entry point."""
    settings = BusSettings(
        url=os.environ.get("AETHER_NATS_URL", NATS_URL),
        user=PROVISIONER,
        password=(MOUNTED / "bus.password").read_text(encoding="utf-8").strip(),
        authorities=MOUNTED / "authority.pem",
    )
    replicas = int(os.environ.get("AETHER_BUS_REPLICAS", "3"))
    try:
        report = asyncio.run(bring(settings, replicas=replicas))
    except (BusUnreachable, NotAdmitted, DriftError, APIError, nats.errors.Error) as failed:
        sys.stderr.write(f"the bus is not as the table says: {failed}\n")
        return 1
    sys.stdout.write(
        f"{replicas} copies of each stream; created {', '.join(report.created) or 'nothing'}; "
        f"changed {'; '.join(str(one) for one in report.updated) or 'nothing'}; "
        f"unknown {', '.join(report.unknown) or 'nothing'}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

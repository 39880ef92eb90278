"""What the applier's handlers are given; holds no state of its own and decides nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from nats.js import JetStreamContext

from shared.bus.commit import Committer
from shared.bus.lease import LeaseHold
from shared.clock import Clock
from shared.ids import Ids
from shared.policy.approval import Identities
from shared.ports.connections import Connections
from shared.ports.registry import Registry

TURN_SHARE_OF_LEASE: Final = 1 / 8
"""How long a request may wait for its turn: a lease is looked at before, so this fits well into the lease's margin."""


@dataclass(frozen=True)
class Context:
    """What the applier's handlers work with."""

    js: JetStreamContext
    committer: Committer
    connections: Connections
    registry: Registry
    identities: Identities
    clock: Clock
    ids: Ids
    rng: Random
    holder: str
    """Name of this replica on its leases."""
    lease_seconds: int
    writes_in_flight: int
    is_leaving: Callable[[], bool] = lambda: False
    """Whether this program was asked to end."""


def lease_on(target: str, context: Context) -> LeaseHold:
    """The lease on a target, to be entered: whoever writes to it or tries its credential holds it."""
    return LeaseHold(
        context.js,
        subject=f"lease.target.{target}",
        holder=f"{context.holder}.{context.ids.token(6)}",
        ttl_seconds=context.lease_seconds,
        ids=context.ids,
        monotonic=context.clock.monotonic_seconds,
    )

"""What a system is handed when it is opened: time, chance, waiting and secrets.

A system asks for none of these itself, so a test decides them all. It never holds a bus, a table or a contract.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from shared.clock import Clock, SystemClock
from shared.ports.metering import Meter, Unmetered
from shared.ports.pacing import Pacer, Unpaced
from shared.secrets import Secret, resolve


@dataclass(frozen=True)
class Surroundings:
    """The outside of a system, as values."""

    clock: Clock = field(default_factory=SystemClock)
    rng: random.Random = field(default_factory=random.Random)
    """For the jitter of waits; nothing secret comes from it."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    """Waits that many seconds."""
    resolve: Callable[[str], Secret] = resolve
    """Reads a secret by its reference."""
    pacer: Pacer = field(default_factory=Unpaced)
    """The rate budget of the connection that is opened."""
    meter: Meter = field(default_factory=Unmetered)
    """Counts the requests of the connection that is opened."""

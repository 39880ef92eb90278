"""What the conformance suites need of a system: it set up for them, its vendor in hand, and what may be written there.

`tests/conformance/benches/<system>.py` gives `ENTITIES` and `opened(entity, folder)`, an asynchronous context manager
of a `Bench`; `test_sources.py` and `test_targets.py` then hold the system to every rule. A system without a bench is
red.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from types import TracebackType
from typing import Any, Self

import httpx

from shared.ports.metering import Request
from shared.ports.pacing import Allowance, Use
from shared.ports.surroundings import Surroundings
from shared.ports.system import Source, Target
from shared.ports.wire import Record, Value, Wire
from shared.secrets import Secret
from tests.support.without_tls import TRUSTS_NOBODY


class Observed:
    """Pacer and meter in one, that only count; put it into `Surroundings` twice: `observed.surroundings(...)`."""

    def __init__(self) -> None:
        self.turns = 0
        self.measured = 0
        self.slowed: list[float | None] = []

    def surroundings(self, secrets: Mapping[str, str]) -> Surroundings:
        """Surroundings whose waits are short and whose secrets are these, by reference."""

        async def sleep(seconds: float) -> None:
            await asyncio.sleep(min(seconds, 0.02))

        return Surroundings(
            rng=Random(7), sleep=sleep, resolve=lambda reference: Secret(secrets[reference]), pacer=self, meter=self
        )

    async def turn(self, use: Use) -> None:
        """Counts and lets go."""
        self.turns += 1

    async def slow_down(self, seconds: float | None) -> None:
        """Notes that it was told."""
        self.slowed.append(seconds)

    async def heard(self, allowance: Allowance) -> None:
        """Nothing."""

    def saw(self, *, use: Use, outcome: str, seconds: float, request: Request | None = None) -> None:
        """Counts."""
        self.measured += 1


class Vendor:
    """The control plane of a simulator: what it saw, and what it is to do to us."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._control = httpx.AsyncClient(base_url=f"{url}/_sim", trust_env=False, timeout=30.0, verify=TRUSTS_NOBODY)

    async def arm(self, kind: str, **options: Any) -> None:
        """Arm one fault of `simulators.kit.faults`."""
        await self._asked("POST", "/faults", json={"kind": kind, **options})

    async def disarm(self) -> int:
        """Disarm all faults; how often any has struck since the start."""
        struck = await self.struck()
        await self._asked("DELETE", "/faults")
        return struck

    async def struck(self) -> int:
        """How often any fault has struck since the start."""
        struck = (await self._asked("GET", "/faults")).json()["struck"]
        return sum(struck.values())

    async def switch(self, **switches: Any) -> None:
        """Set switches of the simulator."""
        await self._asked("PATCH", "/switches", json=switches)

    async def replace_state(self, state: Mapping[str, Any]) -> None:
        """Give it another world, as a seed."""
        await self._asked("PUT", "/state", json=dict(state))

    async def journal(self) -> list[dict[str, Any]]:
        """Every request that it saw."""
        entries: list[dict[str, Any]] = (await self._asked("GET", "/journal")).json()["entries"]
        return entries

    async def effects(self) -> int:
        """How many requests have created, updated or deleted something."""
        entries = (await self._asked("GET", "/journal", params={"effects_only": "true"})).json()["entries"]
        return len(entries)

    async def violations(self) -> list[Any]:
        """Requests that its documents forbid, as it noted them."""
        found: list[Any] = (await self._asked("GET", "/state")).json().get("violations", [])
        return found

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._control.aclose()

    async def _asked(self, method: str, path: str, **options: Any) -> httpx.Response:
        answer = await self._control.request(method, path, **options)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:300]}"
        return answer


@dataclass(frozen=True)
class Writing:
    """What may be written to one entity."""

    target: Target
    wire: Wire
    new: Callable[[int], Record]
    """All canonical fields of the n-th record that does not exist yet; the key field among them."""
    change: Mapping[str, Value]
    """Fields, and other values than any record has, for an update."""
    key: str
    """The column that holds our key."""
    can: frozenset[str] = frozenset({"create", "update", "suspend", "reactivate", "delete"})
    """The verbs that this entity knows."""
    write_path: str = ""
    """Pattern of the paths that creates and updates of this entity go to, for faults that are meant for writes."""
    may_only_read: Target | None = None
    """The same target with a credential that may read and not write; None where the system has no such thing."""
    any_target_id: str = "17"
    """A target id of the system's own form; no record needs to have it."""
    hides_unknown_outcome_for_seconds: float = 0.0
    """How long a write may take to show, where the system is known to be late."""


@dataclass(frozen=True)
class Bench:
    """One entity of one system, set up for the suites."""

    source: Source
    """Pages are small enough for `entity` to have several, unless the system does not cut it into pages."""
    entity: str
    rows: int
    """How many rows `entity` has."""
    unreachable: Source
    """The same system at an address where nothing answers."""
    refused: Source | None
    """The same system with a credential that it does not know; None where there are no credentials."""
    make_empty: Callable[[], Awaitable[None]]
    """Takes every row of `entity` away."""
    is_paged: bool = True
    """Whether the entity comes in several pages."""
    has_order: bool = True
    """Whether two readings of unchanged data bring the same pages."""
    vendor: Vendor | None = None
    """The simulator behind it; None for databases and files."""
    list_path: str = ""
    """Pattern of the paths by which `entity` is listed, for faults that are meant for lists."""
    sensitive: frozenset[str] = field(default_factory=frozenset)
    """Personal values and secrets that it holds: they must show in no log line and no error."""
    expire_token: Callable[[], Awaitable[None]] | None = None
    """Makes the token that is in use invalid, as if its time were over; None where there is none that ends."""
    surroundings: Observed | None = None
    """What `source` (and the target) was opened with: counts turns and measured requests. Use `Observed()`."""
    writing: Writing | None = None
    """What may be written; None for an entity that can only be read."""

    def counted(self) -> tuple[int, int]:
        """Turns taken and requests measured so far."""
        assert self.surroundings is not None, "the bench must be opened with Observed surroundings"
        return self.surroundings.turns, self.surroundings.measured

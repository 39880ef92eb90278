"""What all connections of one simulated server share: rows, faults, switches, the journal and the violations."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any, Final, Literal

from pydantic import Field

from simulators.kit.staging import utc_now
from simulators.kit.switches import Switchboard, Switches
from simulators.tds.faults import Faults
from simulators.tds.store import TdsStore

JOURNAL_ENTRIES_MAX: Final = 100_000
VIOLATIONS_MAX: Final = 1_000
FIRST_SPID: Final = 51


class TdsSwitches(Switches):
    """How this server behaves until told otherwise."""

    encryption: Literal["optional", "required", "not_supported"] = "optional"
    """What it says of TLS. `optional`: as a server does that was left as installed."""
    shuffle_without_order: bool = False
    """Rows of a query without ORDER BY come in another order each time, as a busy server may send them."""
    packet_bytes_max: int = Field(default=32_767, ge=512, le=32_767)
    """The largest packet it agrees to."""


@dataclass(slots=True)
class House:
    """The shared state of one server."""

    store: TdsStore
    faults: Faults = field(default_factory=Faults)
    switchboard: Switchboard[TdsSwitches] = field(default_factory=lambda: Switchboard(TdsSwitches()))
    clock: Callable[[], datetime] = utc_now
    generation: int = 0
    """Counts the times the whole state was replaced."""
    violations: list[dict[str, Any]] = field(default_factory=list)
    violations_dropped: int = 0
    journal: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=JOURNAL_ENTRIES_MAX))
    last_seq: int = 0
    _lock: Lock = field(default_factory=Lock)
    _spids: itertools.count[int] = field(default_factory=lambda: itertools.count(FIRST_SPID))

    def next_spid(self) -> int:
        """A number for a new connection."""
        return next(self._spids) % 32_000

    def record(self, **entry: Any) -> None:
        """Write one request into the journal; statements as their shape, never a value."""
        with self._lock:
            self.last_seq += 1
            time = self.clock().isoformat().replace("+00:00", "Z")
            self.journal.append({"seq": self.last_seq, "time": time, **entry})

    def violate(self, *, rule: str, text: str, login: str, database: str) -> None:
        """Record what no client of a read-only login may do."""
        with self._lock:
            if len(self.violations) >= VIOLATIONS_MAX:
                self.violations_dropped += 1
                return
            self.violations.append({"rule": rule, "text": text, "login": login, "database": database})

    def read_state(self) -> dict[str, Any]:
        """Describe the whole state, as a seed; with the violations so far."""
        return self.store.document() | {"violations": list(self.violations)}

    def write_state(self, document: Any) -> None:
        """Replace the whole state; open connections see it with their next request outside of a transaction."""
        folder: Path = self.store.folder
        self.store = TdsStore.create(folder, document)
        self.violations.clear()
        self.violations_dropped = 0
        self.generation += 1

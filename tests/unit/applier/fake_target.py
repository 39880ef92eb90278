"""A small target in memory that does as it is told: fails before or after a write, lies, hangs, and keeps a journal."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import polars as pl

from shared.errors import TargetMoved
from shared.hashing.canonical import sha256_hex
from shared.ports.system import Column, ExpectedRows, Finding, Page, Receipt
from shared.ports.wire import Record, Value, WireWrite
from tests.support.plain import plain
from tests.unit.plan.plan_builder import FIELDS

ANY = "any"
"""Faults under this name meet whichever write comes next."""


@dataclass(frozen=True)
class Fault:
    """What meets one write."""

    error: BaseException | None = None
    is_done: bool = False
    """Whether the write takes effect all the same."""
    is_kept: bool = True
    """False: the target says yes and keeps nothing."""
    hangs_until: asyncio.Event | None = None
    """The answer comes only when this is set."""


class FrameReading:
    """A reading of one page."""

    def __init__(self, frame: pl.DataFrame, expected: int | None) -> None:
        self._frame = frame
        self._expected = expected

    async def __aiter__(self) -> AsyncIterator[Page]:
        yield Page(
            number=1,
            rows=self._frame,
            first_cursor="1",
            last_cursor=str(self._frame.height),
            sha256=sha256_hex(self._frame.write_csv().encode()),
        )

    @property
    def expected(self) -> ExpectedRows | None:
        return None if self._expected is None else ExpectedRows(rows=self._expected, origin="count")


@dataclass
class FakeTarget:
    """The records of a target, by its own ids."""

    records: dict[str, dict[str, Value]] = field(default_factory=dict)
    faults: dict[str, deque[Fault]] = field(default_factory=lambda: defaultdict(deque))
    """By change id or under `ANY`; used up one by one."""
    fetch_faults: deque[BaseException] = field(default_factory=deque)
    journal: list[tuple[str, str, str]] = field(default_factory=list)
    """Change id, method and path of every write that took effect."""
    sent: list[str] = field(default_factory=list)
    """Change ids of every write that arrived, whatever became of it."""
    rows_missing: int = 0
    """Rows that a reading leaves out while the count speaks of them."""
    closed: int = 0
    _deleted: int = 0

    def columns(self, entity: str) -> Sequence[Column]:
        return [Column("target_id", "text"), *(Column(n, "boolean" if n == "active" else "text") for n in FIELDS)]

    def read(self, entity: str) -> FrameReading:
        rows = list(self.records.values())
        schema = {one.name: pl.Boolean if one.kind == "boolean" else pl.String for one in self.columns(entity)}
        return FrameReading(pl.DataFrame(rows[: len(rows) - self.rows_missing], schema=schema), len(rows))

    async def check(self) -> Sequence[Finding]:
        return []

    async def close(self) -> None:
        self.closed += 1

    async def fetch(self, entity: str, *, target_id: str | None, key: str | None) -> Record | None:
        await asyncio.sleep(0)
        if self.fetch_faults:
            raise self.fetch_faults.popleft()
        if target_id is not None:
            found = self.records.get(target_id)
        else:
            found = next((one for one in self.records.values() if one["external_id"] == key), None)
        return None if found is None else dict(found)

    async def write(self, write: WireWrite, *, idempotency_key: str) -> Receipt:
        await asyncio.sleep(0)
        self.sent.append(idempotency_key)
        fault = Fault()
        for name in (idempotency_key, ANY):
            if self.faults[name]:
                fault = self.faults[name].popleft()
                break
        receipt = Receipt(target_id=None, status=200)
        if fault.error is None or fault.is_done:
            receipt = self._do(write, idempotency_key, is_kept=fault.is_kept)
        if fault.hangs_until is not None:
            await fault.hangs_until.wait()
        if fault.error is not None:
            raise fault.error
        return receipt

    def _do(self, write: WireWrite, change_id: str, *, is_kept: bool) -> Receipt:
        body = plain(write.body)
        target_id = write.path.rpartition("/")[2]
        if write.method == "POST":
            if any(one["external_id"] == body["external_id"] for one in self.records.values()):
                raise TargetMoved("APL_CONFLICT", "the record exists already")
            # Ids are never used again, also after a delete.
            target_id = f"new-{len(self.records) + self._deleted}"
            if is_kept:
                self.records[target_id] = {"target_id": target_id, **dict.fromkeys(FIELDS), **body}
        elif target_id not in self.records:
            raise TargetMoved("APL_CONFLICT", "there is no such record")
        elif not is_kept:
            pass
        elif write.method == "DELETE":
            del self.records[target_id]
            self._deleted += 1
        else:
            self.records[target_id] = {**self.records[target_id], **body}
        self.journal.append((change_id, write.method, write.path))
        return Receipt(target_id=target_id, status=200)

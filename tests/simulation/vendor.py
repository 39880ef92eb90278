"""The simulated vendor: the records of a target, its faults, and a journal of what really happened.

It knows no idempotency: a write that comes twice is done twice, unless the vendor of this seed refuses a second record
with the same key. A write that was sent takes effect although its sender died. What each fault looks like to the house
follows the TitanHST client: whatever leaves doubt about a write is an unknown outcome.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

import polars as pl

from shared.errors import NeedsPerson, OutcomeUnknown, RecordRefused, TargetMoved, TryLater
from shared.hashing.canonical import sha256_hex
from shared.ports.system import Column, ExpectedRows, Finding, Page, Receipt
from shared.ports.wire import Record, Value, WireWrite
from tests.simulation.loop import Process, ProcessIsDead, VirtualLoop
from tests.support.plain import plain

FIELDS: Final = ("external_id", "first_name", "email", "role", "active")
ANSWER_SECONDS: Final = (0.005, 0.08)
TIMEOUT_SECONDS: Final = 1.5
"""How long the house waits for an answer to a write."""
LATE_SECONDS: Final = 0.7
"""How late a write may still take effect; less than what is left of a lease that is believed in."""


@dataclass
class VendorChances:
    """How likely each misfortune is, for one request."""

    not_sent: float = 0.0
    """The connection cannot be opened: surely not done."""
    lost_before: float = 0.0
    lost_after: float = 0.0
    """No answer comes, and the write was not done, or was."""
    late: float = 0.0
    """As the second, but done only some time after."""
    error_before: float = 0.0
    error_after: float = 0.0
    """5xx without and with effect."""
    rate_limited: float = 0.0
    refused: float = 0.0
    """This record is not taken: 422."""
    no_room: float = 0.0
    lies: float = 0.0
    """Says yes and keeps nothing."""
    fetch_fails: float = 0.0
    stale_seconds: float = 0.0
    """How long after a change a reader may still be shown what was before."""
    token_expires: float = 0.0
    """This line's token is refused from now on; a line that is opened anew has a good one."""
    moved: float = 0.0
    """Somebody else changes the record just before."""


@dataclass(frozen=True)
class Effect:
    """One write that changed a record."""

    order: int
    at: float
    change_id: str
    sender: str
    method: str
    path: str
    key: str


@dataclass
class Vendor:
    """The vendor itself."""

    loop: VirtualLoop
    rng: Random
    next_order: Callable[[], int]
    chances: VendorChances = field(default_factory=VendorChances)
    refuses_duplicates: bool = True
    credential_is_refused: bool = False
    records: dict[str, dict[str, Value]] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)
    """Keys that somebody else changed."""
    lied: set[str] = field(default_factory=set)
    """Changes to which it said yes and of which it kept nothing."""
    on_sent: Callable[[str, WireWrite, Process], None] = lambda *_: None
    on_fault: Callable[[str], None] = lambda _: None
    _shown: dict[str, tuple[float, dict[str, Value] | None]] = field(default_factory=dict)
    """What a reader is still shown, and until when, by target id."""
    _made: int = 0

    def happens(self, chance: float, what: str) -> bool:
        """Whether a misfortune befalls this request."""
        if self.rng.random() >= chance:
            return False
        self.on_fault(f"vendor: {what}")
        return True

    def change(self, key: str, **values: Value) -> None:
        """Somebody else changes a record."""
        for record in self.records.values():
            if record["external_id"] == key:
                record.update(values)
                self.touched.add(key)

    def do(self, write: WireWrite, change_id: str, sender: str) -> Receipt | Exception:
        """Carry a write out; what the vendor would answer."""
        body = plain(write.body)
        target_id = write.path.rpartition("/")[2]
        if write.method == "POST":
            same = [one for one in self.records.values() if one["external_id"] == body["external_id"]]
            if same and self.refuses_duplicates:
                return TargetMoved("APL_CONFLICT", "the record exists already")
            self._made += 1
            target_id = f"n-{self._made}"
            before, after = None, {"target_id": target_id, **dict.fromkeys(FIELDS), **body}
        elif target_id not in self.records:
            return TargetMoved("APL_CONFLICT", "there is no such record")
        else:
            before = self.records[target_id]
            after = {**before, **body}
        if after != before:
            self.records[target_id] = after
            if self.chances.stale_seconds:
                self._shown[target_id] = (self.loop.time() + self.chances.stale_seconds, before)
            self.effects.append(
                Effect(self.next_order(), self.loop.time(), change_id, sender, write.method, write.path,
                       str(after["external_id"]))
            )  # fmt: skip
        return Receipt(target_id=target_id, status=200)

    def shown(self, target_id: str) -> dict[str, Value] | None:
        """A record as a reader sees it now."""
        until, before = self._shown.get(target_id, (0.0, None))
        return before if self.loop.time() < until else self.records.get(target_id)

    def visible(self) -> list[dict[str, Value]]:
        """All records as a reader sees them now."""
        return [one for target_id in self.records if (one := self.shown(target_id)) is not None]


class OnePage:
    """A reading of one page."""

    def __init__(self, frame: pl.DataFrame, answer: Callable[[], None]) -> None:
        self._frame = frame
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[Page]:
        await asyncio.sleep(0.02)
        self._answer()
        yield Page(
            number=1,
            rows=self._frame,
            first_cursor="1",
            last_cursor=str(self._frame.height),
            sha256=sha256_hex(self._frame.write_csv().encode()),
        )

    @property
    def expected(self) -> ExpectedRows | None:
        """What the other side counts."""
        return ExpectedRows(rows=self._frame.height, origin="count")


class PeopleSource:
    """The people to be mirrored, as rows."""

    def __init__(self, rows: Sequence[Mapping[str, str | None]], answer: Callable[[], None]) -> None:
        self._frame = pl.DataFrame(list(rows), schema=dict.fromkeys(("id", "first", "email", "role"), pl.String))
        self._answer = answer

    def columns(self, entity: str) -> Sequence[Column]:
        """Four texts."""
        return [Column(name, "text") for name in self._frame.columns]

    def read(self, entity: str) -> OnePage:
        """All of them."""
        return OnePage(self._frame, self._answer)

    async def check(self) -> Sequence[Finding]:
        """Nothing to find."""
        return []

    async def close(self) -> None:
        """Nothing to close."""


class VendorLine:
    """The vendor as one process of the house reaches it: the port's `Target`."""

    def __init__(self, vendor: Vendor, process: Process) -> None:
        self._vendor = vendor
        self._process = process
        self._is_expired = False

    def columns(self, entity: str) -> Sequence[Column]:
        """The target's id and the fields."""
        return [Column("target_id", "text"), *(Column(n, "boolean" if n == "active" else "text") for n in FIELDS)]

    def read(self, entity: str) -> OnePage:
        """All records."""
        schema = {one.name: pl.Boolean if one.kind == "boolean" else pl.String for one in self.columns(entity)}
        return OnePage(pl.DataFrame(self._vendor.visible(), schema=schema), self.may_fail_to_read)

    def may_fail_to_read(self) -> None:
        """Raise, now and then."""
        if self._vendor.happens(self._vendor.chances.fetch_fails, "read fails"):
            raise TryLater("SRC_UNREACHABLE", "the vendor does not answer")

    async def check(self) -> Sequence[Finding]:
        """Whether the credential is taken."""
        await asyncio.sleep(0.01)
        return [Finding("authentication", not self._vendor.credential_is_refused, "the credential")]

    async def close(self) -> None:
        """Nothing to close."""

    async def fetch(self, entity: str, *, target_id: str | None, key: str | None) -> Record | None:
        """One record as it is shown now."""
        vendor = self._vendor
        await asyncio.sleep(vendor.rng.uniform(*ANSWER_SECONDS))
        if vendor.credential_is_refused or self._is_expired:
            raise NeedsPerson("APL_AUTH", "the credential was refused")
        if vendor.happens(vendor.chances.fetch_fails, "fetch fails"):
            raise TryLater("APL_UNREACHABLE", "the vendor does not answer")
        if target_id is not None:
            found = vendor.shown(target_id)
        else:
            found = next((one for one in vendor.visible() if one["external_id"] == key), None)
        return None if found is None else dict(found)

    async def write(self, write: WireWrite, *, idempotency_key: str) -> Receipt:
        """Send one write; from here on it is under way, whatever becomes of its sender."""
        vendor, chances = self._vendor, self._vendor.chances
        if not self._process.is_alive:
            raise ProcessIsDead
        if vendor.happens(chances.not_sent, "not sent"):
            await asyncio.sleep(0.01)
            raise TryLater("APL_UNREACHABLE", "no connection")
        vendor.on_sent(idempotency_key, write, self._process)
        answer: asyncio.Future[Receipt | Exception] = vendor.loop.create_future()
        delay = vendor.rng.uniform(*ANSWER_SECONDS)
        if vendor.happens(chances.late, "done late"):
            delay = vendor.rng.uniform(0.3, LATE_SECONDS)
            vendor.loop.later(delay, vendor.do, write, idempotency_key, self._process.name)
        else:
            vendor.loop.later(delay, self._arrives, write, idempotency_key, answer)
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                came = await answer
        except TimeoutError:
            raise OutcomeUnknown("APL_UNKNOWN_OUTCOME", "sent, and no answer came") from None
        if isinstance(came, Exception):
            raise came
        return came

    def _arrives(self, write: WireWrite, change_id: str, answer: asyncio.Future[Receipt | Exception]) -> None:
        came = self._answer_to(write, change_id)
        if came is None:
            return
        # The answer needs its time too: meanwhile its reader may die.
        self._vendor.loop.later(self._vendor.rng.uniform(*ANSWER_SECONDS), _set, answer, came)

    def _answer_to(self, write: WireWrite, change_id: str) -> Receipt | Exception | None:
        """What the vendor says; None: nothing."""
        vendor, chances = self._vendor, self._vendor.chances
        self._is_expired = self._is_expired or vendor.happens(chances.token_expires, "token expires")
        if vendor.credential_is_refused or self._is_expired:
            return NeedsPerson("APL_AUTH", "the credential was refused")
        if vendor.happens(chances.rate_limited, "429"):
            seconds = vendor.rng.choice((1.0, 2.0, 5.0))
            return TryLater("APL_RATE_LIMITED", "too many requests", retry_after_seconds=seconds)
        if vendor.happens(chances.refused, "422"):
            return RecordRefused("APL_REFUSED_RECORD", "the vendor does not take this record")
        if write.method == "POST" and vendor.happens(chances.no_room, "no room"):
            return RecordRefused("APL_CAPACITY", "no licence is left")
        if vendor.happens(chances.moved, "record moved"):
            vendor.change(_key_of(vendor, write), first_name="Elsewhere")
        if vendor.happens(chances.lost_before, "lost before"):
            return None
        if vendor.happens(chances.error_before, "5xx before"):
            return OutcomeUnknown("APL_UNKNOWN_OUTCOME", "answered with 503")
        if vendor.happens(chances.lies, "lie"):
            vendor.lied.add(change_id)
            return Receipt(target_id=write.path.rpartition("/")[2], status=200)
        came = vendor.do(write, change_id, self._process.name)
        if vendor.happens(chances.lost_after, "lost after"):
            return None
        if vendor.happens(chances.error_after, "5xx after"):
            return OutcomeUnknown("APL_UNKNOWN_OUTCOME", "answered with 502")
        return came


def _key_of(vendor: Vendor, write: WireWrite) -> str:
    found = vendor.records.get(write.path.rpartition("/")[2])
    return "" if found is None else str(found["external_id"])


def _set(answer: asyncio.Future[Receipt | Exception], came: Receipt | Exception) -> None:
    if not answer.done():
        answer.set_result(came)

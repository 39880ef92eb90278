"""Merges the streams into the one order of the log, so that the same streams always give the same log.

Pure. Messages are ordered by the time at which the bus stored them, then by stream, and within a stream by sequence.
A message is released only when nothing that belongs before it can still come; a log rebuilt from the streams then has
the same entries under the same indexes, and every checkpoint that was ever signed still holds for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

SETTLE_US = 50_000
"""How long a message waits for an earlier one of a quiet stream: covers the gap between a server's reading of its
clock and its storing of a message, and the difference of clocks within a cluster."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970, UTC."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Arrived:
    """One message of a stream, as it was stored."""

    stream: str
    seq: int
    subject: str
    headers: Mapping[str, str]
    data: bytes = field(repr=False)
    time_us: int
    """When the bus stored it: microseconds since 1970, UTC."""

    @property
    def time(self) -> datetime:
        """When the bus stored it."""
        return _EPOCH + timedelta(microseconds=self.time_us)


@dataclass(slots=True)
class Lane:
    """What has arrived of one stream and is not in the log yet."""

    stream: str
    next_seq: int = 1
    """The sequence that comes next."""
    last_time_us: int = 0
    """Time of the last message released; later ones are never ordered before it, whatever the server's clock did."""
    waiting: dict[int, Arrived] = field(default_factory=dict)
    quiet_until_us: int = 0
    """When `next_seq` has not arrived: everything still to come was stored after this time."""

    def offer(self, arrived: Arrived) -> bool:
        """Take a message; False when the log holds it already."""
        if arrived.seq < self.next_seq:
            return False
        self.waiting[arrived.seq] = arrived
        return True

    def hear_end(self, *, last_seq: int, at_us: int) -> None:
        """Learn that the stream ended at this sequence when the server's clock stood here."""
        if self.next_seq > last_seq:
            self.quiet_until_us = max(self.quiet_until_us, at_us - SETTLE_US)

    def skip_to(self, seq: int) -> None:
        """Go on at a later sequence, because the messages before it are gone from the stream."""
        self.next_seq = max(self.next_seq, seq)
        for passed in [number for number in self.waiting if number < self.next_seq]:
            del self.waiting[passed]

    @property
    def has_head(self) -> bool:
        """Whether the next message is there."""
        return self.next_seq in self.waiting

    def head_time_us(self) -> int:
        """The time by which the next message is ordered; it must be there."""
        return max(self.last_time_us, self.waiting[self.next_seq].time_us)

    def release(self) -> Arrived:
        """Hand out the next message; it must be there."""
        arrived = self.waiting.pop(self.next_seq)
        self.last_time_us = max(self.last_time_us, arrived.time_us)
        self.next_seq += 1
        return arrived


def release_ready(lanes: Sequence[Lane], *, messages_max: int) -> list[Arrived]:
    """Take from the lanes, in the log's order, the messages that nothing can precede any more."""
    released: list[Arrived] = []
    while len(released) < messages_max:
        present = [lane for lane in lanes if lane.has_head]
        if not present:
            break
        first = min(present, key=lambda lane: (lane.head_time_us(), lane.stream))
        time_us = first.head_time_us()
        # A lane with a head sends nothing earlier than that; one without may, up to what is known of it.
        if any(max(lane.quiet_until_us, lane.last_time_us - 1) < time_us for lane in lanes if not lane.has_head):
            break
        released.append(first.release())
    return released

"""One durable pull consumer of the simulated bus: who gets which message, how often, and until when.

Like `streams` it is a state and functions of the moment; the bus calls `pump` whenever something may have changed and
`wake_at` says when it may change by itself.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from shared.bus.topology import ConsumerSpec
from tests.simulation.streams import Kept, Stream, matches


@dataclass(slots=True)
class Pull:
    """One open request for messages."""

    client: Any
    reply: str
    left: int
    expires_at: float


@dataclass
class Consumer:
    """The state of one consumer."""

    spec: ConsumerSpec
    stream: Stream
    next_seq: int = 1
    pending: dict[int, float] = field(default_factory=dict)
    """Until when each message out for delivery must be acknowledged."""
    again_at: dict[int, float] = field(default_factory=dict)
    """When each message that is to be delivered again is due."""
    deliveries: dict[int, int] = field(default_factory=dict)
    acknowledged: deque[int] = field(default_factory=lambda: deque(maxlen=8))
    """The latest; a server that crashes may have forgotten them."""
    delivered: int = 0
    pulls: deque[Pull] = field(default_factory=deque)

    def pump(self, now: float) -> list[tuple[Pull, Kept, str]]:
        """Hand out what can be handed out: to which pull, which message, with which reply subject."""
        for seq in [seq for seq, until in self.pending.items() if until <= now]:
            del self.pending[seq]
            self.again_at[seq] = now
        handed: list[tuple[Pull, Kept, str]] = []
        while self.pulls and len(self.pending) < self.spec.max_ack_pending:
            one = self._next(now)
            if one is None:
                break
            pull = self.pulls[0]
            pull.left -= 1
            if pull.left == 0:
                self.pulls.popleft()
            self.delivered += 1
            number = self.deliveries[one.seq] = self.deliveries.get(one.seq, 0) + 1
            self.pending[one.seq] = now + self.spec.ack_wait_seconds
            handed.append((pull, one, self._ack_subject(one, number)))
        return handed

    def _next(self, now: float) -> Kept | None:
        due = [seq for seq, at in self.again_at.items() if at <= now]
        if due:
            seq = min(due)
            del self.again_at[seq]
            return self.stream.kept[seq]
        while self.next_seq <= self.stream.last_seq:
            one = self.stream.kept.get(self.next_seq)
            self.next_seq += 1
            if one is not None and self._wants(one.subject):
                return one
        return None

    def _wants(self, subject: str) -> bool:
        return not self.spec.filters or any(matches(pattern, subject) for pattern in self.spec.filters)

    def _ack_subject(self, one: Kept, number: int) -> str:
        moment = self.stream.micros(one.at) * 1000
        return f"$JS.ACK.{self.spec.stream}.{self.spec.name}.{number}.{one.seq}.{self.delivered}.{moment}.0"

    def hear(self, tokens: list[str], body: bytes, now: float) -> None:
        """Take an acknowledgement: the tokens of its subject, and what it says."""
        seq = int(tokens[5])
        if seq not in self.pending and seq not in self.again_at:
            return
        if body.startswith(b"+WPI"):
            if seq in self.pending:
                self.pending[seq] = now + self.spec.ack_wait_seconds
            return
        self.pending.pop(seq, None)
        self.again_at.pop(seq, None)
        if body.startswith(b"-NAK"):
            delay = json.loads(body[5:])["delay"] / 1e9 if len(body) > 5 else 0.0
            self.again_at[seq] = now + delay
        else:
            self.acknowledged.append(seq)

    def forget(self, seq: int, now: float) -> None:
        """An acknowledgement that a crash has swallowed: the message comes again."""
        if seq in self.acknowledged:
            self.acknowledged.remove(seq)
            self.again_at[seq] = now

    def wake_at(self, now: float) -> float | None:
        """When something changes without anybody's doing; None: never. What is due already waits for a pull."""
        moments = (*self.pending.values(), *self.again_at.values())
        return min((at for at in moments if at > now), default=None)

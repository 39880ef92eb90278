"""One stream of the simulated bus: what is stored, under which conditions, and how it is read.

It follows the measured behaviour of the server that the house uses, as far as the house uses it; `test_bus_judge`
asks both the same questions. Plain functions of a state and a moment: nothing here waits, fails or is random.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from shared.bus.topology import StreamSpec
from shared.bus.topology import matches as _matches

matches = lru_cache(maxsize=65_536)(_matches)

EXPECTED_SEQ: Final = "Nats-Expected-Last-Subject-Sequence"
EXPECTED_SEQ_SUBJECT: Final = "Nats-Expected-Last-Subject-Sequence-Subject"
EXPECTED_STREAM: Final = "Nats-Expected-Stream"
MESSAGE_ID: Final = "Nats-Msg-Id"
TTL: Final = "Nats-TTL"
BATCH_ID: Final = "Nats-Batch-Id"
BATCH_SEQUENCE: Final = "Nats-Batch-Sequence"
BATCH_COMMIT: Final = "Nats-Batch-Commit"
BATCH_IDLE_SECONDS: Final = 10.0

Headers = Mapping[str, str]
Answer = tuple[Headers, bytes]
"""Headers and body of one message of the server."""


@dataclass(slots=True)
class Kept:
    """One stored message."""

    seq: int
    subject: str
    headers: Headers
    data: bytes
    at: float
    """Seconds on the server's clock."""
    gone_at: float | None
    """When its time to live ends."""


@dataclass(slots=True)
class _Batch:
    messages: list[tuple[str, Headers, bytes]]
    touched_at: float


@dataclass
class Stream:
    """The messages of one stream."""

    spec: StreamSpec
    epoch_us: int
    """The Unix time, in microseconds, at which the server's clock began."""
    on_stored: Callable[[Kept], None] = lambda _: None
    last_seq: int = 0
    kept: dict[int, Kept] = field(default_factory=dict)
    """In the order of sequences."""
    by_subject: dict[str, list[int]] = field(default_factory=dict)
    ids: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Sequence and moment by message id; remembered after the message is gone, within the window."""
    batches: dict[str, _Batch] = field(default_factory=dict)

    # --- writing ----------------------------------------------------------------------------------------------------

    def publish(self, subject: str, headers: Headers, data: bytes, *, now: float) -> dict[str, Any] | None:
        """Take one message; the server's answer, None for an empty one."""
        self.expire(now)
        if BATCH_ID in headers:
            return self._publish_in_batch(subject, headers, data, now=now)
        if (wrong := self._wrong(subject, headers)) is not None:
            return wrong
        known = self._known(headers.get(MESSAGE_ID), now)
        if known is not None:
            return {"stream": self.spec.name, "seq": known, "duplicate": True}
        return {"stream": self.spec.name, "seq": self._store(subject, headers, data, now=now)}

    def _publish_in_batch(self, subject: str, headers: Headers, data: bytes, *, now: float) -> dict[str, Any] | None:
        name, sequence = headers[BATCH_ID], int(headers[BATCH_SEQUENCE])
        self.batches = {
            one: batch for one, batch in self.batches.items() if now - batch.touched_at < BATCH_IDLE_SECONDS
        }
        batch = self.batches.get(name)
        if batch is None:
            if sequence != 1:
                return _error(400, 10176, "atomic publish batch is incomplete")
            batch = self.batches[name] = _Batch([], now)
        if sequence != len(batch.messages) + 1:
            del self.batches[name]
            return _error(400, 10176, "atomic publish batch is incomplete")
        batch.messages.append((subject, headers, data))
        batch.touched_at = now
        if headers.get(BATCH_COMMIT) != "1":
            return None
        del self.batches[name]
        return self._commit(batch.messages, now=now)

    def _commit(self, messages: Sequence[tuple[str, Headers, bytes]], *, now: float) -> dict[str, Any]:
        written: set[str] = set()
        for subject, headers, _ in messages:
            known = self._known(headers.get(MESSAGE_ID), now)
            if known is not None:
                return _error(400, 10201, "atomic publish batch contains duplicate message id")
            if (wrong := self._wrong(subject, headers)) is not None:
                return wrong
            if headers.get(EXPECTED_SEQ_SUBJECT, subject) in written:
                # What the same batch writes cannot be stated of it; the house never does.
                return _error(400, 10164, "wrong last sequence")
            written.add(subject)
        for subject, headers, data in messages:
            seq = self._store(subject, headers, data, now=now)
        return {"stream": self.spec.name, "seq": seq, "batch": messages[0][1][BATCH_ID], "count": len(messages)}

    def _wrong(self, subject: str, headers: Headers) -> dict[str, Any] | None:
        """The error of a condition that does not hold."""
        if headers.get(EXPECTED_STREAM, self.spec.name) != self.spec.name:
            return _error(400, 10060, "expected stream does not match")
        if EXPECTED_SEQ in headers:
            found = self.last_of(headers.get(EXPECTED_SEQ_SUBJECT, subject))
            if found != int(headers[EXPECTED_SEQ]):
                return _error(400, 10071, f"wrong last sequence: {found}")
        return None

    def _known(self, message_id: str | None, now: float) -> int | None:
        if message_id is None or message_id not in self.ids:
            return None
        seq, at = self.ids[message_id]
        return seq if now - at < self.spec.duplicate_window_seconds else None

    def _store(self, subject: str, headers: Headers, data: bytes, *, now: float) -> int:
        self.last_seq += 1
        ttl = headers.get(TTL)
        one = Kept(self.last_seq, subject, headers, data, now, None if ttl is None else now + int(ttl))
        self.kept[one.seq] = one
        sequences = self.by_subject.setdefault(subject, [])
        sequences.append(one.seq)
        if 0 < self.spec.max_msgs_per_subject < len(sequences):
            del self.kept[sequences.pop(0)]
        if MESSAGE_ID in headers:
            self.ids[headers[MESSAGE_ID]] = (one.seq, now)
        self.on_stored(one)
        return one.seq

    def expire(self, now: float) -> None:
        """Let go what has outlived its time."""
        if not self.spec.allow_msg_ttl:
            return
        for one in [one for one in self.kept.values() if one.gone_at is not None and one.gone_at <= now]:
            del self.kept[one.seq]
            self.by_subject[one.subject].remove(one.seq)

    # --- reading ----------------------------------------------------------------------------------------------------

    def last_of(self, subject: str) -> int:
        """Sequence of the last message of a subject; 0 when there is none."""
        sequences = self.by_subject.get(subject)
        return sequences[-1] if sequences else 0

    def of(self, pattern: str, start: int = 1) -> Iterator[Kept]:
        """The messages of a pattern from a sequence on."""
        for seq in range(start, self.last_seq + 1):
            one = self.kept.get(seq)
            if one is not None and matches(pattern, one.subject):
                yield one

    def leader_get(self, body: bytes, *, now: float) -> dict[str, Any]:
        """The leader's answer to a question for one message."""
        self.expire(now)
        wanted = json.loads(body)
        if "seq" in wanted:
            one = self.kept.get(wanted["seq"])
        elif "*" not in (pattern := wanted["last_by_subj"]) and ">" not in pattern:
            one = self.kept.get(self.last_of(pattern))
        else:
            one = next((kept for kept in reversed(self.kept.values()) if matches(pattern, kept.subject)), None)
        if one is None:
            return _error(404, 10037, "no message found")
        head = "NATS/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in one.headers.items()) + "\r\n"
        message = {"subject": one.subject, "seq": one.seq, "time": self.text_of(one.at)}
        texts = {"hdrs": head.encode(), "data": one.data}
        return {"message": message | {name: b64encode(text).decode() for name, text in texts.items() if text}}

    def leaders_get(self, body: bytes, *, now: float) -> dict[str, Any]:
        """The leader's answer to the question for one message, the newest of a pattern or that of a sequence."""
        self.expire(now)
        wanted = json.loads(body)
        if "seq" in wanted:
            one = self.kept.get(wanted["seq"])
        else:
            pattern = wanted["last_by_subj"]
            newest = max((self.last_of(subject) for subject in self.by_subject if matches(pattern, subject)), default=0)
            one = self.kept.get(newest)
        if one is None:
            return _error(404, 10037, "no message found")
        lines = ["NATS/1.0", *(f"{name}: {value}" for name, value in one.headers.items()), "", ""]
        return {
            "message": {
                "subject": one.subject,
                "seq": one.seq,
                "hdrs": b64encode("\r\n".join(lines).encode()).decode(),
                "data": b64encode(one.data).decode(),
                "time": self.text_of(one.at),
            }
        }

    def direct_get(self, subject: str, body: bytes, *, now: float) -> list[Answer]:
        """The server's answers to a direct get; `subject` is what stands behind the stream's name."""
        self.expire(now)
        if subject:
            return [self._shown(self.kept.get(self.last_of(subject)))]
        wanted = json.loads(body)
        if "next_by_subj" not in wanted:
            return [self._shown(self.kept.get(wanted["seq"]))]
        found = list(self.of(wanted["next_by_subj"], wanted["seq"]))
        if not found:
            return [({"Status": "404", "Description": "No Results"}, b"")]
        answers: list[Answer] = []
        room, before = wanted["max_bytes"], 0
        for number, one in enumerate(found):
            room -= len(one.data)
            if number >= wanted["batch"] or (room < 0 and answers):
                break
            headers, data = self._shown(one)
            behind = {"Nats-Num-Pending": str(len(found) - number - 1), "Nats-Last-Sequence": str(before)}
            answers.append(({**headers, **behind}, data))
            before = one.seq
        left = len(found) - len(answers)
        end = {"Status": "204", "Description": "EOB", "Nats-Num-Pending": str(left), "Nats-Last-Sequence": str(before)}
        return [*answers, (end, b"")]

    def _shown(self, one: Kept | None) -> Answer:
        if one is None:
            return {"Status": "404", "Description": "Message Not Found"}, b""
        return {
            **one.headers,
            "Nats-Stream": self.spec.name,
            "Nats-Subject": one.subject,
            "Nats-Sequence": str(one.seq),
            "Nats-Time-Stamp": self.text_of(one.at),
        }, one.data

    def micros(self, at: float) -> int:
        """A moment of the server's clock as Unix time in microseconds."""
        return self.epoch_us + round(at * 1_000_000)

    def text_of(self, at: float) -> str:
        """A moment of the server's clock as the server writes it: RFC 3339 with nanoseconds."""
        micros = self.micros(at)
        whole = datetime.fromtimestamp(micros // 1_000_000, UTC)
        return f"{whole:%Y-%m-%dT%H:%M:%S}.{micros % 1_000_000:06d}000Z"

    def info(self, *, now: float) -> dict[str, Any]:
        """The part of the stream's information that the house looks at."""
        self.expire(now)
        first = min(self.kept, default=self.last_seq + 1)
        deleted = self.last_seq - first + 1 - len(self.kept)
        state = {"first_seq": first, "last_seq": self.last_seq, "messages": len(self.kept), "num_deleted": deleted}
        # The client's library wants these, and the house does not look at them.
        state |= {"bytes": 0, "consumer_count": 0}
        return {"config": {"name": self.spec.name}, "state": state, "created": self.text_of(0), "ts": self.text_of(now)}


def _error(code: int, err_code: int, said: str) -> dict[str, Any]:
    return {"error": {"code": code, "err_code": err_code, "description": said}}

"""The simulated bus: a server, its clients, and what can go wrong between them.

A client is what the library's is to the house: `request`, `publish`, `subscribe`, `new_inbox`, and a JetStream context
of the library over it. Messages of one connection arrive in the order in which they were sent, after a while, or, when
the connection breaks, not at all; what is sent while it is broken waits and goes out afterwards, as the library does.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, field
from random import Random
from typing import Final

from nats.aio.msg import Msg

from shared.bus.identity import REQUEST_INFO
from shared.bus.topology import (
    CONSUMERS,
    HOUSE_USERS,
    STREAMS,
    Permissions,
    house_account,
    people_account,
    permissions_of_house_user,
    stream_of,
)
from tests.simulation.client import SimClient
from tests.simulation.consumers import Consumer, Pull
from tests.simulation.loop import VirtualLoop
from tests.simulation.streams import Headers, Kept, Stream, matches

WIRE_SECONDS: Final = (0.0003, 0.002)
"""How long a message is under way between a client and the server."""
APART_SECONDS: Final = 1e-6
"""Least time between two messages of one connection: timers of the same moment have no order."""
_API: Final = "$JS.API."
_ACK: Final = "$JS.ACK."


@dataclass
class BusChances:
    """How likely each misfortune is, for one message."""

    request_lost: float = 0.0
    answer_lost: float = 0.0
    """The message is stored, and nobody says so."""
    ack_lost: float = 0.0
    slow: float = 0.0
    """The connection stands still for up to `slow_seconds`; what is behind waits too."""
    slow_seconds: float = 4.0


@dataclass
class Bus:
    """The server."""

    loop: VirtualLoop
    rng: Random
    epoch_us: int
    chances: BusChances = field(default_factory=BusChances)
    on_stored: Callable[[Stream, Kept, SimClient | None], None] = lambda *_: None
    on_fault: Callable[[str], None] = lambda _: None
    refused: list[str] = field(default_factory=list)
    """Acts for which a user has no permission."""

    def __post_init__(self) -> None:
        self.streams = {spec.name: Stream(spec, self.epoch_us) for spec in STREAMS}
        for stream in self.streams.values():
            stream.on_stored = self._told(stream)
        self.consumers = {(spec.stream, spec.name): Consumer(spec, self.streams[spec.stream]) for spec in CONSUMERS}
        self.clients: dict[str, SimClient] = {}
        self._wakes: dict[tuple[str, str], float] = {}
        self._permissions: dict[str, Permissions] = {user: permissions_of_house_user(user) for user in HOUSE_USERS}
        self._allowed: dict[tuple[str, str], bool] = {}
        self._sender: SimClient | None = None

    def _told(self, stream: Stream) -> Callable[[Kept], None]:
        return lambda one: self.on_stored(stream, one, self._sender)

    # --- connections ------------------------------------------------------------------------------------------------

    def connect(self, user: str, *, context: Context, account: str | None = None) -> SimClient:
        """A connection of this user; what arrives on it happens in the context."""
        client = SimClient(self, user, number=len(self.clients) + 1, context=context, account=account)
        self.clients[client.name] = client
        return client

    def cut(self, client: SimClient, seconds: float) -> None:
        """Break a connection; what is under way is lost."""
        client.epoch += 1
        client.is_connected = False
        for consumer in self.consumers.values():
            consumer.pulls = deque(pull for pull in consumer.pulls if pull.client is not client)
        if seconds < float("inf"):
            self.loop.later(seconds, self._mend, client, client.epoch)

    def _mend(self, client: SimClient, epoch: int) -> None:
        if client.is_closed or client.epoch != epoch:
            return
        client.is_connected = True
        unsent, client.unsent = client.unsent, deque()
        for line in unsent:
            self.carry(client, *line)

    def restart(self, seconds: float) -> None:
        """The server goes down and comes back: batches and open pulls are forgotten, and some acknowledgements."""
        now = self.loop.time()
        for stream in self.streams.values():
            stream.batches.clear()
        for consumer in self.consumers.values():
            consumer.pulls.clear()
            for seq in list(consumer.acknowledged):
                if self.rng.random() < 0.3:
                    self.on_fault("acknowledgement forgotten")
                    consumer.forget(seq, now)
        for client in list(self.clients.values()):
            if not client.is_closed:
                self.cut(client, seconds + self.rng.uniform(0, 0.5))

    def fingerprint(self) -> str:
        """A digest of what was stored, in which order, and when."""
        told = [
            (name, one.seq, one.subject, round(one.at, 6)) for name, stream in self.streams.items()
            for one in stream.kept.values()
        ]  # fmt: skip
        return hashlib.sha256(repr(told).encode()).hexdigest()[:16]

    # --- the wire ---------------------------------------------------------------------------------------------------

    def carry(self, client: SimClient, subject: str, payload: bytes, reply: str, headers: Headers | None) -> None:
        """Take a message from a client to the server."""
        chances, rng = self.chances, self.rng
        is_ack = subject.startswith(_ACK)
        if is_ack and rng.random() < chances.ack_lost:
            self.on_fault("acknowledgement lost")
            return
        # Parts of a batch between the first and the last travel without an answer and are lost only with all.
        if reply and not is_ack and rng.random() < chances.request_lost:
            self.on_fault("request lost")
            return
        if rng.random() < chances.slow:
            self.on_fault("connection slow")
            client.sent_until = self.loop.time() + rng.uniform(0.1, chances.slow_seconds)
        at = max(client.sent_until + APART_SECONDS, self.loop.time() + rng.uniform(*WIRE_SECONDS))
        client.sent_until = at
        self.loop.call_at(at, self._arrive, client, client.epoch, subject, payload, reply, headers,
                          context=self.loop.world)  # fmt: skip

    def deliver(
        self,
        client: SimClient,
        to: str,
        payload: bytes,
        *,
        reply: str = "",
        headers: Headers | None = None,
        shown: str | None = None,
    ) -> None:
        """Take a message from the server to a client's subscription; `shown` is the subject that it bears."""
        if not client.is_connected or client.is_closed:
            return
        at = max(client.heard_until + APART_SECONDS, self.loop.time() + self.rng.uniform(*WIRE_SECONDS))
        client.heard_until = at
        message = Msg(
            _client=client,  # type: ignore[arg-type]  # it is to the house what the library's is
            subject=shown or to,
            reply=reply,
            data=payload,
            headers=dict(headers) if headers else None,
        )
        self.loop.call_at(at, client.hear, client.epoch, to, message, context=client.context)

    def _arrive(
        self, client: SimClient, epoch: int, subject: str, payload: bytes, reply: str, headers: Headers | None
    ) -> None:
        if client.epoch != epoch:
            return
        if not self._may(client, subject):
            self.refused.append(f"{client.user} may not publish to {subject}")
            return
        if subject.startswith(_ACK):
            tokens = subject.split(".")
            consumer = self.consumers[tokens[2], tokens[3]]
            consumer.hear(tokens, payload, self.loop.time())
            self._pump(consumer)
        elif subject.startswith(_API):
            self._api(client, subject.removeprefix(_API), payload, reply)
        elif subject.startswith("_INBOX_"):
            self._to_inbox(subject, payload, headers)
        elif any(matches(pattern, subject) for spec in STREAMS for pattern in spec.subjects):
            self._store(client, subject, payload, reply, headers or {})
        else:
            self._to_service(client, subject, payload, reply)

    def _may(self, client: SimClient, subject: str) -> bool:
        if client.account is not None or subject.startswith("_INBOX_"):
            return True
        asked = (client.user, subject)
        if asked not in self._allowed:
            patterns = self._permissions[client.user].publish
            self._allowed[asked] = any(matches(pattern, subject) for pattern in patterns)
        return self._allowed[asked]

    def _answer(self, client: SimClient, reply: str, payload: bytes, headers: Headers | None = None) -> None:
        if reply and not self._is_lost():
            self.deliver(client, reply, payload, headers=headers)

    def _is_lost(self) -> bool:
        if self.rng.random() >= self.chances.answer_lost:
            return False
        self.on_fault("answer lost")
        return True

    def _store(self, client: SimClient, subject: str, payload: bytes, reply: str, headers: Headers) -> None:
        stream = self.streams[stream_of(subject).name]
        self._sender = client
        answer = stream.publish(subject, headers, payload, now=self.loop.time())
        self._sender = None
        self._answer(client, reply, b"" if answer is None else json.dumps(answer).encode())
        for consumer in self.consumers.values():
            if consumer.stream is stream:
                self._pump(consumer)

    def _api(self, client: SimClient, subject: str, payload: bytes, reply: str) -> None:
        now = self.loop.time()
        kind, _, rest = subject.partition(".")
        if kind == "DIRECT":
            name, _, last_of = rest.removeprefix("GET.").partition(".")
            for headers, data in self.streams[name].direct_get(last_of, payload, now=now):
                self._answer(client, reply, data, headers)
        elif rest.startswith("MSG.GET."):
            answer = self.streams[rest.removeprefix("MSG.GET.")].leaders_get(payload, now=now)
            self._answer(client, reply, json.dumps(answer).encode())
        elif rest.startswith("INFO."):
            info = self.streams[rest.removeprefix("INFO.")].info(now=now)
            self._answer(client, reply, json.dumps(info).encode())
        else:
            _, _, stream, name = rest.split(".")
            wanted = json.loads(payload)
            pull = Pull(client, reply, wanted["batch"], now + wanted["expires"] / 1e9)
            consumer = self.consumers[stream, name]
            consumer.pulls.append(pull)
            self.loop.later(wanted["expires"] / 1e9, self._end_pull, consumer, pull)
            self._pump(consumer)

    def _end_pull(self, consumer: Consumer, pull: Pull) -> None:
        if pull in consumer.pulls:
            consumer.pulls.remove(pull)
            self.deliver(pull.client, pull.reply, b"", headers={"Status": "408", "Description": "Request Timeout"})

    def _pump(self, consumer: Consumer) -> None:
        now = self.loop.time()
        for pull, one, reply in consumer.pump(now):
            self.deliver(pull.client, pull.reply, one.data, reply=reply, headers=one.headers, shown=one.subject)
        wake_at, key = consumer.wake_at(now), (consumer.spec.stream, consumer.spec.name)
        if wake_at is not None and not now < self._wakes.get(key, -1.0) <= wake_at:
            self._wakes[key] = wake_at
            self.loop.call_at(wake_at, self._pump, consumer, context=self.loop.world)

    def _to_inbox(self, subject: str, payload: bytes, headers: Headers | None) -> None:
        client = self.clients.get(subject.split(".")[1])
        if client is not None:
            self.deliver(client, subject, payload, headers=headers)

    def _to_service(self, client: SimClient, subject: str, payload: bytes, reply: str) -> None:
        """A command of a person goes to one of the replicas that answer it, with who asks."""
        able = [one for one in self.clients.values() if one.is_connected and not one.is_closed and one.answers(subject)]
        if not able:
            self.deliver(client, reply, b"", headers={"Status": "503"})
            return
        info = json.dumps({"acc": client.account or house_account("staging"), "user": client.user})
        self.deliver(self.rng.choice(able), subject, payload, reply=reply, headers={REQUEST_INFO: info})


def person(bus: Bus, name: str) -> SimClient:
    """The connection of a person, in the people's account."""
    return bus.connect(name, context=bus.loop.world, account=people_account("staging"))

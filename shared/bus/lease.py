"""A lease on a name: at most one holder at a time, a token that only grows, and a body that ends when it is lost.

The lease is one message with a time to live; its first sequence is the fencing token. Whoever holds a lease may
still be paused and wake up late, so a token alone protects nothing: `plant_fence` writes it into the stream that
the guarded messages go to, and every guarded message names that fence.
It decides nothing about what is done under a lease.
"""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final, Self

import nats.errors
import structlog
from nats.js import JetStreamContext

from shared.bus.commit import Committer
from shared.bus.publishing import Conflict, Fence, Outgoing, PublishFailed, PublishRefused, publish_one
from shared.bus.reading import StreamUnavailable, last
from shared.bus.topology import stream_of
from shared.events.envelope import decode
from shared.events.facts import TargetFenced, fence_subject
from shared.ids import Ids
from shared.run.moves import Message

STREAM: Final = "LEASE"
HELD_SHARE: Final = 0.75
"""The part of the time to live for which the holder believes in its lease; the rest is margin for slow answers."""
RENEW_SHARE: Final = 0.25
PUBLISH_SHARE: Final = 0.25
"""How long one publish of a lease may take before it is tried again."""
RELEASED_TTL_SECONDS: Final = 1
ACQUIRE_ATTEMPTS_MAX: Final = 3
FENCE_ATTEMPTS_MAX: Final = 5

log = structlog.get_logger(__name__)


class LeaseHeld(Exception):
    """Somebody else holds the lease; try again later."""

    def __init__(self, subject: str, holder: str) -> None:
        self.subject = subject
        self.holder = holder
        super().__init__(f"{subject} is held by {holder}; it is free when released or when its time to live has passed")


class LeaseLost(Exception):
    """We no longer hold the lease: it ran out, or another has it; nothing may be written under it any more."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A lease as it was last confirmed."""

    subject: str
    holder: str
    token: int
    """The fencing token: the same through all renewals, larger than that of every earlier holder."""
    seq: int
    """The sequence of the last renewal, which the next one must name."""
    ttl_seconds: int


async def acquire(js: JetStreamContext, *, subject: str, holder: str, ttl_seconds: int, ids: Ids) -> Grant:
    """Take a free lease; LeaseHeld names the holder when there is one."""
    if ttl_seconds < 1:
        raise ValueError(f"{subject}: a lease of {ttl_seconds} s; the server counts whole seconds from 1")
    for _ in range(ACQUIRE_ATTEMPTS_MAX):
        current = await last(js, STREAM, subject)
        if current is not None and not _is_released(current.data):
            raise LeaseHeld(subject, _holder(current.data))
        outgoing = Outgoing(
            subject=subject,
            body=_body(holder, is_released=False),
            message_id=f"{subject}-{holder}-{ids.token(16)}",
            expected_last_seq=0 if current is None else current.seq,
            ttl_seconds=ttl_seconds,
        )
        try:
            seq = (await publish_one(js, outgoing, ttl_seconds * PUBLISH_SHARE)).seq
        except Conflict:
            continue  # taken in between, or the mark of its release has just run out: look again
        return Grant(subject, holder, token=seq, seq=seq, ttl_seconds=ttl_seconds)
    raise LeaseHeld(subject, "others, who were quicker each time")


async def renew(js: JetStreamContext, grant: Grant) -> Grant:
    """Begin the time to live anew; LeaseLost when the lease ran out or went to another."""
    outgoing = Outgoing(
        subject=grant.subject,
        body=_body(grant.holder, is_released=False),
        message_id=f"{grant.subject}-{grant.holder}-after-{grant.seq}",
        expected_last_seq=grant.seq,
        ttl_seconds=grant.ttl_seconds,
    )
    try:
        seq = (await publish_one(js, outgoing, grant.ttl_seconds * PUBLISH_SHARE)).seq
    except Conflict as conflict:
        raise LeaseLost(f"{grant.subject}: lost by {grant.holder} with token {grant.token}: {conflict.said}") from None
    return replace(grant, seq=seq)


async def release(js: JetStreamContext, grant: Grant) -> None:
    """Give the lease back at once; a lease that is lost already needs nothing."""
    outgoing = Outgoing(
        subject=grant.subject,
        body=_body(grant.holder, is_released=True),
        message_id=f"{grant.subject}-{grant.holder}-released-{grant.seq}",
        expected_last_seq=grant.seq,
        ttl_seconds=RELEASED_TTL_SECONDS,
    )
    try:
        await publish_one(js, outgoing, grant.ttl_seconds * PUBLISH_SHARE)
    except Conflict:
        log.info("lease_was_lost_before_release", subject=grant.subject, token=grant.token)


async def plant_fence(js: JetStreamContext, committer: Committer, *, target: str, token: int) -> Fence:
    """Write a lease's token where the target's guarded messages go; LeaseLost when a later holder's stands there.

    From then on no message fenced by an earlier token is stored. The subject lies in the stream of the guarded
    messages, for only there is the fence compared in the same step as the message is stored. A fence that cannot be
    read raises Undecodable: whose it is, is not known, so nobody writes.
    """
    subject = fence_subject(target)
    stream = stream_of(subject).name
    message = Message(
        subject=subject,
        event=TargetFenced(target=target, fencing_token=token),
        message_id=f"{subject}-{token}",
        about=target,
    )
    for _ in range(FENCE_ATTEMPTS_MAX):
        current = await last(js, stream, subject)
        planted = 0
        if current is not None:
            fence = decode(TargetFenced, data=current.data, headers=current.headers, subject=subject)
            planted = fence.fencing_token
        if planted > token:
            raise LeaseLost(f"{subject}: token {token} comes too late, {planted} is planted already")
        if current is not None and planted == token:
            return Fence(subject, current.seq)
        outgoing = committer.outgoing(message, expected_last_seq=0 if current is None else current.seq)
        try:
            return Fence(subject, (await publish_one(js, outgoing)).seq)
        except Conflict:
            continue  # another token was planted in between: look again whose is later
    raise LeaseLost(f"{subject}: token {token} could not be planted in {FENCE_ATTEMPTS_MAX} attempts")


class LeaseHold:
    """Hold a lease for the length of an `async with` body, renewing it in the background.

    When the lease is lost the body's task is cancelled and the block ends in LeaseLost. A cancellation by somebody
    else goes before that: it is never taken for ours, and nothing that fails while the lease is given back hides it.
    `is_held()` is the check before each act: it goes by our own clock, from before the last confirmed renewal was
    sent, with a margin.
    """

    def __init__(
        self,
        js: JetStreamContext,
        *,
        subject: str,
        holder: str,
        ttl_seconds: int,
        ids: Ids,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._js = js
        self._subject = subject
        self._holder = holder
        self._ttl_seconds = ttl_seconds
        self._ids = ids
        self._monotonic = monotonic
        self._grant: Grant | None = None
        self._held_until = 0.0
        self._loss: LeaseLost | None = None
        self._body: asyncio.Task[object] | None = None
        self._cancelled_before = 0
        self._renewing: asyncio.Task[None] | None = None

    @property
    def token(self) -> int:
        """The fencing token of this holding."""
        if self._grant is None:
            raise LeaseLost(f"{self._subject} has not been acquired")
        return self._grant.token

    def is_held(self) -> bool:
        """Tell whether the lease is certainly ours at this moment."""
        return self._grant is not None and self._loss is None and self._monotonic() < self._held_until

    def require_held(self) -> None:
        """Raise LeaseLost unless the lease is certainly ours at this moment."""
        if not self.is_held():
            raise self._loss or LeaseLost(f"{self._subject}: not renewed in time by {self._holder}")

    async def __aenter__(self) -> Self:
        asked_at = self._monotonic()
        self._grant = await acquire(
            self._js, subject=self._subject, holder=self._holder, ttl_seconds=self._ttl_seconds, ids=self._ids
        )
        self._held_until = asked_at + self._ttl_seconds * HELD_SHARE
        self._body = asyncio.current_task()
        self._cancelled_before = self._body.cancelling() if self._body is not None else 0
        self._renewing = asyncio.create_task(self._keep_renewing(self._grant), name=f"renew {self._subject}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        # The body has ended: a loss that shows only now is no longer its affair and cancels nobody.
        body, self._body = self._body, None
        loss = self._loss
        came_late = False
        try:
            if self._renewing is not None:
                self._renewing.cancel()
                await asyncio.gather(self._renewing, return_exceptions=True)
        except asyncio.CancelledError:
            if loss is None:
                raise
            came_late = True  # ours, which the body did not live to see, or somebody else's
        if loss is None:
            await self._give_back()
            return
        # Take back our own cancellation; what is left over is somebody else's, and theirs goes first.
        if body is not None and body.uncancel() > self._cancelled_before:
            if came_late or error is None:
                raise asyncio.CancelledError
            return
        if error is None or isinstance(error, asyncio.CancelledError):
            raise loss

    async def _give_back(self) -> None:
        if self._grant is None:
            return
        try:
            async with asyncio.timeout(self._ttl_seconds * PUBLISH_SHARE):
                await release(self._js, self._grant)
        except (TimeoutError, PublishFailed, PublishRefused, StreamUnavailable, nats.errors.Error) as failure:
            # It runs out by itself; how the body ended matters more, above all when it was cancelled.
            log.warning("lease_not_released", subject=self._subject, error=type(failure).__name__)

    async def _keep_renewing(self, grant: Grant) -> None:
        """Renew until the body has ended or the lease is lost; the bound of the loop is the lease itself."""
        while self._body is not None:
            await asyncio.sleep(self._ttl_seconds * RENEW_SHARE)
            asked_at = self._monotonic()
            try:
                async with asyncio.timeout(max(self._held_until - asked_at, 0)):
                    grant = await renew(self._js, grant)
            except LeaseLost as loss:
                self._lose(loss)
                return
            except TimeoutError:
                self._lose(LeaseLost(f"{grant.subject}: no renewal by {grant.holder} in {self._ttl_seconds} s"))
                return
            except PublishFailed:
                continue  # the bus may come back before the lease runs out
            self._grant = grant
            self._held_until = asked_at + self._ttl_seconds * HELD_SHARE

    def _lose(self, loss: LeaseLost) -> None:
        self._loss = loss
        log.error("lease_lost", subject=self._subject, holder=self._holder, reason=str(loss))
        if self._body is not None:
            self._body.cancel()


def _body(holder: str, *, is_released: bool) -> bytes:
    return json.dumps({"holder": holder, "released": is_released}).encode()


def _holder(body: bytes) -> str:
    return str(_fields(body).get("holder", "unknown"))


def _is_released(body: bytes) -> bool:
    return bool(_fields(body).get("released", False))


def _fields(body: bytes) -> dict[str, str | int | bool]:
    """Read a lease's own body; what cannot be read counts as held by an unknown holder."""
    try:
        fields = json.loads(body)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}

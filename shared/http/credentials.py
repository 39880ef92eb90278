"""How a request proves who asks: headers that stay, or a token that is fetched, kept and renewed before it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from shared.clock import Clock
from shared.errors import AetherError, NeedsPerson
from shared.ports.pacing import Use
from shared.secrets import Secret, forget_kept

RENEWED_BEFORE_END_SECONDS: Final = 60.0
"""A token is not used in its last minute: the request may arrive late, and the other side's clock may be ahead."""
RENEWED_BEFORE_END_SHARE: Final = 0.1
"""Of a token that lives for less than ten minutes."""
TOKEN_SECONDS_MAX: Final = 24 * 3600.0
"""A token is renewed daily, whatever is said of its life."""


class Credential(Protocol):
    """What goes into the headers of each request."""

    async def headers(self, use: Use) -> Mapping[str, str]:
        """The headers; may have to ask for a token first, and raises what that raises."""
        ...

    def forget(self, sent: Mapping[str, str]) -> bool:
        """The headers that were sent have been refused: whether another try would send others."""
        ...


class Referenced:
    """Headers made of a secret, which is read again when they are refused: it may have been changed meanwhile."""

    def __init__(self, read: Callable[[], Mapping[str, str]]) -> None:
        """`read` makes the headers of what the secret's reference holds then; it is asked at once."""
        self._read = read
        self._headers = dict(read())

    async def headers(self, use: Use) -> Mapping[str, str]:
        """The headers."""
        return self._headers

    def forget(self, sent: Mapping[str, str]) -> bool:
        """Read the secret again, unless somebody else has since; it is read once for each refusal, never in a loop."""
        if dict(sent) != self._headers:
            return True
        forget_kept()
        try:
            found = dict(self._read())
        except AetherError:
            return False  # what was refused says more than that there is nothing else
        is_another = found != self._headers
        self._headers = found
        return is_another


class Fixed:
    """The same headers for ever."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = dict(headers)

    async def headers(self, use: Use) -> Mapping[str, str]:
        """The headers."""
        return self._headers

    def forget(self, sent: Mapping[str, str]) -> bool:
        """There are no others."""
        return False


@dataclass(frozen=True)
class Token:
    """A token and how long it lives from when it was asked for."""

    text: str
    lives_seconds: float


class Granted:
    """A bearer token that is asked for when it is needed, by one asker at a time."""

    def __init__(self, grant: Callable[[Use], Awaitable[Token]], *, clock: Clock) -> None:
        self._grant = grant
        self._clock = clock
        self._headers: Mapping[str, str] | None = None
        self._ends_at = 0.0
        self._asking = asyncio.Lock()

    async def headers(self, use: Use) -> Mapping[str, str]:
        """The headers with a token that will live for a while."""
        async with self._asking:
            if self._headers is None or self._clock.monotonic_seconds() >= self._ends_at:
                asked_at = self._clock.monotonic_seconds()
                token = await self._grant(use)
                lives = min(max(token.lives_seconds, 0.0), TOKEN_SECONDS_MAX)
                self._ends_at = asked_at + lives - min(RENEWED_BEFORE_END_SECONDS, lives * RENEWED_BEFORE_END_SHARE)
                self._headers = {"Authorization": f"Bearer {token.text}"}
            return self._headers

    def forget(self, sent: Mapping[str, str]) -> bool:
        """Ask anew before the next request; also when somebody else has done so since."""
        if self._headers is not None and self._headers["Authorization"] == sent.get("Authorization"):
            self._headers = None
        return True


def plain(secret: Secret, *, reference: str) -> str:
    """A secret that can stand in a header; `NeedsPerson` (SYS_SECRET) names the reference of one that cannot."""
    text = str(secret)
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise NeedsPerson(
            "SYS_SECRET", f"{reference}: is no token (blank, control or non-ASCII characters); store it anew"
        )
    return text

"""Passwords: which are good enough, and how they are kept.

The rules are those of NIST SP 800-63B: long enough, not the commonest, not the person's name; no rule about kinds of
signs, and no expiry. Hashing is argon2id with the parameters that OWASP recommends (19 MiB, two rounds); it costs some
ten milliseconds by intention, so only few are computed at once, in threads, and not many may wait.
"""

from __future__ import annotations

import asyncio
import secrets
import unicodedata
from collections.abc import Callable
from typing import Any, Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from shared.asking.problem import NoAnswer

CHARACTERS_MIN: Final = 12
CHARACTERS_MAX: Final = 128
AT_ONCE_MAX: Final = 2
WAITING_MAX: Final = 64
FIRST_BYTES: Final = 15
MEMORY_KIB: Final = 19_456
ROUNDS: Final = 2
LANES: Final = 1
DIFFERENT_SIGNS_MIN: Final = 5

_ROWS: Final = "01234567890123456789 abcdefghijklmnopqrstuvwxyz qwertyuiopasdfghjklzxcvbnm"
_COMMON: Final = frozenset(
    """
    123456789012 1234567890123 12345678901234 123456789123 1234567891011 111111111111 112233445566 121212121212
    1q2w3e4r5t6y 1qaz2wsx3edc 1qazxsw23edc 123123123123 123qweasdzxc 987654321098 aaaaaaaaaaaa abc123abc123
    abcd12345678 adminadminadmin administrator administrator1 changemechangeme changeme12345 contraseña123
    correcthorsebatterystaple dragondragon footballfootball iloveyou1234 iloveyouiloveyou letmeinletmein
    letmein12345 michaelmichael monkeymonkey mypassword123 mypasswordis newpassword1 p@ssw0rd1234 p@ssword1234
    passw0rd1234 password1234 password12345 password123456 password1234! password2024! password2025! password2026!
    passwordpassword princess1234 qazwsxedcrfv qwerty123456 qwerty12345678 qwertyqwerty qwertyuiop12 qwertyuiop123
    qwertyuiop[] qwertyuiopasdfgh schooldistrict secretsecret spring2026!! summer2025!! summer2026!! sunshine1234
    superman1234 teacher12345 temporary123 testtesttest trustno1trustno1 unknownunknown welcome12345 welcome123456
    welcome2024! welcome2025! welcome2026! winter2025!! winter2026!! zaq12wsxcde3
    """.split()  # noqa: SIM905 - a column of quotes is harder to read
)
"""Of the commonest passwords those that are long enough to be chosen."""


class WeakPassword(Exception):
    """The password is not good enough; the message says why and may be shown."""


def check_password(password: str, *, user: str) -> None:
    """`WeakPassword` unless a person may choose this password."""
    text = _normal(password)
    if len(text) < CHARACTERS_MIN:
        raise WeakPassword(
            f"The new password has {len(text)} characters, at least {CHARACTERS_MIN} are needed; four random words do."
        )
    # Both lengths: what is longer as typed would be turned away at the next sign-in.
    if (longest := max(len(text), len(password))) > CHARACTERS_MAX:
        raise WeakPassword(f"The new password has {longest} characters, at most {CHARACTERS_MAX} are taken.")
    small = text.casefold()
    # A name of one or two letters is in many a good password.
    if any(len(name) > 2 and name in small for name in (user.casefold(), "aether")):
        raise WeakPassword("The new password contains your name or this product's; choose one that does not.")
    if small in _COMMON or len(set(small)) < DIFFERENT_SIGNS_MIN or small in _ROWS:
        raise WeakPassword("The new password is one of those that are tried first; choose another.")


def first_password() -> str:
    """A password to hand over once; whoever gets it chooses another."""
    return secrets.token_urlsafe(FIRST_BYTES)


class Passwords:
    """Makes and checks the hashes of passwords."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=ROUNDS, memory_cost=MEMORY_KIB, parallelism=LANES)
        self._turns = asyncio.Semaphore(AT_ONCE_MAX)
        self._waiting = 0
        self._nobody = self._hasher.hash(first_password())

    async def hashed(self, password: str) -> str:
        """The hash of a password, with its own salt and parameters in it."""
        return str(await self._in_thread(self._hasher.hash, _normal(password)))

    async def is_right(self, password: str, known: str | None) -> bool:
        """Whether the hash is of the password; without one (nobody's account) it is not, and takes as long."""
        # Nothing longer was ever kept, and normalising must not be made to work on megabytes.
        given = _normal(password) if len(password) <= CHARACTERS_MAX else ""
        is_same = await self._in_thread(self._compare, given, known)
        return bool(is_same) and known is not None

    def is_old(self, known: str) -> bool:
        """Whether the hash was made with other parameters than those of now."""
        return self._hasher.check_needs_rehash(known)

    def _compare(self, password: str, known: str | None) -> bool:
        try:
            return self._hasher.verify(known or self._nobody, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _in_thread(self, work: Callable[..., Any], *values: Any) -> Any:
        if self._waiting >= WAITING_MAX:
            raise NoAnswer("too many people sign in at this moment", action="Try again in some seconds.")
        self._waiting += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(work, *values)
        finally:
            self._waiting -= 1


def _normal(password: str) -> str:
    """The form in which a password is hashed: the same signs typed on another keyboard give the same text."""
    return unicodedata.normalize("NFKC", password)

"""Who exists and in which roles, as the identities file says: the same file that the bus is made from.

Read anew when it changes. When it cannot be read any more, what it said last stays, and it is told: an edit that went
wrong must not lock everybody out, nor may it let anybody in.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import structlog

from shared.errors import NeedsPerson
from shared.policy.approval import Identities, Person
from shared.policy.identities import load_identities

NEED_SECOND_FACTOR: Final = frozenset({"approver", "steward", "admin"})
"""Whoever decides, says what is allowed, or lets people in."""
FINGERPRINT_DIGITS: Final = 16

log = structlog.get_logger(__name__)


class People:
    """Everybody whom the file names."""

    def __init__(self, path: Path) -> None:
        """`NeedsPerson` when the file cannot be read at the start."""
        self._path = path
        self._seen = self._look()
        self._identities: Identities = load_identities(path)

    def all(self) -> dict[str, Person]:
        """The people now, by name."""
        seen = self._look()
        if seen != self._seen:
            self._seen = seen
            try:
                self._identities = load_identities(self._path)
            except NeedsPerson as error:
                # The text may quote the file.
                log.error("console_people_unreadable", code=error.code)
        return self._identities.people

    def roles_of(self, user: str) -> frozenset[str] | None:
        """The roles of one of them; None for who is no person of the house."""
        person = self.all().get(user)
        return None if person is None else frozenset(person.roles)

    def _look(self) -> tuple[int, int, int]:
        """What changes whenever the file does; looking costs microseconds."""
        try:
            found = self._path.stat()
        except OSError:
            return (0, 0, 0)
        return (found.st_mtime_ns, found.st_size, found.st_ino)


def fingerprint(key: str | None) -> str | None:
    """What identifies a public key on a page; None without a key."""
    return None if key is None else hashlib.sha256(key.encode()).hexdigest()[:FINGERPRINT_DIGITS]

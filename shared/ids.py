"""Identifiers: what they look like and how new ones are made.

Ids of runs sort by time and are safe as one token of a bus subject. Ids of changes are digests and are made by the
plan, not here.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import UTC, datetime
from typing import NewType, Protocol

RunId = NewType("RunId", str)
PlanDigest = NewType("PlanDigest", str)
ChangeId = NewType("ChangeId", str)

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u to misread over the telephone
_RUN_ID = re.compile(r"^\d{8}T\d{6}-[0-9a-hjkmnp-tv-z]{6}$")
_NAME = re.compile(r"^[a-z][a-z0-9-]{0,62}$")


class Ids(Protocol):
    """Where new ids come from."""

    def token(self, length: int) -> str:
        """A random text of `length` characters that is safe in a subject, a path and a shell."""
        ...


class RandomIds:
    """Ids from the operating system's randomness."""

    def token(self, length: int) -> str:
        """A random text of `length` characters that is safe in a subject, a path and a shell."""
        return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def new_run_id(now: datetime, ids: Ids) -> RunId:
    """An id such as `20261122T083455-4k7zq2`: the second in UTC at which the run was admitted, and six random signs."""
    return RunId(now.astimezone(UTC).strftime("%Y%m%dT%H%M%S") + "-" + ids.token(6))


def run_id_of(moment: datetime, *, seed: str) -> RunId:
    """The id of the one run that is asked for at this moment for this reason: the same whoever makes it."""
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big")
    signs = "".join(_ALPHABET[(number >> 5 * place) & 31] for place in range(6))
    return RunId(moment.astimezone(UTC).strftime("%Y%m%dT%H%M%S") + "-" + signs)


def is_run_id(text: str) -> bool:
    """Whether the text has the form of a run id."""
    return _RUN_ID.fullmatch(text) is not None


def is_name(text: str) -> bool:
    """Whether the text can name a connector, a connection or a person: small letters, digits and dashes, at most 63."""
    return _NAME.fullmatch(text) is not None

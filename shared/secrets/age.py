"""Decrypts the data key of a file with the age identities that this program holds.

The identities lie in a file that the environment names (`AETHER_SOPS_AGE_KEY_FILE`, or `SOPS_AGE_KEY_FILE` as SOPS
itself has it); never in the environment itself, which other programs may read. Public keys alone stand in messages.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

IDENTITIES_MAX: Final = 50
IDENTITY_FILE_BYTES_MAX: Final = 64 * 1024
RECIPIENTS_MAX: Final = 100
DATA_KEY_BYTES: Final = 32
VARIABLES: Final = ("AETHER_SOPS_AGE_KEY_FILE", "SOPS_AGE_KEY_FILE")
"""The first that is set counts."""
_PREFIX: Final = "AGE-SECRET-KEY-1"


class Unreadable(Exception):
    """Why a file encrypted by SOPS gives nothing; the sentence quotes no value."""


@dataclass(frozen=True)
class Identities:
    """What this program can decrypt with."""

    keys: tuple[Any, ...]
    """Of the library, which has no types."""
    recipients: tuple[str, ...]
    """Their public keys."""


def data_key_of(encrypted: Sequence[tuple[str, str]]) -> bytes:
    """The data key of a file, of which each recipient has an encrypted copy; `Unreadable` when none is for us."""
    import pyrage  # in the group `secrets`: who reads plain files needs it not

    if len(encrypted) > RECIPIENTS_MAX:
        raise Unreadable(f"has {len(encrypted)} age recipients, {RECIPIENTS_MAX} are allowed")
    held = identities()
    ours = [each for each in encrypted if each[0] in held.recipients]
    if not ours:
        raise Unreadable(
            f"is encrypted for {_listed([each[0] for each in encrypted])}; "
            f"this program holds the identity of {_listed(held.recipients)}; "
            "add that one as a recipient (sops updatekeys), or let this program have another identity"
        )
    for _, text in ours:
        try:
            key: bytes = pyrage.decrypt(text.encode(), list(held.keys))
        except (pyrage.DecryptError, ValueError):
            continue
        if len(key) == DATA_KEY_BYTES:
            return key
    raise Unreadable(
        f"has a data key for {_listed([each[0] for each in ours])} that cannot be decrypted; encrypt it anew"
    )


def identities() -> Identities:
    """The identities of this program; `Unreadable` when there are none."""
    import pyrage

    variable, path = next(
        ((name, text) for name in VARIABLES if (text := os.environ.get(name, ""))), (VARIABLES[0], "")
    )
    if not path:
        raise Unreadable(
            f"needs an age identity, and {variable} names no file of identities; "
            "put the identity into a file that only this program can read and name it there"
        )
    path = path.removeprefix("file:")
    try:
        with Path(path).open("rb") as file:
            content = file.read(IDENTITY_FILE_BYTES_MAX + 1)
    except OSError as problem:
        raise Unreadable(
            f"needs an age identity, and the file of {variable}, {path}, cannot be read ({problem.strerror})"
        ) from None
    lines = [line.strip() for line in content.decode("utf-8", errors="replace").splitlines()]
    found = [line for line in lines if line.startswith(_PREFIX)]
    if not found or len(found) > IDENTITIES_MAX or len(content) > IDENTITY_FILE_BYTES_MAX:
        raise Unreadable(
            f"needs an age identity, and the file of {variable}, {path}, holds {len(found)} lines that begin with "
            f"{_PREFIX}; from 1 to {IDENTITIES_MAX} are read (age-keygen writes such a file)"
        )
    keys = []
    for number, line in enumerate(found, start=1):
        try:
            keys.append(pyrage.x25519.Identity.from_str(line))
        except (pyrage.IdentityError, ValueError):
            # The library's words may quote the line.
            raise Unreadable(f"needs an age identity, and identity {number} of {path} is damaged") from None
    return Identities(tuple(keys), tuple(str(key.to_public()) for key in keys))


def _listed(recipients: Sequence[str]) -> str:
    return ", ".join(recipients) or "nobody"

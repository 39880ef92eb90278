"""Commitments to personal values: a digest that proves a value to who holds the subject's key and tells others nothing.

Plans and audit entries carry commitments where a plain digest of a name or a birth date could be guessed. The module
holds no keys and destroys none: whoever keeps the keys erases a subject by destroying what its key was made from.
"""

from __future__ import annotations

import hashlib
import hmac

from shared.hashing.canonical import canonical_json

KEY_BYTES = 32
"""Master keys, salts and subject keys have at least, exactly and exactly this length."""

PREFIX = "hmac-sha256:"
_SUBJECT_KEY_DOMAIN = b"aether-integrator/subject-key/v1\x00"


def subject_key(master: bytes, subject: str, *, salt: bytes = b"") -> bytes:
    """The 32-byte key of one subject, derived by HMAC-SHA256 under a domain of its own.

    Without a salt whoever has the master key can derive it again, so destroying it means destroying the master key.
    With a random 32-byte salt kept per subject, destroying the salt erases that one subject.
    """
    if len(master) < KEY_BYTES:
        raise ValueError(f"master key: {len(master)} bytes, at least {KEY_BYTES} needed; create one from random bytes")
    if len(salt) not in (0, KEY_BYTES):
        raise ValueError(f"salt of a subject: {len(salt)} bytes, expected {KEY_BYTES} or none")
    if not subject:
        raise ValueError("subject: empty; name the person by a stable id")
    # The salt's length stands before it: no salt and subject can be read as another salt and subject.
    message = _SUBJECT_KEY_DOMAIN + len(salt).to_bytes(1, "big") + salt + subject.encode()
    return hmac.digest(master, message, hashlib.sha256)


def commit(key: bytes, value: object) -> str:
    """The commitment to a JSON value under a subject's key: `hmac-sha256:` and 64 hexadecimal digits."""
    if len(key) != KEY_BYTES:
        raise ValueError(f"subject key: {len(key)} bytes, expected {KEY_BYTES}; make it with subject_key")
    return PREFIX + hmac.digest(key, canonical_json(value), hashlib.sha256).hex()


def is_commitment_to(value: object, *, commitment: str, key: bytes) -> bool:
    """Whether the commitment was made to this value under this key."""
    return hmac.compare_digest(commit(key, value).encode(), commitment.encode())

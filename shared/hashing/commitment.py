"""Commitments to personal values: a digest that proves a value to who holds the subject's key and tells others nothing.

Plans and audit entries carry commitments where a plain digest of a name or a birth date could be guessed. The module
holds no keys and destroys none: whoever keeps the keys erases a subject by destroying what its key was made from.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from shared.hashing.canonical import canonical_json

KEY_BYTES = 32
"""Master keys, salts and subject keys have at least, exactly and exactly this length."""

PREFIX = "hmac-sha256:"
_SUBJECT_KEY_DOMAIN = b"aether-integrator/subject-key/v1\x00"
_BLOCK_BYTES = 64
"""What SHA-256 reads at once; longer keys are hashed first."""
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))

_Begun = tuple[Callable[[], "hashlib._Hash"], Callable[[], "hashlib._Hash"]]


def subject_key(master: bytes, subject: str, *, salt: bytes = b"") -> bytes:
    """The 32-byte key of one subject, derived by HMAC-SHA256 under a domain of its own.

    Without a salt whoever has the master key can derive it again, so destroying it means destroying the master key.
    With a random 32-byte salt kept per subject, destroying the salt erases that one subject.
    """
    return _subject_key(_begun(_checked(master)), subject, salt)


def subject_keys(master: bytes) -> Callable[[str], bytes]:
    """`subject_key` without a salt for many subjects: the same keys, with the master key set up once."""
    begun = _begun(_checked(master))
    return lambda subject: _subject_key(begun, subject, b"")


def _checked(master: bytes) -> bytes:
    if len(master) < KEY_BYTES:
        raise ValueError(f"master key: {len(master)} bytes, at least {KEY_BYTES} needed; create one from random bytes")
    return master


def _subject_key(begun: _Begun, subject: str, salt: bytes) -> bytes:
    if len(salt) not in (0, KEY_BYTES):
        raise ValueError(f"salt of a subject: {len(salt)} bytes, expected {KEY_BYTES} or none")
    if not subject:
        raise ValueError("subject: empty; name the person by a stable id")
    begin_inner, begin_outer = begun
    message = begin_inner()
    # The salt's length stands before it: no salt and subject can be read as another salt and subject.
    message.update(_SUBJECT_KEY_DOMAIN + len(salt).to_bytes(1, "big") + salt + subject.encode())
    whole = begin_outer()
    whole.update(message.digest())
    return whole.digest()


def _begun(key: bytes) -> _Begun:
    """HMAC-SHA256 with its key set up: each call gives a hash that has read the inner pad, or the outer one.

    RFC 2104: the hash over the outer pad and the hash over the inner pad and the message.
    """
    padded = (key if len(key) <= _BLOCK_BYTES else hashlib.sha256(key).digest()).ljust(_BLOCK_BYTES, b"\x00")
    return hashlib.sha256(padded.translate(_INNER_PAD)).copy, hashlib.sha256(padded.translate(_OUTER_PAD)).copy


def commit(key: bytes, value: object) -> str:
    """The commitment to a JSON value under a subject's key: `hmac-sha256:` and 64 hexadecimal digits."""
    _require_subject_key(key)
    return PREFIX + hmac.digest(key, canonical_json(value), "sha256").hex()


def committer(key: bytes, *, encode: Callable[[object], bytes] = canonical_json) -> Callable[[object], str]:
    """`commit` for many values of one subject: the same commitments, with the key set up once.

    Setting the key up is more than half of the work for a value as short as a name. What is returned holds the key.
    `encode` may be `canonical_json_of_plain` where every value is known to be plain.
    """
    _require_subject_key(key)
    begin_inner, begin_outer = _begun(key)

    def commitment_to(value: object) -> str:
        message = begin_inner()
        message.update(encode(value))
        whole = begin_outer()
        whole.update(message.digest())
        return PREFIX + whole.hexdigest()

    return commitment_to


def is_commitment_to(value: object, *, commitment: str, key: bytes) -> bool:
    """Whether the commitment was made to this value under this key."""
    return hmac.compare_digest(commit(key, value).encode(), commitment.encode())


def _require_subject_key(key: bytes) -> None:
    if len(key) != KEY_BYTES:
        raise ValueError(f"subject key: {len(key)} bytes, expected {KEY_BYTES}; make it with subject_key")

"""Ed25519 signatures that are good for one purpose only, and the reading and writing of their keys.

`sign` covers the purpose (the *domain*) together with the payload, so that an approval can never be shown as anything
else. It never says who a key belongs to and never shows private key text in an error.
"""

from __future__ import annotations

import base64
import binascii
import re

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

KEY_BYTES = 32
SIGNATURE_BYTES = 64
KEY_TEXT_CHARS_MAX = 4096
"""An Ed25519 private key in PEM has some 120 characters; anything near this is another file."""

# Starts with 0x00, which the text of a signed note may not hold: a signature made here is never one of a checkpoint,
# and one of a checkpoint never verifies here.
_PREFIX = b"\x00aether-integrator/signature/v1\x00"
_DOMAIN = re.compile(r"[a-z0-9][a-z0-9./-]{0,63}")


class KeyTextError(ValueError):
    """The text is no Ed25519 key in a form that we read."""


def generate() -> Ed25519PrivateKey:
    """A new private key from the operating system's randomness."""
    # Not from a passed-in source: a test that needs a known key loads one, and nothing else may choose a live key.
    return Ed25519PrivateKey.generate()


def load_private_key(text: str) -> Ed25519PrivateKey:
    """The private key in unencrypted PKCS #8 PEM, or in base64 of its 32 bytes."""
    if len(text) > KEY_TEXT_CHARS_MAX:
        raise KeyTextError(f"private key: {len(text)} characters, at most {KEY_TEXT_CHARS_MAX}; is it the right file?")
    stripped = text.strip()
    if not stripped.startswith("-----BEGIN "):
        return Ed25519PrivateKey.from_private_bytes(_raw(stripped, "private key", KEY_BYTES))
    try:
        key = load_pem_private_key(stripped.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyTextError("private key: PEM that cannot be read; expected PKCS #8 without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyTextError(f"private key: PEM of {type(key).__name__}, expected an Ed25519 key")
    return key


def load_public_key(public_b64: str) -> Ed25519PublicKey:
    """The public key in base64 of its 32 bytes."""
    return Ed25519PublicKey.from_public_bytes(_raw(public_b64.strip(), "public key", KEY_BYTES))


def private_key_pem(private: Ed25519PrivateKey) -> str:
    """The private key as unencrypted PKCS #8 PEM, as `load_private_key` reads it."""
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


def public_key_bytes(private: Ed25519PrivateKey) -> bytes:
    """The 32 bytes of the public key that belongs to a private one."""
    return private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def public_key_b64(private: Ed25519PrivateKey) -> str:
    """The public key that belongs to a private one, in base64."""
    return base64.b64encode(public_key_bytes(private)).decode("ascii")


def sign(private: Ed25519PrivateKey, *, domain: str, payload: bytes) -> str:
    """The signature in base64 over a payload for one purpose, such as `approval/v1`."""
    return base64.b64encode(sign_raw(private, _message(domain, payload))).decode("ascii")


def verify(public_b64: str, *, domain: str, payload: bytes, signature: str) -> bool:
    """Whether the signature over this payload was made for this purpose by this key; False also for malformed text."""
    message = _message(domain, payload)
    try:
        public = _raw(public_b64, "public key", KEY_BYTES)
        raw_signature = _raw(signature, "signature", SIGNATURE_BYTES)
    except KeyTextError:
        return False
    return verify_raw(public, message=message, signature=raw_signature)


def sign_raw(private: Ed25519PrivateKey, message: bytes) -> bytes:
    """The 64-byte signature over exactly these bytes; only for formats that prescribe them, as signed notes do."""
    return private.sign(message)


def verify_raw(public: bytes, *, message: bytes, signature: bytes) -> bool:
    """Whether the 64-byte signature over exactly these bytes was made by the key with these 32 public bytes."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _message(domain: str, payload: bytes) -> bytes:
    if not _DOMAIN.fullmatch(domain):
        raise ValueError(f"signature domain {domain!r}: expected 1 to 64 of a-z, 0-9, '.', '/', '-', as 'approval/v1'")
    # The domain holds no 0x00, so the mark behind it shows where the payload starts.
    return _PREFIX + domain.encode("ascii") + b"\x00" + payload


def _raw(text: str, what: str, length: int) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise KeyTextError(f"{what}: not base64 (RFC 4648, with padding) of {length} bytes") from error
    if len(raw) != length or base64.b64encode(raw).decode("ascii") != text:
        raise KeyTextError(f"{what}: base64 of {len(raw)} bytes, expected exactly {length} in canonical base64")
    return raw

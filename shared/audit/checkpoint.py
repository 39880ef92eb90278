"""Checkpoints: the size and root of the log, signed by the auditor, in the C2SP formats that other tools read.

The text is a tlog-checkpoint (https://c2sp.org/tlog-checkpoint) in a signed note (https://c2sp.org/signed-note) with
Ed25519. Pure: it neither decides when to sign nor compares checkpoints with the log (`verify` does).
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.audit.tree import SIZE_MAX
from shared.hashing.merkle import HASH_BYTES
from shared.hashing.signing import KEY_BYTES, SIGNATURE_BYTES, public_key_bytes, sign_raw, verify_raw

NOTE_BYTES_MAX = 65_536
SIGNATURES_MAX = 100
"""The bound of the Go reference implementation; C2SP asks readers for at least 16."""

_ED25519 = b"\x01"
_KEY_ID_BYTES = 4
_SIGNATURE_START = "\u2014 "  # an em dash and a space
_SIZE = re.compile(r"0|[1-9][0-9]{0,15}")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
_KEY_NAME = re.compile(r"[^\s+]+")
_SHOWN_CHARS_MAX = 80


class CheckpointError(ValueError):
    """The text is no checkpoint that can be trusted; `line` counts from 1, 0 when it is about the whole text."""

    def __init__(self, line: int, expected: str, found: str = "") -> None:
        self.line = line
        shown = f", found {found[:_SHOWN_CHARS_MAX]!r}" if found else ""
        super().__init__(f"{f'line {line}' if line else 'whole text'}: expected {expected}{shown}")


class CheckpointForged(CheckpointError):
    """The text is well formed, but the log's key did not sign it."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the auditor signs: at this size the log had this root."""

    origin: str
    """The log's name, also the name of its key; by custom a URL without scheme, as `audit.example.org/log`."""

    size: int
    root: bytes
    extensions: tuple[str, ...] = ()
    """Further lines, which are signed too; readers that do not know them pass over them."""

    def __post_init__(self) -> None:
        if not 0 <= self.size <= SIZE_MAX:
            raise CheckpointError(2, f"a size from 0 to {SIZE_MAX}", str(self.size))
        if len(self.root) != HASH_BYTES:
            raise CheckpointError(3, f"a root hash of {HASH_BYTES} bytes", f"{len(self.root)} bytes")
        for line, text in [(1, self.origin), *enumerate(self.extensions, start=4)]:
            if not text or "\n" in text or _CONTROL.search(text):
                raise CheckpointError(line, "one line of text that is not empty, without control characters", text)

    def text(self) -> str:
        """The signed part of the note, with its last newline."""
        lines = [self.origin, str(self.size), base64.b64encode(self.root).decode("ascii"), *self.extensions]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """The public half of the log's key under the log's name."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes that lead a reader of a signature line to the key; they prove nothing."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:_KEY_ID_BYTES]

    def text(self) -> str:
        """The key as `name+id+key`: id in 8 hexadecimal digits, key in base64 of the type 0x01 and 32 bytes."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(_ED25519 + self.public).decode('ascii')}"


def verifier_key_of(private: Ed25519PrivateKey, *, origin: str) -> str:
    """The text that is handed to whoever shall verify the log of this name."""
    return VerifierKey(_key_name(origin), public_key_bytes(private)).text()


def parse_verifier_key(text: str) -> VerifierKey:
    """The key in `text`, checked against its own id; `CheckpointError` names the part that is wrong."""
    # Base64 may hold plus signs, a name may not: so the first two part the text.
    _utf8(text, line=1)
    parts = text.strip().split("+", 2)
    if len(parts) != 3:
        raise CheckpointError(1, "a verifier key as name+id+base64", text)
    name, hex_id, encoded = parts
    raw = _base64(encoded, line=1, what="the third part of the verifier key as base64")
    if raw[:1] != _ED25519 or len(raw) != 1 + KEY_BYTES:
        raise CheckpointError(
            1, f"the type 0x01 (Ed25519) and {KEY_BYTES} bytes of key", f"0x{raw[:1].hex()} of {len(raw)}"
        )
    key = VerifierKey(_key_name(name), raw[1:])
    if hex_id != key.key_id.hex():
        raise CheckpointError(1, f"key id {key.key_id.hex()} for this name and key (copied from another?)", hex_id)
    return key


def sign_checkpoint(checkpoint: Checkpoint, private: Ed25519PrivateKey) -> str:
    """The checkpoint as a signed note; the key's name is the checkpoint's origin."""
    key = VerifierKey(_key_name(checkpoint.origin), public_key_bytes(private))
    body = checkpoint.text()
    signature = base64.b64encode(key.key_id + sign_raw(private, body.encode())).decode("ascii")
    note = f"{body}\n{_SIGNATURE_START}{key.name} {signature}\n"
    if len(note.encode()) > NOTE_BYTES_MAX:
        raise CheckpointError(0, f"at most {NOTE_BYTES_MAX} bytes; shorten the extension lines")
    return note


def parse_and_verify_checkpoint(text: str, verifier_key: str, *, origin: str | None = None) -> Checkpoint:
    """The checkpoint in a signed note, once the signature of this key was found good.

    Its origin must be `origin`, or the key's name when that is None. Signatures of other keys (witnesses) are passed
    over, as C2SP asks. Raises `CheckpointForged` when the key did not sign, `CheckpointError` for malformed text.
    """
    key = parse_verifier_key(verifier_key)
    if len(_utf8(text, line=0)) > NOTE_BYTES_MAX:
        raise CheckpointError(0, f"at most {NOTE_BYTES_MAX} bytes")
    if not text.endswith("\n"):
        raise CheckpointError(text.count("\n") + 1, "a newline at the end")
    head, blank, tail = text.rpartition("\n\n")
    if not blank:
        raise CheckpointError(0, "a blank line between the text and its signatures")
    body = head + "\n"
    checkpoint = _parse_body(body)
    _require_signature(body, tail, key)
    expected = key.name if origin is None else origin
    if checkpoint.origin != expected:
        raise CheckpointForged(1, f"the origin {expected!r}; this is another log's checkpoint", checkpoint.origin)
    return checkpoint


def _parse_body(body: str) -> Checkpoint:
    lines = body.split("\n")[:-1]
    if len(lines) < 3:
        raise CheckpointError(len(lines) + 1, "an origin, a size and a root on three lines")
    if not _SIZE.fullmatch(lines[1]):
        raise CheckpointError(2, "the size in decimal digits without leading zeros", lines[1])
    root = _base64(lines[2], line=3, what="the root hash in base64")
    return Checkpoint(lines[0], int(lines[1]), root, tuple(lines[3:]))


def _require_signature(body: str, tail: str, key: VerifierKey) -> None:
    """Read every signature line and find one by the key; the first one decides, as in the reference implementation."""
    first_line = body.count("\n") + 2
    lines = tail.split("\n")[:-1]
    if not 0 < len(lines) <= SIGNATURES_MAX:
        raise CheckpointError(first_line, f"1 to {SIGNATURES_MAX} signature lines", f"{len(lines)} lines")
    decided: bool | None = None
    decided_line = first_line
    for number, line in enumerate(lines, start=first_line):
        name, space, encoded = line.removeprefix(_SIGNATURE_START).partition(" ")
        if not line.startswith(_SIGNATURE_START) or not space or not _KEY_NAME.fullmatch(name):
            raise CheckpointError(number, "an em dash, the key's name and the signature in base64", line)
        raw = _base64(encoded, line=number, what="the key id and signature in base64")
        if len(raw) <= _KEY_ID_BYTES:
            raise CheckpointError(number, f"a key id of {_KEY_ID_BYTES} bytes and a signature", f"{len(raw)} bytes")
        if decided is None and (name, raw[:_KEY_ID_BYTES]) == (key.name, key.key_id):
            signature = raw[_KEY_ID_BYTES:]
            decided_line = number
            decided = len(signature) == SIGNATURE_BYTES and verify_raw(
                key.public, message=body.encode(), signature=signature
            )
    if not decided:
        who = f"a signature by {key.name} with key id {key.key_id.hex()}"
        what = f"{who}, none is there" if decided is None else f"{who} over this text; text or signature was altered"
        raise CheckpointForged(decided_line, what)


def _key_name(name: str) -> str:
    if not _KEY_NAME.fullmatch(name) or _CONTROL.search(name):
        raise CheckpointError(1, "a key name that is not empty, without spaces and plus signs", name)
    return name


def _utf8(text: str, *, line: int) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise CheckpointError(line, "Unicode text that UTF-8 can hold") from error


def _base64(text: str, *, line: int, what: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise CheckpointError(line, what, text) from error
    if base64.b64encode(raw).decode("ascii") != text:
        raise CheckpointError(line, f"{what}, in its one canonical form", text)
    return raw

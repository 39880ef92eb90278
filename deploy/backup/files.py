"""Writes and reads the files of a backup, a piece at a time: private, hashed as written, encrypted where asked for.

What is to be encrypted goes through the encryption before it touches the disk. The format is age's, so that
`age --decrypt` gives every file back without this program. Memory holds a few pieces, whatever the size of the file.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import pyrage

from deploy.backup.manifest import FileFacts
from deploy.backup.problem import BackupFailed

FILE_MODE = 0o600
FOLDER_MODE = 0o700
PIECE_BYTES = 128 * 1024
ENCRYPTED_SUFFIX = ".age"

Recipients = Sequence[Any]
"""age's own objects, of a library without types."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A secret age key."""

    secret: Any = field(repr=False)

    @property
    def public(self) -> str:
        """Its public half."""
        return str(self.secret.to_public())


def recipients_of(keys: Sequence[str]) -> Recipients:
    """The public keys that files are encrypted for."""
    found = []
    for key in keys:
        try:
            found.append(pyrage.x25519.Recipient.from_str(key))
        except pyrage.RecipientError:
            raise BackupFailed(
                f"AETHER_BACKUP_RECIPIENTS: {key[:12]}… is no public age key",
                action="Give the public half, age1…, as age-keygen prints it. The secret half stays where you restore.",
            ) from None
    return found


def identity_of(key: str) -> Identity:
    """The secret key that files are decrypted with."""
    lines = [line.strip() for line in key.splitlines() if line.strip() and not line.startswith("#")]
    try:
        if len(lines) != 1:
            raise pyrage.IdentityError
        return Identity(pyrage.x25519.Identity.from_str(lines[0]))
    except pyrage.IdentityError:
        raise BackupFailed(
            "AETHER_BACKUP_IDENTITY refers to something that is no secret age key",
            action="It must be one line AGE-SECRET-KEY-1…, as age-keygen writes it.",
        ) from None


class _Hashed:
    """A new private file that hashes what goes into it."""

    def __init__(self, path: Path) -> None:
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "wb")
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self._file.write(data)
        self._digest.update(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> str:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._digest.hexdigest()


class Sink:
    """One file of a backup while it is written; `facts` is there when the block has ended."""

    def __init__(self, folder: Path, place: str, recipients: Recipients) -> None:
        self._place = place + (ENCRYPTED_SUFFIX if recipients else "")
        self._path = folder / self._place
        self._recipients = list(recipients)
        self._thread: threading.Thread | None = None
        self._pipe: BinaryIO | None = None
        self._error: BaseException | None = None
        self.facts: FileFacts

    def __enter__(self) -> Self:
        self._path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        self._out = _Hashed(self._path)
        if self._recipients:
            reading, writing = os.pipe()
            self._pipe = os.fdopen(writing, "wb", buffering=0)
            source = os.fdopen(reading, "rb")
            self._thread = threading.Thread(target=self._encrypt, args=(source,), name=f"encrypt {self._place}")
            self._thread.start()
        return self

    def write(self, data: bytes) -> None:
        """Add a piece; blocks while the encryption is behind."""
        if self._pipe is None:
            self._out.write(data)
            return
        view = memoryview(data)
        while view:
            try:
                view = view[self._pipe.write(view) :]
            except BrokenPipeError:
                self._join()
                raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._join()
        digest = self._out.close()
        self.facts = FileFacts(path=self._place, size=self._out.size, sha256=digest)

    def _join(self) -> None:
        """Wait for the encryption; what went wrong there goes wrong here."""
        if self._pipe is not None:
            self._pipe.close()
        if self._thread is not None:
            self._thread.join()
        if self._error is not None:
            raise self._error

    def _encrypt(self, source: BinaryIO) -> None:
        try:
            with source:
                pyrage.encrypt_io(source, self._out, self._recipients)
        except BaseException as error:  # noqa: BLE001 - handed on to the thread that writes
            self._error = error


def pieces(path: Path, identity: Identity | None) -> Iterator[bytes]:
    """The plain content of a file, a piece at a time; `BackupFailed` when it cannot be decrypted with this key."""
    if path.suffix != ENCRYPTED_SUFFIX:
        with path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece
        return
    if identity is None:
        raise BackupFailed(
            f"{path.name} is encrypted and no secret key is given",
            action="Set AETHER_BACKUP_IDENTITY to a reference to the key, as file:/run/secrets/backup-identity.",
        )
    yield from _decrypted(path, identity)


def _decrypted(path: Path, identity: Identity) -> Iterator[bytes]:
    reading, writing = os.pipe()
    failed: list[BaseException] = []

    def decrypt() -> None:
        try:
            with os.fdopen(writing, "wb", buffering=PIECE_BYTES) as out, path.open("rb") as file:
                pyrage.decrypt_io(file, out, [identity.secret])
        except BaseException as error:  # noqa: BLE001 - handed on to the thread that reads
            failed.append(error)

    thread = threading.Thread(target=decrypt, name=f"decrypt {path.name}")
    thread.start()
    try:
        with os.fdopen(reading, "rb") as source:
            while piece := source.read(PIECE_BYTES):
                yield piece
    finally:
        thread.join()  # a reader that leaves early has closed the pipe, which ends it
    if failed:
        raise BackupFailed(
            f"{path.name} cannot be decrypted: {failed[0]}",
            action="Give the secret key of one of the recipients that the manifest names.",
        ) from None

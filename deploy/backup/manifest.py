"""What a backup consists of, and whether all of it is there unaltered.

The manifest is written last: a folder without one is no backup. It holds numbers, names and hashes and no value of a
record. Who could change a file could change its hash here too; that is what the audit log's signatures are for.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deploy.backup.problem import BackupFailed
from shared.bus.topology import Environment

MANIFEST = "manifest.json"
MANIFEST_BYTES_MAX = 1_000_000
HASH_BLOCK_BYTES = 1 << 20

_MODEL = ConfigDict(frozen=True, extra="forbid")
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
PlaceInFolder = Annotated[str, Field(pattern=r"^(streams/[A-Z]{1,32}|databases)/[a-z][a-z0-9_.]{0,63}$")]
"""A path within the folder; its form keeps a forged manifest from naming a file elsewhere."""


class FileFacts(BaseModel):
    """One file as it was written."""

    model_config = _MODEL

    path: PlaceInFolder
    size: int = Field(ge=0)
    """Bytes."""
    sha256: Sha256


class StreamFacts(BaseModel):
    """One stream as the server took its snapshot."""

    model_config = _MODEL

    name: str = Field(pattern=r"^[A-Z]{1,32}$")
    first_seq: int = Field(ge=0)
    last_seq: int = Field(ge=0)
    messages: int = Field(ge=0)
    size: int = Field(ge=0)
    """Bytes that the messages take in the server's store; the file is compressed."""
    consumers: int = Field(ge=0)
    configuration: FileFacts
    content: FileFacts


class DatabaseFacts(BaseModel):
    """One database."""

    model_config = _MODEL

    name: str
    kind: Literal["sqlite", "postgresql"]
    version: str
    """Of SQLite, or of the program that wrote the dump."""
    content: FileFacts


class Manifest(BaseModel):
    """One backup."""

    model_config = _MODEL

    format: Literal[1] = 1
    environment: Environment
    release: str
    """Version of this product that made it."""
    bus_version: str
    began_at: str
    ended_at: str
    recipients: tuple[str, ...]
    """Public age keys that it is encrypted for; none when it is not."""
    streams: tuple[StreamFacts, ...]
    """In the order in which they were taken."""
    databases: tuple[DatabaseFacts, ...]

    @property
    def is_encrypted(self) -> bool:
        """Whether files can be read only with a secret key."""
        return bool(self.recipients)

    def files(self) -> list[FileFacts]:
        """Every file, in a fixed order."""
        of_streams = [file for stream in self.streams for file in (stream.configuration, stream.content)]
        return of_streams + [database.content for database in self.databases]


def read_manifest(folder: Path) -> tuple[Manifest, str]:
    """The manifest of a backup and the hash of its bytes."""
    path = folder / MANIFEST
    try:
        with path.open("rb") as file:
            content = file.read(MANIFEST_BYTES_MAX + 1)
    except OSError as problem:
        raise BackupFailed(
            f"{path}: {problem.strerror}: this folder is no backup, or one that was broken off",
            action="Name the folder of a backup that ended well; `.partial` folders may be deleted.",
        ) from None
    if len(content) > MANIFEST_BYTES_MAX:
        raise BackupFailed(
            f"{path} is larger than {MANIFEST_BYTES_MAX} bytes, so it is no manifest",
            action="Take another backup of this house.",
        )
    try:
        return Manifest.model_validate_json(content), hashlib.sha256(content).hexdigest()
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        raise BackupFailed(
            f"{path}: {place}: {first['msg']}",
            action="It was altered, or a later release wrote it: take another backup, or that release.",
        ) from None


def verify_files(folder: Path, manifest: Manifest) -> int:
    """Read every file and compare size and hash; returns the bytes read. `BackupFailed` names what differs."""
    faults, total = [], 0
    for facts in manifest.files():
        path = folder / facts.path
        digest, size = hashlib.sha256(), 0
        try:
            with path.open("rb") as file:
                while block := file.read(HASH_BLOCK_BYTES):
                    digest.update(block)
                    size += len(block)
        except OSError as problem:
            faults.append(f"{facts.path}: {problem.strerror}")
            continue
        if size != facts.size:
            faults.append(f"{facts.path} has {size} bytes, the manifest says {facts.size}")
        elif digest.hexdigest() != facts.sha256:
            faults.append(f"{facts.path} has the right size and another content than was written")
        total += size
    if faults:
        raise BackupFailed(
            f"{folder} is damaged: {'; '.join(faults)}",
            action="Nothing was restored from it. Take an earlier backup, or another copy of this one.",
        )
    return total

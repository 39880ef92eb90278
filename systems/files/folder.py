"""Files in a folder of this machine. They are replaced by a rename, which is done whole or not at all."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from shared.errors import AetherError, NeedsPerson, OutcomeUnknown, RecordRefused, StopRun, TryLater
from shared.ports.pacing import Use
from shared.ports.surroundings import Surroundings
from systems.files.stores import FileMoved, Seen, Turns, too_large

Answer = TypeVar("Answer")


class FolderStore:
    """See `systems.files.stores.Store`."""

    def __init__(self, folder: str, surroundings: Surroundings, *, file_bytes_max: int) -> None:
        self._folder = Path(folder)
        self._file_bytes_max = file_bytes_max
        self._turns = Turns(surroundings)

    @property
    def place(self) -> str:
        """The folder."""
        return "the connection's folder"

    async def look(self, file: str, *, use: Use) -> Seen | None:
        """What can be seen of a file; None when it is not there."""
        return await self._done(use, file, lambda: self._seen(file, use))

    async def read(self, file: str, *, use: Use, bytes_max: int) -> bytes | None:
        """A file's bytes as they are now; None when it is not there."""

        def read() -> bytes | None:
            if self._seen(file, use) is None:  # no pipe and no device, which would be waited for without end
                return None
            with self._folder.joinpath(file).open("rb") as opened:
                content = opened.read(bytes_max + 1)
            if len(content) > bytes_max:
                raise too_large(file, bytes_max=bytes_max, use=use)
            return content

        return await self._done(use, file, read)

    async def replace(self, file: str, content: bytes, *, instead_of: str | None) -> None:
        """Write beside, make sure it lies on the disk, compare, rename."""
        await self._done("APL", file, lambda: self._replace(file, content, instead_of))

    async def may_write(self) -> str | None:
        """Whether this program may write into the folder."""
        is_open = await asyncio.to_thread(os.access, self._folder, os.W_OK | os.X_OK)
        return None if is_open else "this program may not write into the folder; grant it the right"

    async def close(self) -> None:
        """Nothing is open."""

    def _seen(self, file: str, use: Use) -> Seen | None:
        try:
            seen = self._folder.joinpath(file).stat()
        except FileNotFoundError:
            if self._folder.is_dir():
                return None
            raise NeedsPerson(f"{use}_CONFIG", "folder: there is no such folder; correct it, or mount it") from None
        if not stat.S_ISREG(seen.st_mode):
            raise NeedsPerson(f"{use}_CONFIG", f"file {file}: is no plain file; correct its name")
        return Seen(seen.st_size, seen.st_mtime_ns / 1e9)

    def _replace(self, file: str, content: bytes, instead_of: str | None) -> None:
        final = self._folder / file
        beside = final.with_name(f".{final.name}.part")
        try:
            mode = stat.S_IMODE(final.stat().st_mode) if final.exists() else 0o640
            with beside.open("wb") as opened:
                opened.write(content)
                opened.flush()
                os.fsync(opened.fileno())
            beside.chmod(mode)
            if self._sha256(final) != instead_of:
                raise FileMoved
            beside.replace(final)
        finally:
            beside.unlink(missing_ok=True)
        try:
            folder = os.open(final.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError:
            raise OutcomeUnknown(
                "APL_UNKNOWN_OUTCOME", f"file {file}: replaced, but the disk does not confirm it; read the file first"
            ) from None

    def _sha256(self, path: Path) -> str | None:
        if not path.exists():
            return None
        # One that is larger than what is ever read is not the one that was read.
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.stat().st_size <= self._file_bytes_max else ""

    async def _done(self, use: Use, file: str, act: Callable[[], Answer]) -> Answer:
        async def acted() -> Answer:
            try:
                return await asyncio.to_thread(act)
            except OSError as problem:
                raise _translated(problem, file=file, use=use) from None

        return await self._turns.take(use, acted)


def _translated(problem: OSError, *, file: str, use: Use) -> AetherError:
    match problem.errno:
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return NeedsPerson(f"{use}_AUTH", f"file {file}: this program may not do that; grant it the right")
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG if use == "APL":
            return RecordRefused("APL_CAPACITY", f"file {file}: the disk has no room for it; make room")
        case errno.ENOENT | errno.ENOTDIR | errno.EISDIR | errno.ENAMETOOLONG:
            return NeedsPerson(f"{use}_CONFIG", f"file {file}: is not there or no plain file; correct folder and name")
        case errno.EIO | errno.ESTALE | errno.EBUSY | errno.ETIMEDOUT | errno.EAGAIN | errno.EMFILE | errno.ENFILE:
            return TryLater(f"{use}_UNREACHABLE", f"file {file}: the disk does not answer ({problem.strerror})")
    return StopRun(f"{use}_CONFIG", f"file {file}: {problem.strerror or type(problem).__name__}; look at the folder")

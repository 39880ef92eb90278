"""One session in the drop box: each operation meets the faults, is done below the root, and goes into the journal."""

from __future__ import annotations

import asyncio
import hashlib
import os
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, NoReturn, TypeVar

import asyncssh
from asyncssh.constants import FXF_APPEND, FXF_CREAT, FXF_TRUNC, FXF_WRITE

from simulators.sftp.faults import Operation, SftpFault, SftpFaultKind

if TYPE_CHECKING:
    from simulators.sftp.server import DropBox

OK = 0
POSIX_RENAME = b"posix-rename@openssh.com"
HASH_BYTES = 1024 * 1024

R = TypeVar("R")


@dataclass(slots=True)
class OpenFile:
    """A file that a client has open."""

    path: str
    file: IO[bytes]
    is_written: bool
    digest_before: str | None
    """What the file held when it was opened; None when it was not there."""
    fault: SftpFault | None = field(default=None)
    """A fault that has struck this file and stays with it."""


class BoxSession(asyncssh.SFTPServer):
    """The operations of one connection."""

    def __init__(self, chan: asyncssh.SSHServerChannel[bytes], *, box: DropBox) -> None:
        super().__init__(chan, chroot=os.fsencode(box.root))
        self._box = box
        self._is_cut = False
        if not box.switches.has_posix_rename:
            _hide_extension(chan, POSIX_RENAME)

    # Files

    async def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:  # D4
        """Open a file."""

        def do() -> OpenFile:
            place = self._place(path)
            before = _digest(place) if place.is_file() else None
            is_written = bool(pflags & (FXF_WRITE | FXF_APPEND | FXF_CREAT | FXF_TRUNC))
            opened = super(BoxSession, self).open(path, pflags, attrs)
            return OpenFile(path=self._shown(path), file=opened, is_written=is_written, digest_before=before)  # type: ignore[arg-type]  # the base class opens a plain file and calls it an object

        return await self._do("open", path, do)

    async def read(self, file_obj: object, offset: int, size: int) -> bytes:
        """Read from an open file."""
        opened = _opened(file_obj)
        fault = self._box.faults.take("read", opened.path, file_bytes=offset + size)
        await self._meet(fault, "read", opened.path)
        opened.file.seek(offset)
        return opened.file.read(size)

    async def write(self, file_obj: object, offset: int, data: bytes) -> int:
        """Write to an open file; single writes are not in the journal, the close is."""
        opened = _opened(file_obj)
        end = offset + len(data)
        most = self._box.switches.file_bytes_max
        if most is not None and end > most:  # D21
            self._refuse("write", opened.path, asyncssh.SFTPFailure(f"a file has at most {most} bytes"))
        fault = opened.fault or self._box.faults.take("write", opened.path, file_bytes=end)
        kept = data
        match fault:
            case SftpFault(kind=SftpFaultKind.DISK_FULL | SftpFaultKind.SILENT_TRUNCATION):
                opened.fault = fault  # a full disk stays full
                kept = data[: max(0, fault.after_bytes - offset)]
            case SftpFault(kind=SftpFaultKind.DISCONNECT):
                kept = data[: max(0, fault.after_bytes - offset)]
        if kept:
            opened.file.seek(offset)
            opened.file.write(kept)
        if fault is not None and fault.kind is SftpFaultKind.DISK_FULL:
            self._refuse("write", opened.path, asyncssh.SFTPFailure("no space left on device"))
        await self._meet(fault, "write", opened.path)
        self._cut_after(fault)
        return len(data)

    async def close(self, file_obj: object) -> None:
        """Close an open file: here an upload has its effect."""
        opened = _opened(file_obj)
        is_gone = self._is_cut or self.channel.is_closing()
        fault = None if is_gone else self._box.faults.take("close", opened.path)
        opened.file.close()
        place = self._place(opened.path.encode())
        if opened.is_written and place.is_file():
            after = _digest(place)
            if opened.digest_before is None:
                effect = f"created {opened.path}"
            elif after != opened.digest_before:
                effect = f"updated {opened.path} [content]"
            else:
                effect = f"unchanged {opened.path}"
            is_told = not is_gone and (fault is None or fault.kind is not SftpFaultKind.DISCONNECT_AFTER_EFFECT)
            details = {"bytes": str(place.stat().st_size), "sha256": after}
            self._box.record(
                "close", opened.path, status=OK if is_told else None, effect=effect, details=details, fault=fault
            )
            self._box.judge_name(opened.path)
        await self._meet(fault, "close", opened.path)
        self._cut_after(fault)

    # Names

    async def rename(self, oldpath: bytes, newpath: bytes) -> None:  # D10
        """Rename, in the way of version 3: an existing target is refused."""
        is_over = self._place(newpath).exists()
        if is_over and not self._box.switches.is_rename_overwriting:
            self._refuse("rename", self._shown(oldpath), asyncssh.SFTPFailure("the target exists"))
        await self._rename(oldpath, newpath)

    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:  # D11
        """Rename over whatever is there."""
        if not self._box.switches.has_posix_rename:
            self._refuse("rename", self._shown(oldpath), asyncssh.SFTPOpUnsupported("no such extension"))
        await self._rename(oldpath, newpath)

    async def _rename(self, oldpath: bytes, newpath: bytes) -> None:
        target = self._shown(newpath)
        effect = f"updated {target} [content]" if self._place(newpath).exists() else f"created {target}"

        def do() -> None:
            self._place(oldpath).replace(self._place(newpath))

        await self._do("rename", oldpath, do, effect=effect, details={"to": target}, subject=target)
        self._box.judge_name(target)

    async def remove(self, path: bytes) -> None:
        """Remove a file."""
        await self._do(
            "remove", path, lambda: super(BoxSession, self).remove(path), effect=f"deleted {self._shown(path)}"
        )

    async def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        """Make a folder."""
        effect = f"created {self._shown(path)}"
        await self._do("mkdir", path, lambda: super(BoxSession, self).mkdir(path, attrs), effect=effect)

    async def rmdir(self, path: bytes) -> None:
        """Remove a folder."""
        await self._do(
            "rmdir", path, lambda: super(BoxSession, self).rmdir(path), effect=f"deleted {self._shown(path)}"
        )

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        """List a folder."""
        await self._do("list", path, lambda: None)
        async for name in super().scandir(path):
            yield name

    async def stat(self, path: bytes) -> Any:
        """Tell what a path is."""
        return await self._do("stat", path, lambda: super(BoxSession, self).stat(path))

    async def lstat(self, path: bytes) -> Any:
        """Tell what a path is; there are no links here."""
        return await self._do("stat", path, lambda: super(BoxSession, self).lstat(path))

    async def setstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        """Set times or mode."""
        await self._do("setstat", path, lambda: super(BoxSession, self).setstat(path, attrs))

    def fstat(self, file_obj: object) -> Any:
        """Tell what an open file is."""
        return super().fstat(_opened(file_obj).file)

    def fsetstat(self, file_obj: object, attrs: asyncssh.SFTPAttrs) -> Any:
        """Set times or mode of an open file."""
        return super().fsetstat(_opened(file_obj).file, attrs)

    def fstatvfs(self, file_obj: object) -> Any:
        """Tell of the disk under an open file."""
        return super().fstatvfs(_opened(file_obj).file)

    def fsync(self, file_obj: object) -> Any:
        """Let the bytes reach the disk."""
        return super().fsync(_opened(file_obj).file)

    def symlink(self, oldpath: bytes, newpath: bytes) -> None:  # D12
        """Refuse links: one could lead out of the root."""
        self._refuse("open", self._shown(newpath), asyncssh.SFTPOpUnsupported("no links here"))

    def link(self, oldpath: bytes, newpath: bytes) -> None:  # D12
        """Refuse hard links as well."""
        self._refuse("open", self._shown(newpath), asyncssh.SFTPOpUnsupported("no links here"))

    # How an operation is done

    async def _do(
        self,
        operation: Operation,
        path: bytes,
        do: Callable[[], R | Awaitable[R]],
        *,
        effect: str = "none",
        details: dict[str, str] | None = None,
        subject: str | None = None,
    ) -> R:
        shown = self._shown(path)
        fault = self._box.faults.take(operation, shown)
        await self._meet(fault, operation, shown)
        try:
            done = do()
            result: R = await done if isinstance(done, Awaitable) else done
        except OSError as error:
            self._box.record(operation, shown, status=_code(error), fault=fault)
            raise
        is_told = fault is None or fault.kind is not SftpFaultKind.DISCONNECT_AFTER_EFFECT
        self._box.record(
            operation,
            shown,
            status=OK if is_told else None,
            effect=effect,
            details=details,
            fault=fault,
            subject=subject or shown,
        )
        self._cut_after(fault)
        return result

    async def _meet(self, fault: SftpFault | None, operation: Operation, path: str) -> None:
        """Act out what comes before the effect."""
        if fault is None:
            return
        match fault.kind:
            case SftpFaultKind.SLOW:
                await asyncio.sleep(fault.seconds)
            case SftpFaultKind.NO_PERMISSION:
                self._refuse(operation, path, asyncssh.SFTPPermissionDenied("permission denied"), fault)
            case SftpFaultKind.UNSUPPORTED:
                self._refuse(operation, path, asyncssh.SFTPOpUnsupported("operation unsupported"), fault)
            case SftpFaultKind.DISCONNECT:
                self._box.record(operation, path, status=None, fault=fault)
                self._cut()

    def _cut_after(self, fault: SftpFault | None) -> None:
        if fault is not None and fault.kind is SftpFaultKind.DISCONNECT_AFTER_EFFECT:
            self._cut()

    def _cut(self) -> NoReturn:
        self._is_cut = True
        self.connection.abort()
        raise asyncssh.SFTPConnectionLost("the connection was cut")

    def _refuse(
        self, operation: Operation, path: str, error: asyncssh.SFTPError, fault: SftpFault | None = None
    ) -> NoReturn:
        self._box.record(operation, path, status=error.code, fault=fault)
        raise error

    def _place(self, path: bytes) -> Path:
        return Path(os.fsdecode(self.map_path(path)))

    @staticmethod
    def _shown(path: bytes) -> str:
        return os.path.normpath("/" + path.decode("utf-8", errors="replace").lstrip("/"))


def _opened(file_obj: object) -> OpenFile:
    if not isinstance(file_obj, OpenFile):
        raise asyncssh.SFTPFailure("no such open file")
    return file_obj


def _digest(place: Path) -> str:
    digest = hashlib.sha256()
    with place.open("rb") as file:
        while block := file.read(HASH_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _code(error: OSError) -> int:
    if isinstance(error, FileNotFoundError):
        return asyncssh.FX_NO_SUCH_FILE
    return asyncssh.FX_PERMISSION_DENIED if isinstance(error, PermissionError) else asyncssh.FX_FAILURE


def _hide_extension(chan: asyncssh.SSHServerChannel[bytes], name: bytes) -> None:
    """Leave one extension out of the server's first message: the library offers all of its own to everyone."""
    write = chan.write

    def write_first(data: bytes, datatype: int | None = None) -> None:
        chan.write = write  # type: ignore[method-assign]  # back to what it was, after one message
        write(_without_extension(data, name), datatype)

    chan.write = write_first  # type: ignore[method-assign]  # the library has no other place for it


def _without_extension(packet: bytes, name: bytes) -> bytes:
    """Take an extension out of a VERSION packet: length, type, version, then pairs of texts with their lengths."""
    head, rest, kept = packet[4:9], packet[9:], b""
    while rest:
        key, rest_after_key = _text(rest)
        value, remainder = _text(rest_after_key)
        if key != name:
            kept += rest[: len(rest) - len(remainder)]
        del value
        rest = remainder
    return struct.pack(">I", len(head) + len(kept)) + head + kept


def _text(data: bytes) -> tuple[bytes, bytes]:
    (length,) = struct.unpack_from(">I", data)
    return data[4 : 4 + length], data[4 + length :]


def file_name(path: str) -> str:
    """The last part of a path."""
    return PurePosixPath(path).name

"""Files on an SFTP server. The only place that knows SSH.

One connection is kept and opened anew when it is lost. A new file is uploaded beside the old one, or into a folder of
its own, measured, and given its name in one step where the server offers `posix-rename@openssh.com`. Where it does not,
the old file is taken away first, and for that moment there is none: what fails then has an unknown outcome, and the
message names the upload that lies there whole.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeVar

import asyncssh

from shared.errors import AetherError, NeedsPerson, OutcomeUnknown, RecordRefused, StopRun, TryLater
from shared.ports.pacing import Use
from shared.ports.surroundings import Surroundings
from shared.secrets import Secret, SecretReference
from systems.files.settings import SftpSettings
from systems.files.stores import FileMoved, Seen, Turns, too_large

Answer = TypeVar("Answer")
_LOST = (asyncssh.ConnectionLost, asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, ConnectionError, TimeoutError)


@dataclass(frozen=True)
class Login:
    """Who signs in, and with what."""

    user: str
    password: Secret | None
    private_key: Secret | None
    passphrase: Secret | None


def login_of(settings: SftpSettings, surroundings: Surroundings, *, may_write: bool) -> Login:
    """The login that may only read, or the one that may write; its secrets are read now."""

    def secret(reference: SecretReference | None) -> Secret | None:
        return None if reference is None else surroundings.resolve(reference)

    has_own = settings.write_password is not None or settings.write_private_key is not None
    if may_write and has_own:
        return Login(
            settings.write_user or settings.user,
            secret(settings.write_password),
            secret(settings.write_private_key),
            secret(settings.write_passphrase),
        )
    return Login(settings.user, secret(settings.password), secret(settings.private_key), secret(settings.passphrase))


class SftpStore:
    """See `systems.files.stores.Store`."""

    def __init__(
        self, settings: SftpSettings, login: Login, surroundings: Surroundings, *, file_bytes_max: int
    ) -> None:
        self._settings = settings
        self._login = login
        self._file_bytes_max = file_bytes_max
        self._turns = Turns(surroundings)
        self._opening = asyncio.Lock()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._client: asyncssh.SFTPClient | None = None

    @property
    def place(self) -> str:
        """The folder on the server."""
        return f"folder {self._settings.folder or '(that of the user)'} of the SFTP server"

    async def look(self, file: str, *, use: Use) -> Seen | None:
        """What can be seen of a file; None when it is not there."""

        async def look(client: asyncssh.SFTPClient) -> Seen | None:
            return await self._seen(client, self._path(file))

        return await self._done(use, file, look, seconds=self._settings.timeout_seconds)

    async def read(self, file: str, *, use: Use, bytes_max: int) -> bytes | None:
        """A file's bytes as they are now; None when it is not there."""

        async def read(client: asyncssh.SFTPClient) -> bytes | None:
            content = await _content(client, self._path(file), bytes_max=bytes_max)
            if content is not None and len(content) > bytes_max:
                raise too_large(file, bytes_max=bytes_max, use=use)
            return content

        return await self._done(use, file, read, seconds=self._settings.transfer_seconds_max)

    async def replace(self, file: str, content: bytes, *, instead_of: str | None) -> None:
        """Upload, measure, compare, rename."""
        path, upload = self._path(file), self._upload_path(file)

        async def prepare(client: asyncssh.SFTPClient) -> bool:
            await self._upload(client, file, upload, content)
            now = await _content(client, path, bytes_max=self._file_bytes_max)
            if (None if now is None else hashlib.sha256(now).hexdigest()) != instead_of:
                with suppress(*_LOST, asyncssh.SFTPError):
                    await client.remove(upload)
                raise FileMoved
            return now is not None

        is_there = await self._done("APL", file, prepare, seconds=2 * self._settings.transfer_seconds_max)

        async def rename(client: asyncssh.SFTPClient) -> None:
            await _rename(client, upload, path, is_there=is_there, file=file)

        await self._done("APL", file, rename, seconds=self._settings.timeout_seconds, is_the_step=True)

    async def may_write(self) -> str | None:
        """Not tried: the other side may take any new file for an import."""
        return None

    async def close(self) -> None:
        """Gives the connection back; may be called twice."""
        connection, self._connection, self._client = self._connection, None, None
        if connection is not None:
            connection.close()
            await connection.wait_closed()

    # --- one operation ----------------------------------------------------------------------------------------------

    async def _done(
        self,
        use: Use,
        file: str,
        act: Callable[[asyncssh.SFTPClient], Awaitable[Answer]],
        *,
        seconds: float,
        is_the_step: bool = False,
    ) -> Answer:
        """What `act` gives; `is_the_step` for the one operation whose outcome nobody can know when it has no answer."""

        async def acted() -> Answer:
            client = await self._opened(use)
            try:
                async with asyncio.timeout(seconds):
                    return await act(client)
            except _LOST:
                self._drop(client)
                if is_the_step:
                    raise OutcomeUnknown(
                        "APL_UNKNOWN_OUTCOME",
                        f"file {file}: the connection was lost while the new file got its name; read the file first",
                    ) from None
                raise TryLater(
                    f"{use}_UNREACHABLE", f"file {file}: the connection was lost or no answer came in {seconds:g} s"
                ) from None
            except (asyncssh.SFTPError, OSError) as problem:
                raise _translated(problem, file=file, use=use) from None
            except asyncio.CancelledError:
                self._drop(client)  # its answers and open files would stay with the connection
                raise

        return await self._turns.take(use, acted)

    async def _seen(self, client: asyncssh.SFTPClient, path: str) -> Seen | None:
        try:
            seen = await client.stat(path)
        except asyncssh.SFTPNoSuchFile:
            return None
        return Seen(int(seen.size or 0), float(seen.mtime or 0))

    async def _upload(self, client: asyncssh.SFTPClient, file: str, upload: str, content: bytes) -> None:
        try:
            async with client.open(upload, "wb") as opened:
                await opened.write(content)
            seen = await self._seen(client, upload)
        except asyncssh.SFTPFailure:
            # Version 3 of the protocol has no word for a full disk.
            with suppress(*_LOST, asyncssh.SFTPError):
                await client.remove(upload)
            raise RecordRefused(
                "APL_CAPACITY",
                f"file {file}: the server does not take {len(content)} bytes; look at its disk and quota",
            ) from None
        if seen is None or seen.size != len(content):
            with suppress(*_LOST, asyncssh.SFTPError):
                await client.remove(upload)
            raise RecordRefused(
                "APL_CAPACITY",
                f"file {file}: of {len(content)} bytes the server kept {0 if seen is None else seen.size}, and said "
                "nothing; look at its disk and quota",
            )

    async def _opened(self, use: Use) -> asyncssh.SFTPClient:
        async with self._opening:
            if self._client is not None and self._connection is not None and not self._connection.is_closed():
                return self._client
            self._drop()
            self._connection = await self._connected(use)
            try:
                async with asyncio.timeout(self._settings.timeout_seconds):
                    self._client = await self._connection.start_sftp_client()
            except (asyncssh.Error, OSError, TimeoutError) as problem:
                self._drop()
                raise TryLater(
                    f"{use}_UNREACHABLE", f"the server let us in, but offers no SFTP ({type(problem).__name__})"
                ) from None
            return self._client

    async def _connected(self, use: Use) -> asyncssh.SSHClientConnection:
        login, seconds = self._login, self._settings.timeout_seconds
        try:
            keys = [] if login.private_key is None else [_key(login)]
            known = asyncssh.import_known_hosts("\n".join(self._settings.known_hosts) + "\n")
        except (asyncssh.KeyImportError, ValueError):
            raise NeedsPerson(
                f"{use}_CONFIG",
                "sftp: private_key, passphrase or known_hosts cannot be read; give them as OpenSSH does",
            ) from None
        try:
            return await asyncssh.connect(
                self._settings.host,
                self._settings.port,
                username=login.user,
                password=None if login.password is None else str(login.password),
                client_keys=keys or None,
                known_hosts=known,
                config=None,
                agent_path=None,
                preferred_auth="publickey,password",
                connect_timeout=seconds,
                login_timeout=seconds,
                keepalive_interval=seconds,
            )
        except asyncssh.PermissionDenied:
            raise NeedsPerson(
                f"{use}_AUTH", "the server refused the login; renew user, password or key, or its right to enter"
            ) from None
        except asyncssh.HostKeyNotVerifiable:
            raise NeedsPerson(
                f"{use}_CONFIG",
                "the server's key is none of known_hosts; ask its owner whether it has changed, then correct them",
            ) from None
        except (asyncssh.Error, OSError, TimeoutError) as problem:
            raise TryLater(
                f"{use}_UNREACHABLE",
                f"no SSH at {self._settings.host}:{self._settings.port} ({type(problem).__name__})",
            ) from None

    def _drop(self, client: asyncssh.SFTPClient | None = None) -> None:
        """Let go of the connection; when a client is given, only if it is still the one in use."""
        if client is not None and client is not self._client:
            return
        if self._connection is not None:
            self._connection.abort()
        self._connection = self._client = None

    def _path(self, file: str) -> str:
        return str(PurePosixPath(self._settings.folder) / file)

    def _upload_path(self, file: str) -> str:
        name = PurePosixPath(file).name
        if self._settings.upload_folder is not None:
            return str(PurePosixPath(self._settings.upload_folder) / name)
        return str(PurePosixPath(self._path(file)).with_name(f".{name}.part"))


async def _content(client: asyncssh.SFTPClient, path: str, *, bytes_max: int) -> bytes | None:
    """At most one byte more than `bytes_max`; None when there is no such file."""
    try:
        async with client.open(path, "rb") as opened:
            size = (await opened.stat()).size or 0
            content: str | bytes = await opened.read(min(size, bytes_max) + 1)
    except asyncssh.SFTPNoSuchFile:
        return None
    assert isinstance(content, bytes), "opened as bytes"  # noqa: S101 - own invariant
    return content


async def _rename(client: asyncssh.SFTPClient, upload: str, path: str, *, is_there: bool, file: str) -> None:
    try:
        await client.posix_rename(upload, path)
        return
    except asyncssh.SFTPOpUnsupported:
        pass
    try:
        # Some servers replace by a plain rename; those that keep to the protocol refuse it.
        await client.rename(upload, path)
        return
    except (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists):
        if not is_there:
            raise
    await client.remove(path)
    try:
        await client.rename(upload, path)
    except (*_LOST, asyncssh.SFTPError):
        raise OutcomeUnknown(
            "APL_UNKNOWN_OUTCOME",
            f"file {file}: the old one is gone, and the new one lies whole as {upload}; if it stays so, rename it",
        ) from None


def _key(login: Login) -> asyncssh.SSHKey:
    assert login.private_key is not None, "asked for a key only with one"  # noqa: S101 - own invariant
    return asyncssh.import_private_key(
        str(login.private_key), None if login.passphrase is None else str(login.passphrase)
    )


def _translated(problem: Exception, *, file: str, use: Use) -> AetherError:
    if isinstance(problem, asyncssh.SFTPPermissionDenied):
        return NeedsPerson(f"{use}_AUTH", f"file {file}: the server does not let this user do that; have it allowed")
    if isinstance(problem, asyncssh.SFTPNoSuchFile | asyncssh.SFTPNoSuchPath):
        return NeedsPerson(f"{use}_CONFIG", f"file {file}: its folder is not there; correct folder and upload_folder")
    if isinstance(problem, asyncssh.SFTPOpUnsupported | asyncssh.SFTPBadMessage):
        return StopRun(
            f"{use}_WRONG_SHAPE", f"file {file}: the server does not know an operation of SFTP that is needed"
        )
    return TryLater(f"{use}_UNREACHABLE", f"file {file}: the server failed ({type(problem).__name__})")

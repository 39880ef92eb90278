"""The drop box on stage: its folder, who may enter, its journal, and a server in a thread or in a program.

`serving_sftp` is for tests. State is the folder itself; it can be taken out and put back as a document.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import shutil
import tempfile
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import asyncssh

from simulators.kit.journal import Entry, Journal
from simulators.kit.staging import Stage
from simulators.kit.switches import Switchboard
from simulators.sftp.box import BoxSession, file_name
from simulators.sftp.faults import Operation, SftpFault, SftpFaultMenu
from simulators.sftp.switches import SftpSwitches

VIOLATIONS_MAX = 1_000
FILES_MAX = 10_000
START_SECONDS_MAX = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SftpConfig:
    """One simulated drop box."""

    user: str
    password: str | None = field(default=None, repr=False)
    authorized_keys: Sequence[str] = ()
    """Public keys that may enter, as lines of OpenSSH."""
    host_key: str | None = field(default=None, repr=False)
    """The server's private key in OpenSSH form; a new one when None."""
    root: Path | None = None
    """The folder clients see as `/`; one of its own, removed at the end, when None."""
    seed: Any = field(default_factory=dict)
    """`{"folders": [path], "files": {path: text}}`; its files are put into the root."""
    switches: SftpSwitches = field(default_factory=SftpSwitches)
    stage: Stage = field(default_factory=Stage)


class DropBox:
    """The state behind all sessions."""

    def __init__(self, config: SftpConfig, root: Path) -> None:
        if not config.user or (config.password is None and not config.authorized_keys):
            raise ValueError("a drop box needs a user, and a password or keys")
        self._config = config
        self.root = root.resolve()
        self.faults = SftpFaultMenu()
        self._switchboard = Switchboard(config.switches)
        self._journal = Journal(
            clock=config.stage.clock, file=config.stage.journal_file, entries_max=config.stage.journal_entries_max
        )
        self._violations: deque[dict[str, str]] = deque(maxlen=VIOLATIONS_MAX)
        self._keys = [asyncssh.import_public_key(line) for line in config.authorized_keys]
        self.host_key = (
            asyncssh.import_private_key(config.host_key)
            if config.host_key is not None
            else asyncssh.generate_private_key("ssh-ed25519")
        )
        self.connections: set[asyncssh.SSHServerConnection] = set()
        """Who is connected; cut when the server stops."""
        self._place_files(*_checked(config.seed))

    @property
    def switches(self) -> SftpSwitches:
        """The switches as they are set now."""
        return self._switchboard.now

    def switch(self, **changes: object) -> None:
        """Set switches; `pydantic.ValidationError` names what does not exist or fit."""
        self._switchboard.set(changes)

    def entries(self, *, effects_only: bool = False) -> list[Entry]:
        """List the journal."""
        return self._journal.entries(effects_only=effects_only)

    def read_state(self) -> dict[str, Any]:
        """Describe folders, files and breaches, as a seed with `violations` besides."""
        places = sorted(self.root.rglob("*"))
        return {
            "folders": [self._shown(place) for place in places if place.is_dir()],
            "files": {self._shown(place): _document(place.read_bytes()) for place in places if place.is_file()},
            "violations": list(self._violations),
        }

    def write_state(self, document: Any) -> None:
        """Replace all files; `ValueError` says what is wrong with the document, and nothing has changed then."""
        breaches = document.get("violations", []) if isinstance(document, dict) else []
        folders, files = _checked(
            {name: value for name, value in document.items() if name != "violations"}
            if isinstance(document, dict)
            else document
        )
        for place in list(self.root.iterdir()):
            shutil.rmtree(place) if place.is_dir() else place.unlink()
        self._place_files(folders, files)
        self._violations = deque(breaches, maxlen=VIOLATIONS_MAX)

    def may_enter(self, user: str, *, password: str | None = None, key: asyncssh.SSHKey | None = None) -> bool:
        """Judge a credential, and put the judgement in the journal."""
        form = "password" if password is not None else "key"
        is_offered = self.switches.takes_password if password is not None else self.switches.takes_key
        is_known = (password is not None and password == self._config.password) or (
            key is not None and key in self._keys
        )
        is_good = is_offered and is_known and user == self._config.user
        fault = self.faults.take("auth", "/") if is_good else None
        if fault is not None:
            is_good = False
        status = 0 if is_good else asyncssh.FX_PERMISSION_DENIED
        self.record("auth", "/", status=status, details={"form": form}, fault=fault)
        return is_good

    def record(
        self,
        operation: Operation,
        path: str,
        *,
        status: int | None,
        effect: str = "none",
        details: dict[str, str] | None = None,
        fault: SftpFault | None = None,
        subject: str | None = None,
    ) -> None:
        """Put one operation in the journal; the path it had its effect on is its external id."""
        self._journal.record(
            method=operation.upper(),
            path=path,
            query=details or {},
            body=b"",
            status=status,
            fault=fault.kind.value if fault is not None else None,
            effect=effect,
            external_id=(subject or path) if effect != "none" else None,
            record_id=None,
            request_id=None,
        )

    def judge_name(self, path: str) -> None:
        """Note a file that has got a name the vendor's import does not look for (D20)."""
        names = self.switches.file_names
        if names and file_name(path) not in names:
            text = f"the import takes {', '.join(names)} only"
            self._violations.append({"rule": "D20", "method": "CLOSE", "path": path, "text": text[:200]})

    def close(self) -> None:
        """Let go of the journal's file."""
        self._journal.close()

    def _shown(self, place: Path) -> str:
        return f"/{place.relative_to(self.root).as_posix()}"

    def _place_files(self, folders: list[str], files: dict[str, bytes]) -> None:
        for folder in folders:
            (self.root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
        for path, content in files.items():
            place = self.root / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)


class _Door(asyncssh.SSHServer):
    """Who may enter; asked by the SSH library."""

    def __init__(self, box: DropBox) -> None:
        self._box = box

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._conn = conn
        self._box.connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self._box.connections.discard(self._conn)

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return self._box.switches.takes_password

    def public_key_auth_supported(self) -> bool:
        return self._box.switches.takes_key

    def validate_password(self, username: str, password: str) -> bool:
        return self._box.may_enter(username, password=password)

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return self._box.may_enter(username, key=key)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningSftp:
    """A drop box that listens."""

    host: str
    port: int
    box: DropBox

    @property
    def known_hosts_line(self) -> str:
        """What a client must know of this server."""
        return f"[{self.host}]:{self.port} {self.box.host_key.export_public_key().decode().strip()}"

    def arm(self, kind: str, **options: Any) -> None:
        """Arm one fault."""
        self.box.faults.arm([SftpFault.model_validate({"kind": kind} | options)])


async def serve_sftp(
    box: DropBox, *, host: str, port: int, ready: Callable[[RunningSftp], None], stop: Awaitable[object]
) -> None:
    """Listen until `stop` is done."""
    server = await asyncssh.listen(
        host,
        port,
        server_factory=functools.partial(_Door, box),
        server_host_keys=[box.host_key],
        sftp_factory=lambda chan: BoxSession(chan, box=box),
        allow_scp=False,
        reuse_address=True,
    )
    try:
        ready(RunningSftp(host=host, port=server.get_port(), box=box))
        await stop
    finally:
        server.close()
        open_still = list(box.connections)
        for connection in open_still:
            connection.abort()
        await asyncio.gather(*(connection.wait_closed() for connection in open_still), return_exceptions=True)
        await server.wait_closed()


@contextlib.contextmanager
def standing(config: SftpConfig) -> Iterator[DropBox]:
    """The drop box of a configuration, with a folder of its own where none is given."""
    with contextlib.ExitStack() as stack:
        root = config.root
        if root is None:
            root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dropbox-")))
        box = DropBox(config, root)
        stack.callback(box.close)
        yield box


@contextlib.contextmanager
def serving_sftp(config: SftpConfig) -> Iterator[RunningSftp]:
    """Serve from a thread on a free port of this machine; for tests."""
    loop = asyncio.new_event_loop()
    ready, stop = threading.Event(), asyncio.Event()
    running: list[RunningSftp] = []

    def on_ready(server: RunningSftp) -> None:
        running.append(server)
        ready.set()

    with standing(config) as box:

        def run() -> None:
            with contextlib.closing(loop):
                loop.run_until_complete(serve_sftp(box, host="127.0.0.1", port=0, ready=on_ready, stop=stop.wait()))

        thread = threading.Thread(target=run, name="dropbox", daemon=True)
        thread.start()
        try:
            if not ready.wait(START_SECONDS_MAX):
                raise TimeoutError(f"the drop box did not start within {START_SECONDS_MAX:.0f} s")
            yield running[0]
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join(START_SECONDS_MAX)


def _checked(seed: Any) -> tuple[list[str], dict[str, bytes]]:
    """Folders and files of a seed; `ValueError` names the place of what cannot be."""
    if not isinstance(seed, dict) or not seed.keys() <= {"folders", "files"}:
        raise ValueError("state: an object with folders and files, and nothing else")
    folders, files = seed.get("folders", []), seed.get("files", {})
    if not isinstance(folders, list) or not isinstance(files, dict) or len(folders) + len(files) > FILES_MAX:
        raise ValueError(f"state: folders is a list, files an object, together at most {FILES_MAX}")
    for place, path in [*((f"folders[{n}]", path) for n, path in enumerate(folders)), *(("files", p) for p in files)]:
        if not isinstance(path, str) or not path.startswith("/") or ".." in PurePosixPath(path).parts:
            raise ValueError(f"{place}: {path!r} is no path that begins with / and stays below it")
    contents: dict[str, bytes] = {}
    for path, content in files.items():
        match content:
            case str():
                contents[path] = content.encode()
            case {"base64": str(packed)}:
                contents[path] = base64.b64decode(packed, validate=True)
            case _:
                raise ValueError(f"files[{path!r}]: needs text, or an object with base64")
    return folders, contents


def _document(content: bytes) -> object:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}

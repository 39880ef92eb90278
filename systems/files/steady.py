"""Brings a file whole, or says that it could not: it must stand still while it is read, and bear out what proves it.

A file that is being uploaded grows; one that stood unchanged for a while, and still is what it was when its last byte
has come, is taken. Tries and waits are bounded. Nothing is parsed here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from shared.errors import AetherError, NeedsPerson, StopRun, TryLater
from shared.ports.pacing import Use
from shared.ports.surroundings import Surroundings
from systems.files.cells import FileWrong
from systems.files.description import CountFileProof, NoProof, ParquetFormat, Sha256FileProof, TrailerProof
from systems.files.layout import Layout
from systems.files.settings import FilesSettings
from systems.files.stores import Seen, Store, no_file

SIDE_FILE_BYTES_MAX = 4_096
FIRST_WAIT_SECONDS = 1.0


@dataclass(frozen=True)
class Brought:
    """A file's bytes, and what is known of them."""

    content: bytes | None
    """None: there is no file, and the connection says that it then counts as empty."""
    sha256: str
    seen: Seen | None
    told_rows: int | None
    """How many rows a second file says there are."""
    origin: str | None
    """What shows that it is whole, for the certificate; None when nothing does."""


class Bringing:
    """Brings the files of one connection."""

    def __init__(self, store: Store, settings: FilesSettings, surroundings: Surroundings) -> None:
        self._store = store
        self._settings = settings
        self._surroundings = surroundings

    async def bring(self, layout: Layout, *, use: Use) -> Brought:
        """The file of an entity, whole and unchanged."""
        for number in range(self._settings.read_tries):
            try:
                brought = await self._once(layout, use=use)
            except TryLater as error:
                if number + 1 == self._settings.read_tries:
                    raise
                await self._wait(number, error.retry_after_seconds)
                continue
            if brought is not None:
                return brought
            await self._wait(number, None)
        text = f"file {layout.file}: it changed each of {self._settings.read_tries} times that it was read (read_tries)"
        if use == "SRC":
            raise StopRun("SRC_UNSTABLE", text, file=layout.file)
        raise TryLater("APL_UNREACHABLE", text, file=layout.file)

    async def _once(self, layout: Layout, *, use: Use) -> Brought | None:
        """None when the file did not stand still."""
        before = await self._store.look(layout.file, use=use)
        if before is None:
            if self._settings.missing_is_empty:
                return Brought(None, hashlib.sha256(b"").hexdigest(), None, None, "no file, which counts as empty")
            raise no_file(layout.file, self._store.place, use=use)
        if use == "SRC":
            self.require_fresh(layout, before)
            await self._surroundings.sleep(self._settings.settle_seconds)
        content = await self._store.read(layout.file, use=use, bytes_max=self._settings.file_bytes_max)
        after = await self._store.look(layout.file, use=use)
        if content is None or after != before or len(content) != before.size:
            return None
        digest = hashlib.sha256(content).hexdigest()
        told = await self._told(layout, digest, use=use)
        return Brought(content, digest, before, told, _origin(layout))

    def require_fresh(self, layout: Layout, seen: Seen) -> None:
        """Refuse a file that is older than allowed: what it does not hold may be there by now."""
        if layout.stale_after_hours is None:
            return
        age = (self._surroundings.clock.now().timestamp() - seen.modified) / 3_600
        if age > layout.stale_after_hours:
            raise NeedsPerson(
                "SRC_CONFIG",
                f"file {layout.file}: {age:.0f} hours old, allowed {layout.stale_after_hours} (stale_after_hours); "
                "find out why it is no longer exported",
                file=layout.file,
            )

    async def _told(self, layout: Layout, digest: str, *, use: Use) -> int | None:
        """What the second file says, which is written last: none yet means that the export is under way."""
        if layout.side_file is None:
            return None
        content = await self._store.read(layout.side_file, use=use, bytes_max=SIDE_FILE_BYTES_MAX)
        if content is None:
            raise StopRun(
                "SRC_INCOMPLETE",
                f"file {layout.side_file}: is not there, so the export is not at its end; read it anew when it is",
            )
        words = content.decode("ascii", errors="replace").split()
        if isinstance(layout.described.proof, Sha256FileProof):
            if not words or words[0].lower() != digest:
                raise StopRun(
                    "SRC_INCOMPLETE",
                    f"file {layout.file}: its SHA-256 is not that of {layout.side_file}; export it anew",
                )
            return None
        if len(words) != 1 or not (words[0].isascii() and words[0].isdigit()):
            raise StopRun("SRC_WRONG_SHAPE", f"file {layout.side_file}: holds no number of records; see proof")
        return int(words[0])

    async def _wait(self, number: int, asked: float | None) -> None:
        most = FIRST_WAIT_SECONDS * 2**number
        await self._surroundings.sleep(asked if asked is not None else self._surroundings.rng.uniform(most / 2, most))


def wrong(problem: FileWrong, layout: Layout, *, use: Use) -> AetherError:
    """The error for a file that is not as agreed."""
    text = f"file {layout.file}: {problem}"
    if use == "SRC" and problem.is_torn:
        return StopRun("SRC_INCOMPLETE", f"{text}; have it exported anew", file=layout.file, line=problem.line)
    return StopRun(
        f"{use}_WRONG_SHAPE", f"{text}; compare it with the interface document", file=layout.file, line=problem.line
    )


def _origin(layout: Layout) -> str | None:
    match layout.described.proof:
        case NoProof():
            return None
        case TrailerProof():
            return "number of rows in the file's last row"
        case CountFileProof():
            return f"number of rows in {layout.side_file}"
        case Sha256FileProof():
            return f"rows of the file whose SHA-256 {layout.side_file} holds"
    if isinstance(layout.described.format, ParquetFormat):
        return "number of rows in the file's footer"
    return "rows of the file, which stood unchanged while it was read and whose last line is ended"

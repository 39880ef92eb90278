"""Files as a target: shows one row as the file has it, and puts changes into it, as many as come together at once.

A file can only be replaced whole, so that changes that are sent at the same time go into one new file, each with an
answer of its own. Before the new file gets its name, the old one is compared with what it was made from; what somebody
else has written meanwhile is never lost: rows that are not ours are taken over, and a change of a row that moved is
refused. It chooses nothing, and sends no change twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.errors import AetherError, StopRun, TargetMoved
from shared.ports.gathering import Gathering
from shared.ports.surroundings import Surroundings
from shared.ports.system import Column, Finding, Receipt
from shared.ports.wire import Record, WireWrite
from systems.files.cells import FileWrong
from systems.files.columns import columns_of
from systems.files.layout import Layout
from systems.files.opening import store_of
from systems.files.settings import FilesSettings, layout_of
from systems.files.sheet import Sheet, moved, rewritten, sheet_of
from systems.files.steady import Bringing, wrong
from systems.files.stores import FileMoved, Seen, Store
from systems.files.wire import RowChange, change_of

if TYPE_CHECKING:  # reading lists needs a columnar engine, writing does not
    from systems.files.reading import FilesReading
    from systems.files.source import FilesSource

MADE_ANEW_MAX = 3
"""How often a new file is made when the old one moves meanwhile."""
LOOKS_GATHERED_MAX = 1_000


def target_of(settings: FilesSettings, surroundings: Surroundings) -> FilesTarget:
    """A target with the login that may write."""
    return FilesTarget(settings, store_of(settings, surroundings, may_write=True), surroundings)


@dataclass(frozen=True)
class _Kept:
    """The file as it was last seen."""

    seen: Seen | None
    sheet: Sheet


class FilesTarget:
    """See `shared.ports.system.Target`."""

    def __init__(self, settings: FilesSettings, store: Store, surroundings: Surroundings) -> None:
        self._settings = settings
        self._store = store
        self._surroundings = surroundings
        self._bringing = Bringing(store, settings, surroundings)
        self._files: dict[str, _File] = {}

    def columns(self, entity: str) -> Sequence[Column]:
        """The columns of an entity, from the interface document."""
        return columns_of(type(self._settings).files, entity)

    def read(self, entity: str) -> FilesReading:
        """A new reading; nothing is asked before it is iterated."""
        return self._source().read(entity)

    async def check(self) -> Sequence[Finding]:
        """As for a source, and whether we may write, as far as that shows without writing."""
        findings = list(await self._source().check())
        if findings[0].is_good:
            refused = await self._store.may_write()
            known = "it may be written" if self._settings.sftp is None else "not tried: a new file might be imported"
            findings.append(Finding("permission", refused is None, refused or known))
        return findings

    async def close(self) -> None:
        """Gives connections back, behind what is under way; may be called twice."""
        for file in self._files.values():
            await file.close()
        await self._store.close()

    async def fetch(self, entity: str, *, target_id: str | None, key: str | None) -> Record | None:
        """One row as the file has it now, by its key; None when there is none."""
        wanted = target_id if target_id is not None else key
        if wanted is None:
            raise StopRun("APL_INTERNAL", f"entity {entity}: a record is asked for by neither id nor key")
        return await self._file(entity).looks.put(wanted)

    async def write(self, write: WireWrite, *, idempotency_key: str) -> Receipt:
        """Puts one change into the file, together with those that come at the same time."""
        change = change_of(type(self._settings).files, write)
        return await self._file(change.entity).changes.put(change)

    def _file(self, entity: str) -> _File:
        if entity not in self._files:
            layout = layout_of(self._settings, entity, code="APL_CONFIG")
            if layout.described.write is None:
                raise StopRun(
                    "APL_CONFIG", f"entity {entity}: is only read; its interface document has no write clause"
                )
            self._files[entity] = _File(layout, self._store, self._bringing, self._settings, self._surroundings)
        return self._files[entity]

    def _source(self) -> FilesSource:
        from systems.files.source import FilesSource

        return FilesSource(self._settings, self._store, self._surroundings)


class _File:
    """One file that is looked at and rewritten."""

    def __init__(
        self, layout: Layout, store: Store, bringing: Bringing, settings: FilesSettings, surroundings: Surroundings
    ) -> None:
        self._layout = layout
        self._store = store
        self._bringing = bringing
        self._bytes_max = settings.file_bytes_max
        self._kept: _Kept | None = None
        self._made: Sheet | None = None
        """What we wrote last: when the file is found to be that to the byte, it need not be taken apart."""
        self._room = asyncio.Lock()
        """One at a time brings the file or replaces it."""
        self.looks: Gathering[str, Record | None] = Gathering(
            self._shown, items_max=LOOKS_GATHERED_MAX, wait_seconds=0.0
        )
        self.changes: Gathering[RowChange, Receipt] = Gathering(
            self._done,
            items_max=settings.gathered_max,
            wait_seconds=settings.gather_seconds,
            sleep=surroundings.sleep,
        )

    async def close(self) -> None:
        """Wait until what is under way is done."""
        await self.looks.close()
        await self.changes.close()

    async def _shown(self, keys: Sequence[str]) -> Sequence[Record | Exception | None]:
        async with self._room:
            sheet = await self._sheet()
        return [self._record(sheet, key) for key in keys]

    def _record(self, sheet: Sheet, key: str) -> Record | None:
        # Names that begin so are those of rows without a key; see `Sheet.rows`.
        return None if key.startswith("\0") else sheet.record(key)

    async def _done(self, changes: Sequence[RowChange]) -> Sequence[Receipt | Exception]:
        async with self._room:
            return await self._replaced(changes)

    async def _replaced(self, changes: Sequence[RowChange]) -> Sequence[Receipt | Exception]:
        results: dict[int, Receipt | Exception] = {}
        sheet = await self._sheet()
        for _ in range(MADE_ANEW_MAX):
            left = [number for number in range(len(changes)) if number not in results]
            new = await asyncio.to_thread(rewritten, sheet, [changes[number] for number in left])
            answers = dict(zip(left, new.answers, strict=True))
            results.update((n, answer) for n, answer in answers.items() if isinstance(answer, AetherError))
            accepted = {n: answer for n, answer in answers.items() if isinstance(answer, str)}
            if new.content is None or not accepted:
                return _all(results, accepted)
            self._require_room(new.content)
            try:
                await self._store.replace(self._layout.file, new.content, instead_of=sheet.sha256)
            except FileMoved:
                before, self._kept = sheet, None
                sheet = await self._sheet()
                results.update((n, self._conflict()) for n in accepted if moved(before, sheet, changes[n]))
                continue
            except AetherError as error:
                self._kept = None
                results.update(dict.fromkeys(accepted, error))
                return _all(results, {})
            self._kept, self._made = None, new.sheet  # what the other side kept of it is for the next look to see
            return _all(results, accepted)
        results.update((n, self._conflict()) for n in range(len(changes)) if n not in results)
        return _all(results, {})

    async def _sheet(self) -> Sheet:
        """The file as it stands; taken apart anew only when it is seen to be another."""
        if self._kept is not None:
            if await self._store.look(self._layout.file, use="APL") == self._kept.seen:
                return self._kept.sheet
            self._kept = None
        brought = await self._bringing.bring(self._layout, use="APL")
        if self._made is not None and brought.content is not None and self._made.sha256 == brought.sha256:
            self._kept = _Kept(brought.seen, self._made)
            return self._made
        self._made = None
        try:
            sheet = await asyncio.to_thread(sheet_of, self._layout, brought.content)
        except FileWrong as problem:
            raise wrong(problem, self._layout, use="APL") from None
        self._kept = _Kept(brought.seen, sheet)
        return sheet

    def _require_room(self, content: bytes) -> None:
        if len(content) > self._bytes_max:
            raise StopRun(
                "APL_CONFIG",
                f"file {self._layout.file}: would be {len(content)} bytes, allowed {self._bytes_max} (file_bytes_max)",
            )

    def _conflict(self) -> TargetMoved:
        return TargetMoved(
            "APL_CONFLICT",
            f"file {self._layout.file}: somebody else has changed this row meanwhile; read it and decide",
        )


def _all(results: dict[int, Receipt | Exception], accepted: dict[int, str]) -> list[Receipt | Exception]:
    results.update((number, Receipt(target_id=key, status=0)) for number, key in accepted.items())
    return [results[number] for number in sorted(results)]

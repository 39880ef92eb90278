"""Reads the files of a connection whole, or says that it could not."""

from __future__ import annotations

from collections.abc import Sequence

from shared.errors import AetherError, NeedsPerson, TryLater
from shared.ports.surroundings import Surroundings
from shared.ports.system import Column, Finding
from systems.files.columns import columns_of
from systems.files.opening import store_of
from systems.files.reading import FilesReading
from systems.files.settings import FilesSettings, layout_of
from systems.files.steady import Bringing
from systems.files.stores import Store


def source_of(settings: FilesSettings, surroundings: Surroundings) -> FilesSource:
    """A source with the login that may only read."""
    return FilesSource(settings, store_of(settings, surroundings, may_write=False), surroundings)


class FilesSource:
    """See `shared.ports.system.Resumable`."""

    def __init__(self, settings: FilesSettings, store: Store, surroundings: Surroundings) -> None:
        self._settings = settings
        self._store = store
        self._bringing = Bringing(store, settings, surroundings)

    def columns(self, entity: str) -> Sequence[Column]:
        """The columns of an entity, from the interface document."""
        return columns_of(type(self._settings).files, entity)

    def read(self, entity: str) -> FilesReading:
        """A new reading; nothing is asked before it is iterated."""
        layout = layout_of(self._settings, entity, code="SRC_CONFIG")
        return FilesReading(layout, self._bringing, page_rows=self._settings.page_rows)

    def resume(self, entity: str, *, after: str) -> FilesReading:
        """A reading of the pages behind that point; see `shared.ports.system.Resumable`."""
        layout = layout_of(self._settings, entity, code="SRC_CONFIG")
        return FilesReading(layout, self._bringing, page_rows=self._settings.page_rows, after=after)

    async def check(self) -> Sequence[Finding]:
        """Looks for every file, and reads each: for a file there is no smaller question that shows its shape."""
        findings: list[Finding] = []
        for entity in type(self._settings).files.entities:
            file = layout_of(self._settings, entity, code="SRC_CONFIG").file
            reading = self.read(entity)
            try:
                rows = sum([page.rows.height async for page in reading])
            except AetherError as error:
                subject = _subject(error, is_sftp=self._settings.sftp is not None)
                if subject in ("network", "authentication"):
                    # Of a place that cannot be entered, nothing else can be said.
                    return [Finding(subject, False, error.message)]
                findings.append(Finding(subject, False, f"{entity}: {error.message}"))
                continue
            proof = "nothing shows that it is whole" if reading.expected is None else reading.expected.origin
            text = f"{entity}: {rows} rows in {file}; {proof}"
            if reading.unknown_fields:
                text += f"; {len(reading.unknown_fields)} columns that no field has"
            findings.append(Finding("shape", True, text))
        if any("no such folder" in finding.text for finding in findings):
            return [next(finding for finding in findings if "no such folder" in finding.text)]
        return [
            Finding("network", True, f"{self._store.place} answers"),
            Finding("authentication", True, "the login was accepted" if self._settings.sftp else "none is needed"),
            *findings,
        ]

    async def close(self) -> None:
        """Gives connections back; may be called twice."""
        await self._store.close()


def _subject(error: AetherError, *, is_sftp: bool) -> str:
    if isinstance(error, TryLater):
        return "network"
    if error.code == "SRC_AUTH":
        return "permission" if "file " in error.message or not is_sftp else "authentication"
    return "settings" if isinstance(error, NeedsPerson) else "shape"

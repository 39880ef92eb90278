"""One entity of one connection: what the document says of its file, with what the connection says otherwise. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from systems.files.description import FileEntity


@dataclass(frozen=True)
class Layout:
    """A file and how it is written down."""

    entity: str
    described: FileEntity
    file: str
    headers: Mapping[str, str]
    """By field; only of those that stand in the file."""
    stale_after_hours: int | None
    rows_max: int

    @property
    def side_file(self) -> str | None:
        """The second file that proves it; None where there is none."""
        name = getattr(self.described.proof, "file", None)
        return None if name is None else str(name).replace("{file}", self.file)

"""Documents that several events carry: certificates' references, refusals, failures."""

from __future__ import annotations

from pydantic import Field

from shared.errors import AetherError
from shared.events.model import Document, FailureCode

TEXT_MAX = 12_000
"""Characters of a note: room for every problem of a faulty definition, and far below a message's largest size."""


class FailureNote(Document):
    """Why something stopped: a code of the catalogue and one sentence without personal values."""

    code: FailureCode
    text: str

    @classmethod
    def of(cls, error: AetherError) -> FailureNote:
        """The note for an error of the house; a sentence that repeats somebody's endless word is cut."""
        text = error.message
        return cls(code=error.code, text=text if len(text) <= TEXT_MAX else f"{text[:TEXT_MAX]} …")


class PartitionManifest(Document):
    """The batches of one partition of a snapshot."""

    partition: str
    """The last token of the subject: a number, `unkeyed` (target records without our key) or `quarantine`."""
    messages: int = Field(ge=0)
    rows: int = Field(ge=0)
    sha256: str
    """Hex digest over the digests of the messages, in order."""


class PageReference(Document):
    """Where a page of changes lies and what it must be."""

    subject: str
    sha256: str
    """Hex digest over the stored bytes."""
    changes: int = Field(ge=0)
    """Changes on the page, or entries of a part of the index; 0 for a page of what was left out."""

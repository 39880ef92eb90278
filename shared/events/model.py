"""The base of every event, command and document on the bus.

Frozen, closed (`extra="forbid"` on what we write) and versioned by its type name: a change that an older reader
could not read needs a new version, not an edit.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Document(BaseModel):
    """A frozen, closed value."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Event(Document):
    """A value that travels as one message. `event_type` is the CloudEvents type and names the version."""

    event_type: ClassVar[str]

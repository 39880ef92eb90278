"""The base of every event, command and document on the bus.

Frozen, closed (`extra="forbid"` on what we write) and versioned by its type name: a change that an older reader
could not read needs a new version, not an edit.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo

from shared.failures import failure_of


def _in_the_catalogue(code: str, info: ValidationInfo) -> str:
    if info.mode == "python":
        failure_of(code)
    return code


FailureCode = Annotated[str, AfterValidator(_in_the_catalogue)]
"""A code of the catalogue. `UnknownFailureCode` where a program would write another; what was stored under a code that
has since been retired can still be read."""


class Document(BaseModel):
    """A frozen, closed value."""

    # JSON knows no infinity: what is written of one could not be read again.
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class Event(Document):
    """A value that travels as one message. `event_type` is the CloudEvents type and names the version."""

    event_type: ClassVar[str]

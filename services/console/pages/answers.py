"""How the JSON API says that something cannot be done: one shape for every route."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    code: str | None
    """Code of the catalogue of failures; null for what only the asking side can get wrong."""
    text: str
    action: str
    """What to do."""


class ApiError(BaseModel):
    """What every answer holds that is not a success."""

    model_config = ConfigDict(extra="forbid")

    error: _Told


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documented errors of a route; who is not signed in, and a database that cannot be read, come with each."""
    return {status: {"model": ApiError, "description": _MEANINGS[status]} for status in sorted({401, 503, *statuses})}


_MEANINGS: Final = {
    401: "Nobody is signed in.",
    403: "The role is missing, or the request does not come from a page of this session.",
    404: "There is no such thing.",
    409: "It was refused: the text says why.",
    422: "The request cannot be read.",
    503: "A service or the database does not answer; ask again shortly.",
}

"""What every connection over HTTP is told, whatever the vendor."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _checked_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is no web address; write https://host or https://host:port")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("holds more than an address; leave out user, query and fragment")
    return text.rstrip("/")


WebAddress = Annotated[str, AfterValidator(_checked_url)]
"""`https://host[:port][/path]` without a slash at its end."""


class HttpSettings(BaseModel):
    """Base of a connection's settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: WebAddress
    """`https://host[:port]`, and the path before the interface's own where there is one."""
    timeout_seconds: float = Field(default=30.0, gt=0, le=300)
    """For connecting, for sending and for each silence while an answer arrives."""
    body_bytes_max: int = Field(default=4 * 1024 * 1024, ge=1024, le=1024 * 1024 * 1024)
    """A longer answer is not read to its end."""

"""Settings that every system read over SQL shares; a system's own model extends them."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from shared.secrets import SecretReference

PAGE_ROWS_MAX = 20_000
"""Rows of one page; a page is held in memory once."""
ROWS_MAX = 5_000_000
"""Rows of one reading; more is not a district but a wrong query."""

DRIVERS = ("sqlite", "postgresql+psycopg")
"""What `open_engine` knows how to read from one unchanging state."""


def _checked_url(text: str) -> str:
    try:
        url = make_url(text)
    except ArgumentError:
        raise ValueError("is no database address; write driver://user@host:port/database") from None
    if url.drivername not in DRIVERS:
        raise ValueError(f"has driver {url.drivername}; this release reads with: {', '.join(DRIVERS)}")
    if url.password is not None:
        raise ValueError("holds a password; take it out and name its reference in `password`")
    return text


class SqlSettings(BaseModel):
    """How to reach one database for reading."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[str, AfterValidator(_checked_url)]
    """`postgresql+psycopg://user@host:5432/database` or `sqlite:////absolute/path.db`; without a password."""
    password: SecretReference | None = None
    """Where the user's password lies."""
    schema_name: str | None = Field(default=None, min_length=1, max_length=128)
    """The schema that holds the tables or views; the user's default schema when left out."""
    page_rows: int = Field(default=PAGE_ROWS_MAX, ge=1, le=PAGE_ROWS_MAX)
    """Rows of one page."""
    connect_timeout_seconds: int = Field(default=15, ge=1, le=120)
    statement_timeout_seconds: int = Field(default=300, ge=1, le=3600)
    """How long the database may work on one statement or one page."""

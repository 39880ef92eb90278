"""Settings that every system read over SQL shares; a system's own model extends them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from shared.secrets import SecretReference

PAGE_ROWS_MAX = 20_000
"""Rows of one page; a page is held in memory once."""
ROWS_MAX = 5_000_000
"""Rows of one reading; more is not a district but a wrong query."""

SQL_SERVER = "mssql+pymssql"
DRIVERS = ("sqlite", "postgresql+psycopg", SQL_SERVER)
"""What `open_engine` knows how to read."""
_DEFAULT_DRIVER = {"mssql": SQL_SERVER}

Isolation = Literal["snapshot", "read_committed", "read_uncommitted"]
"""How SQL Server keeps a reading apart from those who write meanwhile."""
Proof = Literal["one state", "keys read twice", "none"]
"""Why a reading may call itself whole: it saw one unchanging state; it found the same keys twice; it may not."""


def _checked_url(text: str) -> str:
    try:
        url = make_url(text)
    except ArgumentError:
        raise ValueError("is no database address; write driver://user@host:port/database") from None
    if url.drivername in _DEFAULT_DRIVER:
        url = url.set(drivername=_DEFAULT_DRIVER[url.drivername])
    if url.drivername not in DRIVERS:
        raise ValueError(f"has driver {url.drivername}; this release reads with: {', '.join(DRIVERS)}")
    if url.password is not None:
        raise ValueError("holds a password; take it out and name its reference in `password`")
    if url.drivername == SQL_SERVER and not (url.host and url.username and url.database):
        # Without a database the server opens the login's own one: another year's, perhaps.
        raise ValueError("names no host, user or database; write mssql://user@host:1433/database")
    if url.drivername == SQL_SERVER and url.query:
        raise ValueError("has options behind `?`; say them as settings")
    return url.render_as_string(hide_password=False)


DatabaseUrl = Annotated[str, AfterValidator(_checked_url)]
"""A database's address without a password."""


class SqlSettings(BaseModel):
    """How to reach one database for reading."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: DatabaseUrl
    """`mssql://user@host:1433/database`, `postgresql+psycopg://user@host:5432/database` or
    `sqlite:////absolute/path.db`; without a password."""
    password: SecretReference | None = None
    """Where the user's password lies."""
    schema_name: str | None = Field(default=None, min_length=1, max_length=128)
    """The schema that holds the tables or views; the user's default schema when left out."""
    checked_entities: tuple[str, ...] | None = Field(default=None, min_length=1, max_length=100)
    """What `check` looks at: the entities that connectors use over this connection. All when left out; a login that may
    read no more than it has to is found wanting then."""
    page_rows: int = Field(default=PAGE_ROWS_MAX, ge=1, le=PAGE_ROWS_MAX)
    """Rows of one page."""
    connect_timeout_seconds: int = Field(default=15, ge=1, le=120)
    statement_timeout_seconds: int = Field(default=300, ge=1, le=3600)
    """How long the database may work on one statement or one page. The driver for SQL Server keeps one such time for
    the whole process: the one of the connection opened last."""
    isolation: Isolation | None = None
    """SQL Server only, `snapshot` when left out: one unchanging state, which the database has to allow.
    `read_committed` works everywhere and reads the keys twice. `read_uncommitted` waits for nobody and proves nothing:
    no removals."""
    encryption: Literal["require", "request", "off"] | None = None
    """SQL Server only, `require` when left out: the whole connection is encrypted, or refused. The driver does not
    check the server's certificate."""

    @model_validator(mode="after")
    def _sql_server_only(self) -> Self:
        if not self.is_sql_server:
            for name in ("isolation", "encryption"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name}: is a setting for SQL Server; take it out")
        return self

    @property
    def is_sql_server(self) -> bool:
        """Whether the database is a Microsoft SQL Server."""
        return make_url(self.url).drivername == SQL_SERVER

    @property
    def database(self) -> str:
        """The database's name as the address has it; for SQLite the file's path."""
        return make_url(self.url).database or ""

    @property
    def proof(self) -> Proof:
        """What makes a reading with these settings whole."""
        if not self.is_sql_server or self.isolation in (None, "snapshot"):
            return "one state"
        return "keys read twice" if self.isolation == "read_committed" else "none"

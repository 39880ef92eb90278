"""Settings of a connection to the district's own tables."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from shared.secrets import SecretReference
from shared.sql_reading.settings import DatabaseUrl, SqlSettings


class LocalConfig(SqlSettings):
    """One database, SQLite or PostgreSQL, read by one login and written by another."""

    write_url: DatabaseUrl | None = None
    """The same database with the user who may write; `url` when left out."""
    write_password: SecretReference | None = None
    """Where that user's password lies; `password` when neither this nor `write_url` is given."""
    table_prefix: str = Field(default="", pattern=r"^([a-z][a-z0-9_]{0,29})?$")
    """What stands before the names of the tables, such as `aether_`."""
    create_tables: bool = False
    """Whether tables and columns that are missing are made when the database is first opened. Only ever adds, and needs
    a login that may: for the first run; take it out afterwards. SQLite's file is made too."""

    @model_validator(mode="after")
    def _is_a_database_that_can_be_written(self) -> Self:
        for name in ("url", "write_url"):
            url = getattr(self, name)
            if url is not None and not url.startswith(("sqlite:", "postgresql+psycopg:")):
                raise ValueError(f"{name}: local tables are kept in SQLite or PostgreSQL")
        if self.write_url is not None and self.write_url.split(":")[0] != self.url.split(":")[0]:
            raise ValueError("write_url: is of another kind of database than url")
        return self

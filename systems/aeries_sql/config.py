"""Settings of a connection to an Aeries database."""

from __future__ import annotations

from pydantic import Field

from shared.sql_reading.settings import SqlSettings

PSEUDO_SCHOOLS = (0, 999)
"""District office and the school of those who left: Aeries lists them as schools, and they are none."""


class AeriesSqlConfig(SqlSettings):
    """One database, so one school year: the address changes with every rollover."""

    pseudo_schools: tuple[int, ...] = Field(default=PSEUDO_SCHOOLS, max_length=100)
    """Codes in LOC that are left out of `schools`; some districts add 100, 200 and the like."""

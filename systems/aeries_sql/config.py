"""Settings of a connection to an Aeries database."""

from __future__ import annotations

import re

from pydantic import Field

from shared.sql_reading.settings import SqlSettings

PSEUDO_SCHOOLS = (0, 999)
"""District office and the school of those who left: Aeries lists them as schools, and they are none."""
_YEAR_IN_NAME = re.compile(r"(?i)DST(\d\d)000")
"""How Aeries names the database of a school year: DST26000, with the district's letters behind it at some sites."""


class AeriesSqlConfig(SqlSettings):
    """One database, so one school year: the address changes with every rollover."""

    database_year: int | None = Field(default=None, ge=2000, le=2099)
    """The year in which the wanted school year begins (2026 for 2026-27). When given, nothing is read from a database
    whose name or terms are another year's; `check` tells either way."""
    pseudo_schools: tuple[int, ...] = Field(default=PSEUDO_SCHOOLS, max_length=100)
    """Codes in LOC that are left out of `schools` and marked in `students`; some districts add 100, 200 and so on."""

    @property
    def year_in_name(self) -> int | None:
        """The school year that the database's name tells, None when it tells none (`Aeries`, a file)."""
        found = _YEAR_IN_NAME.match(self.database)
        return 2000 + int(found.group(1)) if found else None

"""Settings of a connection to a county HR database."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from shared.sql_reading.settings import SqlSettings

ViewName = Annotated[str, Field(min_length=1, max_length=128)]


class ViewNames(BaseModel):
    """What the agreed views are called here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    people: ViewName = "hr_person"
    assignments: ViewName = "hr_assignment"
    positions: ViewName = "hr_position"
    sites: ViewName = "hr_site"


class OcdeHrSqlConfig(SqlSettings):
    """One HR database and the names of its views."""

    views: ViewNames = ViewNames()

"""Settings of a connection to a county HR database."""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from shared.sql_reading.settings import SqlSettings

ViewName = Annotated[str, Field(min_length=1, max_length=128)]
Status = Literal["active", "leave", "substitute", "inactive", "retired", "terminated"]
"""What an employment status means, in words that do not change with the HR system."""

STATUS_CODES: MappingProxyType[str, Status] = MappingProxyType(
    {
        "A": "active",
        "L": "leave",
        "S": "substitute",
        "I": "inactive",
        "R": "retired",
        "T": "terminated",
    }
)
"""As published scripts of districts read them. What D, W and X mean is not told: they are `unknown` until said."""


class ViewNames(BaseModel):
    """What the agreed views are called here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    people: ViewName = "hr_person"
    assignments: ViewName = "hr_assignment"
    positions: ViewName = "hr_position"
    sites: ViewName = "hr_site"


def _spelled(codes: dict[str, Status]) -> dict[str, Status]:
    spelled = {code.strip().upper(): status for code, status in codes.items()}
    if len(spelled) != len(codes) or "" in spelled:
        raise ValueError("status_codes: each code once, without regard to case and blanks, and none of them blank")
    return spelled


class OcdeHrSqlConfig(SqlSettings):
    """One HR database, the names of its views and what its codes mean."""

    views: ViewNames = ViewNames()
    status_codes: Annotated[dict[str, Status], AfterValidator(_spelled)] = Field(
        default=dict(STATUS_CODES), min_length=1, max_length=100
    )
    """What each `status_code` means; without regard to case and blanks. A code outside makes the status `unknown`."""

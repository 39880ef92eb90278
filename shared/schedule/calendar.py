"""The calendar of the house: school days, the days of the rollover, and windows in which nothing runs by schedule.

Pure; `calendar_file` reads it. Times are local to the calendar's zone unless they name one.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from shared.schedule.times import checked_zone

WINDOWS_MAX: Final = 500
"""Of each kind in one calendar."""
NAME_CHARACTERS_MAX: Final = 80
JULY: Final = ((7, 1), (7, 15))
"""First and last day of the preset `july`: when student systems change over to the new school year."""

Weekday = Literal["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]
_WEEKDAYS: Final[tuple[Weekday, ...]] = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
Title = Annotated[str, Field(min_length=1, max_length=NAME_CHARACTERS_MAX)]
Connectors = Literal["all"] | Annotated[tuple[str, ...], Field(min_length=1, max_length=200)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, use_attribute_docstrings=True)


class Days(_Part):
    """Days from the first to the last, both of them included."""

    name: Title = "no school"
    first: date = Field(alias="from")
    last: date = Field(alias="to")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last < self.first:
            raise ValueError(f"ends on {self.last}, before it begins on {self.first}")
        return self

    def hold(self, day: date) -> bool:
        """Whether the day is one of them."""
        return self.first <= day <= self.last


class SchoolYear(_Part):
    """One school year; days outside of every year are no school days."""

    name: Title
    first_day: date
    last_day: date

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last_day < self.first_day:
            raise ValueError(f"ends on {self.last_day}, before it begins on {self.first_day}")
        return self


class Blackout(_Part):
    """One window of time in which nothing runs by schedule."""

    name: Title
    begins: datetime = Field(alias="from")
    ends: datetime = Field(alias="until")
    """The first moment after it."""
    connectors: Connectors = "all"

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if (self.begins.tzinfo is None) != (self.ends.tzinfo is None):
            raise ValueError("one of its times names a zone and the other does not; write both the same way")
        if self.ends <= self.begins:
            raise ValueError(f"ends at {self.ends.isoformat()}, not after it begins at {self.begins.isoformat()}")
        return self


class WeeklyBlackout(_Part):
    """A window that comes again every week."""

    name: Title
    weekdays: Annotated[tuple[Weekday, ...], Field(min_length=1, max_length=7)] = _WEEKDAYS
    begins: time = Field(alias="from")
    ends: time = Field(alias="until")
    """The first moment after it; before its beginning, it is one of the next day."""
    connectors: Connectors = "all"

    @model_validator(mode="after")
    def _plain(self) -> Self:
        if self.begins.tzinfo is not None or self.ends.tzinfo is not None:
            raise ValueError("its times are those of the calendar's zone; write them without one, as 07:00")
        if self.begins == self.ends:
            raise ValueError("begins and ends at the same time; write 00:00 until 23:59 for a whole day")
        return self


class HouseCalendar(_Part):
    """The calendar."""

    time_zone: Annotated[str, AfterValidator(checked_zone)]
    """In which its days begin and its times are meant."""
    school_years: Annotated[tuple[SchoolYear, ...], Field(max_length=20)] = ()
    """Without any, every weekday is a school day."""
    no_school: Annotated[tuple[Days, ...], Field(max_length=WINDOWS_MAX)] = ()
    """Holidays and breaks within the school years."""
    rollover: Literal["july", "none"] | Annotated[tuple[Days, ...], Field(max_length=20)] = "july"
    """Days in which the systems of record change over to the new school year. `july`: 1 to 15 July of every year."""
    blackouts: Annotated[tuple[Blackout, ...], Field(max_length=WINDOWS_MAX)] = ()
    weekly_blackouts: Annotated[tuple[WeeklyBlackout, ...], Field(max_length=WINDOWS_MAX)] = ()

    def day_of(self, moment: datetime) -> date:
        """The local day of a moment."""
        return moment.astimezone(ZoneInfo(self.time_zone)).date()

    def is_school_day(self, day: date) -> bool:
        """Whether there is school on that day: a weekday within a school year, and no holiday."""
        if day.weekday() >= 5 or any(days.hold(day) for days in self.no_school):
            return False
        return not self.school_years or any(year.first_day <= day <= year.last_day for year in self.school_years)

    def is_rollover(self, day: date) -> bool:
        """Whether the systems of record change over on that day."""
        if self.rollover == "none":
            return False
        if self.rollover == "july":
            return JULY[0] <= (day.month, day.day) <= JULY[1]
        return any(days.hold(day) for days in self.rollover)

    def blackout_at(self, moment: datetime, connector: str) -> str | None:
        """Name of a window that covers this moment for the connector; None when there is none."""
        zone = ZoneInfo(self.time_zone)
        for window in self.blackouts:
            if _concerns(window.connectors, connector) and _moment(window.begins, zone) <= moment < _moment(
                window.ends, zone
            ):
                return window.name
        local = moment.astimezone(zone)
        for weekly in self.weekly_blackouts:
            if _concerns(weekly.connectors, connector) and _covers(weekly, local):
                return weekly.name
        return None


def _concerns(connectors: Connectors, connector: str) -> bool:
    return connectors == "all" or connector in connectors


def _moment(given: datetime, zone: ZoneInfo) -> datetime:
    return (given if given.tzinfo is not None else given.replace(tzinfo=zone)).astimezone(UTC)


def _covers(weekly: WeeklyBlackout, local: datetime) -> bool:
    at = local.time()
    today, yesterday = _WEEKDAYS[local.weekday()], _WEEKDAYS[(local - timedelta(days=1)).weekday()]
    if weekly.begins < weekly.ends:
        return today in weekly.weekdays and weekly.begins <= at < weekly.ends
    return (today in weekly.weekdays and at >= weekly.begins) or (yesterday in weekly.weekdays and at < weekly.ends)

"""One district as Aeries holds it: its school years, its change log and its own clock.

The change log is what the change feeds answer from: what was touched and when, in naive local time as the database
keeps it, so the hour that repeats in autumn is ambiguous here too (README rule A28). Deletions leave no trace in it.
"""

import gc
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from simulators.aeries_api.years import SchoolYear
from simulators.kit.violations import Violations

CHANGES_MAX = 1_000_000
YEARS_MAX = 20
FEEDS: dict[str, tuple[str, ...]] = {
    "student": ("StudentID",),
    "contact": ("StudentID",),
    "program": ("StudentID",),
    "test": ("StudentID",),
    "class": ("StudentID",),
    "enrollment": ("StudentID",),
    "staff": ("ID",),
    "course": ("ID",),
    "section": ("SchoolCode", "SectionNumber"),
    "roster": ("SchoolCode", "SectionNumber"),
}
"""The keys that each area of the change log is read by."""
_TOP = {"system", "defaultYear", "years", "changes", "violations"}
_SYSTEM = {
    "AeriesVersion": "9.24.8.7",
    "LocalTimeZoneName": "(UTC-08:00) Pacific Time (US & Canada)",
    "TimeZone": "America/Los_Angeles",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something was touched."""

    area: str
    at: datetime
    """Naive, in the server's local time."""
    keys: tuple[int | str, ...]


class District:
    """All state of one simulated Aeries."""

    def __init__(self, *, system: dict[str, str], default_year: int, years: dict[int, SchoolYear]) -> None:
        self.system = system
        self.zone = ZoneInfo(system["TimeZone"])
        self.default_year = default_year
        self.years = years
        self._changes: deque[Change] = deque(maxlen=CHANGES_MAX)
        self.violations = Violations()

    @classmethod
    def from_document(cls, document: Any) -> Self:
        """Build the state from a seed or a saved state; `ValueError` names place, value and rule."""
        if not isinstance(document, dict) or not document.keys() <= _TOP:
            raise ValueError(f"state: an object with {', '.join(sorted(_TOP))}, and nothing else")
        years_document = document.get("years")
        if not isinstance(years_document, dict) or not 1 <= len(years_document) <= YEARS_MAX:
            raise ValueError(f"years: an object of 1 to {YEARS_MAX} years, each under its start year")
        years: dict[int, SchoolYear] = {}
        with _collector_paused():
            for text, year_document in years_document.items():
                if not (isinstance(text, str) and text.isascii() and text.isdigit() and len(text) == 4):
                    raise ValueError(f"years: {str(text)[:20]!r} is not a start year of four digits")
                years[int(text)] = SchoolYear.from_document(year_document, place=f"years.{text}")
        default_year = document.get("defaultYear", max(years))
        if default_year not in years:
            raise ValueError(f"defaultYear: {default_year!r} is not one of the years {sorted(years)}")
        district = cls(system=_checked_system(document.get("system", {})), default_year=default_year, years=years)
        for position, item in enumerate(document.get("changes", [])):
            district._changes.append(_checked_change(item, place=f"changes[{position}]"))
        district.violations = Violations.from_document(document.get("violations", []))
        return district

    def document(self) -> dict[str, Any]:
        """Describe the whole state; `from_document` reads it back."""
        return {
            "system": self.system,
            "defaultYear": self.default_year,
            "years": {str(year): world.document() for year, world in sorted(self.years.items())},
            "changes": [
                {
                    "Area": change.area,
                    "At": change.at.isoformat(),
                    "Keys": dict(zip(FEEDS[change.area], change.keys, strict=True)),
                }
                for change in self._changes
            ],
            "violations": self.violations.document(),
        }

    def local(self, now: datetime) -> datetime:
        """The moment in the server's time zone."""
        return now.astimezone(self.zone)

    def touch(self, area: str, *keys: int | str, now: datetime) -> None:
        """Log that something was inserted or updated."""
        self._changes.append(Change(area=area, at=self.local(now).replace(tzinfo=None), keys=keys))

    def changed_since(self, area: str, since: datetime) -> list[dict[str, int | str]]:
        """List the keys touched at or after a naive local time, each once, in the order they were first touched."""
        keys = dict.fromkeys(change.keys for change in self._changes if change.area == area and change.at >= since)
        return [dict(zip(FEEDS[area], values, strict=True)) for values in keys]


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause the search for cycles: a million rows have none, and looking for them doubles the time to load them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _checked_system(document: Any) -> dict[str, str]:
    if not isinstance(document, dict) or not document.keys() <= _SYSTEM.keys():
        raise ValueError(f"system: an object with {', '.join(_SYSTEM)}, and nothing else")
    system = _SYSTEM | document
    for name, value in system.items():
        if not isinstance(value, str):
            raise ValueError(f"system.{name}: {value!r} is not text")
    try:
        ZoneInfo(system["TimeZone"])
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"system.TimeZone: {system['TimeZone']!r} is no zone of the time zone database") from error
    return system


def _checked_change(item: Any, *, place: str) -> Change:
    match item:
        case {"Area": str(area), "At": str(at), "Keys": Mapping() as keys} if area in FEEDS and len(item) == 3:
            try:
                moment = datetime.fromisoformat(at)
            except ValueError as error:
                raise ValueError(f"{place}.At: {at!r} is no time") from error
            if moment.tzinfo is None and tuple(keys) == FEEDS[area]:
                return Change(area=area, at=moment, keys=tuple(keys.values()))
    raise ValueError(
        f"{place}: needs Area (one of {', '.join(FEEDS)}), At (naive local time) and Keys (those of the area, in order)"
    )

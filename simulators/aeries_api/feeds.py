"""The change feeds: which keys were touched since a local time that stands in the path (README rules A27, A28).

They return keys only, know no deletion, and compare naive local times as the database keeps them.
"""

from datetime import datetime

from simulators.aeries_api.asking import Asked, Refused, number
from simulators.aeries_api.finding import Listing

_AREA_OF = {
    "student": "Student Data",
    "contact": "Contact Data",
    "program": "Program Data",
    "test": "Test Data",
    "class": "Class Schedule Data",
    "enrollment": "Enrollment History",
    "staff": "Staff Data",
    "course": "Course Data",
    "section": "Master Schedule Data",
    "roster": "Class Schedule Data",
}


def find_changes(asked: Asked) -> Listing | None:
    """Find what a change feed answers; None when the path is no feed."""
    match asked.words:
        case ("studentdatachanges", area, *when) if area in _AREA_OF and area not in _OTHERS.values():
            return _listing(asked, area=area, when=when)
        case (word, *when) if word in _OTHERS:
            return _listing(asked, area=_OTHERS[word], when=when)
    return None


_OTHERS = {
    "staffdatachanges": "staff",
    "coursedatachanges": "course",
    "sectiondatachanges": "section",
    "sectionrosterdatachanges": "roster",
}


def _listing(asked: Asked, *, area: str, when: list[str]) -> Listing:
    if len(when) != 5:
        asked.note("A27", "a change feed needs year, month, day, hour and minute")
        raise Refused(404, "No HTTP resource was found that matches the request URI.")
    try:
        year, month, day, hour, minute = (number(text, name="date part") for text in when)
        since = datetime(year, month, day, hour, minute)  # noqa: DTZ001 - the vendor's times are naive
    except (ValueError, OverflowError) as error:
        asked.note("A27", "the date in the path does not exist; hours go from 0 to 23")
        raise Refused(400, "The request is invalid: the date is not valid.") from error
    rows = [dict(row) for row in asked.district.changed_since(area, since)]
    return Listing(area=_AREA_OF[area], collection=f"changes/{area}", shape=None, rows=rows)

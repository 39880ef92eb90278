"""One request as the readers and writers see it: its path, its query by any case, and a way to note a violation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from simulators.aeries_api.district import District
from simulators.aeries_api.switches import AeriesSwitches
from simulators.aeries_api.years import SchoolYear

Note = Callable[[str, str], None]


class Refused(Exception):
    """The vendor says no."""

    def __init__(self, status: int, message: str, *, area: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.area = area
        """The area of permission that the missing record would be in; None where there is none to say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request after its virtual directory and version were taken off."""

    method: str
    path: tuple[str, ...]
    """The parts after the version, as they were sent."""
    query: Mapping[str, str]
    """Names in lower case, because the vendor's framework does not tell cases apart."""
    district: District
    year: SchoolYear
    year_number: int
    switches: AeriesSwitches
    now: datetime
    note: Note
    """Takes a rule number and a text when the request breaks a documented rule."""
    body: Mapping[str, Any] = field(default_factory=dict)
    denied: frozenset[str] = frozenset()
    """Fields that the certificate may not write; what a body says of them is ignored."""

    @property
    def words(self) -> tuple[str, ...]:
        """The parts in lower case, to match against."""
        return tuple(part.lower() for part in self.path)


def number(text: str, *, name: str) -> int:
    """Read a whole number out of a path; `Refused` as the framework does when a part is none."""
    digits = text[1:] if text.startswith("-") else text
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10):
        raise Refused(400, f"The request is invalid: {name} is not a number.")
    return int(text)

"""What a read finds: one record or many, with the area of permission they belong to; and a record that is not there."""

from collections.abc import Sequence
from dataclasses import dataclass

from simulators.aeries_api.asking import Refused
from simulators.aeries_api.fields import Row, Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """An answer of many."""

    area: str
    collection: str
    """What the list is of, for the paging faults."""
    shape: Shape | None
    """None for rows that are shown as they are."""
    rows: Sequence[Row]
    start: int = 0
    """Position of the first row asked for, from 0."""
    stop: int | None = None
    """Position after the last row asked for; None for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Single:
    """An answer of one."""

    area: str
    shape: Shape
    row: Row


Found = Listing | Single


def there(row: Row | None, *, area: str) -> Row:
    """Return the record, or refuse with 404 as soon as the caller may know it."""
    if row is None:
        raise Refused(404, "The requested record was not found.", area=area)
    return row

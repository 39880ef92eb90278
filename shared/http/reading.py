"""One complete read of one entity over HTTP: pages made of what a system fetched, and tests that they fit together.

A system that walks through its lists by itself hands its pages here one by one; a record that comes twice, more pages
than allowed or a reading that is iterated twice are noticed for it. Whatever else a system knows of its lists (a total
that moves, an order) it watches itself: see `paging`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from shared.errors import AetherError, NeedsPerson, StopRun, TryLater
from shared.http.rows import Rows
from shared.ports.system import Column, ExpectedRows, Finding, Page

_DTYPES: Final[Mapping[str, pl.DataType]] = {
    "text": pl.String(),
    "boolean": pl.Boolean(),
    "integer": pl.Int64(),
    "decimal": pl.Float64(),
    "date": pl.String(),
    "datetime": pl.String(),
}


def schema_of(columns: Sequence[Column]) -> dict[str, pl.DataType]:
    """The types that the columns have in a page."""
    return {column.name: _DTYPES[column.kind] for column in columns}


@dataclass(frozen=True)
class Fetched:
    """One page as a system has read it."""

    rows: Rows
    sha256: str
    """Hex digest of what was received."""
    resume_point: str | None = None
    """See `shared.ports.system.Page.resume_point`."""


class PagedReading:
    """A reading made of fetched pages; see `shared.ports.system.Reading`."""

    def __init__(
        self,
        entity: str,
        *,
        columns: Sequence[Column],
        key: Sequence[str],
        pages: Callable[[], AsyncIterator[Fetched]],
        total: Callable[[], ExpectedRows | None],
        pages_max: int,
        first_number: int = 1,
    ) -> None:
        """`pages` walks through the entity from its beginning; `total` says afterwards how many there are.

        `key` names the columns that tell records apart; a record that comes twice ends the reading.
        """
        self._entity = entity
        self._schema = schema_of(columns)
        self._key = tuple(key)
        self._pages = pages
        self._total = total
        self._pages_max = pages_max
        self._first_number = first_number
        self._is_started = False
        self._expected: ExpectedRows | None = None
        self._seen: set[tuple[object, ...]] = set()
        self.unknown_fields: dict[str, int] = {}
        """Names in the records that no column is made of, and how often they came."""

    @property
    def expected(self) -> ExpectedRows | None:
        """What the other side says the total is; None until the last page, and when it does not say."""
        return self._expected

    def __aiter__(self) -> AsyncIterator[Page]:
        """The pages, in the order of the list; at least one, which is empty when there are no records."""
        if self._is_started:
            raise RuntimeError("a reading is iterated once; ask the source for a new one")
        self._is_started = True
        return self._walk()

    async def _walk(self) -> AsyncIterator[Page]:
        number = came = self._first_number - 1
        async for fetched in self._pages():
            if came >= self._pages_max:
                raise StopRun(
                    "SRC_INCOMPLETE",
                    f"entity {self._entity}: not at its end after {came} pages (pages_max)",
                    entity=self._entity,
                )
            came += 1  # empty ones as well: a list may go on for ever without any record
            if not fetched.rows.length and number >= self._first_number:
                continue  # an empty page behind others says only that they were all
            number += 1
            keys = list(zip(*(fetched.rows.columns[name] for name in self._key), strict=True))
            self._require_new(keys)
            for name, count in fetched.rows.unknown_fields.items():
                self.unknown_fields[name] = self.unknown_fields.get(name, 0) + count
            yield Page(
                number=number,
                rows=pl.DataFrame({name: fetched.rows.columns[name] for name in self._schema}, schema=self._schema),
                first_cursor=_cursor(keys[0]) if keys else "",
                last_cursor=_cursor(keys[-1]) if keys else "",
                sha256=fetched.sha256,
                resume_point=fetched.resume_point,
            )
        self._expected = self._total()

    def _require_new(self, keys: Sequence[tuple[object, ...]]) -> None:
        before = len(self._seen)
        self._seen.update(keys)
        twice = before + len(keys) - len(self._seen)
        if twice:
            raise StopRun(
                "SRC_UNSTABLE",
                f"entity {self._entity}: {twice} records came twice; the list moved while it was read, or the other "
                f"side has several records of one {', '.join(self._key)}; read it anew",
                entity=self._entity,
            )


def subject_of(error: AetherError) -> str:
    """What an error of a first request tells about: the word for a line of `check`."""
    match error:
        case TryLater():
            return "network"
        case NeedsPerson() if error.facts.get("status") == 403 or error.facts.get("is_permission"):
            return "permission"
        case NeedsPerson() if error.failure.category == "auth":
            return "authentication"
        case NeedsPerson():
            return "settings"
        case _:
            return "shape"


def finding_of(error: AetherError, *, entity: str | None = None) -> Finding:
    """A line of `check` about an error."""
    text = error.message if entity is None else f"entity {entity}: {error.message}"
    return Finding(subject_of(error), False, text)


def _cursor(key: tuple[object, ...]) -> str:
    return "/".join(map(str, key))

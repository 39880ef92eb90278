"""Which items of a list an offset-limit request gets, honestly or under the two paging faults.

Pure arithmetic over positions; it never sees an item. A short page is remembered per collection, because the loss only
counts when the later pages do not bring the missing items after all.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A well-formed list request, and the length of the list it asks of."""

    collection: str
    offset: int
    limit: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gap:
    """Items that a short page left out: `missing` of them, on a page that was asked for at `origin`."""

    origin: int
    missing: int


class Windows:
    """The slice of a collection each page serves."""

    def __init__(self) -> None:
        self._gaps: dict[str, _Gap] = {}  # bounded by the number of collections

    def honest(self, page: Page) -> slice:
        """Serve what was asked for, unless an earlier short page of this walk has shifted the offsets.

        A walk ends, and its gap with it, when an offset at or before the short page is asked for again.
        """
        gap = self._gaps.get(page.collection)
        if gap is not None and page.offset <= gap.origin:
            del self._gaps[page.collection]
            gap = None
        start = page.offset + (gap.missing if gap is not None else 0)
        return slice(start, start + page.limit)

    def short(self, page: Page, *, items_missing: int) -> slice:
        """Leave the last items out of this page, and out of every later page of the walk."""
        window = self.honest(page)
        served = max(0, min(window.stop, page.total) - window.start)
        missing = min(items_missing, served)
        shifted_before = window.start - page.offset
        self._gaps[page.collection] = _Gap(origin=page.offset, missing=missing + shifted_before)
        return slice(window.start, window.start + served - missing)

    def repeated(self, page: Page) -> slice:
        """Serve the page before the one asked for."""
        window = self.honest(page)
        start = max(0, window.start - page.limit)
        return slice(start, start + page.limit)

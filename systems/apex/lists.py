"""Walking through Apex's lists: page by page by number, and every page tested against those before it.

A list tells how many pages it has and nothing else, neither how many records nor an order. So its number of pages must
stand still, every page but the last must be as long as the first, and no more than the first. Behind a last page that
is as long, another one is asked for: a number that is too low would hide it. What these cannot show (a last page cut
short, a record that slipped from one page to another) only a second walk can: see `source`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

from shared.errors import NeedsPerson, StopRun
from shared.http.paging import Ahead
from shared.http.patience import patiently
from shared.http.shape import WrongShape
from shared.ports.pacing import Use
from shared.ports.surroundings import Surroundings
from shared.ports.wire import Value
from systems.apex.answers import enrollment_in, is_withdrawn
from systems.apex.client import ApexClient, ListPage
from systems.apex.wire import escaped

NO_SUCH_PAGE: Final = frozenset({400, 404})
ALL_CLASSROOMS: Final[Mapping[str, str]] = {"isActiveOnly": "false"}


async def people_pages(
    client: ApexClient, kind: str, *, surroundings: Surroundings, in_flight: int, pages_max: int, looks_behind: bool
) -> AsyncIterator[ListPage]:
    """The pages of students or staff, in their order; `StopRun` at the first sign that they are not whole.

    `looks_behind`: whether a page is asked for behind a last one that is as long as the first.
    """

    async def ask(index: int) -> ListPage:
        return await patiently(lambda: client.page(f"/{kind}", index + 1, use="SRC"), surroundings=surroundings)

    async def is_more_behind() -> bool:
        try:
            page = await client.page(f"/{kind}", index + 1, use="SRC", may_be_missing=True)
        except (NeedsPerson, StopRun) as error:
            # How a page is answered that there is not is not known for certain; a refusal says that there is none.
            if error.facts.get("status") not in NO_SUCH_PAGE:
                raise
            return False
        return bool(page.items)

    ahead = Ahead(ask, limit=1, in_flight=in_flight)
    watch = _Watch(kind, pages_max=pages_max)
    index = 0
    try:
        while not watch.is_at_end:
            page = await ahead.page_at(index)
            watch.see(page)
            index += 1
            ahead.look_ahead(index, total=watch.pages)
            yield page
        is_in_doubt = looks_behind and watch.is_last_page_full
        if is_in_doubt and await patiently(is_more_behind, surroundings=surroundings):
            text = f"entity {kind}: {watch.pages} pages, it says, and page {index + 1} holds records; read it anew"
            raise StopRun("SRC_UNSTABLE", text, entity=kind)
    finally:
        await ahead.leave()


@dataclass(frozen=True)
class Enrollments:
    """Where one student is enrolled, but for what was withdrawn."""

    records: list[dict[str, Value]]
    classroom_ids: frozenset[str]
    """Every classroom that was told of, also where the enrolment is over."""
    digests: tuple[str, ...]
    """Of the pages."""


async def enrollments_of(client: ApexClient, user_id: str, *, use: Use, pages_max: int) -> Enrollments:
    """All pages of one student's classrooms; `WrongShape` for a row that is not as known."""
    path = f"/students/{escaped(user_id)}/classrooms"
    watch = _Watch("enrollments", pages_max=pages_max, use=use)
    records: list[dict[str, Value]] = []
    digests: list[str] = []
    while not watch.is_at_end:
        page = await client.page(path, len(digests) + 1, use=use, query=ALL_CLASSROOMS, may_be_missing=True)
        watch.see(page)
        digests.append(page.sha256)
        records += [enrollment_in(item, user_id, pointer=f"/{index}") for index, item in enumerate(page.items)]
    keys = [record["target_id"] for record in records]
    if len(set(keys)) < len(keys):
        raise WrongShape("", "names a classroom twice for one student")
    return Enrollments(
        [record for record in records if not is_withdrawn(record)],
        frozenset(str(record["import_classroom_id"]) for record in records),
        tuple(digests),
    )


class _Watch:
    """Tests each page of one list against all before it."""

    def __init__(self, entity: str, *, pages_max: int, use: Use = "SRC") -> None:
        self.pages = 0
        """As the list tells."""
        self.is_at_end = False
        self.is_last_page_full = False
        """Whether the last page was as long as the first, so that another one may lie behind it."""
        self._entity = entity
        self._pages_max = pages_max
        self._code = "SRC_UNSTABLE" if use == "SRC" else "APL_WRONG_SHAPE"
        self._seen = 0
        self._length = 0

    def see(self, page: ListPage) -> None:
        """`StopRun` at the first sign that the list is not whole or did not stand still."""
        number = self._seen + 1
        if page.items and not page.pages:
            raise self._broken(f"page {number} holds {len(page.items)} records, and there are no pages, it says")
        if not self._seen:
            self.pages, self._length = max(page.pages, 1), len(page.items)
        if max(page.pages, 1) != self.pages:
            raise self._broken(f"the number of pages moved from {self.pages} to {page.pages} while it was read")
        if self.pages > self._pages_max:
            raise StopRun(
                "SRC_INCOMPLETE",
                f"entity {self._entity}: {self.pages} pages, allowed {self._pages_max} (pages_max)",
                entity=self._entity,
            )
        is_last = number == self.pages
        if len(page.items) > self._length or (len(page.items) < self._length and not is_last):
            raise self._broken(f"page {number} of {self.pages} holds {len(page.items)}, the first one {self._length}")
        if not page.items and number > 1:
            raise self._broken(f"page {number} of {self.pages} is empty")
        self._seen, self.is_at_end = number, is_last
        self.is_last_page_full = is_last and 0 < self._length == len(page.items)

    def _broken(self, text: str) -> StopRun:
        return StopRun(self._code, f"entity {self._entity}: {text}; read it anew", entity=self._entity)

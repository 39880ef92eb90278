"""How lists are cut into pages: the clauses of the interface document. What follows from them is `reading`'s work."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from systems.http.fields import Part

LIMIT_MAX = 10_000
"""Records of one page that an interface may allow."""

Pointer = Annotated[str, Field(pattern=r"^(/[^/]+)*$", max_length=200)]
"""A JSON pointer (RFC 6901) through objects; empty: the whole answer."""
QueryName = Annotated[str, Field(min_length=1, max_length=60)]


class _List(Part):
    items: Pointer = "/items"
    """Where the records stand; empty: the answer is the list itself."""
    total: Pointer | None = None
    """Where the number of all records stands, if the other side tells it."""
    total_header: str | None = Field(default=None, max_length=100)
    """The header that tells the number of all records, if one does."""

    @property
    def tells_total(self) -> bool:
        """Whether a total comes with every page."""
        return self.total is not None or self.total_header is not None

    @model_validator(mode="after")
    def _has_room(self) -> _List:
        if self.total is not None and self.total_header is not None:
            raise ValueError("the total stands at one place; leave out total or total_header")
        if self.items == "" and self.total is not None:
            raise ValueError("an answer that is the list itself has no room for a total; leave total out")
        return self


class _Cut(_List):
    limit: QueryName
    """Query parameter for the number of records on a page."""
    limit_max: int = Field(ge=1, le=LIMIT_MAX)
    """The largest page that the interface allows."""


class NoPaging(_List):
    """The whole list comes in one answer. That it is whole is what this clause claims."""

    kind: Literal["none"]
    """The word that chooses it."""


class OffsetPaging(_Cut):
    """Pages by the number of records before them."""

    kind: Literal["offset_limit"]
    """The word that chooses it."""
    offset: QueryName
    """Query parameter for the number of records before the page."""
    ordered_by: Literal["first_field"] | None = None
    """The list ascends by the entity's first field. With a total, such a list is tested for standing still, asked for
    several pages ahead, and can be taken up where another process left it. Without a total, each page is asked for
    with the last record of the page before, to see that nothing has shifted."""

    @model_validator(mode="after")
    def _can_overlap(self) -> OffsetPaging:
        if not self.tells_total and self.limit_max < 2:
            raise ValueError("limit_max must be 2 or more where no total is told: pages have to overlap")
        return self


class NumberPaging(_Cut):
    """Pages by their number."""

    kind: Literal["page_number"]
    """The word that chooses it."""
    page: QueryName
    """Query parameter for the number of the page."""
    first: Literal[0, 1] = 1
    """The number of the first page."""
    ordered_by: Literal["first_field"] | None = None
    """As for `offset_limit`."""


class CursorPaging(_Cut):
    """Each page tells where the next one begins."""

    kind: Literal["cursor"]
    """The word that chooses it."""
    cursor: QueryName
    """Query parameter for what the page before told."""
    next: Pointer
    """Where an answer tells it; nothing, null or blank text there means that this page is the last."""


class LinkPaging(_Cut):
    """Each page names the next one in the header `Link` (RFC 8288, `rel="next"`); without one it is the last.

    Only the query of the link is followed; host and path stay ours.
    """

    kind: Literal["link_header"]
    """The word that chooses it."""


class HeaderPaging(_Cut):
    """The number of the page stands in a header of the request, the number of pages in one of the answer."""

    kind: Literal["page_header"]
    """The word that chooses it."""
    page_header: str = Field(min_length=1, max_length=100)
    """Header of the request; the first page is 1."""
    pages_header: str = Field(min_length=1, max_length=100)
    """Header of the answer."""


Paging = Annotated[
    NoPaging | OffsetPaging | NumberPaging | CursorPaging | LinkPaging | HeaderPaging, Field(discriminator="kind")
]

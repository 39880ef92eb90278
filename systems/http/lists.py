"""Asks for one page of one list, patiently, and reads it as the interface document describes it.

It knows neither how pages follow each other (`walks`, `steady`) nor what becomes of their rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from shared.errors import StopRun
from shared.http.patience import patiently
from shared.http.rows import Rows
from shared.http.shape import Json, WrongShape
from shared.ports.surroundings import Surroundings
from systems.http.client import Answer, HttpClient, QueryValues
from systems.http.description import HttpInterface
from systems.http.wire import entity_of, page_of

_DIGITS_MAX = 15


@dataclass(frozen=True)
class ListPage:
    """One page as it came."""

    rows: Rows
    total: int | None
    """How many records the other side says there are in all; None where its description promises no total."""
    sha256: str
    headers: Mapping[str, str]
    body: Json


class Lister:
    """The list of one entity."""

    def __init__(self, entity: str, *, http: HttpInterface, client: HttpClient, surroundings: Surroundings) -> None:
        self.entity = entity
        self.described = entity_of(http, entity)
        self.paging = http.paging_of(self.described)
        self._http = http
        self._client = client
        self._surroundings = surroundings

    async def page(self, query: QueryValues, *, headers: Mapping[str, str] | None = None) -> ListPage:
        """The page that these query parameters ask for; `StopRun` for an answer of another shape."""
        return self._read(await patiently(lambda: self._asked(query, headers), surroundings=self._surroundings))

    async def first(self, query: QueryValues, *, headers: Mapping[str, str] | None = None) -> ListPage:
        """The same, asked for once: for `check`, which tells what it meets."""
        return self._read(await self._asked(query, headers))

    def broken(self, text: str, code: str = "SRC_UNSTABLE") -> StopRun:
        """The error for a list that is not what it should be."""
        advice = "read it anew" if code == "SRC_UNSTABLE" else "compare it with the interface document"
        return StopRun(code, f"entity {self.entity}: {text}; {advice}", entity=self.entity)

    async def _asked(self, query: QueryValues, headers: Mapping[str, str] | None) -> Answer | None:
        asked = self.described.list
        return await self._client.get(
            self._http.base_path + asked.path, use="SRC", query={**asked.query, **query}, headers=headers
        )

    def _read(self, answer: Answer | None) -> ListPage:
        if answer is None:
            raise StopRun(
                "SRC_WRONG_SHAPE",
                f"entity {self.entity}: there is no such list; check base_url and the parameters",
                entity=self.entity,
            )
        try:
            page = page_of(answer.body, http=self._http, entity=self.entity)
            total = page.total if self.paging.total_header is None else self._total_in(answer.headers)
        except WrongShape as wrong:
            raise StopRun(
                "SRC_WRONG_SHAPE",
                f"entity {self.entity}: {wrong}; compare it with the interface document",
                entity=self.entity,
                pointer=wrong.pointer,
            ) from None
        return ListPage(page.rows, total, answer.sha256, answer.headers, answer.body)

    def _total_in(self, headers: Mapping[str, str]) -> int:
        name = self.paging.total_header or ""
        number = whole_number(headers.get(name))
        if number is None:
            raise WrongShape(f"header {name}", "is no number of records")
        return number


def whole_number(text: str | None) -> int | None:
    """The number in a header; None when it is none."""
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX else None


def digest_of(*pages: ListPage) -> str:
    """One digest for several answers."""
    return hashlib.sha256("".join(page.sha256 for page in pages).encode()).hexdigest()

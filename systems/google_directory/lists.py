"""Walking through one list of Google's directory, page by page, and proving that it was the whole list.

The directory tells no total. A list of users or groups is therefore walked twice: once in the order of addresses, and
once in the opposite order for the ids alone. Both must have seen the same ids: a page that was cut short, or a record
that came or went meanwhile, is in one of them only. A group says how many members it has. All units come in one answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Final, Literal

import orjson

from shared.errors import NeedsPerson, StopRun
from shared.http.patience import patiently
from shared.http.shape import Json, WrongShape
from shared.ports.surroundings import Surroundings
from systems.google_directory.client import GoogleDirectoryClient
from systems.google_directory.config import GoogleDirectoryConfig
from systems.google_directory.entities import CUSTOMER, GROUPS, MEMBERS, ORG_UNITS, GoogleEntity, entity_of
from systems.google_directory.records import GroupSeen, ListPage, id_in, membership, page_of
from systems.google_directory.wire import list_path

Order = Literal["ASCENDING", "DESCENDING"]
BOTH_WAYS: Final = "ids of a second walk in the opposite order"


class Lister:
    """Lists of one account."""

    def __init__(
        self, client: GoogleDirectoryClient, *, config: GoogleDirectoryConfig, surroundings: Surroundings
    ) -> None:
        self._client = client
        self._config = config
        self._surroundings = surroundings

    async def first(self, entity: str, *, group: str | None = None) -> ListPage:
        """The first record of a list, or none: asked for once."""
        described = entity_of(entity)
        query = self._query(described, described.list_mask, order="ASCENDING")
        query = {**query, "type": "children"} if entity == ORG_UNITS else {**query, "maxResults": 1}
        return await self._page(described, list_path(entity, group=group), query)

    async def pages(
        self, entity: str, *, order: Order = "ASCENDING", mask: str | None = None, group: GroupSeen | None = None
    ) -> AsyncIterator[Sequence[Json]]:
        """The records of each page of a list, to its end; at least one page."""
        described = entity_of(entity)
        path = list_path(entity, group=None if group is None else group.id)
        query = self._query(described, mask or described.list_mask, order=order)
        token: str | None = None
        for _ in range(self._config.pages_max):
            asked = query if token is None else {**query, "pageToken": token}
            page = await patiently(partial(self._page, described, path, asked), surroundings=self._surroundings)
            yield page.items
            if page.next_token is None:
                return
            if page.next_token == token:
                raise self._unstable(entity, "a page leads to itself")
            token = page.next_token
        raise StopRun(
            "SRC_INCOMPLETE",
            f"entity {entity}: not at its end after {self._config.pages_max} pages (pages_max)",
            entity=entity,
        )

    async def require_same(self, entity: str, ids: set[str]) -> None:
        """Walk the other way through the list; `StopRun` (SRC_UNSTABLE) unless it brings exactly these ids."""
        described = entity_of(entity)
        mask = f"kind,nextPageToken,{described.items}(id)"
        met = 0
        missing: set[str] = set(ids)
        strange = 0
        async for items in self.pages(entity, order="DESCENDING", mask=mask):
            for item in items:
                found = id_at(entity, item)
                met += 1
                strange += found not in ids
                missing.discard(found)
        if strange or missing or met != len(ids):
            raise self._unstable(
                entity,
                f"{len(ids)} records came in one order and {met} in the opposite one, {len(missing)} and {strange} of "
                "them in that one alone",
            )

    async def members_of(self, group: GroupSeen) -> list[Json]:
        """The whole membership of one group, as records."""
        found: list[Json] = []
        async for items in self.pages(MEMBERS, group=group):
            try:
                found += [membership(item, group_id=group.id, group_email=group.email) for item in items]
            except WrongShape as wrong:
                raise wrong_shape(MEMBERS, wrong) from None
        if self._config.member_counts == "must_agree" and len(found) != group.members:
            raise StopRun(
                "SRC_UNSTABLE",
                f"entity {MEMBERS}: {len(found)} members are listed for a group that says it has {group.members}; read "
                "it anew, or set member_counts to ignored where that stays so",
                entity=MEMBERS,
            )
        return found

    async def _page(self, described: GoogleEntity, path: str, query: Mapping[str, str | int]) -> ListPage:
        body = await self._client.get(path, entity=described.name, use="SRC", query=query)
        if body is None:
            if described.name == MEMBERS:
                raise self._unstable(MEMBERS, "a group went while the members were read")
            raise NeedsPerson(
                "SRC_CONFIG", f"entity {described.name}: there is no such list; correct base_url or domain"
            )
        try:
            page = page_of(described, body)
        except WrongShape as wrong:
            raise wrong_shape(described.name, wrong) from None
        limit = query.get("maxResults")
        if isinstance(limit, int) and len(page.items) > limit:
            raise StopRun(
                "SRC_WRONG_SHAPE",
                f"entity {described.name}: a page of {len(page.items)} records where {limit} were asked for",
                entity=described.name,
            )
        return page

    def _query(self, described: GoogleEntity, mask: str, *, order: Order) -> dict[str, str | int]:
        query: dict[str, str | int] = {"fields": mask}
        if described.name == ORG_UNITS:
            return {**query, "type": "all"}
        query["maxResults"] = min(self._config.page_size, described.page_max)
        if described.name == MEMBERS:
            return query
        if described.name == GROUPS and self._config.group_prefix is not None:
            query["query"] = f"email:{self._config.group_prefix}*"
        return {**query, **self._whose(), "orderBy": "email", "sortOrder": order}

    def _whose(self) -> dict[str, str]:
        """Which users and groups there are for this connection."""
        return {"customer": CUSTOMER} if self._config.domain is None else {"domain": self._config.domain}

    def _unstable(self, entity: str, text: str) -> StopRun:
        return StopRun("SRC_UNSTABLE", f"entity {entity}: {text}; read it anew", entity=entity)


def id_at(entity: str, item: Json) -> str:
    """The id of a listed record; `StopRun` where there is none."""
    try:
        return id_in(item)
    except WrongShape as wrong:
        raise wrong_shape(entity, wrong) from None


def digest_of(items: Sequence[Json]) -> str:
    """Hex digest of a page's records. Not of the body: that holds a token which is another one each time."""
    return hashlib.sha256(orjson.dumps(list(items), option=orjson.OPT_SORT_KEYS)).hexdigest()


def wrong_shape(entity: str, wrong: WrongShape) -> StopRun:
    """The error for a list or a record that is not as agreed."""
    return StopRun("SRC_WRONG_SHAPE", f"entity {entity}: {wrong}", entity=entity, pointer=wrong.pointer)

"""Writes to Snipe-IT: shows one live record, sends one finished write. It chooses nothing and retries nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from shared.errors import OutcomeUnknown, StopRun, TargetMoved
from shared.http.shape import Json, WrongShape
from shared.ports.surroundings import Surroundings
from shared.ports.system import Column, Finding, Reading, Receipt
from shared.ports.wire import Record, WireWrite
from systems.snipeit.client import Answer, SnipeitClient
from systems.snipeit.config import PAGE_LIMIT_MAX, SnipeitConfig
from systems.snipeit.entities import BASE_PATH, CHECKOUTS, TARGET_ID, columns_of, entity_of
from systems.snipeit.records import row_of
from systems.snipeit.wire import list_path, meaning_of, record_path

if TYPE_CHECKING:  # reading lists needs a columnar engine, writing does not
    from systems.snipeit.source import SnipeitSource

_FILTERED_MAX: Final = 50
"""Records of one employee number that are looked at; each further one is a mistake already."""


def build_target(config: SnipeitConfig, surroundings: Surroundings) -> SnipeitTarget:
    """A target with the token that may write."""
    client = SnipeitClient(config, surroundings, may_write=True)
    return SnipeitTarget(config, client=client, surroundings=surroundings)


class SnipeitTarget:
    """Snipe-IT for reading and writing; see `shared.ports.system.Target`."""

    def __init__(self, config: SnipeitConfig, *, client: SnipeitClient, surroundings: Surroundings) -> None:
        self._config = config
        self._client = client
        self._surroundings = surroundings
        self._dialect = config.dialect

    def columns(self, entity: str) -> Sequence[Column]:
        """The columns of an entity."""
        return columns_of(entity)

    def read(self, entity: str) -> Reading:
        """A new reading; nothing is sent before it is iterated."""
        return self._source().read(entity)

    async def check(self) -> Sequence[Finding]:
        """As for a source; the right to write is not tried, for there is no harmless write."""
        return await self._source().check()

    async def close(self) -> None:
        """Gives connections back; may be called twice."""
        await self._client.close()

    async def fetch(self, entity: str, *, target_id: str | None, key: str | None) -> Record | None:
        """One live record by the target's id or, when that is None, by our key; None when there is none.

        `TargetMoved` when several records have the key: which of them is meant is for a person to say.
        """
        described = entity_of(entity)
        if target_id is not None:
            record = await self._at(entity, record_path(entity, target_id))
            if record is not None and record[TARGET_ID] != target_id:
                raise self._wrong(entity, WrongShape("/id", "is not that of the record asked for"))
            return record
        if key is None or not key.strip():
            # An empty filter is no filter: everybody would be shown.
            raise StopRun("APL_INTERNAL", f"entity {entity}: a record is asked for by neither id nor key")
        match described.found_by:
            case "filter":
                return await self._found(entity, key, {described.key: key}, limit=_FILTERED_MAX)
            case "search":
                return await self._found(entity, key, {"search": key}, limit=PAGE_LIMIT_MAX)
            case "tag":
                return await self._tagged(entity, key, tag=key)
            case "holder":
                return await self._tagged(entity, key, tag=key.rpartition("/")[0])
            case None:
                raise StopRun("APL_INTERNAL", f"entity {entity}: is only read and has no key of ours")

    async def write(self, write: WireWrite, *, idempotency_key: str) -> Receipt:
        """Sends one write once; Snipe-IT knows no key that would make a repetition harmless."""
        meant = meaning_of(write)
        if meant is None:
            raise StopRun("APL_INTERNAL", f"{write.method} of a plan is no write of this system; nothing was sent")
        answer = await self._client.send(write, entity=meant.entity)
        if meant.entity == CHECKOUTS or meant.verb == "delete":
            return Receipt(target_id=meant.target_id, status=answer.status)
        target_id = _id_of(answer)
        if target_id is None or (meant.target_id is not None and target_id != meant.target_id):
            raise OutcomeUnknown(
                "APL_UNKNOWN_OUTCOME",
                f"entity {meant.entity}: accepted, but the id in the answer is not that of the record written; "
                "read the record first",
                status=answer.status,
                is_wrong_shape=True,
            )
        return Receipt(target_id=target_id, status=answer.status)

    async def _tagged(self, entity: str, key: str, *, tag: str) -> Record | None:
        """The asset of a tag, or the checkout that it shows."""
        if not tag.strip():
            return None  # a key without a tag is the key of no checkout
        if "/" in tag or tag in (".", ".."):
            # No web server lets such a tag through in a path, however it is escaped.
            found = await self._found(entity, key, {"asset_tag": tag}, limit=_FILTERED_MAX)
            return found or await self._found(
                entity, key, {"asset_tag": tag, "status": "Archived"}, limit=_FILTERED_MAX
            )
        record = await self._at(entity, f"{BASE_PATH}/hardware/bytag/{quote(tag, safe='')}")
        # The tag is compared without regard to case there, and a checkout may be another person's by now.
        return record if record is not None and record[entity_of(entity).key] == key else None

    async def _found(self, entity: str, key: str, narrowed: dict[str, str], *, limit: int) -> Record | None:
        """The one record of a key among those that a filter or a search shows."""
        query: dict[str, str | int] = {"limit": limit, "offset": 0, "sort": "id", "order": "asc", **narrowed}
        answer = await self._client.get(list_path(entity), entity=entity, use="APL", query=query)
        rows = answer.body.get("rows") if answer is not None else None
        total = answer.body.get("total") if answer is not None else None
        if not isinstance(rows, list) or not isinstance(total, int):
            raise self._wrong(entity, WrongShape("/rows", "is no list with a total"))
        if total > len(rows):
            raise StopRun(
                "APL_WRONG_SHAPE",
                f"entity {entity}: {total} records answer to one key, and {len(rows)} were shown (limit {limit}); the "
                "filter may not be heeded by this release",
                entity=entity,
            )
        records = [record for item in rows if (record := self._record(entity, item)) is not None]
        same = [record for record in records if record[entity_of(entity).key] == key]
        if len(same) > 1:
            raise TargetMoved(
                "APL_CONFLICT",
                f"entity {entity}: {len(same)} records have one {entity_of(entity).key}; merge them in Snipe-IT",
                entity=entity,
                records=len(same),
            )
        return same[0] if same else None

    async def _at(self, entity: str, path: str) -> Record | None:
        answer = await self._client.get(path, entity=entity, use="APL")
        return None if answer is None else self._record(entity, answer.body)

    def _record(self, entity: str, item: Json) -> Record | None:
        try:
            return row_of(entity, item, dialect=self._dialect)
        except WrongShape as wrong:
            raise self._wrong(entity, wrong) from None

    def _wrong(self, entity: str, wrong: WrongShape) -> StopRun:
        return StopRun(
            "APL_WRONG_SHAPE",
            f"entity {entity}: {wrong}; compare the release of Snipe-IT with the README of this system",
            pointer=wrong.pointer,
        )

    def _source(self) -> SnipeitSource:
        from systems.snipeit.source import SnipeitSource

        return SnipeitSource(self._config, client=self._client, surroundings=self._surroundings)


def _id_of(answer: Answer) -> str | None:
    payload = answer.body.get("payload")
    found = payload.get("id") if isinstance(payload, dict) else None
    return str(found) if isinstance(found, int) and not isinstance(found, bool) and found > 0 else None

"""Writes staff to Aeries: shows one live record, sends one finished write. It chooses nothing and retries nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from shared.errors import OutcomeUnknown, RecordRefused, StopRun, TargetMoved
from shared.http.shape import Json, WrongShape
from shared.ports.surroundings import Surroundings
from shared.ports.system import Column, Finding, Reading, Receipt
from shared.ports.wire import Record, WireWrite
from systems.aeries_api import entities, wire
from systems.aeries_api.client import AeriesClient
from systems.aeries_api.config import API, AeriesApiConfig
from systems.aeries_api.year import YearGuard

if TYPE_CHECKING:  # reading lists needs a columnar engine, writing does not
    from systems.aeries_api.source import AeriesSource

_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")
"""Keys that can stand in a path: a web server may refuse others before Aeries sees them."""
_HR_ID: Final = "HumanResourcesSystemID"


def build_target(config: AeriesApiConfig, surroundings: Surroundings) -> AeriesTarget:
    """A target with the certificate that may write."""
    return AeriesTarget(config, surroundings, client=AeriesClient(config, surroundings, may_write=True))


class AeriesTarget:
    """One school year of one district, for reading and writing staff; see `shared.ports.system.Target`."""

    def __init__(self, config: AeriesApiConfig, surroundings: Surroundings, *, client: AeriesClient) -> None:
        self._config = config
        self._surroundings = surroundings
        self._client = client
        self._year = YearGuard(client, wanted=config.database_year, clock=surroundings.clock)

    def columns(self, entity: str) -> Sequence[Column]:
        """The columns of an entity."""
        return entities.columns_of(entity)

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
        """One live record by its number or, when that is None, by the HR system's id; None when there is none.

        `TargetMoved` when several have that id.
        """
        _require_staff(entity)
        if target_id is None and key is None:
            raise StopRun("APL_INTERNAL", f"entity {entity}: a record is asked for by neither id nor key")
        path = wire.staff_path(target_id) if target_id is not None else None
        await self._year.require_lately()
        if path is not None:
            record = self._one(await self._asked(path))
            if record is not None and record[entities.TARGET_ID] != target_id:
                raise _misshapen(WrongShape("/ID", "is not that of the record asked for"))
            return record
        return await self._by_key(str(key))

    async def write(self, write: WireWrite, *, idempotency_key: str) -> Receipt:
        """Sends one write once; Aeries takes no idempotency key."""
        target_id = wire.staff_id_in(write.path)
        is_ours = (write.method, write.path) == ("POST", wire.STAFF_PATH) or (write.method == "PUT" and target_id)
        if not is_ours or write.body is None:
            raise StopRun("APL_INTERNAL", f"{write.method} of a plan is no write of this system; nothing was sent")
        if names := wire.filtered_in(write.body):
            raise RecordRefused(
                "APL_REFUSED_RECORD",
                f"Aeries would take \", < or > out of {', '.join(names)}; correct the source or the contract's steps",
                fields=",".join(names),
            )
        await self._year.require_lately()
        answer = await self._client.send(write)
        try:
            written = wire.written_id_in(answer.body)
            if target_id is not None and written != target_id:
                raise WrongShape("/ID", "is not that of the record written")
        except WrongShape as wrong:
            raise OutcomeUnknown(
                "APL_UNKNOWN_OUTCOME",
                f"entity staff: accepted, but {wrong}; read the record first",
                status=answer.status,
                is_wrong_shape=True,
            ) from None
        return Receipt(target_id=written, status=answer.status)

    async def _by_key(self, key: str) -> Record | None:
        # The list is filtered rather than asked at /staff/hrid, which shows one of several that share the id.
        body = await self._asked("/staff", {_HR_ID: key})
        try:
            found = [wire.record_of(item, entities.STAFF) for item in wire.records_in(body)] if body is not None else []
        except WrongShape as wrong:
            raise _misshapen(wrong) from None
        found = [record for record in found if record["hr_id"] == key]  # the filter does not tell cases apart
        if len(found) > 1:
            text = f"{len(found)} members of staff have the HR system's id of this record; leave it with one of them"
            raise TargetMoved("APL_CONFLICT", text)
        if found or not _PLAIN_KEY.fullmatch(key):
            return found[0] if found else None
        # A district can have staff without a valid account left out of the list; here they are shown.
        record = self._one(await self._asked(f"/staff/hrid/{key}"))
        return record if record is not None and record["hr_id"] == key else None

    async def _asked(self, path: str, query: dict[str, str | int] | None = None) -> Json | None:
        path = path if path.startswith(API) else API + path
        answer = await self._client.get(path, use="APL", area="staff", query=query)
        return None if answer is None else answer.body

    def _one(self, body: Json | None) -> Record | None:
        """The one record of an answer, object or array of one; None for no answer and for an empty array."""
        items = [] if body is None else wire.records_in(body)
        try:
            if len(items) > 1:
                raise WrongShape("", f"holds {len(items)} records where one was asked for")
            return wire.record_of(items[0], entities.STAFF) if items else None
        except WrongShape as wrong:
            raise _misshapen(wrong) from None

    def _source(self) -> AeriesSource:
        from systems.aeries_api.source import AeriesSource

        return AeriesSource(self._config, self._surroundings, client=self._client)


def _require_staff(entity: str) -> None:
    if entities.entity_of(entity) is not entities.STAFF:
        raise StopRun("APL_INTERNAL", f"entity {entity}: cannot be written, and is not shown one by one; only staff is")


def _misshapen(wrong: WrongShape) -> StopRun:
    text = f"entity staff: {wrong}; compare it with the vendor's document"
    return StopRun("APL_WRONG_SHAPE", text, pointer=wrong.pointer)

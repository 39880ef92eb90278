"""Writes to Apex: shows one live record, sends one finished write. It chooses nothing and retries nothing.

Creates and enrolments wait a moment for others to go with them (`creates`); everything else goes out by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.errors import OutcomeUnknown, RecordRefused, StopRun
from shared.http.shape import WrongShape
from shared.ports.surroundings import Surroundings
from shared.ports.system import Column, Finding, Reading, Receipt
from shared.ports.wire import Record, WireWrite
from systems.apex.answers import (
    classroom_of,
    meaning_of,
    memberships_of_detail,
)
from systems.apex.client import ApexClient, moved, no_room, refused
from systems.apex.config import ApexConfig
from systems.apex.creates import Creates, Item
from systems.apex.fields import PEOPLE, TARGET_ID, columns_of, enrollment_of, membership_of
from systems.apex.lists import enrollments_of
from systems.apex.wire import ARCHIVE_ORG, Matched, escaped, write_at

if TYPE_CHECKING:  # reading lists needs a columnar engine, writing does not
    from systems.apex.source import ApexSource


def build_target(config: ApexConfig, surroundings: Surroundings) -> ApexTarget:
    """A target with the client that may write."""
    return ApexTarget(config, ApexClient(config, surroundings, may_write=True), surroundings)


class ApexTarget:
    """Apex for reading and writing; see `shared.ports.system.Target`."""

    def __init__(self, config: ApexConfig, client: ApexClient, surroundings: Surroundings) -> None:
        self._config = config
        self._client = client
        self._surroundings = surroundings
        self._creates = {
            place: Creates(place, client, config, surroundings) for place in (*PEOPLE, "classrooms", "enrollments")
        }

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
        """Gives connections back, behind the creates that are under way; may be called twice."""
        for creates in self._creates.values():
            await creates.close()
        await self._client.close()

    async def fetch(self, entity: str, *, target_id: str | None, key: str | None) -> Record | None:
        """One live record; its id and our key are the same text. None when there is none."""
        columns_of(entity)
        wanted = key if target_id is None else target_id
        if wanted is None:
            raise StopRun("APL_INTERNAL", f"entity {entity}: a record is asked for by neither id nor key")
        try:
            if entity in PEOPLE:
                return await self._membership(entity, wanted)
            return await (self._classroom(wanted) if entity == "classrooms" else self._enrollment(wanted))
        except WrongShape as wrong:
            raise StopRun("APL_WRONG_SHAPE", f"entity {entity}: {wrong}; ask Apex", pointer=wrong.pointer) from None

    async def write(self, write: WireWrite, *, idempotency_key: str) -> Receipt:
        """Sends one write once; a create or an enrolment waits for others to go with it.

        Apex knows no header for `idempotency_key`: what is sent again is told by the id that is in it.
        """
        matched = write_at(write)
        if matched is None:
            raise StopRun("APL_INTERNAL", f"{write.method} of a plan is no write of this system; nothing was sent")
        match matched.kind:
            case "create":
                return await self._creates[matched.place].put(Item(write.path, write.body or {}))
            case "enroll":
                item = Item(write.path, write.body or {}, classroom_id=matched.ids[0])
                return await self._creates["enrollments"].put(item)
            case "archive":
                return await self._alone(write, matched, headers=_headers(write))
            case "update" | "withdraw":
                return await self._alone(write, matched, headers=None)

    async def _alone(self, write: WireWrite, matched: Matched, *, headers: dict[str, str] | None) -> Receipt:
        body = None if headers is not None or write.body is None else dict(write.body)
        received, told, _ = await self._client.send(write.method, write.path, body=body, headers=headers)
        if len(told) != 1:
            # Whatever stands between us and Apex can send an empty success: only a result says that it was done.
            raise OutcomeUnknown(
                "APL_UNKNOWN_OUTCOME",
                f"{write.method} of one record was answered with {received.status} and {len(told)} results; "
                "read the record first",
                status=received.status,
                is_wrong_shape=True,
            )
        match meaning_of(told[0]):
            case "moved":
                raise moved(received.status)
            case "capacity":
                raise no_room(received.status)
            case "refused":
                raise refused(received.status)
            case "doubtful":
                raise OutcomeUnknown(
                    "APL_UNKNOWN_OUTCOME",
                    f"{write.method} of {matched.place} was answered with a code that says nothing; read it first",
                    is_wrong_shape=True,
                )
            case "done":
                return Receipt(target_id=None, status=received.status)

    async def _membership(self, entity: str, key: str) -> Record | None:
        ids = membership_of(key)
        if ids is None:
            return None
        body = await self._client.get(f"/{entity}/{escaped(ids[1])}", use="APL")
        records = [] if body is None else memberships_of_detail(body, entity)
        return next((record for record in records if record[TARGET_ID] == key), None)

    async def _classroom(self, classroom_id: str) -> Record | None:
        body = await self._client.get(f"/classrooms/{escaped(classroom_id)}", use="APL")
        if body is None:
            return None
        record = classroom_of(body)
        if record["target_id"] != classroom_id:
            raise WrongShape("/ImportClassroomId", "is not that of the record asked for")
        return record

    async def _enrollment(self, key: str) -> Record | None:
        ids = enrollment_of(key)
        if ids is None:
            return None
        found = await enrollments_of(self._client, ids[1], use="APL", pages_max=self._config.pages_max)
        return next((record for record in found.records if record[TARGET_ID] == key), None)

    def _source(self) -> ApexSource:
        from systems.apex.source import ApexSource

        return ApexSource(self._config, self._client, self._surroundings)


def _headers(write: WireWrite) -> dict[str, str]:
    """What archives a person, as headers."""
    told = {name: str(value) for name, value in (write.body or {}).items()}
    if not all(value.isascii() and value.isprintable() and value == value.strip() for value in told.values()):
        raise RecordRefused(
            "APL_REFUSED_RECORD",
            f"the id of the person or of the organisation ({ARCHIVE_ORG}) has letters that no header carries; "
            "archive the person in Apex by hand",
        )
    return told

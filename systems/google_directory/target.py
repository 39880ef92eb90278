"""Writes to Google's directory: shows one live record, sends one finished write. It chooses and retries nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from shared.errors import AetherError, OutcomeUnknown, RecordRefused, StopRun, TargetMoved
from shared.http.shape import Json, WrongShape
from shared.ports.pacing import Use
from shared.ports.surroundings import Surroundings
from shared.ports.system import Column, Finding, Reading, Receipt
from shared.ports.wire import Record, Value, WireWrite
from systems.google_directory.client import GoogleDirectoryClient, refused_address
from systems.google_directory.config import GoogleDirectoryConfig
from systems.google_directory.entities import (
    CUSTOMER,
    GROUPS,
    MEMBERS,
    ORG_UNITS,
    USERS,
    columns_of,
    entity_of,
)
from systems.google_directory.records import GroupSeen, group_in, id_in, membership, not_as_sent, page_of, row_of
from systems.google_directory.wire import Parsed, list_path, parsed, record_path, unit_path_path

if TYPE_CHECKING:  # reading lists needs a columnar engine, writing does not
    from systems.google_directory.source import GoogleDirectorySource

GROUPS_REMEMBERED_MAX: Final = 10_000
"""Groups whose id and address are kept, so that a membership costs one request and not two."""
FOUND_MAX: Final = 10
"""Users that a search for one external id may bring before the rest does not matter."""
_USE: Final[Use] = "APL"


def build_target(config: GoogleDirectoryConfig, surroundings: Surroundings) -> GoogleDirectoryTarget:
    """A target whose tokens may write."""
    client = GoogleDirectoryClient(config, surroundings=surroundings, may_write=True)
    return GoogleDirectoryTarget(config, client=client, surroundings=surroundings)


class GoogleDirectoryTarget:
    """The directory for reading and writing; see `shared.ports.system.Target`."""

    def __init__(
        self, config: GoogleDirectoryConfig, *, client: GoogleDirectoryClient, surroundings: Surroundings
    ) -> None:
        self._config = config
        self._client = client
        self._surroundings = surroundings
        self._groups: dict[str, GroupSeen] = {}

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
        """One live record by the target's id or, when that is None, by our key; None when there is none."""
        entity_of(entity)
        if target_id is None and key is None:
            raise StopRun("APL_INTERNAL", f"entity {entity}: a record is asked for by neither id nor key")
        try:
            if entity == MEMBERS:
                return await self._membership(target_id or str(key), is_key=target_id is None)
            if target_id is not None:
                return await self._by_id(entity, target_id)
            return await self._by_key(entity, str(key))
        except WrongShape as wrong:
            raise StopRun("APL_WRONG_SHAPE", f"entity {entity}: {wrong}", pointer=wrong.pointer) from None

    async def write(self, write: WireWrite, *, idempotency_key: str) -> Receipt:
        """Sends one write once. The interface knows no idempotency key; addresses and units are unique there."""
        found = parsed(write)
        if found is None:
            raise StopRun("APL_INTERNAL", f"{write.method} of a plan is no write of this system; nothing was sent")
        if found.entity == GROUPS:
            self._groups.clear()
        try:
            answer = await self._client.send(write, entity=found.entity, verb=found.verb)
        except TargetMoved as moved:
            if found.entity == USERS and found.verb == "create" and await self._is_of_another(write.body or {}):
                raise refused_address(_status(moved)) from None
            raise
        if found.verb == "delete":
            return Receipt(target_id=found.target_id, status=answer.status)
        try:
            target_id = self._written_id(found, answer.body)
            changed = not_as_sent(found.entity, sent=write.body or {}, answer=answer.body)
            if changed:
                raise WrongShape("", f"shows another {', '.join(changed)} than was sent")
        except WrongShape as wrong:
            raise OutcomeUnknown(
                "APL_UNKNOWN_OUTCOME",
                f"entity {found.entity}: accepted, but the answer {wrong}; read the record first",
                status=answer.status,
                is_wrong_shape=True,
            ) from None
        return Receipt(target_id=target_id, status=answer.status)

    # --- one record -------------------------------------------------------------------------------------------------

    async def _by_id(self, entity: str, target_id: str) -> Record | None:
        row = await self._record(entity, record_path(entity, target_id))
        if row is not None and row["target_id"] != target_id:
            raise WrongShape("/id", "is not that of the record asked for")
        return row

    async def _by_key(self, entity: str, key: str) -> Record | None:
        if entity == USERS:
            return await self._by_external_id(key)
        row = await self._record(entity, unit_path_path(key) if entity == ORG_UNITS else record_path(entity, key))
        if row is None or str(row[entity_of(entity).key]).casefold() != key.casefold():
            return None  # found under an alias: it is another record
        return row

    async def _by_external_id(self, key: str) -> Record | None:
        described = entity_of(USERS)
        quoted = key.replace("\\", "\\\\").replace("'", "\\'")
        query: dict[str, str | int] = {"query": f"externalId='{quoted}'", "maxResults": FOUND_MAX}
        domain = self._config.domain
        query |= {"customer": CUSTOMER} if domain is None else {"domain": domain}
        body = await self._client.get(
            list_path(USERS), entity=USERS, use=_USE, query={**query, "fields": described.list_mask}
        )
        if body is None:
            raise WrongShape("", "there is no list of users")
        # The search takes ids of every type, and letters of either case.
        rows = [row for item in page_of(described, body).items if (row := row_of(USERS, item))["external_id"] == key]
        if len(rows) > 1:
            raise RecordRefused(
                "APL_REFUSED_RECORD",
                f"{len(rows)} users have this external id; take it away from all but one",
                fields="external_id",
            )
        return rows[0] if rows else None

    async def _membership(self, name: str, *, is_key: bool) -> Record | None:
        group_name, _, member = name.partition("/")
        if not group_name or not member:
            raise StopRun("APL_INTERNAL", "entity members: a membership is named by its group, a slash and its member")
        path, fields = record_path(MEMBERS, name), entity_of(MEMBERS).mask
        group, item = await asyncio.gather(
            self._group(group_name),
            self._client.get(path, entity=MEMBERS, use=_USE, query={"fields": fields}),
        )
        if group is None or item is None:
            return None
        row = row_of(MEMBERS, membership(item, group_id=group.id, group_email=group.email))
        if is_key:
            return row if str(row["membership_key"]).casefold() == name.casefold() else None
        if row["target_id"] != name:
            raise WrongShape("/id", "is not that of the member asked for")
        return row

    async def _group(self, name: str) -> GroupSeen | None:
        """A group by its id or address, remembered for as long as no group is written."""
        if name in self._groups:
            return self._groups[name]
        path, fields = record_path(GROUPS, name), entity_of(GROUPS).mask
        item = await self._client.get(path, entity=MEMBERS, use=_USE, query={"fields": fields})
        if item is None:
            return None
        group = group_in(item)
        if name not in (group.id, group.email):
            return None if name.casefold() != group.email.casefold() else group
        if len(self._groups) >= GROUPS_REMEMBERED_MAX:
            self._groups.clear()
        self._groups[group.id] = self._groups[group.email] = group
        return group

    async def _record(self, entity: str, path: str) -> dict[str, Value] | None:
        item = await self._client.get(path, entity=entity, use=_USE, query={"fields": entity_of(entity).mask})
        return None if item is None else row_of(entity, item)

    # --- one write --------------------------------------------------------------------------------------------------

    def _written_id(self, found: Parsed, answer: Json) -> str | None:
        written = id_in(answer, name="orgUnitId" if found.entity == ORG_UNITS else "id")
        if found.entity == MEMBERS:
            group = self._groups.get(found.group or "")
            group_id = found.target_id.partition("/")[0] if found.target_id is not None else group and group.id
            written = f"{group_id}/{written}" if group_id else ""
        if found.target_id is not None and written != found.target_id:
            raise WrongShape("/id", "is not that of the record written")
        return written or None

    async def _is_of_another(self, body: Mapping[str, object]) -> bool:
        """Whether the address of a user that could not be made belongs to somebody else for certain.

        When it is ours, or nobody is shown (a user of ours that does not show yet, or one that is deleted), the
        applier's own look decides.
        """
        with suppress(AetherError, WrongShape):
            row = await self._record(USERS, record_path(USERS, str(body.get("primaryEmail"))))
            ours = [{"type": "organization", "value": None if row is None else row["external_id"]}]
            return row is not None and body.get("externalIds") != ours
        return False

    def _source(self) -> GoogleDirectorySource:
        from systems.google_directory.source import GoogleDirectorySource

        return GoogleDirectorySource(self._config, client=self._client, surroundings=self._surroundings)


def _status(error: AetherError) -> int | None:
    status = error.facts.get("status")
    return status if isinstance(status, int) else None

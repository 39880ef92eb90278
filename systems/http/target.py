"""Writes to a system: shows one live record, sends one finished write. It chooses nothing and retries nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.errors import OutcomeUnknown, StopRun
from shared.http.shape import Json, WrongShape, at
from shared.ports.surroundings import Surroundings
from shared.ports.system import Column, Finding, Reading, Receipt
from shared.ports.wire import Record, WireWrite
from systems.http.batches import Batches, BatchItem
from systems.http.client import Answer, HttpClient
from systems.http.columns import columns_of
from systems.http.description import HttpInterface
from systems.http.entities import ListRequest
from systems.http.settings import InterfaceSettings
from systems.http.wire import Matched, entity_of, filled, id_in, path_by_id, path_by_key, record_of, write_at

if TYPE_CHECKING:  # reading lists needs a columnar engine, writing does not
    from systems.http.source import HttpSource


def target_of(http: HttpInterface, settings: InterfaceSettings, surroundings: Surroundings, *, name: str) -> HttpTarget:
    """A target with the credential that may write."""
    client = HttpClient(http, settings, surroundings, may_write=True)
    return HttpTarget(http, settings, client=client, surroundings=surroundings, name=name)


class HttpTarget:
    """A system for reading and writing; see `shared.ports.system.Target`."""

    def __init__(
        self,
        http: HttpInterface,
        settings: InterfaceSettings,
        *,
        client: HttpClient,
        surroundings: Surroundings,
        name: str,
    ) -> None:
        self._http = http
        self._settings = settings
        self._client = client
        self._surroundings = surroundings
        self._name = name
        self._batches = {
            entity: Batches(entity, described.batch, http=http, client=client, surroundings=surroundings)
            for entity, described in http.entities.items()
            if described.batch is not None
        }

    def columns(self, entity: str) -> Sequence[Column]:
        """The columns of an entity, from the description."""
        return columns_of(self._http, entity, system=self._name)

    def read(self, entity: str) -> Reading:
        """A new reading; nothing is sent before it is iterated."""
        return self._source().read(entity)

    async def check(self) -> Sequence[Finding]:
        """As for a source; the right to write is not tried, for there is no harmless write."""
        return await self._source().check()

    async def close(self) -> None:
        """Gives connections back, behind the batches that are under way; may be called twice."""
        for batches in self._batches.values():
            await batches.close()
        await self._client.close()

    async def fetch(self, entity: str, *, target_id: str | None, key: str | None) -> Record | None:
        """One live record by the target's id or, when that is None, by our key; None when there is none."""
        described = entity_of(self._http, entity, system=self._name)
        if target_id is not None:
            path, asked, wanted = path_by_id(self._http, entity, target_id), described.by_id, target_id
        elif key is not None:
            path, asked, wanted = path_by_key(self._http, entity, key), described.by_key, key
        else:
            raise StopRun("APL_INTERNAL", f"entity {entity}: a record is asked for by neither id nor key")
        assert asked is not None, "its path was found"  # noqa: S101 - own invariant
        answer = await self._client.get(path, use="APL", query=_query(asked, wanted))
        if answer is None:
            return None
        asked_field = described.id if target_id is not None else described.key
        try:
            body = answer.body if not asked.in_list else self._only(answer.body, entity)
            if body is None:
                return None
            record = self._record(body, entity, is_from_list=asked.in_list)
            if asked_field is None or record[asked_field] != wanted:
                raise WrongShape(f"/{asked_field}", "is not that of the record asked for")
        except WrongShape as wrong:
            raise StopRun(
                "APL_WRONG_SHAPE",
                f"entity {entity}: {wrong}; compare it with the interface document",
                pointer=wrong.pointer,
            ) from None
        return record

    async def write(self, write: WireWrite, *, idempotency_key: str) -> Receipt:
        """Sends one write once; one that goes into a batch waits for others to go with it."""
        matched = write_at(self._http, write)
        if matched is None:
            raise StopRun("APL_INTERNAL", f"{write.method} of a plan is no write of this system; nothing was sent")
        if matched.is_batch:
            return await self._batches[matched.entity].put(BatchItem(write, idempotency_key))
        verb = matched.verbs[0]
        answer = await self._client.send(write, entity=matched.entity, verb=verb, idempotency_key=idempotency_key)
        if answer.is_empty or verb == "delete":
            return Receipt(target_id=None, status=answer.status)
        try:
            target_id = self._written_id(answer, matched.entity)
            if target_id is not None:
                self._require_same(write, matched, target_id)
        except WrongShape as wrong:
            raise OutcomeUnknown(
                "APL_UNKNOWN_OUTCOME",
                f"entity {matched.entity}: accepted, but {wrong}; read the record first",
                status=answer.status,
                is_wrong_shape=True,
                pointer=wrong.pointer,
            ) from None
        return Receipt(target_id=target_id, status=answer.status)

    def _written_id(self, answer: Answer, entity: str) -> str | None:
        """The id that the answer to a write tells, as far as such answers tell one."""
        written, id_field = self._http.written, entity_of(self._http, entity).id
        match written.shows:
            case "nothing":
                return None
            case "id":
                target_id: object = id_in(answer.body, http=self._http, entity=entity, pointer=written.id)
            case "record":
                record = record_of(answer.body, http=self._http, entity=entity)
                target_id = record.get(id_field) if id_field is not None else None
        # A blank or dotted id names no record; `path_by_id` would say so, as an error in which nothing was sent.
        if not isinstance(target_id, str) or target_id in ("", ".", ".."):
            raise WrongShape(f"/{id_field}", "is not that of the record written")
        return target_id

    def _require_same(self, write: WireWrite, matched: Matched, target_id: str) -> None:
        if matched.verbs[0] == "create":
            return
        for (method, template), verbs in entity_of(self._http, matched.entity).templates().items():
            if method == write.method and verbs == matched.verbs:
                same = filled(self._http.base_path + template, target_id)
                if same != write.path:
                    raise WrongShape("", "the id in it is not that of the record written")

    def _only(self, body: Json, entity: str) -> Json:
        """The one record of a list; None when the list is empty."""
        paging = self._http.paging_of(entity_of(self._http, entity))
        items = at(body, paging.items)
        if not isinstance(items, list):
            raise WrongShape(paging.items, "is no list")
        if len(items) > 1:
            raise WrongShape(paging.items, f"holds {len(items)} records of one key")
        return items[0] if items else None

    def _record(self, body: Json, entity: str, *, is_from_list: bool) -> Record:
        return record_of(body, http=self._http, entity=entity, pointer="" if is_from_list else None)

    def _source(self) -> HttpSource:
        from systems.http.source import HttpSource

        return HttpSource(
            self._http, self._settings, client=self._client, surroundings=self._surroundings, name=self._name
        )


def _query(asked: ListRequest, wanted: str) -> dict[str, str]:
    return {name: text.replace("{key}", wanted) for name, text in asked.query.items()}

"""Writes to TitanHST: shows one live record, sends one finished write. It chooses nothing and retries nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.errors import OutcomeUnknown, StopRun
from shared.ports.surroundings import Surroundings
from shared.ports.system import Column, Finding, Receipt
from shared.ports.wire import Record, WireWrite
from systems.titanhst.client import TitanhstClient
from systems.titanhst.config import HttpDescription, TitanhstConfig, description
from systems.titanhst.wire import WrongShape, entity_at, entity_of, path_by_id, path_by_key, record_of

if TYPE_CHECKING:  # reading lists needs a columnar engine, writing does not
    from systems.titanhst.source import TitanhstReading, TitanhstSource

_NO_CONTENT = 204
"""The one status that has no body; a body of `null` under another one is no record."""


def build_target(config: TitanhstConfig, surroundings: Surroundings) -> TitanhstTarget:
    """A target with the credential that may write."""
    http = description()
    token = surroundings.resolve(config.write_token or config.token)
    client = TitanhstClient(config, http=http, token=token, surroundings=surroundings)
    return TitanhstTarget(config, http=http, client=client, surroundings=surroundings)


class TitanhstTarget:
    """TitanHST for reading and writing; see `shared.ports.system.Target`."""

    def __init__(
        self, config: TitanhstConfig, *, http: HttpDescription, client: TitanhstClient, surroundings: Surroundings
    ) -> None:
        self._config = config
        self._http = http
        self._client = client
        self._surroundings = surroundings

    def columns(self, entity: str) -> Sequence[Column]:
        """The columns of an entity, from the description."""
        return self._source().columns(entity)

    def read(self, entity: str) -> TitanhstReading:
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
        described = entity_of(self._http, entity)
        if target_id is not None:
            path, asked_field, asked = path_by_id(self._http, entity, target_id), described.id, target_id
        elif key is not None:
            path, asked_field, asked = path_by_key(self._http, entity, key), described.key, key
        else:
            raise StopRun("APL_INTERNAL", f"entity {entity}: a record is asked for by neither id nor key")
        answer = await self._client.get(path, use="APL")
        if answer is None:
            return None
        try:
            record = record_of(answer.body, http=self._http, entity=entity)
            if asked_field is None or record[asked_field] != asked:
                raise WrongShape(f"/{asked_field}", "is not that of the record asked for")
        except WrongShape as wrong:
            raise StopRun(
                "APL_WRONG_SHAPE", f"entity {entity}: {wrong}; compare it with http.yaml", pointer=wrong.pointer
            ) from None
        return record

    async def write(self, write: WireWrite, *, idempotency_key: str) -> Receipt:
        """Sends one write once."""
        entity = entity_at(self._http, write.path)
        if entity is None or write.method not in ("POST", "PATCH", "PUT", "DELETE"):
            raise StopRun("APL_INTERNAL", f"{write.method} of a plan is no write of this system; nothing was sent")
        answer = await self._client.send(write, idempotency_key=idempotency_key)
        if answer.status == _NO_CONTENT:
            return Receipt(target_id=None, status=answer.status)
        id_field = entity_of(self._http, entity).id
        try:
            record = record_of(answer.body, http=self._http, entity=entity)
            target_id = record.get(id_field) if id_field is not None else None
            # A blank or dotted id names no record; `path_by_id` would say so, as an error in which nothing was sent.
            if (
                not isinstance(target_id, str)
                or target_id in ("", ".", "..")
                or (write.method != "POST" and path_by_id(self._http, entity, target_id) != write.path)
            ):
                raise WrongShape(f"/{id_field}", "is not that of the record written")
        except WrongShape as wrong:
            raise OutcomeUnknown(
                "APL_UNKNOWN_OUTCOME",
                f"entity {entity}: accepted, but {wrong}; read the record first",
                status=answer.status,
                is_wrong_shape=True,
                pointer=wrong.pointer,
            ) from None
        return Receipt(target_id=target_id, status=answer.status)

    def _source(self) -> TitanhstSource:
        from systems.titanhst.source import TitanhstSource

        return TitanhstSource(self._config, http=self._http, client=self._client, surroundings=self._surroundings)

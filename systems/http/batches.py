"""Several writes in one request, and to each its own result: sent at once, or asked for until it is there.

A batch that gets no answer is unknown for every write in it; one that the other side turned away as a whole has done
nothing for any. Nothing is sent twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from shared.errors import AetherError, OutcomeUnknown, StopRun
from shared.http.patience import patiently
from shared.http.shape import Json, WrongShape, at
from shared.ports.gathering import Gathering
from shared.ports.surroundings import Surroundings
from shared.ports.system import Receipt
from shared.ports.wire import WireWrite
from systems.http.client import Answer, HttpClient
from systems.http.description import HttpInterface
from systems.http.entities import BatchClause, PollClause
from systems.http.wire import id_in


@dataclass(frozen=True)
class BatchItem:
    """One write of a batch."""

    write: WireWrite
    idempotency_key: str


class Batches:
    """The batches of one entity."""

    def __init__(
        self, entity: str, batch: BatchClause, *, http: HttpInterface, client: HttpClient, surroundings: Surroundings
    ) -> None:
        self._entity = entity
        self._batch = batch
        self._http = http
        self._client = client
        self._surroundings = surroundings
        self._gathering: Gathering[BatchItem, Receipt] = Gathering(
            self._send, items_max=batch.items_max, wait_seconds=batch.gather_seconds, sleep=surroundings.sleep
        )

    async def put(self, item: BatchItem) -> Receipt:
        """The receipt of one write; raises what the target's `write` raises."""
        return await self._gathering.put(item)

    async def close(self) -> None:
        """Waits until what was put is done."""
        await self._gathering.close()

    async def _send(self, items: Sequence[BatchItem]) -> Sequence[Receipt | Exception]:
        keys = "\n".join(item.idempotency_key for item in items)
        answer = await self._client.send(
            items[0].write,
            entity=self._entity,
            verb="update",
            accepted=self._batch.accepted,
            idempotency_key=hashlib.sha256(keys.encode()).hexdigest(),
            body={self._batch.items: [dict(item.write.body or {}) for item in items]},
        )
        try:
            body = answer.body if self._batch.poll is None else await self._polled(answer, self._batch.poll)
            results = at(body, self._batch.results)
            if not isinstance(results, list) or len(results) != len(items):
                raise WrongShape(self._batch.results, f"is no list of {len(items)} results")
        except WrongShape as wrong:
            raise _unknown(f"entity {self._entity}: the batch was accepted, but {wrong}") from None
        return [self._of_one(result) for result in results]

    async def _polled(self, answer: Answer, poll: PollClause) -> Json:
        token = at(answer.body, poll.token)
        if isinstance(token, bool) or not isinstance(token, str | int) or str(token) in ("", ".", ".."):
            raise WrongShape(poll.token, "is no token")
        path = self._http.base_path + poll.path.replace("{token}", quote(str(token), safe=""))
        for _ in range(poll.asked_max):
            await self._surroundings.sleep(poll.every_seconds)
            try:
                told = await patiently(lambda: self._client.get(path, use="APL"), surroundings=self._surroundings)
            except AetherError as error:
                # The batch is under way whatever keeps us from asking about it.
                raise _unknown(f"entity {self._entity}: the batch was accepted, and then: {error.message}") from None
            if told is None:
                raise _unknown(f"entity {self._entity}: the batch was accepted, and is not known any more")
            state = at(told.body, poll.state)
            if state in poll.done:
                return told.body
            if state in poll.failed:
                raise _unknown(f"entity {self._entity}: the batch was accepted, and then given up")
        raise _unknown(f"entity {self._entity}: the batch is not done after {poll.asked_max} questions (asked_max)")

    def _of_one(self, result: Json) -> Receipt | Exception:
        try:
            status = at(result, f"/{self._batch.status}")
            if type(status) is not int:
                raise WrongShape(f"/{self._batch.status}", "is no status")
            error = self._client.error_of_item(status)
            if error is not None:
                return error
            target_id = None
            if self._batch.id is not None:
                pointer = f"/{self._batch.id}"
                target_id = id_in(result, http=self._http, entity=self._entity, pointer=pointer)
        except WrongShape as wrong:
            return _unknown(f"entity {self._entity}: a result of the batch: {wrong}")
        except StopRun as stopped:
            return stopped
        return Receipt(target_id=target_id, status=status)


def _unknown(text: str) -> OutcomeUnknown:
    return OutcomeUnknown("APL_UNKNOWN_OUTCOME", f"{text}; read the record first", is_wrong_shape=True)

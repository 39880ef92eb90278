"""Creates and enrolments: asked for one by one, sent together, and to each its own result.

Up to fifty go out in one request and are answered in it; more go as a batch that is asked for until it is done. Results
are told apart by the record's id and never by their order, so that two of one id never go together. Nothing is sent
twice: what a batch without an answer has done is unknown for each record in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from shared.errors import AetherError, OutcomeUnknown
from shared.http.patience import patiently
from shared.http.shape import Json
from shared.ports.gathering import Gathering
from shared.ports.surroundings import Surroundings
from shared.ports.system import Receipt
from shared.ports.wire import Body
from systems.apex.answers import id_name, meaning_of
from systems.apex.client import ApexClient, Items, moved, no_room, refused
from systems.apex.config import ITEMS_AT_ONCE_MAX, ApexConfig
from systems.apex.fields import CLASSROOM_BATCH_MAX, CLASSROOM_HEADING, PEOPLE, enrollment_key, membership_key

ENROLLMENTS_TOGETHER_MAX: Final = 500
"""Enrolments that are sorted by their classroom at a time."""
STATUS_OF_ITEMS: Final = 200
BATCH_TOKEN: Final = "BatchStatusToken"  # noqa: S105 - the name of a field


@dataclass(frozen=True)
class Item:
    """One create or enrolment."""

    path: str
    body: Body
    classroom_id: str | None = None
    """Of an enrolment."""


class Creates:
    """The creates of one kind of record."""

    def __init__(self, place: str, client: ApexClient, config: ApexConfig, surroundings: Surroundings) -> None:
        """`place` is students, staff, classrooms or enrollments."""
        self._place = place
        self._client = client
        self._config = config
        self._surroundings = surroundings
        self._polls_max = math.ceil(config.batch_seconds_max / config.batch_poll_seconds)
        person = PEOPLE.get(place)
        self._heading = person.heading if person is not None else CLASSROOM_HEADING
        batch_max = person.batch_max if person is not None else CLASSROOM_BATCH_MAX
        is_enrolment = place == "enrollments"
        self._gathering: Gathering[Item, Receipt] = Gathering(
            self._enroll if is_enrolment else self._create,
            items_max=ENROLLMENTS_TOGETHER_MAX if is_enrolment else batch_max,
            wait_seconds=config.gather_seconds,
            sleep=surroundings.sleep,
        )

    async def put(self, item: Item) -> Receipt:
        """The receipt of one record; raises what the target's `write` raises."""
        return await self._gathering.put(item)

    async def close(self) -> None:
        """Waits until what was put is done."""
        await self._gathering.close()

    async def _create(self, items: Sequence[Item]) -> Sequence[Receipt | Exception]:
        results: list[Receipt | Exception | None] = [None] * len(items)
        for turn in _turns([self._id_of(item) for item in items]):
            chosen = [items[index] for index in turn]
            is_batch = len(chosen) > self._config.items_at_once
            try:
                told = await (self._batch(chosen) if is_batch else self._at_once(chosen))
            except AetherError as error:
                told = [error] * len(chosen)
            for index, result in zip(turn, told, strict=True):
                results[index] = result
        return [result for result in results if result is not None]

    async def _enroll(self, items: Sequence[Item]) -> Sequence[Receipt | Exception]:
        results: list[Receipt | Exception | None] = [None] * len(items)
        rooms: dict[str, list[int]] = {}
        for index, item in enumerate(items):
            rooms.setdefault(item.path, []).append(index)
        for path, members in rooms.items():
            for turn in _turns([self._id_of(items[index]) for index in members]):
                for start in range(0, len(turn), ITEMS_AT_ONCE_MAX):
                    chosen = [members[index] for index in turn[start : start + ITEMS_AT_ONCE_MAX]]
                    asked = [items[index] for index in chosen]
                    try:
                        _, told, _ = await self._client.send(
                            "POST", path, body=[dict(item.body) for item in asked], heading=PEOPLE["students"].heading
                        )
                        judged = self._judged(asked, told)
                    except AetherError as error:
                        judged = [error] * len(chosen)
                    for index, result in zip(chosen, judged, strict=True):
                        results[index] = result
        return [result for result in results if result is not None]

    async def _at_once(self, items: Sequence[Item]) -> list[Receipt | Exception]:
        _, told, _ = await self._client.send("POST", items[0].path, body=self._body(items), heading=self._heading)
        return self._judged(items, told)

    async def _batch(self, items: Sequence[Item]) -> list[Receipt | Exception]:
        path = f"{items[0].path}/batch"
        received, told, answered = await self._client.send("POST", path, body=self._body(items), heading=self._heading)
        if told:
            return self._judged(items, told)
        token = answered.get(BATCH_TOKEN) if isinstance(answered, dict) else None
        if isinstance(token, bool) or not isinstance(token, str | int) or str(token) in ("", ".", ".."):
            raise OutcomeUnknown(
                "APL_UNKNOWN_OUTCOME",
                f"a batch of {len(items)} was answered with {received.status} and no {BATCH_TOKEN}; read the records",
                is_wrong_shape=True,
            )
        return self._judged(items, await self._done(f"{path}/{quote(str(token), safe='')}", len(items)))

    async def _done(self, path: str, count: int) -> Items:
        """The results of a batch, once they are there."""
        for _ in range(self._polls_max):
            await self._surroundings.sleep(self._config.batch_poll_seconds)
            try:
                told = await patiently(
                    lambda: self._client.batch_results(path, heading=self._heading), surroundings=self._surroundings
                )
            except AetherError as error:
                # The batch is under way whatever keeps us from asking about it.
                raise _unknown(f"a batch of {count} was accepted, and then: {error.message}") from None
            if told is not None:
                return told
        seconds = self._config.batch_seconds_max
        raise _unknown(f"a batch of {count} is not done after {seconds:g} seconds (batch_seconds_max)")

    def _body(self, items: Sequence[Item]) -> Json:
        return {self._heading: [dict(item.body) for item in items]}

    def _judged(self, items: Sequence[Item], told: Items) -> list[Receipt | Exception]:
        """To each item what was told of its id; of what was not told, nothing is known."""
        by_id: dict[Json, list[Mapping[str, Json]]] = {}
        for result in told:
            by_id.setdefault(result.get(id_name(self._place)), []).append(result)
        return [self._result(item, by_id.get(self._id_of(item), [])) for item in items]

    def _result(self, item: Item, told: Items) -> Receipt | Exception:
        if len(told) != 1:
            return _unknown(f"the answer holds {len(told)} results of a record")
        match meaning_of(told[0]):
            case "done":
                return Receipt(target_id=self._target_id(item), status=STATUS_OF_ITEMS)
            case "moved":
                return moved(STATUS_OF_ITEMS)
            case "capacity":
                return no_room(STATUS_OF_ITEMS)
            case "refused":
                return refused(STATUS_OF_ITEMS)
            case "doubtful":
                return _unknown("the result of a record has a code that says nothing")

    def _id_of(self, item: Item) -> str:
        return str(item.body.get(id_name(self._place)))

    def _target_id(self, item: Item) -> str:
        """The id under which the record will be shown: Apex keeps the ids that it is given."""
        if item.classroom_id is not None:
            return enrollment_key(item.classroom_id, str(item.body["ImportUserId"]))
        if self._place == "classrooms":
            return str(item.body["ImportClassroomId"])
        return membership_key(str(item.body["ImportOrgId"]), str(item.body["ImportUserId"]))


def _turns(keys: Sequence[str]) -> list[list[int]]:
    """Positions of the keys, cut so that no key comes twice in one turn."""
    turns: list[list[int]] = []
    seen: dict[str, int] = {}
    for index, key in enumerate(keys):
        turn = seen.get(key, 0)
        seen[key] = turn + 1
        if turn == len(turns):
            turns.append([])
        turns[turn].append(index)
    return turns


def _unknown(text: str) -> OutcomeUnknown:
    return OutcomeUnknown("APL_UNKNOWN_OUTCOME", f"{text}; read the record first", is_wrong_shape=True)

"""One list of Aeries, asked for and put into rows: what reading and checking have in common.

It retries a question that found nobody or a broken server, within bounds, and gives what does not fit its code.
"""

from __future__ import annotations

from typing import Final

from shared.errors import StopRun
from shared.http.patience import patiently
from shared.http.rows import Rows
from shared.http.shape import Json, WrongShape
from shared.ports.surroundings import Surroundings
from systems.aeries_api import entities, wire
from systems.aeries_api.client import AeriesClient, Answer
from systems.aeries_api.config import API, AeriesApiConfig
from systems.aeries_api.entities import AeriesEntity

GRANT_FIELDS: Final = "grant read on this field for the certificate in API Security"
SCHOOLS_PATH: Final = "/schools"


class Asker:
    """Asks for lists."""

    def __init__(self, config: AeriesApiConfig, surroundings: Surroundings, *, client: AeriesClient) -> None:
        self.config = config
        self._surroundings = surroundings
        self._client = client

    async def get(self, path: str, entity: AeriesEntity, *, query: dict[str, str | int] | None = None) -> Answer:
        """What lies at a path, asked for patiently; `StopRun` (SRC_UNSTABLE) when there is nothing any more."""
        answer = await self.look(path, entity, query=query)
        if answer is None:
            raise gone(entity)
        return answer

    async def look(
        self, path: str, entity: AeriesEntity, *, query: dict[str, str | int] | None = None
    ) -> Answer | None:
        """The same; None when there is nothing."""
        return await patiently(lambda: self.once(path, entity, query=query), surroundings=self._surroundings)

    async def once(
        self, path: str, entity: AeriesEntity, *, query: dict[str, str | int] | None = None
    ) -> Answer | None:
        """The same with one question; None when there is nothing."""
        return await self._client.get(API + path, use="SRC", area=entity.name, query=query)

    def rows(self, items: list[Json], entity: AeriesEntity, path: str, *, term_ends: str | None = None) -> Rows:
        """Records as columns; `StopRun` (SRC_WRONG_SHAPE) names the place, and what to grant for a missing field."""
        try:
            items = wire.members_of(items) if entity is entities.SECTION_STAFF else items
            return wire.rows_of(items, entity, term_ends=term_ends)
        except WrongShape as wrong:
            is_kept_back = wrong.text.startswith(("is missing", "is null"))
            what = GRANT_FIELDS if is_kept_back else "compare it with the vendor's document"
            text = f"entity {entity.name}, {path}: {wrong}; {what}"
            raise StopRun("SRC_WRONG_SHAPE", text, entity=entity.name, pointer=wrong.pointer) from None

    def rows_at(
        self, school: int, items: list[Json], entity: AeriesEntity, path: str, *, term_ends: str | None = None
    ) -> Rows:
        """The same, and all of that school; an answer that belongs elsewhere is no part of this list."""
        rows = self.rows(items, entity, path, term_ends=term_ends)
        if set(rows.columns["school"]) - {school}:
            raise StopRun("SRC_WRONG_SHAPE", f"{path}: records of another school came; report it", entity=entity.name)
        return rows

    async def schools(self) -> tuple[list[Json], str]:
        """The schools that are some, as they came, and the digest of the answer."""
        answer = await self.get(SCHOOLS_PATH, entities.SCHOOLS)
        items = wire.records_in(answer.body)
        excluded = self.config.excluded_schools
        kept = [item for item in items if not (isinstance(item, dict) and item.get("SchoolCode") in excluded)]
        return kept, answer.sha256

    def codes(self, schools: list[Json]) -> list[int]:
        """The codes of these schools, in their order."""
        return sorted(int(str(code)) for code in self.rows(schools, entities.SCHOOLS, SCHOOLS_PATH).columns["code"])


def gone(entity: AeriesEntity) -> StopRun:
    """The error for a list that is not there any more."""
    text = f"entity {entity.name}: Aeries has no such list any more; what it belongs to went while it was read"
    return StopRun("SRC_UNSTABLE", text, entity=entity.name)

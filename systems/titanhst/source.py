"""Reads TitanHST's lists whole, or says that it could not.

A few pages are asked for ahead and looked at one after another; each is tested against all before it. A list that
changes while it is read cannot be certified, so any sign of it ends the reading (SRC_UNSTABLE): a total that moves, a
page cut short, a record twice, an order that breaks. Retries happen per request, bounded; a retried page is asked for
from the same offset. A reading can be taken up behind any page, by another process too, as long as that page comes back
byte for byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence

import polars as pl

from shared.errors import AetherError, NeedsPerson, StopRun, TryLater
from shared.ports.surroundings import Surroundings
from shared.ports.system import Column, ExpectedRows, Finding, Page
from systems.titanhst.client import Answer, TitanhstClient
from systems.titanhst.config import HttpDescription, TitanhstConfig, description
from systems.titanhst.paging import Ahead, Point, Watch
from systems.titanhst.wire import Rows, WrongShape, entity_of, rows_of

TRIES_MAX = 5
"""Of one request that finds nobody or a broken server."""
RATE_WAITS_MAX = 20
"""Of one request that is told to slow down; these use up no try."""
WAIT_SECONDS_FIRST, WAIT_SECONDS_MAX = 1.0, 60.0

TOTAL_ORIGIN = "total of the last page"

_DTYPES = {"text": pl.String(), "boolean": pl.Boolean(), "integer": pl.Int64()}


def columns_of(entity: str, http: HttpDescription | None = None) -> Sequence[Column]:
    """The columns of an entity, from the description; `StopRun` for one that it does not hold."""
    fields = entity_of(http or description(), entity).fields
    return tuple(Column(name, field.kind) for name, field in fields.items())


def build_source(config: TitanhstConfig, surroundings: Surroundings) -> TitanhstSource:
    """A source with the credential that may only read."""
    http = description()
    client = TitanhstClient(config, http=http, token=surroundings.resolve(config.token), surroundings=surroundings)
    return TitanhstSource(config, http=http, client=client, surroundings=surroundings)


class TitanhstSource:
    """TitanHST for reading; see `shared.ports.system.Source`."""

    def __init__(
        self, config: TitanhstConfig, *, http: HttpDescription, client: TitanhstClient, surroundings: Surroundings
    ) -> None:
        self._config = config
        self._http = http
        self._client = client
        self._surroundings = surroundings

    def columns(self, entity: str) -> Sequence[Column]:
        """The columns of an entity, from the description."""
        return columns_of(entity, self._http)

    def read(self, entity: str) -> TitanhstReading:
        """A new reading; nothing is sent before it is iterated."""
        entity_of(self._http, entity)
        return TitanhstReading(
            entity, config=self._config, http=self._http, client=self._client, surroundings=self._surroundings
        )

    def resume(self, entity: str, *, after: str) -> TitanhstReading:
        """A reading of what is behind the page that bore the resume point; nothing is sent before it is iterated."""
        entity_of(self._http, entity)
        return TitanhstReading(
            entity,
            config=self._config,
            http=self._http,
            client=self._client,
            surroundings=self._surroundings,
            after=after,
        )

    async def check(self) -> Sequence[Finding]:
        """Asks each list for one record, once: network, then authentication, then shape."""
        findings: list[Finding] = []
        for entity, described in self._http.entities.items():
            try:
                paging = self._http.paging
                answer = await self._client.get(
                    self._http.base_path + described.list, use="SRC", query={paging.offset: 0, paging.limit: 1}
                )
                rows = _rows(answer, http=self._http, entity=entity)
            except AetherError as error:
                findings.append(Finding(_subject(error), False, f"entity {entity}: {error.message}"))
                if not isinstance(error, StopRun):
                    break  # the next list would meet the same wall
            else:
                findings.append(Finding("shape", True, f"entity {entity}: can be read, {rows.total} records"))
        if any(finding.is_good for finding in findings):
            findings.insert(0, Finding("network", True, "the interface answers"))
            findings.insert(1, Finding("authentication", True, "the token is accepted for reading"))
        return findings

    async def close(self) -> None:
        """Gives connections back; may be called twice."""
        await self._client.close()


class TitanhstReading:
    """One complete read of one list; see `shared.ports.system.Reading`."""

    def __init__(
        self,
        entity: str,
        *,
        config: TitanhstConfig,
        http: HttpDescription,
        client: TitanhstClient,
        surroundings: Surroundings,
        after: str | None = None,
    ) -> None:
        self._entity = entity
        self._after = after
        self._config = config
        self._http = http
        self._client = client
        self._surroundings = surroundings
        self._is_started = False
        self._expected: ExpectedRows | None = None
        self.unknown_fields: dict[str, int] = {}
        """Names in the records that the description does not hold, and how often they came."""

    @property
    def expected(self) -> ExpectedRows | None:
        """The other side's total; None until the last page."""
        return self._expected

    def __aiter__(self) -> AsyncIterator[Page]:
        """The pages, in the list's order; at least one, which is empty when there are no records."""
        if self._is_started:
            raise RuntimeError("a reading is iterated once; ask the source for a new one")
        self._is_started = True
        return self._pages()

    async def _pages(self) -> AsyncIterator[Page]:
        limit = min(self._config.page_limit, self._http.paging.limit_max)
        described = entity_of(self._http, self._entity)
        schema = {name: _DTYPES[field.kind] for name, field in described.fields.items()}
        watch = Watch(self._entity, limit=limit)
        asked = Ahead(
            lambda offset: self._asked(described.list, offset=offset, limit=limit),
            limit=limit,
            in_flight=self._config.pages_in_flight,
        )
        number = 0
        try:
            if self._after is not None:
                number = await self._verify(Point.of(self._after, entity=self._entity), watch, asked, limit=limit)
            while not watch.is_at_end:
                if number >= self._config.pages_max:
                    raise StopRun(
                        "SRC_INCOMPLETE",
                        f"entity {self._entity}: not at its end after {number} pages of {limit} (pages_max)",
                        entity=self._entity,
                    )
                number += 1
                answer = await asked.page_at(watch.offset)
                rows = _rows(answer, http=self._http, entity=self._entity)
                ids = _ids(rows)
                sha256 = answer.sha256 if answer is not None else hashlib.sha256(b"").hexdigest()
                offset = watch.offset
                watch.see(ids, total=rows.total)
                for name, count in rows.unknown_fields.items():
                    self.unknown_fields[name] = self.unknown_fields.get(name, 0) + count
                asked.look_ahead(watch.offset, total=rows.total)
                if ids or number == 1:
                    yield Page(
                        number=number,
                        rows=pl.DataFrame(rows.columns, schema=schema),
                        first_cursor=ids[0] if ids else "",
                        last_cursor=ids[-1] if ids else "",
                        sha256=sha256,
                        resume_point=watch.point(number=number, offset=offset, sha256=sha256).text(),
                    )
            self._expected = ExpectedRows(rows=watch.offset, origin=TOTAL_ORIGIN)
        finally:
            await asked.leave()

    async def _verify(self, point: Point, watch: Watch, asked: Ahead[Answer | None], *, limit: int) -> int:
        """Look at the page of the resume point once more, and stand behind it; its number."""
        answer = await asked.page_at(point.offset)
        rows = _rows(answer, http=self._http, entity=self._entity)
        sha256 = None if answer is None else answer.sha256
        if (sha256, rows.total, limit) != (point.sha256, point.total, point.limit):
            raise StopRun(
                "SRC_UNSTABLE",
                f"entity {self._entity}: the page at offset {point.offset} is not what it was when the reading was "
                f"left ({rows.total} records in all, {point.total} then); read it anew",
                entity=self._entity,
                offset=point.offset,
            )
        watch.take_up(point, _ids(rows))
        asked.look_ahead(watch.offset, total=rows.total)
        return point.number

    async def _asked(self, path: str, *, offset: int, limit: int) -> Answer | None:
        paging = self._http.paging
        tries, rate_waits = 0, 0
        while True:
            try:
                return await self._client.get(
                    self._http.base_path + path, use="SRC", query={paging.offset: offset, paging.limit: limit}
                )
            except TryLater as later:
                if later.code == "SRC_RATE_LIMITED":
                    rate_waits += 1
                else:
                    tries += 1
                if tries >= TRIES_MAX or rate_waits > RATE_WAITS_MAX:
                    raise
                await self._surroundings.sleep(self._wait_seconds(tries + rate_waits, later.retry_after_seconds))

    def _wait_seconds(self, attempt: int, asked: float | None) -> float:
        # Full jitter on top of nothing, or on top of what was asked, so that many readers do not return at once.
        ceiling = min(WAIT_SECONDS_FIRST * 2 ** (attempt - 1), WAIT_SECONDS_MAX)
        jitter = self._surroundings.rng.uniform(0, ceiling)
        return jitter if asked is None else asked + min(jitter, WAIT_SECONDS_FIRST)


def _rows(answer: Answer | None, *, http: HttpDescription, entity: str) -> Rows:
    if answer is None:
        raise StopRun("SRC_WRONG_SHAPE", f"entity {entity}: there is no such list; check base_url", entity=entity)
    try:
        return rows_of(answer.body, http=http, entity=entity)
    except WrongShape as wrong:
        raise StopRun(
            "SRC_WRONG_SHAPE",
            f"entity {entity}: {wrong}; compare it with http.yaml",
            entity=entity,
            pointer=wrong.pointer,
        ) from None


def _ids(rows: Rows) -> list[str]:
    return list(map(str, next(iter(rows.columns.values()))))


def _subject(error: AetherError) -> str:
    match error:
        case TryLater():
            return "network"
        case NeedsPerson() if error.facts.get("status") == 403:
            return "permission"
        case NeedsPerson() if error.code == "SRC_AUTH":
            return "authentication"
        case NeedsPerson():
            return "settings"
        case _:
            return "shape"

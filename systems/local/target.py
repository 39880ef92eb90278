"""The local tables as a target: shows one row, carries out one finished write. It chooses and retries nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from shared.clock import to_text
from shared.errors import AetherError, NeedsPerson, StopRun, TryLater
from shared.ports.gathering import Gathering
from shared.ports.surroundings import Surroundings
from shared.ports.system import Column, Finding, Receipt
from shared.ports.wire import Record, WireWrite
from shared.secrets import Secret
from systems.local.client import Asked, LocalClient
from systems.local.config import LocalConfig
from systems.local.entities import columns_of
from systems.local.opening import CONNECTIONS_MAX, open_for_writing
from systems.local.wire import place_of, table_of

if TYPE_CHECKING:  # reading lists needs a columnar engine, writing does not
    from shared.sql_reading.reading import SqlReading
    from shared.sql_reading.source import SqlSource

Answer = TypeVar("Answer")
WRITES_PER_TRANSACTION = 50
"""More would make a transaction that is lost cost too much, and gains nothing."""


def build_target(config: LocalConfig, surroundings: Surroundings) -> LocalTarget:
    """A target with the login that may write."""
    reference = config.write_password or (None if config.write_url else config.password)
    password = surroundings.resolve(reference) if reference is not None else None
    engine = open_for_writing(config, url=config.write_url or config.url, password=password)
    # Lists are read with the same login: an applier is given no other.
    reading = config.model_copy(update={"url": config.write_url or config.url})
    return LocalTarget(reading, client=LocalClient(config, engine), password=password, surroundings=surroundings)


class LocalTarget:
    """The district's tables for reading and writing; see `shared.ports.system.Target`."""

    def __init__(
        self, config: LocalConfig, *, client: LocalClient, password: Secret | None, surroundings: Surroundings
    ) -> None:
        self._config = config
        self._client = client
        self._password = password
        self._surroundings = surroundings
        is_file = config.url.startswith("sqlite:")
        # A file has one writer at a time; who waits here takes no lock and no connection.
        self._room = asyncio.Semaphore(1 if is_file else CONNECTIONS_MAX)
        # Writes of one moment go out in one transaction: what takes its time is the disk that confirms it.
        self._gathering: Gathering[Asked, Receipt] = Gathering(
            self._write, items_max=WRITES_PER_TRANSACTION, wait_seconds=0.0, sleep=surroundings.sleep
        )

    def columns(self, entity: str) -> Sequence[Column]:
        """The columns of an entity."""
        table_of(entity, code="SRC_CONFIG")
        return columns_of(entity)

    def read(self, entity: str) -> SqlReading:
        """A new reading; nothing is sent before it is iterated."""
        return self._source().read(entity)

    async def check(self) -> Sequence[Finding]:
        """As for a source, and whether the login may write."""
        findings = list(await self._source().check())
        if findings and findings[0].is_good:
            async with self._room:
                findings.append(await asyncio.to_thread(self._client.may_write))
        return findings

    async def close(self) -> None:
        """Gives connections back; may be called twice."""
        await self._gathering.close()
        await asyncio.to_thread(self._client.close)

    async def fetch(self, entity: str, *, target_id: str | None, key: str | None) -> Record | None:
        """One live row by its number or, when that is None, by our key; None when there is none."""
        return await self._done(lambda: self._client.fetch(entity, target_id=target_id, key=key))

    async def write(self, write: WireWrite, *, idempotency_key: str) -> Receipt:
        """Carries out one write once; a create that was done by the same change before is told as done."""
        place_of(write)
        asked = Asked(write, change=idempotency_key, moment=to_text(self._surroundings.clock.now()))
        await self._surroundings.pacer.turn("APL")
        return await self._gathering.put(asked)

    async def _write(self, asked: Sequence[Asked]) -> Sequence[Receipt | Exception]:
        return await self._done(lambda: self._client.write(asked), is_paced=True)

    async def _done(self, act: Callable[[], Answer], *, is_paced: bool = False) -> Answer:
        async with self._room:
            if not is_paced:
                await self._surroundings.pacer.turn("APL")
            began, outcome = self._surroundings.clock.monotonic_seconds(), "no answer"
            try:
                answer = await asyncio.to_thread(act)
                outcome = "done"
                return answer
            except TryLater as error:
                if error.failure.category == "rate_limited":
                    await self._surroundings.pacer.slow_down(error.retry_after_seconds)
                raise
            except (NeedsPerson, StopRun):
                outcome = "refused"
                raise
            except AetherError as error:
                outcome = "no answer" if error.failure.category == "unknown_outcome" else "refused"
                raise
            finally:
                seconds = self._surroundings.clock.monotonic_seconds() - began
                self._surroundings.meter.saw(use="APL", outcome=outcome, seconds=seconds)

    def _source(self) -> SqlSource:
        from systems.local.source import source_with

        return source_with(self._config, self._surroundings, password=self._password)

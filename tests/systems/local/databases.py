"""A database with the local tables in it, and what tests do to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import NullPool

from shared.ports.connections import Connection
from shared.ports.registry import Registry
from shared.ports.system import Receipt, Source, Target
from shared.ports.wire import ChangeVerb, Record
from systems.local.client import LocalClient
from systems.local.config import LocalConfig
from systems.local.layout import create_missing
from systems.local.target import LocalTarget
from systems.local.wire import build_wire
from tests.conformance.bench import Observed
from tests.support.systems import installed_systems

NAMES = iter(range(1, 10_000))
STUDENT: Record = {"student_id": "S1", "last_name": "Ash-Grove", "grade": "09", "birth_date": "2012-03-04"}


@dataclass
class Database:
    """One database with the tables in it."""

    url: str
    observed: Observed

    def run(self, *statements: str) -> Any:
        engine = create_engine(self.url, poolclass=NullPool)
        with engine.begin() as connection:
            results = [connection.execute(text(statement)) for statement in statements]
            rows = results[-1].fetchall() if results[-1].returns_rows else None
        engine.dispose()
        return rows

    def registry(self) -> Registry:
        return installed_systems(surroundings=self.observed.surroundings({}))

    def connection(self, **settings: Any) -> Connection:
        return Connection(
            name="local", system="local", environment="staging", settings={"url": self.url, "page_rows": 10, **settings}
        )

    def source(self, **settings: Any) -> Source:
        return self.registry().open_source(self.connection(**settings))

    def target(self, **settings: Any) -> LocalTarget:
        target = self.registry().open_target(self.connection(**settings))
        assert isinstance(target, LocalTarget)
        return target


def made(url: str) -> Database:
    engine = create_engine(url, poolclass=NullPool)
    create_missing(engine, LocalConfig(url=url))
    engine.dispose()
    return Database(url, Observed())


async def written(
    target: Target, verb: ChangeVerb, values: Record, *, row: str | None = None, change: str = "c1"
) -> Receipt:
    write = build_wire().write_for("students", verb=verb, target_id=row, values=values)
    return await target.write(write, idempotency_key=change)


async def rows_of(source: Source, entity: str = "students") -> list[dict[str, Any]]:
    reading = source.read(entity)
    rows = [row async for page in reading for row in page.rows.iter_rows(named=True)]
    assert reading.expected is not None
    assert reading.expected.rows == len(rows)
    return rows


def engine_of(target: LocalTarget) -> Engine:
    client: LocalClient = target._client
    return client._engine

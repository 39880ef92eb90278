"""What the benches of systems read over SQL share: a database in an SQLite file, and its systems opened over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

from sqlalchemy import MetaData, Table, create_engine, delete, insert

from shared.ports.connections import Connection
from tests.conformance.bench import Bench, Observed
from tests.support.systems import installed_systems

ROWS = 25
PAGE_ROWS = 10

Rows: TypeAlias = Mapping[Table, Sequence[Mapping[str, Any]]]


@asynccontextmanager
async def bench_of(
    *, system: str, entity: str, folder: Path, schemas: Iterable[MetaData], rows: Rows, sensitive: set[str]
) -> AsyncIterator[Bench]:
    """One entity that is read from the tables that `rows` fills."""
    url = f"sqlite:///{folder / 'data.db'}"
    engine = create_engine(url)
    with engine.begin() as connection:
        for schema in schemas:
            schema.create_all(connection)
        for table, values in rows.items():
            blank = dict.fromkeys(column.name for column in table.columns)
            connection.execute(insert(table), [{**blank, **row} for row in values])

    async def make_empty() -> None:
        def empty() -> None:
            with engine.begin() as connection:
                for table in rows:
                    connection.execute(delete(table))

        await asyncio.to_thread(empty)

    observed = Observed()
    registry = installed_systems(surroundings=observed.surroundings({}))
    source = registry.open_source(_connection(system, url))
    unreachable = registry.open_source(_connection(system, f"sqlite:///{folder / 'missing.db'}"))
    yield Bench(
        source=source,
        entity=entity,
        rows=ROWS,
        unreachable=unreachable,
        refused=None,
        make_empty=make_empty,
        sensitive=frozenset(sensitive),
        surroundings=observed,
    )
    await source.close()
    await unreachable.close()
    engine.dispose()


def _connection(system: str, url: str) -> Connection:
    settings = {"url": url, "page_rows": PAGE_ROWS}
    return Connection(name="database", system=system, environment="staging", settings=settings)

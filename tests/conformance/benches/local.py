"""Local tables on the bench: every entity, in an SQLite file with a few rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, delete, insert

from shared.ports.connections import Connection
from shared.ports.wire import Record, Value
from systems.local.config import LocalConfig
from systems.local.layout import create_missing, layout_of
from systems.local.tables import TABLES
from tests.conformance.bench import Bench, Observed, Writing
from tests.support.systems import installed_systems

ENTITIES = tuple(TABLES)
ROWS = 25
_SAMPLE: dict[str, Value] = {"text": "Ash-Grove", "boolean": True, "date": "2026-08-13"}
_OTHER: dict[str, Value] = {"text": "Changed", "boolean": True, "date": "2027-06-09"}


@asynccontextmanager
async def opened(entity: str, folder: Path) -> AsyncIterator[Bench]:
    """One entity of a database made for this test."""
    url = f"sqlite:///{folder / 'local.db'}"
    config = LocalConfig(url=url, create_tables=True)
    engine = create_engine(url)
    create_missing(engine, config)
    table = layout_of(config)[entity]
    key = TABLES[entity].key
    rows = [_row(entity, f"K{number}") for number in range(1, ROWS + 1)]
    with engine.begin() as connection:
        connection.execute(insert(table), [{**row, **_dated(entity, row)} for row in rows])

    async def make_empty() -> None:
        def empty() -> None:
            with engine.begin() as connection:
                connection.execute(delete(table))

        await asyncio.to_thread(empty)

    observed = Observed()
    registry = installed_systems(surroundings=observed.surroundings({}))
    source = registry.open_source(_connection(url))
    unreachable = registry.open_source(_connection(f"sqlite:///{folder / 'missing.db'}"))
    target = registry.open_target(_connection(url))
    yield Bench(
        source=source,
        entity=entity,
        rows=ROWS,
        unreachable=unreachable,
        refused=None,
        make_empty=make_empty,
        sensitive=frozenset({"Ash-Grove", "K17", "2026-08-13"}),
        surroundings=observed,
        writing=Writing(
            target=target,
            wire=registry.wire("local"),
            new=lambda number: _row(entity, f"N/{number} ü"),
            change={
                name: _OTHER[column.kind]
                for name, column in TABLES[entity].columns.items()
                if name not in (key, "active")
            },
            key=key,
            write_path=f"/{entity}",
        ),
    )
    for each in (source, unreachable, target):
        await each.close()
    engine.dispose()


def _connection(url: str) -> Connection:
    return Connection(name="local", system="local", environment="staging", settings={"url": url, "page_rows": 10})


def _row(entity: str, key: str) -> Record:
    described = TABLES[entity]
    return {**{name: _SAMPLE[column.kind] for name, column in described.columns.items()}, described.key: key}


def _dated(entity: str, row: Record) -> dict[str, Any]:
    from datetime import date

    columns = TABLES[entity].columns
    return {name: date.fromisoformat(str(value)) for name, value in row.items() if columns[name].kind == "date"}

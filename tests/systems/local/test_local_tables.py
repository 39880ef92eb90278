"""Making the local tables: only when asked for, only ever adding, by whoever comes first."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from shared.errors import NeedsPerson, StopRun
from systems.local.config import LocalConfig
from systems.local.layout import create_missing, layout_of, statements_of
from systems.local.tables import TABLES
from tests.conformance.bench import Observed
from tests.support.postgres import PostgresServer
from tests.systems.local.databases import (
    NAMES,
    STUDENT,
    Database,
    rows_of,
    written,
)


async def test_missing_tables_are_named_and_nothing_is_made_unasked(tmp_path: Path) -> None:
    path = tmp_path / "local.db"
    database = Database(f"sqlite:///{path}", Observed())
    with pytest.raises(NeedsPerson):
        await rows_of(database.source())
    assert not path.exists()
    database.run("select 1")  # makes an empty file
    with pytest.raises(StopRun, match="table students does not exist"):
        await rows_of(database.source())
    target = database.target()
    with pytest.raises(StopRun) as caught:
        await written(target, "create", STUDENT)
    assert caught.value.code == "APL_WRONG_SHAPE"
    await target.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_tables_are_made_when_asked_for_and_only_ever_added_to(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path / 'local.db'}"
    else:
        url = request.getfixturevalue("server").create_database(f"local_{next(NAMES)}")
    database = Database(url, Observed())
    assert await rows_of(database.source(create_tables=True, table_prefix="aether_")) == []
    database.run(
        "alter table aether_students drop column homeroom",
        "alter table aether_students add column office_note varchar(10)",
        "insert into aether_students (student_id, office_note) values ('S9', 'keep')",
    )
    target = database.target(create_tables=True, table_prefix="aether_")
    await written(target, "create", {**STUDENT, "homeroom": "1/H/52"})
    rows = {row["student_id"]: row for row in await rows_of(database.source(table_prefix="aether_"))}
    assert rows["S1"]["homeroom"] == "1/H/52"
    assert rows["S9"]["homeroom"] is None
    assert database.run("select office_note from aether_students where student_id = 'S9'") == [("keep",)]
    await target.close()


async def test_two_programs_may_make_the_tables_at_the_same_moment(server: PostgresServer) -> None:
    url = server.create_database(f"local_{next(NAMES)}")
    config = LocalConfig(url=url, create_tables=True)
    problems: list[BaseException] = []
    barrier = threading.Barrier(2)

    def make() -> None:
        engine = create_engine(url, poolclass=NullPool)
        barrier.wait()
        try:
            create_missing(engine, config)
        except Exception as problem:  # noqa: BLE001 - told by the test
            problems.append(problem)
        engine.dispose()

    threads = [threading.Thread(target=make) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert problems == []
    assert await rows_of(Database(url, Observed()).source()) == []


async def test_an_administrator_can_make_the_tables_by_hand(server: PostgresServer) -> None:
    database = Database(server.create_database(f"local_{next(NAMES)}"), Observed())
    engine = create_engine(database.url, poolclass=NullPool)
    database.run(*statements_of(LocalConfig(url=database.url), engine))
    engine.dispose()
    for entity in TABLES:
        assert await rows_of(database.source(), entity) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "mssql://u@h/d"},
        {"url": "sqlite:////a.db", "write_url": "postgresql+psycopg://u@h/d"},
        {"url": "sqlite:////a.db", "table_prefix": "x; drop"},
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"kept in SQLite or PostgreSQL|another kind|pattern"):
        LocalConfig.model_validate(settings)


def test_names_in_the_database_are_those_of_the_tables() -> None:
    layout = layout_of(LocalConfig(url="sqlite:////a.db", table_prefix="aether_"))
    assert {table.name for table in layout.values()} == {f"aether_{entity}" for entity in TABLES}


def test_writing_needs_no_columnar_engine() -> None:
    program = (
        "import sys; sys.modules['polars'] = None\n"
        "import systems.local.target, systems.local.wire, systems.local.entities, systems.aeries_sql.entities\n"
        "import systems.ocde_hr_sql.entities\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr

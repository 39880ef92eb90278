"""Every page and every answer over PostgreSQL, asked with the roles of a real house, is what it is over SQLite."""

from __future__ import annotations

import asyncio
import difflib
import re
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import MetaData, create_engine, delete, insert, select

from deploy.postgres.databases import make
from deploy.postgres.migrate import migrate
from deploy.postgres.roles import CONSOLE_READER, all_roles, database_of
from shared.asking.profiles import load_profile
from shared.audit import tables
from shared.clock import SystemClock
from tests.console.altering import run_in
from tests.console.every_route import ROLES, Route, close, filled_from, routes, whole_console
from tests.console.harness import CSRF, ConsoleUnderTest
from tests.support.postgres import PostgresServer, start_postgres

AUDITOR, CONSOLE = database_of("auditor"), database_of("console")
STATES = ("planned", "rejected", "superseded", "succeeded", "no_changes", "awaiting_approval")
"""Runs that the played house has."""
ASKED_OTHERWISE = (
    "/runs?text=titanhst",
    "/runs?text=nothing-of-that-name",
    "/runs?status=succeeded",
    "/runs?connector=titanhst-staff&mode=apply",
    "/runs/{run}/plan?by=cohort",
    "/runs/{run}/plan?by=alike",
    "/runs/{run}/plan?by=entity",
    "/runs/{run}/plan?change_class=update&text=a",
    "/runs/{run}/plan?text=100%25_",
    "/runs/{run}/plan?text=nothing-of-that-name",
    "/runs/{run}/plan?offset=7",
    "/api/v1/runs/{run}/plan/changes?change_class=update&limit=3&offset=2",
    "/api/v1/runs/{run}/plan/changes?text=%27%22%5C",
    "/api/v1/runs/{run}/plan/groups?by=cohort",
    "/api/v1/runs?limit=2",
    "/audit?type=aether.run.state.v1",
    "/audit?run={run}",
    "/audit?actor=operator",
    "/audit?before=30",
    "/api/v1/audit/entries?actor=approver&limit=5",
)
"""Pages with filters, which are questions of their own to the database."""
EVERY_TIME_ANOTHER = re.compile(r'nonce="[^"]*"|name="csrf" value="[^"]*"|delay:\d+ms')
"""Of a page that is asked for twice."""


class StandingClock(SystemClock):
    """Says one moment for ever, so that how long ago something was is the same on every page."""

    def __init__(self) -> None:
        self._moment = super().now()

    def now(self) -> datetime:
        """That moment."""
        return self._moment


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, house_data: Path) -> Iterator[PostgresServer]:
    """A server with the roles of a house, and in the auditor's database what the played house recorded."""
    with start_postgres(tmp_path_factory.mktemp("postgres")) as running:
        make(
            f"postgresql://postgres@127.0.0.1:{running.port}/postgres",
            {role: f"password-of-{role}" for role in all_roles()},
        )
        for database in (AUDITOR, CONSOLE):
            asyncio.run(migrate(database.service, _url(running, database.owner, database.name)))
        _copy(tables.metadata, house_data / "auditor.db", _url(running, AUDITOR.owner, AUDITOR.name))
        yield running


def _copy(known: MetaData, file: Path, url: str) -> None:
    """All rows of these tables; those that are not there are made."""
    there, here = create_engine(f"sqlite:///{file}"), create_engine(url)
    if not known.tables:
        known.reflect(there)
    with there.connect() as record, here.begin() as copy:
        known.create_all(copy)
        for table in known.sorted_tables:
            if table.name not in tables.APPEND_ONLY:
                copy.execute(delete(table))  # migrations put rows into some
            if rows := [dict(row) for row in record.execute(select(table)).mappings()]:
                copy.execute(insert(table), rows)
    there.dispose()
    here.dispose()


def _url(server: PostgresServer, user: str, database: str) -> str:
    return f"postgresql+psycopg://{user}@127.0.0.1:{server.port}/{database}"


@pytest.fixture
async def both(
    house_data: Path, tmp_path: Path, server: PostgresServer
) -> AsyncIterator[tuple[ConsoleUnderTest, ConsoleUnderTest]]:
    """A console over SQLite and one over PostgreSQL, which reads the record with the role that can only read."""
    folders = tmp_path / "sqlite", tmp_path / "postgresql"
    for folder in folders:
        folder.mkdir()
    clock = StandingClock()
    plain = await whole_console(house_data, folders[0], clock=clock)
    local = server.create_database(f"local_{tmp_path.name[-20:].replace('-', '_').lower()}")
    await asyncio.to_thread(_copy, MetaData(), folders[0] / "local.db", local)
    other = await whole_console(
        house_data,
        folders[1],
        clock=clock,
        audit_database_url=_url(server, CONSOLE_READER, AUDITOR.name),
        database_url=_url(server, CONSOLE.role, CONSOLE.name),
        local_database_url=local,
    )
    yield plain, other
    await close(plain)
    await close(other)


async def test_pages_and_answers_are_the_same(
    both: tuple[ConsoleUnderTest, ConsoleUnderTest], house_data: Path
) -> None:
    record = house_data / "auditor.db"
    filled = filled_from(record)
    asked = [route for route in routes(record) if route.method == "GET" and "/provider" not in route.path]
    asked += [Route(f"GET {path}", path.format_map(filled)) for path in ASKED_OTHERWISE]
    for state in STATES:
        run = run_in(record, state)
        asked += [Route(f"GET of {state}", f"/runs/{run}{rest}") for rest in ("", "/plan", "/plan?by=cohort")]
    faults, compared = [], 0
    async with both[0].as_person("anna", *ROLES) as here, both[1].as_person("anna", *ROLES) as there:
        for route in asked:
            left, right = [await route.ask(browser) for browser in (here, there)]
            texts = [EVERY_TIME_ANOTHER.sub("", answer.text) for answer in (left, right)]
            if texts[0] != texts[1]:
                lines = difflib.unified_diff(texts[0].splitlines(), texts[1].splitlines(), lineterm="", n=0)
                faults.append("\n".join([route.path, *list(lines)[:8]]))
            if left.status_code != right.status_code or right.status_code >= 500:
                faults.append(f"{route.path}: {left.status_code} and {right.status_code}")
            compared += right.status_code == 200
    assert not faults, "\n".join(faults)
    assert compared > 60, compared


async def test_log_is_verified_over_postgresql(
    both: tuple[ConsoleUnderTest, ConsoleUnderTest], house_data: Path
) -> None:
    key = load_profile(house_data, "auditor").verifier_key
    assert key is not None
    said = []
    for made in both:
        made.acting.keys["verifier"] = key
        async with made.as_person("audra", "auditor") as browser:
            assert (await browser.post("/audit/verify", data={"csrf": CSRF})).status_code == 303
            await made.console.verifying.ended()
            answer = (await browser.get("/api/v1/audit/verification")).json()
            said.append({name: value for name, value in answer.items() if not name.endswith("_at")})
    assert said[0] == said[1]
    assert said[1]["state"] == "done" and said[1]["report"]["is_proven"] is True, said[1]

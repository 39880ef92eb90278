"""The local tables on a real PostgreSQL and in SQLite: what the suites cannot show without an HTTP vendor.

Reading and writing go through the registry, as in the programs; trouble is made on the database itself.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection as SqlConnection
from sqlalchemy import create_engine, event, text
from sqlalchemy.pool import NullPool

from shared.errors import AetherError, NeedsPerson, OutcomeUnknown, RecordRefused, StopRun, TargetMoved, TryLater
from shared.ports.system import Receipt
from shared.ports.wire import Record, WireWrite
from shared.sql_reading.reading import SqlReading
from tests.systems.local.databases import (
    NAMES,
    STUDENT,
    Database,
    engine_of,
    made,
    rows_of,
    written,
)

# --- one record, its life -------------------------------------------------------------------------------------------


async def test_a_record_lives_and_a_list_shows_it_as_it_is_fetched(database: Database) -> None:
    target = database.target()
    receipt = await written(target, "create", STUDENT)
    await written(target, "update", {"grade": "10", "email": None}, row=receipt.target_id, change="c2")
    await written(target, "suspend", {}, row=receipt.target_id, change="c3")
    one = await target.fetch("students", target_id=receipt.target_id, key=None)
    assert one is not None
    assert one == await target.fetch("students", target_id=None, key="S1")
    assert await rows_of(database.source()) == [dict(one)]
    assert (one["grade"], one["birth_date"], one["active"], one["target_id"]) == ("10", "2012-03-04", False, "1")
    await written(target, "delete", {}, row=receipt.target_id, change="c4")
    assert await target.fetch("students", target_id=None, key="S1") is None
    await target.close()


async def test_a_row_number_is_never_given_again(database: Database) -> None:
    target = database.target()
    first = await written(target, "create", STUDENT)
    await written(target, "delete", {}, row=first.target_id, change="c2")
    second = await written(target, "create", STUDENT, change="c3")
    assert first.target_id != second.target_id
    with pytest.raises(TargetMoved):
        await written(target, "update", {"grade": "10"}, row=first.target_id, change="c4")
    await target.close()


async def test_a_create_sent_again_is_known_and_another_one_is_a_conflict(database: Database) -> None:
    target = database.target()
    first = await written(target, "create", STUDENT, change="c1")
    again = await written(target, "create", STUDENT, change="c1")
    assert again.target_id == first.target_id
    with pytest.raises(TargetMoved) as caught:
        await written(target, "create", {**STUDENT, "grade": "12"}, change="c2")
    assert caught.value.code == "APL_CONFLICT"
    assert len(await rows_of(database.source())) == 1
    await target.close()


async def test_one_write_is_one_statement(database: Database) -> None:
    target = database.target()
    statements: list[str] = []

    def seen(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement.split(maxsplit=1)[0].upper())

    event.listen(engine_of(target), "before_cursor_execute", seen)
    receipt = await written(target, "create", STUDENT)
    await written(target, "update", {"grade": "10"}, row=receipt.target_id, change="c2")
    await written(target, "delete", {}, row=receipt.target_id, change="c3")
    assert [each for each in statements if each != "BEGIN"] == ["INSERT", "UPDATE", "DELETE"]
    await target.close()


async def test_rows_of_others_are_shown_and_left_alone(database: Database) -> None:
    database.run("insert into students (last_name) values ('Of the office')")
    target = database.target()
    await written(target, "create", STUDENT)
    rows = await rows_of(database.source())
    assert [(row["student_id"], row["last_name"]) for row in rows] == [(None, "Of the office"), ("S1", "Ash-Grove")]
    await target.close()


# --- outcomes -------------------------------------------------------------------------------------------------------


async def test_connection_that_breaks_before_the_commit_has_done_nothing(postgres: Database) -> None:
    target = postgres.target()
    engine = engine_of(target)

    is_cut = False

    def cut(connection: SqlConnection, *_: Any) -> None:
        nonlocal is_cut
        if is_cut:
            return
        is_cut = True
        (number,) = connection.exec_driver_sql("select pg_backend_pid()").one()
        postgres.run(f"select pg_terminate_backend({number})")

    event.listen(engine, "before_execute", cut)
    with pytest.raises(TryLater) as caught:
        await written(target, "create", STUDENT)
    assert caught.value.code == "APL_UNREACHABLE"
    assert await target.fetch("students", target_id=None, key="S1") is None
    await target.close()


@pytest.mark.parametrize("is_done", [False, True])
async def test_connection_that_breaks_at_the_commit_leaves_the_outcome_unknown(
    postgres: Database, is_done: bool
) -> None:
    target = postgres.target()
    engine = engine_of(target)

    is_cut = False

    def cut(connection: SqlConnection) -> None:
        nonlocal is_cut
        if is_cut:
            return
        is_cut = True
        (number,) = connection.exec_driver_sql("select pg_backend_pid()").one()
        if is_done:  # the answer is what gets lost, not the commit: another one is sent into the broken connection
            connection.connection.dbapi_connection.commit()  # type: ignore[union-attr] # it is open here
            connection.exec_driver_sql("select 1")
        postgres.run(f"select pg_terminate_backend({number})")

    event.listen(engine, "commit", cut)
    with pytest.raises(OutcomeUnknown) as caught:
        await written(target, "create", STUDENT)
    assert caught.value.code == "APL_UNKNOWN_OUTCOME"
    live = await target.fetch("students", target_id=None, key="S1")
    assert (live is not None) is is_done
    # Looking first, then sending again, makes it so either way.
    await written(target, "create", STUDENT)
    assert len(await rows_of(postgres.source())) == 1
    await target.close()


async def test_a_file_locked_by_another_program_is_tried_later(tmp_path: Path) -> None:
    database = made(f"sqlite:///{tmp_path / 'local.db'}")
    target = database.target(statement_timeout_seconds=1)
    other = create_engine(database.url, poolclass=NullPool).connect()
    other.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        with pytest.raises(TryLater) as caught:
            await written(target, "create", STUDENT)
        assert caught.value.code == "APL_UNREACHABLE"
    finally:
        other.exec_driver_sql("ROLLBACK")
        other.close()
    await written(target, "create", STUDENT)
    await target.close()


async def test_a_row_locked_by_another_program_is_waited_for_no_longer_than_told(postgres: Database) -> None:
    target = postgres.target(statement_timeout_seconds=1)
    receipt = await written(target, "create", STUDENT)
    other = create_engine(postgres.url, poolclass=NullPool).connect()
    other.execute(text("select * from students for update")).all()
    try:
        async with asyncio.timeout(15):
            with pytest.raises(TryLater):
                await written(target, "update", {"grade": "10"}, row=receipt.target_id, change="c2")
    finally:
        other.close()
    await target.close()


async def test_what_the_database_refuses_is_one_record_refused_and_never_shown(postgres: Database) -> None:
    postgres.run("alter table students add constraint grades check (grade <> '13')")
    target = postgres.target()
    for values in (
        {**STUDENT, "grade": "13"},
        {**STUDENT, "last_name": "Ash-Grove" * 20},
        {**STUDENT, "birth_date": "Ash-Grove"},
        {**STUDENT, "active": "Ash-Grove"},
        {**STUDENT, "last_name": "Ash\0Grove"},
    ):
        with pytest.raises(RecordRefused) as caught:
            await written(target, "create", values)
        assert caught.value.code == "APL_REFUSED_RECORD"
        assert "Ash" not in str(caught.value)
    assert await rows_of(postgres.source()) == []
    await target.close()


async def test_text_too_long_for_its_column_is_refused_where_the_database_would_take_it(tmp_path: Path) -> None:
    target = made(f"sqlite:///{tmp_path / 'local.db'}").target()
    with pytest.raises(RecordRefused, match="column grade: 11 characters, allowed 10"):
        await written(target, "create", {**STUDENT, "grade": "x" * 11})
    await target.close()


async def test_value_is_never_taken_for_sql(database: Database) -> None:
    target = database.target()
    name = "'); drop table students; --"
    await written(target, "create", {**STUDENT, "last_name": name})
    (row,) = await rows_of(database.source())
    assert row["last_name"] == name
    await target.close()


async def test_writes_of_one_moment_go_out_in_one_transaction_and_a_refused_one_leaves_the_others(
    database: Database,
) -> None:
    target = database.target()
    await written(target, "create", {**STUDENT, "student_id": "S0"}, change="c0")
    commits = 0

    def count(_connection: SqlConnection) -> None:
        nonlocal commits
        commits += 1

    event.listen(engine_of(target), "commit", count)
    asked: list[Record] = [{**STUDENT, "student_id": f"S{n}"} for n in range(20)]  # S0 is there already
    asked[7] = {**STUDENT, "student_id": "S7", "grade": "x" * 11}
    answers = await asyncio.gather(
        *(written(target, "create", values, change=f"c{n + 100}") for n, values in enumerate(asked)),
        return_exceptions=True,
    )
    assert [n for n, answer in enumerate(answers) if not isinstance(answer, Receipt)] == [0, 7]
    assert isinstance(answers[0], TargetMoved)
    assert isinstance(answers[7], RecordRefused)
    assert commits <= 3
    rows = {row["student_id"]: row["target_id"] for row in await rows_of(database.source())}
    assert set(rows) == {f"S{n}" for n in range(20)} - {"S7"}
    assert all(rows[f"S{n}"] == answer.target_id for n, answer in enumerate(answers) if isinstance(answer, Receipt))
    await target.close()


# --- logins, limits, crowds -----------------------------------------------------------------------------------------


def reader(postgres: Database, *, options: str = "") -> str:
    """The address of a login of its own that may read, and its name."""
    name = f"reader_{next(NAMES)}"
    postgres.run(f"create role {name} login {options}", f"grant select on all tables in schema public to {name}")
    return postgres.url.replace("postgres@", f"{name}@")


async def test_login_that_may_only_read_cannot_write_and_check_says_so(postgres: Database) -> None:
    target = postgres.target(url=reader(postgres))
    with pytest.raises(NeedsPerson) as caught:
        await written(target, "create", STUDENT)
    assert caught.value.code == "APL_AUTH"
    findings = await target.check()
    assert [finding.subject for finding in findings if not finding.is_good] == ["permission"]
    owner = postgres.target()
    assert all(finding.is_good for finding in await owner.check())
    await owner.close()
    await target.close()


async def test_reading_and_writing_have_logins_of_their_own(postgres: Database) -> None:
    target = postgres.target(url=reader(postgres), write_url=postgres.url)
    await written(target, "create", STUDENT)
    assert len(await rows_of(postgres.source(url=reader(postgres), write_url="postgresql+psycopg://x@y/z"))) == 1
    await target.close()


async def test_login_that_is_taken_away_half_way_is_told(postgres: Database) -> None:
    url = reader(postgres)
    name = url.split("//")[1].split("@")[0]
    target, source = postgres.target(url=url), postgres.source(url=url)
    assert await rows_of(source) == []
    postgres.run(
        f"alter role {name} nologin", f"select pg_terminate_backend(pid) from pg_stat_activity where usename = '{name}'"
    )
    with pytest.raises(NeedsPerson) as caught:
        await rows_of(source)
    assert caught.value.code == "SRC_AUTH"
    with pytest.raises(NeedsPerson) as caught:
        await target.fetch("students", target_id="1", key=None)
    assert caught.value.code == "APL_AUTH"
    await target.close()


async def test_crowded_database_is_left_alone_for_a_while_and_the_others_are_told(postgres: Database) -> None:
    url = reader(postgres, options="connection limit 0")
    target, source = postgres.target(url=url), postgres.source(url=url)
    with pytest.raises(TryLater) as caught:
        await rows_of(source)
    assert caught.value.code == "SRC_RATE_LIMITED"
    with pytest.raises(TryLater) as caught:
        await written(target, "create", STUDENT)
    assert caught.value.code == "APL_RATE_LIMITED"
    assert len(postgres.observed.slowed) == 2
    await target.close()


async def test_many_writes_at_once_use_few_connections(postgres: Database) -> None:
    target = postgres.target()
    most = 0

    def count() -> None:
        nonlocal most
        (row,) = postgres.run(
            "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        )
        most = max(most, row[0])

    writes = [
        asyncio.create_task(written(target, "create", {**STUDENT, "student_id": f"S{n}"}, change=f"c{n}"))
        for n in range(40)
    ]
    await asyncio.to_thread(count)
    await asyncio.gather(*writes)
    await asyncio.to_thread(count)
    assert most <= 4
    assert len(await rows_of(postgres.source())) == 40
    await target.close()


async def test_a_reading_stops_at_its_limit_of_rows(database: Database) -> None:
    database.run("insert into students (student_id) values ('a'), ('b'), ('c')")
    source: Any = database.source()
    reading = SqlReading(source._entity("students"), engine=source._engine, settings=source._settings, rows_max=2)
    with pytest.raises(StopRun) as caught:
        assert [page async for page in reading]
    assert caught.value.code == "SRC_INCOMPLETE"
    await source.close()


async def test_rows_that_come_while_a_list_is_read_are_not_seen_by_it(database: Database) -> None:
    if database.url.startswith("sqlite"):
        database.run("pragma journal_mode = wal")
    database.run("insert into students (student_id) values " + ", ".join(f"('S{n}')" for n in range(25)))
    reading = database.source().read("students")
    seen = 0
    async for page in reading:
        if page.number == 1:
            await asyncio.to_thread(
                database.run,
                "insert into students (student_id) values ('late')",
                "delete from students where student_id = 'S24'",
            )
        seen += page.rows.height
    assert reading.expected is not None
    assert reading.expected.rows == seen == 25


async def test_a_write_that_no_plan_holds_is_not_sent(database: Database) -> None:
    target = database.target()
    for write in (WireWrite("INSERT", "/pupils", {}), WireWrite("UPDATE", "/students/1", {"row_id": 2})):
        with pytest.raises(AetherError):
            await target.write(write, idempotency_key="c1")
    await target.close()

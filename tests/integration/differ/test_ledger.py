"""The differ's memory of records, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from services.differ.comparing import Memory
from services.differ.ledger import Ledger
from services.differ.memory import Deferral
from tests.integration.differ.memories import DAY, OTHER, SCOPE, applied, drafted, run_id, written
from tests.support.postgres import PostgresServer
from tests.unit.plan.plan_builder import ENTITY, NOW

# --- what was written -----------------------------------------------------------------------------------------------


async def test_what_was_written_is_found_by_key_and_later_fields_are_added(ledger: Ledger) -> None:
    await ledger.remember_applied(applied(1, [written("E1", email="a", role="b"), written("E2")]))
    await ledger.remember_applied(applied(2, [written("E1", email="c")]))
    many = [f"K{number}" for number in range(5000)]
    found = await ledger.recall(SCOPE, [*many, "E1", "E2"])
    assert found == {
        "E1": Memory(key="E1", target_id="c-E1", written={"email": "c", "role": "b"}),
        "E2": Memory(key="E2", target_id="c-E2"),
    }
    assert await ledger.recall(OTHER, ["E1"]) == {}


async def test_an_older_run_told_late_overwrites_nothing(ledger: Ledger) -> None:
    await ledger.remember_applied(applied(2, [written("E1", email="new")]))
    await ledger.remember_applied(
        applied(1, [written("E1", "c-old", email="old"), replace(written("E1"), is_gone=True)])
    )
    assert (await ledger.recall(SCOPE, ["E1"]))["E1"] == Memory(key="E1", target_id="c-E1", written={"email": "new"})
    await ledger.remember_rows("staff", {(ENTITY, "person"): 20}, run=run_id(2))
    await ledger.remember_rows("staff", {(ENTITY, "person"): 10}, run=run_id(1))
    assert await ledger.rows_accepted("staff") == {(ENTITY, "person"): 20}
    await ledger.remember_rows("staff", {(ENTITY, "person"): 30}, run=run_id(3))
    assert await ledger.rows_accepted("staff") == {(ENTITY, "person"): 30}


async def test_a_target_record_has_the_key_that_it_was_given_last(ledger: Ledger) -> None:
    await ledger.remember_applied(applied(1, [written("E1", "c-1", email="a"), written("E2", "c-2")]))
    assert await ledger.linked(SCOPE, ["c-1", "c-2", "c-3"]) == {"c-1": "E1", "c-2": "E2"}
    await ledger.remember_applied(applied(2, [written("E9", "c-1", external_id="x")]))
    assert await ledger.linked(SCOPE, ["c-1", "c-2"]) == {"c-1": "E9", "c-2": "E2"}
    assert set(await ledger.recall(SCOPE, ["E1", "E2", "E9"])) == {"E2", "E9"}


async def test_a_create_links_its_key_once_the_id_is_known_and_an_update_keeps_it(ledger: Ledger) -> None:
    await ledger.remember_applied(applied(1, [written("E1", "c-1", email="a")]))
    await ledger.remember_applied(applied(2, [written("E1", None, email="b")]))
    assert (await ledger.recall(SCOPE, ["E1"]))["E1"].target_id == "c-1"


async def test_a_deleted_record_is_forgotten_with_its_misses(ledger: Ledger) -> None:
    await ledger.remember_applied(applied(1, [written("E1", email="a"), written("E2", email="a")]))
    await ledger.remember_draft(drafted(2, missed=["E1", "E2"]))
    await ledger.remember_applied(applied(2, [replace(written("E1"), is_gone=True)]))
    assert set(await ledger.recall(SCOPE, ["E1", "E2"])) == {"E2"}


async def test_clause_of_a_field_is_that_of_its_last_writing(ledger: Ledger) -> None:
    first = replace(written("E1", email="a", role="b"), clauses={"email": "v1", "role": "v1"})
    await ledger.remember_applied(applied(1, [first]))
    await ledger.remember_applied(applied(2, [replace(written("E1", email="c"), clauses={"email": "v2"})]))
    assert (await ledger.recall(SCOPE, ["E1"]))["E1"].clauses == {"email": "v2", "role": "v1"}
    # Written by a release that is not known any more: better no clause than that of an older value.
    await ledger.remember_applied(applied(3, [written("E1", role="d")]))
    assert (await ledger.recall(SCOPE, ["E1"]))["E1"].clauses == {"email": "v2"}


async def test_a_change_put_off_is_remembered_until_the_record_is_written(ledger: Ledger) -> None:
    put_off = [Deferral(entity=ENTITY, key="E1", change_id=f"change {n}") for n in (1, 2)]
    await ledger.remember_applied(applied(1, deferred=put_off[:1]))
    await ledger.remember_applied(applied(2, deferred=put_off[1:]))
    found = (await ledger.recall(SCOPE, ["E1"]))["E1"]
    assert found == Memory(key="E1", deferred=frozenset({"change 1", "change 2"}))
    await ledger.remember_applied(applied(3, [written("E1", email="a")]))
    assert (await ledger.recall(SCOPE, ["E1"]))["E1"].deferred == frozenset()


async def test_a_hold_stays_until_the_record_is_written(ledger: Ledger) -> None:
    await ledger.remember_applied(applied(1, [written("E1", email="a")]))
    await ledger.hold(SCOPE, {"E1": {"email": "b"}, "E2": {}}, run=run_id(2))
    found = await ledger.recall(SCOPE, ["E1", "E2"])
    assert (found["E1"].held_against, found["E1"].written) == ({"email": "b"}, {"email": "a"})
    assert found["E2"].held_against == {}  # held against its being missing, which is not the same as not held
    await ledger.remember_applied(applied(3, [written("E1", email="c")]))
    assert (await ledger.recall(SCOPE, ["E1"]))["E1"].held_against is None


async def test_many_records_are_written_and_found(ledger: Ledger) -> None:
    many = [written(f"E{number}", email=str(number)) for number in range(12_000)]
    await ledger.remember_applied(applied(1, many))
    found = await ledger.recall(SCOPE, [one.key for one in many])
    assert len(found) == 12_000
    assert found["E11999"].written == {"email": "11999"}
    assert len(await ledger.linked(SCOPE, [f"c-E{number}" for number in range(12_000)])) == 12_000


# --- what is missed -------------------------------------------------------------------------------------------------


async def strikes(ledger: Ledger, *keys: str) -> dict[str, int]:
    return {key: memory.strikes for key, memory in (await ledger.recall(SCOPE, keys)).items() if memory.strikes}


async def test_a_miss_counts_once_a_run_and_far_enough_behind_the_last(ledger: Ledger) -> None:
    await ledger.remember_draft(drafted(1, missed=["E1"], at=NOW))
    await ledger.remember_draft(drafted(1, missed=["E1"], at=NOW))
    assert await strikes(ledger, "E1") == {"E1": 1}
    await ledger.remember_draft(drafted(2, missed=["E1"], at=NOW + DAY * 0.99))
    assert await strikes(ledger, "E1") == {"E1": 1}
    await ledger.remember_draft(drafted(3, missed=["E1", "E2"], at=NOW + DAY))
    await ledger.remember_draft(drafted(3, missed=["E1", "E2"], at=NOW + 3 * DAY))  # told again, and later
    assert await strikes(ledger, "E1", "E2") == {"E1": 2, "E2": 1}
    assert (await ledger.recall(SCOPE, ["E1"]))["E1"].last_strike_at == NOW + DAY


async def test_a_record_that_is_there_again_begins_anew(ledger: Ledger) -> None:
    await ledger.remember_draft(drafted(1, missed=["E1", "E2", "E3"]))
    # E1 is back; E2 is in quarantine, so nothing is known of it.
    await ledger.remember_draft(drafted(2, missed=["E3"], unknown=["E2"]))
    assert await strikes(ledger, "E1", "E2", "E3") == {"E2": 1, "E3": 2}
    await ledger.remember_draft(drafted(3, missed=["E1", "E2", "E3"]))
    assert await strikes(ledger, "E1", "E2", "E3") == {"E1": 1, "E2": 2, "E3": 3}


async def test_a_read_without_certificate_counts_no_miss_and_forgets_none(ledger: Ledger) -> None:
    await ledger.remember_draft(drafted(1, missed=["E1", "E2"]))
    await ledger.remember_draft(drafted(2, unknown=["E1", "E2"], certified=False))
    assert await strikes(ledger, "E1", "E2") == {"E1": 1, "E2": 1}
    assert (await ledger.history(SCOPE, run=run_id(9), now=NOW + 9 * DAY)).certified_runs == 1


async def test_misses_of_one_connector_are_none_of_another(ledger: Ledger) -> None:
    students = replace(SCOPE, connector="students")
    await ledger.remember_draft(drafted(1, missed=["E1"]))
    await ledger.remember_draft(drafted(2, scope=students))
    assert await strikes(ledger, "E1") == {"E1": 1}
    assert await ledger.recall(students, ["E1"]) == {}


async def test_suspended_since_is_when_it_was_first_seen_and_ends_with_the_suspension(ledger: Ledger) -> None:
    async def since(key: str) -> object:
        return (await ledger.recall(SCOPE, [key]))[key].suspended_since

    await ledger.remember_draft(drafted(1, missed=["E1", "E2"], suspended=["E1"]))
    await ledger.remember_draft(drafted(2, missed=["E1", "E2"], suspended=["E1"]))
    assert (await since("E1"), await since("E2")) == (NOW + DAY, None)
    await ledger.remember_draft(drafted(3, missed=["E1", "E2"]))  # somebody woke it up
    assert await since("E1") is None
    await ledger.remember_applied(applied(3, [replace(written("E2"), is_suspended=True)], at=NOW + 4 * DAY))
    assert await since("E2") == NOW + 4 * DAY
    await ledger.remember_draft(drafted(5, missed=["E1", "E2"], suspended=["E2"]))
    assert await since("E2") == NOW + 4 * DAY


# --- replicas -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_replicas_that_start_together_all_find_their_tables(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if kind == "sqlite":
        urls = [f"sqlite+aiosqlite:///{tmp_path / f'{number}.db'}" for number in range(20)]
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        urls = [server.create_database(f"together_{number}") for number in range(5)]
    for url in urls:
        replicas = [Ledger(url) for _ in range(4)]
        await asyncio.gather(*(replica.prepare() for replica in replicas))
        await replicas[0].remember_rows("staff", {(ENTITY, "person"): 20}, run=run_id(1))
        assert await replicas[3].rows_accepted("staff") == {(ENTITY, "person"): 20}
        for replica in replicas:
            await replica.close()


async def test_replicas_that_draft_the_same_plan_at_once_count_it_once(ledger: Ledger) -> None:
    await asyncio.gather(*(ledger.remember_draft(drafted(1, missed=["E1"])) for _ in range(5)))
    assert await strikes(ledger, "E1") == {"E1": 1}
    assert (await ledger.history(SCOPE, run=run_id(9), now=NOW)).certified_runs == 1

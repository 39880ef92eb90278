"""Plans in the auditor's database: whole or not at all, masked, the same as the pages say, and found again."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import func, select

from services.auditor.listing import PlanListing
from services.auditor.plans import PlanViews, chosen
from services.auditor.store import Store, WriterFenced
from shared.audit import tables
from shared.audit.lookups import Lookups
from shared.audit.plan_lookups import OPEN, PlanFilter, PlanLookups
from shared.events import facts, queries
from shared.plan.change import ChangeClass
from shared.run.counts import NineCounts
from shared.run.state import PlanSummary
from shared.run.states import RunStatus
from tests.integration.auditor.house import House, new_run, run_state
from tests.integration.auditor.plans import (
    MAIL,
    SECRET,
    aside,
    change,
    pages_of,
    plan_of,
    plan_on_the_bus,
    publish,
)
from tests.support.bus import until

PLAN_TABLES = (tables.plan_review, tables.plan_change, tables.plan_change_body, tables.plan_aside)
CHANGES = [
    *(change(number) for number in range(6)),
    change(6, ChangeClass.CREATE),
    change(7, ChangeClass.CREATE),
    change(8, ChangeClass.DELETE),
    change(9, key=MAIL),
    change(10, key=SECRET),
]


async def until_listed(store: Store, run: str) -> None:
    async def is_listed() -> bool:
        review = await Lookups(store.engine).review(run)
        return review is not None and review.is_listed

    await until(is_listed)


async def rows_of(store: Store) -> str:
    async with store.engine.connect() as connection:
        found = [str(tuple(row)) for table in PLAN_TABLES for row in await connection.execute(select(table))]
    return "\n".join(found)


async def conclude(house: House, run: str, number: int, result: facts.Result, code: str | None = None) -> None:
    change_id = change(number).change_id
    outcome = facts.OutcomeRecorded(run=run, change_id=change_id, fencing_token=1, result=result, code=code)
    await house.say(outcome, facts.change_subject(run, change_id), run, service="applier")


async def test_a_listed_plan_answers_as_its_pages_do_and_holds_no_personal_value(house: House) -> None:
    run = new_run()
    auditor = await house.auditor()
    await plan_on_the_bus(house, run, CHANGES, asides=(aside(1), aside(2, key=MAIL)), excluded=(change(5),))
    await until_listed(house.store, run)
    viewed = await PlanViews(house.writers["differ"]).of_run(run)
    assert viewed is not None
    plans = PlanLookups(house.store.engine)
    for wanted in (
        PlanFilter(),
        PlanFilter(change_class="create"),
        PlanFilter(cohort="site=11"),
        PlanFilter(text="1003"),
        PlanFilter(text="nothing of it"),
        PlanFilter(alike=viewed.changes[0].alike),
        PlanFilter(entity="staff", text="12"),
        PlanFilter(entity="students"),
    ):
        listed, total = await plans.changes(run, wanted, offset=0, limit=50)
        expected = chosen(viewed, viewed.changes, wanted)
        assert [one.change_id for one in listed] == [one.change_id for one in expected], wanted
        assert total == len(expected)
        # But for what the plan set aside, which the answer adds, they are the same to the last field.
        assert [one.model_copy(update={"result": None, "code": None}) for one in listed] == expected
    held = await rows_of(house.store)
    assert SECRET not in held and MAIL not in held and SECRET.lower() not in held
    answer = queries.PlanAnswer.model_validate_json(
        await house.ask(auditor, "plan", f'{{"run":"{run}","text":"1005"}}')
    )
    (excluded,) = answer.changes
    assert (excluded.result, excluded.code, answer.excluded, answer.total) == ("quarantined", "GRD_LIMIT", 1, 1)
    assert answer.left_out == {"DIF_PROTECTED": 2}


async def test_pages_of_a_listed_plan_follow_each_other_without_gaps(house: House) -> None:
    run = new_run()
    await house.auditor()
    await plan_on_the_bus(house, run, CHANGES)
    await until_listed(house.store, run)
    plans = PlanLookups(house.store.engine)
    for wanted in (PlanFilter(), PlanFilter(change_class="update")):
        seen: list[str] = []
        for offset in range(0, 20, 2):
            part, total = await plans.changes(run, wanted, offset=offset, limit=2)
            seen += [one.change_id for one in part]
        assert len(seen) == total == len(set(seen))
        assert seen == sorted(seen)


async def test_changes_are_found_by_what_became_of_them(house: House) -> None:
    run = new_run()
    await house.auditor()
    await plan_on_the_bus(house, run, CHANGES, excluded=(change(5),))
    await until_listed(house.store, run)
    await conclude(house, run, 0, "applied")
    await conclude(house, run, 1, "failed", "APL_UNREACHABLE")
    await conclude(house, run, 2, "quarantined", "APL_REFUSED_RECORD")
    intent = facts.IntentRecorded(run=run, change_id=change(3).change_id, fencing_token=1, attempt=1)
    await house.say(intent, facts.change_subject(run, change(3).change_id), run, service="applier")
    await house.until_recorded()
    plans = PlanLookups(house.store.engine)

    async def keys(result: str) -> set[str]:
        found, total = await plans.changes(run, PlanFilter(result=result), offset=0, limit=50)
        assert len(found) == total
        assert {one.result for one in found} <= {None if result == OPEN else result}
        return {one.key for one in found}

    assert await keys("applied") == {"1000"}
    assert await keys("failed") == {"1001"}
    assert await keys("quarantined") == {"1002", "1005"}
    assert await keys("unknown") == {"1003"}
    assert len(await keys(OPEN)) == len(CHANGES) - 5
    failed = await plans.change(run, change(1).change_id)
    assert failed is not None and failed.code == "APL_UNREACHABLE"
    assert await plans.change(run, "0" * 64) is None


async def test_changes_are_put_together_by_what_they_have_in_common(house: House) -> None:
    run = new_run()
    await house.auditor()
    await plan_on_the_bus(house, run, CHANGES)
    await until_listed(house.store, run)
    plans = PlanLookups(house.store.engine)
    by_class = await plans.groups(run, "class", PlanFilter(), limit=10)
    assert {group.name: group.number for group in by_class} == {"update": 8, "create": 2, "delete": 1}
    assert all(group.sample.change_class == group.name for group in by_class)
    alike = await plans.groups(run, "alike", PlanFilter(change_class="update"), limit=10)
    # Names are personal and count as alike; what differs is the site that they go to.
    assert [group.number for group in alike] == [4, 4]
    assert {group.sample.alike for group in alike} == {group.name for group in alike}
    by_cohort = await plans.groups(run, "cohort", PlanFilter(change_class="create"), limit=10)
    assert {group.name: group.number for group in by_cohort} == {"site=11": 1, "site=12": 1}


async def test_a_record_is_followed_over_its_runs_and_never_by_a_masked_key(house: House) -> None:
    first, second = sorted((new_run(), new_run()))
    await house.auditor()
    for run in (first, second):
        await plan_on_the_bus(house, run, CHANGES, asides=(aside(30), aside(31, key=MAIL)))
        await until_listed(house.store, run)
    plans = PlanLookups(house.store.engine)
    history = await plans.changes_of_key("1003", limit=10)
    assert [(one.run, one.change.key) for one in history] == [(second, "1003"), (first, "1003")]
    hidden = await plans.change(first, change(9).change_id)
    assert hidden is not None and hidden.record is not None
    assert await plans.changes_of_key(hidden.key, limit=10) == ()
    assert [one.run for one in await plans.changes_of_record(hidden.record, limit=10)] == [second, first]
    left_out = await plans.asides(first, code="DIF_PROTECTED", limit=10)
    # An aside shows no values to compare its key with; since one key of the entity is somebody's name, none is shown.
    assert [one.key for one in left_out] == ["5…(4)", f"p…({len(MAIL)})"]
    assert left_out[0].record is not None
    assert [one.run for one in await plans.asides_of_record(left_out[0].record, limit=10)] == [second, first]


async def test_a_listing_that_was_broken_off_is_begun_anew_and_is_whole(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run()
    original, written, reached = PlanListing._add, 0, asyncio.Event()

    async def stopping(self: PlanListing, rows: object) -> None:
        nonlocal written
        written += 1
        if written == 3:
            reached.set()
            await asyncio.sleep(60)
        await original(self, rows)  # type: ignore[arg-type]  # handed on as it came

    monkeypatch.setattr(PlanListing, "_add", stopping)
    first = await house.auditor()
    await plan_on_the_bus(house, run, CHANGES)
    await asyncio.wait_for(reached.wait(), 20)
    plans = PlanLookups(house.store.engine)
    async with house.store.engine.connect() as connection:
        half = (await connection.execute(select(func.count()).select_from(tables.plan_change))).scalar_one()
    assert 0 < half < len(CHANGES)
    # While it is not whole nobody sees it; the log is written all the same.
    assert await plans.changes(run, PlanFilter(), offset=0, limit=50) == ((), 0)
    await house.until_recorded()
    whole = queries.PlanAnswer.model_validate_json(await house.ask(first, "plan", f'{{"run":"{run}"}}'))
    assert len(whole.changes) == len(CHANGES)
    await house.stop(first)
    monkeypatch.setattr(PlanListing, "_add", original)
    await house.auditor()
    await until_listed(house.store, run)
    found, total = await plans.changes(run, PlanFilter(), offset=0, limit=50)
    assert (len(found), total) == (len(CHANGES), len(CHANGES))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_plan_whose_pages_were_altered_is_not_listed_and_others_are(house: House) -> None:
    bad, good = new_run(), new_run()
    pages = pages_of(bad, CHANGES)
    forged = [page.model_copy(update={"changes": page.changes[:1]}) for page in pages]
    await publish(house, bad, forged, plan_of(bad, pages))
    await house.auditor()
    await house.say_state(run_state(bad, RunStatus.AWAITING_APPROVAL, changes=len(CHANGES)))
    await plan_on_the_bus(house, good, CHANGES)
    await until_listed(house.store, good)
    assert await Lookups(house.store.engine).review(bad) is None
    await house.until_recorded()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_retry_lists_only_what_it_tries_again(house: House) -> None:
    run, retry = new_run(), new_run()
    await house.auditor()
    state = await plan_on_the_bus(house, run, CHANGES, asides=(aside(1),), excluded=(change(5),))
    await conclude(house, run, 0, "applied")
    await conclude(house, run, 1, "failed", "APL_UNREACHABLE")
    await conclude(house, run, 5, "quarantined", "GRD_LIMIT")
    done = NineCounts(planned=len(CHANGES), applied=1, failed=1, quarantined=1, not_attempted=len(CHANGES) - 3)
    await house.say_state(state.model_copy(update={"status": RunStatus.PARTIAL, "counts": done}))
    assert isinstance(state.plan, PlanSummary)
    plan = state.plan.model_copy(update={"changes": 1})
    again = {"run": retry, "status": RunStatus.APPLYING, "retry_of": run, "retry_plan_of": run, "plan": plan}
    await house.say_state(state.model_copy(update=again))
    await until_listed(house.store, retry)
    found, total = await PlanLookups(house.store.engine).changes(retry, PlanFilter(), offset=0, limit=50)
    assert ([one.key for one in found], total) == (["1001"], 1)
    review = await Lookups(house.store.engine).review(retry)
    assert review is not None
    assert (review.plan_run, review.left_out, review.excluded, review.asides) == (run, {}, 0, 0)


async def test_an_auditor_that_was_replaced_lists_nothing(store: Store) -> None:
    await store.take_over(7)

    async def nothing(_: object) -> None:
        raise AssertionError("reached the database")

    with pytest.raises(WriterFenced):
        await store.write(6, nothing)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_plan_of_too_many_changes_is_told_of_and_not_listed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.auditor.listing.LISTED_CHANGES_MAX", 5)
    run = new_run()
    auditor = await house.auditor()
    await plan_on_the_bus(house, run, CHANGES)

    async def is_told() -> bool:
        return await Lookups(house.store.engine).review(run) is not None

    await until(is_told)
    review = await Lookups(house.store.engine).review(run)
    assert review is not None
    assert (review.is_listed, review.changes) == (False, len(CHANGES))
    # It is still shown, from its pages; by result it is looked through only once it is listed.
    shown = queries.PlanAnswer.model_validate_json(
        await house.ask(auditor, "plan", f'{{"run":"{run}","change_class":"create"}}')
    )
    assert shown.total == 2
    refused = queries.QueryRefused.model_validate_json(
        await house.ask(auditor, "plan", f'{{"run":"{run}","result":"applied"}}')
    )
    assert refused.refusal.code == "AUD_UNAVAILABLE"

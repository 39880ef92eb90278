"""The differ's memory of runs, on SQLite and on PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from services.differ.ledger import Ledger
from services.differ.memory import Scope, Seed
from services.differ.memory_runs import STATISTICS_DAYS
from tests.integration.differ.memories import DAY, SCOPE, applied, drafted, run_id, written
from tests.unit.plan.plan_builder import ENTITY, NOW


async def certified_runs(ledger: Ledger, scope: Scope = SCOPE) -> int:
    return (await ledger.history(scope, run="9", now=NOW)).certified_runs


async def test_certified_runs_are_counted_once_each_whatever_their_mode(ledger: Ledger) -> None:
    assert await certified_runs(ledger) == 0
    assert not await ledger.knows_draft(run_id(1))
    await ledger.remember_draft(drafted(1))
    assert await ledger.knows_draft(run_id(1))
    await ledger.remember_draft(drafted(1))
    await ledger.remember_draft(replace(drafted(2), mode="dry-run"))
    await ledger.remember_draft(drafted(3, certified=False))
    assert await certified_runs(ledger) == 2
    assert await certified_runs(ledger, replace(SCOPE, connector="students")) == 0
    assert await certified_runs(ledger, replace(SCOPE, target="another")) == 0


async def test_onboarding_ends_when_something_was_applied(ledger: Ledger) -> None:
    async def is_onboarding() -> bool:
        return (await ledger.history(SCOPE, run="9", now=NOW)).is_onboarding

    await ledger.remember_draft(drafted(1))
    assert await is_onboarding()
    await ledger.remember_applied(applied(1, [written("E1")], by_class={"update": 0}))
    assert await is_onboarding()  # the run ended without an effect
    await ledger.remember_draft(drafted(2))
    await ledger.remember_applied(applied(2, [written("E1")], by_class={"update": 1}))
    assert not await is_onboarding()


async def test_windows_hold_what_every_connector_applied_to_the_target(ledger: Ledger) -> None:
    students = replace(SCOPE, connector="students")
    for number, scope in ((1, SCOPE), (5, students), (6, SCOPE), (7, SCOPE)):
        await ledger.remember_draft(drafted(number, scope=scope))
        await ledger.remember_applied(applied(number, by_class={"suspend": number}, scope=scope))
    await ledger.remember_applied(applied(7, by_class={"suspend": 7}))  # told twice, counted once
    told = (await ledger.history(SCOPE, run=run_id(8), now=NOW + 7 * DAY + timedelta(hours=12))).windows
    assert {one.window: one.applied for one in told} == {"24h": {"suspend": 7}, "7d": {"suspend": 1 + 5 + 6 + 7}}
    later = (await ledger.history(SCOPE, run=run_id(8), now=NOW + 9 * DAY)).windows
    assert {one.window: one.applied for one in later} == {"24h": {}, "7d": {"suspend": 5 + 6 + 7}}
    # A run is not before itself.
    own = (await ledger.history(SCOPE, run=run_id(7), now=NOW + 9 * DAY)).windows
    assert own[1].applied == {"suspend": 5 + 6}
    another = (await ledger.history(replace(SCOPE, target="another"), run=run_id(8), now=NOW + 7 * DAY)).windows
    assert [one.applied for one in another] == [{}, {}]


async def test_usual_range_is_that_of_the_last_twenty_accepted_plans(ledger: Ledger) -> None:
    await ledger.remember_draft(drafted(1, changes={"update": 900}))
    for number in range(2, 22):
        await ledger.remember_draft(drafted(number, changes={"update": number}))
    await ledger.remember_draft(drafted(22, changes={"update": 800}, accepted=False))
    usual = {one.check: (one.low, one.high, one.runs) for one in (await ledger.history(SCOPE, run="9", now=NOW)).usual}
    assert usual == {"update": (2, 21, 20), "touched": (2, 21, 20)}
    # A plan that was held and applied all the same counts as accepted.
    await ledger.remember_applied(applied(22, by_class={"update": 800}))
    usual = {one.check: (one.low, one.high, one.runs) for one in (await ledger.history(SCOPE, run="9", now=NOW)).usual}
    assert usual["update"] == (3, 800, 20)


async def test_plans_are_kept_with_all_their_figures_for_a_year(ledger: Ledger) -> None:
    await ledger.remember_draft(drafted(1, changes={"update": 3}, at=NOW, certified_runs=7))
    await ledger.remember_draft(drafted(2, changes={"update": 4}, at=NOW + DAY, accepted=False))
    newest, oldest = await ledger.plans("staff", since=NOW)
    assert (newest.run, newest.level.value, oldest.run, oldest.level.value) == (run_id(2), "HOLD", run_id(1), "PASS")
    assert oldest.figures.entities[0].changes == {"update": 3}
    assert oldest.figures.entities[0].certified_runs == 7
    assert [one.run for one in await ledger.plans("staff", since=NOW + DAY)] == [run_id(2)]
    assert await ledger.plans("students", since=NOW) == []
    await ledger.remember_draft(drafted(3, at=NOW + (STATISTICS_DAYS + 0.5) * DAY))
    assert [one.run for one in await ledger.plans("staff", since=NOW)] == [run_id(3), run_id(2)]


async def test_a_seeded_past_is_as_if_it_had_been_lived_through(ledger: Ledger) -> None:
    seed = Seed(
        scope=SCOPE,
        certified_runs=2,
        has_applied=True,
        links={"E1": "c-1"},
        missed={"E2": NOW - 3 * DAY},
        rows_accepted={"person": 2400},
    )
    await ledger.remember_history(seed)
    await ledger.remember_history(seed)
    history = await ledger.history(SCOPE, run=run_id(1), now=NOW)
    assert (history.certified_runs, history.is_onboarding) == (2, False)
    found = await ledger.recall(SCOPE, ["E1", "E2"])
    assert (found["E1"].target_id, found["E2"].strikes, found["E2"].last_strike_at) == ("c-1", 1, NOW - 3 * DAY)
    assert await ledger.linked(SCOPE, ["c-1"]) == {"c-1": "E1"}
    assert await ledger.rows_accepted("staff") == {(ENTITY, "person"): 2400}
    # What a run learns counts on from there.
    await ledger.remember_draft(drafted(1, missed=["E2"]))
    await ledger.remember_applied(applied(1, [written("E1", "c-1", email="a")]))
    found = await ledger.recall(SCOPE, ["E1", "E2"])
    assert (found["E2"].strikes, dict(found["E1"].written)) == (2, {"email": "a"})
    assert await certified_runs(ledger) == 3

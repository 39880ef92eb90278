"""A retry: what failed in an ended run, and nothing else, once more under the same plan and approvals."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from shared.errors import RecordRefused
from shared.events.commands import ApplyPlan, NameRun, apply_plan_subject
from shared.events.facts import AlarmRaised, ApplyStarted, RetryRequested
from shared.events.stored import Stored
from shared.run.counts import NineCounts
from shared.run.moves import Decision, Message, Move, state_message
from shared.run.state import RunState, state_subject
from shared.run.states import RunStatus
from tests.integration.handlers.small_house import IDS, Replica, SmallHouse
from tests.support.bus import until
from tests.unit.applier.fake_target import ANY, Fault


async def _refused(house: SmallHouse, code: str, *words: str) -> None:
    before, run = await house.picture(), house.run
    reply = await house.retry()
    assert reply.refusal is not None
    assert (reply.refusal.code, house.run) == (code, run)
    assert all(word in reply.refusal.text for word in words), reply.refusal.text
    assert await house.picture() == before


async def test_retry_carries_out_what_was_refused_and_nothing_else(house: SmallHouse) -> None:
    await house.to_partial(refused=2)
    original, sent, before = house.run, set(house.target.sent), await house.state()
    assert len(house.effects()) == 4
    house.target.sent.clear()
    assert (await house.retry()).status == "approved"
    await house.apply()
    state = await house.state()
    assert state.run != original
    assert (state.status, state.retry_of, state.plan_run) == (RunStatus.SUCCEEDED, original, original)
    assert state.counts == NineCounts(planned=2, applied=2)
    assert state.plan is not None
    assert before.plan is not None
    assert (state.plan.changes, sum(state.plan.changes_by_class.values())) == (2, 2)
    assert (state.plan.plan_digest, state.approvals) == (before.plan.plan_digest, before.approvals)
    assert len(house.target.sent) == 2
    assert set(house.target.sent) < sent
    assert len(house.effects()) == 6
    assert set(house.effects().values()) == {1}
    told = RetryRequested.model_validate_json((await house.command(f"evt.applier.retry_requested.{state.run}")).data)
    assert (told.retry_of, told.actor, told.reason, told.changes) == (original, "otto", "mended", 2)
    begun = await house.command(f"evt.applier.apply_started.{house.target_name}")
    assert ApplyStarted.model_validate_json(begun.data).run == state.run
    house.run = original
    assert await house.state() == before


async def test_what_a_retry_wrote_is_remembered_like_what_a_run_wrote(house: SmallHouse) -> None:
    await house.to_partial(refused=2)
    await house.deliver_all("differ", f"evt.applier.apply_finished.{house.run}")
    before = (await house.picture()).written
    await house.retry()
    await house.apply()
    await house.deliver_all("differ", f"evt.applier.apply_finished.{house.run}")
    written = (await house.picture()).written
    assert written != before
    await house.deliver_all("differ", f"evt.applier.apply_finished.{house.run}")
    assert (await house.picture()).written == written
    # The windows of the guard count all that took effect of the plan, once.
    ledger = (await house.replica("differ")).context.ledger
    history = await ledger.history(house.scope, run="20991231T000000-zzzzzz", now=house.clock.now())
    assert history.windows
    for window in history.windows:
        assert window.applied == {"create": 3, "suspend": 1, "update": 2}


async def test_retry_of_a_retry_goes_on_with_what_still_fails(house: SmallHouse) -> None:
    await house.to_partial(refused=3)
    original = house.run
    house.target.faults[ANY].append(Fault(RecordRefused("APL_REFUSED_RECORD", "still not")))
    await house.retry()
    await house.apply()
    state = await house.state()
    assert state.counts == NineCounts(planned=3, applied=2, quarantined=1)
    first = house.run
    await house.retry()
    await house.apply()
    state = await house.state()
    assert (state.status, state.retry_of, state.retry_plan_of) == (RunStatus.SUCCEEDED, first, original)
    assert state.counts == NineCounts(planned=1, applied=1)
    assert set(house.effects().values()) == {1}


async def test_run_without_failures_cannot_be_retried(house: SmallHouse) -> None:
    await house.to_finished()
    await _refused(house, "APV_WRONG_STATE", "succeeded", "partial or failed")


async def test_paused_run_is_resumed_and_not_retried(house: SmallHouse) -> None:
    await house.to_paused()
    await _refused(house, "APV_WRONG_STATE", "resume it")


async def test_retry_is_refused_while_another_run_of_the_connector_is_under_way(house: SmallHouse) -> None:
    await house.to_partial()
    partial = house.run
    assert (await house.request("dry-run")).is_accepted
    other, house.run = house.run, partial
    await _refused(house, "APV_OVERLAP", other)


async def test_retry_is_refused_once_the_connector_was_planned_anew(house: SmallHouse) -> None:
    await house.to_partial()
    partial = house.run
    await house.to_drafted()
    other = house.run
    assert (await house.decide("anna", "reject")).is_accepted
    house.run = partial
    await _refused(house, "APL_STALE", other)


async def test_retry_is_refused_once_another_run_has_begun_on_the_target(house: SmallHouse) -> None:
    await house.to_partial()
    original = house.run
    await house.retry()
    await house.apply()
    retry, house.run = house.run, original
    await _refused(house, "APL_STALE", retry, "has begun")


async def test_retry_is_refused_when_plan_or_approval_has_expired(house: SmallHouse) -> None:
    await house.to_partial()
    house.clock.ahead = timedelta(hours=5)
    await _refused(house, "APV_EXPIRED", "the approval of anna was valid until")
    house.clock.ahead = timedelta(hours=25)
    await _refused(house, "APV_EXPIRED", "its plan expired at")


async def test_retry_that_grows_old_before_it_begins_ends_stale(house: SmallHouse) -> None:
    await house.to_partial()
    await house.retry()
    sent = list(house.target.sent)
    house.clock.ahead = timedelta(hours=5)
    await house.apply()
    assert ((await house.state()).status, house.target.sent) == (RunStatus.STALE, sent)


async def test_requests_to_retry_at_the_same_moment_admit_one(house: SmallHouse) -> None:
    await house.to_partial()
    body = NameRun(run=house.run, reason="again")
    replicas = [await house.replica("applier") for _ in range(3)]
    replies = await asyncio.gather(*(one.ask("aether.run.retry", body, who="otto") for one in replicas))
    assert sum(reply.is_accepted for reply in replies) == 1
    assert {reply.refusal.code for reply in replies if reply.refusal is not None} == {"APV_OVERLAP"}


async def test_forged_retry_cannot_bring_in_changes_that_had_not_failed(house: SmallHouse) -> None:
    """Somebody who can write documents of runs makes one that retries the whole plan."""
    await house.to_partial()
    await house.retry()
    honest, forger, sent = await house.state(), await house.replica("applier"), list(house.target.sent)
    assert honest.plan is not None
    run = f"20261122T075500-{IDS.token(6)}"
    plan = honest.plan.model_copy(update={"changes": 6})
    forged = honest.model_copy(update={"run": run, "plan": plan})
    await _publish(forger, forged)
    await forger.deliver_until_taken(await house.command(apply_plan_subject(run)))
    house.run = run
    state = await house.state()
    assert (state.status, house.target.sent) == (RunStatus.FAILED, sent)
    assert state.failure is not None
    assert state.failure.code == "APL_PLAN_ALTERED"
    alarm = AlarmRaised.model_validate_json((await house.command("audit.applier.alarm")).data)
    assert (alarm.run, alarm.service, alarm.reason.code) == (run, "applier", "APL_PLAN_ALTERED")


async def _publish(forger: Replica, state: RunState) -> None:
    def decide(_: Mapping[str, Stored | None]) -> Decision:
        command = Message(
            subject=apply_plan_subject(state.run),
            event=ApplyPlan(run=state.run, ordinal=1),
            message_id=f"{state.run}.apply.1",
            about=state.run,
        )
        return Decision((state_message(state), command))

    await forger.context.committer.commit(Move(reads=(state_subject(state.run),), decide=decide))


async def test_retry_killed_in_the_middle_is_carried_on_and_done_once(house: SmallHouse) -> None:
    await house.to_partial(refused=3)
    await house.retry()
    awake = asyncio.Event()
    house.target.faults[ANY].append(Fault(hangs_until=awake))
    first = await house.replica("applier")
    applying = asyncio.create_task(first.deliver(await house.command(f"cmd.apply.{house.run}")))
    await until(lambda: not house.target.faults[ANY])
    applying.cancel()
    await asyncio.gather(applying, return_exceptions=True)
    await house.apply()
    state = await house.state()
    assert (state.status, state.counts) == (RunStatus.SUCCEEDED, NineCounts(planned=3, applied=3))
    assert set(house.effects().values()) == {1}

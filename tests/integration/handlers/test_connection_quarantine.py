"""A connection whose credential is refused: nothing more is sent over it until one harmless check is answered well."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.applier.connection_health import Pace, Probing, quarantined
from services.applier.context import lease_on
from shared.clock import to_text
from shared.errors import NeedsPerson, TryLater
from shared.events.commands import NameRun
from shared.events.documents import FailureNote
from shared.events.facts import ConnectionHealth
from shared.run.moves import Move
from shared.run.states import RunStatus
from tests.integration.handlers.small_house import Replica, SmallHouse
from tests.unit.applier.fake_target import ANY, Fault

PACE = Pace(seconds=60, seconds_max=900)


async def _health(house: SmallHouse) -> ConnectionHealth:
    stored = await house.command(f"connection.{house.target_name}.health")
    return ConnectionHealth.model_validate_json(stored.data)


async def _to_quarantined(house: SmallHouse) -> None:
    """The credential expires after the first write, and reading it anew does not help."""
    await house.to_approved()
    expired = Fault(NeedsPerson("APL_AUTH", "401"))
    house.target.faults[ANY].extend([Fault(), *(expired for _ in range(20))])
    house.target.refuses_credential = True
    await house.apply()
    house.target.faults[ANY].clear()


async def _to_approved_and_quarantined(house: SmallHouse) -> None:
    """The run of another connector has met the refusal."""
    await house.to_approved()
    house.target.refuses_credential = True
    subject, at = f"connection.{house.target_name}.health", to_text(house.clock.now())
    note = FailureNote(code="APL_AUTH", text="401")
    health = quarantined(None, connection=house.target_name, reason=note, run="20261122T075500-000001", at=at)
    applier = await house.replica("applier")
    await applier.context.committer.commit(Move(reads=(subject,), decide=lambda _: health))


async def _resume(house: SmallHouse) -> None:
    reply = await (await house.replica("applier")).ask("aether.run.resume", NameRun(run=house.run), who="otto")
    assert reply.status == "applying"
    await house.apply()


async def _probing(house: SmallHouse) -> tuple[Replica, Probing]:
    replica = await house.replica("applier")
    return replica, Probing(replica.context, pace=PACE)


async def test_refused_credential_pauses_the_run_and_quarantines_the_connection(house: SmallHouse) -> None:
    await _to_quarantined(house)
    state, health = await house.state(), await _health(house)
    assert state.status is RunStatus.PAUSED
    assert state.failure is not None
    assert state.failure.code == "APL_AUTH"
    assert (health.connection, health.status, health.run) == (house.target_name, "quarantined", house.run)
    assert (health.since, health.reason, health.probes) == (state.changed_at, state.failure, 0)


async def test_other_failures_quarantine_nothing(house: SmallHouse) -> None:
    await house.to_paused()
    assert [one async for one in house.stored("CORE", f"connection.{house.target_name}.health")] == []


async def test_run_resumed_too_early_is_paused_again_and_sends_nothing(house: SmallHouse) -> None:
    await _to_quarantined(house)
    since, sent = (await _health(house)).since, list(house.target.sent)
    await _resume(house)
    state, health = await house.state(), await _health(house)
    assert (state.status, house.target.sent, house.target.checks) == (RunStatus.PAUSED, sent, 1)
    assert state.failure is not None
    assert state.failure.code == "APL_QUARANTINED"
    assert since in state.failure.text
    assert state.counts is not None
    assert state.counts.unknown > 0
    assert (health.status, health.since, health.probes) == ("quarantined", since, 1)


async def test_run_resumed_with_a_good_credential_ends_the_quarantine_and_goes_on(house: SmallHouse) -> None:
    await _to_quarantined(house)
    house.target.refuses_credential = False
    await _resume(house)
    assert (await house.state()).status is RunStatus.SUCCEEDED
    assert set(house.effects().values()) == {1}
    health = await _health(house)
    assert (health.status, health.reason, health.run) == ("healthy", None, house.run)
    assert house.target.checks == 1
    # And nobody checks a healthy connection.
    await house.to_drafted()
    assert house.target.checks == 1


async def test_approved_run_waits_for_a_quarantined_connection_and_then_begins(house: SmallHouse) -> None:
    await _to_approved_and_quarantined(house)
    sent = list(house.target.sent)
    replica, command = await house.replica("applier"), await house.command(f"cmd.apply.{house.run}")
    for probes in (1, 2):
        with pytest.raises(TryLater) as later:
            await replica.deliver(command)
        assert (later.value.code, later.value.retry_after_seconds) == ("APL_QUARANTINED", 30.0)
        assert ((await house.state()).status, house.target.sent) == (RunStatus.APPROVED, sent)
        assert (await _health(house)).probes == probes
    house.target.refuses_credential = False
    await replica.deliver(command)
    assert (await house.state()).status is RunStatus.SUCCEEDED


async def test_plan_that_grows_old_while_its_connection_is_in_quarantine_is_stale(house: SmallHouse) -> None:
    await _to_approved_and_quarantined(house)
    house.clock.ahead = timedelta(hours=5)
    await house.apply()
    assert (await house.state()).status is RunStatus.STALE


async def test_probe_in_the_background_ends_the_quarantine_and_leaves_the_run_to_a_person(house: SmallHouse) -> None:
    await _to_quarantined(house)
    _, probing = await _probing(house)
    await probing.round()
    assert house.target.checks == 0  # not due yet
    house.clock.ahead = timedelta(seconds=61)
    await probing.round()
    assert ((await _health(house)).status, (await _health(house)).probes) == ("quarantined", 1)
    house.clock.ahead = timedelta(seconds=110)
    await probing.round()
    assert house.target.checks == 1  # the pause is twice as long after a refused probe
    house.clock.ahead = timedelta(seconds=200)
    house.target.refuses_credential = False
    await probing.round()
    health = await _health(house)
    assert (health.status, health.run, house.target.checks) == ("healthy", None, 2)
    assert (await house.state()).status is RunStatus.PAUSED
    await probing.round()
    assert house.target.checks == 2
    await _resume(house)
    assert (await house.state()).status is RunStatus.SUCCEEDED
    assert house.target.checks == 2


async def test_replicas_probe_once_for_all(house: SmallHouse) -> None:
    await _to_quarantined(house)
    house.clock.ahead = timedelta(seconds=61)
    probings = [(await _probing(house))[1] for _ in range(3)]
    for probing in probings:
        await probing.round()
    assert ((await _health(house)).probes, house.target.checks) == (1, 1)


async def test_connection_that_is_being_written_to_is_not_probed(house: SmallHouse) -> None:
    await _to_quarantined(house)
    house.clock.ahead = timedelta(seconds=61)
    replica, probing = await _probing(house)
    async with lease_on(house.target_name, replica.context):
        await probing.round()
    assert ((await _health(house)).probes, house.target.checks) == (0, 0)


async def test_secret_that_cannot_be_read_counts_as_a_probe_and_ends_nothing(house: SmallHouse) -> None:
    await _to_quarantined(house)
    house.clock.ahead = timedelta(seconds=61)
    house.target_cannot_open = NeedsPerson("SYS_SECRET", "the token cannot be read")
    _, probing = await _probing(house)
    await probing.round()
    assert ((await _health(house)).probes, house.target.checks) == (1, 0)


async def test_defect_in_one_check_does_not_end_the_program(house: SmallHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    await _to_quarantined(house)
    house.clock.ahead = timedelta(seconds=61)

    async def broken() -> list[object]:
        raise KeyError("finding")

    monkeypatch.setattr(house.target, "check", broken)
    _, probing = await _probing(house)
    await probing.round()
    assert (await _health(house)).status == "quarantined"


async def test_refusal_after_a_good_check_begins_a_new_quarantine(house: SmallHouse) -> None:
    """Refused at the write although the check was good: that is a new quarantine, and a new moment."""
    await _to_quarantined(house)
    first = await _health(house)
    house.target.refuses_credential = False
    house.target.faults[ANY].extend(Fault(NeedsPerson("APL_AUTH", "401")) for _ in range(20))
    await _resume(house)
    second = await _health(house)
    assert (second.status, second.probes) == ("quarantined", 0)
    assert second.since > first.since

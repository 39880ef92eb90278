"""What must not be done is refused, changes nothing, and is told as an alarm that becomes an entry of the audit log."""

from __future__ import annotations

import base64

import pytest

from services.auditor.merging import Arrived
from services.auditor.recording import record
from shared.bus.commit import Committer
from shared.clock import SystemClock
from shared.errors import StopRun
from shared.events.documents import FailureNote
from shared.events.facts import AlarmRaised, RunCancelled
from shared.events.stored import Stored
from shared.run.alarms import ALARMING, alarm_message
from shared.run.moves import Decision, Message, Move, move_run, state_message
from shared.run.state import RunState
from shared.run.states import RunStatus
from tests.integration.handlers.small_house import SmallHouse
from tests.support.bus import BusUnderTest


async def _alarms(house: SmallHouse, service: str) -> list[tuple[Stored, AlarmRaised]]:
    found = [
        (one, AlarmRaised.model_validate_json(one.data)) async for one in house.stored("CORE", f"audit.{service}.alarm")
    ]
    return [(stored, alarm) for stored, alarm in found if alarm.run == house.run]


async def test_illegal_move_is_refused_and_alarmed_and_changes_nothing(
    house: SmallHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler with a defect moves a run that waits for approval straight to its end."""
    await house.to_drafted()
    before = await house.state()
    replica = await house.replica("applier")

    def straight_to_the_end(state: RunState) -> Decision:
        return Decision((state_message(state.moved(RunStatus.SUCCEEDED, at="2026-11-22T09:00:00.000Z")),))

    async def broken(fact: RunCancelled, context: object) -> Move:
        return move_run(fact.run, straight_to_the_end)

    message = await _cancel_fact(house)
    routes = replica.dispatcher._routes
    monkeypatch.setitem(
        routes, RunCancelled.event_type, type(routes[RunCancelled.event_type])(event=RunCancelled, handler=broken)
    )
    with pytest.raises(StopRun) as refused:
        await replica.deliver(message)
    assert refused.value.code == "SYS_ILLEGAL_TRANSITION"
    assert await house.state() == before
    ((stored, alarm),) = await _alarms(house, "applier")
    assert (alarm.service, alarm.reason.code) == ("applier", "SYS_ILLEGAL_TRANSITION")
    # And so it stands in the log: a person reads the code, and nothing that was typed.
    arrived = Arrived(
        stream="CORE",
        seq=stored.seq,
        subject=stored.subject,
        headers=dict(stored.headers),
        data=stored.data,
        time_us=int(stored.time.timestamp() * 1_000_000),
    )
    entry = record(arrived, 0).entry
    assert (entry.type, entry.run) == (AlarmRaised.event_type, house.run)
    assert entry.summary == {"service": "applier", "code": "SYS_ILLEGAL_TRANSITION"}


async def _cancel_fact(house: SmallHouse) -> Stored:
    """A message that the applier takes, about the present run, without moving it."""
    body = RunCancelled(run=house.run, actor="otto", reason="none").model_dump_json().encode()
    headers = {"ce-type": RunCancelled.event_type, "ce-specversion": "1.0"}
    template = await house.command(f"run.{house.run}.state")
    return Stored(
        subject=f"evt.extractor.run_cancelled.{house.run}",
        seq=template.seq,
        time=template.time,
        headers={**template.headers, **headers},
        data=body,
    )


async def test_forged_approval_is_refused_and_alarmed(house: SmallHouse) -> None:
    await house.to_drafted()
    before = await house.state()
    honest = await house.decision("anna")
    forged = honest.model_copy(
        update={
            "signed": honest.signed.model_copy(update={"signature": base64.b64encode(b"x" * 64).decode()}),
        }
    )
    reply = await (await house.replica("differ")).ask("aether.run.approve", forged, who="anna")
    assert reply.refusal is not None
    assert reply.refusal.code == "APV_BAD_SIGNATURE"
    assert await house.state() == before
    ((_, alarm),) = await _alarms(house, "differ")
    assert alarm.reason == reply.refusal


async def test_ordinary_refusal_is_no_alarm(house: SmallHouse) -> None:
    await house.to_drafted()
    reply = await house.decide("olga")
    assert not reply.is_accepted
    assert await _alarms(house, "differ") == []


async def test_every_alarm_that_is_published_is_counted_by_its_code(bus: BusUnderTest) -> None:
    counted: list[str] = []
    committer = Committer(await bus.js_as("differ"), service="differ", clock=SystemClock(), on_alarm=counted.append)
    for code in sorted(ALARMING):
        note = FailureNote(code=code, text="seen")
        message = alarm_message("differ", run=None, reason=note, message_id=bus.unique(f"alarm-{code}"))
        await committer.commit(_publishing(message))
    assert counted == sorted(ALARMING)


def _publishing(message: Message) -> Move:
    return Move(reads=(), decide=lambda _: Decision((message,)))

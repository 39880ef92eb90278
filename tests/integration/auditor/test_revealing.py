"""Personal values are shown to who is known and says why, and only once that is recorded."""

from __future__ import annotations

import json
import statistics
import sys
import time

import pytest

from services.auditor import revealing
from services.auditor.ingest import Auditor
from shared.bus.publishing import PublishFailed
from shared.bus.topology import AUDIT_NOTE, house_account, people_account
from shared.events import facts, queries
from shared.run.states import RunStatus
from tests.integration.auditor.house import House, new_run, run_state
from tests.integration.auditor.plans import SECRET, change, plan_on_the_bus
from tests.integration.auditor.test_listing import CHANGES, until_listed
from tests.support.bus import until

ASKER = {"Nats-Request-Info": json.dumps({"acc": people_account("staging"), "user": "otto"})}
WHY = "a parent asked which name is written"


def asked(run: str, number: int = 1, reason: str = WHY) -> bytes:
    return json.dumps({"run": run, "change_id": change(number).change_id, "reason": reason}).encode()


async def refused(auditor: Auditor, data: bytes, headers: dict[str, str] | None = None) -> str:
    answer = await auditor.reveal(ASKER if headers is None else headers, data)
    assert SECRET.encode() not in answer
    return queries.QueryRefused.model_validate_json(answer).refusal.code


async def reveals(house: House) -> list[dict[str, object]]:
    js = await house.bus.js_as("auditor")
    found = []
    for seq in range(1, (await js.stream_info("CORE")).state.last_seq + 1):
        message = await js.get_msg("CORE", seq)
        if message.subject == revealing.REVEALED_SUBJECT:
            assert message.data is not None
            found.append(json.loads(message.data))
    return found


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("is_listed", [True, False])
async def test_values_are_shown_and_the_log_says_to_whom_and_why_but_not_which(house: House, is_listed: bool) -> None:
    run = new_run()
    auditor = await house.auditor()
    await plan_on_the_bus(house, run, CHANGES)
    await until_listed(house.store, run)
    if not is_listed:
        async with house.store.engine.begin() as connection:
            await connection.exec_driver_sql("DELETE FROM plan_change")
    answer = queries.RevealedChange.model_validate_json(await auditor.reveal(ASKER, asked(run)))
    assert answer.key == "1001"
    assert [(field.name, field.after, field.is_personal) for field in answer.fields] == [
        ("last_name", SECRET, True),
        ("site", "12", False),
    ]
    (fact,) = await reveals(house)
    assert fact == facts.ChangeRevealed(
        run=run, change_id=change(1).change_id, entity="staff", fields=("last_name", "site"), actor="otto", reason=WHY
    ).model_dump(mode="json")
    await house.until_recorded()
    entries = queries.EntriesAnswer.model_validate_json(await house.ask(auditor, "entries")).entries
    (entry,) = [one for one in entries if one["type"] == facts.ChangeRevealed.event_type]
    assert (entry["actor"], entry["run"], entry["summary"]["field.last_name"]) == ("otto", run, True)
    assert SECRET not in json.dumps(entries) and WHY not in json.dumps(entries)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_nothing_is_shown_without_a_name_a_reason_or_a_plan(house: House) -> None:
    run, bare = new_run(), new_run()
    auditor = await house.auditor()
    await plan_on_the_bus(house, run, CHANGES)
    await house.say_state(run_state(bare, RunStatus.QUEUED))
    await until_listed(house.store, run)
    await house.until_recorded()
    assert await refused(auditor, asked(run), {}) == "APV_UNATTRIBUTED"
    service = {"Nats-Request-Info": json.dumps({"acc": house_account("staging"), "user": "differ"})}
    assert await refused(auditor, asked(run), service) == "APV_UNATTRIBUTED"
    assert await refused(auditor, asked(run, reason="because")) == "APV_MALFORMED"
    assert await refused(auditor, asked(run, reason=" " * 30)) == "APV_MALFORMED"
    assert await refused(auditor, asked(run, reason="x" * 501)) == "APV_MALFORMED"
    assert await refused(auditor, asked(run, number=777)) == "APV_MALFORMED"
    assert await refused(auditor, b" " * 9_000) == "APV_MALFORMED"
    assert await refused(auditor, asked(bare)) == "APV_WRONG_STATE"
    assert await refused(auditor, asked("20261122T083455-zzzzzz")) == "APV_UNKNOWN_RUN"
    assert await refused(auditor, asked("run.*.state")) == "APV_UNKNOWN_RUN"
    assert await reveals(house) == []
    await house.until_recorded()
    entries = queries.EntriesAnswer.model_validate_json(await house.ask(auditor, "entries")).entries
    told = [one for one in entries if one["type"] == facts.CommandRefused.event_type]
    assert [one["summary"]["code"] for one in told].count("APV_UNATTRIBUTED") == 2
    assert len(told) == 10


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_cannot_be_recorded_is_not_shown(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run()
    auditor = await house.auditor()
    await plan_on_the_bus(house, run, CHANGES)
    await until_listed(house.store, run)

    async def fails(*_: object) -> None:
        raise PublishFailed("the bus takes nothing")

    monkeypatch.setattr(revealing, "publish_one", fails)
    assert await refused(auditor, asked(run)) == "AUD_UNAVAILABLE"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_note_tells_of_a_run_soon_after_its_event_was_stored(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    auditor = await house.auditor()
    await until(auditor.is_writing)
    console = await house.bus.connect_as("console")
    notes = await console.subscribe(AUDIT_NOTE)
    await console.flush()
    waits = []
    for number in range(20):
        run = new_run()
        started = time.monotonic()
        await house.say_state(run_state(run, RunStatus.QUEUED))
        note = queries.AuditNote.model_validate_json((await notes.next_msg(timeout=5)).data)
        waits.append((time.monotonic() - started) * 1000)
        assert (note.runs, note.is_many, note.size) == ((run,), False, number + 1)
        stored = queries.RunAnswer.model_validate_json(await house.ask(auditor, "run", f'{{"run":"{run}"}}'))
        assert stored.run is not None
    with capsys.disabled():
        slowest = max(waits)
        sys.stdout.write(f"\nevent to note: median {statistics.median(waits):.0f} ms, slowest {slowest:.0f} ms\n")
    assert statistics.median(waits) < 300


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_note_tells_when_a_plan_is_listed(house: House) -> None:
    run = new_run()
    auditor = await house.auditor()
    await until(auditor.is_writing)
    console = await house.bus.connect_as("console")
    notes = await console.subscribe(AUDIT_NOTE)
    await console.flush()
    await plan_on_the_bus(house, run, CHANGES)
    for _ in range(2):  # the run's document, then its plan
        note = queries.AuditNote.model_validate_json((await notes.next_msg(timeout=5)).data)
        assert note.runs == (run,)
    await until_listed(house.store, run)

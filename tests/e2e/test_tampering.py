"""What somebody with a captured service's rights could try: a plan or an approval altered by one byte, a forged page.

Each time: zero writes, a refusal with its code, an entry in the audit log.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from shared.bus.connect import PermissionRefused
from shared.bus.publishing import Outgoing, publish_batch, publish_one
from shared.bus.reading import last, read_all
from shared.events.commands import ApplyPlan, apply_plan_subject
from shared.events.envelope import body_of, decode, headers_of
from shared.events.queries import RunAnswer, SubsetQuery
from shared.events.stored import Stored
from shared.plan.document import Plan, PlanPage, header_subject, page_subject, pages_filter
from shared.run.moves import state_message
from shared.run.state import RunState, state_subject
from shared.run.states import RunStatus
from tests.support.road import District, Road, house

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _refused(road: Road, run: str, code: str) -> RunAnswer:
    """The run ended by the applier's refusal, nothing was written, and the log tells."""
    ended = await road.until_status(run, "failed")
    assert ended.run is not None and ended.run.failure is not None
    assert ended.run.failure.code == code
    assert ended.run.counts is not None and ended.run.counts.applied == 0
    assert await road.effects() == {}
    await road.until_sealed(run)
    refusals = [one for one in await road.entries() if one["type"] == "aether.apply.refused.v1" and one["run"] == run]
    assert [one["summary"]["code"] for one in refusals] == [code]
    assert (await road.verify()).is_valid
    return ended


def _again(stored: Stored, body: bytes) -> Outgoing:
    """The same message with another body, under an id of its own."""
    return Outgoing(
        subject=stored.subject,
        body=body,
        headers={name: value for name, value in stored.headers.items() if name.lower().startswith("ce-")},
        message_id=f"forged.{stored.subject}",
    )


async def test_one_altered_byte_of_a_stored_page_is_refused(road: Road) -> None:
    run, waiting = await road.planned()
    async with road.bus_as("differ") as js:
        page = await anext(read_all(js, "PLAN", pages_filter(run)))
        at = page.data.index(b'"after":"') + len(b'"after":"')
        altered = page.data[:at] + bytes([page.data[at] ^ 1]) + page.data[at + 1 :]
        assert decode(PlanPage, data=altered, headers=page.headers, subject=page.subject)
        await publish_one(js, _again(page, altered))
    assert (await road.approve(waiting)).is_accepted
    await _refused(road, run, "APL_PLAN_ALTERED")


async def test_forged_page_with_a_valid_schema_is_refused(road: Road) -> None:
    run, waiting = await road.planned()
    async with road.bus_as("differ") as js:
        stored = await anext(read_all(js, "PLAN", pages_filter(run)))
        page = decode(PlanPage, data=stored.data, headers=stored.headers, subject=stored.subject)
        forged = page.model_copy(update={"partition": 63, "changes": page.changes[:1]})
        subject = page_subject(run, "contacts", 63, 1)
        headers = {name: value for name, value in stored.headers.items() if name.lower().startswith("ce-")}
        await publish_one(
            js, Outgoing(subject=subject, body=body_of(forged), headers=headers, message_id="forged-page")
        )
    assert (await road.approve(waiting)).is_accepted
    await _refused(road, run, "APL_PLAN_ALTERED")


async def test_only_the_differ_can_publish_a_page_at_all(road: Road) -> None:
    run, _ = await road.planned()
    forged = Outgoing(subject=page_subject(run, "contacts", 0, 9), body=b"{}", message_id="stranger")
    for service in ("extractor", "applier", "auditor"):
        async with road.bus_as(service) as js:
            with pytest.raises(PermissionRefused, match=service):
                await publish_one(js, forged, timeout_seconds=1)
    for profile in ("operator", "approver", "viewer"):
        refusals: list[str] = []
        async with road.plain_client(profile) as client:

            async def hear(error: Exception, heard: list[str] = refusals) -> None:
                heard.append(str(error))

            client._error_cb = hear
            await client.publish(forged.subject, forged.body)
            await client.flush()
            await client.flush()
            await asyncio.sleep(0.1)
        assert any("permissions violation" in one.lower() for one in refusals), profile


async def test_altered_header_of_the_plan_is_refused(road: Road) -> None:
    run, waiting = await road.planned()
    async with road.bus_as("differ") as js:
        stored = await last(js, "PLAN", header_subject(run))
        assert stored is not None
        plan = decode(Plan, data=stored.data, headers=stored.headers, subject=stored.subject)
        header = plan.header.model_copy(update={"requester": "approver2"})
        await publish_one(js, _again(stored, body_of(plan.model_copy(update={"header": header}))))
    assert (await road.approve(waiting)).is_accepted
    await _refused(road, run, "APL_PLAN_ALTERED")


@pytest.mark.parametrize("part", ["signature", "reason", "approver"])
async def test_one_altered_byte_of_the_approval_is_refused(road: Road, part: str) -> None:
    """A captured differ writes an approved run's document and the command to apply by itself."""
    run, waiting = await road.planned()
    signed = road.signed(waiting, "approver")
    if part == "signature":
        first = "B" if signed.signature[0] == "A" else "A"
        signed = signed.model_copy(update={"signature": first + signed.signature[1:]})
    else:
        value = {"reason": "a tesu", "approver": "approver2"}[part]
        signed = signed.model_copy(update={"approval": signed.approval.model_copy(update={part: value})})
    async with road.bus_as("differ") as js:
        stored = await last(js, "CORE", state_subject(run))
        assert stored is not None
        state = decode(RunState, data=stored.data, headers=stored.headers, subject=stored.subject)
        approved = state.model_copy(update={"approvals": (signed,)}).moved(RunStatus.APPROVED, at=state.changed_at)
        command = ApplyPlan(run=run, ordinal=1)
        await publish_batch(
            js,
            [
                Outgoing(
                    subject=subject,
                    body=body_of(event),
                    message_id=message_id,
                    headers=headers_of(
                        event, message_id=message_id, source="/services/differ", subject=run, time=stored.time
                    ),
                )
                for subject, event, message_id in (
                    (state_subject(run), approved, state_message(approved).message_id),
                    (apply_plan_subject(run), command, f"{run}.apply.1"),
                )
            ],
        )
    await _refused(road, run, "APV_BAD_SIGNATURE")


async def test_altered_list_of_what_an_approval_leaves_out_is_refused(road: Road) -> None:
    """A captured differ has one more change carried out than was approved, under a genuine approval of a part."""
    run, waiting = await road.planned()
    changes = await road.changes(run)
    async with road.stack.client("approver") as person:
        part = await person.subset(SubsetQuery(run=run, left_out=tuple(one.change_id for one in changes[:3])))
    signed = road.signed(waiting, "approver", part=part)
    async with road.bus_as("differ") as js:
        stored = await last(js, "CORE", state_subject(run))
        assert stored is not None
        state = decode(RunState, data=stored.data, headers=stored.headers, subject=stored.subject)
        altered = {"approvals": (signed,), "deferred": part.left_out[1:]}
        approved = state.model_copy(update=altered).moved(RunStatus.APPROVED, at=state.changed_at)
        command = ApplyPlan(run=run, ordinal=1)
        for subject, event, message_id in (
            (state_subject(run), approved, "forged-part"),
            (apply_plan_subject(run), command, "forged-part-apply"),
        ):
            headers = headers_of(event, message_id=message_id, source="/services/differ", subject=run, time=stored.time)
            await publish_one(
                js, Outgoing(subject=subject, body=body_of(event), headers=headers, message_id=message_id)
            )
    await _refused(road, run, "APL_PLAN_ALTERED")


async def test_apply_without_any_approval_is_refused(road: Road) -> None:
    run, _ = await road.planned()
    async with road.bus_as("differ") as js:
        stored = await last(js, "CORE", state_subject(run))
        assert stored is not None
        state = decode(RunState, data=stored.data, headers=stored.headers, subject=stored.subject)
        approved = state.moved(RunStatus.APPROVED, at=state.changed_at)
        command = ApplyPlan(run=run, ordinal=1)
        for subject, event, message_id in (
            (state_subject(run), approved, "forged-state"),
            (apply_plan_subject(run), command, "forged-apply"),
        ):
            headers = headers_of(event, message_id=message_id, source="/services/differ", subject=run, time=stored.time)
            await publish_one(
                js, Outgoing(subject=subject, body=body_of(event), headers=headers, message_id=message_id)
            )
    await _refused(road, run, "APV_TOO_FEW")


async def test_one_byte_altered_on_the_disk_of_the_bus_is_refused(district: District, tmp_path: Path) -> None:
    async with house(district, tmp_path / "house") as own:
        run, waiting = await own.planned()
        own.stack.kill("bus", stays_down=True)
        pattern = b'"after":"'
        blocks = [
            (path, content.index(pattern) + len(pattern))
            for path in (own.stack.layout.bus / "store").rglob("PLAN/msgs/*.blk")
            if pattern in (content := path.read_bytes())
        ]
        path, at = blocks[0]
        altered = bytearray(path.read_bytes())
        altered[at] ^= 1
        path.write_bytes(altered)
        await own.stack.restart("bus")
        for service in ("differ", "applier", "auditor"):
            await own.until_ready(service)
        assert (await own.approve(waiting)).is_accepted
        await _refused(own, run, "APL_PLAN_ALTERED")

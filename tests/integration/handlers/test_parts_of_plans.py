"""A part of a plan, approved on a real bus: what was left out stays as it was, and the next plan shows it again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from services.differ.subsets import Subsets
from shared.bus.publishing import Outgoing, publish_one
from shared.errors import RecordRefused, StopRun
from shared.events.envelope import body_of
from shared.events.facts import AlarmRaised, OutcomeRecorded, PlanDecided
from shared.events.queries import SubsetQuery
from shared.plan.change import Change
from shared.plan.document import header_subject, pages_filter
from shared.plan.subset import left_out_root
from shared.run.counts import NineCounts
from shared.run.moves import Decision, Move, state_message
from shared.run.state import state_subject
from shared.run.states import RunStatus
from tests.integration.handlers.small_house import SmallHouse
from tests.unit.applier.fake_target import ANY, Fault


async def _changes(house: SmallHouse) -> dict[str, Change]:
    """The changes of the present plan, by key of the record."""
    return {one.key: one for page in await house.pages() for one in page.changes}


async def _outcomes(house: SmallHouse) -> dict[str, str]:
    found: dict[str, str] = {}
    async for stored in house.stored("LEDGER", f"led.{house.run}.>"):
        if stored.headers["ce-type"] == OutcomeRecorded.event_type:
            outcome = OutcomeRecorded.model_validate_json(stored.data)
            found[outcome.change_id] = outcome.result
    return found


async def _approved_but(house: SmallHouse, *keys: str) -> list[str]:
    """Plan and approve all but the changes of these records; their change ids."""
    await house.to_drafted()
    changes = await _changes(house)
    part = await house.subset(left_out=[changes[key].change_id[:12] for key in keys])
    assert part.problem is None
    reply = await house.approve_part("anna", part)
    assert reply.status == "approved", reply
    return [changes[key].change_id for key in keys]


async def test_what_was_left_out_is_not_touched_and_counted_as_deferred(house: SmallHouse) -> None:
    left_out = await _approved_but(house, "E1", "E8")
    before = dict(house.target.records["t-1"])
    await house.apply()
    state = await house.state()
    assert (state.status, state.failure) == (RunStatus.PARTIAL, None)
    assert state.counts == NineCounts(planned=6, applied=4, deferred=2)
    assert state.deferred == tuple(sorted(left_out))
    assert house.target.records["t-1"] == before
    assert not {*left_out}.intersection(house.effects())
    assert len(house.effects()) == 4
    outcomes = await _outcomes(house)
    assert {change_id for change_id, result in outcomes.items() if result == "deferred"} == {*left_out}
    decided = PlanDecided.model_validate_json((await house.command(f"evt.differ.plan_decided.{house.run}")).data)
    assert (decided.left_out, decided.is_final) == (2, True)


async def test_next_plan_shows_what_was_left_out_with_its_mark(house: SmallHouse) -> None:
    left_out = await _approved_but(house, "E1", "E8")
    await house.apply()
    await house.deliver_all("differ", f"evt.applier.apply_finished.{house.run}")
    await house.to_drafted()
    again = await _changes(house)
    assert {one.change_id for one in again.values()} == {*left_out}
    assert {one.marks for one in again.values()} == {("deferred",)}
    assert (await house.decide("anna")).status == "approved"
    await house.apply()
    assert (await house.state()).counts == NineCounts(planned=2, applied=2)


async def test_question_tells_what_to_sign_and_what_stays(house: SmallHouse) -> None:
    await house.to_drafted()
    changes, plan = await _changes(house), (await house.state()).plan
    assert plan is not None
    whole = await house.subset()
    assert (whole.subset_root, whole.approved, whole.left_out, whole.plan_digest) == ("ALL", 6, (), plan.plan_digest)
    part = await house.subset(left_out=[changes["E2"].change_id])
    assert (part.approved, part.left_out, part.because) == (5, (changes["E2"].change_id,), {})
    creates = await house.subset(only_classes=["create"])
    assert {*creates.left_out} == {one.change_id for one in changes.values() if one.change_class != "create"}
    assert creates.approved == 3


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ({"left_out": ["f" * 12]}, "has no change"),
        ({"left_out": ["latest"]}, "is no change id"),
        ({"only_classes": ["kreate"]}, "there is no class of change 'kreate'"),
        ({"only_classes": ["delete"]}, "nothing would be left to carry out; reject the plan"),
        ({"is_as_before": True}, "nobody has approved the plan yet"),
    ],
)
async def test_part_that_cannot_be_approved_is_answered_with_the_problem(
    house: SmallHouse, question: dict[str, Any], words: str
) -> None:
    await house.to_drafted()
    answer = await house.subset(**question)
    assert answer.problem is not None
    assert words in answer.problem
    assert answer.subset_root is None


async def test_run_that_is_not_to_be_decided_has_no_part_to_approve(house: SmallHouse) -> None:
    await house.to_finished()
    answer = await house.subset()
    assert answer.problem is not None
    assert "only a run that is awaiting_approval or held" in answer.problem


async def test_forged_page_makes_no_part_that_could_be_signed(house: SmallHouse) -> None:
    """Somebody with the differ's password puts another page in the place of one of the plan's."""
    await house.to_drafted()
    replica = await house.replica("differ")
    question, kept = SubsetQuery(run=house.run), Subsets(replica.context)
    plain = await kept.answer(question)
    assert plain.problem is None
    page = [one async for one in house.stored("PLAN", pages_filter(house.run))][-1]
    forged = page.data.replace(b"Changed", b"Forged0").replace(b"TEACHER", b"ADMINS0")
    headers = {name: value for name, value in page.headers.items() if name.startswith("ce-")}
    assert forged != page.data
    await publish_one(replica.js, Outgoing(page.subject, forged, f"forged-{house.run}", headers))
    with pytest.raises(StopRun) as refused:
        await Subsets(replica.context).answer(question)
    assert refused.value.code == "DIF_SNAPSHOT_GONE"
    # What was read before had the plan's digest, and goes on to be what is answered.
    assert await kept.answer(question) == plain


async def test_altered_header_makes_no_part_that_could_be_signed(house: SmallHouse) -> None:
    await house.to_drafted()
    replica = await house.replica("differ")
    stored = [one async for one in house.stored("PLAN", header_subject(house.run))][-1]
    plan = await house.plan()
    altered = plan.model_copy(update={"header": plan.header.model_copy(update={"requester": "abel"})})
    headers = {name: value for name, value in stored.headers.items() if name.startswith("ce-")}
    await publish_one(replica.js, Outgoing(stored.subject, body_of(altered), f"forged-{house.run}", headers))
    with pytest.raises(StopRun) as refused:
        await Subsets(replica.context).answer(SubsetQuery(run=house.run))
    assert refused.value.code == "APL_PLAN_ALTERED"


async def _refused(
    house: SmallHouse, deferred: Sequence[str], subset: str, code: str, *, signed_as: Sequence[str]
) -> None:
    before = await house.picture()
    signed = None if subset == "ALL" else left_out_root(signed_as)
    body = await house.decision("anna", deferred=deferred, subset=subset, left_out_root=signed)
    reply = await (await house.replica("differ")).ask("aether.run.approve", body, who="anna")
    assert reply.refusal is not None
    assert reply.refusal.code == code
    after = await house.picture()
    assert (after.state, after.journal) == (before.state, before.journal)


async def test_part_that_is_not_what_was_signed_is_refused_by_the_differ(house: SmallHouse) -> None:
    await house.to_drafted()
    changes = await _changes(house)
    one, other = changes["E1"].change_id, changes["E2"].change_id
    root = (await house.subset(left_out=[one])).subset_root
    assert root is not None
    await _refused(house, [other], root, "APV_WRONG_DIGEST", signed_as=[one])
    await _refused(house, [other], root, "APV_WRONG_DIGEST", signed_as=[other])
    await _refused(house, [one], root, "APV_WRONG_DIGEST", signed_as=[other])
    await _refused(house, [one, other], root, "APV_WRONG_DIGEST", signed_as=[one])
    await _refused(house, ["f" * 64], root, "APV_MALFORMED", signed_as=[one])
    await _refused(house, [], root, "APV_MALFORMED", signed_as=[one])
    await _refused(house, [one], "ALL", "APV_MALFORMED", signed_as=[])
    await _refused(house, [f"{number:064x}" for number in range(2001)], root, "APV_MALFORMED", signed_as=[one])


async def _altered(house: SmallHouse, deferred: tuple[str, ...]) -> None:
    """Somebody with the differ's password alters what the run's document leaves out."""
    state = (await house.state()).model_copy(update={"deferred": deferred})
    message = state_message(state)
    committer = (await house.replica("differ")).context.committer
    await committer.commit(Move(reads=(state_subject(house.run),), decide=lambda _: Decision((message,))))


@pytest.mark.parametrize("what", ["nothing left out", "less", "more", "another"])
async def test_applier_writes_nothing_when_the_list_of_what_is_left_out_was_altered(
    house: SmallHouse, what: str
) -> None:
    left_out = await _approved_but(house, "E1", "E2")
    other = (await _changes(house))["E8"].change_id
    altered = {
        "nothing left out": (),
        "less": tuple(left_out[:1]),
        "more": (*left_out, other),
        "another": (left_out[0], other),
    }[what]
    await _altered(house, altered)
    await house.apply()
    state = await house.state()
    assert state.status is RunStatus.FAILED
    assert state.failure is not None
    assert state.failure.code == "APL_PLAN_ALTERED"
    assert house.effects() == {}
    alarms = [AlarmRaised.model_validate_json(one.data) async for one in house.stored("CORE", "audit.applier.alarm")]
    assert [one.reason.code for one in alarms if one.run == house.run] == ["APL_PLAN_ALTERED"]


async def test_retry_does_not_try_what_was_left_out(house: SmallHouse) -> None:
    left_out = await _approved_but(house, "E1", "E8")
    house.target.faults[ANY].append(Fault(RecordRefused("APL_REFUSED_RECORD", "the target wants another value")))
    await house.apply()
    assert (await house.state()).counts == NineCounts(planned=6, applied=3, quarantined=1, deferred=2)
    assert (await house.retry()).status == "approved"
    await house.apply()
    state = await house.state()
    assert (state.status, state.counts) == (RunStatus.SUCCEEDED, NineCounts(planned=1, applied=1))
    assert state.deferred == tuple(sorted(left_out))
    assert not {*left_out}.intersection(house.effects())


async def test_retry_whose_document_leaves_less_out_is_refused(house: SmallHouse) -> None:
    left_out = await _approved_but(house, "E1", "E8")
    house.target.faults[ANY].append(Fault(RecordRefused("APL_REFUSED_RECORD", "the target wants another value")))
    await house.apply()
    await house.retry()
    done = dict(house.effects())
    await _altered(house, tuple(sorted(left_out)[:1]))
    await house.apply()
    state = await house.state()
    assert state.failure is not None
    assert (state.status, state.failure.code) == (RunStatus.FAILED, "APL_PLAN_ALTERED")
    assert dict(house.effects()) == done


async def test_held_part_needs_two_people_who_sign_the_same_part(house: SmallHouse) -> None:
    definition = house.folder / house.connector / "connector.yaml"
    limit = "guard:\n  create: {count: 1, percent: 1, floor: 1}\n"
    definition.write_text(definition.read_text(encoding="utf-8") + limit, encoding="utf-8")
    await house.to_drafted()
    assert (await house.state()).status is RunStatus.HELD
    changes = await _changes(house)
    part = await house.subset(left_out=[changes["E8"].change_id])
    assert (await house.approve_part("anna", part, is_override=True)).status == "held"
    other = await house.subset(left_out=[changes["E9"].change_id])
    assert other.problem is not None
    assert "anna approved all but 1 changes; approve the same (--as-before)" in other.problem
    body = await house.decision("abel", is_override=True)
    whole = await (await house.replica("differ")).ask("aether.run.approve", body, who="abel")
    assert whole.refusal is not None
    assert whole.refusal.code == "APV_WRONG_DIGEST"
    same = await house.subset(is_as_before=True)
    assert (same.subset_root, same.left_out) == (part.subset_root, part.left_out)
    assert (await house.approve_part("abel", same, is_override=True)).status == "approved"
    await house.apply()
    assert (await house.state()).counts == NineCounts(planned=6, applied=5, deferred=1)

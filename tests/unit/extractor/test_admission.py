"""Which runs may begin, and what becomes of one that a person ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.extractor.admission import Admission, admit, cancel
from shared.contract.loading import load_connector
from shared.errors import NeedsPerson
from shared.events.commands import ReadSide, RequestRun
from shared.events.facts import RunCancelled, RunRequested
from shared.run.active import ConnectorActive
from shared.run.counts import NineCounts
from shared.run.moves import Decision
from shared.run.state import RunState, WorkItem
from shared.run.states import TERMINAL, RunStatus
from tests.unit.plan.plan_builder import OTHER_RUN, RUN, run_state

S = RunStatus
AT = "2026-11-22T08:00:00.000Z"
DEFINITION = load_connector(Path(__file__).parents[3] / "connectors" / "titanhst-staff").definition
WAITING = (S.HELD, S.AWAITING_APPROVAL)
UNDER_WAY = [one for one in S if one not in TERMINAL and one not in WAITING]


def asked(
    mode: str = "apply",
    *,
    lifecycle: str = "active",
    is_published: bool = True,
    requester: str | None = "otto",
    **more: str,
) -> Admission:
    return Admission(
        request=RequestRun.model_validate({"connector": DEFINITION.name, "mode": mode, **more}),
        requester=requester,
        run=OTHER_RUN,
        definition=DEFINITION.model_copy(update={"lifecycle": lifecycle}),
        release_digest="sha256:release",
        is_published=is_published,
        at=AT,
    )


def states(decision: Decision) -> dict[str, RunState]:
    return {message.event.run: message.event for message in decision.messages if isinstance(message.event, RunState)}


def test_admitted_run_begins_with_a_command_for_each_side() -> None:
    decision = admit(asked(), present=None)
    state = states(decision)[OTHER_RUN]
    assert (state.status, state.requester, state.mode, state.partitions) == (
        S.QUEUED,
        "otto",
        "apply",
        DEFINITION.partitions,
    )
    commands = [message.event for message in decision.messages if isinstance(message.event, ReadSide)]
    assert {(one.side, one.entity) for one in commands} == {("source", "contacts"), ("target", "contacts")}
    assert {(item.side, item.entity) for item in state.work} == {(one.side, one.entity) for one in commands}
    kinds = [type(message.event) for message in decision.messages]
    assert kinds.count(ConnectorActive) == kinds.count(RunRequested) == 1
    assert len({message.message_id for message in decision.messages}) == len(decision.messages)


@pytest.mark.parametrize("status", UNDER_WAY)
@pytest.mark.parametrize("mode", ["apply", "dry-run"])
def test_run_under_way_is_not_overlapped(status: RunStatus, mode: str) -> None:
    with pytest.raises(NeedsPerson, match=f"run {RUN} is {status}") as refused:
        admit(asked(mode), present=run_state(status))
    assert refused.value.code == "APV_OVERLAP"


@pytest.mark.parametrize("status", WAITING)
def test_run_that_waits_for_a_person_is_superseded_by_the_next_apply(status: RunStatus) -> None:
    found = states(admit(asked(), present=run_state(status)))
    assert found[RUN].status is S.SUPERSEDED
    why = found[RUN].failure
    assert why is not None
    assert OTHER_RUN in why.text
    assert found[OTHER_RUN].status is S.QUEUED


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_run_that_has_ended_is_left_as_it_is(status: RunStatus) -> None:
    assert set(states(admit(asked(), present=run_state(status)))) == {OTHER_RUN}


def active(decision: Decision) -> ConnectorActive:
    (found,) = [message.event for message in decision.messages if isinstance(message.event, ConnectorActive)]
    return found


THIRD_RUN = "20261122T075700-000003"


@pytest.mark.parametrize("status", WAITING)
def test_dry_run_leaves_a_waiting_run_to_the_next_apply(status: RunStatus) -> None:
    waiting = run_state(status)
    dry = admit(asked("dry-run"), present=waiting)
    assert set(states(dry)) == {OTHER_RUN}
    assert (active(dry).run, active(dry).waiting) == (OTHER_RUN, RUN)
    # A second dry-run keeps it in sight too.
    planned = run_state(S.PLANNED, run=THIRD_RUN)
    again = admit(asked("dry-run"), present=planned, waiting=waiting)
    assert set(states(again)) == {OTHER_RUN}
    assert active(again).waiting == RUN
    applied = admit(asked(), present=planned, waiting=waiting)
    assert states(applied)[RUN].status is S.SUPERSEDED
    assert set(states(applied)) == {RUN, OTHER_RUN}
    assert active(applied).waiting is None


@pytest.mark.parametrize("status", WAITING)
def test_apply_after_a_dry_run_is_superseded_by_the_next_apply(status: RunStatus) -> None:
    """The other order: the dry-run came first, and nothing waits beside the apply."""
    first = admit(asked(), present=run_state(S.PLANNED, run=THIRD_RUN))
    assert active(first).waiting is None
    second = admit(asked(), present=run_state(status))
    assert states(second)[RUN].status is S.SUPERSEDED
    assert active(second).waiting is None


@pytest.mark.parametrize("status", sorted(TERMINAL))
@pytest.mark.parametrize("mode", ["apply", "dry-run"])
def test_waiting_run_that_has_ended_since_is_forgotten(status: RunStatus, mode: str) -> None:
    decision = admit(asked(mode), present=run_state(S.PLANNED, run=THIRD_RUN), waiting=run_state(status))
    assert set(states(decision)) == {OTHER_RUN}
    assert active(decision).waiting is None


@pytest.mark.parametrize("status", [S.APPROVED, S.APPLYING, S.PAUSED, S.THROTTLED, S.VERIFYING])
@pytest.mark.parametrize("mode", ["apply", "dry-run"])
def test_waiting_run_that_was_approved_since_is_not_overlapped(status: RunStatus, mode: str) -> None:
    with pytest.raises(NeedsPerson, match=f"run {RUN} is {status}") as refused:
        admit(asked(mode), present=run_state(S.PLANNED, run=THIRD_RUN), waiting=run_state(status))
    assert refused.value.code == "APV_OVERLAP"


def test_only_a_published_release_can_be_applied() -> None:
    with pytest.raises(NeedsPerson, match="aether connector publish") as refused:
        admit(asked("apply", is_published=False), present=None)
    assert refused.value.code == "CTR_NOT_PUBLISHED"
    assert states(admit(asked("dry-run", is_published=False), present=None))[OTHER_RUN].mode == "dry-run"


@pytest.mark.parametrize("lifecycle", ["draft", "retired"])
def test_only_an_active_release_can_be_applied(lifecycle: str) -> None:
    with pytest.raises(NeedsPerson, match=f"is {lifecycle}") as refused:
        admit(asked("apply", lifecycle=lifecycle), present=None)
    assert refused.value.code == "CTR_DRAFT"
    assert states(admit(asked("dry-run", lifecycle=lifecycle), present=None))[OTHER_RUN].mode == "dry-run"


def test_run_is_admitted_without_an_identity_and_says_so() -> None:
    assert states(admit(asked(requester=None), present=None))[OTHER_RUN].requester is None


# --- versions and replays -------------------------------------------------------------------------------------------


def test_version_asked_for_must_be_published() -> None:
    with pytest.raises(NeedsPerson, match="is not published") as refused:
        admit(asked("dry-run", version=DEFINITION.version, is_published=False), present=None)
    assert refused.value.code == "CTR_NOT_PUBLISHED"
    assert states(admit(asked("dry-run", version=DEFINITION.version), present=None))[OTHER_RUN].mode == "dry-run"


def read_run(**changed: object) -> RunState:
    """A run of the connector that has read both sides."""
    work = tuple(WorkItem(side=side, entity="contacts", status="ready", attempt="a") for side in ("target", "source"))
    values: dict[str, object] = {"connector": DEFINITION.name, "work": work, **changed}
    return run_state(S.PLANNED, run=THIRD_RUN).model_copy(update=values)


def test_replay_begins_as_a_dry_run_that_names_the_run_whose_rows_it_takes() -> None:
    decision = admit(asked("dry-run", replay_of=THIRD_RUN), present=None, original=read_run())
    assert states(decision)[OTHER_RUN].replay_of == THIRD_RUN
    (told,) = [message.event for message in decision.messages if isinstance(message.event, RunRequested)]
    assert told.replay_of == THIRD_RUN
    again = admit(asked("dry-run", replay_of=THIRD_RUN), present=None, original=read_run(replay_of=RUN))
    assert states(again)[OTHER_RUN].replay_of == RUN


@pytest.mark.parametrize(
    ("mode", "original", "code"),
    [
        ("apply", read_run(), "APV_MALFORMED"),
        ("dry-run", read_run(connector="another"), "APV_WRONG_STATE"),
        ("dry-run", read_run(work=read_run().work[:1]), "APV_WRONG_STATE"),
        (
            "dry-run",
            read_run(work=tuple(one.model_copy(update={"status": "incomplete"}) for one in read_run().work)),
            "APV_WRONG_STATE",
        ),
    ],
    ids=["applied", "of another connector", "one side unread", "incomplete"],
)
def test_replay_that_could_mislead_is_refused(mode: str, original: RunState, code: str) -> None:
    with pytest.raises(NeedsPerson) as refused:
        admit(asked(mode, replay_of=THIRD_RUN), present=None, original=original)
    assert refused.value.code == code


# --- cancelling -----------------------------------------------------------------------------------------------------

BEFORE_APPLY = (
    S.QUEUED,
    S.EXTRACTING,
    S.NORMALISING,
    S.DIFFING,
    S.GUARDING,
    S.HELD,
    S.AWAITING_APPROVAL,
    S.APPROVED,
)
BY_THE_APPLIER = (S.APPLYING, S.THROTTLED, S.VERIFYING)


def test_every_state_has_its_rule_for_cancelling() -> None:
    assert {*BEFORE_APPLY, *BY_THE_APPLIER, S.PAUSED, *TERMINAL} == set(S)


@pytest.mark.parametrize("status", BEFORE_APPLY)
def test_run_that_has_not_begun_to_write_is_cancelled_at_once(status: RunStatus) -> None:
    decision = cancel(run_state(status), actor="otto", reason="not today", at=AT)
    assert states(decision)[RUN].status is S.CANCELLED
    (fact,) = [message.event for message in decision.messages if isinstance(message.event, RunCancelled)]
    assert (fact.actor, fact.reason) == ("otto", "not today")


@pytest.mark.parametrize("status", BY_THE_APPLIER)
def test_run_that_is_being_applied_is_asked_to_end_at_the_next_change(status: RunStatus) -> None:
    state = states(cancel(run_state(status), actor="otto", reason="", at=AT))[RUN]
    assert (state.status, state.cancel_requested_by) == (status, "otto")
    assert states(cancel(run_state(status), actor=None, reason="", at=AT))[RUN].cancel_requested_by == "unknown"


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_run_that_has_ended_cannot_be_cancelled(status: RunStatus) -> None:
    with pytest.raises(NeedsPerson, match=f"has ended as {status}") as refused:
        cancel(run_state(status), actor="otto", reason="", at=AT)
    assert refused.value.code == "APV_WRONG_STATE"


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (NineCounts(planned=3, applied=1, not_attempted=2), S.PARTIAL),
        (NineCounts(planned=3, not_attempted=3), S.CANCELLED),
        (NineCounts(planned=3, noop_already=1, not_attempted=2), S.CANCELLED),
    ],
)
def test_paused_run_that_had_effects_ends_partial(counts: NineCounts, expected: RunStatus) -> None:
    paused = run_state(S.PAUSED, counts=counts)
    assert states(cancel(paused, actor="otto", reason="", at=AT))[RUN].status is expected


@pytest.mark.parametrize(
    "counts",
    [
        NineCounts(planned=2, unknown=1, not_attempted=1),
        NineCounts(planned=2, unknown=1, applied=1),
        None,  # paused by a defect: nobody has counted
    ],
)
def test_paused_run_with_unknown_outcomes_is_left_to_the_applier(counts: NineCounts | None) -> None:
    paused = run_state(S.PAUSED, counts=counts)
    decision = cancel(paused, actor="otto", reason="", at=AT)
    state = states(decision)[RUN]
    assert (state.status, state.counts, state.cancel_requested_by) == (S.PAUSED, counts, "otto")
    assert [message.event for message in decision.messages if isinstance(message.event, RunCancelled)]
    with pytest.raises(NeedsPerson, match="as otto asked, ends when its unknown outcomes are looked up") as refused:
        cancel(state, actor="olga", reason="", at=AT)
    assert refused.value.code == "APV_WRONG_STATE"


@pytest.mark.parametrize("status", BY_THE_APPLIER)
def test_run_that_is_asked_to_end_already_is_not_asked_again(status: RunStatus) -> None:
    first = states(cancel(run_state(status), actor="otto", reason="late", at=AT))[RUN]
    for actor in ("otto", "olga"):
        with pytest.raises(NeedsPerson, match="as otto asked") as refused:
            cancel(first, actor=actor, reason="late too", at=AT)
        assert refused.value.code == "APV_WRONG_STATE"

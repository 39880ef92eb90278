"""Whether a run may begin or be ended by a person: decisions over documents, nothing else.

Pure. A run is admitted when its connector exists, may be run that way, and has no other run under way; one that waits
for a person does not stand in the way, it is superseded by the plan of the new one.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.contract.model import ConnectorDefinition
from shared.errors import NeedsPerson
from shared.events.commands import ReadSide, RequestRun, read_side_subject
from shared.events.documents import FailureNote
from shared.events.facts import RunCancelled, RunRequested
from shared.run.active import ConnectorActive, active_subject
from shared.run.moves import Decision, Message, state_message
from shared.run.state import PhaseTime, RunState, WorkItem
from shared.run.states import WAITING_FOR_A_PERSON, RunStatus


@dataclass(frozen=True)
class Admission:
    """A request with everything the decision needs."""

    request: RequestRun
    requester: str | None
    run: str
    definition: ConnectorDefinition
    release_digest: str
    is_published: bool
    """Whether exactly this definition is a published release."""
    at: str
    is_promoted: bool = True
    """Whether the house lets this release be applied; in production it must have been promoted."""


def admit(
    admission: Admission,
    *,
    present: RunState | None,
    waiting: RunState | None = None,
    original: RunState | None = None,
) -> Decision:
    """The messages that begin a run; `NeedsPerson` with the reason when it may not begin.

    `present` is the connector's last run, whatever became of it; `waiting` an earlier one that waited for a person when
    a dry-run came after it. `original` is the run that is to be replayed, if one is.
    """
    definition, request = admission.definition, admission.request
    if request.version is not None and not admission.is_published:
        raise NeedsPerson(
            "CTR_NOT_PUBLISHED",
            f"connector {definition.name} {definition.version} is not published; run `aether connector publish "
            f"{definition.name}`, or leave the version out for the folder as it is",
        )
    if original is not None:
        _check_replay(admission, original)
    if request.mode == "apply" and definition.lifecycle != "active":
        raise NeedsPerson(
            "CTR_DRAFT",
            f"connector {definition.name} {definition.version} is {definition.lifecycle}; "
            "only an active release can be applied, ask for mode dry-run",
        )
    if request.mode == "apply" and not admission.is_published:
        raise NeedsPerson(
            "CTR_NOT_PUBLISHED",
            f"connector {definition.name} {definition.version} is not published, so nobody can say later what it was; "
            f"run `aether connector publish {definition.name}`, or ask for mode dry-run",
        )
    if request.mode == "apply" and not admission.is_promoted:
        raise NeedsPerson(
            "CTR_NOT_PROMOTED",
            f"connector {definition.name} {definition.version} was not promoted to production; try it in staging, then "
            f"`aether connector promote {definition.name} {definition.version}`, or ask for mode dry-run",
        )
    # The earlier one too: it may have been approved since, and be at work now.
    still_waiting = [one for one in (present, waiting) if one is not None and not one.has_ended]
    for one in still_waiting:
        if one.status not in WAITING_FOR_A_PERSON:
            raise NeedsPerson(
                "APV_OVERLAP",
                f"connector {definition.name}: run {one.run} is {one.status}; wait for it or cancel it",
                other_run=one.run,
            )
    superseded: tuple[Message, ...] = ()
    if request.mode == "apply":
        superseded = tuple(_superseded(one, admission) for one in still_waiting)
        still_waiting = []
    state = _first_state(admission, original)
    return Decision(
        (
            *superseded,
            state_message(state),
            _active_message(admission, waiting=still_waiting[0].run if still_waiting else None),
            Message(
                subject=f"evt.extractor.run_requested.{admission.run}",
                event=RunRequested(
                    run=admission.run,
                    connector=definition.name,
                    connector_version=definition.version,
                    release_digest=admission.release_digest,
                    mode=request.mode,
                    requester=admission.requester,
                    replay_of=state.replay_of,
                ),
                message_id=f"{admission.run}.requested",
                about=admission.run,
            ),
            *(
                Message(
                    subject=read_side_subject(admission.run, item.side, item.entity),
                    event=ReadSide(run=admission.run, side=item.side, entity=item.entity),
                    message_id=f"{admission.run}.read.{item.side}.{item.entity}",
                    about=admission.run,
                )
                for item in state.work
            ),
        )
    )


def _check_replay(admission: Admission, original: RunState) -> None:
    """Whether the rows of that run may be taken; `NeedsPerson` when not."""
    definition = admission.definition
    if admission.request.mode != "dry-run":
        raise NeedsPerson(
            "APV_MALFORMED",
            "what a run read before may be out of date, so a replay is never applied; ask for mode dry-run",
        )
    if original.connector != definition.name:
        raise NeedsPerson(
            "APV_WRONG_STATE",
            f"run {original.run} is of connector {original.connector}, not of {definition.name}",
            other_run=original.run,
        )
    read = {(item.side, item.entity) for item in original.work if item.status == "ready"}
    for entity in definition.entities:
        for side in ("source", "target"):
            if (side, entity) not in read:
                raise NeedsPerson(
                    "APV_WRONG_STATE",
                    f"run {original.run} did not read the {side} of {entity} whole, so it cannot be replayed",
                    other_run=original.run,
                )


def _first_state(admission: Admission, original: RunState | None) -> RunState:
    definition = admission.definition
    work: list[WorkItem] = []
    for entity in definition.entities:
        work += [WorkItem(side="target", entity=entity), WorkItem(side="source", entity=entity)]
    return RunState(
        run=admission.run,
        connector=definition.name,
        connector_version=definition.version,
        release_digest=admission.release_digest,
        mode=admission.request.mode,
        requester=admission.requester,
        status=RunStatus.QUEUED,
        changed_at=admission.at,
        work=tuple(work),
        partitions=definition.partitions,
        target=definition.target.connection,
        history=(PhaseTime(status=RunStatus.QUEUED, at=admission.at),),
        # The rows lie with the run that read them; a replay of a replay takes them from there.
        replay_of=None if original is None else original.replay_of or original.run,
    )


def _superseded(waiting: RunState, admission: Admission) -> Message:
    note = FailureNote(code="APV_SUPERSEDED", text=f"superseded by run {admission.run}")
    return state_message(waiting.moved(RunStatus.SUPERSEDED, at=admission.at, failure=note))


def _active_message(admission: Admission, *, waiting: str | None) -> Message:
    return Message(
        subject=active_subject(admission.definition.name),
        event=ConnectorActive(connector=admission.definition.name, run=admission.run, waiting=waiting),
        message_id=f"{admission.run}.active",
        about=admission.run,
    )


_ENDS_AT_ONCE = frozenset(
    {
        RunStatus.QUEUED,
        RunStatus.EXTRACTING,
        RunStatus.NORMALISING,
        RunStatus.DIFFING,
        RunStatus.GUARDING,
        RunStatus.HELD,
        RunStatus.AWAITING_APPROVAL,
        RunStatus.APPROVED,
        RunStatus.PAUSED,
    }
)


def cancel(state: RunState, *, actor: str | None, reason: str, at: str) -> Decision:
    """End a run, or ask its applier to end it; `NeedsPerson` when it has ended already.

    The applier ends a run that is applying, at its next change, and a paused one that may have unknown outcomes, once
    it has looked them up.
    """
    if state.has_ended:
        raise NeedsPerson(
            "APV_WRONG_STATE", f"run {state.run} has ended as {state.status}; there is nothing to cancel", run=state.run
        )
    if state.cancel_requested_by is not None:
        how = (
            "ends when its unknown outcomes are looked up; mend what keeps the target from being read, then resume it"
            if state.status is RunStatus.PAUSED
            else "ends at its next change already"
        )
        raise NeedsPerson(
            "APV_WRONG_STATE", f"run {state.run}, as {state.cancel_requested_by} asked, {how}", run=state.run
        )
    asked = state.model_copy(update={"cancel_requested_by": actor or "unknown"})
    has_effects = state.counts is not None and state.counts.applied > 0
    # A run that was paused by a defect was not counted: anything may be unknown.
    is_paused = state.status is RunStatus.PAUSED
    may_have_unknown = is_paused and (state.counts is None or state.counts.unknown > 0)
    if state.status in _ENDS_AT_ONCE and not may_have_unknown:
        note = FailureNote(code="SYS_CANCELLED", text=f"cancelled by {actor or 'unknown'}")
        # A paused run has concluded changes: what was done stays done, and the run ends amber.
        status = RunStatus.PARTIAL if is_paused and has_effects else RunStatus.CANCELLED
        asked = asked.moved(status, at=at, failure=note)
    return Decision(
        (
            state_message(asked),
            Message(
                subject=f"evt.extractor.run_cancelled.{state.run}",
                event=RunCancelled(run=state.run, actor=actor, reason=reason),
                message_id=f"{state.run}.cancelled.{len(state.history)}",
                about=state.run,
            ),
        )
    )

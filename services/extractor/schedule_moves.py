"""What is published about a schedule: decisions over documents, nothing else.

Pure. A time is settled once: its run, or the reason to leave it out, and the schedule's next document are one batch,
bound to the document that was read. The run's id follows from connector and time, and its document must not exist yet;
so it does not matter how often a bell rings, nor who hears it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from services.extractor.admission import Admission, admit
from shared.clock import to_text
from shared.errors import NeedsPerson
from shared.events.documents import FailureNote
from shared.events.schedules import NameSchedule, ScheduleFired, SchedulePaused, ScheduleResumed, ScheduleSkipped
from shared.events.stored import Stored
from shared.run.active import ConnectorActive, active_in, active_subject
from shared.run.moves import Decision, Message, hash_of, run_state_in
from shared.run.state import state_subject
from shared.run.states import RunStatus
from shared.schedule.deciding import Due, LeftOut
from shared.schedule.state import Pause, ScheduleState, schedule_state_in, schedule_subject

REASON_CHARACTERS_MAX = 500


@dataclass(frozen=True)
class Looked:
    """What was read before it was decided; the decision holds only if it is still so."""

    state: ScheduleState | None
    active: ConnectorActive | None
    active_subject: str


def still(read: Mapping[str, Stored | None], looked: Looked, connector: str) -> bool:
    """Whether nobody was quicker."""
    return (
        schedule_state_in(read[schedule_subject(connector)]) == looked.state
        and active_in(read[looked.active_subject]) == looked.active
    )


def last_status(read: Mapping[str, Stored | None], state: ScheduleState) -> RunStatus | None:
    """Where the schedule's last run stands."""
    if state.last_run is None:
        return None
    stored = read.get(state_subject(state.last_run))
    return None if stored is None else run_state_in(state.last_run, stored).status


def taken(
    read: Mapping[str, Stored | None], state: ScheduleState, due: Due, admission: Admission
) -> tuple[ScheduleState, tuple[Message, ...]]:
    """The schedule after a time that is due, with the messages that begin its run or say why there is none."""
    nominal = to_text(due.nominal)
    if read[state_subject(admission.run)] is not None:
        # Begun by somebody else between two looks; it is settled, and nothing is told twice.
        return _settled(state, nominal, run=admission.run), ()
    active = active_in(read[active_subject(state.connector)])
    earlier = [] if active is None else [one for one in (active.run, active.waiting) if one is not None]
    states = [run_state_in(one, read[state_subject(one)]) for one in earlier]
    try:
        decision = admit(
            admission,
            present=states[0] if states else None,
            waiting=states[1] if len(states) > 1 else None,
        )
    except NeedsPerson as refused:
        code = "SCH_OVERLAP" if refused.code == "APV_OVERLAP" else "SCH_REFUSED"
        return left_out(state, LeftOut(due.nominal, code, refused.message))
    fired = ScheduleFired(connector=state.connector, nominal=nominal, run=admission.run, missed=due.missed)
    told = _fact("fired", fired, state.connector, nominal)
    return _settled(state, nominal, run=admission.run), (*decision.messages, told)


def left_out(state: ScheduleState, why: LeftOut) -> tuple[ScheduleState, tuple[Message, ...]]:
    """The schedule after a time that was left out."""
    nominal = to_text(why.nominal)
    skipped = ScheduleSkipped(
        connector=state.connector, nominal=nominal, reason=FailureNote(code=why.code, text=why.text)
    )
    return _settled(state, nominal, code=why.code), (_fact("skipped", skipped, state.connector, nominal),)


def told(before: ScheduleState | None, after: ScheduleState, messages: tuple[Message, ...]) -> Decision:
    """The batch: the schedule's document if it changed, what happened, and that it paused itself if it did."""
    if before == after and not messages:
        return Decision()
    extra: tuple[Message, ...] = ()
    if after.paused is not None and (before is None or before.paused is None):
        paused = SchedulePaused(connector=after.connector, pause=after.paused)
        extra = (_fact("paused", paused, after.connector, after.paused.at),)
    return Decision((document(after.model_copy(update={"number": after.number + 1})), *messages, *extra))


def document(state: ScheduleState) -> Message:
    """The message that replaces a schedule's document."""
    return Message(
        subject=schedule_subject(state.connector),
        event=state,
        message_id=f"schedule.{state.connector}.{state.number}.{hash_of(state)}",
        about=state.connector,
    )


def pause(command: NameSchedule, *, present: ScheduleState | None, actor: str | None, at: str) -> Decision:
    """The messages that pause a schedule; `NeedsPerson` when it cannot be."""
    person, state = _checked(command, present, actor)
    if state.paused is not None:
        _refuse(f"is paused already, by {state.paused.by} since {state.paused.at}", command.connector)
    after = state.model_copy(update={"paused": Pause(by=person, at=at, reason=command.reason)})
    return told(state, after, ())


def resume(command: NameSchedule, *, present: ScheduleState | None, actor: str | None, at: str) -> Decision:
    """The messages that let a schedule run again; times that passed meanwhile stay left out."""
    person, state = _checked(command, present, actor)
    if state.paused is None:
        _refuse("is not paused", command.connector)
    after = state.model_copy(
        # Times that passed while it was paused are nobody's, also those that nobody was there to leave out.
        update={"paused": None, "bad_in_row": 0, "is_counted": True, "since": at, "number": state.number + 1}
    )
    fact = ScheduleResumed(connector=command.connector, by=person, reason=command.reason)
    return Decision((document(after), _fact("resumed", fact, command.connector, at)))


def _settled(state: ScheduleState, nominal: str, *, run: str | None = None, code: str | None = None) -> ScheduleState:
    if run is None:
        return state.model_copy(update={"settled": nominal, "last_code": code})
    return state.model_copy(update={"settled": nominal, "last_code": None, "last_run": run, "is_counted": False})


def _checked(command: NameSchedule, present: ScheduleState | None, actor: str | None) -> tuple[str, ScheduleState]:
    if present is None:
        raise NeedsPerson(
            "SCH_UNKNOWN",
            f"connector {command.connector} has no schedule that was ever seen; see `aether schedule list`",
            connector=command.connector,
        )
    if actor is None:
        _refuse("the bus did not say who asks", command.connector)
    if not command.reason.strip() or len(command.reason) > REASON_CHARACTERS_MAX:
        _refuse(f"say why, in 1 to {REASON_CHARACTERS_MAX} characters", command.connector)
    return actor, present


def _refuse(text: str, connector: str) -> NoReturn:
    raise NeedsPerson("APV_MALFORMED", f"the schedule of {connector}: {text}", connector=connector)


def _fact(
    what: str,
    event: ScheduleFired | ScheduleSkipped | SchedulePaused | ScheduleResumed,
    connector: str,
    when: str,
) -> Message:
    return Message(
        subject=f"evt.extractor.schedule_{what}.{connector}",
        event=event,
        message_id=f"schedule.{connector}.{what}.{when}",
        about=connector,
    )

"""Where a run stands: the one document under `run.<id>.state`, and the moves made on it.

Pure. Whoever moves a run reads this document, makes the next one here and publishes it under the sequence it read;
of two that try at once, one wins and the other decides again.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from shared.errors import NeedsPerson, StopRun
from shared.events.documents import FailureNote
from shared.events.model import Document, Event
from shared.ids import is_run_id
from shared.policy.approval import DEFERRED_MAX, ChangeId, SignedApproval
from shared.run.counts import NineCounts
from shared.run.states import RunStatus, check_move, is_terminal

Mode = Literal["dry-run", "apply"]
Side = Literal["source", "target"]
ENTITY_SHOWN_MAX = 60


class WorkItem(Document):
    """One side of one entity that must be read before the run can go on."""

    side: Side
    entity: str
    status: Literal["waiting", "ready", "incomplete"] = "waiting"
    """`incomplete`: the read has no certificate; the run goes on without it, or not at all."""
    attempt: str | None = None
    """The attempt whose batches count; others under the same subject prefix are leftovers of a killed reader."""


class PlanSummary(Document):
    """What the run's document says of its plan."""

    plan_digest: str
    content_digest: str
    verdict_digest: str
    verdict_level: Literal["PASS", "WARN", "HOLD", "BLOCK"]
    changes: int = Field(ge=0)
    changes_by_class: dict[str, int]
    approvals_needed: int
    created_at: str
    expires_at: str


class PhaseTime(Document):
    """When the run entered a state."""

    status: RunStatus
    at: str


class RunState(Event):
    """Where a run stands."""

    event_type: ClassVar[str] = "aether.run.state.v1"

    run: str
    connector: str
    connector_version: str
    release_digest: str
    mode: Mode
    requester: str | None
    """The identity the bus asserted for the request."""
    status: RunStatus
    changed_at: str
    work: tuple[WorkItem, ...]
    partitions: int = Field(ge=1)
    partitions_done: tuple[int, ...] = ()
    target: str
    """Name of the target connection."""
    plan: PlanSummary | None = None
    approvals: tuple[SignedApproval, ...] = ()
    deferred: tuple[ChangeId, ...] = Field(default=(), max_length=DEFERRED_MAX)
    """Changes that the approvals leave out, in order; of a retry, those of the run whose plan it is."""
    cancel_requested_by: str | None = None
    pause_requested_by: str | None = None
    """Who asked the applier to pause at its next change; None again once it has, or the run has ended."""
    counts: NineCounts | None = None
    failure: FailureNote | None = None
    history: tuple[PhaseTime, ...] = ()
    replay_of: str | None = None
    """The run whose kept rows were taken instead of reading the systems; such a run is dry and remembered by nobody."""
    retry_of: str | None = None
    """The run whose failed changes this one tries again, under that run's plan and approvals."""
    retry_plan_of: str | None = None
    """The run whose plan that is: `retry_of` itself, or what it is a retry of in turn."""
    trace: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$")
    """The trace of the run, in hexadecimal digits (W3C Trace Context); whoever publishes the document puts it there."""

    @property
    def plan_run(self) -> str:
        """The run under whose id the plan lies."""
        return self.retry_plan_of or self.run

    @property
    def has_ended(self) -> bool:
        """Whether nothing follows any more."""
        return is_terminal(self.status)

    def moved(self, status: RunStatus, *, at: str, failure: FailureNote | None = None) -> RunState:
        """The run in its next state; `StopRun` when the table of moves does not hold the step."""
        check_move(self.run, self.status, status)
        has_answered = status is RunStatus.PAUSED or is_terminal(status)
        return self.model_copy(
            update={
                "status": status,
                "changed_at": at,
                "failure": failure,
                "pause_requested_by": None if has_answered else self.pause_requested_by,
                "history": (*self.history, PhaseTime(status=status, at=at)),
            }
        )

    def item(self, side: Side, entity: str) -> WorkItem:
        """The work item of one side of one entity; `StopRun` when the run has none."""
        for item in self.work:
            if item.side == side and item.entity == entity:
                return item
        # Whoever sends such a command may have put anything there: what is no name is not repeated.
        shown = repr(entity) if entity.isidentifier() and len(entity) <= ENTITY_SHOWN_MAX else "what it names"
        text = f"run {self.run} reads no {side} of {shown}; the command is not of this run"
        raise StopRun("SYS_UNDECODABLE", text, run=self.run)

    def with_item(self, changed: WorkItem) -> RunState:
        """The run with one work item replaced."""
        work = tuple(
            changed if (item.side, item.entity) == (changed.side, changed.entity) else item for item in self.work
        )
        return self.model_copy(update={"work": work})


def state_subject(run: str) -> str:
    """The subject under which a run's document lies."""
    return f"run.{run}.state"


def checked_run(text: str) -> str:
    """The run id; `NeedsPerson` for a text that is none, before it becomes part of a subject."""
    if not is_run_id(text):
        raise NeedsPerson("APV_UNKNOWN_RUN", f"{text[:60]!r} is no run id; ids look like 20261122T083455-4k7zq2")
    return text

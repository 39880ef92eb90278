"""Commands: what people ask of the house, and what one step of a run asks of the next."""

from __future__ import annotations

from typing import ClassVar, Literal

from shared.events.documents import FailureNote
from shared.events.model import Document, Event
from shared.policy.approval import SignedApproval

# --- from people, by request and reply ------------------------------------------------------------------------------


class RequestRun(Document):
    """Body of `aether.run.request`."""

    connector: str
    mode: Literal["dry-run", "apply"]
    version: str | None = None
    """A published release, as `1.2.0`; None: the connector as its folder has it."""
    replay_of: str | None = None
    """A run whose kept rows are taken instead of reading the systems; only for a dry-run."""


class DecideRun(Document):
    """Body of `aether.run.approve` and `aether.run.reject`: the signed decision."""

    signed: SignedApproval
    deferred: tuple[str, ...] = ()
    """Ids of the changes that the approval leaves out, at most `DEFERRED_MAX`; none when it is of all."""


class NameRun(Document):
    """Body of `aether.run.cancel`, `aether.run.pause`, `aether.run.resume` and `aether.run.retry`."""

    run: str
    reason: str = ""


class DeclareDelta(Document):
    """Body of `aether.guard.declare`: a change of many records, announced before it comes."""

    connector: str
    entity: str | None = None
    """May be left out where the connector has one."""
    change_class: str
    where: dict[str, tuple[str, ...]]
    """By field: the values, as text, of which the record holds one."""
    expected: int
    tolerance_percent: float = 0.0
    valid_from: str
    """RFC 3339; the first moment."""
    valid_until: str
    """RFC 3339; the first moment after."""
    reason: str


class WithdrawDelta(Document):
    """Body of `aether.guard.withdraw`."""

    declaration: str
    reason: str = ""


class PromoteConnector(Document):
    """Body of `aether.connector.promote`: a release may be applied in production from now on."""

    connector: str
    version: str
    digest: str
    """Digest of the release that was tried, as `aether connector list` shows it."""
    reason: str
    tried_in: str | None = None
    """The run in the house of staging that the person looked at."""


class Reply(Document):
    """Answer to every command of a person: accepted with the run's id and state, or refused with the reason."""

    is_accepted: bool
    run: str | None = None
    status: str | None = None
    refusal: FailureNote | None = None
    declaration: str | None = None
    """Id of the declared delta that the command made or withdrew."""


# --- from one step to the next, on CORE -----------------------------------------------------------------------------


class ReadSide(Event):
    """Read one side of one entity and normalise it."""

    event_type: ClassVar[str] = "aether.extract.read.v1"
    run: str
    side: Literal["source", "target"]
    entity: str


class DiffPartition(Event):
    """Compare one partition of the run's snapshots."""

    event_type: ClassVar[str] = "aether.diff.partition.v1"
    run: str
    partition: int


class DraftPlan(Event):
    """Every partition is compared: judge, order and seal the plan."""

    event_type: ClassVar[str] = "aether.plan.draft.v1"
    run: str


class ApplyPlan(Event):
    """Carry out what was approved; or go on with it."""

    event_type: ClassVar[str] = "aether.apply.plan.v1"
    run: str
    ordinal: int
    """1 for the first time, one more for each resume."""


class ExpirePlan(Event):
    """End the run if nobody has decided upon its plan when its time is over."""

    event_type: ClassVar[str] = "aether.plan.expire.v1"
    run: str
    plan_digest: str
    expires_at: str


def expire_plan_subject(run: str) -> str:
    """Where the command to end an undecided run lies."""
    return f"cmd.expire.{run}"


def read_side_subject(run: str, side: str, entity: str) -> str:
    """Where the command to read one side lies."""
    return f"cmd.extract.{run}.{side}.{entity}"


def diff_partition_subject(run: str, partition: int) -> str:
    """Where the command to compare one partition lies."""
    return f"cmd.diff.{run}.{partition}"


def draft_plan_subject(run: str) -> str:
    """Where the command to draft the plan lies."""
    return f"cmd.plan.{run}"


def apply_plan_subject(run: str) -> str:
    """Where the command to apply lies."""
    return f"cmd.apply.{run}"

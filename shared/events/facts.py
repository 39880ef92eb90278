"""Facts: what happened, in the past tense. They hold no personal value."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from shared.events.documents import FailureNote, PageReference, PartitionManifest
from shared.events.model import Document, Event, FailureCode
from shared.policy.approval import SignedApproval
from shared.policy.declared import Declaration
from shared.policy.figures import SourceFigures
from shared.records.certificate import Certificate
from shared.run.counts import NineCounts


class RunRequested(Event):
    """A request was admitted."""

    event_type: ClassVar[str] = "aether.run.requested.v1"
    run: str
    connector: str
    connector_version: str
    release_digest: str
    mode: Literal["dry-run", "apply"]
    requester: str | None
    replay_of: str | None = None
    """The run whose kept rows are taken instead of reading the systems."""


class CommandRefused(Event):
    """A command was refused."""

    event_type: ClassVar[str] = "aether.command.refused.v1"
    command: str
    run: str | None
    actor: str | None
    """The identity the bus asserted."""
    refusal: FailureNote


class UnmappedId(Document):
    """An id that a mapping table does not hold, and on how many rows it stands."""

    table: str
    value: str
    rows: int = Field(ge=1)


class DriftFound(Document):
    """Something in the shape of a source that is not as agreed, and what was done about it."""

    alias: str
    """The source's name in the connector."""
    column: str
    what: Literal["missing", "type", "new", "value"]
    """A column that is gone, of another type, or new; or values outside an enum."""
    policy: str
    """The field's drift policy; `ignore` for a new column."""
    field: str | None = None
    """The field concerned; None for a new column and for columns that decide which rows count."""
    rows: int = Field(default=0, ge=0)
    """Records concerned, where they were counted."""
    detail: str = ""
    """For a type: what was declared and what came."""


class KeptRows(Document):
    """Rows of one reading as they came, beside the snapshot: of every column that the contract uses."""

    role: Literal["source", "lookup", "target"]
    name: str
    """A source's alias, or the target's entity."""
    connection: str
    entity: str
    columns: tuple[str, ...]
    """The columns that were wanted; one that the system did not deliver is not in the rows."""
    declared: dict[str, str]
    """Kind of each column that the system declares."""
    manifest: PartitionManifest


class SnapshotRead(Event):
    """One side of one entity was read and its batches lie on the bus; or it could not be read whole."""

    event_type: ClassVar[str] = "aether.snapshot.read.v1"
    run: str
    side: Literal["source", "target"]
    entity: str
    attempt: str
    certificates: tuple[Certificate, ...]
    """One for every source read whole; the target has one or none."""
    sources: tuple[SourceFigures, ...]
    incomplete: FailureNote | None
    """Why a certificate is missing."""
    target_serial: int = Field(ge=0)
    """Sequence of the last apply that had begun on the target before the reading; 0 when there was none."""
    records: int = Field(ge=0)
    quarantined: int = Field(ge=0)
    quarantined_by_code: dict[str, int]
    unmapped: tuple[UnmappedId, ...]
    out_of_scope: int = Field(ge=0)
    partitions: tuple[PartitionManifest, ...]
    started_at: str
    seconds: float = Field(ge=0)
    memory_peak_mb: int = Field(ge=0)
    """Largest resident size of the reading process so far."""
    hash_version: str | None = None
    """Algorithm, library and behaviour of the hashes in the batches; hashes of another version are not compared."""
    keyless: int = Field(default=0, ge=0)
    """Of the quarantined, those without a key: they may be anybody."""
    discarded: dict[str, int] = Field(default_factory=dict)
    """Values dropped because of their form or of drift, as the contract asks, by field."""
    drift: tuple[DriftFound, ...] = ()
    """What was not as agreed and did not block the run."""
    drift_total: int = Field(default=0, ge=0)
    """How many there were; the fact lists a bounded number of them."""
    kept: tuple[KeptRows, ...] = ()
    """The rows as read, kept so that the run can be replayed; empty when they were not kept."""
    rereads: int = Field(default=0, ge=0)
    """Readings that were thrown away because the records moved while they were read page by page."""


class PartitionDiffed(Event):
    """One partition was compared; its changes lie on pages."""

    event_type: ClassVar[str] = "aether.partition.diffed.v1"
    run: str
    partition: int
    entity: str
    changes: int = Field(ge=0)
    changes_by_class: dict[str, int]
    null_outs: int = Field(ge=0)
    ambiguous: int = Field(ge=0)
    removals_suppressed: int = Field(ge=0)
    desired: int = Field(ge=0)
    live_managed: int = Field(ge=0)
    quarantined_kept: int = Field(ge=0)
    """Target records left alone because their source row is in quarantine."""
    pages: tuple[PageReference, ...]
    seconds: float = Field(ge=0)
    memory_peak_mb: int = Field(ge=0)
    attempt: str | None = None
    """The attempt whose residue counts; other batches of the same partition are leftovers of a killed differ."""
    residue: tuple[PartitionManifest, ...] = ()
    """What found no partner in the partition, and its counts; it is settled together with that of all others."""
    index: tuple[PageReference, ...] = ()
    """Parts of the plan's index over the changes on the pages."""
    aside: dict[str, int] = Field(default_factory=dict)
    """Changes that were found and left out, by code of the catalogue."""
    field_changes: dict[str, int] = Field(default_factory=dict)
    """Existing records whose field changes, by field; removals are left out."""


class PlanDrafted(Event):
    """The plan stands."""

    event_type: ClassVar[str] = "aether.plan.drafted.v1"
    run: str
    plan_digest: str
    content_digest: str
    verdict_digest: str
    verdict_level: str
    verdict_lines: tuple[str, ...]
    changes: int = Field(ge=0)
    changes_by_class: dict[str, int]
    approvals_needed: int
    expires_at: str
    seconds: float = Field(ge=0)
    memory_peak_mb: int = Field(ge=0)


class PlanDecided(Event):
    """A person approved or rejected the plan."""

    event_type: ClassVar[str] = "aether.plan.decided.v1"
    run: str
    signed: SignedApproval
    is_final: bool
    """False while a further approver is needed."""
    left_out: int = Field(default=0, ge=0)
    """Changes that an approval of a part leaves out; `signed` holds the root over the others."""


class RunCancelled(Event):
    """A person asked that the run end."""

    event_type: ClassVar[str] = "aether.run.cancelled.v1"
    run: str
    actor: str | None
    reason: str


class RunResumed(Event):
    """A person asked that a paused run go on."""

    event_type: ClassVar[str] = "aether.run.resumed.v1"
    run: str
    actor: str | None
    reason: str


class PauseRequested(Event):
    """A person asked that a run pause at its next change."""

    event_type: ClassVar[str] = "aether.run.pause_requested.v1"
    run: str
    actor: str | None
    reason: str


class RetryRequested(Event):
    """A person asked that the failed changes of an ended run be tried again, under its plan and its approvals."""

    event_type: ClassVar[str] = "aether.run.retry_requested.v1"
    run: str
    """The new run."""
    retry_of: str
    connector: str
    actor: str | None
    reason: str
    changes: int = Field(ge=1)
    """How many changes are tried again."""


class RunExpired(Event):
    """A plan that nobody decided upon in its time."""

    event_type: ClassVar[str] = "aether.run.expired.v1"
    run: str
    plan_digest: str
    expired_at: str


class ConnectionHealth(Event):
    """Whether a connection may be used; the one document under `connection.<name>.health`."""

    event_type: ClassVar[str] = "aether.connection.health.v1"
    connection: str
    status: Literal["healthy", "quarantined"]
    since: str
    """When it came into this state."""
    reason: FailureNote | None
    """Why it is in quarantine."""
    run: str | None
    """The run that met the refusal, or that found the connection healthy again; None for a probe."""
    probes: int = Field(default=0, ge=0)
    """Probes since it is in quarantine."""


def connection_health_subject(connection: str) -> str:
    """Where the health of a connection lies."""
    return f"connection.{connection}.health"


class AlarmRaised(Event):
    """Something that never happens unless a program or a person does what must not be done."""

    event_type: ClassVar[str] = "aether.alarm.raised.v1"
    service: str
    run: str | None
    reason: FailureNote


class ApplyRefused(Event):
    """The applier refused a plan before the first write."""

    event_type: ClassVar[str] = "aether.apply.refused.v1"
    run: str
    refusal: FailureNote


class ApplyStarted(Event):
    """An applier holds the target and has found the plan to be the approved one."""

    event_type: ClassVar[str] = "aether.apply.started.v1"
    run: str
    target: str
    fencing_token: int
    plan_digest: str
    planned: int


class ApplyPaused(Event):
    """Applying stopped at a change and waits."""

    event_type: ClassVar[str] = "aether.apply.paused.v1"
    run: str
    reason: FailureNote
    counts: NineCounts


class ApplyFinished(Event):
    """Every change has its outcome."""

    event_type: ClassVar[str] = "aether.apply.finished.v1"
    run: str
    target: str
    status: str
    counts: NineCounts
    counts_by_code: dict[str, int]
    seconds: float = Field(ge=0)
    retries: int = Field(ge=0)
    rate_limited: int = Field(ge=0)
    memory_peak_mb: int = Field(ge=0)


class IntentRecorded(Event):
    """A write is about to be sent. On LEDGER, under the change's subject."""

    event_type: ClassVar[str] = "aether.change.intended.v1"
    run: str
    change_id: str
    fencing_token: int
    attempt: int = Field(ge=1)


Result = Literal[
    "applied",
    "noop_already",
    "stale_skipped",
    "dependency_skipped",
    "deferred",
    "quarantined",
    "failed",
    "not_attempted",
]


class OutcomeRecorded(Event):
    """What became of a change. On LEDGER, under the change's subject."""

    event_type: ClassVar[str] = "aether.change.concluded.v1"
    run: str
    change_id: str
    fencing_token: int
    result: Result
    code: FailureCode | None = None
    """Code of the catalogue unless applied."""
    target_id: str | None = None
    is_read_back: bool = False
    """Whether the outcome was learned by reading the target and not from the answer to the write."""
    tries: int = Field(default=1, ge=0)


class RunSealed(Event):
    """The auditor has the whole run in its log."""

    event_type: ClassVar[str] = "aether.run.sealed.v1"
    run: str
    connector: str
    connector_version: str
    mode: str
    status: str
    plan_digest: str | None
    verdict_digest: str | None
    approvers: tuple[str, ...]
    counts: NineCounts
    counts_by_class: dict[str, int]
    counts_by_code: dict[str, int]
    phases: dict[str, float]
    """Seconds spent in each state."""
    first_entry: int
    last_entry: int


class DeltaDeclared(Event):
    """A person announced a change of many records."""

    event_type: ClassVar[str] = "aether.delta.declared.v1"
    declaration: Declaration


class DeltaWithdrawn(Event):
    """A person took an announcement back."""

    event_type: ClassVar[str] = "aether.delta.withdrawn.v1"
    declaration: str
    connector: str
    actor: str | None
    """The identity the bus asserted."""
    reason: str


class TargetFenced(Event):
    """A holder of the target's lease planted its token: what an earlier holder sends is stored no more. On LEDGER."""

    event_type: ClassVar[str] = "aether.target.fenced.v1"
    target: str
    fencing_token: int = Field(ge=1)


FAULTS_MAX = 20


class RecordMismatch(Event):
    """A run's own counts differ from what the ledger of changes shows."""

    event_type: ClassVar[str] = "aether.audit.mismatch.v1"
    run: str
    faults: tuple[str, ...] = Field(max_length=FAULTS_MAX)
    """One sentence a fault: name, number of the run, number of the ledger."""
    faults_total: int = Field(ge=1)


class MessagesLost(Event):
    """Messages had been deleted from a stream before the auditor read them; the log says so and goes on."""

    event_type: ClassVar[str] = "aether.audit.messages_lost.v1"
    stream: str
    first_seq: int
    last_seq: int


class ChangeRevealed(Event):
    """A person had the personal values of one change shown; the values are not told."""

    event_type: ClassVar[str] = "aether.audit.change_revealed.v1"
    run: str
    change_id: str
    entity: str
    fields: tuple[str, ...]
    """Names of the fields that were shown."""
    actor: str
    """The identity the bus asserted."""
    reason: str


CONSOLE_DETAILS_MAX = 20
CONSOLE_TEXT_MAX = 300
ConsoleText = Annotated[str, Field(max_length=CONSOLE_TEXT_MAX)]
ConsoleAct = Literal[
    "signed_in",
    "sign_in_refused",
    "signed_out",
    "session_ended",
    "account_created",
    "account_changed",
    "account_disabled",
    "password_changed",
    "second_factor_changed",
    "roles_changed",
    "access_reviewed",
    "revealed",
    "exported",
]


class ConsoleActed(Event):
    """What a person did at the console that is no command to another service: logins, accounts, access."""

    event_type: ClassVar[str] = "aether.console.acted.v1"
    actor: ConsoleText | None
    """The account that acted; None where nobody was signed in."""
    what: ConsoleAct
    subject: ConsoleText | None = None
    """Whom or what it concerns: an account, a run; never a personal value of a record."""
    detail: dict[ConsoleText, ConsoleText] = Field(default_factory=dict, max_length=CONSOLE_DETAILS_MAX)
    """Further facts, such as the roles before and after."""


def apply_started_subject(target: str) -> str:
    """Where the applies of a target are told; the last one's sequence is the target's serial."""
    return f"evt.applier.apply_started.{target}"


def change_subject(run: str, change_id: str) -> str:
    """Where intent and outcome of one change lie."""
    return f"led.{run}.change.{change_id}"


def outcomes_filter(run: str) -> str:
    """Intents and outcomes of all changes of a run."""
    return f"led.{run}.change.*"


def fence_subject(target: str) -> str:
    """Where the fence of a target lies."""
    return f"led.fence.{target}"

"""Questions by request and reply, and their answers: of the auditor under `aether.query.`, of others by their subject.

Answers hold no personal value: changed values are masked before they leave the auditor. The one exception is
`RevealedChange`, which is given to a person who said why, and after that was recorded.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from shared.events.documents import FailureNote
from shared.events.model import Document
from shared.policy.backtest import StoredRun
from shared.policy.declared import Declaration
from shared.policy.guard import VerdictLine
from shared.run.counts import NineCounts
from shared.run.state import PhaseTime, PlanSummary

RUNS_MAX = 200
CHANGES_MAX = 200
ENTRIES_MAX = 500
ITEMS_MAX = 500
"""Largest number of rows of one answer, so that an answer fits in one message."""
SEARCH_CHARS_MAX = 100
"""Characters of a text that is looked for."""
FILTER_CHARS_MAX = 512
REASON_CHARS_MIN = 10
"""Of a reason for which personal values are shown; fewer say nothing."""
HISTORY_DAYS_MAX = 400
"""How long the differ keeps what it showed the guard."""


class RunsQuery(Document):
    """Body of `aether.query.runs`: the newest runs first."""

    connector: str | None = None
    status: tuple[str, ...] = Field(default=(), max_length=30)
    """Only runs in one of these states; all when empty."""
    mode: str | None = None
    text: str | None = Field(default=None, max_length=SEARCH_CHARS_MAX)
    """Stands in the run's id, its connector or its requester."""
    before: str | None = Field(default=None, max_length=FILTER_CHARS_MAX)
    """Only runs behind this place: `goes_on` of the answer before."""
    limit: int = Field(default=20, ge=1, le=RUNS_MAX)


class RunView(Document):
    """One run as people see it."""

    run: str
    connector: str
    connector_version: str
    mode: str
    status: str
    requester: str | None
    requested_at: str
    changed_at: str
    plan: PlanSummary | None
    approvers: tuple[str, ...]
    counts: NineCounts | None
    """While a run is applying: what is concluded so far, the rest as not_attempted or unknown."""
    failure: FailureNote | None
    replay_of: str | None = None
    """The run whose kept rows were taken instead of reading the systems."""
    retry_of: str | None = None
    """The run whose failed changes this one tries again."""
    asked_to_end_by: str | None = None
    """Who asked that the run end, while it has not."""
    asked_to_pause_by: str | None = None
    """Who asked that the run pause at its next change, while it has not."""
    is_sealed: bool
    """Whether the whole run is in the audit log under a signed checkpoint."""
    trace: str | None = None
    """The run's trace, in 32 hexadecimal digits; None for a run of a release that did not keep it."""


class RunsAnswer(Document):
    """Answer to `RunsQuery`."""

    runs: tuple[RunView, ...]
    goes_on: str | None = None
    """What to ask with as `before` for the runs that follow; None when there are none."""


class RunQuery(Document):
    """Body of `aether.query.run`."""

    run: str


class SnapshotView(Document):
    """What was read of one side of one entity."""

    side: Literal["source", "target"]
    entity: str
    is_certified: bool
    rows: dict[str, int]
    """Rows by source."""
    records: int
    quarantined: int
    quarantined_by_code: dict[str, int]
    unmapped: tuple[str, ...]
    """`table: value (rows)` for each id that a mapping table does not hold."""
    incomplete: FailureNote | None
    seconds: float
    memory_peak_mb: int


class DeadLetterView(Document):
    """A message that no service could take."""

    stream: str
    seq: int
    subject: str
    service: str
    code: str
    reason: str
    at: str


class DecisionView(Document):
    """What a person decided about a run, and why."""

    decision: Literal["approve", "reject", "cancel", "resume", "pause", "retry"]
    person: str
    """The identity the bus asserted."""
    at: str
    """When the bus stored it."""
    is_override: bool = False
    """Whether a plan that the guard held was released knowingly."""
    reason: str
    subset: str | None = None
    """What an approval is of: `ALL`, or the root over the changes that stayed in; None for what is no approval."""
    left_out: int = 0
    """Changes that an approval of a part left out."""


class RefusalView(Document):
    """A command or an apply that was refused."""

    what: str
    """The subject of the command; `apply` for a plan that the applier refused."""
    person: str | None
    """Who gave the command, as the bus asserted; None where the house refused its own step."""
    at: str
    code: str
    text: str


class RunAnswer(Document):
    """Answer to `RunQuery`; `run` is None when there is no such run."""

    run: RunView | None
    phases: tuple[PhaseTime, ...] = ()
    snapshots: tuple[SnapshotView, ...] = ()
    verdict: tuple[VerdictLine, ...] = ()
    left_out: dict[str, int] = Field(default_factory=dict)
    """Changes that were found and left out of the plan, by code of the catalogue."""
    counts_by_code: dict[str, int] = Field(default_factory=dict)
    decisions: tuple[DecisionView, ...] = ()
    """Oldest first."""
    refusals: tuple[RefusalView, ...] = ()
    """Commands and applies of this run that were refused, oldest first."""
    dead_letters: tuple[DeadLetterView, ...] = ()
    summary: dict[str, Any] | None = None
    """The sealed summary (`RunSealed`), once there is one."""


class PlanQuery(Document):
    """Body of `aether.query.plan`: a part of a plan's changes in change-id order."""

    run: str
    change_class: str | None = None
    entity: str | None = Field(default=None, max_length=FILTER_CHARS_MAX)
    cohort: str | None = Field(default=None, max_length=FILTER_CHARS_MAX)
    alike: str | None = Field(default=None, max_length=FILTER_CHARS_MAX)
    """Only changes that do the same as the one which bears this."""
    result: str | None = Field(default=None, max_length=FILTER_CHARS_MAX)
    """Only changes of which this became; `open` for those of which nothing is known yet."""
    text: str | None = Field(default=None, max_length=SEARCH_CHARS_MAX)
    """Stands in the key or in a value as they are shown; values that are masked are not looked through."""
    offset: int = Field(default=0, ge=0)
    limit: int = Field(default=50, ge=1, le=CHANGES_MAX)


class MaskedField(Document):
    """One changed field; personal values show their first sign and length only."""

    name: str
    before: str | None
    after: str | None
    cause: str


class ChangeView(Document):
    """One change as a reviewer sees it."""

    change_id: str
    change_class: str
    entity: str
    key: str
    fields: tuple[MaskedField, ...]
    result: str | None = None
    code: str | None = None
    wave: int | None = None
    """When it is carried out among the others; destructive changes stand in the last wave."""
    cohort: str | None = None
    """The guard's cohort of the record; null where the contract names none, or it tells of a personal field."""
    alike: str | None = None
    """The same for changes of one entity and class that do the same to the same fields, personal values left out."""
    record: str | None = None
    """A commitment to the record's key: the same for the same record in every run, and nothing of the key."""
    is_destructive: bool | None = None
    """Whether it takes something away."""
    is_irreversible: bool | None = None
    """Whether a later run cannot bring back what it takes; None where that is not known."""
    marks: tuple[str, ...] = ()
    """`deferred`: it was left out of an approval before."""


class PlanAnswer(Document):
    """Answer to `PlanQuery`; `plan` is None when the run has none (yet)."""

    run: str
    plan: PlanSummary | None
    verdict: tuple[VerdictLine, ...] = ()
    left_out: dict[str, int] = Field(default_factory=dict)
    """Changes that were found and left out of the plan, by code of the catalogue."""
    excluded: int = 0
    total: int = 0
    """Changes of the asked class, or of all."""
    changes: tuple[ChangeView, ...] = ()


class RevealChange(Document):
    """Body of `aether.reveal.change`: show the personal values of one change to the person who asks."""

    run: str = Field(max_length=FILTER_CHARS_MAX)
    change_id: str = Field(pattern=r"^[0-9a-f]{64}$")
    reason: str = Field(min_length=REASON_CHARS_MIN, max_length=500)
    """Why, in a sentence; it is kept with the name of who asked."""


class RevealedField(Document):
    """One changed field as it is."""

    name: str
    before: str | None
    after: str | None
    is_personal: bool


class RevealedChange(Document):
    """Answer to `RevealChange`, given after the fact is stored that it was asked for."""

    run: str
    change_id: str
    entity: str
    change_class: str
    key: str
    fields: tuple[RevealedField, ...]


class AuditNote(Document):
    """Which runs changed, once that is in the auditor's database. Kept by no stream: who misses one looks by itself."""

    runs: tuple[str, ...] = Field(default=(), max_length=RUNS_MAX)
    is_many: bool = False
    """More runs changed than one note names; none is named."""
    size: int = Field(ge=0)
    """Entries in the log."""


class EntriesQuery(Document):
    """Body of `aether.query.entries`: audit entries by index."""

    first: int = Field(default=0, ge=0)
    limit: int = Field(default=ENTRIES_MAX, ge=1, le=ENTRIES_MAX)


class EntriesAnswer(Document):
    """Answer to `EntriesQuery`."""

    entries: tuple[dict[str, Any], ...]
    size: int
    """Entries in the log when the answer was made."""


class CheckpointsQuery(Document):
    """Body of `aether.query.checkpoints`: signed checkpoints from the first asked for on, oldest first."""

    first: int = Field(default=0, ge=0)
    limit: int = Field(default=ENTRIES_MAX, ge=1, le=ENTRIES_MAX)


class CheckpointsAnswer(Document):
    """Answer to `CheckpointsQuery`."""

    checkpoints: tuple[str, ...]
    total: int
    verifier_key: str
    """As the auditor states it; a verifier uses the key it was given another way and compares."""


class HealthQuery(Document):
    """Body of `aether.query.health`."""


class QuarantinedConnection(Document):
    """A connection over which nothing is sent until its credential is accepted again."""

    connection: str
    since: str
    reason: FailureNote | None
    run: str | None
    """The run that met the refusal."""
    probes: int
    """How often it was tried since."""


class HealthAnswer(Document):
    """How the record stands."""

    entries: int
    checkpoints: int
    lag: dict[str, int]
    """Messages of each stream that are not in the log yet."""
    dead_letters: tuple[DeadLetterView, ...]
    """The newest."""
    dead_letters_total: int
    quarantined: tuple[QuarantinedConnection, ...] = ()
    """Connections in quarantine, by name."""


class DeclaredQuery(Document):
    """Body of `aether.guard.declared`: the declared deltas of one connector, or of all."""

    connector: str | None = None


class DeclaredView(Document):
    """One declared delta."""

    declaration: Declaration
    state: Literal["to come", "in force", "ended", "withdrawn"]


class DeclaredAnswer(Document):
    """Answer to `DeclaredQuery`: by connector, in the order in which they were made."""

    declared: tuple[DeclaredView, ...]


class HistoryQuery(Document):
    """Body of `aether.guard.history`: what the guard was shown of earlier runs, the newest first."""

    connector: str
    days: int = Field(default=HISTORY_DAYS_MAX, ge=1, le=HISTORY_DAYS_MAX)
    offset: int = Field(default=0, ge=0)


class HistoryAnswer(Document):
    """Answer to `HistoryQuery`: as many runs from the offset on as fit."""

    runs: tuple[StoredRun, ...]
    total: int


class QuarantineQuery(Document):
    """Body of `aether.quarantine.items`."""

    run: str
    offset: int = Field(default=0, ge=0)
    limit: int = Field(default=ITEMS_MAX, ge=1, le=ITEMS_MAX)


class QuarantineItem(Document):
    """One clause that one record did not meet; the value is not shown."""

    side: Literal["source", "target"]
    entity: str
    key: str | None
    """None where the record has none; a key that is a mail address shows its first sign and length only."""
    source: str
    """Alias of the source that gave the value."""
    field: str
    code: str
    value_class: str
    """`blank` or `text(12)`."""
    rule: str


class QuarantineAnswer(Document):
    """Answer to `QuarantineQuery`: items in the order of entity, side, key and field."""

    run: str
    total: int
    """Items; a record may have several."""
    by_code: dict[str, int]
    items: tuple[QuarantineItem, ...]


class ConnectionQuery(Document):
    """Body of `aether.connection.check`."""

    connection: str = Field(max_length=60)


class FindingView(Document):
    """One thing that was tried of a connection, and what came of it."""

    subject: str
    """What was tried: network, authentication, permission, shape, settings …"""
    is_good: bool
    text: str
    """What was seen and what to do."""


class ConnectionAnswer(Document):
    """Answer to `ConnectionQuery`: what a harmless try of the connection found, with the credential that may read."""

    connection: str
    system: str
    environment: str
    tier: str
    """How far the system may be trusted, for reading."""
    findings: tuple[FindingView, ...]


class QueryRefused(Document):
    """Answer to a question that cannot be read."""

    refusal: FailureNote


class SubsetQuery(Document):
    """Body of `aether.plan.subset`: what approving a part of a plan would mean."""

    run: str
    left_out: tuple[str, ...] = ()
    """Change ids, or their first 12 or more hexadecimal digits."""
    only_classes: tuple[str, ...] = ()
    """Changes of every other class are left out as well; empty for none."""
    is_as_before: bool = False
    """Whether the part is meant that an approval which counts already is about; the others are empty then."""


class SubsetAnswer(Document):
    """Answer to `aether.plan.subset`: what to sign, and what must be left out together."""

    run: str
    plan_digest: str | None = None
    subset_root: str | None = None
    """What to sign; `ALL` when nothing is left out, None when there is a problem."""
    approved: int = 0
    """Changes that stay in."""
    left_out: tuple[str, ...] = ()
    """All ids that would be left out, in order, with those that have to go along."""
    because: dict[str, str] = Field(default_factory=dict)
    """By change that has to go along: the one that it builds on."""
    problem: str | None = None
    """Why such a part cannot be approved, and what to do."""


QUESTIONS: dict[str, tuple[type[Document], type[Document]]] = {
    "aether.query.runs": (RunsQuery, RunsAnswer),
    "aether.query.run": (RunQuery, RunAnswer),
    "aether.query.plan": (PlanQuery, PlanAnswer),
    "aether.query.entries": (EntriesQuery, EntriesAnswer),
    "aether.query.checkpoints": (CheckpointsQuery, CheckpointsAnswer),
    "aether.query.health": (HealthQuery, HealthAnswer),
}
"""Question and answer by subject, for the auditor; any of them may be answered by `QueryRefused`."""

SERVICE_QUESTIONS: dict[str, tuple[str, type[Document], type[Document]]] = {
    "aether.plan.subset": ("differ", SubsetQuery, SubsetAnswer),
    "aether.guard.declared": ("differ", DeclaredQuery, DeclaredAnswer),
    "aether.guard.history": ("differ", HistoryQuery, HistoryAnswer),
    "aether.quarantine.items": ("extractor", QuarantineQuery, QuarantineAnswer),
    "aether.connection.check": ("extractor", ConnectionQuery, ConnectionAnswer),
    "aether.reveal.change": ("auditor", RevealChange, RevealedChange),
}
"""Who answers the other questions, with question and answer; `QueryRefused` may answer any of them as well."""

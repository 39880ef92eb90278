"""What a connector definition may say: the language of `connectors/<name>/connector.yaml`.

Only shape and bounds are decided here; whether the names in a definition exist is for `shared.contract.loading`, what
steps and formats do is for `shared.contract.columnar`. A definition never holds an address, a credential or a person.

Columns are written bare (`employee_id`) where one source is meant anyway, and as `alias.column` (`person.last`) where
joined sources stand side by side. Defaults of a schema version are never changed: the digest of a release leaves out
what equals its default.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StrictBool, StrictStr, StringConstraints, model_validator

from shared.contract.field import (
    Case,
    Concat,
    DateFormat,
    DefaultValue,
    DriftPolicy,
    FieldContract,
    Format,
    Lookup,
    PersonalData,
    TextPart,
)
from shared.contract.words import (
    ColumnRef,
    Condition,
    ConnectionName,
    Document,
    Name,
    NamedStep,
    OrderBy,
    PythonStep,
    QualifiedColumn,
    QualifiedColumnRef,
    QualifiedCondition,
    Scalar,
    Step,
    Steps,
)
from shared.schedule.times import checked_cron, checked_zone, gap_of

__all__ = [
    "Approval",
    "Case",
    "ColumnRef",
    "Concat",
    "Condition",
    "ConnectionName",
    "ConnectorDefinition",
    "DateFormat",
    "DefaultValue",
    "Document",
    "DriftPolicy",
    "EntityContract",
    "FieldContract",
    "Format",
    "FromSource",
    "Join",
    "JoinOn",
    "Lifecycle",
    "LimitOverride",
    "Lookup",
    "Membership",
    "Name",
    "NamedStep",
    "OrderBy",
    "PersonalData",
    "Pick",
    "PythonStep",
    "QualifiedColumn",
    "QualifiedColumnRef",
    "QualifiedCondition",
    "Removal",
    "Scalar",
    "Schedule",
    "SourceRef",
    "Step",
    "Steps",
    "TargetRef",
    "TextPart",
]

Lifecycle = Literal["draft", "active", "retired"]


class SourceRef(Document):
    """One entity of one source, read whole."""

    system: Name
    """Folder name of the system, e.g. `aeries_sql`."""
    connection: ConnectionName
    """Name of the configured connection."""
    entity: Name
    """The system's entity, e.g. `staff`."""


class TargetRef(Document):
    """Where the records go. The entity's name in the target is the name of the entity contract."""

    system: Name
    """Folder name of the system, e.g. `titanhst`."""
    connection: ConnectionName
    """Name of the configured connection."""


class Pick(Document):
    """How several rows of one thing become one row."""

    by: ColumnRef
    """Rows with the same value here are one thing. A row without a value is quarantined."""
    order: Annotated[tuple[OrderBy, ...], Field(min_length=1, max_length=10)]
    """The first row in this order stands for the thing."""


class FromSource(Document):
    """The source whose rows are the records."""

    source: Name
    """Alias of the source."""
    where: Annotated[tuple[Condition, ...], Field(max_length=20)] = ()
    """Only rows for which all of these hold are looked at; the others are no records at all."""
    pick: Pick | None = None
    """Without it every row is a record."""


class JoinOn(Document):
    """The pair of columns that must be equal; a blank value joins nothing."""

    left: QualifiedColumnRef
    """A column of a source that is there already."""
    right: ColumnRef
    """A column of the joined source."""


class Join(Document):
    """At most one row of another source is put beside each record; a record without one stays."""

    source: Name
    """Alias of the joined source."""
    on: JoinOn
    """How the rows find each other."""
    where: Annotated[tuple[Condition, ...], Field(max_length=20)] = ()
    """Only rows of the joined source for which all of these hold take part."""
    order: Annotated[tuple[OrderBy, ...], Field(min_length=1, max_length=10)]
    """Which row comes first when several match."""
    keep: Literal["first"] = "first"
    """How many of the matching rows are kept."""


class Removal(Document):
    """What becomes of a managed target record that is desired no longer."""

    ladder: Literal["preserve", "suspend", "delete"] = "preserve"
    """The lowest rung that removals may reach: nothing at all, suspending, or deleting what has been suspended for
    `delete_after_days`. A membership cannot be suspended: `delete` takes it away at once."""
    suspended: dict[Name, StrictBool | StrictStr] = Field(default_factory=dict)
    """Field values of a suspended record, e.g. `active: false`. A record that has them already is not touched."""
    strikes: Annotated[int, Field(ge=1, le=10)] = 2
    """How many certified reads must miss the record before it is removed; seeing it again starts anew."""
    strike_hours: Annotated[int, Field(ge=1, le=720)] = 24
    """Hours that must lie between two misses that count."""
    delete_after_days: Annotated[int, Field(ge=1, le=3650)] = 30
    """Days that a record must have been suspended before it is deleted."""

    @model_validator(mode="after")
    def _suspended_fits_ladder(self) -> Self:
        # Whether `delete` needs it depends on the entity: a membership is taken away at once.
        if bool(self.suspended) != (self.ladder == "suspend") and self.ladder != "delete":
            raise ValueError(
                "`suspended` names the field values of a suspended record exactly when the ladder reaches suspend"
            )
        return self


class Membership(Document):
    """Makes the records of an entity memberships: what is created joins a group, what is removed leaves it."""

    group: Name
    """Field that names the group."""
    member: Name
    """Field that names the member."""


class EntityContract(Document):
    """How the records of one target entity come about."""

    origin: FromSource = Field(alias="from")
    """The source whose rows are the records."""
    joins: Annotated[tuple[Join, ...], Field(max_length=10)] = ()
    """Other sources, joined in this order."""
    scope: Annotated[tuple[QualifiedCondition, ...], Field(max_length=20)] = ()
    """Only records for which all of these hold are desired; decided before any field is looked at."""
    after: Annotated[tuple[Name, ...], Field(max_length=20)] = ()
    """Entities whose changes are applied before those of this one; removals go the other way round. An entity that
    names itself has records that build on each other: what a record names by its key is made before it."""
    key: Name
    """The field that identifies a record in source and target alike."""
    correlate: Annotated[tuple[Name, ...], Field(max_length=5)] = ()
    """Fields by which a target record is recognised that neither the ledger nor its key tells, in order of
    preference."""
    fields: Annotated[dict[Name, FieldContract], Field(min_length=1, max_length=200)]
    """By their names in the target entity; their order is the order of columns in a snapshot."""
    cohort: Annotated[tuple[Name, ...], Field(max_length=3)] = ()
    """Fields whose values together name a cohort, such as site and role; the guard measures each cohort by itself."""
    membership: Membership | None = None
    """Given when the entity's records are memberships of groups."""
    removal: Removal = Removal()
    """What becomes of a managed target record that is desired no longer."""
    read_back: Literal["canary", "always"] = "canary"
    """Which writes are read back before they count as applied: only the first destructive ones of a run, or every
    one. `always` doubles the requests; for targets that say yes and keep nothing."""
    target_managed: Literal["has_key"] = "has_key"
    """Which target records are ours to change: those with a key."""

    @model_validator(mode="after")
    def _removal_says_how(self) -> Self:
        removal = self.removal
        if self.membership is not None:
            if removal.ladder == "suspend" or removal.suspended:
                raise ValueError("a membership cannot be suspended; its ladder is preserve or delete")
        elif removal.ladder == "delete" and not removal.suspended:
            raise ValueError("a record is suspended before it is deleted; say in `removal` what is `suspended`")
        return self


class LimitOverride(Document):
    """Another limit for one check of the guard; what is left out stays as the policy has it."""

    count: Annotated[int, Field(ge=0)] | None = None
    """The largest allowed number of records."""
    percent: Annotated[float, Field(ge=0, le=100)] | None = None
    """The largest allowed share of the live, managed, in-scope target records."""
    floor: Annotated[int, Field(ge=0)] | None = None
    """Up to this number of records the share is not looked at."""


class Approval(Document):
    """For how long an approval holds; a connector may shorten it, never lengthen it."""

    valid_hours: Annotated[int, Field(ge=1, le=24)] = 24
    """Hours for plans of risk D0 and D1."""
    valid_hours_high_risk: Annotated[int, Field(ge=1, le=4)] = 4
    """Hours for plans of risk D2."""


class Schedule(Document):
    """When the connector runs by itself."""

    cron: Annotated[StrictStr, AfterValidator(checked_cron)]
    """Five fields: minute, hour, day, month, weekday, such as `30 2 * * MON-FRI`; at most every five minutes."""
    time_zone: Annotated[StrictStr, AfterValidator(checked_zone)]
    """Time zone of the cron expression, such as `America/Los_Angeles`."""
    mode: Literal["dry-run", "apply"] = "dry-run"
    """What the run is asked to do; an apply waits for its approval like any other."""
    jitter_seconds_max: Annotated[int, Field(ge=0, le=3600)] = 0
    """A run begins up to this many seconds after its time, so that connectors do not all begin at once."""
    catch_up: Literal["latest", "none"] = "latest"
    """What becomes of times that passed while the house was down: the latest is taken, or none."""
    calendar: Literal["every_day", "school_days"] = "every_day"
    """On which days of the house's calendar it runs."""
    rollover: Literal["pause", "run"] = "pause"
    """What it does on the days in which the systems of record change over to the new school year."""

    @model_validator(mode="after")
    def _begins_before_the_next_time(self) -> Self:
        gap = gap_of(self.cron)
        if gap is not None and timedelta(seconds=self.jitter_seconds_max) >= gap:
            raise ValueError(
                f"`jitter_seconds_max` is {self.jitter_seconds_max}, and two times are {gap.total_seconds():.0f} "
                "seconds apart: a run would begin after the next time"
            )
        return self


class ConnectorDefinition(Document):
    """One release of a connector, as written in `connector.yaml`."""

    schema_version: Literal[1]
    """Version of this language."""
    name: ConnectionName
    """The connector's name; also the name of its folder."""
    version: Annotated[str, StringConstraints(pattern=r"^(0|[1-9]\d{0,4})\.(0|[1-9]\d{0,4})\.(0|[1-9]\d{0,4})$")]
    """Version of the release, `major.minor.patch`. A published release is never edited."""
    title: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    """For people."""
    lifecycle: Lifecycle
    """Only an active release can be applied; the others can be run dry. No part of the release's digest."""
    target: TargetRef
    """Where the records go."""
    sources: Annotated[dict[Name, SourceRef], Field(min_length=1, max_length=20)]
    """What is read, by alias."""
    entities: Annotated[dict[Name, EntityContract], Field(min_length=1, max_length=20)]
    """The contracts, by the name of the target's entity."""
    partitions: Annotated[int, Field(ge=1, le=64)] = 8
    """Into how many parts the records are cut by their key, so that parts can be compared side by side."""
    guard: dict[Name, LimitOverride] = Field(default_factory=dict)
    """Other limits than the policy's, by the name of the check."""
    approval: Approval = Approval()
    """For how long an approval holds."""
    schedule: Schedule | None = None
    """When it runs by itself; without it, only when somebody asks."""

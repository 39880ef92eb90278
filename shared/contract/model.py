"""What a connector definition may say: the language of `connectors/<name>/connector.yaml`.

Only shape and bounds are decided here; whether the names in a definition exist is for `shared.contract.loading`, what
steps and formats do is for `shared.contract.columnar`. A definition never holds an address, a credential or a person.

Columns are written bare (`employee_id`) where one source is meant anyway, and as `alias.column` (`person.last`) where
joined sources stand side by side. Defaults of a schema version are never changed: the digest of a release leaves out
what equals its default.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
"""A name inside a definition: small letters, digits and underscores."""
ConnectionName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
"""A name of a connector or a connection: small letters, digits and dashes."""
QualifiedColumn = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}\.[a-z][a-z0-9_]{0,62}$")]
"""A column of a source: `alias.column`."""
Scalar = StrictBool | StrictInt | StrictStr

Step = Literal["trim", "collapse_whitespace", "nfc", "lower", "upper", "digits", "strip_country_code"]
Format = Literal["text", "email", "e164", "boolean", "date"]
Lifecycle = Literal["draft", "active", "retired"]
PersonalData = Literal["none", "name", "contact", "identifier", "demographic"]
Steps = Annotated[tuple[Step, ...], Field(max_length=10)]


class Document(BaseModel):
    """The base of everything in a definition: immutable, and no key that is not described."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


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


class ColumnRef(Document):
    """One bare column, with the steps that its text takes before it is compared."""

    column: Name
    """Column of the source that the surrounding clause names."""
    steps: Steps = ()
    """Applied left to right."""


class QualifiedColumnRef(Document):
    """One column of any source joined so far, with the steps that its text takes before it is compared."""

    column: QualifiedColumn
    """`alias.column`."""
    steps: Steps = ()
    """Applied left to right."""


class OrderBy(ColumnRef):
    """One term of an order; blank values come last in either direction."""

    direction: Literal["asc", "desc"] = "asc"
    """Numbers are ordered by size, text by code point, `true` after `false`."""


class _Test(Document):
    """The comparison of a condition: exactly one of the five."""

    is_in: Annotated[tuple[Scalar, ...], Field(min_length=1, max_length=1000)] | None = Field(default=None, alias="in")
    """Holds when the value, as text, is one of these. A blank value is never one of them."""
    not_in: Annotated[tuple[Scalar, ...], Field(min_length=1, max_length=1000)] | None = None
    """The opposite of `in`; it holds for a blank value."""
    equals: Scalar | None = None
    """Holds when the value, as text, is this one."""
    is_blank: Literal[True] | None = None
    """Holds when there is no value or only white space."""
    is_not_blank: Literal[True] | None = None
    """Holds when there is a value."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        tests = (self.is_in, self.not_in, self.equals, self.is_blank, self.is_not_blank)
        given = sum(test is not None for test in tests)
        if given != 1:
            raise ValueError(
                f"a condition has {given} comparisons; give exactly one of in, not_in, equals, is_blank, is_not_blank"
            )
        return self


class Condition(ColumnRef, _Test):
    """A condition on a bare column."""


class QualifiedCondition(QualifiedColumnRef, _Test):
    """A condition on a column of any joined source."""


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


class DefaultValue(Document):
    """What an id outside the table becomes."""

    default: StrictStr
    """The value for every id that the table does not hold; each is counted all the same."""


class FieldContract(Document):
    """Where one field's value comes from and what must be true of it.

    The order is fixed: first non-blank of `from`, then `steps`, then `map`, then `format`, then `required`.
    """

    sources: Annotated[tuple[QualifiedColumn, ...], Field(min_length=1, max_length=10)] | None = Field(
        default=None, alias="from"
    )
    """Columns in order of preference: the first non-blank raw value wins, and only then are the steps taken."""
    constant: StrictBool | StrictStr | None = None
    """The same value for every record, instead of `from`."""
    steps: Steps = ()
    """Applied left to right to the raw value."""
    format: Format = "text"
    """What the value must look like after the steps. `e164` puts +1 before ten digits."""
    map: Name | None = None
    """Name of the mapping table (`tables/<name>.csv`) that turns the id into the target's code."""
    unmapped: Literal["reject", "block"] | DefaultValue = "reject"
    """An id outside the table: quarantine the record, stop the run, or take a default."""
    required: bool = False
    """A record without a value is quarantined."""
    managed: bool = True
    """Whether the target's value is compared and set. An unmanaged field is set only when a record is created."""
    clear: bool = False
    """Whether no value in the source empties the target's value. Otherwise the field is then left alone."""
    on_invalid: Literal["quarantine", "discard_value"] = "quarantine"
    """A value of the wrong form: quarantine the record, or go on as if there were none."""
    pii: PersonalData = "none"
    """What kind of personal data the field holds; decides masking."""
    is_role: bool = False
    """Whether a change of this field is a change of role."""
    is_rename: bool = False
    """Whether a change of this field from one value to another is a rename."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.sources is None) == (self.constant is None):
            raise ValueError("a field has exactly one of `from` and `constant`")
        if self.constant is not None and (self.map is not None or self.steps):
            raise ValueError("a constant takes neither `steps` nor `map`; write the finished value")
        if isinstance(self.constant, bool) != (self.format == "boolean") and self.constant is not None:
            raise ValueError("a constant true or false has `format: boolean`, and only such a one")
        if self.map is None and self.unmapped != "reject":
            raise ValueError("`unmapped` says something only beside `map`")
        if self.clear and self.required:
            raise ValueError("a required field is never empty, so `clear` cannot stand beside `required`")
        return self


class Removal(Document):
    """What becomes of a managed target record that is desired no longer."""

    ladder: Literal["preserve", "suspend"] = "preserve"
    """The lowest rung that removals may reach: nothing at all, or suspending."""
    suspended: dict[Name, StrictBool | StrictStr] = Field(default_factory=dict)
    """Field values of a suspended record, e.g. `active: false`. A record that has them already is not touched."""

    @model_validator(mode="after")
    def _suspend_says_how(self) -> Self:
        if (self.ladder == "suspend") != bool(self.suspended):
            raise ValueError(
                "`suspended` names the field values of a suspended record exactly when the ladder is suspend"
            )
        return self


class EntityContract(Document):
    """How the records of one target entity come about."""

    origin: FromSource = Field(alias="from")
    """The source whose rows are the records."""
    joins: Annotated[tuple[Join, ...], Field(max_length=10)] = ()
    """Other sources, joined in this order."""
    scope: Annotated[tuple[QualifiedCondition, ...], Field(max_length=20)] = ()
    """Only records for which all of these hold are desired; decided before any field is looked at."""
    key: Name
    """The field that identifies a record in source and target alike."""
    correlate: Annotated[tuple[Name, ...], Field(max_length=5)] = ()
    """Fields by which a target record without key is recognised, in order of preference."""
    fields: Annotated[dict[Name, FieldContract], Field(min_length=1, max_length=200)]
    """By their names in the target entity; their order is the order of columns in a snapshot."""
    removal: Removal = Removal()
    """What becomes of a managed target record that is desired no longer."""
    target_managed: Literal["has_key"] = "has_key"
    """Which target records are ours to change: those with a key."""


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
    """Only an active release can be applied; the others can be run dry."""
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

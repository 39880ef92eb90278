"""One field of a contract: where its value comes from, what becomes of it, and what must be true of it.

Only shape and bounds are decided here; the meaning over columns is in `services.extractor.fields`.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, StrictBool, StrictStr, StringConstraints, Tag, model_validator

from shared.contract.words import (
    Document,
    Name,
    QualifiedColumn,
    QualifiedColumnRef,
    QualifiedCondition,
    Steps,
    form_of,
)

Format = Literal["text", "email", "e164", "boolean", "date", "integer", "grade", "enum"]
"""`text`: anything. `email`: one address. `e164`: `+` and 8 to 15 digits; ten digits get `+1` before them. `boolean`:
true, t, yes, y, 1 or false, f, no, n, 0 in any case. `date`: `YYYY-MM-DD`, read from `date_formats`. `integer`: ASCII
digits with an optional minus; leading zeros are dropped. `grade`: `PK`, `TK`, `KG`, `01` to `12`, `UG`, read in any
case from P, PR, PK, Pre-K, PreK, Preschool, -2 · TK, Transitional Kindergarten, -1 · K, KG, KN, Kindergarten, 0, 00 · 1
to 12 with or without a leading zero, with st, nd, rd or th, or after `Grade` · UG, UE, US, Ungraded. `enum`: one of
`values`, exactly. Of these, `boolean` and `grade` ignore white space around; text of which the steps leave nothing is
no value under `text` and a value of the wrong form under any other format."""
PersonalData = Literal["none", "name", "contact", "identifier", "demographic"]
DriftPolicy = Literal["freeze", "evolve", "discard_value", "discard_row"]
DateFormat = Annotated[str, StringConstraints(pattern=r"^[-%YmdyHMSTBbj/. ,:]{2,30}$")]
"""A date as `strftime` writes it, such as `%m/%d/%Y`; numbers may lack leading zeros, but `%Y` has four digits and `%y`
two (70 to 99 are 19.., the others 20..). It names the year and the day: `%d` with a month, or `%j`."""
Columns = Annotated[tuple[QualifiedColumn, ...], Field(min_length=1, max_length=10)]


class DefaultValue(Document):
    """What an id outside the table becomes."""

    default: StrictStr
    """The value for every id that the table does not hold; each is counted all the same."""


Unmapped = Annotated[
    Annotated[Literal["reject", "block"], Tag("plain")] | Annotated[DefaultValue, Tag("mapping")],
    Discriminator(form_of),
]


class TextPart(Document):
    """A fixed text in a concatenation."""

    text: Annotated[StrictStr, Field(min_length=1, max_length=100)]
    """As it is, whatever stands around it."""


def _kind_of_part(value: object) -> Literal["a text", "a column"]:
    """Which kind of part was written, so that a fault is told about that kind only."""
    is_text = "text" in value if isinstance(value, dict) else isinstance(value, TextPart)
    return "a text" if is_text else "a column"


Part = Annotated[
    Annotated[QualifiedColumnRef, Tag("a column")] | Annotated[TextPart, Tag("a text")],
    Discriminator(_kind_of_part),
]


class Concat(Document):
    """Several columns put together into one text. It is blank when every column of it is blank."""

    parts: Annotated[tuple[Part, ...], Field(min_length=2, max_length=10)]
    """In order. Each column takes its own steps first; a blank column is left out together with its separator."""
    separator: Annotated[StrictStr, Field(max_length=10)] = " "
    """Between two parts that are there."""


class _Origin(Document):
    """Where a text comes from: exactly one of the four."""

    sources: Columns | None = Field(default=None, alias="from")
    """Columns in order of preference: the first non-blank raw value wins, and only then are the steps taken."""
    constant: StrictBool | StrictStr | None = None
    """The same value for every record."""
    concat: Concat | None = None
    """Several columns as one text."""


class Case(_Origin):
    """One case: the origin that counts when all its conditions hold. Without an origin the value is blank then."""

    when: Annotated[tuple[QualifiedCondition, ...], Field(max_length=20)]
    """All must hold; an empty list always holds and can only stand last."""

    @model_validator(mode="after")
    def _at_most_one_origin(self) -> Self:
        given = [name for name in ("sources", "constant", "concat") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError("a case has at most one of `from`, `constant` and `concat`")
        if isinstance(self.constant, bool):
            raise ValueError('a case gives text; write the constant as "true" or "false"')
        return self


class Lookup(Document):
    """A value that becomes what a record of the target shows, such as the id of the group of that name."""

    entity: Name
    """Entity of the target in which it is looked up, as it stands before the run."""
    by: Name
    """Column of that entity that is compared with the value, both after the field's steps."""
    take: Name = "target_id"
    """Column of the record found that becomes the value."""


class FieldContract(_Origin):
    """Where one field's value comes from and what must be true of it.

    The order is fixed: the origin (`from`, `constant`, `concat` or the first of `cases` that holds), then `steps`, then
    `map` or `lookup`, then `format`, then `required`.
    """

    cases: Annotated[tuple[Case, ...], Field(min_length=1, max_length=20)] | None = None
    """Origins by condition; the first whose conditions all hold counts, and without one the value is blank."""
    steps: Steps = ()
    """Applied left to right to the raw value."""
    format: Format = "text"
    """What the value must look like after the steps."""
    values: Annotated[tuple[StrictStr, ...], Field(min_length=1, max_length=500)] | None = None
    """The values of an `enum`; any other is schema drift, for the drift policy to judge."""
    date_formats: Annotated[tuple[DateFormat, ...], Field(min_length=1, max_length=5)] = ("%Y-%m-%d",)
    """How a `date` may be written, tried in order; under `%Y-%m-%d` an ISO 8601 date-time counts by its date part."""
    map: Name | None = None
    """Name of the mapping table (`tables/<name>.csv`) that turns the id into the target's code."""
    lookup: Lookup | None = None
    """Where in the target the value is looked up. Blank values of `by` are never found; a value that several records
    have, and a record whose `take` is blank, give nothing: the record is quarantined whatever `unmapped` says, or the
    run stops under `block`."""
    unmapped: Unmapped = "reject"
    """An id outside the table or the lookup: quarantine the record, stop the run, or take a default. Text of which the
    steps leave nothing is such an id; no value is none."""
    required: bool = False
    """A record without a value is quarantined."""
    managed: bool = True
    """Whether the target's value is compared and set. An unmanaged field is set only when a record is created."""
    protected: bool = False
    """Whether the target's value is never changed once the record exists; a difference is reported and not written."""
    clear: bool = False
    """Whether no value in the source empties the target's value. Otherwise the field is then left alone."""
    on_invalid: Literal["quarantine", "discard_value"] = "quarantine"
    """A value of the wrong form, or one that a transform fails on: quarantine the record, or leave the field alone as
    if nothing were known of it."""
    drift: DriftPolicy = "freeze"
    """The source's shape changed under the field (column gone, type changed, value outside the enum): `freeze` blocks
    the run; `evolve` goes on with the value as it now comes; `discard_value` leaves the field alone; `discard_row`
    quarantines the records concerned. Key and required fields always block when their column is gone."""
    pii: PersonalData = "none"
    """What kind of personal data the field holds; decides masking."""
    is_role: bool = False
    """Whether a change of this field is a change of role."""
    is_rename: bool = False
    """Whether a change of this field from one value to another is a rename."""
    privileged: Annotated[tuple[StrictStr, ...], Field(min_length=1, max_length=100)] | None = None
    """Values that give power; a change to one of them from any other value, or a new record with one, is a gain of
    privilege."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        given = [name for name in ("sources", "constant", "concat", "cases") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("a field has exactly one of `from`, `constant`, `concat` and `cases`")
        if self.constant is not None and (self.map is not None or self.lookup is not None or self.steps):
            raise ValueError("a constant takes no `steps`, `map` or `lookup`; write the finished value")
        if isinstance(self.constant, bool) != (self.format == "boolean") and self.constant is not None:
            raise ValueError("a constant true or false has `format: boolean`, and only such a one")
        if self.cases is not None and any(not case.when for case in self.cases[:-1]):
            raise ValueError("a case without conditions always holds, so it can only stand last")
        return self

    @model_validator(mode="after")
    def _clauses_agree(self) -> Self:
        if self.map is not None and self.lookup is not None:
            raise ValueError("a field has at most one of `map` and `lookup`")
        if self.map is None and self.lookup is None and self.unmapped != "reject":
            raise ValueError("`unmapped` says something only beside `map` or `lookup`")
        if self.clear and self.required:
            raise ValueError("a required field is never empty, so `clear` cannot stand beside `required`")
        if (self.values is not None) != (self.format == "enum"):
            raise ValueError("`values` stands beside `format: enum`, and only there")
        if self.format != "date" and self.date_formats != ("%Y-%m-%d",):
            raise ValueError("`date_formats` says something only beside `format: date`")
        if self.protected and not self.managed:
            raise ValueError("an unmanaged field is not compared, so it cannot be `protected` as well")
        if self.format == "boolean" and not set(self.privileged or ()) <= {"true", "false"}:
            raise ValueError("`privileged` of a boolean field names true or false, as text")
        return self

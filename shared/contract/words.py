"""The small words of a connector definition: names, steps, references to columns, conditions and orders.

Only shape and bounds are decided here. What the words do to a column is for `shared.contract.columnar`; how they make
up a field is in `shared.contract.field`, and how fields make up a connector in `shared.contract.model`.
"""

from __future__ import annotations

import re
import warnings
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    StringConstraints,
    Tag,
    model_validator,
)

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
"""A name inside a definition: small letters, digits and underscores."""
ConnectionName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
"""A name of a connector or a connection: small letters, digits and dashes."""
QualifiedColumn = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}\.[a-z][a-z0-9_]{0,62}$")]
"""A column of a source: `alias.column`."""
Scalar = StrictBool | StrictInt | StrictStr
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""A regular expression in RE2's language: no look-around and no back-references, so that it runs in linear time."""

NamedStep = Literal[
    "trim",
    "collapse_whitespace",
    "nfc",
    "lower",
    "upper",
    "digits",
    "strip_country_code",
    "unescape_html",
    "proper_name",
]
"""`trim`: no white space around. `collapse_whitespace`: each run of white space becomes one blank. `nfc`: Unicode
normal form C. `lower`, `upper`: letters by Unicode. `digits`: ASCII digits only. `strip_country_code`: eleven digits
that begin with 1 lose it. `unescape_html`: HTML 5 character references become their characters, once. `proper_name`: a
name that has capitals and small letters stays as it is; one written in one case only becomes, word by word (words stand
between white space), a capital and small letters. A capital also follows a hyphen, an apostrophe after a single letter
(O'Brien, D'Angelo), and Mc (McKay). Between the first and the last word the particles da, das, de, del, della, den,
der, di, do, dos, du, la, las, los, van, von, y and zu are small; after the first word II, III, IV, VI, VII and VIII are
capitals."""


class Document(BaseModel):
    """The base of everything in a definition: immutable, and no key that is not described."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class PythonStep(Document):
    """A registered transform: `transforms/<name>.py`, reviewed code that turns one text into another."""

    python: Name
    """Name of the transform."""


def form_of(value: object) -> Literal["mapping", "plain"]:
    """Which form of a clause was written, so that a fault is told about that form only."""
    return "mapping" if isinstance(value, dict | BaseModel) else "plain"


Step = Annotated[
    Annotated[NamedStep, Tag("plain")] | Annotated[PythonStep, Tag("mapping")],
    Discriminator(form_of),
]
Steps = Annotated[tuple[Step, ...], Field(max_length=10)]


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
    """The comparison of a condition: exactly one of the eight."""

    is_in: Annotated[tuple[Scalar, ...], Field(min_length=1, max_length=1000)] | None = Field(default=None, alias="in")
    """Holds when the value, as text, is one of these. A blank value is never one of them."""
    not_in: Annotated[tuple[Scalar, ...], Field(min_length=1, max_length=1000)] | None = None
    """The opposite of `in`; it holds for a blank value."""
    equals: Scalar | None = None
    """Holds when the value, as text, is this one."""
    starts_with: (
        Annotated[tuple[Annotated[StrictStr, Field(min_length=1)], ...], Field(min_length=1, max_length=100)] | None
    ) = None
    """Holds when the value begins with one of these. A blank value begins with nothing."""
    matches: Pattern | None = None
    """Holds when the whole value is of this pattern. A blank value is of none."""
    in_table: Name | None = None
    """Holds when the value is an id of this mapping table, which takes the same steps. A blank value is in none."""
    is_blank: Literal[True] | None = None
    """Holds when there is no value or only white space."""
    is_not_blank: Literal[True] | None = None
    """Holds when there is a value."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        tests = (
            self.is_in,
            self.not_in,
            self.equals,
            self.starts_with,
            self.matches,
            self.in_table,
            self.is_blank,
            self.is_not_blank,
        )
        given = sum(test is not None for test in tests)
        if given != 1:
            raise ValueError(
                f"a condition has {given} comparisons; give exactly one of in, not_in, equals, starts_with, matches, "
                "in_table, is_blank, is_not_blank"
            )
        if self.matches is not None:
            _check_pattern(self.matches)
        return self


class Condition(ColumnRef, _Test):
    """A condition on a bare column."""


class QualifiedCondition(QualifiedColumnRef, _Test):
    """A condition on a column of any joined source."""


def _check_pattern(pattern: str) -> None:
    """`ValueError` unless the pattern is one that RE2 and Python read alike, as far as Python can tell."""
    if re.search(r"\(\?(?:[=!]|<[=!])|\\[1-9]", pattern):
        raise ValueError("the pattern looks around or refers back, which cannot run in linear time; write it without")
    try:
        with warnings.catch_warnings():
            # Python warns of `[[` and the like, which it will read in another way one day and RE2 does already.
            warnings.simplefilter("error", FutureWarning)
            re.compile(pattern)
    except FutureWarning as warning:
        raise ValueError(f"the pattern can be read in two ways: {warning}; escape the sign") from None
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"the pattern cannot be read: {error}") from None

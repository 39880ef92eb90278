"""Declared deltas: a change that an operator announces, such as "grade 12 leaves: 1,400 ± 5 %, suspend, 12-30 June".

Decides which changes a declaration matches and how many of a plan it covers. What is covered is taken out of the
numbers and out of the denominator that the guard judges the rest by, so that it hides nothing beside it; what is over
the tolerance counts like any other change. The differ matches while it compares, the guard counts. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Annotated, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from shared.clock import from_text
from shared.events.model import Document
from shared.policy.figures import DeclaredFigures, EntityFigures
from shared.policy.limits import CHANGE_CLASSES
from shared.policy.verdict import Level, Scope, VerdictLine, plain_line
from shared.ports.wire import Record, Value

CONDITIONS_MAX = 5
VALUES_MAX = 200
CLASS_SHOWN_MAX = 40
VALUES_SHOWN_MAX = 5
"""Values of one condition that the words of a declaration name."""

_Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Declaration(Document):
    """A change declared in advance."""

    id: _Text
    connector: _Text
    entity: _Text
    change_class: str
    where: dict[_Text, Annotated[tuple[_Text, ...], Field(min_length=1, max_length=VALUES_MAX)]] = Field(
        min_length=1, max_length=CONDITIONS_MAX
    )
    """By field: the values, as text, of which the record holds one. A record counts as it is before the change, a new
    one as it will be. A blank value is never one of them. Neither fields nor values name a person."""
    expected: int = Field(ge=1)
    tolerance_percent: float = Field(ge=0, le=100)
    valid_from: str
    """RFC 3339; the first moment."""
    valid_until: str
    """RFC 3339; the first moment after."""
    reason: _Text
    declared_by: _Text
    at: str
    """RFC 3339; when it was declared."""

    @field_validator("change_class")
    @classmethod
    def _known_class(cls, name: str) -> str:
        if name not in CHANGE_CLASSES:
            # A mistyped class is told as it was typed; whatever else stands there is not repeated.
            shown = repr(name) if name.isidentifier() and len(name) <= CLASS_SHOWN_MAX else "this"
            raise ValueError(f"{shown} is no class of change; the classes are {', '.join(CHANGE_CLASSES)}")
        return name

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        from_text(self.at)
        if from_text(self.valid_from) >= from_text(self.valid_until):
            raise ValueError(f"valid_until {self.valid_until} is not after valid_from {self.valid_from}")
        return self


def in_force(declarations: Sequence[Declaration], *, connector: str, now: datetime) -> tuple[Declaration, ...]:
    """The connector's declarations that hold at this moment, in id order."""
    return tuple(
        sorted(
            (
                one
                for one in declarations
                if one.connector == connector and from_text(one.valid_from) <= now < from_text(one.valid_until)
            ),
            key=lambda one: one.id,
        )
    )


def matches(declaration: Declaration, *, entity: str, change_class: str, before: Record | None, after: Record) -> bool:
    """Whether a change is of what was declared; `before` is None for a new record.

    `before` and `after` are the record's normalised values by field, also those that do not change.
    """
    if (declaration.entity, declaration.change_class) != (entity, change_class):
        return False
    record = after if before is None else before
    return all(_as_text(record.get(field)) in values for field, values in declaration.where.items())


def declaration_of(
    declarations: Sequence[Declaration],
    *,
    entity: str,
    change_class: str,
    before: Record | None,
    after: Record,
) -> Declaration | None:
    """The one declaration that a change counts for: the first by id of those that match."""
    found = [
        one
        for one in declarations
        if matches(one, entity=entity, change_class=change_class, before=before, after=after)
    ]
    return min(found, key=lambda one: one.id, default=None)


def figures_of_declaration(declaration: Declaration, *, matched: int, applied_before: int) -> DeclaredFigures:
    """The declaration as the guard sees it."""
    return DeclaredFigures(
        declaration=declaration.id,
        text=words_of(declaration),
        change_class=declaration.change_class,
        expected=declaration.expected,
        tolerance_percent=declaration.tolerance_percent,
        matched=matched,
        applied_before=applied_before,
    )


def words_of(declaration: Declaration) -> str:
    """The declaration in one line, such as `grade=12: suspend 1,400 ± 5 %, <from> to <until>`."""
    conditions = ", ".join(
        f"{field}={'|'.join(values[:VALUES_SHOWN_MAX])}{'|…' if len(values) > VALUES_SHOWN_MAX else ''}"
        for field, values in sorted(declaration.where.items())
    )
    return (
        f"{conditions}: {declaration.change_class} {declaration.expected:,} ± {declaration.tolerance_percent:g} %, "
        f"{declaration.valid_from} to {declaration.valid_until}"
    )


def _as_text(value: Value) -> str | None:
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return None
        case _:
            return str(value)


@dataclass(frozen=True)
class Coverage:
    """What the declared deltas take out of an entity's numbers."""

    covered: Mapping[str, int]
    """Changes that are taken out, by class."""
    over: Mapping[str, int]
    """Changes that match and are beyond the tolerance, by class; they count like any other."""

    def leaving_out(self, classes: Collection[str]) -> Coverage:
        """The coverage without what is declared of these classes; their changes count in full."""
        return Coverage(
            covered={name: number for name, number in self.covered.items() if name not in classes},
            over={name: number for name, number in self.over.items() if name not in classes},
        )

    def without_covered(self, change_class: str, *, number: int, matched: int) -> int:
        """A part's number without what is covered of it.

        `matched` of it match declarations. Which of them are beyond the tolerance is not known, so it is taken to be
        as many of this part as there are at all: it errs on the side of counting too much.
        """
        covered = max(0, matched - self.over.get(change_class, 0))
        return number - min(number, covered, self.covered.get(change_class, 0))


def coverage_of(entity: EntityFigures) -> Coverage:
    """How many of the entity's changes are declared, and how many more match than were declared."""
    covered: Counter[str] = Counter()
    over: Counter[str] = Counter()
    for one in entity.declared:
        part = min(one.matched, max(0, _most(one) - one.applied_before))
        covered[one.change_class] += part
        over[one.change_class] += one.matched - part
    return Coverage(covered=+covered, over=+over)


def covered_by_class(entity: EntityFigures) -> dict[str, int]:
    """Changes of a plan that declared deltas cover, by class; what the windows of later runs leave out."""
    covered = coverage_of(entity).covered
    return {name: covered[name] for name in sorted(covered)}


def declared_lines(entity: EntityFigures) -> list[VerdictLine]:
    """A line for each declared delta: what was expected and what came, under or over."""
    return [_declared_line(entity.entity, one) for one in entity.declared]


def _declared_line(entity: str, one: DeclaredFigures) -> VerdictLine:
    came = one.applied_before + one.matched
    level, verdict = Level.PASS, "as declared"
    if came > _most(one):
        # What earlier runs brought too much of was decided then; it does not hold a plan that adds nothing to it.
        level = Level.HOLD if one.matched > 0 else Level.WARN
        verdict = f"over by {came - _most(one):,}, which count like any other change"
    elif came < _least(one):
        level, verdict = Level.WARN, f"under by {_least(one) - came:,}"
    return plain_line(
        "declared",
        Scope(entity, measured=one.declaration),
        level,
        number=one.matched,
        denominator=one.expected,
        code=None if level is Level.PASS else "GRD_DECLARED",
        text=f"declared {one.declaration} ({one.text}): {one.matched:,} {one.change_class} of {entity} match, "
        f"{one.applied_before:,} were applied before; expected {one.expected:,} ± {one.tolerance_percent:g} %: "
        f"{verdict}",
    )


def _most(one: DeclaredFigures) -> int:
    share = one.expected * (100 + Decimal(str(one.tolerance_percent))) / 100
    return int(share.to_integral_value(ROUND_FLOOR))


def _least(one: DeclaredFigures) -> int:
    share = one.expected * (100 - Decimal(str(one.tolerance_percent))) / 100
    return int(share.to_integral_value(ROUND_CEILING))

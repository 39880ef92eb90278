"""Rows of several sources into one row a record: which row stands for a person, what is joined to it, who counts.

Pure. It carries out the `from`, `joins` and `scope` clauses of a contract and looks at no field; the values are the
business of `services.extractor.fields`. Where a transform fails on the way, it cannot be said which rows count: the
record goes on with a mark, and the normaliser quarantines it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from services.extractor.rules import Rules
from shared.contract.columnar import as_text, blank_to_null, compares, order_value, stepped, transform_fails
from shared.contract.field import Case, FieldContract
from shared.contract.model import ColumnRef, EntityContract, Join, OrderBy, QualifiedColumnRef
from shared.contract.words import Condition, QualifiedCondition

_MATCH = "match "  # working column; no column of a source has a blank in its name
FAILED = "failed "
"""Marks rows of which a failed transform leaves open whether they count; there only where the contract has one."""


@dataclass(frozen=True)
class Gathered:
    """One row for each record in scope."""

    rows: pl.DataFrame
    """Columns `alias.column`, as read; null throughout an alias whose source has no matching row."""
    outside: pl.DataFrame
    """Likewise, the records that the scope leaves out."""
    keyless: pl.DataFrame
    """Columns of the origin, `alias.column`: rows that the pick could give to nobody."""
    rows_read: Mapping[str, int]
    """Rows as read, by alias."""


def gather(contract: EntityContract, rules: Rules, frames: Mapping[str, pl.DataFrame]) -> Gathered:
    """One row for each record in scope; a used column that is not there is taken for one without values."""
    kept = {
        alias: frames[alias].select(
            pl.col(name) if name in frames[alias].columns else pl.lit(None, dtype=pl.String).alias(name)
            for name in columns
        )
        for alias, columns in used_columns(contract).items()
    }
    origin = contract.origin
    rows, keyless = _filtered(kept[origin.source], origin.where, rules), None
    if origin.pick is not None:
        rows = _with_match(rows, origin.pick.by, rules)
        keyless = rows.filter(pl.col(_MATCH).is_null()).drop(_MATCH)
        rows = _first_of_each(rows, origin.pick.order, rules).drop(_MATCH)
    rows = _qualified(rows, origin.source)
    for join in contract.joins:
        rows = _joined(rows, join, kept[join.source], rules)
    is_in_scope, rows = _tested(rows, contract.scope, rules)
    return Gathered(
        rows=rows if is_in_scope is None else rows.filter(is_in_scope),
        outside=rows.clear() if is_in_scope is None else rows.filter(~is_in_scope),
        keyless=rows.clear() if keyless is None else _qualified(keyless, origin.source),
        rows_read={alias: frames[alias].height for alias in kept},
    )


def used_columns(contract: EntityContract) -> dict[str, list[str]]:
    """The columns that a contract uses, by alias, each once, in the order in which it names them."""
    used: dict[str, dict[str, None]] = {contract.origin.source: {}}
    for alias, column in structural_columns(contract):
        used.setdefault(alias, {})[column] = None
    for field in contract.fields.values():
        for alias, column in columns_of_field(field):
            used.setdefault(alias, {})[column] = None
    return {alias: list(columns) for alias, columns in used.items()}


def structural_columns(contract: EntityContract) -> Iterator[tuple[str, str]]:
    """The columns, as alias and name, that decide which rows count and how they find each other."""
    origin, pick = contract.origin, contract.origin.pick
    bare: list[tuple[str, Iterable[ColumnRef]]] = [
        (origin.source, origin.where),
        (origin.source, () if pick is None else (pick.by, *pick.order)),
    ]
    bare += [(join.source, (join.on.right, *join.where, *join.order)) for join in contract.joins]
    for alias, references in bare:
        yield from ((alias, reference.column) for reference in references)
    for qualified in (*(join.on.left for join in contract.joins), *contract.scope):
        yield _alias_and_name(qualified.column)


def columns_of_field(field: FieldContract) -> Iterator[tuple[str, str]]:
    """The columns, as alias and name, that decide a field's value, in the order in which it names them."""
    for part in (field, *(field.cases or ())):
        if isinstance(part, Case):
            yield from (_alias_and_name(test.column) for test in part.when)
        yield from map(_alias_and_name, part.sources or ())
        for piece in part.concat.parts if part.concat is not None else ():
            if isinstance(piece, QualifiedColumnRef):
                yield _alias_and_name(piece.column)


def _alias_and_name(column: str) -> tuple[str, str]:
    alias, _, name = column.partition(".")
    return alias, name


def _joined(rows: pl.DataFrame, join: Join, other: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """The rows with at most one row of the other source beside each."""
    if join.where:
        other = other.filter(pl.all_horizontal(_held(other, join.where, rules)))
    right = _first_of_each(_matchable(other, join.on.right, rules), join.order, rules)
    qualified = right.rename({name: f"{join.source}.{name}" for name in right.columns if name != _MATCH})
    left = _with_match(rows, join.on.left, rules)
    return left.join(qualified, on=_MATCH, how="left", maintain_order="left").drop(_MATCH)


def _first_of_each(rows: pl.DataFrame, order: Sequence[OrderBy], rules: Rules) -> pl.DataFrame:
    """The first row of each match value in the given order; rows without a match value are left out.

    Rows that the order leaves equal are ordered by all their columns, so that the choice never depends on the order in
    which the source delivered them. Only values that several rows have are ordered at all: mostly few.
    """
    rows = rows.filter(pl.col(_MATCH).is_not_null())
    is_repeated = rows.get_column(_MATCH).is_duplicated()
    if not is_repeated.any():
        return rows
    several = rows.filter(is_repeated)
    terms = [order_value(term, pl.col(term.column), rows.schema[term.column], rules.transforms) for term in order]
    ties = [pl.col(name) for name in rows.columns]
    descending = [term.direction == "desc" for term in order] + [False] * len(ties)
    ranked = several.sort(*terms, *ties, descending=descending, nulls_last=True)
    return pl.concat([rows.filter(~is_repeated), ranked.unique(_MATCH, keep="first", maintain_order=True)])


def _filtered(rows: pl.DataFrame, tests: Sequence[Condition], rules: Rules) -> pl.DataFrame:
    """The rows for which all tests hold, or for which nobody can say because a transform fails."""
    counts, rows = _tested(rows, tests, rules)
    return rows if counts is None else rows.filter(counts)


def _tested(
    rows: pl.DataFrame, tests: Sequence[Condition | QualifiedCondition], rules: Rules
) -> tuple[pl.Series | None, pl.DataFrame]:
    """Whether each row counts (None when all do), and the rows, marked where a failed transform leaves it open."""
    if not tests:
        return None, rows
    failing = [transform_fails(_text(rows, test), test.steps, rules.transforms) for test in tests]
    unsure = rows.select(
        fails.alias(str(place)) for place, fails in enumerate(failing) if fails is not None
    ).get_columns()
    held = _held(rows, tests, rules)
    for fails in unsure:
        held[int(fails.name)] |= fails
    counts = pl.select(pl.all_horizontal(held).alias("counts")).get_column("counts")
    return counts, _marked(rows, [fails for fails in failing if fails is not None])


def _held(rows: pl.DataFrame, tests: Sequence[Condition | QualifiedCondition], rules: Rules) -> list[pl.Series]:
    """Whether each of the tests holds, for every row."""
    names = [str(place) for place in range(len(tests))]
    values = rows.select(
        stepped(_text(rows, test), test.steps, rules.transforms).alias(name)
        for name, test in zip(names, tests, strict=True)
    ).with_columns(blank_to_null(pl.col(name)) for name in names)
    held = [
        compares(test, pl.col(name), rules.tables, rules.transforms).alias(name)
        for name, test in zip(names, tests, strict=True)
    ]
    return values.select(held).get_columns()


def _with_match(rows: pl.DataFrame, ref: ColumnRef | QualifiedColumnRef, rules: Rules) -> pl.DataFrame:
    """The rows with the value by which they are matched, marked where a transform fails on it."""
    fails = transform_fails(_text(rows, ref), ref.steps, rules.transforms)
    return _matchable(_marked(rows, [] if fails is None else [fails]), ref, rules)


def _matchable(rows: pl.DataFrame, ref: ColumnRef | QualifiedColumnRef, rules: Rules) -> pl.DataFrame:
    """The rows with the value by which they are matched, null where that is blank."""
    value = stepped(_text(rows, ref), ref.steps, rules.transforms)
    return rows.with_columns(value.alias(_MATCH)).with_columns(blank_to_null(pl.col(_MATCH)))


def _marked(rows: pl.DataFrame, failing: Sequence[pl.Expr]) -> pl.DataFrame:
    if not failing:
        return rows
    before = [pl.col(FAILED)] if FAILED in rows.columns else []
    return rows.with_columns(pl.any_horizontal(*before, *failing).alias(FAILED))


def _text(rows: pl.DataFrame, ref: ColumnRef | QualifiedColumnRef) -> pl.Expr:
    return as_text(pl.col(ref.column), rows.schema[ref.column])


def _qualified(rows: pl.DataFrame, alias: str) -> pl.DataFrame:
    return rows.rename({name: f"{alias}.{name}" for name in rows.columns if name != FAILED})

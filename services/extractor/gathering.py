"""Rows of several sources into one row a record: which row stands for a person, what is joined to it, who counts.

Pure. It carries out the `from`, `joins` and `scope` clauses of a contract and looks at no field; the values are the
business of `services.extractor.normalise`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from shared.contract.columnar import as_text, blank_to_null, holds, order_value, stepped
from shared.contract.model import ColumnRef, EntityContract, Join, OrderBy, QualifiedColumnRef
from shared.errors import StopRun

_MATCH = "match "  # working column; no column of a source has a blank in its name


@dataclass(frozen=True)
class Gathered:
    """One row for each record in scope."""

    rows: pl.DataFrame
    """Columns `alias.column`, as read; null throughout an alias whose source has no matching row."""
    keyless: int
    """Rows that the pick could give to nobody."""
    out_of_scope: int
    """Records that the scope leaves out."""
    rows_read: Mapping[str, int]
    """Rows as read, by alias."""


def gather(contract: EntityContract, frames: Mapping[str, pl.DataFrame]) -> Gathered:
    """One row for each record in scope; `StopRun` NRM_SCHEMA_DRIFT when a column that the contract uses is missing."""
    used = used_columns(contract)
    missing = {alias: _missing(frames[alias].columns, columns) for alias, columns in used.items()}
    _refuse_missing({alias: names for alias, names in missing.items() if names})
    kept = {alias: frames[alias].select(columns) for alias, columns in used.items()}
    origin = contract.origin
    rows, keyless = kept[origin.source], 0
    if origin.pick is not None:
        rows = _matchable(rows, origin.pick.by)
        keyless = rows.get_column(_MATCH).null_count()
        rows = _first_of_each(rows, origin.pick.order).drop(_MATCH)
    rows = _qualified(rows, origin.source)
    for join in contract.joins:
        rows = _joined(rows, join, kept[join.source])
    if contract.scope:
        is_in_scope = pl.all_horizontal(holds(test, _text(rows, test.column)) for test in contract.scope)
        in_scope = rows.filter(is_in_scope)
    else:
        in_scope = rows
    return Gathered(
        rows=in_scope,
        keyless=keyless,
        out_of_scope=rows.height - in_scope.height,
        rows_read={alias: frames[alias].height for alias in used},
    )


def used_columns(contract: EntityContract) -> dict[str, list[str]]:
    """The columns that a contract uses, by alias, each once, in the order in which it names them."""
    used: dict[str, dict[str, None]] = {}

    def note(alias: str, refs: Iterable[ColumnRef]) -> None:
        used.setdefault(alias, {}).update((ref.column, None) for ref in refs)

    def note_qualified(columns: Iterable[str]) -> None:
        for column in columns:
            alias, _, name = column.partition(".")
            used.setdefault(alias, {})[name] = None

    pick = contract.origin.pick
    note(contract.origin.source, () if pick is None else (pick.by, *pick.order))
    for join in contract.joins:
        note(join.source, (join.on.right, *join.where, *join.order))
        note_qualified([join.on.left.column])
    note_qualified(test.column for test in contract.scope)
    for field in contract.fields.values():
        note_qualified(field.sources or ())
    return {alias: list(columns) for alias, columns in used.items()}


def require_columns(place: str, present: Collection[str], wanted: Sequence[str]) -> None:
    """`StopRun` NRM_SCHEMA_DRIFT naming the wanted columns that are not present."""
    missing = _missing(present, wanted)
    _refuse_missing({place: missing} if missing else {})


def _missing(present: Collection[str], wanted: Iterable[str]) -> list[str]:
    there = set(present)
    return [name for name in wanted if name not in there]


def _refuse_missing(missing: Mapping[str, Sequence[str]]) -> None:
    if missing:
        listed = "; ".join(f"{place}: {', '.join(names)}" for place, names in missing.items())
        raise StopRun(
            "NRM_SCHEMA_DRIFT",
            f"columns that the contract uses are missing: {listed}; "
            "restore them in the source or release a new contract",
            columns=listed,
        )


def _joined(rows: pl.DataFrame, join: Join, other: pl.DataFrame) -> pl.DataFrame:
    """The rows with at most one row of the other source beside each."""
    if join.where:
        other = other.filter(pl.all_horizontal(holds(test, _text(other, test.column)) for test in join.where))
    right = _first_of_each(_matchable(other, join.on.right), join.order)
    left = rows.with_columns(_match_value(rows, join.on.left).alias(_MATCH))
    qualified = right.rename({name: f"{join.source}.{name}" for name in right.columns if name != _MATCH})
    return left.join(qualified, on=_MATCH, how="left", maintain_order="left").drop(_MATCH)


def _first_of_each(rows: pl.DataFrame, order: Sequence[OrderBy]) -> pl.DataFrame:
    """The first row of each match value in the given order; rows without a match value are left out.

    Rows that the order leaves equal are ordered by all their columns, so that the choice never depends on the order in
    which the source delivered them.
    """
    rows = rows.filter(pl.col(_MATCH).is_not_null())
    terms = [order_value(term, pl.col(term.column), rows.schema[term.column]) for term in order]
    ties = [pl.col(name) for name in rows.columns]
    descending = [term.direction == "desc" for term in order] + [False] * len(ties)
    ranked = rows.sort(*terms, *ties, descending=descending, nulls_last=True)
    return ranked.unique(_MATCH, keep="first", maintain_order=True)


def _matchable(rows: pl.DataFrame, ref: ColumnRef) -> pl.DataFrame:
    return rows.with_columns(_match_value(rows, ref).alias(_MATCH))


def _match_value(rows: pl.DataFrame, ref: ColumnRef | QualifiedColumnRef) -> pl.Expr:
    return blank_to_null(stepped(_text(rows, ref.column), ref.steps))


def _text(rows: pl.DataFrame, column: str) -> pl.Expr:
    return as_text(pl.col(column), rows.schema[column])


def _qualified(rows: pl.DataFrame, alias: str) -> pl.DataFrame:
    return rows.rename({name: f"{alias}.{name}" for name in rows.columns})

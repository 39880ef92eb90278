"""Every place at which an entity contract names a column of a source, and which sources can be meant there.

Pure. Shared by the checks, which ask whether the column exists, and by the examples, whose rows have these columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shared.contract.field import Case, Concat, FieldContract
from shared.contract.model import EntityContract, Join
from shared.contract.positions import Path
from shared.contract.words import ColumnRef, QualifiedColumnRef


@dataclass(frozen=True)
class ColumnUse:
    """One place at which a contract names a column."""

    alias: str
    column: str | None
    """None where only the alias is named."""
    path: Path
    known: frozenset[str] | None = None
    """The aliases that may be named here; None when all of the definition's may."""


def column_uses(contract: EntityContract, path: Path) -> Iterator[ColumnUse]:
    """Every use in the order of the definition; `path` is the contract's own place."""
    origin = contract.origin
    yield ColumnUse(origin.source, None, (*path, "from", "source"))
    yield from _bare(origin.source, origin.where, (*path, "from", "where"))
    if origin.pick is not None:
        yield ColumnUse(origin.source, origin.pick.by.column, (*path, "from", "pick", "by", "column"))
        yield from _bare(origin.source, origin.pick.order, (*path, "from", "pick", "order"))
    joined = frozenset({origin.source})
    for number, join in enumerate(contract.joins):
        yield from _of_join(join, (*path, "joins", number), joined)
        joined |= {join.source}
    yield from _qualified(contract.scope, (*path, "scope"), joined)
    for name, field in contract.fields.items():
        yield from _of_origin(field, (*path, "fields", name), joined)


def columns_of_field(field: FieldContract) -> frozenset[str]:
    """The qualified columns that decide one field's value."""
    return frozenset(f"{use.alias}.{use.column}" for use in _of_origin(field, (), frozenset()))


def _of_join(join: Join, path: Path, joined: frozenset[str]) -> Iterator[ColumnUse]:
    yield ColumnUse(join.source, None, (*path, "source"))
    yield _of_column(join.on.left.column, (*path, "on", "left", "column"), joined)
    yield ColumnUse(join.source, join.on.right.column, (*path, "on", "right", "column"))
    yield from _bare(join.source, join.where, (*path, "where"))
    yield from _bare(join.source, join.order, (*path, "order"))


def _of_origin(origin: FieldContract | Case, path: Path, joined: frozenset[str]) -> Iterator[ColumnUse]:
    for place, column in enumerate(origin.sources or ()):
        yield _of_column(column, (*path, "from", place), joined)
    if origin.concat is not None:
        yield from _of_concat(origin.concat, (*path, "concat"), joined)
    if isinstance(origin, FieldContract):
        for number, case in enumerate(origin.cases or ()):
            yield from _qualified(case.when, (*path, "cases", number, "when"), joined)
            yield from _of_origin(case, (*path, "cases", number), joined)


def _of_concat(concat: Concat, path: Path, joined: frozenset[str]) -> Iterator[ColumnUse]:
    for place, part in enumerate(concat.parts):
        if isinstance(part, QualifiedColumnRef):
            yield _of_column(part.column, (*path, "parts", place, "column"), joined)


def _bare(alias: str, references: Sequence[ColumnRef], path: Path) -> Iterator[ColumnUse]:
    for place, reference in enumerate(references):
        yield ColumnUse(alias, reference.column, (*path, place, "column"))


def _qualified(references: Sequence[QualifiedColumnRef], path: Path, joined: frozenset[str]) -> Iterator[ColumnUse]:
    for place, reference in enumerate(references):
        yield _of_column(reference.column, (*path, place, "column"), joined)


def _of_column(column: str, path: Path, joined: frozenset[str]) -> ColumnUse:
    alias, _, name = column.partition(".")
    return ColumnUse(alias, name, path, joined)

"""Where a field's text comes from: columns in order of preference, columns put together, or the case that holds.

Pure. Gives expressions over gathered rows; what becomes of the text afterwards is for `services.extractor.fields`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from services.extractor.rules import Rules
from shared.contract.columnar import Transforms, as_text, blank_to_null, holds, stepped, transform_fails
from shared.contract.field import Case, Concat, FieldContract, TextPart
from shared.contract.words import Steps

_NOTHING = pl.lit(None, dtype=pl.String)


@dataclass(frozen=True)
class Piece:
    """A column that takes steps of its own before it is put together with others."""

    raw: pl.Expr
    steps: Steps

    def rewritten(self, text: pl.Expr, transforms: Transforms) -> pl.Expr:
        """The text after the piece's steps, null where that is blank."""
        return blank_to_null(stepped(text, self.steps, transforms))


@dataclass(frozen=True)
class Origin:
    """The text before the field's steps."""

    text: pl.Expr
    """Null where there is none."""
    alias: pl.Expr
    """The source that gave the text; without any text, the one that should have."""
    fails: pl.Expr | None = None
    """Whether a transform failed on the way to it, never null; None when there is no transform on the way."""
    plain: str | None = None
    """The column, when the text is that of one column of text as it is, blank or not."""
    pieces: Mapping[str, Piece] = field(default_factory=dict)
    """Columns, by name, that `text` and `alias` find beside those of the rows."""


def origin_of(contract: FieldContract, schema: pl.Schema, rules: Rules, *, home: str) -> Origin:
    """The field's origin over rows of that schema; `home` is the source whose rows are the records."""
    if contract.cases is None:
        return _of_part(contract, schema, rules, home)
    text, alias, fails = _NOTHING, pl.lit(home), pl.lit(False)
    can_fail = False
    pieces: dict[str, Piece] = {}
    # From the last case to the first: each stands before what comes after it.
    for case in reversed(contract.cases):
        part = _of_part(case, schema, rules, home)
        tests = [holds(t, _text(t.column, schema), tables=rules.tables, transforms=rules.transforms) for t in case.when]
        failing = [transform_fails(_text(t.column, schema), t.steps, rules.transforms) for t in case.when]
        unsure = [one for one in failing if one is not None]
        applies = pl.all_horizontal(tests) if tests else pl.lit(True)
        text = pl.when(applies).then(part.text).otherwise(text)
        alias = pl.when(applies).then(part.alias).otherwise(alias)
        fails = pl.when(applies).then(_or_false(part.fails)).otherwise(fails)
        if unsure:
            fails = pl.any_horizontal(*unsure) | fails
        can_fail = can_fail or bool(unsure) or part.fails is not None
        pieces |= part.pieces
    return Origin(text, alias, fails if can_fail else None, pieces=pieces)


def _of_part(part: FieldContract | Case, schema: pl.Schema, rules: Rules, home: str) -> Origin:
    if part.sources is not None:
        return _of_columns(part.sources, schema)
    if part.concat is not None:
        return _of_concat(part.concat, schema, rules, home)
    if part.constant is not None:
        return Origin(blank_to_null(pl.lit(str(part.constant))), pl.lit(home))
    return Origin(_NOTHING, pl.lit(home))


def _of_columns(columns: Sequence[str], schema: pl.Schema) -> Origin:
    texts = {column: _text(column, schema) for column in columns}
    if len(columns) == 1:
        (column,) = columns
        plain = column if schema[column] == pl.String else None
        return Origin(texts[column], pl.lit(_alias(column)), plain=plain)
    winners = [pl.when(text.is_not_null()).then(pl.lit(_alias(column))) for column, text in texts.items()]
    return Origin(pl.coalesce(*texts.values()), pl.coalesce(*winners, pl.lit(_alias(columns[0]))))


def _of_concat(concat: Concat, schema: pl.Schema, rules: Rules, home: str) -> Origin:
    parts: list[pl.Expr] = []
    pieces: dict[str, Piece] = {}
    failing: list[pl.Expr] = []
    for part in concat.parts:
        if isinstance(part, TextPart):
            parts.append(pl.lit(part.text))
            continue
        piece = Piece(_text(part.column, schema), part.steps)
        name = f"{part.column} {' '.join(map(str, part.steps))}"
        pieces[name] = piece
        parts.append(pl.col(name))
        fails = transform_fails(piece.raw, part.steps, rules.transforms)
        failing += [] if fails is None else [fails]
    if not pieces:
        return Origin(_NOTHING, pl.lit(home))
    is_there = pl.any_horizontal(pl.col(name).is_not_null() for name in pieces)
    joined = pl.concat_str(parts, separator=concat.separator, ignore_nulls=True)
    winners = [pl.when(pl.col(name).is_not_null()).then(pl.lit(_alias(name))) for name in pieces]
    return Origin(
        pl.when(is_there).then(joined).otherwise(None),
        pl.coalesce(*winners, pl.lit(_alias(next(iter(pieces))))),
        pl.any_horizontal(failing) if failing else None,
        pieces=pieces,
    )


def _text(column: str, schema: pl.Schema) -> pl.Expr:
    return as_text(pl.col(column), schema[column])


def _or_false(fails: pl.Expr | None) -> pl.Expr:
    return pl.lit(False) if fails is None else fails


def _alias(column: str) -> str:
    return column.partition(".")[0]

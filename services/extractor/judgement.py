"""All fields of a contract over one batch of gathered rows, side by side.

Pure. First the pieces that are put together, then the text of every field, then what becomes of it; each column in the
way of `services.extractor.distinct`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import polars as pl

from services.extractor.distinct import TEXT, Rewriting, rewritten
from services.extractor.fields import FAULT, LOST, ORIGIN_FAILS, UNKNOWN, UNMAPPED, VALUE, Clause, judging
from services.extractor.origins import Origin, Piece, origin_of
from services.extractor.rules import Rules
from shared.contract.columnar import Transforms, blank_to_null, step_by_step, value_type


@dataclass(frozen=True)
class Judged:
    """What became of one field in every row; None where nothing of the kind was found."""

    clause: Clause
    text: pl.Series
    """What the origin gave, before the field's steps; as read, blank or not."""
    alias: Callable[[pl.DataFrame], pl.Series]
    """For rows like those judged: the source that gave the text, or should have."""
    value: pl.Series
    fault: pl.Series | None = None
    lost: pl.Series | None = None
    unmapped: pl.Series | None = None
    unknown: pl.Series | None = None


def judge(rows: pl.DataFrame, clauses: Sequence[Clause], rules: Rules, *, home: str) -> list[Judged]:
    """Every clause over the rows, in the order of the clauses; `home` is the source whose rows are the records."""
    origins = {
        clause.name: origin_of(clause.field, rows.schema, rules, home=home)
        for clause in clauses
        if clause.field.constant is None
    }
    texts = _texts(rows, origins, rules.transforms)
    works = {
        clause.name: _work(clause, texts, rules, can_fail=origins[clause.name].fails is not None)
        for clause in clauses
        if clause.name in origins
    }
    made = rewritten(texts, works)
    return [
        _constant(clause, rows.height, home)
        if clause.name not in made
        else _judged(clause, texts, partial(_alias, origins[clause.name], rules.transforms), made[clause.name])
        for clause in clauses
    ]


def _texts(rows: pl.DataFrame, origins: Mapping[str, Origin], transforms: Transforms) -> pl.DataFrame:
    """The texts of the fields, by name, and where the origin can fail, whether it did."""
    rows = _with_pieces(
        rows, {name: one for origin in origins.values() for name, one in origin.pieces.items()}, transforms
    )
    wanted: dict[str, pl.Expr] = {}
    for name, origin in origins.items():
        wanted[name] = origin.text if origin.plain is None else pl.col(origin.plain)
        if origin.fails is not None:
            wanted[ORIGIN_FAILS + name] = origin.fails
    # Not `select`: a text that is the same for all rows must still be there for each of them.
    return rows.lazy().with_columns(**wanted).select(list(wanted)).collect()


def _with_pieces(rows: pl.DataFrame, pieces: Mapping[str, Piece], transforms: Transforms) -> pl.DataFrame:
    if not pieces:
        return rows
    raw = rows.lazy().with_columns(**{name: piece.raw for name, piece in pieces.items()}).select(list(pieces)).collect()
    made = rewritten(raw, {name: Rewriting(partial(_put_right, piece, transforms)) for name, piece in pieces.items()})
    return rows.with_columns(
        frame.get_column(VALUE).alias(name) if VALUE in frame.columns else pl.lit(None, dtype=pl.String).alias(name)
        for name, frame in made.items()
    )


def _put_right(piece: Piece, transforms: Transforms, texts: pl.LazyFrame) -> pl.LazyFrame:
    stepped = step_by_step(texts.select(blank_to_null(pl.col(TEXT)).alias(VALUE)), VALUE, piece.steps, transforms)
    return stepped.with_columns(blank_to_null(pl.col(VALUE)))


def _work(clause: Clause, texts: pl.DataFrame, rules: Rules, *, can_fail: bool) -> Rewriting:
    if not can_fail:
        return Rewriting(partial(judging, clause=clause, rules=rules))
    beside = {ORIGIN_FAILS: texts.get_column(ORIGIN_FAILS + clause.name)}
    return Rewriting(partial(judging, clause=clause, rules=rules, origin_fails=True), beside)


def _alias(origin: Origin, transforms: Transforms, rows: pl.DataFrame) -> pl.Series:
    pieces = {name: piece.rewritten(piece.raw, transforms) for name, piece in origin.pieces.items()}
    with_pieces = rows.with_columns(**pieces) if pieces else rows
    return with_pieces.with_columns(origin.alias.alias("alias ")).get_column("alias ")


def _judged(
    clause: Clause, texts: pl.DataFrame, alias: Callable[[pl.DataFrame], pl.Series], made: pl.DataFrame
) -> Judged:
    def column(name: str) -> pl.Series | None:
        found = made.get_column(name) if name in made.columns else None
        return None if found is None or found.null_count() == found.len() else found

    value = column(VALUE)
    if value is None:
        value = _all(None, value_type(clause.field.format), texts.height)
    found = {name: column(name) for name in (FAULT, LOST, UNMAPPED, UNKNOWN)}
    return Judged(clause, texts.get_column(clause.name), alias, value, **found)


def _constant(clause: Clause, height: int, home: str) -> Judged:
    constant = clause.field.constant
    value = None if isinstance(constant, str) and not constant.strip() else constant
    fault = None
    if value is None and height and (clause.field.required or clause.is_key):
        fault = _all("NRM_MISSING_KEY" if clause.is_key else "NRM_MISSING_REQUIRED", pl.String(), height)
    return Judged(
        clause,
        _all(None, pl.String(), height),
        lambda rows: _all(home, pl.String(), rows.height),
        _all(value, value_type(clause.field.format), height),
        fault=fault,
    )


def _all(value: str | bool | None, kind: pl.DataType, height: int) -> pl.Series:
    return pl.Series([value], dtype=kind).new_from_index(0, height)

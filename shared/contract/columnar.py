"""What the words of a contract mean, as expressions over columns: raw values as text, conditions, orders.

Pure; with `shared.contract.steps` and `shared.contract.formats`, whose words are offered here as well, the only place
that gives them a meaning. Every expression takes text (or null) and treats blank text as no value; what to do about a
value of the wrong form is for the normaliser.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from shared.contract.field import Format
from shared.contract.formats import date_shape, formatted, value_type
from shared.contract.steps import (
    NO_TRANSFORMS,
    Transform,
    Transforms,
    has_transform,
    once,
    step_by_step,
    stepped,
    transform_fails,
)
from shared.contract.tables import MappingTable
from shared.contract.words import Condition, OrderBy, QualifiedCondition, Scalar, Step

__all__ = [
    "NO_TABLES",
    "NO_TRANSFORMS",
    "Transform",
    "Transforms",
    "as_text",
    "blank_to_null",
    "compares",
    "date_shape",
    "formatted",
    "formatted_text",
    "has_transform",
    "holds",
    "once",
    "order_value",
    "pattern_problem",
    "scalar_text",
    "step_by_step",
    "stepped",
    "stepped_texts",
    "transform_fails",
    "value_type",
]

NO_TABLES: Mapping[str, MappingTable] = {}
_WHOLE_BELOW = 1e15
"""Floating point numbers below this size are whole exactly when they seem to be."""


def as_text(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """A raw column as text in which blank is null; numbers in plain digits, truth values as `true` and `false`."""
    if dtype == pl.Null:
        return column.cast(pl.String)
    if dtype == pl.Boolean:
        return pl.when(column).then(pl.lit("true")).when(~column).then(pl.lit("false")).otherwise(None)
    if dtype.is_float():
        # Whole numbers come as floating point where one of them was missing on the way: 7.0 means 7.
        is_whole = (column.abs() < _WHOLE_BELOW) & (column == column.floor())
        return (
            pl.when(is_whole)
            .then(column.cast(pl.Int64, strict=False).cast(pl.String))
            .otherwise(column.cast(pl.String))
        )
    if dtype == pl.String:
        return blank_to_null(column)
    return column.cast(pl.String)


def blank_to_null(text: pl.Expr) -> pl.Expr:
    """Null where the text is empty or only white space, otherwise the text as it is."""
    return pl.when(text.str.strip_chars() != "").then(text).otherwise(None)


def holds(
    condition: Condition | QualifiedCondition,
    text: pl.Expr,
    *,
    tables: Mapping[str, MappingTable] = NO_TABLES,
    transforms: Transforms = NO_TRANSFORMS,
) -> pl.Expr:
    """Whether the condition holds, never null; `text` is the condition's column as text.

    Where a transform among the steps fails, the value counts as blank; `transform_fails` tells the two apart.
    """
    return compares(condition, blank_to_null(stepped(text, condition.steps, transforms)), tables, transforms)


def compares(
    condition: Condition | QualifiedCondition,
    value: pl.Expr,
    tables: Mapping[str, MappingTable] = NO_TABLES,
    transforms: Transforms = NO_TRANSFORMS,
) -> pl.Expr:
    """Whether the condition's comparison holds, never null; `value` has taken the steps already, blank as null."""
    if condition.is_blank or condition.is_not_blank:
        return value.is_null() if condition.is_blank else value.is_not_null()
    if condition.not_in is not None:
        return ~_is_one_of(value, map(scalar_text, condition.not_in))
    if condition.in_table is not None:
        return _is_one_of(value, stepped_texts(list(tables[condition.in_table].entries), condition.steps, transforms))
    if condition.starts_with is not None:
        return pl.any_horizontal(value.str.starts_with(start) for start in condition.starts_with).fill_null(value=False)
    if condition.matches is not None:
        return value.str.contains(_whole(condition.matches)).fill_null(value=False)
    wanted = condition.is_in if condition.equals is None else (condition.equals,)
    return _is_one_of(value, map(scalar_text, wanted or ()))


def scalar_text(value: Scalar) -> str:
    """A value of the definition as the text that a column would hold for it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def pattern_problem(pattern: str) -> str | None:
    """Why a pattern of a condition cannot be used over columns; None when it can."""
    try:
        pl.select(pl.lit("").str.contains(_whole(pattern)))
    except pl.exceptions.ComputeError as error:
        return str(error)
    return None


def order_value(term: OrderBy, column: pl.Expr, dtype: pl.DataType, transforms: Transforms = NO_TRANSFORMS) -> pl.Expr:
    """What an order compares: text after its steps with blank as null, anything else as it is."""
    if dtype != pl.String and not term.steps:
        return column
    return blank_to_null(stepped(as_text(column, dtype), term.steps, transforms))


def stepped_texts(
    values: Sequence[str], steps: Sequence[Step], transforms: Transforms = NO_TRANSFORMS
) -> list[str | None]:
    """Texts of a definition after all steps; None where a transform gives nothing or fails."""
    texts = pl.DataFrame({"text": values}, schema={"text": pl.String})
    return texts.select(stepped(pl.col("text"), steps, transforms)).get_column("text").to_list()


def formatted_text(
    value: str, form: Format, *, values: Sequence[str] = (), date_formats: Sequence[str] = ("%Y-%m-%d",)
) -> str | bool | None:
    """One text of a definition in the given form, None when it has not that form."""
    result: str | bool | None = pl.select(
        formatted(pl.lit(value), form, values=values, date_formats=date_formats)
    ).item()
    return result


def _whole(pattern: str) -> str:
    return rf"\A(?:{pattern})\z"


def _is_one_of(value: pl.Expr, wanted: Iterable[str | None]) -> pl.Expr:
    known = [text for text in wanted if text is not None]
    return value.is_in(pl.Series(known, dtype=pl.String).implode()).fill_null(value=False)

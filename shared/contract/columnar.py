"""What the words of a contract mean, as expressions over columns: steps, formats, conditions, orders.

Pure, and the only place that gives these words a meaning. Every expression takes text (or null) and treats blank text
as no value; what to do about a value of the wrong form is for the normaliser.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import assert_never

import polars as pl

from shared.contract.model import Condition, Format, OrderBy, QualifiedCondition, Scalar, Step

# White space is what Unicode calls White_Space: polars strips it, and the regular expressions' \s is the same set.
_EMAIL = r"^[^\s@]+@(?:[^\s@.]+\.)+[^\s@.]{2,}$"
_E164 = r"^\+[1-9][0-9]{7,14}$"
_TEN_DIGITS = r"^[0-9]{10}$"
_TRUE = ("true", "t", "yes", "y", "1")
_FALSE = ("false", "f", "no", "n", "0")


def as_text(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """A raw column as text in which blank is null; numbers in plain digits, truth values as `true` and `false`."""
    if dtype == pl.Null:
        return column.cast(pl.String)
    if dtype == pl.Boolean:
        return pl.when(column).then(pl.lit("true")).when(~column).then(pl.lit("false")).otherwise(None)
    text = column if dtype == pl.String else column.cast(pl.String)
    return blank_to_null(text)


def blank_to_null(text: pl.Expr) -> pl.Expr:
    """Null where the text is empty or only white space, otherwise the text as it is."""
    return pl.when(text.str.strip_chars() != "").then(text).otherwise(None)


def stepped(text: pl.Expr, steps: Iterable[Step]) -> pl.Expr:
    """The text after all steps, left to right. It may end up empty; null stays null."""
    for step in steps:
        text = _STEPS[step](text)
    return text


def formatted(text: pl.Expr, form: Format) -> pl.Expr:
    """The value in the given form, null where the text has not that form; boolean for `boolean`, text otherwise."""
    match form:
        case "text":
            return blank_to_null(text)
        case "email":
            return pl.when(text.str.contains(_EMAIL)).then(text).otherwise(None)
        case "e164":
            return (
                pl.when(text.str.contains(_TEN_DIGITS))
                .then(pl.concat_str(pl.lit("+1"), text))
                .when(text.str.contains(_E164))
                .then(text)
                .otherwise(None)
            )
        case "boolean":
            word = text.str.strip_chars().str.to_lowercase()
            return pl.when(word.is_in(_TRUE)).then(True).when(word.is_in(_FALSE)).then(False).otherwise(None)
        case "date":
            return text.str.to_date("%Y-%m-%d", strict=False).dt.strftime("%Y-%m-%d")
    assert_never(form)


def value_type(form: Format) -> pl.DataType:
    """The column type of a field of that form."""
    return pl.Boolean() if form == "boolean" else pl.String()


def holds(condition: Condition | QualifiedCondition, text: pl.Expr) -> pl.Expr:
    """Whether the condition holds, never null; `text` is the condition's column as text."""
    value = blank_to_null(stepped(text, condition.steps))
    if condition.is_in is not None:
        return value.is_in([scalar_text(item) for item in condition.is_in]).fill_null(False)
    if condition.not_in is not None:
        return ~value.is_in([scalar_text(item) for item in condition.not_in]).fill_null(False)
    if condition.equals is not None:
        return (value == scalar_text(condition.equals)).fill_null(False)
    return value.is_null() if condition.is_blank else value.is_not_null()


def scalar_text(value: Scalar) -> str:
    """A value of the definition as the text that a column would hold for it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def order_value(term: OrderBy, column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """What an order compares: text after its steps with blank as null, anything else as it is."""
    if dtype != pl.String and not term.steps:
        return column
    return blank_to_null(stepped(as_text(column, dtype), term.steps))


def stepped_texts(values: Sequence[str], steps: Iterable[Step]) -> list[str]:
    """Texts of a definition after all steps."""
    return (
        pl.DataFrame({"text": values}, schema={"text": pl.String})
        .select(stepped(pl.col("text"), steps))["text"]
        .to_list()
    )


def formatted_text(value: str, form: Format) -> str | bool | None:
    """One text of a definition in the given form, None when it has not that form."""
    result: str | bool | None = pl.select(formatted(pl.lit(value), form)).item()
    return result


_STEPS: Mapping[Step, Callable[[pl.Expr], pl.Expr]] = {
    "trim": lambda text: text.str.strip_chars(),
    "collapse_whitespace": lambda text: text.str.replace_all(r"\s+", " "),
    "nfc": lambda text: text.str.normalize("NFC"),
    "lower": lambda text: text.str.to_lowercase(),
    "upper": lambda text: text.str.to_uppercase(),
    "digits": lambda text: text.str.replace_all("[^0-9]", ""),
    # North America only: eleven digits that begin with 1. Every other number is left for the format to judge.
    "strip_country_code": lambda text: text.str.replace("^1([0-9]{10})$", "$1"),
}

"""What the formats of a contract make of a column of text: the value in its one spelling, or nothing.

Pure. Text that has not the form becomes null; whether the record goes on without it is for the normaliser.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import polars as pl

from shared.contract.field import Format

# White space is what Unicode calls White_Space: polars strips it, and the regular expressions' \s is the same set.
_EMAIL = r"^[^\s@]+@(?:[^\s@.]+\.)+[^\s@.]{2,}$"
_E164 = r"^\+[1-9][0-9]{7,14}$"
_TEN_DIGITS = r"^[0-9]{10}$"
_TRUE = ("true", "t", "yes", "y", "1")
_FALSE = ("false", "f", "no", "n", "0")
ISO_DATE = "%Y-%m-%d"
_ISO_DATE_TIME = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]+)?)?"
    r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)?$"
)
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_ONE_OR_TWO = "[0-9]{1,2}"
# polars is more lenient than the language (signs, blanks before numbers, years of any length): the shape is checked.
_DIRECTIVES = {
    "%Y": "(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])",
    "%y": "[0-9]{2}",
    "%m": _ONE_OR_TWO,
    "%d": _ONE_OR_TWO,
    "%j": "[0-9]{1,3}",
    "%H": _ONE_OR_TWO,
    "%M": _ONE_OR_TWO,
    "%S": _ONE_OR_TWO,
    "%T": f"{_ONE_OR_TWO}:{_ONE_OR_TWO}:{_ONE_OR_TWO}",
    "%B": f"(?i:{_MONTHS})",
    "%b": f"(?i:{'|'.join(month[:3] for month in _MONTHS.split('|'))})",
}
_DIRECTIVE = re.compile(r"%.?", re.DOTALL)
_GRADES = {
    "PK": ("p", "pr", "pk", "pre-k", "prek", "preschool", "-2"),
    "TK": ("tk", "transitional kindergarten", "-1"),
    "KG": ("k", "kg", "kn", "kindergarten", "0", "00"),
    "UG": ("ug", "ue", "us", "ungraded"),
}


def formatted(
    text: pl.Expr, form: Format, *, values: Sequence[str] = (), date_formats: Sequence[str] = (ISO_DATE,)
) -> pl.Expr:
    """The value in the given form, null where the text has not that form; boolean for `boolean`, text otherwise.

    `values` are those of an `enum`, `date_formats` those of a `date`.
    """
    if form == "date":
        return pl.coalesce(*(_date(text, date_format) for date_format in date_formats)).dt.strftime(ISO_DATE)
    if form == "enum":
        return pl.when(text.is_in(list(values))).then(text).otherwise(None)
    return _FORMS[form](text)


def value_type(form: Format) -> pl.DataType:
    """The column type of a field of that form."""
    return pl.Boolean() if form == "boolean" else pl.String()


def date_shape(date_format: str) -> str:
    """The regular expression of texts that a date format is tried on; `ValueError` for one that names no date."""
    named = _DIRECTIVE.findall(date_format)
    unknown = sorted(set(named) - set(_DIRECTIVES))
    if unknown:
        raise ValueError(f"date format {date_format!r} has {unknown[0]!r}, known are {' '.join(_DIRECTIVES)}")
    year, month, day = ({"%Y", "%y"} & {*named}, {"%m", "%b", "%B"} & {*named}, "%d" in named)
    if len(year) != 1 or len(set(named)) != len(named) or not ("%j" in named or (month and day)):
        raise ValueError(f"date format {date_format!r} does not name year, month and day, each once")
    parts = [_DIRECTIVES.get(part) or re.escape(part) for part in re.split(r"(%.)", date_format)]
    return rf"\A(?:{''.join(parts)})\z"


def _date(text: pl.Expr, date_format: str) -> pl.Expr:
    shaped = pl.when(text.str.contains(date_shape(date_format))).then(text).otherwise(None)
    if date_format == ISO_DATE:
        shaped = pl.coalesce(shaped, pl.when(text.str.contains(_ISO_DATE_TIME)).then(text.str.slice(0, 10)))
    return shaped.str.to_date(date_format, strict=False)


def _numbered_grades() -> dict[str, str]:
    spellings: dict[str, str] = {}
    for number in range(1, 13):
        ending = {1: "st", 2: "nd", 3: "rd"}.get(number, "th")
        for digits in {str(number), f"{number:02}"}:
            spellings |= dict.fromkeys((digits, digits + ending, f"grade {digits}"), f"{number:02}")
    return spellings


def _text(text: pl.Expr) -> pl.Expr:
    return pl.when(text.str.strip_chars() != "").then(text).otherwise(None)


def _email(text: pl.Expr) -> pl.Expr:
    return pl.when(text.str.contains(_EMAIL)).then(text).otherwise(None)


def _e164(text: pl.Expr) -> pl.Expr:
    completed = pl.when(text.str.contains(_TEN_DIGITS)).then(pl.concat_str(pl.lit("+1"), text))
    return completed.when(text.str.contains(_E164)).then(text).otherwise(None)


def _boolean(text: pl.Expr) -> pl.Expr:
    word = text.str.strip_chars().str.to_lowercase()
    return pl.when(word.is_in(_TRUE)).then(True).when(word.is_in(_FALSE)).then(False).otherwise(None)


def _integer(text: pl.Expr) -> pl.Expr:
    plain = text.str.replace("^(-?)0+([0-9])", "$1$2")
    shown = pl.when(plain == "-0").then(pl.lit("0")).otherwise(plain)
    return pl.when(text.str.contains("^-?[0-9]+$")).then(shown).otherwise(None)


def _grade(text: pl.Expr) -> pl.Expr:
    word = text.str.strip_chars().str.to_lowercase()
    return word.replace_strict(list(_SPELLINGS), list(_SPELLINGS.values()), default=None, return_dtype=pl.String)


_SPELLINGS = {spelling: grade for grade, known in _GRADES.items() for spelling in known} | _numbered_grades()
_FORMS: Mapping[Format, Callable[[pl.Expr], pl.Expr]] = {
    "text": _text,
    "email": _email,
    "e164": _e164,
    "boolean": _boolean,
    "integer": _integer,
    "grade": _grade,
}

"""What steps, formats and conditions do to one single text: plain Python, one character after another.

It stands beside `shared.contract.columnar` as a second opinion and was written from the language's descriptions alone;
it shares no line with it and knows no column. `tests.contracts.row_by_row` puts these values together to records.

Where the descriptions leave something open, this is the reading taken:

* White space is what Unicode calls White_Space; the four separators U+001C to U+001F are not.
* `proper_name` leaves a name alone that has capitals and small letters anywhere. White space and hyphens part words.
  Particles stand between white space and are neither the first word nor the last. Roman numbers up to VIII stay after
  the first word, and D' and L' are as O'.
* A form is asked of the whole value after the steps; white space around it is forgiven in `boolean` and `grade` only.
* `email`: something, one `@`, and at least two parts with dots between, the last of them of two characters or more.
* `e164`: the first digit after `+` is not 0. `integer`: leading zeros are taken away. Both are texts.
* `boolean`: true, t, yes, y, 1 and their opposites, in any case.
* `date`: `%m`, `%d` and the hour may lack their leading zero; a year of four digits has four. Only ASCII digits count.
  Between the date and the time of an ISO 8601 date-time there may be a blank, and the time must be one.
* `grade`: in any case, `K` and `0` for `KG`, `-1` for `TK`, `-2` for `PK`, numbers with or without the leading zero.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from shared.contract.field import Format
from shared.contract.words import Condition, PythonStep, QualifiedCondition, Scalar, Step

Raw = str | int | bool | None
Transforms = Mapping[str, Callable[[str], str | None]]
Tables = Mapping[str, Mapping[str, str]]

WHITE_SPACE = frozenset("\t\n\x0b\x0c\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") | frozenset(
    chr(code) for code in range(0x2000, 0x200B)
)
PARTICLES = frozenset(
    {
        "de",
        "del",
        "della",
        "la",
        "los",
        "las",
        "van",
        "von",
        "der",
        "den",
        "di",
        "da",
        "das",
        "do",
        "dos",
        "du",
        "y",
        "zu",
    }
)
NUMBERS = frozenset({"II", "III", "IV", "VI", "VII", "VIII"})
_DIGITS = frozenset("0123456789")
_TRUE, _FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")
_SPELT_GRADES = (
    {spelt: spelt for spelt in ("PK", "TK", "KG", "UG")}
    | {"-2": "PK", "-1": "TK", "0": "KG", "00": "KG", "K": "KG"}
    | {spelt: f"{number:02}" for number in range(1, 13) for spelt in (str(number), f"{number:02}")}
)


class TransformFailed(Exception):
    """A registered transform raised on a value."""


def as_text(raw: Raw) -> str | None:
    """The text of a raw value: `true` and `false`, digits, or the text itself."""
    if isinstance(raw, bool):
        return "true" if raw else "false"
    return None if raw is None else str(raw)


def is_blank(text: str | None) -> bool:
    """Whether there is no value or only white space."""
    return text is None or all(character in WHITE_SPACE for character in text)


def stepped(text: str | None, steps: Sequence[Step], transforms: Transforms) -> str | None:
    """The text after all steps; None when nothing but white space is left, so that blank is blank."""
    after = None if is_blank(text) else steps_taken(text, steps, transforms)
    return None if is_blank(after) else after


def steps_taken(text: str | None, steps: Sequence[Step], transforms: Transforms) -> str | None:
    """The text after all steps, left to right, even an empty one; None once a transform says that there is no value."""
    for step in steps:
        if text is None:
            return None
        if isinstance(step, PythonStep):
            try:
                text = transforms[step.python](text)
            except Exception as error:
                raise TransformFailed(step.python) from error
        else:
            text = _NAMED[step](text)
    return text


def _trim(text: str) -> str:
    while text and text[0] in WHITE_SPACE:
        text = text[1:]
    while text and text[-1] in WHITE_SPACE:
        text = text[:-1]
    return text


def _collapse(text: str) -> str:
    out: list[str] = []
    for character in text:
        if character not in WHITE_SPACE:
            out.append(character)
        elif not out or out[-1] != " ":
            out.append(" ")
    return "".join(out)


def _without_country_code(text: str) -> str:
    return text[1:] if len(text) == 11 and set(text) <= _DIGITS and text[0] == "1" else text


def _proper_name(text: str) -> str:
    if text not in (text.upper(), text.lower()):
        return text
    white = "".join(sorted(WHITE_SPACE))
    words = re.findall(f"[^{white}]+|[{white}]+", text)
    places = [place for place, word in enumerate(words) if not is_blank(word)]
    for place in places:
        small = words[place].lower()
        if small in PARTICLES and place not in (places[0], places[-1]):
            words[place] = small
        elif small.upper() in NUMBERS and place != places[0]:
            words[place] = small.upper()
        else:
            words[place] = "-".join(_proper_word(part) for part in small.split("-"))
    return "".join(words)


def _proper_word(small: str) -> str:
    for begin in ("mc", "o'", "d'", "l'", "o\u2019", "d\u2019", "l\u2019"):
        if small.startswith(begin):
            return begin.capitalize() + small[2:3].title() + small[3:]
    return small[:1].title() + small[1:]


_NAMED: Mapping[str, Callable[[str], str]] = {
    "trim": _trim,
    "collapse_whitespace": _collapse,
    "nfc": lambda text: unicodedata.normalize("NFC", text),
    "lower": str.lower,
    "upper": str.upper,
    "digits": lambda text: "".join(character for character in text if character in _DIGITS),
    "strip_country_code": _without_country_code,
    "unescape_html": html.unescape,
    "proper_name": _proper_name,
}


def formatted(text: str, form: Format, date_formats: Sequence[str]) -> str | bool | None:
    """The value in its form; None when it has not that form. Whether an `enum` holds it is asked elsewhere."""
    match form:
        case "boolean":
            return {**dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False)}.get(_trim(text).lower())
        case "email":
            local, _, domain = text.partition("@")
            labels = domain.split(".")
            whole = local and "@" not in domain and all(labels) and len(labels) > 1 and len(labels[-1]) > 1
            return text if whole and not any(character in WHITE_SPACE for character in text) else None
        case "e164":
            if len(text) == 10 and set(text) <= _DIGITS:
                return "+1" + text
            plus, digits = text[:1], text[1:]
            return (
                text if plus == "+" and 8 <= len(digits) <= 15 and set(digits) <= _DIGITS and digits[0] != "0" else None
            )
        case "date":
            return _date(text, date_formats)
        case "integer":
            sign, digits = ("-", text[1:]) if text[:1] == "-" else ("", text)
            if not digits or not set(digits) <= _DIGITS:
                return None
            short = digits.lstrip("0")
            return sign + short if short else "0"
        case "grade":
            return _SPELT_GRADES.get(_trim(text).upper())
        case "text" | "enum":
            return text


def _date(text: str, date_formats: Sequence[str]) -> str | None:
    if not text.isascii():
        return None
    for written in date_formats:
        try:
            whole = re.fullmatch(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*", text) if written == "%Y-%m-%d" else None
            if whole is not None:
                return datetime.fromisoformat(text).date().isoformat()
            return datetime.strptime(text, written).date().isoformat()  # noqa: DTZ007 - a day has no zone
        except ValueError:
            continue
    return None


def holds(test: Condition | QualifiedCondition, text: str | None, tables: Tables, transforms: Transforms) -> bool:
    """Whether the condition holds for a raw text, which takes the condition's steps first."""
    value = stepped(text, test.steps, transforms)
    if test.is_blank is not None:
        return value is None
    if test.is_not_blank is not None:
        return value is not None
    if test.not_in is not None:
        return value is None or value not in _texts(test.not_in)
    if value is None:
        return False
    if test.is_in is not None:
        return value in _texts(test.is_in)
    if test.equals is not None:
        return value == as_text(test.equals)
    if test.starts_with is not None:
        return any(value[: len(begin)] == begin for begin in test.starts_with)
    if test.matches is not None:
        return re.fullmatch(test.matches, value) is not None
    assert test.in_table is not None
    return value in {stepped(entry, test.steps, transforms) for entry in tables[test.in_table]}


def _texts(values: Sequence[Scalar]) -> set[str | None]:
    return {as_text(value) for value in values}

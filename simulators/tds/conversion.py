"""CAST, CONVERT, LIKE and the functions on times, computed on stored values as SQL Server computes them. Pure."""

import math
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Final

from simulators.tds.errors import (
    NotSimulatedError,
    SqlServerError,
    cannot_convert,
    cannot_convert_date,
    overflow,
)
from simulators.tds.sqltypes import (
    BINARIES,
    CODE_PAGE,
    DECIMALS,
    INTEGER_BYTES,
    MAX,
    TIMES,
    SqlType,
    Stored,
    parse_moment,
    parse_type,
    stored,
    timestamp_text,
)

_STYLES: Final[dict[int, Callable[[datetime], str]]] = {
    101: lambda moment: moment.strftime("%m/%d/%Y"),
    103: lambda moment: moment.strftime("%d/%m/%Y"),
    104: lambda moment: moment.strftime("%d.%m.%Y"),
    110: lambda moment: moment.strftime("%m-%d-%Y"),
    111: lambda moment: moment.strftime("%Y/%m/%d"),
    112: lambda moment: moment.strftime("%Y%m%d"),
    23: lambda moment: moment.date().isoformat(),
    108: lambda moment: moment.strftime("%H:%M:%S"),
    120: lambda moment: moment.strftime("%Y-%m-%d %H:%M:%S"),
    121: lambda moment: moment.isoformat(" ", "milliseconds"),
    126: lambda moment: moment.isoformat("T", "milliseconds"),
}
_DATE_PARTS: Final = {
    "year": "year", "yy": "year", "yyyy": "year", "quarter": "quarter", "qq": "quarter", "q": "quarter",
    "month": "month", "mm": "month", "m": "month", "day": "day", "dd": "day", "d": "day", "week": "week",
    "wk": "week", "ww": "week", "weekday": "weekday", "dw": "weekday", "dayofyear": "dayofyear", "dy": "dayofyear",
    "hour": "hour", "hh": "hour", "minute": "minute", "mi": "minute", "n": "minute", "second": "second",
    "ss": "second", "s": "second", "millisecond": "millisecond", "ms": "millisecond",
}  # fmt: skip
_STEPS: Final = {
    "week": timedelta(weeks=1), "day": timedelta(days=1), "dayofyear": timedelta(days=1), "weekday": timedelta(days=1),
    "hour": timedelta(hours=1), "minute": timedelta(minutes=1), "second": timedelta(seconds=1),
    "millisecond": timedelta(milliseconds=1),
}  # fmt: skip
_MONTHS: Final = {"year": 12, "quarter": 3, "month": 1}


def convert(value: Stored, *, source: SqlType, target: SqlType, style: int = 0, is_try: bool = False) -> Stored:
    """Convert a stored value to another type, or refuse with the server's error (NULL instead when it is a try)."""
    if value is None:
        return None
    try:
        return _converted(value, source=source, target=target, style=style)
    except NotSimulatedError:
        raise
    except SqlServerError:
        if is_try:
            return None
        raise


def convert_named(value: Stored, source: str, target: str, style: int, is_try: int) -> Stored:
    """`convert`, as SQLite calls it: with the types as text."""
    kinds = parse_type(source), parse_type(target)
    return convert(value, source=kinds[0], target=kinds[1], style=style, is_try=bool(is_try))


def like(pattern: str | None, value: str | None, escape: str | None) -> int | None:
    """Whether a text matches a pattern of `%`, `_` and `[…]`; blanks at its end may be left out."""
    if pattern is None or value is None:
        return None
    compiled = _pattern(pattern, escape)
    return int(compiled.fullmatch(value) is not None or compiled.fullmatch(value.rstrip(" ")) is not None)


def date_part(part: str) -> str:
    """The full name of a part of a date; refused when there is none."""
    found = _DATE_PARTS.get(part.lower())
    if found is None:
        raise SqlServerError(155, f"'{part}' is not a recognized datepart option.", severity=15)
    return found


def date_add(part: str, number: int | None, text: str | None, kind: str) -> str | None:
    """DATEADD."""
    if number is None or text is None:
        return None
    moment = parse_moment(text)
    try:
        if part in _MONTHS:
            moment = _add_months(moment, int(number) * _MONTHS[part])
        else:
            moment += int(number) * _STEPS[part]
    except (OverflowError, ValueError) as error:
        raise SqlServerError(517, f"Adding a value to a '{kind}' column caused an overflow.") from error
    return timestamp_text(moment, parse_type(kind))


def date_diff(part: str, first: str | None, second: str | None) -> int | None:
    """DATEDIFF: how many borders of that part lie between."""
    if first is None or second is None:
        return None
    start, end = parse_moment(first), parse_moment(second)
    if part in _MONTHS:
        months = (end.year * 12 + end.month - 1) // _MONTHS[part] - (start.year * 12 + start.month - 1) // _MONTHS[part]
        return months
    zero = datetime(1899, 12, 31)  # noqa: DTZ001 - SQL Server's times have no zone
    return (end - zero) // _STEPS[part] - (start - zero) // _STEPS[part]


def date_number(part: str, text: str | None) -> int | None:  # noqa: PLR0911 - one way out for each kind
    """DATEPART."""
    if text is None:
        return None
    moment = parse_moment(text)
    match part:
        case "quarter":
            return (moment.month + 2) // 3
        case "week":
            first = moment.replace(month=1, day=1)
            return (moment.timetuple().tm_yday + first.isoweekday() % 7 - 1) // 7 + 1
        case "weekday":
            return moment.isoweekday() % 7 + 1
        case "dayofyear":
            return moment.timetuple().tm_yday
        case "millisecond":
            return moment.microsecond // 1000
        case _:
            return int(getattr(moment, part))


def is_numeric(text: Stored) -> int:
    """ISNUMERIC."""
    if isinstance(text, (int, float)):
        return 1
    try:
        return int(text is not None and math.isfinite(float(str(text).strip(" ").lstrip("$"))))
    except ValueError:
        return 0


def divide(left: float | None, right: float | None) -> float | None:
    """A quotient of numbers; of two whole numbers it is cut towards zero."""
    if left is None or right is None:
        return None
    if right == 0:
        raise SqlServerError(8134, "Divide by zero error encountered.")
    if isinstance(left, int) and isinstance(right, int):
        return abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
    return left / right


def remainder(left: int | None, right: int | None) -> int | None:
    """What a division of whole numbers leaves; it has the sign of the first."""
    if left is None or right is None:
        return None
    if right == 0:
        raise SqlServerError(8134, "Divide by zero error encountered.")
    return abs(left) % abs(right) * (-1 if left < 0 else 1)


def _converted(value: Stored, *, source: SqlType, target: SqlType, style: int) -> Stored:
    if target.is_text:
        return _fitted(_text_of(value, source, style), source=source, target=target)
    try:
        if target.kind in INTEGER_BYTES:
            return stored(_whole_of(value, source, target), target)
        if target.is_number:
            return stored(_number_of(value, source, target), target)
        if target.kind in TIMES:
            return _time_of(value, source, target)
        if target.kind == "uniqueidentifier":
            return stored(value, target)
    except ValueError as error:
        if target.kind in TIMES:
            raise cannot_convert_date() from error
        if target.kind == "uniqueidentifier":
            raise SqlServerError(
                8169, "Conversion failed when converting from a character string to uniqueidentifier."
            ) from error
        raise overflow(target.kind) from error
    if target.kind in BINARIES and isinstance(value, (str, bytes)):
        data = value if isinstance(value, bytes) else _encoded(value, source)
        return stored(data if target.length == MAX else data[: target.length], target)
    raise NotSimulatedError(f"CAST from {source} to {target}")


def _encoded(text: str, source: SqlType) -> bytes:
    return text.encode("utf-16-le") if source.kind.startswith("n") else text.encode(CODE_PAGE, "replace")


def _text_of(value: Stored, source: SqlType, style: int) -> str:  # noqa: PLR0911 - one way out for each kind
    if source.kind in TIMES and isinstance(value, str):
        if style in _STYLES:
            return _STYLES[style](parse_moment(value))
        if style not in {0, 100}:
            raise NotSimulatedError(f"CONVERT with style {style}")
        if source.kind in {"datetime", "smalldatetime"}:
            moment = parse_moment(value)
            hour = f"{(moment.hour + 11) % 12 + 1:>2}"
            return f"{moment:%b} {moment.day:>2} {moment.year} {hour}:{moment:%M%p}"
        return value[: len("hh:mm:ss" if source.kind == "time" else value)] if source.scale == 0 else value
    if source.kind in DECIMALS and isinstance(value, (int, float)):
        scale = 2 if "money" in source.kind else source.scale
        return str(Decimal(repr(value)).quantize(Decimal(1).scaleb(-scale), rounding=ROUND_HALF_UP))
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, bytes):
        return value.decode(CODE_PAGE, "replace")
    return str(value)


def _fitted(text: str, *, source: SqlType, target: SqlType) -> str:
    if not target.kind.startswith("n"):
        text = text.encode(CODE_PAGE, "replace").decode(CODE_PAGE)
    if target.length != MAX and len(text) > target.length:
        if source.is_number:
            # Whole numbers that do not fit become a star, others an error.
            if source.kind in INTEGER_BYTES:
                return "*"
            raise overflow(target.kind)
        text = text[: target.length]
    return text.ljust(target.length) if target.kind in {"char", "nchar"} else text


def _whole_of(value: Stored, source: SqlType, target: SqlType) -> int:
    if isinstance(value, str):
        text = value.strip(" ")
        if target.kind == "bit" and text.lower() in {"true", "false"}:
            return int(text.lower() == "true")
        if re.fullmatch(r"[+-]?[0-9]*", text) is None:
            raise cannot_convert(value=value, source=source.kind, target=target.kind)
        return int(text or "0")
    if isinstance(value, bytes):
        return int.from_bytes(value[-8:], "big", signed=len(value) >= 4)
    return int(value or 0)


def _number_of(value: Stored, source: SqlType, target: SqlType) -> float:
    if isinstance(value, str):
        try:
            return float(value.strip(" "))
        except ValueError as error:
            if target.kind in DECIMALS:
                raise SqlServerError(
                    8114, f"Error converting data type {source.kind} to {target.kind}.", state=5
                ) from error
            raise SqlServerError(8114, f"Error converting data type {source.kind} to float.", state=5) from error
    if isinstance(value, (int, float)):
        return float(value)
    raise NotSimulatedError(f"CAST from {source} to {target}")


def _time_of(value: Stored, source: SqlType, target: SqlType) -> str:
    if isinstance(value, (int, float)):
        base = datetime(1900, 1, 1)  # noqa: DTZ001 - SQL Server's times have no zone
        return timestamp_text(base + timedelta(days=value), target)
    if not isinstance(value, str):
        raise NotSimulatedError(f"CAST from {source} to {target}")
    found = stored(parse_moment(value), target)
    return str(found)


def _add_months(moment: datetime, months: int) -> datetime:
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    for day in (moment.day, 30, 29, 28):
        try:
            return moment.replace(year=year, month=month + 1, day=min(day, moment.day))
        except ValueError:
            if not 1 <= year <= 9999:
                raise
    raise AssertionError("every month has 28 days")


@lru_cache(maxsize=1024)
def _pattern(pattern: str, escape: str | None) -> re.Pattern[str]:
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if escape is not None and char == escape and at < len(pattern):
            parts.append(re.escape(pattern[at]))
            at += 1
        elif char == "%":
            parts.append(".*")
        elif char == "_":
            parts.append(".")
        elif char == "[" and (end := pattern.find("]", at)) > at:
            body = pattern[at:end]
            negation, body = ("^", body[1:]) if body.startswith("^") else ("", body)
            inner = body.replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
            parts.append(f"[{negation}{inner}]")
            at = end + 1
        else:
            parts.append(re.escape(char))
    return re.compile("".join(parts), re.IGNORECASE | re.DOTALL)

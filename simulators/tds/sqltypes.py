"""SQL Server's column types: how they are written, which of two wins in an expression, and how values are stored.

A stored value is what SQLite holds: int, float (also for decimals), text or bytes. Times are text of one fixed form,
`2026-11-22 08:00:00.017000`, so that their order as text is their order in time; `datetime` is rounded to 1/300 s and
shown in whole milliseconds as a real server shows it. `char(n)` is stored padded with blanks. Pure.
"""

import re
import uuid
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache
from typing import Final

Stored = int | float | str | bytes | None

MAX: Final = -1
"""The length of varchar(max), nvarchar(max) and varbinary(max)."""
CODE_PAGE: Final = "cp1252"
SIGNIFICANT_DIGITS_MAX: Final = 15
"""A decimal is kept as a float; up to this many digits it comes back exactly."""

INTEGER_BYTES: Final = {"bit": 1, "tinyint": 1, "smallint": 2, "int": 4, "bigint": 8}
DECIMALS: Final = frozenset({"decimal", "numeric", "money", "smallmoney"})
FLOATS: Final = frozenset({"float", "real"})
TEXTS: Final = frozenset({"char", "varchar", "nchar", "nvarchar"})
TIMES: Final = frozenset({"date", "time", "datetime", "smalldatetime", "datetime2"})
BINARIES: Final = frozenset({"binary", "varbinary"})
_PRECEDENCE: Final = (
    "datetime2", "datetime", "smalldatetime", "date", "time", "float", "real", "decimal", "numeric", "money",
    "smallmoney", "bigint", "int", "smallint", "tinyint", "bit", "uniqueidentifier", "nvarchar", "nchar", "varchar",
    "char", "varbinary", "binary",
)  # fmt: skip
_INTEGER_DIGITS: Final = {"bit": 1, "tinyint": 3, "smallint": 5, "int": 10, "bigint": 19}
_LENGTH_MAX: Final = {
    "char": 8000, "varchar": 8000, "nchar": 4000, "nvarchar": 4000, "binary": 8000, "varbinary": 8000,
}  # fmt: skip
_DECLARED: Final = re.compile(r"\s*([A-Za-z0-9_]+)\s*(?:\(\s*([0-9]+|max)\s*(?:,\s*([0-9]+)\s*)?\))?\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlType:
    """One type with its arguments."""

    kind: str
    length: int = 0
    """Characters of text, bytes of binary, `MAX` for max; 0 for the other kinds."""
    precision: int = 0
    """Digits of a decimal; of an int only where it is written out in a statement."""
    scale: int = 0
    """Digits after the point: of a decimal, or of the seconds of time and datetime2."""

    def __str__(self) -> str:
        if self.kind in _LENGTH_MAX:
            return f"{self.kind}({'max' if self.length == MAX else self.length})"
        if self.kind in {"decimal", "numeric"}:
            return f"{self.kind}({self.precision},{self.scale})"
        return f"{self.kind}({self.scale})" if self.kind in {"datetime2", "time"} else self.kind

    @property
    def is_text(self) -> bool:
        """Character data of any kind."""
        return self.kind in TEXTS

    @property
    def is_number(self) -> bool:
        """A number of any kind, bit included."""
        return self.kind in INTEGER_BYTES or self.kind in DECIMALS or self.kind in FLOATS

    @property
    def family(self) -> str:
        """Types of one family are compared without conversion as they are stored."""
        if self.is_number:
            return "number"
        if self.kind in {"datetime", "smalldatetime", "datetime2"}:
            return "datetime"
        if self.is_text or self.kind == "uniqueidentifier":
            return "text"
        return "binary" if self.kind in BINARIES else self.kind


INT: Final = SqlType(kind="int")
BIGINT: Final = SqlType(kind="bigint")
BIT: Final = SqlType(kind="bit")
FLOAT: Final = SqlType(kind="float")
DATETIME: Final = SqlType(kind="datetime")
DATE: Final = SqlType(kind="date")
NAME: Final = SqlType(kind="nvarchar", length=128)


def text_type(kind: str, length: int) -> SqlType:
    """A text or binary type that holds `length`, max when no limited one does."""
    return SqlType(kind=kind, length=max(1, length) if 0 <= length <= _LENGTH_MAX[kind] else MAX)


def decimal_type(precision: int, scale: int) -> SqlType:
    """A decimal, cut to 38 digits as the server cuts it: the whole part wins."""
    if precision > 38:
        scale = max(min(scale, 6), scale - (precision - 38))
        precision = 38
    return SqlType(kind="decimal", precision=precision, scale=scale)


@lru_cache(maxsize=4096)
def parse_type(text: str, *, default_length: int = 1) -> SqlType:
    """Read a type as it is declared, such as `char(12)`; `ValueError` names what is wrong."""
    match = _DECLARED.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a column type such as char(12), decimal(10,2) or datetime")
    first = match[2].lower() if match[2] else None
    return make_type(match[1], first, match[3], default_length=default_length)


def make_type(name: str, first: str | None, second: str | None, *, default_length: int = 1) -> SqlType:  # noqa: PLR0911 - one way out for each kind
    """Build a type from its name and arguments; `ValueError` names what is wrong."""
    kind = {"integer": "int", "dec": "decimal", "character": "char", "sysname": "sysname"}.get(
        name.lower(), name.lower()
    )
    if kind == "sysname" and first is None:
        return NAME
    if kind in _LENGTH_MAX:
        if first == "max" and kind in {"varchar", "nvarchar", "varbinary"} and second is None:
            return SqlType(kind=kind, length=MAX)
        length = default_length if first is None else int(first) if first != "max" else 0
        if not 1 <= length <= _LENGTH_MAX[kind] or second is not None:
            raise ValueError(f"{kind}({first}): the length is 1 to {_LENGTH_MAX[kind]}")
        return SqlType(kind=kind, length=length)
    numbers = [int(each) for each in (first, second) if each is not None and each != "max"]
    if kind in {"decimal", "numeric"} and first != "max":
        precision, scale = [*numbers, 0][:2] if numbers else (18, 0)
        if not 1 <= precision <= 38 or scale > precision:
            raise ValueError(f"{kind}({precision},{scale}): 1 to 38 digits, of which the scale is a part")
        return SqlType(kind=kind, precision=precision, scale=scale)
    if kind in {"datetime2", "time"} and second is None and first != "max":
        scale = numbers[0] if numbers else 7
        if scale > 7:
            raise ValueError(f"{kind}({scale}): the scale is 0 to 7")
        return SqlType(kind=kind, scale=scale)
    if kind == "float" and len(numbers) == 1 and second is None:
        return SqlType(kind="real") if numbers[0] <= 24 else FLOAT
    if kind not in _PRECEDENCE or first is not None:
        raise ValueError(f"{name}{'' if first is None else '(…)'}: no type that is simulated")
    return (
        SqlType(kind=kind, precision=19 if kind == "money" else 10, scale=4) if "money" in kind else SqlType(kind=kind)
    )


def as_decimal(kind: SqlType) -> SqlType:
    """The decimal that an exact number counts as in arithmetic."""
    if kind.kind in INTEGER_BYTES:
        return SqlType(kind="decimal", precision=kind.precision or _INTEGER_DIGITS[kind.kind])
    return kind


def unified(left: SqlType, right: SqlType) -> SqlType:
    """The type that both are converted to where they meet."""
    if left == right:
        return left
    high, low = sorted((left, right), key=lambda each: _PRECEDENCE.index(each.kind))
    if high.kind in _LENGTH_MAX and low.kind in _LENGTH_MAX:
        length = MAX if MAX in {high.length, low.length} else max(high.length, low.length)
        # Text of two lengths is no longer padded to one.
        kind = high.kind if high.kind.startswith(("n", "var")) and high.kind != "nchar" else f"{high.kind}"
        if high.length != low.length or high.kind != low.kind:
            kind = {"nchar": "nvarchar", "char": "varchar", "binary": "varbinary"}.get(high.kind, high.kind)
        return text_type(kind, length)
    if high.kind in {"decimal", "numeric"} and low.is_number:
        other = as_decimal(low)
        scale = max(high.scale, other.scale)
        return decimal_type(max(high.precision - high.scale, other.precision - other.scale) + scale, scale)
    return high


def stored(value: object, kind: SqlType) -> Stored:  # noqa: PLR0911 - one way out for each kind
    """Turn a value of a seed or of a parameter into its stored form; `ValueError` says which rule it breaks."""
    if value is None:
        return None
    match kind.kind:
        case "bit" | "tinyint" | "smallint" | "int" | "bigint":
            return _whole(value, kind)
        case "decimal" | "numeric" | "money" | "smallmoney":
            return _decimal(value, kind)
        case "float" | "real":
            if isinstance(value, (int, float, Decimal)):
                return float(value)
        case "char" | "varchar" | "nchar" | "nvarchar":
            return _text(value, kind)
        case "date" | "time" | "datetime" | "smalldatetime" | "datetime2":
            return _time(value, kind)
        case "uniqueidentifier":
            return str(uuid.UUID(str(value))).upper()
        case _:
            return _binary(value, kind)
    raise ValueError(f"{value!r} is not of type {kind}")


def timestamp_text(moment: datetime, kind: SqlType) -> str:
    """Write a moment as a value of this type: rounded as the type rounds."""
    moment = moment.replace(tzinfo=None)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    microseconds = (moment - day) // timedelta(microseconds=1)
    match kind.kind:
        case "date":
            return moment.date().isoformat()
        case "datetime":
            microseconds = (datetime_ticks(microseconds) * 10 + 1) // 3 * 1000
        case "smalldatetime":
            microseconds = (microseconds + 30_000_000) // 60_000_000 * 60_000_000
        case _:
            step = 10 ** max(0, 6 - kind.scale)
            microseconds = (microseconds + step // 2) // step * step
    rounded = day + timedelta(microseconds=microseconds)
    return rounded.time().isoformat("microseconds") if kind.kind == "time" else rounded.isoformat(" ", "microseconds")


def datetime_ticks(microseconds: int) -> int:
    """Round a time of day to the 1/300 of a second that datetime counts in."""
    return (microseconds * 300 + 500_000) // 1_000_000


def parse_moment(text: str) -> datetime:
    """Read a date, a time of day or both, as ISO writes them or as 20261122 or 11/22/2026; `ValueError` if neither."""
    text = text.strip()
    if text == "":
        return datetime(1900, 1, 1)  # noqa: DTZ001 - SQL Server's times have no zone
    day, _, clock = text.replace("T", " ").partition(" ")
    if ":" in day and not clock:
        return datetime.combine(date(1900, 1, 1), _clock(day))
    if day.count("/") == 2:
        month, number, year = (int(each) for each in day.split("/"))
        parsed = date(year, month, number)
    else:
        parsed = date.fromisoformat(day)
    return datetime.combine(parsed, _clock(clock) if clock.strip() else time())


def _clock(text: str) -> time:
    whole, point, fraction = text.strip().partition(".")
    # Seven digits are usual here, six are what Python keeps.
    return time.fromisoformat(f"{whole}.{fraction[:6].ljust(6, '0')}" if point else whole)


def _whole(value: object, kind: SqlType) -> int:
    if not isinstance(value, (bool, int)):
        raise ValueError(f"{value!r} is not a whole number, as {kind} needs")
    bits = 8 * INTEGER_BYTES[kind.kind]
    least, most = (0, 2**bits - 1) if kind.kind == "tinyint" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if kind.kind == "bit":
        return int(value != 0)
    if not least <= value <= most:
        raise ValueError(f"{value} does not fit {kind}: {least} to {most}")
    return int(value)


@lru_cache(maxsize=65_536, typed=True)
def _decimal(value: object, kind: SqlType) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        raise ValueError(f"{value!r} is not a number, as {kind} needs")
    try:
        exact = Decimal(str(value)).quantize(Decimal(1).scaleb(-kind.scale), rounding=ROUND_HALF_UP)
    except InvalidOperation as error:
        raise ValueError(f"{value!r} is not a number that fits {kind}") from error
    digits = len(str(abs(int(exact.scaleb(kind.scale)))))
    if digits > kind.precision or digits > SIGNIFICANT_DIGITS_MAX:
        raise ValueError(f"{value!r} has {digits} digits; {kind} allows {min(kind.precision, SIGNIFICANT_DIGITS_MAX)}")
    return float(exact)


def _text(value: object, kind: SqlType) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text, as {kind} needs")
    if kind.length != MAX and len(value) > kind.length:
        if value[kind.length :].strip(" "):
            raise ValueError(f"text of {len(value)} characters in {kind}")
        value = value[: kind.length]  # blanks beyond the end are dropped without a word
    if not kind.kind.startswith("n") and not value.isascii():
        try:
            value.encode(CODE_PAGE)
        except UnicodeEncodeError as error:
            raise ValueError(f"{value[error.start]!r} is not in code page 1252; declare the column nvarchar") from error
    return value.ljust(kind.length) if kind.kind in {"char", "nchar"} else value


@lru_cache(maxsize=65_536, typed=True)
def _time(value: object, kind: SqlType) -> str:
    if isinstance(value, str):
        value = parse_moment(value)
    elif isinstance(value, time):
        value = datetime.combine(date(1900, 1, 1), value)
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        raise ValueError(f"{value!r} is not a time, as {kind} needs")
    if kind.kind == "datetime" and value.year < 1753:
        raise ValueError(f"{value} is before the year 1753, where datetime begins")
    return timestamp_text(value, kind)


def _binary(value: object, kind: SqlType) -> bytes:
    if isinstance(value, str) and value[:2].lower() == "0x":
        value = bytes.fromhex(value[2:])
    if not isinstance(value, bytes) or (kind.length != MAX and len(value) > kind.length):
        raise ValueError(f"{value!r} is not bytes that fit {kind}, such as 0x0A")
    return value.ljust(kind.length, b"\0") if kind.kind == "binary" else value

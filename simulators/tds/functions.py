"""T-SQL's functions in SQLite: how each is written there and which type its value has; and those that Python computes.

Functions of the session (DB_NAME, GETDATE …) are not here: the session answers them before the query runs.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from simulators.tds import conversion
from simulators.tds.collation import compare
from simulators.tds.errors import NotSimulatedError, SqlServerError
from simulators.tds.parts import Binds, Part, cast, collated, common_type, typed
from simulators.tds.sqltypes import (
    BIGINT,
    DECIMALS,
    FLOAT,
    INT,
    INTEGER_BYTES,
    MAX,
    SqlType,
    Stored,
    decimal_type,
    text_type,
)

Write = Callable[[list[Part], Binds], Part]
VARIADIC_MAX: Final = 254
_ELSEWHERE: Final = frozenset({
    "BINARY_CHECKSUM", "CHECKSUM", "CHECKSUM_AGG", "CHOOSE", "CONTAINS", "DATENAME", "EOMONTH", "EXP",
    "FORMAT", "GROUPING", "HASHBYTES", "JSON_VALUE", "LAG", "LEAD", "LOG", "NEWID", "NTILE", "PATINDEX", "POWER",
    "RAND",
    "REPLICATE", "SPACE", "SQRT", "STDEV", "STR", "STRING_AGG", "STRING_SPLIT", "VAR",
})  # fmt: skip
"""Functions that a real server has and this one has not."""


@dataclass(frozen=True, slots=True)
class Function:
    """One function: how many arguments it takes, and how it is written."""

    least: int
    most: int
    write: Write


def written(name: str, arguments: list[Part], binds: Binds) -> Part:
    """Write a call; refused as the server does when the function or the number of arguments is wrong."""
    function = FUNCTIONS.get(name)
    if name in _ELSEWHERE:
        raise NotSimulatedError(f"{name}()")
    if function is None:
        raise SqlServerError(195, f"'{name.lower()}' is not a recognized built-in function name.", severity=15)
    if not function.least <= len(arguments) <= function.most:
        raise SqlServerError(174, f"The {name.lower()} function requires {function.least} argument(s).", severity=15)
    return function.write(arguments, binds)


def aggregate(name: str, argument: Part, *, is_distinct: bool) -> Part:
    """Write an aggregate over one argument."""
    kind = typed(argument)
    inside = f"DISTINCT {collated(argument)}" if is_distinct else collated(argument)
    match name:
        case "COUNT" | "COUNT_BIG":
            return Part(sql=f"COUNT({inside})", kind=INT if name == "COUNT" else BIGINT, is_nullable=False)
        case "MIN" | "MAX":
            return Part(sql=f"{name}({inside})", kind=kind)
    if not kind.is_number or kind.kind == "bit":
        message = f"Operand data type {kind.kind} is invalid for {name.lower()} operator."
        raise SqlServerError(8117, message)
    if name == "AVG" and kind.kind in INTEGER_BYTES:
        return Part(sql=f"CAST(AVG({inside}) AS INTEGER)", kind=BIGINT if kind.kind == "bigint" else INT)
    if kind.kind in INTEGER_BYTES:
        return Part(sql=f"SUM({inside})", kind=BIGINT if kind.kind == "bigint" else INT)
    if kind.kind in DECIMALS:
        scale = kind.scale if name == "SUM" else max(6, kind.scale)
        return Part(sql=f"ROUND({name}({inside}), {scale})", kind=decimal_type(38, scale))
    return Part(sql=f"{name}({inside})", kind=FLOAT)


AGGREGATES: Final = frozenset({"COUNT", "COUNT_BIG", "SUM", "AVG", "MIN", "MAX"})
RANKINGS: Final = frozenset({"ROW_NUMBER", "RANK", "DENSE_RANK"})


class Failure:
    """The error that a function raised while SQLite ran, which SQLite itself forgets."""

    def __init__(self) -> None:
        self.error: SqlServerError | None = None

    def guard(self, function: Callable[..., Stored]) -> Callable[..., Stored]:
        """Remember what a function raises."""

        def guarded(*arguments: Stored) -> Stored:
            try:
                return function(*arguments)
            except SqlServerError as error:
                self.error = error
                raise
            except (ValueError, TypeError, OverflowError) as error:
                self.error = SqlServerError(8115, f"The function cannot be computed: {type(error).__name__}.")
                raise

        return guarded


def install(connection: sqlite3.Connection) -> Failure:
    """Give a connection the functions that Python computes."""
    failure = Failure()
    for name, (count, function) in _COMPUTED.items():
        connection.create_function(name, count, failure.guard(function), deterministic=True)
    return failure


def _substring(text: str | None, start: int | None, length: int | None) -> str | None:
    if text is None or start is None or length is None:
        return None
    if length < 0:
        raise SqlServerError(537, "Invalid length parameter passed to the LEFT or SUBSTRING function.", state=3)
    return text[max(0, start - 1) : max(0, start - 1 + length)]


def _right(text: str | None, length: int | None) -> str | None:
    return None if text is None or length is None else text[len(text) - min(length, len(text)) :]


def _find(wanted: str | None, text: str | None, start: int) -> int | None:
    if wanted is None or text is None:
        return None
    return text.lower().find(wanted.lower(), max(0, start - 1)) + 1 if wanted else 0


def _replace(text: str | None, old: str | None, new: str | None) -> str | None:
    if text is None or old is None or new is None:
        return None
    if not old:
        return text
    parts, rest, folded = [], text, old.lower()
    while (at := rest.lower().find(folded)) >= 0:
        parts.append(rest[:at])
        rest = rest[at + len(old) :]
    return new.join([*parts, rest])


def _stuff(text: str | None, start: int, length: int, new: str | None) -> str | None:
    if text is None or not 1 <= start <= len(text) or length < 0:
        return None
    return text[: start - 1] + (new or "") + text[start - 1 + length :]


def _round(value: float | None, digits: int | None) -> float | None:
    if value is None or digits is None:
        return None
    rounded = Decimal(repr(value)).quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)
    return int(rounded) if isinstance(value, int) else float(rounded)


def _upper(text: str | None) -> str | None:
    return None if text is None else text.upper()


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


def _reverse(text: str | None) -> str | None:
    return None if text is None else text[::-1]


_COMPUTED: Final[dict[str, tuple[int, Callable[..., Stored]]]] = {
    "tds_cast": (5, conversion.convert_named),
    "tds_like": (3, conversion.like),
    "tds_div": (2, conversion.divide),
    "tds_mod": (2, conversion.remainder),
    "tds_dateadd": (4, conversion.date_add),
    "tds_datediff": (3, conversion.date_diff),
    "tds_datepart": (2, conversion.date_number),
    "tds_isnumeric": (1, conversion.is_numeric),
    "tds_substring": (3, _substring),
    "tds_right": (2, _right),
    "tds_find": (3, _find),
    "tds_replace": (3, _replace),
    "tds_stuff": (4, _stuff),
    "tds_round": (2, _round),
    "tds_upper": (1, _upper),
    "tds_lower": (1, _lower),
    "tds_reverse": (1, _reverse),
}


def _text(part: Part, binds: Binds) -> Part:
    """An argument that must be text."""
    if part.kind is not None and part.kind.is_text:
        return part
    return cast(part, text_type("varchar", 1 if part.kind is None else 40), binds)


def _varying(part: Part) -> SqlType:
    kind = typed(part)
    return SqlType(kind="nvarchar" if kind.kind.startswith("n") else "varchar", length=kind.length)


def _on_text(template: str, *, length_of: int | None = 0) -> Write:
    """A function whose first argument is text and whose value is text as long as argument `length_of`."""

    def write(arguments: list[Part], binds: Binds) -> Part:
        texts = [_text(arguments[0], binds), *arguments[1:]]
        kind = _varying(texts[0])
        if length_of is None:
            kind = text_type(kind.kind, 8000 if kind.kind == "varchar" else 4000)
        return Part(sql=template.format(*(each.sql for each in texts)), kind=kind)

    return write


def _number(template: str, kind: SqlType = INT) -> Write:
    def write(arguments: list[Part], binds: Binds) -> Part:
        return Part(sql=template.format(*(each.sql for each in arguments)), kind=kind)

    return write


def _len(arguments: list[Part], binds: Binds) -> Part:
    text = _text(arguments[0], binds)
    return Part(sql=f"LENGTH(RTRIM({text.sql}, ' '))", kind=BIGINT if text.kind and text.kind.length == MAX else INT)


def _datalength(arguments: list[Part], binds: Binds) -> Part:
    kind = typed(arguments[0])
    factor = 2 if kind.kind in {"nchar", "nvarchar"} else 1
    if kind.kind in INTEGER_BYTES:
        sql = f"CASE WHEN {arguments[0].sql} IS NOT NULL THEN {INTEGER_BYTES[kind.kind]} END"
    else:
        sql = f"LENGTH({arguments[0].sql}) * {factor}"
    return Part(sql=sql, kind=INT)


def _charindex(arguments: list[Part], binds: Binds) -> Part:
    start = arguments[2].sql if len(arguments) == 3 else "1"
    return Part(sql=f"tds_find({_text(arguments[0], binds).sql}, {_text(arguments[1], binds).sql}, {start})", kind=INT)


def _isnull(arguments: list[Part], binds: Binds) -> Part:
    kind = arguments[0].kind or typed(arguments[1])
    other = cast(arguments[1], kind, binds)
    return Part(sql=f"COALESCE({arguments[0].sql}, {other.sql})", kind=kind, is_nullable=other.is_nullable)


def _coalesce(arguments: list[Part], binds: Binds) -> Part:
    kind = common_type(arguments)
    parts = [each if each.kind == kind else cast(each, kind, binds) for each in arguments]
    return Part(sql=f"COALESCE({', '.join(each.sql for each in parts)})", kind=kind)


def _concat(arguments: list[Part], binds: Binds) -> Part:
    texts = [_text(each, binds) for each in arguments]
    kind = "nvarchar" if any(typed(each).kind.startswith("n") for each in texts) else "varchar"
    length = MAX if any(typed(each).length == MAX for each in texts) else sum(typed(each).length for each in texts)
    limit = 4000 if kind == "nvarchar" else 8000
    sql = " || ".join(f"COALESCE({each.sql}, '')" for each in texts)
    result = SqlType(kind=kind, length=MAX) if length == MAX else text_type(kind, min(length, limit))
    return Part(sql=f"({sql})", kind=result, is_nullable=False)


def _same(template: str) -> Write:
    """A function of a number whose value has the type of the argument."""

    def write(arguments: list[Part], binds: Binds) -> Part:
        return Part(sql=template.format(*(each.sql for each in arguments)), kind=typed(arguments[0]))

    return write


def _whole(template: str) -> Write:
    def write(arguments: list[Part], binds: Binds) -> Part:
        kind = typed(arguments[0])
        kind = SqlType(kind="decimal", precision=kind.precision) if kind.kind in {"decimal", "numeric"} else kind
        return Part(sql=template.format(arguments[0].sql), kind=kind)

    return write


def _nullif(arguments: list[Part], binds: Binds) -> Part:
    left, right = arguments
    kind = common_type([left, right])
    one, other = (cast(each, kind, binds) if typed(each).family != kind.family else each for each in (left, right))
    return Part(sql=f"CASE WHEN {collated(one)} = {other.sql} THEN NULL ELSE {left.sql} END", kind=typed(left))


def same_text(left: str, right: str) -> bool:
    """Whether two texts are equal on the server."""
    return compare(left, right) == 0


FUNCTIONS: Final[dict[str, Function]] = {
    "LEN": Function(1, 1, _len),
    "DATALENGTH": Function(1, 1, _datalength),
    "LTRIM": Function(1, 1, _on_text("LTRIM({0}, ' ')")),
    "RTRIM": Function(1, 1, _on_text("RTRIM({0}, ' ')")),
    "TRIM": Function(1, 1, _on_text("TRIM({0}, ' ')")),
    "UPPER": Function(1, 1, _on_text("tds_upper({0})")),
    "LOWER": Function(1, 1, _on_text("tds_lower({0})")),
    "REVERSE": Function(1, 1, _on_text("tds_reverse({0})")),
    "SUBSTRING": Function(3, 3, _on_text("tds_substring({0}, {1}, {2})")),
    "LEFT": Function(2, 2, _on_text("tds_substring({0}, 1, {1})")),
    "RIGHT": Function(2, 2, _on_text("tds_right({0}, {1})")),
    "REPLACE": Function(3, 3, _on_text("tds_replace({0}, {1}, {2})", length_of=None)),
    "STUFF": Function(4, 4, _on_text("tds_stuff({0}, {1}, {2}, {3})", length_of=None)),
    "CHARINDEX": Function(2, 3, _charindex),
    "CONCAT": Function(2, VARIADIC_MAX, _concat),
    "ISNULL": Function(2, 2, _isnull),
    "COALESCE": Function(2, VARIADIC_MAX, _coalesce),
    "NULLIF": Function(2, 2, _nullif),
    "ISNUMERIC": Function(1, 1, _number("tds_isnumeric({0})")),
    "YEAR": Function(1, 1, _number("tds_datepart('year', {0})")),
    "MONTH": Function(1, 1, _number("tds_datepart('month', {0})")),
    "DAY": Function(1, 1, _number("tds_datepart('day', {0})")),
    "ABS": Function(1, 1, _same("ABS({0})")),
    "ROUND": Function(2, 2, _same("tds_round({0}, {1})")),
    "CEILING": Function(1, 1, _whole("CEIL({0})")),
    "FLOOR": Function(1, 1, _whole("FLOOR({0})")),
}

"""Turns what a database driver returns into columns of the declared types.

Text loses the blanks that `char(n)` pads on the right and nothing else; blank text stays "" (what blank means is the
contract's to say). Dates become `2026-01-31`, times `2026-01-31T08:00:00.000000` (with `+00:00` when the database
knows the zone) so that text order is time order; numbers with a fraction become text without trailing zeros, so that
one number has one text. Text where a date or decimal is declared goes on as found: the contract refuses the record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl

from shared.errors import StopRun
from shared.ports.system import Column

_INT64_MAX = 2**63 - 1
_MOMENT = "%Y-%m-%dT%H:%M:%S%.6f"
_BOOLEAN_TEXT = {"0": False, "1": True, "false": False, "true": True, "f": False, "t": True, "n": False, "y": True}


def dtype_of(column: Column) -> pl.DataType:
    """The polars type in which a column of that kind is delivered."""
    match column.kind:
        case "integer":
            return pl.Int64()
        case "boolean":
            return pl.Boolean()
        case _:
            return pl.String()


def frame_of(rows: Sequence[Sequence[object]], columns: Sequence[Column], *, entity: str) -> pl.DataFrame:
    """A frame with exactly the declared columns. `StopRun` (SRC_WRONG_SHAPE) names column and type, never the value."""
    values_by_column = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    series = [_series(column, values, entity=entity) for column, values in zip(columns, values_by_column, strict=True)]
    return pl.DataFrame(series)


def with_joined(frame: pl.DataFrame, joined: Mapping[str, Sequence[str]], *, order: Sequence[str]) -> pl.DataFrame:
    """The frame with columns put together from others by "/", null where one of them is, in the given order."""
    if not joined:
        return frame
    made = [
        pl.concat_str([pl.col(part).cast(pl.String) for part in parts], separator="/").alias(name)
        for name, parts in joined.items()
    ]
    return frame.with_columns(made).select(order)


def _series(column: Column, values: Sequence[object], *, entity: str) -> pl.Series:
    quick = _quick(column, values)
    return _one_by_one(column, values, entity=entity) if quick is None else quick


def _quick(column: Column, values: Sequence[object]) -> pl.Series | None:
    """The column converted as a column; None where a value is not of the type that drivers give for its kind."""
    quick = _QUICK.get(column.kind)
    try:
        return None if quick is None else quick(column.name, values)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        return None


def _texts(name: str, values: Sequence[object]) -> pl.Series:
    return pl.Series(name, values, dtype=pl.String, strict=True).str.strip_chars_end(" ")


def _integers(name: str, values: Sequence[object]) -> pl.Series | None:
    return pl.Series(name, values, dtype=pl.Int64, strict=True) if _all_are(int, values) else None


def _booleans(name: str, values: Sequence[object]) -> pl.Series | None:
    if _all_are(bool, values):
        return pl.Series(name, values, dtype=pl.Boolean, strict=True)
    numbers = _integers(name, values)
    return numbers.cast(pl.Boolean) if numbers is not None and numbers.drop_nulls().is_between(0, 1).all() else None


def _dates(name: str, values: Sequence[object]) -> pl.Series | None:
    if _all_are(date, values):
        return pl.Series(name, values, dtype=pl.Date, strict=True).dt.strftime("%Y-%m-%d")
    text = pl.Series(name, values, dtype=pl.String, strict=True)
    # Only what is in the wanted form already: everything else is for the slow way to read or to leave as found.
    is_plain = (
        text.str.contains(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$") & text.str.to_date("%Y-%m-%d", strict=False).is_not_null()
    )
    return text if bool(is_plain.all()) else None


def _datetimes(name: str, values: Sequence[object]) -> pl.Series | None:
    if _all_are(datetime, values):
        if any(getattr(value, "tzinfo", None) is not None for value in values):
            return None
        return pl.Series(name, values, dtype=pl.Datetime("us"), strict=True).dt.strftime(_MOMENT)
    text = pl.Series(name, values, dtype=pl.String, strict=True)
    if not text.str.contains(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}$").all():
        return None
    text = text.str.replace(" ", "T", literal=True)
    is_moment = text.str.to_datetime(_MOMENT, strict=False, time_unit="us").is_not_null()
    return text if bool((is_moment | text.is_null()).all()) else None


def _all_are(kind: type, values: Sequence[object]) -> bool:
    """Whether every value is null or of exactly this type: a datetime is a date and a bool an int to Python."""
    return {type(value) for value in values} <= {kind, type(None)}


def _one_by_one(column: Column, values: Sequence[object], *, entity: str) -> pl.Series:
    convert = _CONVERTERS[column.kind]
    converted: list[object] = []
    # A type is part of what a value is remembered by: 1, 1.0 and True are equal to Python and not to us.
    remembered: dict[tuple[type, object], object] = {}
    for value in values:
        try:
            if value is None:
                converted.append(None)
                continue
            same = (type(value), value)
            if same not in remembered:
                remembered[same] = convert(value)
            converted.append(remembered[same])
        except (ValueError, TypeError, ArithmeticError):
            raise StopRun(
                "SRC_WRONG_SHAPE",
                f"entity {entity}, column {column.name}: holds a {type(value).__name__} that is no {column.kind}; "
                "correct the column's type in the view or table",
                entity=entity,
                column=column.name,
            ) from None
    return pl.Series(column.name, converted, dtype=dtype_of(column))


def _text(value: object) -> str:
    if isinstance(value, str):
        return value.rstrip(" ")
    if isinstance(value, bool | float | bytes):
        raise TypeError
    if isinstance(value, Decimal):
        return _decimal(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        return _datetime(value)
    if isinstance(value, date):
        return value.isoformat()
    return str(value)  # uuid and the like have one form


def _integer(value: object) -> int:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        number = value
    elif isinstance(value, float | Decimal) and value == int(value):
        number = int(value)
    elif isinstance(value, str):
        number = int(value.strip())
    else:
        raise TypeError
    if not -_INT64_MAX <= number <= _INT64_MAX:
        raise ValueError
    return number


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | Decimal) and value in (0, 1):
        return bool(value)
    if isinstance(value, str) and (known := _BOOLEAN_TEXT.get(value.strip().lower())) is not None:
        return known
    raise ValueError


def _decimal(value: object) -> str:
    if isinstance(value, bool | bytes):
        raise TypeError
    if isinstance(value, str):
        return value.rstrip(" ")
    number = Decimal(str(value))
    if not number.is_finite():
        raise ValueError
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _date(value: object) -> str:
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if not isinstance(value, str):
        raise TypeError
    text = value.rstrip(" ")
    try:
        return datetime.fromisoformat(text).date().isoformat()
    except ValueError:
        return text


def _datetime(value: object) -> str:
    if isinstance(value, datetime):
        return (value if value.tzinfo is None else value.astimezone(UTC)).isoformat(timespec="microseconds")
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day).isoformat(timespec="microseconds")  # noqa: DTZ001 - naive as read
    if not isinstance(value, str):
        raise TypeError
    text = value.rstrip(" ")
    try:
        return _datetime(datetime.fromisoformat(text))
    except ValueError:
        return text


_QUICK: dict[str, Callable[[str, Sequence[object]], pl.Series | None]] = {
    "text": _texts,
    "integer": _integers,
    "boolean": _booleans,
    "date": _dates,
    "datetime": _datetimes,
}
_CONVERTERS: dict[str, Callable[[object], object]] = {
    "text": _text,
    "integer": _integer,
    "boolean": _boolean,
    "decimal": _decimal,
    "date": _date,
    "datetime": _datetime,
}

"""Column types and values as TDS 7.4 writes them: TYPE_INFO, row values, and the parameters of a remote call. Pure."""

import struct
import uuid
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache, partial
from typing import Final

from simulators.tds.collation import COLLATION_BYTES
from simulators.tds.errors import NotSimulatedError, SqlServerError, overflow
from simulators.tds.sqltypes import (
    CODE_PAGE,
    FLOAT,
    INTEGER_BYTES,
    MAX,
    SqlType,
    Stored,
    datetime_ticks,
    decimal_type,
    stored,
    text_type,
)

Encode = Callable[[Stored], bytes]

GUID, INTN, BITN, DECIMALN, NUMERICN, FLTN, MONEYN, DATETIMN = 0x24, 0x26, 0x68, 0x6A, 0x6C, 0x6D, 0x6E, 0x6F
DATEN, TIMEN, DATETIME2N, DATETIMEOFFSETN = 0x28, 0x29, 0x2A, 0x2B
BIGVARBIN, BIGVARCHAR, BIGBINARY, BIGCHAR, NVARCHAR, NCHAR = 0xA5, 0xA7, 0xAD, 0xAF, 0xE7, 0xEF
VALUE_BYTES_MAX: Final = 16 * 1024 * 1024
_FIXED: Final = {0x30: (INTN, 1), 0x32: (BITN, 1), 0x34: (INTN, 2), 0x38: (INTN, 4), 0x7F: (INTN, 8), 0x3B: (FLTN, 4),
                 0x3E: (FLTN, 8), 0x3D: (DATETIMN, 8), 0x3A: (DATETIMN, 4)}  # fmt: skip
_LENGTHY: Final = {
    "varbinary": BIGVARBIN, "varchar": BIGVARCHAR, "binary": BIGBINARY, "char": BIGCHAR, "nvarchar": NVARCHAR,
    "nchar": NCHAR,
}  # fmt: skip
_KIND_OF: Final = {number: kind for kind, number in _LENGTHY.items()}
_EPOCH: Final = date(1900, 1, 1).toordinal()
_PLP_NULL: Final = b"\xff" * 8
_PLP_CHUNK_BYTES: Final = 8_000
_INT_KINDS: Final = {1: "tinyint", 2: "smallint", 4: "int", 8: "bigint"}


def type_info(kind: SqlType) -> bytes:  # noqa: PLR0911 - one way out for each kind
    """How a column's type is declared."""
    name = kind.kind
    if name == "bit":
        return bytes((BITN, 1))
    if name in INTEGER_BYTES:
        return bytes((INTN, INTEGER_BYTES[name]))
    if name in {"decimal", "numeric"}:
        return bytes(
            (DECIMALN if name == "decimal" else NUMERICN, _decimal_bytes(kind) + 1, kind.precision, kind.scale)
        )
    match name:
        case "float" | "real":
            return bytes((FLTN, 8 if name == "float" else 4))
        case "money" | "smallmoney":
            return bytes((MONEYN, 8 if name == "money" else 4))
        case "datetime" | "smalldatetime":
            return bytes((DATETIMN, 8 if name == "datetime" else 4))
        case "date":
            return bytes((DATEN,))
        case "time":
            return bytes((TIMEN, kind.scale))
        case "datetime2":
            return bytes((DATETIME2N, kind.scale))
        case "uniqueidentifier":
            return bytes((GUID, 16))
    size = 0xFFFF if kind.length == MAX else kind.length * (2 if name in {"nchar", "nvarchar"} else 1)
    return struct.pack("<BH", _LENGTHY[name], size) + (COLLATION_BYTES if kind.is_text else b"")


def encoder(kind: SqlType) -> Encode:  # noqa: PLR0911, PLR0912 - one branch and one way out for each kind
    """The function that writes one value of a column, NULL included."""
    name = kind.kind
    if name in INTEGER_BYTES:
        size = INTEGER_BYTES[name]
        return partial(_whole, struct.Struct("<B" + {1: "B", 2: "h", 4: "i", 8: "q"}[size]), size, name)
    match name:
        case "decimal" | "numeric":
            return partial(_decimal, _decimal_bytes(kind), kind.scale)
        case "float" | "real":
            return partial(_float, struct.Struct("<Bd" if name == "float" else "<Bf"), 8 if name == "float" else 4)
        case "money":
            return _money
        case "smallmoney":
            return partial(_whole, struct.Struct("<Bi"), 4, name, factor=10_000)
        case "datetime":
            return _datetime
        case "smalldatetime":
            return _smalldatetime
        case "date":
            return _date
        case "time" | "datetime2":
            return partial(_scaled_time, kind.scale, name == "datetime2")
        case "uniqueidentifier":
            return _guid
        case "nchar" | "nvarchar":
            return _utf16_max if kind.length == MAX else _utf16
        case "char" | "varchar":
            return _text_max if kind.length == MAX else _text
        case _:
            return _bytes_max if kind.length == MAX else _bytes


class Reader:
    """Bytes of a request, read from front to back; running out is a broken request."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self.data) - self.at

    def take(self, size: int) -> bytes:
        """Take the next bytes."""
        if size < 0 or size > self.left:
            raise SqlServerError(4002, "The incoming tabular data stream (TDS) protocol stream is incorrect.")
        self.at += size
        return self.data[self.at - size : self.at]

    def unpack(self, form: str) -> int:
        """Take one little-endian number."""
        (number,) = struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))
        return int(number)

    def utf16(self, characters: int) -> str:
        """Take text of so many UTF-16 units."""
        return self.take(characters * 2).decode("utf-16-le")


def read_value(reader: Reader) -> tuple[SqlType, Stored]:
    """Take a TYPE_INFO and the value behind it, as a remote call sends its parameters."""
    number = reader.unpack("B")
    try:
        return _read(reader, number)
    except (ValueError, UnicodeDecodeError, struct.error) as error:
        raise SqlServerError(8016, f"The incoming parameter of type 0x{number:02X} is not valid: {error}") from error


def _read(reader: Reader, number: int) -> tuple[SqlType, Stored]:  # noqa: PLR0911 - one way out for each kind
    if number == 0x1F:
        return SqlType(kind="int"), None
    if number in _FIXED:
        number, size = _FIXED[number]
        return _read_number(reader, number, size, size)
    if number in {INTN, BITN, FLTN, MONEYN, DATETIMN, GUID}:
        size = reader.unpack("B")
        return _read_number(reader, number, size, reader.unpack("B"))
    if number in {DECIMALN, NUMERICN}:
        reader.take(1)
        kind = decimal_type(reader.unpack("B"), reader.unpack("B"))
        data = reader.take(reader.unpack("B"))
        if not data:
            return kind, None
        whole = int.from_bytes(data[1:], "little") * (1 if data[0] else -1)
        return kind, float(Decimal(whole).scaleb(-kind.scale))
    if number == DATEN:
        data = reader.take(reader.unpack("B"))
        return SqlType(kind="date"), None if not data else _day(data).isoformat()
    if number in {TIMEN, DATETIME2N, DATETIMEOFFSETN}:
        return _read_time(reader, number)
    if number in _KIND_OF:
        return _read_lengthy(reader, _KIND_OF[number])
    raise NotSimulatedError(f"a parameter of type 0x{number:02X}")


def _read_number(reader: Reader, number: int, declared: int, size: int) -> tuple[SqlType, Stored]:
    data = reader.take(size)
    value: Stored = None
    match number:
        case 0x68:
            return SqlType(kind="bit"), int(data[0] != 0) if data else None
        case 0x26:
            kind = SqlType(kind=_INT_KINDS[declared])
            return kind, int.from_bytes(data, "little", signed=declared > 1) if data else None
        case 0x6D:
            if data:
                (value,) = struct.unpack("<d" if size == 8 else "<f", data)
            return (FLOAT if declared == 8 else SqlType(kind="real")), value
        case 0x6E:
            if data:
                high, low = struct.unpack("<iI", data) if size == 8 else (None, None)
                whole = (
                    (high << 32) + low
                    if high is not None and low is not None
                    else int.from_bytes(data, "little", signed=True)
                )
                value = whole / 10_000
            return SqlType(kind="money", precision=19, scale=4), value
        case 0x24:
            return SqlType(kind="uniqueidentifier"), str(uuid.UUID(bytes_le=data)).upper() if data else None
        case _:
            kind = SqlType(kind="datetime" if declared == 8 else "smalldatetime")
            if data:
                days, rest = struct.unpack("<iI" if size == 8 else "<HH", data)
                clock = timedelta(milliseconds=(rest * 10 + 1) // 3) if size == 8 else timedelta(minutes=rest)
                base = datetime(1900, 1, 1)  # noqa: DTZ001 - SQL Server's times have no zone
                value = stored(base + timedelta(days=days) + clock, kind)
            return kind, value


def _read_time(reader: Reader, number: int) -> tuple[SqlType, Stored]:
    scale = reader.unpack("B")
    kind = SqlType(kind="time" if number == TIMEN else "datetime2", scale=scale)
    data = reader.take(reader.unpack("B"))
    if not data:
        return kind, None
    minutes = 0
    if number == DATETIMEOFFSETN:
        minutes = int.from_bytes(data[-2:], "little", signed=True)
        data = data[:-2]
    width = _clock_bytes(scale)
    units = int.from_bytes(data[:width], "little")
    clock = timedelta(microseconds=units * 10**6 // 10**scale)
    day = _day(data[width:]) if number != TIMEN else date(1900, 1, 1)
    # Times with a zone are compared here as the wall clock of that zone.
    return kind, stored(datetime.combine(day, time()) + clock + timedelta(minutes=minutes), kind)


def _read_lengthy(reader: Reader, name: str) -> tuple[SqlType, Stored]:
    declared = reader.unpack("H")
    is_text = not name.endswith("binary")
    if is_text:
        reader.take(5)
    wide = name.startswith("n")
    if declared == 0xFFFF:
        data = _read_chunks(reader)
        kind = SqlType(kind=name, length=MAX)
    else:
        size = reader.unpack("H")
        data = None if size == 0xFFFF else reader.take(size)
        kind = text_type(name, declared // 2 if wide else declared)
    if data is None:
        return kind, None
    if not is_text:
        return kind, data
    return kind, data.decode("utf-16-le") if wide else data.decode(CODE_PAGE, "replace")


def _read_chunks(reader: Reader) -> bytes | None:
    if reader.take(8) == _PLP_NULL:
        return None
    chunks = []
    total = 0
    while size := reader.unpack("I"):
        total += size
        if total > VALUE_BYTES_MAX:
            raise SqlServerError(7119, f"A value of more than {VALUE_BYTES_MAX} bytes.")
        chunks.append(reader.take(size))
    return b"".join(chunks)


def _day(data: bytes) -> date:
    return date.fromordinal(int.from_bytes(data, "little") + 1)


def _decimal_bytes(kind: SqlType) -> int:
    return 4 if kind.precision <= 9 else 8 if kind.precision <= 19 else 12 if kind.precision <= 28 else 16


def _clock_bytes(scale: int) -> int:
    return 3 if scale <= 2 else 4 if scale <= 4 else 5


def _whole(packer: struct.Struct, size: int, name: str, value: Stored, factor: int = 1) -> bytes:
    if value is None:
        return b"\0"
    try:
        return packer.pack(size, value if factor == 1 else round(float(value) * factor))
    except struct.error as error:
        raise overflow(name) from error


def _float(packer: struct.Struct, size: int, value: Stored) -> bytes:
    return b"\0" if value is None else bytes(packer.pack(size, value))


@lru_cache(maxsize=65_536, typed=True)
def _decimal(size: int, scale: int, value: Stored) -> bytes:
    if value is None:
        return b"\0"
    if isinstance(value, float):
        whole = int(Decimal(repr(value)).scaleb(scale).to_integral_value(rounding=ROUND_HALF_UP))
    else:
        whole = int(value) * 10**scale
    try:
        return bytes((size + 1, whole >= 0)) + abs(whole).to_bytes(size, "little")
    except OverflowError as error:
        raise overflow("decimal") from error


def _money(value: Stored) -> bytes:
    if value is None:
        return b"\0"
    whole = round(float(value) * 10_000)
    return struct.pack("<BiI", 8, whole >> 32, whole & 0xFFFFFFFF)


@lru_cache(maxsize=65_536)
def _datetime(value: Stored) -> bytes:
    if value is None:
        return b"\0"
    moment = datetime.fromisoformat(str(value))
    microseconds = ((moment.hour * 60 + moment.minute) * 60 + moment.second) * 1_000_000 + moment.microsecond
    return struct.pack("<BiI", 8, moment.toordinal() - _EPOCH, datetime_ticks(microseconds))


@lru_cache(maxsize=65_536)
def _smalldatetime(value: Stored) -> bytes:
    if value is None:
        return b"\0"
    moment = datetime.fromisoformat(str(value))
    return struct.pack("<BHH", 4, moment.toordinal() - _EPOCH, moment.hour * 60 + moment.minute)


@lru_cache(maxsize=65_536)
def _date(value: Stored) -> bytes:
    if value is None:
        return b"\0"
    return b"\3" + (date.fromisoformat(str(value)[:10]).toordinal() - 1).to_bytes(3, "little")


@lru_cache(maxsize=65_536)
def _scaled_time(scale: int, has_day: bool, value: Stored) -> bytes:
    if value is None:
        return b"\0"
    text = str(value)
    clock = time.fromisoformat(text[11:] if has_day else text)
    microseconds = ((clock.hour * 60 + clock.minute) * 60 + clock.second) * 1_000_000 + clock.microsecond
    width = _clock_bytes(scale)
    data: bytes = (microseconds * 10**scale // 10**6).to_bytes(width, "little")
    if has_day:
        data += (date.fromisoformat(text[:10]).toordinal() - 1).to_bytes(3, "little")
    return bytes((len(data),)) + data


def _guid(value: Stored) -> bytes:
    if value is None:
        return b"\0"
    data: bytes = uuid.UUID(str(value)).bytes_le
    return b"\x10" + data


def _short(data: bytes) -> bytes:
    return len(data).to_bytes(2, "little") + data


def _utf16(value: Stored) -> bytes:
    return b"\xff\xff" if value is None else _short(str(value).encode("utf-16-le"))


def _text(value: Stored) -> bytes:
    return b"\xff\xff" if value is None else _short(str(value).encode(CODE_PAGE, "replace"))


def _bytes(value: Stored) -> bytes:
    return b"\xff\xff" if value is None else _short(_as_bytes(value))


def _chunked(data: bytes) -> bytes:
    parts = [len(data).to_bytes(8, "little")]
    for at in range(0, len(data), _PLP_CHUNK_BYTES):
        chunk = data[at : at + _PLP_CHUNK_BYTES]
        parts.append(len(chunk).to_bytes(4, "little") + chunk)
    parts.append(b"\0\0\0\0")
    return b"".join(parts)


def _utf16_max(value: Stored) -> bytes:
    return _PLP_NULL if value is None else _chunked(str(value).encode("utf-16-le"))


def _text_max(value: Stored) -> bytes:
    return _PLP_NULL if value is None else _chunked(str(value).encode(CODE_PAGE, "replace"))


def _bytes_max(value: Stored) -> bytes:
    return _PLP_NULL if value is None else _chunked(_as_bytes(value))


def _as_bytes(value: Stored) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode(CODE_PAGE, "replace")

"""TDS messages: packets and tokens as the server writes them; prelogin, login and calls as it reads them. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from simulators.tds.collation import COLLATION_BYTES
from simulators.tds.errors import NotSimulatedError, SqlServerError
from simulators.tds.parts import OutColumn
from simulators.tds.sqltypes import INT, SqlType, Stored
from simulators.tds.wiretypes import Encode, Reader, encoder, read_value, type_info

BATCH, RPC, TABULAR, ATTENTION, BULK, TRANSACTION, LOGIN, SSPI, PRELOGIN = 1, 3, 4, 6, 7, 14, 16, 17, 18
HEADER_BYTES: Final = 8
END_OF_MESSAGE: Final = 0x01
RESET_CONNECTION: Final = 0x08
RESET_KEEPING_TRANSACTION: Final = 0x10

VERSION_74: Final = 0x74000004
VERSION_LEAST: Final = 0x730B0003
"""7.3B, the first with rows of few values and with all types of time."""

ENCRYPT_OFF, ENCRYPT_ON, ENCRYPT_NOT_SUPPORTED, ENCRYPT_REQUIRED = 0, 1, 2, 3

DONE, DONE_PROCEDURE, DONE_IN_PROCEDURE = 0xFD, 0xFE, 0xFF
DONE_MORE, DONE_ERROR, DONE_COUNT, DONE_ATTENTION = 0x01, 0x02, 0x10, 0x20
SELECT_COMMAND: Final = 0xC1

ENV_DATABASE, ENV_LANGUAGE, ENV_PACKET_SIZE, ENV_COLLATION, ENV_BEGIN, ENV_COMMIT, ENV_ROLLBACK, ENV_RESET = (
    1, 2, 4, 7, 8, 9, 10, 18,
)  # fmt: skip
PROCEDURES: Final = {
    1: "sp_cursor", 2: "sp_cursoropen", 3: "sp_cursorprepare", 4: "sp_cursorexecute", 5: "sp_cursorprepexec",
    6: "sp_cursorunprepare", 7: "sp_cursorfetch", 8: "sp_cursoroption", 9: "sp_cursorclose", 10: "sp_executesql",
    11: "sp_prepare", 12: "sp_execute", 13: "sp_prepexec", 14: "sp_prepexecrpc", 15: "sp_unprepare",
}  # fmt: skip
PARAMETERS_MAX: Final = 2_100


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRequest:
    """What a login packet says."""

    version: int
    packet_bytes: int
    user: str
    password: str
    database: str
    host: str
    program: str
    is_integrated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a remote call."""

    name: str
    kind: SqlType
    value: Stored
    is_output: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteCall:
    """One procedure called."""

    procedure: str
    parameters: tuple[Parameter, ...]


def packets(kind: int, body: bytes, *, packet_bytes: int, first: int = 1, is_last: bool = True) -> bytes:
    """Cut a message, or a part of one, into packets."""
    room = packet_bytes - HEADER_BYTES
    parts = []
    count = max(1, -(-len(body) // room))
    for number in range(count):
        chunk = body[number * room : (number + 1) * room]
        status = END_OF_MESSAGE if is_last and number == count - 1 else 0
        header = struct.pack(">BBHHBB", kind, status, len(chunk) + HEADER_BYTES, 0, (first + number) & 0xFF, 0)
        parts.append(header + chunk)
    return b"".join(parts)


def read_prelogin(body: bytes) -> int:
    """What a client says of encryption."""
    reader = Reader(body)
    while (token := reader.unpack("B")) != 0xFF:
        offset, length = struct.unpack(">HH", reader.take(4))
        if token == 1 and length >= 1 and offset < len(body):
            return int(body[offset])
    return ENCRYPT_NOT_SUPPORTED


def prelogin_answer(*, version: str, encryption: int) -> bytes:
    """The server's version and what it says of encryption."""
    major, minor, build, _ = (int(part) for part in version.split("."))
    options = [
        (0, struct.pack(">BBHH", major, minor, build, 0)),
        (1, bytes((encryption,))),
        (2, b"\0"),
        (3, b""),
        (4, b"\0"),
    ]
    offset = len(options) * 5 + 1
    head = b""
    for token, data in options:
        head += struct.pack(">BHH", token, offset, len(data))
        offset += len(data)
    return head + b"\xff" + b"".join(data for _, data in options)


def read_login(body: bytes) -> LoginRequest:
    """Read a LOGIN7 packet."""
    reader = Reader(body, 4)
    version = reader.unpack("I")
    packet_bytes = reader.unpack("I")
    reader.take(12)
    reader.take(1)
    flags2 = reader.unpack("B")
    reader.take(1)
    reader.take(9)
    fields = []
    for _ in range(9):
        offset, length = reader.unpack("H"), reader.unpack("H")
        fields.append((offset, length))
    host, user, password, program, _server, _extension, _library, _language, database = fields
    hidden = Reader(body, password[0]).take(password[1] * 2)
    clear = bytes(((byte ^ 0xA5) >> 4 | (byte ^ 0xA5) << 4 & 0xF0) & 0xFF for byte in hidden)

    def text(place: tuple[int, int]) -> str:
        return Reader(body, place[0]).utf16(place[1])

    return LoginRequest(
        version=version,
        packet_bytes=min(max(packet_bytes, 512), 32_767) if packet_bytes else 4_096,
        user=text(user),
        password=clear.decode("utf-16-le"),
        database=text(database),
        host=text(host),
        program=text(program),
        is_integrated=bool(flags2 & 0x80),
    )


def after_headers(body: bytes) -> Reader:
    """Skip the headers that stand before a batch, a call or a transaction request."""
    reader = Reader(body)
    reader.take(reader.unpack("I") - 4)
    return reader


def read_calls(body: bytes) -> Iterator[RemoteCall]:
    """Read the procedures that a message calls, one after the other."""
    reader = after_headers(body)
    while reader.left:
        length = reader.unpack("H")
        if length == 0xFFFF:
            number = reader.unpack("H")
            procedure = PROCEDURES.get(number, f"procedure {number}")
        else:
            procedure = reader.utf16(length)
        reader.take(2)
        parameters: list[Parameter] = []
        while reader.left and reader.data[reader.at] not in {0x80, 0xFE, 0xFF}:
            if len(parameters) == PARAMETERS_MAX:
                raise SqlServerError(8003, f"Too many parameters; the maximum is {PARAMETERS_MAX}.")
            name = reader.utf16(reader.unpack("B"))
            status = reader.unpack("B")
            if status & ~0x03:
                raise NotSimulatedError("an encrypted parameter")
            kind, value = read_value(reader)
            parameters.append(Parameter(name=name, kind=kind, value=value, is_output=bool(status & 1)))
        yield RemoteCall(procedure=procedure, parameters=tuple(parameters))
        if reader.left:
            reader.take(1)


def environment(kind: int, new: bytes | str, old: bytes | str = "") -> bytes:
    """An ENVCHANGE token; text counts its characters, bytes count themselves."""
    body = bytes((kind,))
    for value in (new, old):
        data = value.encode("utf-16-le") if isinstance(value, str) else value
        body += bytes((len(value),)) + data
    return struct.pack("<BH", 0xE3, len(body)) + body


def login_acknowledged(*, version: int, release: str) -> bytes:
    """A LOGINACK token."""
    major, minor, build, _ = (int(part) for part in release.split("."))
    name = "Microsoft SQL Server"
    body = b"\1" + struct.pack(">I", version) + bytes((len(name),)) + name.encode("utf-16-le")
    body += struct.pack(">BBH", major, minor, build)
    return struct.pack("<BH", 0xAD, len(body)) + body


def message(error: SqlServerError, *, server: str, is_info: bool = False) -> bytes:
    """An ERROR or INFO token."""
    text = error.message.encode("utf-16-le")
    body = struct.pack("<iBB", error.number, error.state, 0 if is_info else error.severity)
    body += struct.pack("<H", len(text) // 2) + text
    body += bytes((len(server),)) + server.encode("utf-16-le") + b"\0" + struct.pack("<I", 1)
    return struct.pack("<BH", 0xAB if is_info else 0xAA, len(body)) + body


def done(kind: int, *, status: int = 0, command: int = 0, rows: int = 0) -> bytes:
    """A DONE token of one of its three kinds."""
    return struct.pack("<BHHQ", kind, status, command, rows)


def column_metadata(columns: Sequence[OutColumn]) -> bytes:
    """A COLMETADATA token."""
    parts = [struct.pack("<BH", 0x81, len(columns))]
    for column in columns:
        name = column.name[:128]
        parts.append(struct.pack("<IH", 0, 0x0008 | int(column.is_nullable)))
        parts.append(type_info(column.kind) + bytes((len(name),)) + name.encode("utf-16-le"))
    return b"".join(parts)


class RowWriter:
    """Writes rows of one result: with all values, or with a bitmap where some are NULL."""

    def __init__(self, columns: Sequence[OutColumn]) -> None:
        self._encoders: tuple[Encode, ...] = tuple(encoder(column.kind) for column in columns)
        self._bitmap_bytes = (len(columns) + 7) // 8

    def row(self, values: Sequence[Stored]) -> bytes:
        """One ROW or NBCROW token."""
        if None not in values:
            return b"\xd1" + b"".join([encode(value) for encode, value in zip(self._encoders, values, strict=True)])
        bitmap = 0
        parts = []
        for number, (encode, value) in enumerate(zip(self._encoders, values, strict=True)):
            if value is None:
                bitmap |= 1 << number
            else:
                parts.append(encode(value))
        return b"\xd2" + bitmap.to_bytes(self._bitmap_bytes, "little") + b"".join(parts)


def return_status(value: int) -> bytes:
    """A RETURNSTATUS token."""
    return struct.pack("<Bi", 0x79, value)


def return_value(name: str, value: int, *, ordinal: int = 0) -> bytes:
    """A RETURNVALUE token with a whole number, such as the handle of a prepared statement."""
    body = struct.pack("<BH", 0xAC, ordinal) + bytes((len(name),)) + name.encode("utf-16-le")
    return body + b"\1" + struct.pack("<IH", 0, 0) + type_info(INT) + encoder(INT)(value)


def server_collation() -> bytes:
    """The ENVCHANGE token that names the collation."""
    return environment(ENV_COLLATION, COLLATION_BYTES, b"")

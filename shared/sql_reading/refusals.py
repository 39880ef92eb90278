"""Translates what a database or its driver says into the errors of the house.

Decided by SQLSTATE or SQL Server's error number where there is one, else by the words of the message, which differ
between drivers. The message itself is never passed on: it may quote a row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from shared.errors import AetherError, NeedsPerson, StopRun, TryLater

Kind: TypeAlias = Literal[
    "auth", "permission", "no database", "no file", "no snapshot", "no encryption", "unstable",
    "later", "busy", "crowded", "timeout", "shape",
]  # fmt: skip
"""What kind of no a database said."""

# SQLSTATE as in PostgreSQL's manual, appendix A: the whole code first, then its class.
_BY_STATE: dict[str, Kind] = {
    "42501": "permission",
    "57014": "timeout",
    "55P03": "busy",
    "28": "auth",
    "3D": "no database",
    "08": "later",
    "40": "later",
    "53300": "crowded",  # too many connections
    "53": "later",
    "57": "later",
}
# Numbers of SQL Server's errors, and of the client library's own (20000 and above).
_BY_NUMBER: dict[int, Kind] = {
    4060: "no database",  # cannot open the database of the login
    911: "no database",
    916: "permission",  # the login has no user in the database
    18456: "auth",
    18452: "auth",
    18470: "auth",  # the login is disabled
    18486: "auth",  # and locked out
    18487: "auth",  # the password has expired
    18488: "auth",  # and must be changed
    229: "permission",
    230: "permission",  # on a column
    262: "permission",
    297: "permission",
    300: "permission",
    207: "shape",
    208: "shape",
    245: "shape",  # text that is no number
    3952: "no snapshot",
    3957: "no snapshot",
    601: "unstable",  # NOLOCK: a row moved under the scan
    1205: "later",  # chosen as the victim of a deadlock
    3960: "later",
    3961: "unstable",  # a table's definition changed under the snapshot
    1222: "busy",  # LOCK_TIMEOUT
    -2: "timeout",
    40197: "later",
    40501: "crowded",
    40613: "later",
    10928: "crowded",
    10929: "crowded",
    17809: "crowded",  # too many connections
    20003: "timeout",
    20004: "later",
    20006: "later",
    20017: "later",
    20047: "later",
}
_NUMBER = re.compile(r"^\((-?\d{1,6}), ?b?['\"]")
"""How the driver for SQL Server writes an error that it hands on as text."""
# Drivers give neither for SQLite, nor for a connection that never came about. The first words that occur decide.
_BY_WORDS: tuple[tuple[str, Kind], ...] = (
    ("unable to open database file", "no file"),
    ("file is not a database", "shape"),
    ("malformed", "shape"),
    ("no such table", "shape"),
    ("no such column", "shape"),
    ("is locked", "busy"),
    ("too many connections", "crowded"),
    ("too many clients", "crowded"),
    ("remaining connection slots", "crowded"),
    ("authentication", "auth"),
    ("no password supplied", "auth"),
    ("no pg_hba.conf entry", "auth"),
    ('database "', "no database"),
    ('role "', "auth"),
)
# Why a connection to SQL Server never came about stands in the words alone: the number that the driver gives with them
# is the one of the gravest message since the program began, another connection's perhaps. `severity 11` belongs to 4060
# (cannot open the database), `severity 14` to 18456 (login failed), which follows it. The first that occurs decides.
_NEVER_CONNECTED = ("message 20002,", "message 20009,")
_CONNECTING_WORDS: tuple[tuple[str, Kind], ...] = (
    ("cannot open database", "no database"),
    ("message 20018, severity 11", "no database"),
    ("login failed", "auth"),
    ("message 20018,", "auth"),
    ("message 20009,", "later"),  # nobody at the address
    ("message 20017,", "later"),  # the other side hung up
    ("message 20003,", "later"),  # or took too long
    ("-lib error during", "later"),
)
_OF_CLIENT_LIBRARY = range(20_000, 21_000)
"""Numbers of the client library's own errors: a connection that broke."""


@contextmanager
def translating(*, entity: str) -> Iterator[None]:
    """Raises the errors of the house in place of a driver's."""
    try:
        yield
    except SQLAlchemyError as problem:
        raise translated(problem, entity=entity) from None
    except Exception as problem:
        # The driver for SQL Server lets errors of its own pass that are none of the database interface's.
        if _is_of_sql_server(problem):
            raise translated(problem, entity=entity) from None
        raise


def translated(problem: Exception, *, entity: str) -> AetherError:
    """The error to raise in place of a driver's, when reading."""
    reason = _reason(problem)
    seen = f" ({reason})" if reason else ""
    place = f"entity {entity}"
    match kind_of(problem):
        case "auth":
            error: AetherError = NeedsPerson(
                "SRC_AUTH", f"{place}: the database refused the login; renew user or password", entity=entity
            )
        case "permission":
            error = NeedsPerson(
                "SRC_AUTH", f"{place}: the login may not read a table it needs; grant it SELECT", entity=entity
            )
        case "no database":
            error = NeedsPerson(
                "SRC_CONFIG",
                f"{place}: the database of `url` does not exist or is not open to this login; check its name and year",
            )
        case "no file":
            error = NeedsPerson("SRC_CONFIG", f"{place}: the SQLite file of `url` cannot be opened; check the path")
        case "no snapshot":
            error = NeedsPerson(
                "SRC_CONFIG",
                f"{place}: the database does not allow snapshots; have its administrator set "
                "ALLOW_SNAPSHOT_ISOLATION ON, or set isolation: read_committed",
                entity=entity,
            )
        case "no encryption":
            error = NeedsPerson(
                "SRC_CONFIG",
                f"{place}: the server does not encrypt the connection; have its administrator switch encryption on, "
                "or set encryption: off where the network is trusted",
                entity=entity,
            )
        case "busy":
            error = TryLater("SRC_UNREACHABLE", f"{place}: the database is locked by another program", entity=entity)
        case "crowded":
            error = TryLater(
                "SRC_RATE_LIMITED", f"{place}: the database has no connection to spare{seen}", entity=entity
            )
        case "timeout":
            error = TryLater(
                "SRC_UNREACHABLE", f"{place}: the database took longer than statement_timeout_seconds", entity=entity
            )
        case "later":
            error = TryLater(
                "SRC_UNREACHABLE",
                f"{place}: the database does not answer or broke the reading off{seen}",
                entity=entity,
            )
        case "unstable":
            error = StopRun(
                "SRC_UNSTABLE", f"{place}: the rows moved while they were read{seen}; read again", entity=entity
            )
        case "shape":
            error = StopRun(
                "SRC_WRONG_SHAPE",
                f"{place}: the database cannot answer the query ({reason or type(problem).__name__}); "
                "compare it with the system's README",
                entity=entity,
            )
    return error


def kind_of(problem: Exception) -> Kind:
    """What kind of no it is; what is not known counts as another shape, or as an outage where the driver says so."""
    state = sqlstate_of(problem)
    if state:
        return _BY_STATE.get(state) or _BY_STATE.get(state[:2]) or "shape"
    number = _number_of(problem)
    if number is None and not isinstance(problem, DBAPIError):
        return "shape"
    words = str(getattr(problem, "orig", problem)).lower()
    if number is None:
        found = _first(_BY_WORDS, words)
        return found or ("later" if isinstance(problem, OperationalError | InterfaceError) else "shape")
    if any(part in words for part in _NEVER_CONNECTED):
        # Without any word, the client library hung up by itself: what the server offered was not enough.
        return _first(_CONNECTING_WORDS, words) or "no encryption"
    return _BY_NUMBER.get(number, "later" if number == 0 or number in _OF_CLIENT_LIBRARY else "shape")


def sqlstate_of(problem: Exception) -> str:
    """The SQLSTATE of a driver's error, or nothing."""
    return str(getattr(getattr(problem, "orig", None), "sqlstate", None) or "")


def _reason(problem: Exception) -> str:
    number = _number_of(problem)
    return sqlstate_of(problem) or (str(number) if number else "")


def _first(table: tuple[tuple[str, Kind], ...], words: str) -> Kind | None:
    return next((kind for part, kind in table if part in words), None)


def _is_of_sql_server(problem: object) -> bool:
    return type(problem).__module__.startswith("pymssql")


def _number_of(problem: Exception) -> int | None:
    """The number of an error of SQL Server or its client library; None for other databases."""
    original = getattr(problem, "orig", None) or problem
    if not isinstance(original, Exception) or not _is_of_sql_server(original):
        return None
    number = original.args[0] if original.args else 0
    if isinstance(number, tuple) and number:  # the driver wraps its own errors now and then
        number = number[0]
    if isinstance(number, int):
        return number
    found = _NUMBER.match(str(number))
    return int(found.group(1)) if found else 0

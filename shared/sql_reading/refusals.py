"""Translates what a database or its driver says into the errors of the house.

Decided by SQLSTATE where there is one, else by the words of the message, which differ between drivers. The message
itself is never passed on: it may quote a row.
"""

from __future__ import annotations

from typing import Literal

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from shared.errors import AetherError, NeedsPerson, StopRun, TryLater

_Kind = Literal["auth", "permission", "no database", "no file", "later", "busy", "timeout", "shape"]

# SQLSTATE as in PostgreSQL's manual, appendix A: the whole code first, then its class.
_BY_STATE: dict[str, _Kind] = {
    "42501": "permission",
    "57014": "timeout",
    "28": "auth",
    "3D": "no database",
    "08": "later",
    "40": "later",
    "53": "later",
    "57": "later",
}
# Drivers give no SQLSTATE for SQLite, nor for a connection that never came about. The first words that occur decide.
_BY_WORDS: tuple[tuple[str, _Kind], ...] = (
    ("unable to open database file", "no file"),
    ("file is not a database", "shape"),
    ("malformed", "shape"),
    ("no such table", "shape"),
    ("no such column", "shape"),
    ("is locked", "busy"),
    ("authentication", "auth"),
    ("no password supplied", "auth"),
    ("no pg_hba.conf entry", "auth"),
    ('database "', "no database"),
    ('role "', "auth"),
)


def translated(problem: SQLAlchemyError, *, entity: str) -> AetherError:
    """The error to raise in place of a driver's."""
    state = str(getattr(getattr(problem, "orig", None), "sqlstate", None) or "")
    place = f"entity {entity}"
    match _kind(problem, state=state):
        case "auth":
            error: AetherError = NeedsPerson(
                "SRC_AUTH", f"{place}: the database refused the login; renew user or password", entity=entity
            )
        case "permission":
            error = NeedsPerson(
                "SRC_AUTH", f"{place}: the login may not read a table it needs; grant it SELECT", entity=entity
            )
        case "no database":
            error = NeedsPerson("SRC_CONFIG", f"{place}: the database of `url` does not exist; check its name")
        case "no file":
            error = NeedsPerson("SRC_CONFIG", f"{place}: the SQLite file of `url` cannot be opened; check the path")
        case "busy":
            error = TryLater("SRC_UNREACHABLE", f"{place}: the database is locked by another program", entity=entity)
        case "timeout":
            error = TryLater(
                "SRC_UNREACHABLE", f"{place}: the database took longer than statement_timeout_seconds", entity=entity
            )
        case "later":
            error = TryLater(
                "SRC_UNREACHABLE",
                f"{place}: the database does not answer or broke the reading off{f' ({state})' if state else ''}",
                entity=entity,
            )
        case "shape":
            error = StopRun(
                "SRC_WRONG_SHAPE",
                f"{place}: the database cannot answer the query ({state or type(problem).__name__}); "
                "compare it with the system's README",
                entity=entity,
            )
    return error


def _kind(problem: SQLAlchemyError, *, state: str) -> _Kind:
    if state:
        return _BY_STATE.get(state) or _BY_STATE.get(state[:2]) or "shape"
    if not isinstance(problem, DBAPIError):
        return "shape"
    words = str(problem.orig).lower()
    for part, kind in _BY_WORDS:
        if part in words:
            return kind
    return "later" if isinstance(problem, OperationalError | InterfaceError) else "shape"

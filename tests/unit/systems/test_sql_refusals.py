"""What a database's no means: by SQLSTATE, by SQL Server's number, and by the words where neither can be trusted."""

from __future__ import annotations

import pymssql
import pytest
from sqlalchemy.exc import DBAPIError, InterfaceError, NoResultFound, OperationalError

from shared.errors import NeedsPerson, StopRun, TryLater
from shared.sql_reading.refusals import kind_of, translated, translating

# As the driver for SQL Server writes them; the number beside a failed connection is a stale one.
CONNECTION_FAILED = "DB-Lib error message 20002, severity 9:\nTDS server connection failed (10.0.0.7)\n"
LOGIN_FAILED = f"DB-Lib error message 20018, severity 14:\nGeneral SQL Server error\n{CONNECTION_FAILED}"
DATABASE_MISSING = f"DB-Lib error message 20018, severity 11:\nGeneral SQL Server error\n{LOGIN_FAILED}"
NOBODY = (
    "DB-Lib error message 20009, severity 9:\nUnable to connect (10.0.0.7)\nNet-Lib error during Connection refused"
)


class Postgres(Exception):
    def __init__(self, state: str) -> None:
        super().__init__("It quotes Ash-Grove.")
        self.sqlstate = state


def failed(number: int, words: str) -> OperationalError:
    return OperationalError("select", None, pymssql.OperationalError((number, words.encode())))


@pytest.mark.parametrize(
    ("number", "words", "kind"),
    [
        (18456, LOGIN_FAILED, "auth"),
        (18456, f"Login failed for user 'reader'.{LOGIN_FAILED}", "auth"),
        (18456, DATABASE_MISSING, "no database"),
        (
            4060,
            f'Cannot open database "DST27000" requested by the login. The login failed.{LOGIN_FAILED}',
            "no database",
        ),
        (18456, NOBODY, "later"),
        (
            18456,
            f"DB-Lib error message 20017, severity 9:\nUnexpected EOF from the server\n{CONNECTION_FAILED}",
            "later",
        ),
        (18456, f"DB-Lib error message 20003, severity 6:\nconnection timed out\n{CONNECTION_FAILED}", "later"),
        (0, CONNECTION_FAILED, "no encryption"),
        (208, "Invalid object name 'login failed'.", "shape"),
        (229, "The SELECT permission was denied on the object 'STU'", "permission"),
        (916, "The server principal is not able to access the database", "permission"),
        (3952, "Snapshot isolation transaction failed accessing database", "no snapshot"),
        (1205, "Transaction was deadlocked on lock resources", "later"),
        (1222, "Lock request time out period exceeded.", "busy"),
        (601, "Could not continue scan with NOLOCK due to data movement.", "unstable"),
        (10928, "The request limit for the database has been reached", "crowded"),
        (20003, "Adaptive Server connection timed out", "timeout"),
        (20047, "DBPROCESS is dead or not enabled", "later"),
        (50000, "A trigger's own words", "shape"),
    ],
)
def test_sql_server_is_understood_by_number_and_a_failed_connection_by_its_words(
    number: int, words: str, kind: str
) -> None:
    assert kind_of(failed(number, words)) == kind


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("28P01", "auth"),
        ("42501", "permission"),
        ("3D000", "no database"),
        ("57014", "timeout"),
        ("57P01", "later"),
        ("40001", "later"),
        ("53300", "crowded"),
        ("55P03", "busy"),
        ("42P01", "shape"),
    ],
)
def test_postgresql_is_understood_by_its_state(state: str, kind: str) -> None:
    problem = DBAPIError("select", None, Postgres(state))
    assert kind_of(problem) == kind
    assert "Ash-Grove" not in str(translated(problem, entity="staff"))


def test_the_kinds_of_error_say_what_the_catcher_does() -> None:
    assert isinstance(translated(failed(1205, "deadlock"), entity="x"), TryLater)
    assert isinstance(translated(failed(208, "name"), entity="x"), StopRun)
    told = translated(failed(3952, "snapshot"), entity="x")
    assert isinstance(told, NeedsPerson)
    assert "read_committed" in told.message


def test_unknown_words_of_a_driver_are_an_outage_and_our_own_mistakes_are_not() -> None:
    assert kind_of(OperationalError("select", None, Exception("something else"))) == "later"
    assert kind_of(InterfaceError("select", None, Exception("something else"))) == "later"
    assert kind_of(DBAPIError("select", None, Exception("something else"))) == "shape"
    assert kind_of(NoResultFound()) == "shape"


def test_errors_that_the_driver_lets_pass_are_translated_too_and_others_are_not() -> None:
    with pytest.raises(TryLater), translating(entity="x"):
        raise pymssql.OperationalError((20017, b"Unexpected EOF from the server"))
    with pytest.raises(ZeroDivisionError), translating(entity="x"):
        raise ZeroDivisionError

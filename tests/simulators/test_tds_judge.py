"""Three independent drivers, unmodified, against the simulated SQL Server over a real socket.

What a driver cannot do is its own: python-tds drops the trailing zeros of decimals and sends bytes as text; pymssql
writes values into the text of the query, where a date is text; mssql-python gives no error numbers, only their words,
needs libltdl.so.7, cancels nothing but by its time-out, holds the interpreter while it waits for single rows, and may
hand out the rows of a lost connection as if they were all. pymssql tells the words of a failed login only the first
time in a process, after that the number alone.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import date, datetime
from datetime import time as clock
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from simulators.tds.faults import Fault, FaultKind
from simulators.tds.server import TdsServer
from tests.simulators.running_tds import DATABASE, DRIVERS, PASSWORD, many, running_tds, seed

Connect = Callable[..., Any]
at = datetime.fromisoformat


@pytest.fixture(scope="module")
def server() -> Iterator[TdsServer]:
    with running_tds(seed(MANY=many(50_000))) as running:
        yield running


@pytest.fixture(params=sorted(DRIVERS))
def connect(request: pytest.FixtureRequest) -> Connect:
    return DRIVERS[request.param]


def rows(connection: Any, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(connection.cursor()) as cursor:
        if values:
            cursor.execute(sql, values)
        else:
            cursor.execute(sql)
        return [tuple(row) for row in cursor.fetchall()]


def marks(connect: Connect, count: int) -> str:
    """The places of values, as this driver writes them."""
    return ", ".join(["?" if connect is DRIVERS["mssql-python"] else "%s"] * count)


def test_every_type_arrives_as_it_was_seeded(server: TdsServer, connect: Connect) -> None:  # T40-T47
    with closing(connect(server)) as connection:
        full, empty = rows(connection, "SELECT * FROM [EVERY] ORDER BY N")
    assert full[1:9] == (255, -32768, 2**62, True, 0.1, 0.5, Decimal("12345.67"), Decimal(42))
    assert full[9] == Decimal("-12.34")
    assert full[10:16] == ("ab   ", "é ü", "漢   ", "Ünï 漢字", "x" * 9000, "漢" * 5000)
    # 1/300 of a second: .016 is .017 there, and a minute is rounded.
    assert full[16] == at("2026-11-22T08:00:00.017000")
    assert full[17] == at("2026-11-22T08:01:00")
    assert full[18] == at("2026-11-22T08:00:00.123456")
    assert full[19] == at("2026-11-22T08:00:01")
    assert full[20] == date(2024, 2, 29)
    assert full[21] == clock(23, 59, 58, 125000)
    assert full[22] == b"\x00\xff\x10"
    assert full[23] == b"\xab" * 9000
    assert full[24] == UUID("6F9619FF-8B86-D011-B42D-00C04FC964FF")
    assert empty == (2, *[None] * 24)


def test_decimals_keep_their_scale_where_the_driver_keeps_it(server: TdsServer, connect: Connect) -> None:  # T43
    with closing(connect(server)) as connection:
        ((value,),) = rows(connection, "SELECT FTE FROM STF WHERE ID = 1")
    assert str(value) == ("1.5" if connect is DRIVERS["pytds"] else "1.50")


def test_null_blank_and_padding_are_three_things(server: TdsServer, connect: Connect) -> None:  # T40, T44
    with closing(connect(server)) as connection:
        assert rows(connection, "SELECT ID, LN, TG FROM dbo.STF ORDER BY ID") == [
            (1, "Ada       ", " "),
            (2, "BERG      ", " "),
            (3, "ñandú     ", None),
            (4, "ada       ", "I"),
        ]
        assert rows(connection, "SELECT ID FROM STF WHERE TG = '' ORDER BY ID") == [(1,), (2,)]
        assert rows(connection, "SELECT ID FROM STF WHERE TG IS NULL") == [(3,)]


def test_values_are_bound(server: TdsServer, connect: Connect) -> None:  # T14
    given = (1, "é漢'", Decimal("1.50"), at("2026-01-02T03:04:05.017000"), date(2026, 1, 1), True, 1.5, b"\x00\x01")
    with closing(connect(server)) as connection:
        (answer,) = rows(connection, f"SELECT {marks(connect, len(given))}", *given)
        place = marks(connect, 1)
        assert rows(connection, f"SELECT ID FROM STF WHERE LN = {place} ORDER BY ID", "ADA") == [(1,), (4,)]
        assert rows(connection, f"SELECT ID FROM STF WHERE HD > {place}", at("2026-01-01T00:00:00")) == [(1,)]
    if connect is DRIVERS["mssql-python"]:
        assert answer == given
    if connect is DRIVERS["pytds"]:
        assert answer[:-1] == given[:-1]
    assert answer[:3] == given[:3]


def test_fifty_thousand_rows_stream(server: TdsServer, connect: Connect) -> None:  # T16
    with closing(connect(server)) as connection, closing(connection.cursor()) as cursor:
        cursor.execute("SELECT ID, LN, EM FROM MANY ORDER BY ID")
        count = 0
        while chunk := cursor.fetchmany(5_000):
            for row in chunk:
                assert row[0] == count
                assert row[2] == (f"a{count}@x.example" if count % 3 else None)
                count += 1
    assert count == 50_000


def test_a_transaction_is_begun_and_ended(server: TdsServer, connect: Connect) -> None:  # T17
    with closing(connect(server)) as connection:
        assert rows(connection, "SELECT @@TRANCOUNT") in ([(1,)], [(0,)])  # a driver may begin with its first read
        rows(connection, "SELECT ID FROM STF")
        assert rows(connection, "SELECT @@TRANCOUNT") == [(1,)]
        connection.commit()
        rows(connection, "SELECT ID FROM STF")
        connection.rollback()


def test_a_snapshot_does_not_see_what_changes_meanwhile(connect: Connect) -> None:  # T18
    with running_tds() as server, closing(connect(server)) as connection:
        connection.commit()
        rows_of = "SELECT COUNT(*) FROM STF"
        with closing(connection.cursor()) as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL SNAPSHOT")
        connection.commit()
        assert rows(connection, rows_of) == [(4,)]
        server.store.replace_rows(DATABASE, "STF", [])
        assert rows(connection, rows_of) == [(4,)]
        connection.commit()
        assert rows(connection, rows_of) == [(0,)]


@pytest.mark.parametrize(
    ("sql", "number", "words"),
    [
        ("SELECT NOPE FROM STF", 207, "Invalid column name 'NOPE'"),
        ("SELECT 1 FROM NOPE", 208, "Invalid object name 'NOPE'"),
        ("SELECT X FROM SECRET", 229, "SELECT permission was denied on the object 'SECRET'"),
        ("INSERT INTO STF (ID) VALUES (9)", 229, "INSERT permission was denied on the object 'STF'"),
        ("SELECT CAST('x' AS int)", 245, "Conversion failed when converting the varchar value 'x' to data type int"),
        ("SELECT 1 / (ID - ID) FROM STF", 8134, "Divide by zero"),
        ("SELECT ID FROM STF WHERE", 102, "Incorrect syntax near"),
    ],
)
def test_errors_carry_their_numbers(  # T20-T24
    server: TdsServer, connect: Connect, sql: str, number: int, words: str
) -> None:
    with closing(connect(server)) as connection:
        with pytest.raises(Exception, match="(?s)" + words.replace("'", ".")) as caught:
            rows(connection, sql)
        if connect is not DRIVERS["mssql-python"]:
            assert number_of(caught.value) == number
        # The connection lives on.
        assert rows(connection, "SELECT 1") == [(1,)]


def number_of(error: BaseException) -> int:
    number = getattr(error, "number", None)
    first = error.args[0] if number is None else number
    return int(first[0] if isinstance(first, tuple) else first)


def refused(connect: Connect, server: TdsServer, words: str, **changes: Any) -> None:
    with pytest.raises(Exception, match=f"{words}|18456") as caught:
        connect(server, **changes)
    if connect is DRIVERS["pymssql"]:
        assert number_of(caught.value) == 18456
    else:
        assert words in str(caught.value)


def test_a_wrong_password_is_18456(server: TdsServer, connect: Connect) -> None:  # T10
    refused(connect, server, "Login failed for user 'reader'", password="not-it")
    refused(connect, server, "Login failed for user 'nobody'", user="nobody")


@pytest.mark.parametrize(("user", "database"), [("reader", "DST19000X"), ("narrow", "HR")])
def test_an_unknown_database_or_one_of_another_login_is_4060(  # T11
    server: TdsServer, connect: Connect, user: str, database: str
) -> None:
    words = "Cannot open database" if connect is DRIVERS["pytds"] else "Login failed for user"
    refused(connect, server, words, user=user, database=database)
    errors = [entry["error"] for entry in server.house.journal if entry["kind"] == "login" and "error" in entry]
    assert errors[-1] == 4060


def test_a_deadlock_is_1205_and_ends_the_transaction(server: TdsServer, connect: Connect) -> None:  # T25
    with closing(connect(server)) as connection:
        connection.commit()
        server.faults.arm(Fault(kind=FaultKind.DEADLOCK, table_pattern=r"dbo\.STF$", after_rows=2))
        with pytest.raises(Exception, match="deadlock") as caught:
            rows(connection, "SELECT ID FROM STF")
        if connect is not DRIVERS["mssql-python"]:
            assert number_of(caught.value) == 1205
        connection.rollback()
        assert rows(connection, "SELECT COUNT(*) FROM STF") == [(4,)]


@pytest.mark.parametrize("kind", [FaultKind.RESET, FaultKind.CLOSE])
def test_an_answer_that_breaks_off_is_an_error(server: TdsServer, connect: Connect, kind: FaultKind) -> None:  # T26
    server.faults.arm(Fault(kind=kind, table_pattern="MANY", after_rows=20_000))
    with lost(connect(server)) as connection:
        if connect is DRIVERS["mssql-python"]:
            # It may take the end of the connection for the end of the rows, and raises only when it is closed.
            got: list[Any] = []
            with suppress(Exception):
                got = rows(connection, "SELECT ID, LN FROM MANY")
            assert len(got) <= 20_000
            with pytest.raises(Exception, match="link"):
                connection.close()
        else:
            with pytest.raises(Exception, match=r"."):
                rows(connection, "SELECT ID, LN FROM MANY")


@contextmanager
def lost(connection: Any) -> Iterator[Any]:
    """A connection that is lost on the way; whether closing it then is an error, drivers disagree."""
    yield connection
    with suppress(Exception):
        connection.close()


def test_a_result_left_half_read_is_cancelled(server: TdsServer, connect: Connect) -> None:  # T19
    with closing(connect(server)) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT ID, LN, EM FROM MANY")
        assert next(iter(cursor.fetchone())) == 0
        if connect is DRIVERS["pytds"]:
            cursor.cancel()
        cursor.close()
        assert rows(connection, "SELECT COUNT(*) FROM STF") == [(4,)]
    read = [entry for entry in server.house.journal if "FROM MANY" in str(entry.get("text"))][-1]
    assert read["error"] == "cancelled"
    assert read["rows"] < 50_000


def test_a_hanging_query_runs_into_the_time_out_of_the_driver(server: TdsServer, connect: Connect) -> None:  # T19, T26
    connection = connect(server, **({} if connect is DRIVERS["mssql-python"] else {"timeout": 1}))
    if connect is DRIVERS["mssql-python"]:
        connection.timeout = 1
    server.faults.arm(Fault(kind=FaultKind.HANG, table_pattern="STF", seconds=60))
    started = time.monotonic()
    with lost(connection), pytest.raises(Exception, match=r"(?i)20003|time"):
        rows(connection, "SELECT ID FROM STF")
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("encryption", ["optional", "required", "not_supported"])
def test_every_driver_agrees_on_encryption_or_its_lack(connect: Connect, encryption: str) -> None:  # T02-T04
    if encryption == "required" and connect is DRIVERS["pytds"]:
        # Without pyOpenSSL it says that it has no TLS, and is then cut off; it tries again until its time is over.
        with running_tds(encryption=encryption) as server, pytest.raises(Exception, match=r"(?i)encrypt"):
            connect(server, login_timeout=1)
        return
    changes = {"encrypt": "no"} if connect is DRIVERS["mssql-python"] and encryption == "not_supported" else {}
    with running_tds(encryption=encryption) as server, closing(connect(server, **changes)) as connection:
        assert rows(connection, "SELECT FN FROM STF WHERE ID = 2") == [("漢字",)]


def test_no_honest_query_of_this_module_was_a_violation(server: TdsServer) -> None:
    # The only ones are the INSERT and the broken syntax that were sent on purpose.
    assert {(entry["rule"], entry["text"].split()[0]) for entry in server.violations} <= {
        ("T21", "INSERT"), ("T31", "SELECT"),
    }  # fmt: skip
    assert PASSWORD not in str(list(server.house.journal))

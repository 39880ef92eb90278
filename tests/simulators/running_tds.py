"""A simulated SQL Server on a real socket, its seed, and the three independent drivers that judge it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pymssql
import pytds  # type: ignore[import-untyped]  # it ships no types
import pytest

from simulators.tds.house import TdsSwitches
from simulators.tds.server import TdsConfig, TdsServer, serving_tds

PASSWORD = "Secret-of-the-tests-1"
DATABASE = "DST26000X"
SECONDS_MAX = 20


def column(name: str, kind: str, *, nullable: bool = True) -> dict[str, Any]:
    return {"name": name, "type": kind, "nullable": nullable}


STAFF = [
    column("ID", "int", nullable=False), column("LN", "char(10)"), column("FN", "nvarchar(20)"),
    column("TG", "char(1)"), column("HD", "datetime"), column("FTE", "decimal(5,2)"), column("DEL", "bit"),
    column("SC", "smallint"),
]  # fmt: skip
STAFF_ROWS: list[list[Any]] = [
    [1, "Ada", "Zoë", "", "2026-01-02T03:04:05.016", "1.50", 0, 10],
    [2, "BERG", "漢字", " ", "2025-06-30", "0.50", 1, 10],
    [3, "ñandú", None, None, None, None, None, 20],
    [4, "ada  ", "O'Neil", "I", "1999-12-31T23:59:59.999", "-0.25", 0, 20],
]
EVERY_TYPE = [
    column("N", "int", nullable=False), column("TINY", "tinyint"), column("SMALL", "smallint"), column("BIG", "bigint"),
    column("YES", "bit"), column("DBL", "float"), column("RL", "real"), column("DEC", "decimal(18,4)"),
    column("NUM", "numeric(5,0)"), column("MON", "money"), column("CH", "char(5)"), column("VC", "varchar(20)"),
    column("NC", "nchar(4)"), column("NV", "nvarchar(20)"), column("VM", "varchar(max)"), column("NM", "nvarchar(max)"),
    column("DT", "datetime"), column("SD", "smalldatetime"), column("D2", "datetime2(7)"), column("D0", "datetime2(0)"),
    column("DA", "date"), column("TI", "time(3)"), column("VB", "varbinary(8)"), column("BM", "varbinary(max)"),
    column("GU", "uniqueidentifier"),
]  # fmt: skip
EVERY_ROWS: list[list[Any]] = [
    [
        1, 255, -32768, 2**62, True, 0.1, 0.5, "12345.6700", "42", "-12.34", "ab", "é ü", "漢", "Ünï 漢字", "x" * 9000,
        "漢" * 5000, "2026-11-22 08:00:00.016", "2026-11-22 08:00:31", "2026-11-22 08:00:00.123456",
        "2026-11-22 08:00:00.6", "2024-02-29", "23:59:58.125", "0x00FF10", "0x" + "AB" * 9000,
        "6F9619FF-8B86-D011-B42D-00C04FC964FF",
    ],
    [2, *[None] * 24],
]  # fmt: skip


def seed(**tables: Any) -> dict[str, Any]:
    """Two databases, a login for both and one that may read only a part."""
    return {
        "logins": {
            "reader": {"password": PASSWORD, "databases": {DATABASE: {"deny": ["SECRET"]}, "HR": {}}},
            "narrow": {"password": PASSWORD, "databases": {DATABASE: {"select": ["STF"]}}},
        },
        "databases": {
            DATABASE: {
                "tables": {
                    "STF": {"columns": STAFF, "key": ["ID"], "rows": STAFF_ROWS},
                    "EVERY": {"columns": EVERY_TYPE, "key": ["N"], "rows": EVERY_ROWS},
                    "SECRET": {"columns": [column("X", "int")], "rows": [[1]]},
                    **tables,
                }
            },
            "HR": {
                "snapshot_allowed": False,
                "tables": {
                    "hr_person": {"columns": [column("person_id", "int"), column("last", "nvarchar(50)")],
                                  "rows": [[1, "Ada"], [7, "Zed"]]},
                    "pay.grade": {"columns": [column("grade", "char(2)")], "rows": [["A"]], "is_view": True},
                },
            },
        },
    }  # fmt: skip


def many(count: int) -> dict[str, Any]:
    """A table of so many rows."""
    columns = [column("ID", "int", nullable=False), column("LN", "char(20)"), column("EM", "varchar(80)")]
    rows = [[number, f"Last {number}", f"a{number}@x.example" if number % 3 else None] for number in range(count)]
    return {"columns": columns, "key": ["ID"], "rows": rows}


@contextmanager
def running_tds(document: Any = None, **switches: Any) -> Iterator[TdsServer]:
    """Serve a seed."""
    config = TdsConfig(seed=seed() if document is None else document, switches=TdsSwitches(**switches))
    with serving_tds(config) as server:
        yield server


def by_pymssql(server: TdsServer, **changes: Any) -> Any:
    given: dict[str, Any] = {
        "server": server.host, "port": str(server.port), "user": "reader", "password": PASSWORD, "database": DATABASE,
        "login_timeout": SECONDS_MAX, "timeout": SECONDS_MAX,
    }  # fmt: skip
    return pymssql.connect(**(given | changes))


def by_pytds(server: TdsServer, **changes: Any) -> Any:
    given: dict[str, Any] = {
        "dsn": server.host, "port": server.port, "user": "reader", "password": PASSWORD, "database": DATABASE,
        "login_timeout": SECONDS_MAX, "timeout": SECONDS_MAX,
    }  # fmt: skip
    return pytds.connect(**(given | changes))


def by_mssql_python(server: TdsServer, **changes: Any) -> Any:
    try:
        ctypes.CDLL("libltdl.so.7")
    except OSError:
        pytest.skip("the driver's own library needs libltdl.so.7 (package libltdl7), which this system has not")
    import mssql_python

    given = {"user": "reader", "password": PASSWORD, "database": DATABASE, "encrypt": "yes"} | changes
    return mssql_python.connect(
        f"Server={server.host},{server.port};Database={given['database']};UID={given['user']};PWD={given['password']};"
        f"Encrypt={given['encrypt']};TrustServerCertificate=yes;"
    )


DRIVERS: dict[str, Callable[..., Any]] = {
    "pymssql": by_pymssql, "pytds": by_pytds, "mssql-python": by_mssql_python,
}  # fmt: skip


def asked(server: TdsServer, sql: str, **changes: Any) -> list[Any]:
    """The rows that pymssql gets for a query."""
    with closing(by_pymssql(server, **changes)) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())

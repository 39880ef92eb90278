"""T-SQL as the simulated SQL Server answers it: comparisons, types, functions, the catalogue, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulators.tds.calling import bound
from simulators.tds.collation import compare
from simulators.tds.conversion import like
from simulators.tds.errors import SqlServerError
from simulators.tds.house import House
from simulators.tds.lexing import shape_of, tokens_of
from simulators.tds.messages import Parameter, RowWriter
from simulators.tds.session import Changed, Rows, Said, Session, violation_of
from simulators.tds.sqltypes import SqlType, parse_type, stored, timestamp_text
from simulators.tds.store import TdsStore
from simulators.tds.wiretypes import encoder
from tests.simulators.running_tds import DATABASE, seed

NOW = datetime(2026, 11, 22, 8, 0, 0, 16000, tzinfo=UTC)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(store=TdsStore.create(tmp_path_factory.mktemp("tds"), seed()), clock=lambda: NOW)


@pytest.fixture
def session(house: House) -> Iterator[Session]:
    opened = Session(house, login="reader", database=DATABASE, host="h", program="p", spid=51)
    yield opened
    opened.close()


def result(
    session: Session, sql: str, **variables: tuple[Any, str]
) -> tuple[list[tuple[str, str]], list[Sequence[Any]]]:
    """The columns and the rows of the last result of a batch."""
    given_values = {f"@{name}": (value, parse_type(kind)) for name, (value, kind) in variables.items()}
    found: tuple[list[tuple[str, str]], list[Sequence[Any]]] | None = None
    for event in session.run(sql, given_values):
        if isinstance(event, Rows):
            found = [(each.name, str(each.kind)) for each in event.columns], [tuple(row) for row in event.rows]
    assert found is not None, "no result"
    return found


def one(session: Session, expression: str) -> tuple[Any, str]:
    """The value and the type of an expression."""
    columns, rows = result(session, f"SELECT {expression}")
    return rows[0][0], columns[0][1]


def ids(session: Session, rest: str, **variables: tuple[Any, str]) -> list[Any]:
    return [row[0] for row in result(session, f"SELECT ID FROM STF s {rest}", **variables)[1]]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("TG = '' ORDER BY ID", [1, 2]),  # T40: a blank is a blank, however long
        ("TG > ' ' ORDER BY ID", [4]),
        ("NOT (TG > ' ') ORDER BY ID", [1, 2]),  # NULL is neither
        ("LN = 'ADA' ORDER BY ID", [1, 4]),  # T41: case does not count
        ("LN = N'ÑANDÚ'", [3]),
        ("LN = 'nandu'", []),  # accents do
        ("FN = 'O''Neil'", [4]),
        ("LN LIKE 'a%' ORDER BY ID", [1, 4]),
        ("LN LIKE '[ab]%a' ORDER BY ID", [1, 4]),
        ("LN LIKE '[^a]%' ORDER BY ID", [2, 3]),
        ("LN LIKE '_d_'", [1, 4]),
        ("FN LIKE 'x%%y' ESCAPE 'x'", []),
        ("LN IN ('BERG', 'ada') ORDER BY ID", [1, 2, 4]),
        ("ID IN (SELECT ID FROM STF WHERE DEL = 0) ORDER BY ID", [1, 4]),
        ("ID NOT IN (1, '2', 3)", [4]),
        ("DEL = 0 OR DEL IS NULL ORDER BY ID", [1, 3, 4]),
        ("(DEL = 'false') ORDER BY ID", [1, 4]),
        ("HD >= '2025-06-30' AND HD < '2026-01-03' ORDER BY ID", [1, 2]),
        ("HD = '2026-01-02T03:04:05.017'", [1]),  # T42: rounded as it was stored
        ("HD > DATEADD(year, -1, GETDATE()) ORDER BY ID", [1]),
        ("HD BETWEEN '20250101' AND '12/31/2025'", [2]),
        ("FTE > 0 AND FTE <= 1.5 ORDER BY FTE DESC", [1, 2]),
        ("FTE * 2 = 3", [1]),
        ("EXISTS (SELECT 1 FROM STF o WHERE o.LN = s.LN AND o.ID <> s.ID) ORDER BY ID", [1, 4]),
        ("CASE WHEN SC = 10 THEN 'n' ELSE 's' END = 'N' ORDER BY 1", [1, 2]),
        ("1 = 1 ORDER BY LN, ID DESC", [4, 1, 2, 3]),
        ("1 = 1 ORDER BY TG, ID", [3, 1, 2, 4]),  # NULL comes first
        ("1 = 1 ORDER BY ID OFFSET 1 ROWS FETCH NEXT 2 ROWS ONLY", [2, 3]),
    ],
)  # fmt: skip
def test_rows_are_chosen_as_the_server_chooses_them(session: Session, where: str, expected: list[int]) -> None:
    assert ids(session, f"WHERE {where}") == expected


@pytest.mark.parametrize(
    ("expression", "value", "kind"),
    [
        ("7 / 2", 3, "int"),
        ("-7 / 2", -3, "int"),
        ("-7 % 3", -1, "int"),
        ("7 / 2.0", 3.5, "decimal(8,6)"),
        ("1.10 * 3", 3.3, "decimal(5,2)"),
        ("0.1 + 0.2", 0.3, "decimal(2,1)"),
        ("1 + 2.50", 3.5, "decimal(4,2)"),
        ("'a' + N'b'", "ab", "nvarchar(2)"),
        ("'5' + 1", 6, "int"),
        ("LEN('ab  ')", 2, "int"),
        ("DATALENGTH(N'ab  ')", 8, "int"),
        ("ISNULL(NULL, 'x')", "x", "varchar(1)"),
        ("ISNULL(CAST(NULL AS char(3)), 'abcdef')", "abc", "char(3)"),
        ("COALESCE(NULL, 1, 2.5)", 1.0, "decimal(11,1)"),
        ("NULLIF('A', 'a ')", None, "varchar(1)"),
        ("IIF(1 > 2, 'a', 'bc')", "bc", "varchar(2)"),
        ("CAST('ab' AS char(4))", "ab  ", "char(4)"),
        ("CAST(12345 AS varchar(3))", "*", "varchar(3)"),
        ("CAST(1.5 AS int)", 1, "int"),
        ("CAST('1.50' AS decimal(5,2))", 1.5, "decimal(5,2)"),
        ("CAST(CAST('1.5' AS decimal(5,2)) AS varchar(10))", "1.50", "varchar(10)"),
        ("TRY_CAST('x' AS int)", None, "int"),
        ("CONVERT(varchar(10), CAST('2026-11-22' AS datetime), 23)", "2026-11-22", "varchar(10)"),
        ("CONVERT(varchar(8), GETDATE(), 112)", "20261122", "varchar(8)"),
        ("CONVERT(varchar(30), CAST('2026-01-02 15:04' AS datetime))", "Jan  2 2026  3:04PM", "varchar(30)"),
        ("CAST(GETDATE() AS date)", "2026-11-22", "date"),
        ("GETDATE()", "2026-11-22 08:00:00.017000", "datetime"),
        ("DATEDIFF(day, '2026-01-01 23:59', '2026-01-02 00:01')", 1, "int"),
        ("DATEDIFF(month, '2025-12-31', '2026-01-01')", 1, "int"),
        ("DATEADD(month, 1, CAST('2026-01-31' AS date))", "2026-02-28", "date"),
        ("DATEPART(weekday, '2026-11-22')", 1, "int"),
        ("YEAR('2026-11-22')", 2026, "int"),
        ("UPPER('é')", "É", "varchar(1)"),
        ("LEFT('abc', 2) + RIGHT('abc', 1)", "abc", "varchar(6)"),
        ("SUBSTRING('abcdef', 0, 3)", "ab", "varchar(6)"),
        ("REPLACE('aXbx', 'x', '-')", "a-b-", "varchar(max)"),
        ("CHARINDEX('B', 'abc')", 2, "int"),
        ("CONCAT('a', NULL, 1)", "a1", "varchar(42)"),
        ("ROUND(2.675, 2)", 2.68, "decimal(4,3)"),
        ("ISNUMERIC('1e5')", 1, "int"),
        ("0x0aFF", b"\x0a\xff", "varbinary(2)"),
        ("9999999999", 9999999999, "bigint"),
        ("DB_NAME()", DATABASE, "nvarchar(128)"),
        ("SUSER_SNAME()", "reader", "nvarchar(128)"),
        ("SERVERPROPERTY('ProductVersion')", "16.0.4135.4", "nvarchar(128)"),
        ("@@TRANCOUNT", 0, "int"),
        ("OBJECT_ID('dbo.STF') - OBJECT_ID('STF')", 0, "int"),
        ("OBJECT_ID('SECRET')", None, "int"),
        ("HAS_PERMS_BY_NAME('dbo.STF', 'OBJECT', 'SELECT')", 1, "int"),
        ("HAS_PERMS_BY_NAME('dbo.STF', 'OBJECT', 'INSERT')", 0, "int"),
        ("(SELECT MAX(LN) FROM STF)", "ñandú     ", "char(10)"),
        ("'漢'", "?", "varchar(1)"),  # T45: without N the code page rules
        ("N'漢'", "漢", "nvarchar(1)"),
    ],
)
def test_an_expression_has_the_value_and_the_type_of_the_server(
    session: Session, expression: str, value: Any, kind: str
) -> None:
    found = one(session, expression)
    if kind != "varchar(max)":
        assert found == (value, kind)
    else:
        assert found[0] == value


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT COUNT(*), SUM(SC), AVG(SC), MIN(LN), MAX(FTE) FROM STF", [(4, 60, 15, "Ada       ", 1.5)]),
        ("SELECT SC, COUNT(*) n FROM STF GROUP BY SC HAVING COUNT(*) > 1 ORDER BY n, SC", [(10, 2), (20, 2)]),
        ("SELECT COUNT(DISTINCT LN) FROM STF", [(3,)]),
        ("SELECT LN FROM STF GROUP BY LN ORDER BY LN DESC", [("ñandú     ",), ("BERG      ",), ("Ada       ",)]),
        ("SELECT DISTINCT SC FROM STF ORDER BY SC", [(10,), (20,)]),
        ("SELECT TOP 2 ID FROM STF ORDER BY ID DESC", [(4,), (3,)]),
        ("SELECT TOP (1) n = ID FROM dbo.[STF] WITH (NOLOCK) ORDER BY n", [(1,)]),
        ("SELECT a.ID, b.ID FROM STF a LEFT JOIN STF b ON b.ID = a.ID + 3 ORDER BY 1",
         [(1, 4), (2, None), (3, None), (4, None)]),
        ("SELECT p.last FROM STF s JOIN HR.dbo.hr_person p ON p.last = s.LN ORDER BY s.ID", [("Ada",), ("Ada",)]),
        ("SELECT STF.ID FROM STF INNER JOIN (SELECT ID i FROM STF WHERE ID > 2) x ON x.i = STF.ID ORDER BY ID",
         [(3,), (4,)]),
        ("WITH x AS (SELECT ID FROM STF), y (k) AS (SELECT ID FROM x WHERE ID < 3) SELECT k FROM y ORDER BY k",
         [(1,), (2,)]),
        ("SELECT 1 AS a UNION SELECT 2.5 UNION ALL SELECT 1 ORDER BY a", [(1.0,), (1.0,), (2.5,)]),
        ("SELECT COUNT(*) FROM (SELECT 'A' a UNION SELECT 'a ') x", [(1,)]),
        ("SELECT ID FROM STF EXCEPT SELECT 1 ORDER BY ID", [(2,), (3,), (4,)]),
        ("SELECT ID, ROW_NUMBER() OVER (PARTITION BY SC ORDER BY ID DESC) r FROM STF ORDER BY ID",
         [(1, 2), (2, 1), (3, 2), (4, 1)]),
        ("SELECT s.* FROM (SELECT ID, SC FROM STF) s WHERE s.SC = 10 ORDER BY s.ID", [(1, 10), (2, 10)]),
        ("IF @@TRANCOUNT > 0 SELECT 'in' ELSE SELECT 'out'", [("out",)]),
        ("SET NOCOUNT ON; SELECT 1 SELECT 2", [(2,)]),
        # A text of fixed and one of varying width, joined where SQLite would make an index of its own.
        ("SELECT a.ID FROM STF a JOIN STF b ON b.LN = RTRIM(a.LN) WHERE b.ID = 4 ORDER BY a.ID", [(1,), (4,)]),
        ("SELECT x.grade FROM HR.pay.grade x", [("A ",)]),
        ("select [ID] from dst26000x..stf where id = 1 option (recompile) -- a word", [(1,)]),
    ],
)  # fmt: skip
def test_queries_are_put_together(session: Session, sql: str, expected: list[Any]) -> None:
    assert result(session, sql)[1] == expected


@pytest.mark.parametrize(
    ("sql", "number", "rule"),
    [
        ("SELECT ID FROM STF s, STF t", 209, None),
        ("SELECT t.ID FROM STF s", 4104, None),
        ("SELECT STF.ID FROM STF s", 4104, None),
        ("SELECT LN, COUNT(*) FROM STF", 8120, None),
        ("SELECT LN FROM STF GROUP BY SC", 8120, None),
        ("SELECT * FROM HR.dbo.nope", 208, None),
        ("SELECT * FROM NODB.dbo.STF", 208, None),
        ("SELECT @p", 137, None),
        ("USE NODB", 911, None),
        ("COMMIT", 3902, None),
        ("ROLLBACK", 3903, None),
        ("SELECT NOPE(1)", 195, "T31"),
        ("SELECT 1 WHERE 1", 4145, None),
        ("SELECT ID FROM STF ORDER BY 9", 108, None),
        ("SELECT CAST('2026-02-30' AS datetime)", 241, None),
        ("SELECT CAST('x' AS decimal(5,2))", 8114, None),
        ("SELECT 2147483647 + ID FROM STF", 8115, None),
        ("SELECT 1 UNION SELECT 1, 2", 205, None),
        ("SELECT LN + 1 FROM STF", 245, None),
        ("SELECT ID FROM STF WHERE LN = 1", 245, None),
        ("SELECT 'open", 105, "T31"),
        ("SELECT FROM STF", 156, "T31"),
        ("UPDATE STF SET LN = 'x'", 229, "T21"),
        ("DELETE FROM STF WHERE ID = 1", 229, "T21"),
        ("TRUNCATE TABLE STF", 1088, "T21"),
        ("DROP TABLE STF", 262, "T21"),
        ("CREATE TABLE #t (a int)", 262, "T21"),
        ("SELECT ID INTO x FROM STF", 40510, "T30"),
        ("DECLARE @a int", 40510, "T30"),
        ("SELECT ID FROM STF CROSS APPLY (SELECT 1 a) x", 40510, "T30"),
        ("EXEC sp_who", 2812, "T30"),
        ("SELECT NEWID()", 40510, "T30"),
    ],
)
def test_what_is_wrong_is_refused_with_its_number(session: Session, sql: str, number: int, rule: str | None) -> None:
    with pytest.raises(SqlServerError) as caught:
        _, rows = result(session, sql)
        write = encoder(SqlType(kind="int"))
        for row in rows:
            write(row[0])
    assert caught.value.number == number
    assert violation_of(caught.value) == rule


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT " + "(" * 5_000 + "1" + ")" * 5_000,
        "SELECT 1 WHERE " + "NOT " * 5_000 + "1 = 1",
        "SELECT 1 WHERE 1 = 1" + " OR 1 = 2" * 5_000,
    ],
    ids=["brackets", "negations", "chain"],
)
def test_a_statement_without_end_is_refused_and_breaks_nothing(session: Session, sql: str) -> None:  # T30
    with pytest.raises(SqlServerError):
        result(session, sql)
    assert ids(session, "WHERE ID = 1") == [1]


def test_long_lists_and_chains_are_read(session: Session) -> None:
    listed = ", ".join(str(number) for number in range(4, 3_000))
    assert ids(session, f"WHERE ID IN ({listed})") == [4]
    assert ids(session, "WHERE ID = 1" + " OR ID = 2" * 200 + " ORDER BY ID") == [1, 2]


def test_a_batch_with_a_mistake_does_nothing_at_all(session: Session) -> None:  # T31
    with pytest.raises(SqlServerError):
        list(session.run("BEGIN TRAN; SELECT 1; SELECT FROM"))
    assert session.transaction_count == 0


def test_a_login_sees_and_reads_only_its_tables(house: House) -> None:  # T22
    narrow = Session(house, login="narrow", database=DATABASE, host="", program="", spid=52)
    try:
        assert result(narrow, "SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES")[1] == [("STF",)]
        for sql, number in (("SELECT N FROM [EVERY]", 229), ("SELECT 1 FROM HR.dbo.hr_person", 916), ("USE HR", 916)):
            with pytest.raises(SqlServerError) as caught:
                list(narrow.run(sql))
            assert caught.value.number == number
    finally:
        narrow.close()


def test_the_catalogue_tells_names_types_and_keys(session: Session) -> None:  # T23
    rows = result(
        session,
        "SELECT COLUMN_NAME, DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE, IS_NULLABLE "
        "FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_NAME = 'stf' ORDER BY ORDINAL_POSITION",
    )[1]
    assert rows[:2] == [("ID", "int", None, 10, 0, "NO"), ("LN", "char", 10, None, None, "YES")]
    assert rows[5] == ("FTE", "decimal", None, 5, 2, "YES")
    assert result(session, "SELECT TABLE_NAME, TABLE_TYPE FROM HR.INFORMATION_SCHEMA.TABLES ORDER BY 1")[1] == [
        ("grade", "VIEW"), ("hr_person", "BASE TABLE"),
    ]  # fmt: skip
    names = result(session, "SELECT name FROM sys.databases WHERE database_id > 4")[1]
    assert names == [(DATABASE,), ("HR",)]


def test_variables_take_the_type_they_were_sent_with(session: Session) -> None:  # T14
    assert ids(session, "WHERE LN = @n AND SC = @s ORDER BY ID", n=("ada", "nvarchar(10)"), s=(10, "int")) == [1]
    assert ids(session, "WHERE SC = @s ORDER BY ID", s=("20", "varchar(5)")) == [3, 4]
    assert ids(session, "WHERE HD < @d", d=("2000-01-02", "date")) == [4]


def test_parameters_are_matched_by_name_or_place_and_counted() -> None:  # T14
    kind = SqlType(kind="int")
    sent = [Parameter(name=name, kind=kind, value=value, is_output=False) for name, value in (("", 1), ("@B", 2))]
    assert bound("@a decimal(10,2), @b int", sent) == {"@a": (1, kind), "@b": (2, kind)}
    for definition, number in (("@a int, @b int, @c int", 8178), ("", 8144)):
        with pytest.raises(SqlServerError) as caught:
            bound(definition, sent)
        assert caught.value.number == number


def test_a_prepared_statement_runs_until_it_is_forgotten(session: Session) -> None:  # T14
    handle = session.prepare("@a int", "SELECT @a")
    assert session.prepared(handle) == ("@a int", "SELECT @a")
    session.unprepare(handle)
    with pytest.raises(SqlServerError) as caught:
        session.prepared(handle)
    assert caught.value.number == 8179


def test_a_reset_session_is_as_after_its_login(session: Session) -> None:  # T15
    handle = session.prepare("", "SELECT 1")
    list(session.run("USE HR; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; BEGIN TRAN"))
    session.reset()
    assert (session.database, session.transaction_count) == (DATABASE, 0)
    level = "SELECT transaction_isolation_level FROM sys.dm_exec_sessions WHERE session_id = @@SPID"
    assert result(session, level)[1] == [(2,)]
    with pytest.raises(SqlServerError):
        session.prepared(handle)


def test_one_server_has_several_databases_and_they_join(session: Session) -> None:  # T13
    sql = "SELECT s.ID, p.person_id FROM DST26000X.dbo.STF s, hr..hr_person p WHERE p.last = s.LN ORDER BY s.ID"
    assert result(session, sql)[1] == [(1, 1), (4, 1)]


def test_implicit_transactions_begin_with_the_first_read(session: Session) -> None:  # T17
    list(session.run("SET IMPLICIT_TRANSACTIONS ON; SELECT 1"))
    assert session.transaction_count == 0
    events = list(session.run("SELECT ID FROM STF"))
    assert isinstance(events[0], Changed)
    assert (events[0].what, session.transaction_count) == ("begin", 1)
    assert [event.what for event in session.run("COMMIT") if isinstance(event, Changed)] == ["commit"]


def test_use_moves_the_session_and_says_so(session: Session) -> None:  # T12
    events = list(session.run("USE hr"))
    assert events[0] == Changed(what="database", new="HR", old=DATABASE)
    assert isinstance(events[1], Said)
    assert result(session, "SELECT last FROM hr_person WHERE person_id = 7")[1] == [("Zed",)]


def test_snapshot_isolation_is_refused_where_it_is_not_allowed(session: Session) -> None:  # T18
    list(session.run("SET TRANSACTION ISOLATION LEVEL SNAPSHOT; BEGIN TRAN"))
    with pytest.raises(SqlServerError) as caught:
        result(session, "SELECT last FROM HR.dbo.hr_person")
    assert caught.value.number == 3952
    assert ids(session, "WHERE ID = 1") == [1]


def test_read_committed_sees_new_rows_inside_a_transaction(tmp_path: Path) -> None:  # T18
    house = House(store=TdsStore.create(tmp_path, seed()))
    session = Session(house, login="reader", database=DATABASE, host="", program="", spid=53)
    list(session.run("BEGIN TRAN"))
    assert len(ids(session, "")) == 4
    house.store.replace_rows(DATABASE, "STF", [])
    assert ids(session, "") == []
    session.close()


def test_rows_without_an_order_may_come_in_any(tmp_path: Path) -> None:  # T32
    document = seed(WIDE={"columns": [{"name": "N", "type": "int"}], "rows": [[number] for number in range(200)]})
    house = House(store=TdsStore.create(tmp_path, document))
    house.switchboard.set({"shuffle_without_order": True})
    session = Session(house, login="reader", database=DATABASE, host="", program="", spid=54)
    first, second = (result(session, "SELECT N FROM WIDE")[1] for _ in range(2))
    assert first != second
    assert sorted(row[0] for row in first) == sorted(row[0] for row in second) == list(range(200))
    ordered = result(session, "SELECT N FROM WIDE ORDER BY N")[1]
    assert [row[0] for row in ordered] == list(range(200))
    session.close()


def test_a_journal_never_holds_a_value() -> None:  # T33
    shape = shape_of("SELECT [a b] FROM T WHERE x = 'secret' AND y = 42 AND z = N'geheim' /* secret */ -- secret")
    assert shape == "SELECT [a b] FROM T WHERE x = ? AND y = ? AND z = ?"


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=40))
def test_any_string_survives_its_quotes(text: str) -> None:
    literal = "N'" + text.replace("'", "''") + "'"
    tokens = tokens_of(literal)
    assert [(token.kind, token.text) for token in tokens[:-1]] == [("nstring", text)]


@given(st.text(max_size=30), st.integers(0, 5))
def test_trailing_blanks_and_case_never_count(text: str, blanks: int) -> None:  # T40, T41
    assert compare(text, text + " " * blanks) == 0
    if text.isascii():
        assert compare(text.upper(), text.lower()) == 0


@given(st.lists(st.text(max_size=5), min_size=3, max_size=3))
def test_the_order_of_texts_is_an_order(texts: list[str]) -> None:  # T41
    one, two, three = sorted(texts)
    assert compare(one, two) == -compare(two, one)
    if compare(one, two) <= 0 and compare(two, three) <= 0:
        assert compare(one, three) <= 0


@given(st.datetimes(datetime.fromisoformat("1753-01-01"), datetime.fromisoformat("9999-12-30")))
def test_a_datetime_is_rounded_to_three_hundredths(moment: datetime) -> None:  # T42
    text = timestamp_text(moment, SqlType(kind="datetime"))
    rounded = datetime.fromisoformat(text)
    assert rounded.microsecond // 1000 % 10 in {0, 3, 7}
    assert rounded.microsecond % 1000 == 0
    assert abs((rounded - moment).total_seconds()) <= 0.0021
    assert stored(text, SqlType(kind="datetime")) == text


@pytest.mark.parametrize(
    ("pattern", "text", "escape", "expected"),
    [
        ("a_c", "abc", None, 1),
        ("a_c", "abc  ", None, 1),
        ("%[0-9]", "room 7", None, 1),
        ("[a-c]x", "dx", None, 0),
        ("10!%", "10%", "!", 1),
        ("10!%", "100", "!", 0),
        ("A.C", "abc", None, 0),
        (None, "abc", None, None),
    ],
)
def test_like_reads_its_patterns(pattern: str | None, text: str, escape: str | None, expected: int | None) -> None:
    assert like(pattern, text, escape) == expected


@pytest.mark.parametrize(
    "text",
    ["char(0)", "char(8001)", "nvarchar(4001)", "decimal(39,2)", "decimal(5,6)", "datetime2(8)", "blob", "int(4)"]
)  # fmt: skip
def test_a_type_no_server_has_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_type(text)


WORDS = [
    "SELECT", "TOP", "DISTINCT", "FROM", "WHERE", "GROUP", "BY", "HAVING", "ORDER", "BY", "OFFSET", "ROWS", "FETCH",
    "NEXT", "ONLY", "UNION", "ALL", "EXCEPT", "JOIN", "LEFT", "ON", "AND", "OR", "NOT", "IN", "LIKE", "BETWEEN",
    "IS", "NULL", "EXISTS", "CASE", "WHEN", "THEN", "ELSE", "END", "CAST", "AS", "int", "varchar", "(", ")", "(",
    ")", ",", ".", "*", "+", "-", "/", "%", "=", "<", ">", "STF", "s", "ID", "LN", "TG", "HD", "FTE", "DEL",
    "COUNT", "SUM", "LEN", "ISNULL", "CONVERT", "DATEADD", "day", "GETDATE", "'a'", "N'b'", "1", "2.5", "0x0A",
    "@p", "@@SPID", "WITH", "x", "SET", "ON", "BEGIN", "TRAN", "COMMIT", "IF", "USE", "dbo", "OVER", "PARTITION",
    "ROW_NUMBER", ";", "''",
]  # fmt: skip


@given(
    st.sampled_from(["", "SELECT ", "SELECT * FROM STF WHERE ", "SELECT ID, ", "SELECT COUNT(*) FROM STF s ORDER BY "]),
    st.lists(st.sampled_from(WORDS), max_size=14),
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_batch_does_more_than_be_refused(session: Session, start: str, words: list[str]) -> None:
    sql = start + " ".join(words)
    shape_of(sql)
    try:
        for event in session.run(sql, {"@p": (1, SqlType(kind="int"))}):
            if isinstance(event, Rows):
                writer = RowWriter(event.columns)
                for row in event.rows:
                    writer.row(row)
    except SqlServerError as error:
        assert "a query that SQLite refuses" not in error.message
    session.reset()

"""One connection's session: its login, its database, its transaction, and the running of its statements.

It yields what happens in order (results, changes of the environment, waits) and raises the server's errors; bytes and
sockets are the connection's. Rows come from SQLite as they are asked for, never all at once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from typing import Final, cast

from simulators.tds import catalogue
from simulators.tds.errors import (
    NotSimulatedError,
    ReadOnlyLoginError,
    SqlServerError,
    invalid_object,
    no_database_access,
    no_such_database,
    permission_denied,
)
from simulators.tds.functions import Failure, install
from simulators.tds.house import House
from simulators.tds.parsing import parse_batch
from simulators.tds.parts import FoundTable, OutColumn
from simulators.tds.querying import Translated, translate
from simulators.tds.schema import SYSTEM_DATABASES, Grants, may_select
from simulators.tds.session_facts import constant_of, global_of
from simulators.tds.sqltypes import INT, SqlType, Stored
from simulators.tds.store import sqlite_name
from simulators.tds.syntax import (
    Execute,
    Expression,
    If,
    Item,
    Literal,
    Print,
    Query,
    Select,
    SetOption,
    Statement,
    Transaction,
    Use,
    WaitFor,
    Write,
)

ROWS_PER_FETCH: Final = 256
PREPARED_MAX: Final = 1_000
WAIT_SECONDS_MAX: Final = 600.0
READ_UNCOMMITTED, READ_COMMITTED, REPEATABLE_READ, SERIALIZABLE, SNAPSHOT = 1, 2, 3, 4, 5
LENGTHS_MATTER: Final = sqlite3.sqlite_version_info >= (3, 38)
_LEVELS: Final = {
    "READ UNCOMMITTED": READ_UNCOMMITTED, "READ COMMITTED": READ_COMMITTED, "REPEATABLE READ": REPEATABLE_READ,
    "SERIALIZABLE": SERIALIZABLE, "SNAPSHOT": SNAPSHOT,
}  # fmt: skip
_HOLDING: Final = frozenset({REPEATABLE_READ, SERIALIZABLE, SNAPSHOT})
"""Levels at which all reads of a transaction see one state."""

Variables = Mapping[str, tuple[Stored, SqlType]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A result to be sent: its columns, its rows, and what it was read from."""

    columns: tuple[OutColumn, ...]
    rows: Generator[Sequence[Stored], None, None]
    tables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """A statement without rows is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """The database or the transaction has changed: `database`, `begin`, `commit` or `rollback`."""

    what: str
    new: str | bytes
    old: str | bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An INFO message."""

    number: int
    message: str
    severity: int = 0
    state: int = 1


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing happens for so long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement was prepared under this handle."""

    handle: int


Event = Rows | Finished | Changed | Said | Wait | Prepared


class Session:
    """The state of one connection after its login."""

    def __init__(self, house: House, *, login: str, database: str, host: str, program: str, spid: int) -> None:
        self.house = house
        self.login = login
        self.database = database
        self.host = host
        self.program = program
        self.spid = spid
        self.row_count = 0
        self.transaction_count = 0
        self.descriptor = bytes(8)
        self._descriptors = count(1)
        self._isolation = READ_COMMITTED
        self._starts_transactions = False
        self._first_database = database
        self._handles = count(1)
        self._prepared: dict[int, tuple[str, str]] = {}
        self._catalogued: set[tuple[str, str]] = set()
        self._variables: Variables = {}
        self._generation = house.generation
        self._connection, self._failure = self._connect()

    def close(self) -> None:
        """Let go of the files."""
        self._connection.close()

    def reset(self) -> None:
        """Back to how the session was after its login, as sp_reset_connection does."""
        self._end_reading()
        self.transaction_count = 0
        self._isolation = READ_COMMITTED
        self._starts_transactions = False
        self.database = self._first_database
        self._prepared.clear()

    def run(self, sql: str, variables: Variables | None = None) -> Iterator[Event]:
        """Run a batch; it is parsed whole before anything of it runs."""
        self._variables = variables or {}
        self._renew()
        try:
            statements = parse_batch(sql)
        except RecursionError as error:
            raise NotSimulatedError("a batch nested so deeply") from error
        for statement in statements:
            yield from self._run(statement)

    def _run(self, statement: Statement) -> Iterator[Event]:
        match statement:
            case Query():
                yield from self._query(statement)
            case SetOption(words):
                self._set(words)
                yield Finished()
            case Use(database):
                yield from self._use(database)
            case Transaction(verb, name):
                yield from self.transact(verb, name=name)
                yield Finished()
            case If(condition, then, otherwise):
                if self._holds(condition):
                    yield from self._run(then)
                elif otherwise is not None:
                    yield from self._run(otherwise)
            case WaitFor(seconds):
                yield Wait(min(seconds, WAIT_SECONDS_MAX))
                yield Finished()
            case Print(value):
                yield Said(number=0, message=str(self._one(value)))
                yield Finished()
            case Write(verb, parts):
                self._refuse(verb, parts)
            case Execute(procedure, arguments):
                yield from self._execute(procedure, arguments)

    def transact(self, verb: str, *, name: str | None = None) -> Iterator[Event]:
        """Begin, commit, roll back or save a transaction."""
        match verb:
            case "BEGIN":
                yield from self._begin()
            case "COMMIT":
                if self.transaction_count == 0:
                    raise SqlServerError(3902, "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.")
                self.transaction_count -= 1
                if self.transaction_count == 0:
                    yield self._ended("commit")
            case "ROLLBACK":
                if self.transaction_count == 0:
                    raise SqlServerError(
                        3903, "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION."
                    )
                if name is None:
                    self.transaction_count = 0
                    yield self._ended("rollback")
            case _:
                if self.transaction_count == 0:
                    raise SqlServerError(628, "Cannot issue SAVE TRANSACTION when there is no active transaction.")

    def roll_back(self) -> Iterator[Event]:
        """Roll back what is open, as a deadlock does."""
        if self.transaction_count:
            yield from self.transact("ROLLBACK")

    def prepare(self, definition: str, sql: str) -> int:
        """Keep a statement for later."""
        if len(self._prepared) >= PREPARED_MAX:
            raise SqlServerError(701, f"More than {PREPARED_MAX} prepared statements.", severity=17)
        handle = next(self._handles)
        self._prepared[handle] = (definition, sql)
        return handle

    def prepared(self, handle: Stored) -> tuple[str, str]:
        """Find a statement kept before."""
        found = self._prepared.get(handle) if isinstance(handle, int) else None
        if found is None:
            raise SqlServerError(8179, f"Could not find prepared statement with handle {handle!r}.")
        return found

    def unprepare(self, handle: Stored) -> None:
        """Forget a statement."""
        self.prepared(handle)
        self._prepared.pop(cast(int, handle))

    # What a query can name beside its own parts.

    def table(self, parts: tuple[str, ...]) -> FoundTable:
        """Find a table or view, or refuse as the server does."""
        whole = ".".join(parts)
        if len(parts) > 3:
            raise SqlServerError(7202, f"Could not find server '{parts[0]}' in sys.servers.", severity=11, state=2)
        database, schema, name = ("", "", *parts)[-3:]
        database = self._database_named(database or self.database, whole)
        system = catalogue.view_of(schema, name)
        if system is not None:
            return self._system_view(database, *system)
        found = self.house.store.schema.database(database)
        table = found[1].find(schema or "dbo", name) if found is not None else None
        if found is None or table is None:
            raise invalid_object(whole)
        known_schema, known_name, described = table
        if not may_select(self._grants(database), schema=known_schema, table=known_name):
            raise permission_denied(verb="SELECT", table=known_name, database=database, schema=known_schema)
        if self._isolation == SNAPSHOT and self.transaction_count and not found[1].snapshot_allowed:
            raise SqlServerError(
                3952,
                f"Snapshot isolation transaction failed accessing database '{database}' because snapshot isolation is "
                "not allowed in this database. Use ALTER DATABASE to allow snapshot isolation.",
            )
        columns = tuple(
            OutColumn(name=each.name, kind=each.sql_type, is_nullable=each.nullable) for each in described.columns
        )
        return FoundTable(
            sqlite_name=sqlite_name(database, known_schema, known_name),
            columns=columns,
            names=(database, known_schema, known_name),
        )

    def variable(self, name: str) -> tuple[Stored, SqlType]:
        """The value of `@name` or `@@NAME`."""
        if name.startswith("@@"):
            return global_of(self, name.upper())
        found = self._variables.get(name.lower())
        if found is None:
            raise SqlServerError(137, f'Must declare the scalar variable "{name}".', severity=15, state=2)
        return found

    def constant(self, name: str, arguments: tuple[Stored, ...]) -> tuple[Stored, SqlType] | None:
        """What a function of the session answers; None when it is no such function."""
        return constant_of(self, name, arguments)

    def facts(self, database: str | None = None) -> catalogue.Facts:
        """What this login sees of a database."""
        name = database or self.database
        return catalogue.facts_of(
            self.house.store.schema, name, grants=self._grants(name), spid=self.spid, isolation=self._isolation
        )

    def _database_named(self, name: str, whole: str) -> str:
        found = self.house.store.schema.database(name)
        if found is None:
            if name.lower() in SYSTEM_DATABASES:
                return name.lower()
            raise invalid_object(whole)
        if self.house.store.schema.grants(self.login, found[0]) is None:
            raise no_database_access(login=self.login, database=found[0])
        return found[0]

    def _grants(self, database: str) -> Grants:
        return self.house.store.schema.grants(self.login, database) or Grants(select=())

    def _system_view(self, database: str, name: str, view: catalogue.View) -> FoundTable:
        table = f'main."{database}:{name}"'
        columns = tuple(OutColumn(name=column, kind=kind) for column, kind in view.columns)
        if (database, name) not in self._catalogued or name == "sys.dm_exec_sessions":
            declared = ", ".join(
                f'"{column}" TEXT COLLATE sqlserver' if kind.is_text else f'"{column}" INTEGER'
                for column, kind in view.columns
            )
            self._connection.execute(f"DROP TABLE IF EXISTS {table}")
            self._connection.execute(f"CREATE TABLE {table} ({declared})")
            places = ", ".join("?" for _ in view.columns)
            statement = f"INSERT INTO {table} VALUES ({places})"  # noqa: S608 - names of the schema, quoted; values are bound
            self._connection.executemany(statement, view.rows(self.facts(database)))
            self._catalogued.add((database, name))
        return FoundTable(sqlite_name=table, columns=columns, names=(database, *name.split(".")))

    # Running.

    def _connect(self) -> tuple[sqlite3.Connection, Failure]:
        connection = self.house.store.connect()
        return connection, install(connection)

    def _renew(self) -> None:
        if self._generation != self.house.generation and not self.transaction_count:
            self._connection.close()
            self._connection, self._failure = self._connect()
            self._catalogued.clear()
            self._generation = self.house.generation

    def _query(self, query: Query) -> Iterator[Event]:
        translated = self._translate(query, shuffle=self.house.switchboard.now.shuffle_without_order)
        if translated.tables and self._starts_transactions and not self.transaction_count:
            yield from self._begin()
        yield Rows(columns=translated.columns, rows=self._rows(translated), tables=translated.tables)

    def _translate(self, query: Query, *, shuffle: bool = False) -> Translated:
        try:
            return translate(query, self, shuffle=shuffle)
        except RecursionError as error:
            raise NotSimulatedError("a query nested so deeply") from error

    def _rows(self, translated: Translated) -> Generator[Sequence[Stored], None, None]:
        self.row_count = 0
        cursor = self._connection.cursor()
        # SQLite (3.40 does) sifts by the lengths of texts before it looks into an index made for one query, and loses
        # rows whose texts are equal in this collation but not in length. Without it such a join is slow and right.
        cursor.execute(f"PRAGMA automatic_index = {int(not (translated.has_uneven_texts and LENGTHS_MATTER))}")
        try:
            cursor.execute(translated.sql, translated.values)
            while rows := cursor.fetchmany(ROWS_PER_FETCH):
                for row in rows:
                    self.row_count += 1
                    yield row
        except sqlite3.Error as error:
            raise self._translated(error) from error
        finally:
            cursor.close()

    def _translated(self, error: sqlite3.Error) -> SqlServerError:
        raised, self._failure.error = self._failure.error, None
        if raised is not None:
            return raised
        return NotSimulatedError(f"a query that SQLite refuses: {error}")

    def _one(self, value: Expression) -> Stored:
        query = Query(Select((Item(value, None),), None, None, (), None, False, None))
        with closing(self._rows(self._translate(query))) as rows:
            return next(rows)[0]

    def _holds(self, condition: Expression) -> bool:
        one = Literal(1, INT)
        query = Query(Select((Item(one, None),), None, condition, (), None, False, None))
        with closing(self._rows(self._translate(query))) as rows:
            return any(True for _ in rows)

    def _begin(self) -> Iterator[Event]:
        self.transaction_count += 1
        if self.transaction_count > 1:
            return
        if self._isolation in _HOLDING:
            self._connection.execute("BEGIN")
        self.descriptor = next(self._descriptors).to_bytes(8, "little")
        yield Changed(what="begin", new=self.descriptor, old=b"")

    def _ended(self, what: str) -> Changed:
        self._end_reading()
        old, self.descriptor = self.descriptor, bytes(8)
        return Changed(what=what, new=b"", old=old)

    def _end_reading(self) -> None:
        if self._connection.in_transaction:
            # Committed also after a rollback: nothing was written but copies of the catalogue, and those stay.
            self._connection.execute("COMMIT")

    def _set(self, words: tuple[str, ...]) -> None:
        match words:
            case ("TRANSACTION", "ISOLATION", "LEVEL", *level):
                name = " ".join(level)
                if name not in _LEVELS:
                    raise SqlServerError(102, f"Incorrect syntax near '{name}'.", severity=15)
                self._isolation = _LEVELS[name]
            case ("IMPLICIT_TRANSACTIONS", "ON" | "OFF" as state):
                self._starts_transactions = state == "ON"
            case (name, *_) if name.startswith("@"):
                raise NotSimulatedError("SET @variable")
            case ("FMTONLY" | "NOEXEC" | "PARSEONLY" | "SHOWPLAN_ALL" | "SHOWPLAN_XML" | "ROWCOUNT" as name, *rest):
                if rest not in (["OFF"], ["0"]):
                    raise NotSimulatedError(f"SET {name} {' '.join(rest)}")
            case ():
                raise SqlServerError(102, "Incorrect syntax near 'SET'.", severity=15)

    def _use(self, database: str) -> Iterator[Event]:
        found = self.house.store.schema.database(database)
        if found is None and database.lower() not in SYSTEM_DATABASES:
            raise no_such_database(database)
        if found is not None and self.house.store.schema.grants(self.login, found[0]) is None:
            raise no_database_access(login=self.login, database=found[0])
        old, self.database = self.database, found[0] if found is not None else database.lower()
        yield Changed(what="database", new=self.database, old=old)
        yield Said(number=5701, message=f"Changed database context to '{self.database}'.", state=2)
        yield Finished()

    def _refuse(self, verb: str, parts: tuple[str, ...]) -> None:
        database, schema, name = ("", "", *parts)[-3:]
        if verb in {"INSERT", "UPDATE", "DELETE"}:
            found = self.house.store.schema.database(database or self.database)
            table = found[1].find(schema or "dbo", name) if found is not None else None
            if found is None or table is None:
                raise invalid_object(".".join(parts))
            raise permission_denied(verb=verb, table=table[1], database=found[0], schema=table[0])
        if verb == "TRUNCATE TABLE":
            message = f'Cannot find the object "{name}" because it does not exist or you do not have permissions.'
            raise ReadOnlyLoginError(1088, message, state=7)
        raise ReadOnlyLoginError(262, f"{verb} permission denied in database '{self.database}'.", severity=14)

    def _execute(self, procedure: str, arguments: tuple[tuple[str | None, Expression], ...]) -> Iterator[Event]:
        name = procedure.rpartition(".")[2].lower()
        if name == "sp_executesql" and arguments:
            values = [self._one(value) for _, value in arguments]
            if len(values) > 1:
                raise NotSimulatedError("EXEC sp_executesql with parameters in a batch")
            yield from self.run(str(values[0]))
        elif name in {"sp_reset_connection", "sp_set_session_context"}:
            yield Finished()
        else:
            raise NoProcedureError(2812, f"Could not find stored procedure '{procedure}'.", state=62)


class NoProcedureError(SqlServerError):
    """A procedure that is not here; a real server may have it."""


def violation_of(error: SqlServerError) -> str | None:
    """The rule of README.md that a refused request has broken; None when an honest client may meet the error."""
    if isinstance(error, ReadOnlyLoginError):
        return "T21"
    if isinstance(error, (NotSimulatedError, NoProcedureError)):
        return "T30"
    return "T31" if error.number in {102, 105, 113, 156, 195, 8002, 8003, 8016, 4002} else None

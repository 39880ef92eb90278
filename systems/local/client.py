"""The one place that writes the local tables: one statement a write, and one meaning for whatever comes of it.

Until COMMIT is sent nothing has happened, whatever breaks: the database takes a transaction back whose connection is
gone. From then on only the database's answer tells; without one the outcome is unknown. A row's `written_by` remembers
the change that wrote it last, so that a create that is sent again is known for what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, CursorResult, Engine, Row, delete, insert, select, text, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from shared.errors import AetherError, NeedsPerson, OutcomeUnknown, RecordRefused, StopRun, TargetMoved, TryLater
from shared.ports.system import Finding, Receipt
from shared.ports.wire import Record, Value, WireWrite
from shared.sql_reading.refusals import Kind, kind_of, sqlstate_of
from systems.local.config import LocalConfig
from systems.local.layout import create_missing, layout_of
from systems.local.tables import ROW_ID, TABLES, TARGET_ID, WRITTEN_AT, WRITTEN_BY, LocalColumn
from systems.local.wire import ROW_ID_PATTERN, place_of, table_of

_UNTOLD_STATES = ("08", "57", "40003")
"""SQLSTATEs of a COMMIT's failure that do not say whether it was done: connection lost, server going down, unknown."""


@dataclass(frozen=True)
class Asked:
    """One write that is asked for."""

    write: WireWrite
    change: str
    """Which change of ours it is."""
    moment: str


class LocalClient:
    """Statements against the local tables; synchronous, for worker threads."""

    def __init__(self, config: LocalConfig, engine: Engine) -> None:
        self._config = config
        self._engine = engine
        self._tables = layout_of(config)
        self._is_made = not config.create_tables

    def fetch(self, entity: str, *, target_id: str | None, key: str | None) -> Record | None:
        """One row by its number or, when that is None, by our key."""
        described, table = table_of(entity, code="APL_CONFIG"), self._tables[entity]
        if target_id is not None:
            if not ROW_ID_PATTERN.fullmatch(target_id):
                return None
            condition = table.c[ROW_ID] == int(target_id)
        elif key is not None:
            condition = table.c[described.key] == key
        else:
            raise StopRun("APL_INTERNAL", f"entity {entity}: a record is asked for by neither id nor key")
        try:
            self._make_missing()
            with self._engine.connect() as connection:
                row = connection.execute(
                    select(table.c[ROW_ID], *(table.c[name] for name in described.columns)).where(condition)
                ).one_or_none()
        except SQLAlchemyError as problem:
            raise translated(problem, entity=entity) from None
        return None if row is None else _record(row, described.columns)

    def write(self, asked: Sequence[Asked]) -> list[Receipt | Exception]:
        """Carry out writes, each once and all in one transaction; what the database refuses of one leaves the others.

        Whatever else goes wrong is raised and true of all of them: none was done, or what became of them is unknown.
        """
        entity = place_of(asked[0].write)[0]
        try:
            self._make_missing()
            connection = self._engine.connect()
        except SQLAlchemyError as problem:
            raise translated(problem, entity=entity) from None
        with connection:
            # A single write needs no savepoint: its transaction is its own.
            answers = [
                self._kept_apart(connection, each) if len(asked) > 1 else self._alone(connection, each)
                for each in asked
            ]
            if any(isinstance(answer, Receipt) for answer in answers):
                self._committed(connection, entity)
            return answers

    def may_write(self) -> Finding:
        """Whether the login may write, asked without writing."""
        try:
            self._make_missing()
            with self._engine.connect() as connection:
                if connection.dialect.name != "postgresql":
                    # Takes the file's lock for writing, which a file or folder that may only be read refuses.
                    connection.exec_driver_sql("ROLLBACK")
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                    return Finding("permission", True, "the file can be written")
                names = [connection.dialect.identifier_preparer.format_table(table) for table in self._tables.values()]
                refused = [
                    name
                    for name in names
                    if not connection.execute(
                        text("select has_table_privilege(:name, 'INSERT, UPDATE, DELETE')"), {"name": name}
                    ).scalar_one()
                ]
        except SQLAlchemyError as problem:
            error = translated(problem, entity="(connection)")
            return Finding("network" if isinstance(error, TryLater) else "permission", False, error.message)
        if refused:
            return Finding("permission", False, f"the login may not write {', '.join(refused)}; grant it")
        return Finding("permission", True, "the login may write every table")

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    # --- one statement ----------------------------------------------------------------------------------------------

    def _alone(self, connection: Connection, asked: Asked) -> Receipt | Exception:
        try:
            return self._carried_out(connection, asked)
        except (RecordRefused, TargetMoved) as refused:
            connection.rollback()
            return self._told(connection, asked, refused)

    def _kept_apart(self, connection: Connection, asked: Asked) -> Receipt | Exception:
        savepoint = connection.begin_nested()
        try:
            receipt = self._carried_out(connection, asked)
        except (RecordRefused, TargetMoved) as refused:
            savepoint.rollback()
            return self._told(connection, asked, refused)
        savepoint.commit()
        return receipt

    def _carried_out(self, connection: Connection, asked: Asked) -> Receipt:
        """The one statement of a write, not yet committed."""
        entity, row_id = place_of(asked.write)
        table = self._tables[entity]
        values = {} if asked.write.body is None else _typed(entity, asked.write.body)
        frame = {WRITTEN_BY: asked.change, WRITTEN_AT: asked.moment}
        if row_id is None:
            created = insert(table).values(**values, **frame).returning(table.c[ROW_ID])
            made = self._executed(connection, entity, lambda: connection.execute(created))
            return Receipt(target_id=str(made.scalar_one()), status=0)
        changed = (
            delete(table).where(table.c[ROW_ID] == row_id)
            if asked.write.method == "DELETE"
            else update(table).where(table.c[ROW_ID] == row_id).values(**values, **frame)
        )
        result = self._executed(connection, entity, lambda: connection.execute(changed))
        if result.rowcount != 1:
            raise TargetMoved("APL_CONFLICT", f"entity {entity}: the row is gone; read it and decide")
        return Receipt(target_id=str(row_id), status=0)

    def _told(self, connection: Connection, asked: Asked, refused: Exception) -> Receipt | Exception:
        """What a refusal means: a create whose key is there already was done before, or is a conflict."""
        entity, row_id = place_of(asked.write)
        key = TABLES[entity].key
        if row_id is not None or asked.write.body is None or not isinstance(asked.write.body.get(key), str):
            return refused
        known = self._known(connection, entity, str(asked.write.body[key]))
        if known is None:
            return refused
        if known[1] == asked.change:
            return Receipt(target_id=str(known[0]), status=0)
        return TargetMoved("APL_CONFLICT", f"entity {entity}: there is a row with this key already; read it and decide")

    def _known(self, connection: Connection, entity: str, key: str) -> tuple[int, str | None] | None:
        """Number and last change of the row that has the key already."""
        table = self._tables[entity]
        found = select(table.c[ROW_ID], table.c[WRITTEN_BY]).where(table.c[TABLES[entity].key] == key)
        row = self._executed(connection, entity, lambda: connection.execute(found)).one_or_none()
        return None if row is None else (row._mapping[ROW_ID], row._mapping[WRITTEN_BY])

    def _executed(
        self, connection: Connection, entity: str, execute: Callable[[], CursorResult[Any]]
    ) -> CursorResult[Any]:
        try:
            return execute()
        except SQLAlchemyError as problem:
            raise translated(problem, entity=entity) from None

    def _committed(self, connection: Connection, entity: str) -> None:
        try:
            connection.commit()
        except SQLAlchemyError as problem:
            if _is_surely_not_done(problem):
                raise translated(problem, entity=entity) from None
            raise OutcomeUnknown(
                "APL_UNKNOWN_OUTCOME",
                f"entity {entity}: the connection broke while the write was confirmed; read the row first",
                entity=entity,
            ) from None

    def _make_missing(self) -> None:
        if not self._is_made:
            create_missing(self._engine, self._config)
            self._is_made = True


def translated(problem: SQLAlchemyError, *, entity: str) -> AetherError:
    """The error to raise in place of a driver's, when applying; before COMMIT nothing has been done."""
    place, state = f"entity {entity}", sqlstate_of(problem)
    seen = f" ({state})" if state else ""
    if isinstance(problem, IntegrityError | DataError) or state[:2] in ("22", "23"):
        return RecordRefused(
            "APL_REFUSED_RECORD", f"{place}: the database refuses the row{seen}; see its constraints", entity=entity
        )
    if _is_full(problem):
        return RecordRefused("APL_CAPACITY", f"{place}: the database has no room for more{seen}", entity=entity)
    kind: Kind = kind_of(problem)
    if isinstance(problem, DBAPIError) and "readonly database" in str(problem.orig):
        kind = "permission"
    match kind:
        case "auth":
            error: AetherError = NeedsPerson(
                "APL_AUTH", f"{place}: the database refused the login; renew user or password"
            )
        case "permission":
            error = NeedsPerson("APL_AUTH", f"{place}: the login may not do this; grant it the right to write")
        case "no database" | "no file":
            error = NeedsPerson(
                "APL_CONFIG", f"{place}: the database of the connection is not there; check its address"
            )
        case "crowded":
            error = TryLater("APL_RATE_LIMITED", f"{place}: the database has no connection to spare{seen}")
        case "busy" | "timeout" | "later" | "unstable":
            error = TryLater("APL_UNREACHABLE", f"{place}: the database does not answer or is locked{seen}")
        case "shape" | "no snapshot" | "no encryption":
            error = StopRun(
                "APL_WRONG_SHAPE",
                f"{place}: the database cannot carry out the statement ({state or type(problem).__name__}); "
                "compare its tables with the system's README, or set create_tables",
            )
    return error


def _is_surely_not_done(problem: SQLAlchemyError) -> bool:
    """Whether a COMMIT that failed was refused by the database itself."""
    state = sqlstate_of(problem)
    if state:
        return not state.startswith(_UNTOLD_STATES)
    # SQLite keeps the transaction open when the file is locked by somebody else; closing takes it back.
    return kind_of(problem) == "busy"


def _is_full(problem: SQLAlchemyError) -> bool:
    return sqlstate_of(problem) == "53100" or (isinstance(problem, DBAPIError) and "disk is full" in str(problem.orig))


def _typed(entity: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The values as the columns hold them. `RecordRefused` names the column and its limit, never the value."""
    columns = TABLES[entity].columns
    for name in body:
        if name not in columns:
            raise StopRun("APL_INTERNAL", f"entity {entity}: the plan names a column that there is not")
    return {name: _cell(entity, name, columns[name], value) for name, value in body.items()}


def _cell(entity: str, name: str, column: LocalColumn, value: object) -> object:
    place = f"entity {entity}, column {name}"
    if value is None:
        return None
    if column.kind == "boolean" and isinstance(value, bool):
        return value
    if column.kind == "text" and isinstance(value, str):
        if len(value) > column.characters_max:
            raise RecordRefused(
                "APL_REFUSED_RECORD",
                f"{place}: {len(value)} characters, allowed {column.characters_max}; shorten it at the source",
                column=name,
            )
        if "\0" in value:
            raise RecordRefused("APL_REFUSED_RECORD", f"{place}: holds a zero character; correct it at the source")
        return value
    if column.kind == "date" and isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise RecordRefused(
        "APL_REFUSED_RECORD",
        f"{place}: is no {column.kind} but a {type(value).__name__}; correct the field's format in the contract",
        column=name,
    )


def _record(row: Row[Any], columns: Mapping[str, LocalColumn]) -> dict[str, Value]:
    """A row as a reading shows it."""
    record: dict[str, Value] = {TARGET_ID: str(row[0])}
    values: list[Any] = list(row)[1:]
    for name, value in zip(columns, values, strict=True):
        if isinstance(value, date):
            record[name] = value.isoformat()
        else:
            record[name] = value.rstrip(" ") if isinstance(value, str) else value
    return record

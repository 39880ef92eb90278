"""The console's database: accounts and sessions in, plain values out. It decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from sqlalchemy import Select, Table, delete, event, func, insert, select, update
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry

from services.console.accounts import tables
from services.console.accounts.migrations import migrate
from shared.database import async_engine

POOL_CONNECTIONS = 5
SQLITE_BUSY_MS = 10_000


@dataclass(frozen=True, slots=True)
class Account:
    """One local account."""

    user: str
    password_hash: str
    sealed_secret: str | None
    last_step: int | None
    failures: int
    locked_until: datetime | None
    created_at: datetime
    password_changed_at: datetime
    signed_in_at: datetime | None
    is_closed: bool
    must_change: bool


@dataclass(frozen=True, slots=True)
class Session:
    """One session; the secret itself is nowhere but in the browser."""

    secret_hash: str
    id: str
    user: str
    csrf: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    stepped_up_until: datetime | None
    by: str
    agent: str


@dataclass(frozen=True, slots=True)
class Review:
    """One review of who may do what."""

    id: int
    at: datetime
    by: str
    digest: str
    people: int
    note: str


class AccountStore:
    """The database of the console."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, database_url: str, *, password: str | None = None) -> Self:
        """The store at an address, with the reference of its password; nothing is connected yet."""
        engine = async_engine(database_url, password=password, pool_size=POOL_CONNECTIONS, pool_pre_ping=True)
        if engine.dialect.name == "sqlite":
            event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        return cls(engine)

    async def migrate(self) -> None:
        """Bring the tables to the newest version."""
        async with self._engine.begin() as connection:
            await connection.run_sync(migrate)

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    # -- accounts ----------------------------------------------------------------------------------------------------

    async def account(self, user: str) -> Account | None:
        """One account, None when there is none."""
        rows = await self._rows(select(tables.account).where(tables.account.c.user == user))
        return _account(rows[0]) if rows else None

    async def accounts(self) -> tuple[Account, ...]:
        """Every account, by name."""
        return tuple(_account(row) for row in await self._rows(select(tables.account).order_by(tables.account.c.user)))

    async def add_account(self, account: Account) -> None:
        """Add an account that is not there yet."""
        values = {name: getattr(account, name) for name in Account.__slots__}
        await self._do(insert(tables.account).values(**values))

    async def change_account(self, user: str, **values: Any) -> None:
        """Change some columns of an account."""
        await self._do(update(tables.account).where(tables.account.c.user == user).values(**values))

    async def count_failure(self, user: str) -> int:
        """Count a failed try, whatever else happens at the same time; returns how many there are now."""
        column = tables.account.c
        async with self._engine.begin() as connection:
            await connection.execute(
                update(tables.account).where(column.user == user).values(failures=column.failures + 1)
            )
            found = await connection.execute(select(column.failures).where(column.user == user))
            return int(found.scalar_one_or_none() or 0)

    async def accept_step(self, user: str, step: int) -> bool:
        """Take a code's time step as used; False when it, or a later one, was taken already."""
        column = tables.account.c
        async with self._engine.begin() as connection:
            taken = await connection.execute(
                update(tables.account)
                .where(column.user == user, (column.last_step.is_(None)) | (column.last_step < step))
                .values(last_step=step)
            )
            return taken.rowcount == 1

    async def put_recovery_codes(self, user: str, hashes: Iterable[str]) -> None:
        """Put new recovery codes in place of the old."""
        async with self._engine.begin() as connection:
            await connection.execute(delete(tables.recovery_code).where(tables.recovery_code.c.user == user))
            rows = [{"code_hash": each, "user": user} for each in hashes]
            if rows:
                await connection.execute(insert(tables.recovery_code), rows)

    async def use_recovery_code(self, user: str, code_hash: str) -> bool:
        """Use a recovery code up; False when it is none."""
        column = tables.recovery_code.c
        async with self._engine.begin() as connection:
            used = await connection.execute(
                delete(tables.recovery_code).where(column.user == user, column.code_hash == code_hash)
            )
            return used.rowcount == 1

    # -- sessions ----------------------------------------------------------------------------------------------------

    async def session(self, secret_hash: str) -> Session | None:
        """One session by the hash of its secret."""
        rows = await self._rows(select(tables.session).where(tables.session.c.secret_hash == secret_hash))
        return _session(rows[0]) if rows else None

    async def sessions(self, user: str | None = None) -> tuple[Session, ...]:
        """The sessions of a person, or all; the one used last first."""
        query = select(tables.session).order_by(tables.session.c.last_seen_at.desc())
        if user is not None:
            query = query.where(tables.session.c.user == user)
        return tuple(_session(row) for row in await self._rows(query))

    async def add_session(self, session: Session) -> None:
        """Add a session."""
        await self._do(insert(tables.session).values(**{name: getattr(session, name) for name in Session.__slots__}))

    async def change_session(self, session_id: str, **values: Any) -> None:
        """Change some columns of a session."""
        await self._do(update(tables.session).where(tables.session.c.id == session_id).values(**values))

    async def end_session(self, session_id: str) -> None:
        """End one session."""
        await self._do(delete(tables.session).where(tables.session.c.id == session_id))

    async def end_sessions_of(self, user: str, *, but: str | None = None) -> int:
        """End every session of a person, `but` one; returns how many."""
        query = delete(tables.session).where(tables.session.c.user == user)
        if but is not None:
            query = query.where(tables.session.c.id != but)
        async with self._engine.begin() as connection:
            return int((await connection.execute(query)).rowcount)

    # -- access ------------------------------------------------------------------------------------------------------

    async def add_review(self, *, at: datetime, by: str, digest: str, people: int, note: str) -> None:
        """Keep a review of access."""
        await self._do(insert(tables.access_review).values(at=at, by=by, digest=digest, people=people, note=note))

    async def reviews(self, *, limit: int) -> tuple[Review, ...]:
        """The newest reviews."""
        query = select(tables.access_review).order_by(tables.access_review.c.id.desc()).limit(limit)
        return tuple(
            Review(id=row["id"], at=_utc(row["at"]), by=row["by"], digest=row["digest"], people=row["people"],
                   note=row["note"])
            for row in await self._rows(query)
        )  # fmt: skip

    async def seen_roles(self) -> dict[str, str]:
        """Roles by person, as the console saw them last."""
        return {row["user"]: row["roles"] for row in await self._rows(select(tables.seen_roles))}

    async def put_seen_roles(self, roles: Mapping[str, str]) -> None:
        """Remember the roles as they are now."""
        async with self._engine.begin() as connection:
            await connection.execute(delete(tables.seen_roles))
            if roles:
                rows = [{"user": user, "roles": text} for user, text in roles.items()]
                await connection.execute(insert(tables.seen_roles), rows)

    async def _do(self, statement: Any) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(statement)

    async def _rows(self, query: Select[Any]) -> Sequence[Mapping[str, Any]]:
        async with self._engine.connect() as connection:
            return [dict(row) for row in (await connection.execute(query)).mappings()]

    async def count(self, table: Table) -> int:
        """Rows of a table."""
        async with self._engine.connect() as connection:
            return int((await connection.execute(select(func.count()).select_from(table))).scalar_one())


def _account(row: Mapping[str, Any]) -> Account:
    return Account(**{name: _utc(row[name]) for name in Account.__slots__})


def _session(row: Mapping[str, Any]) -> Session:
    return Session(**{name: _utc(row[name]) for name in Session.__slots__})


def _utc(value: Any) -> Any:
    """A moment with its zone: SQLite keeps none."""
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    for setting in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={SQLITE_BUSY_MS}", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()

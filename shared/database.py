"""Opens a program's own database, with a password that is read anew for each connection.

The address names user, host and database and holds no password; the password is a reference beside it
(`shared.secrets`). The pool asks for it whenever it opens a connection, so a password that was changed is the new
one's from then on, and connections that are open live on as the database allows. It makes no table and asks nothing.
"""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL, Dialect, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import await_only

from shared.errors import NeedsPerson
from shared.secrets import resolve


def async_engine(url: str | URL, *, password: str | None = None, **options: Any) -> AsyncEngine:
    """An engine over the address that connects to nothing yet; `password` is the reference of the password.

    `options` are those of SQLAlchemy. Raises `NeedsPerson` (SYS_SECRET) for an address that holds a password although
    a reference is given, or that has no use for one.
    """
    address = checked(url, password=password)
    engine = create_async_engine(address, **options)
    if password is not None:
        read_for_each_connection(engine, password)
    return engine


def checked(url: str | URL, *, password: str | None) -> URL:
    """The address, where it and the reference beside it do not contradict each other."""
    try:
        address = make_url(url)
    except ArgumentError:
        # The library's own words quote the text, and a password may stand in it.
        raise NeedsPerson("SYS_SECRET", "a database's address cannot be read; write driver://user@host/name") from None
    if password is None:
        return address
    if address.password is not None:
        raise NeedsPerson(
            "SYS_SECRET",
            f"the address of the database {address.database} holds a password, and {password} is named beside it; "
            "take the one out of the address",
            reference=password,
        )
    if address.username is None:
        raise NeedsPerson(
            "SYS_SECRET",
            f"{password} is named as a database's password, and the address of {address.database} names no user; "
            "write driver://user@host/name, or name no password",
            reference=password,
        )
    return address


def read_for_each_connection(engine: AsyncEngine, password: str) -> None:
    """Let every new connection of the engine use what the reference holds at that moment."""

    def before_connecting(
        _dialect: Dialect, _record: object, _arguments: tuple[Any, ...], parameters: dict[str, Any]
    ) -> DBAPIConnection | None:
        # In a thread: a reference may lie in another program, and the loop has other things to do meanwhile.
        parameters["password"] = str(await_only(asyncio.to_thread(resolve, password)))
        return None

    event.listen(engine.sync_engine, "do_connect", before_connecting)

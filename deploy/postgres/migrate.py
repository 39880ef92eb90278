"""Brings a service's database to its newest version, as its owner: `python -m deploy.postgres.migrate SERVICE`.

The services' own roles can change rows and no table; so this is run before them, from the service's own image, and
ends. Then the roles get what they may do with the tables. Done again it changes nothing. It makes no role and no
database (`databases` does).
"""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from collections.abc import Awaitable, Callable, Mapping

from deploy.postgres.grants import grant
from deploy.postgres.roles import database_of
from shared.database import async_engine

URL_VARIABLE = "AETHER_DATABASE_URL"
PASSWORD_VARIABLE = "AETHER_DATABASE_PASSWORD"  # noqa: S105 - the name of a variable that holds a reference


async def _differ(url: str, password: str | None) -> None:
    ledger = importlib.import_module("services.differ.ledger").Ledger(url, password=password)
    try:
        await ledger.prepare()
    finally:
        await ledger.close()


async def _auditor(url: str, password: str | None) -> None:
    store = importlib.import_module("services.auditor.store").Store.open(url, password=password)
    try:
        await store.migrate()
    finally:
        await store.close()


async def _console(url: str, password: str | None) -> None:
    store = importlib.import_module("services.console.accounts.store").AccountStore.open(url, password=password)
    try:
        await store.migrate()
    finally:
        await store.close()


# An image holds one of them only; so they are imported when they are asked for.
MIGRATIONS: Mapping[str, Callable[[str, str | None], Awaitable[None]]] = {
    "differ": _differ,
    "auditor": _auditor,
    "console": _console,
}


async def migrate(service: str, url: str, *, password: str | None = None) -> tuple[str, ...]:
    """Bring the database to its newest version and grant; returns its tables. `password` is a reference."""
    await MIGRATIONS[service](url, password)
    engine = async_engine(url, password=password)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(grant, database_of(service))
    finally:
        await engine.dispose()


def main(arguments: list[str]) -> int:
    """Entry point; 0 when the database is at its newest version."""
    if len(arguments) != 1 or arguments[0] not in MIGRATIONS or not os.environ.get(URL_VARIABLE):
        called = f"python -m deploy.postgres.migrate {'|'.join(MIGRATIONS)}"
        sys.stderr.write(f"usage: {URL_VARIABLE}=… {PASSWORD_VARIABLE}=file:/… {called}\n")
        return 2
    (service,) = arguments
    tables = asyncio.run(migrate(service, os.environ[URL_VARIABLE], password=os.environ.get(PASSWORD_VARIABLE)))
    sys.stdout.write(f"the database of the {service} is at its newest version: {len(tables)} tables\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

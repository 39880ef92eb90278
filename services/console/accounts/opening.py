"""Opens the accounts of a console: database, people, first accounts."""

from __future__ import annotations

import json
from pathlib import Path

from services.console.accounts.accounts import Accounts
from services.console.accounts.changed_roles import tell_changed_roles
from services.console.accounts.people import People
from services.console.accounts.second_factor import Sealing
from services.console.accounts.store import AccountStore
from services.console.settings import ConsoleSettings
from services.console.telling import Telling
from shared.clock import Clock
from shared.errors import NeedsPerson
from shared.ids import Ids
from shared.secrets import resolve


async def open_accounts(settings: ConsoleSettings, *, telling: Telling, clock: Clock, ids: Ids) -> Accounts:
    """The accounts, with the tables at their newest version; `NeedsPerson` when a file or secret cannot be read."""
    people = People(settings.identities)
    sealing = Sealing(str(resolve(settings.session_key)))
    path = settings.first_accounts if settings.local_accounts else None
    first = {} if path is None else _first_accounts(path)
    store = AccountStore.open(settings.database_url, password=settings.database_password)
    accounts = Accounts(
        settings=settings, store=store, people=people, sealing=sealing, telling=telling, clock=clock, ids=ids
    )
    try:
        await store.migrate()
        await tell_changed_roles(people, store, telling)
        for user, reference in first.items():
            if people.roles_of(user) is not None and await store.account(user) is None:
                password = str(resolve(reference)).strip()
                must_change = settings.change_first_passwords
                await accounts.put_first_password(user, password, actor=None, must_change=must_change)
    except BaseException:
        await accounts.close()
        raise
    return accounts


def _first_accounts(path: Path) -> dict[str, str]:
    try:
        document: object = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise NeedsPerson("SRC_CONFIG", f"{path}: first accounts cannot be read: {type(error).__name__}") from None
    if not isinstance(document, dict) or not all(isinstance(each, str) for each in document.values()):
        raise NeedsPerson("SRC_CONFIG", f"{path}: must map names to references of passwords, as file:/path")
    return document

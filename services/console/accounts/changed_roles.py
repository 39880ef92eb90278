"""Tells which roles the identities file gives or takes since the console looked last.

The file is changed by hand, outside of the console; this is how the change gets into the audit log all the same.
"""

from __future__ import annotations

from services.console.accounts.people import People
from services.console.accounts.store import AccountStore
from services.console.telling import Telling


async def tell_changed_roles(people: People, store: AccountStore, telling: Telling) -> None:
    """Tell each change, then remember what was seen; the very first look tells nothing."""
    present = {user: ",".join(sorted(person.roles)) for user, person in people.all().items()}
    before = await store.seen_roles()
    if present == before:
        return
    for user in sorted(present.keys() | before.keys()) if before else ():
        if present.get(user) != before.get(user):
            told = {"before": before.get(user) or "none", "now": present.get(user) or "none"}
            await telling.tell("roles_changed", actor=None, subject=user, **told)
    await store.put_seen_roles(present)

"""Which databases there are on the house's PostgreSQL, and which role may do what in them: one table.

Each service has a database of its own and a role that changes rows there and nothing else. Tables are made and changed
by the database's owner, as whom a program runs that ends before the service starts. The record of the auditor is added
to and never changed, by anybody but its owner; the console and the monitor read it under roles that cannot write. A
role reaches no other database. This module is values; `databases` makes them true, `grants` what is about tables.
"""

from __future__ import annotations

from dataclasses import dataclass

ADMINISTRATOR = "aether"
"""The superuser: makes databases and roles, and is nobody's login afterwards."""


@dataclass(frozen=True)
class Database:
    """One database and everybody who may enter it."""

    service: str
    readers: tuple[str, ...] = ()
    """Roles that may read all of it and write nothing."""
    append_only: tuple[str, ...] = ()
    """Tables to which the service's role may add rows; it can neither change nor delete one."""

    @property
    def name(self) -> str:
        """Its name."""
        return f"aether_{self.service}"

    @property
    def owner(self) -> str:
        """The role that makes and changes tables."""
        return f"aether_{self.service}_owner"

    @property
    def role(self) -> str:
        """The service's own role."""
        return f"aether_{self.service}"

    @property
    def roles(self) -> tuple[str, ...]:
        """Everybody who may connect."""
        return (self.owner, self.role, *self.readers)


CONSOLE_READER = "aether_console_audit"
MONITOR_READER = "aether_monitor_audit"

DATABASES = (
    Database("differ"),
    Database("auditor", readers=(CONSOLE_READER, MONITOR_READER), append_only=("entry", "tree_node", "checkpoint")),
    Database("console"),
)


def database_of(service: str) -> Database:
    """The database of a service; KeyError for a service that has none."""
    return {one.service: one for one in DATABASES}[service]


def all_roles() -> tuple[str, ...]:
    """Every role that logs in, apart from the administrator."""
    return tuple(role for database in DATABASES for role in database.roles)

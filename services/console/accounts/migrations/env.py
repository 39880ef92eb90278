"""Run by alembic: upgrades over the connection that `migrate` hands in."""

from __future__ import annotations

from alembic import context

from services.console.accounts.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="console_version",
)
with context.begin_transaction():
    context.run_migrations()

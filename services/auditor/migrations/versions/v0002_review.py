"""Plans as rows that a reviewer can page through, and columns by which runs and entries are looked for.

Nothing of the record changes: the new column of `entry` is empty in the rows that are there, because no row of it may
be altered. What is new of `run` is filled from the run's own document. The tables are spelled out: a released version
stays as it was.
"""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"
branch_labels: str | None = None
depends_on: str | None = None

_NAME = sa.String(512)
_NOT_OF_THE_LEDGER = sa.text("stream <> 'LEDGER'")
_RUNS_AT_ONCE = 500


def upgrade() -> None:
    """Add the columns and make the tables."""
    op.add_column("entry", sa.Column("actor", _NAME))
    for name in ("type", "actor"):
        op.create_index(
            f"entry_by_{name}",
            "entry",
            [name, "entry_index"],
            sqlite_where=_NOT_OF_THE_LEDGER,
            postgresql_where=_NOT_OF_THE_LEDGER,
        )
    for name in ("requester", "mode", "plan_digest"):
        op.add_column("run", sa.Column(name, _NAME))
    _fill_runs()
    _make_plans()


def _fill_runs() -> None:
    connection = op.get_bind()
    rows = sa.table(
        "run", sa.column("run"), sa.column("state"), sa.column("requester"), sa.column("mode"), sa.column("plan_digest")
    )
    change = (
        sa.update(rows)
        .where(rows.c.run == sa.bindparam("of"))
        .values(requester=sa.bindparam("by"), mode=sa.bindparam("how"), plan_digest=sa.bindparam("digest"))
    )
    behind = ""
    while True:
        query = sa.select(rows.c.run, rows.c.state).where(rows.c.run > behind).order_by(rows.c.run).limit(_RUNS_AT_ONCE)
        found = connection.execute(query).all()
        if not found:
            return
        filled = []
        for run, text in found:
            state = json.loads(text)
            plan = state.get("plan") or {}
            filled.append(
                {"of": run, "by": state.get("requester"), "how": state["mode"], "digest": plan.get("plan_digest")}
            )
        connection.execute(change, filled)
        behind = found[-1].run


def _make_plans() -> None:
    op.create_table(
        "plan_review",
        sa.Column("run", _NAME, primary_key=True),
        sa.Column("plan_digest", _NAME, nullable=False),
        sa.Column("is_listed", sa.Boolean, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "plan_change",
        sa.Column("run", _NAME, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("change_id", _NAME, nullable=False),
        sa.Column("entity", _NAME, nullable=False),
        sa.Column("change_class", _NAME, nullable=False),
        sa.Column("wave", sa.Integer, nullable=False),
        sa.Column("key_shown", sa.Text, nullable=False),
        sa.Column("record", _NAME, nullable=False),
        sa.Column("cohort", sa.Text),
        sa.Column("alike", _NAME, nullable=False),
        sa.Column("excluded", _NAME),
        sa.Column("page", _NAME, nullable=False),
        sa.Column("search", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("plan_change_by_id", "plan_change", ["run", "change_id"])
    op.create_index("plan_change_by_class", "plan_change", ["run", "change_class", "position"])
    op.create_index("plan_change_by_cohort", "plan_change", ["run", "cohort", "position"])
    op.create_index("plan_change_by_alike", "plan_change", ["run", "alike", "change_class", "position"])
    op.create_index("plan_change_by_record", "plan_change", ["record", "run"])
    op.create_index("plan_change_by_key", "plan_change", ["key_shown", "run"])
    op.create_table(
        "plan_change_body",
        sa.Column("run", _NAME, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("body", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "plan_aside",
        sa.Column("run", _NAME, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("entity", _NAME, nullable=False),
        sa.Column("key_shown", sa.Text, nullable=False),
        sa.Column("record", _NAME),
        sa.Column("change_class", _NAME, nullable=False),
        sa.Column("code", _NAME, nullable=False),
        sa.Column("fields", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("plan_aside_by_code", "plan_aside", ["run", "code", "position"])
    op.create_index("plan_aside_by_record", "plan_aside", ["record", "run"])
    op.create_index("plan_aside_by_key", "plan_aside", ["key_shown", "run"])

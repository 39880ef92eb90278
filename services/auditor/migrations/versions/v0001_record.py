"""The record and its projections, and the triggers that keep the record append-only.

The tables are spelled out and not taken from `shared.audit.tables`: a released version stays as it was.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None

_APPEND_ONLY = ("entry", "tree_node", "checkpoint")
_NAME = sa.String(512)
_ORDINAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make all tables and the triggers."""
    _make_record()
    _make_projections()
    if op.get_bind().dialect.name == "postgresql":
        _guard_postgresql()
    else:
        _guard_sqlite()


def _make_record() -> None:
    op.create_table(
        "entry",
        sa.Column("entry_index", _ORDINAL, primary_key=True, autoincrement=False),
        sa.Column("leaf_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("run", _NAME),
        sa.Column("type", _NAME, nullable=False),
        sa.Column("stream", _NAME, nullable=False),
        sa.Column("stream_seq", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("stream", "stream_seq", name="entry_once"),
    )
    op.create_index("entry_by_run", "entry", ["run", "entry_index"])
    op.create_table(
        "tree_node",
        sa.Column("level", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "checkpoint",
        sa.Column("size", _ORDINAL, primary_key=True, autoincrement=False),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_table(
        "progress",
        sa.Column("stream", _NAME, primary_key=True),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("last_time_us", sa.BigInteger, nullable=False),
    )
    writer = op.create_table(
        "writer",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("token", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(writer, [{"id": 1, "token": 0}])


def _make_projections() -> None:
    op.create_table(
        "run",
        sa.Column("run", _NAME, primary_key=True),
        sa.Column("connector", _NAME, nullable=False),
        sa.Column("status", _NAME, nullable=False),
        sa.Column("requested_at", _NAME, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("sealed", sa.Text),
        sa.Column("sealed_entry", sa.BigInteger),
    )
    op.create_index("run_by_connector", "run", ["connector", "requested_at"])
    op.create_index("run_by_time", "run", ["requested_at"])
    op.create_index("run_by_status", "run", ["status"])
    op.create_table(
        "run_event",
        sa.Column("entry_index", _ORDINAL, primary_key=True, autoincrement=False),
        sa.Column("run", _NAME, nullable=False),
        sa.Column("type", _NAME, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("run_event_by_run", "run_event", ["run", "entry_index"])
    op.create_table(
        "change_outcome",
        sa.Column("run", _NAME, primary_key=True),
        sa.Column("change_id", _NAME, primary_key=True),
        sa.Column("result", _NAME),
        sa.Column("code", _NAME),
        sqlite_with_rowid=False,
    )
    op.create_index("change_outcome_by_result", "change_outcome", ["run", "result", "code"])
    op.create_table(
        "dead_letter",
        sa.Column("seq", _ORDINAL, primary_key=True, autoincrement=False),
        sa.Column("run", _NAME),
        sa.Column("stream", _NAME, nullable=False),
        sa.Column("stream_seq", sa.BigInteger, nullable=False),
        sa.Column("subject", _NAME, nullable=False),
        sa.Column("service", _NAME, nullable=False),
        sa.Column("code", _NAME, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", _NAME, nullable=False),
    )
    op.create_index("dead_letter_by_run", "dead_letter", ["run"])


def _guard_sqlite() -> None:
    for table in _APPEND_ONLY:
        for act in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{act.lower()} BEFORE {act} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: {act} refused'); END"
            )


def _guard_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP; END $$"
    )
    for table in _APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )

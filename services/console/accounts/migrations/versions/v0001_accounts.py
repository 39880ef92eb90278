"""Accounts, their recovery codes, sessions, reviews of access and the roles seen last.

The tables are spelled out and not taken from `services.console.accounts.tables`: a released version stays as it was.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None

_NAME = sa.String(200)
_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make all tables."""
    op.create_table(
        "account",
        sa.Column("user", _NAME, primary_key=True),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("sealed_secret", sa.Text),
        sa.Column("last_step", sa.Integer),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("locked_until", _MOMENT),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("password_changed_at", _MOMENT, nullable=False),
        sa.Column("signed_in_at", _MOMENT),
        sa.Column("is_closed", sa.Boolean, nullable=False),
        sa.Column("must_change", sa.Boolean, nullable=False),
    )
    op.create_table(
        "recovery_code",
        sa.Column("code_hash", sa.String(64), primary_key=True),
        sa.Column("user", _NAME, nullable=False),
    )
    op.create_index("recovery_code_by_user", "recovery_code", ["user"])
    op.create_table(
        "session",
        sa.Column("secret_hash", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(26), nullable=False, unique=True),
        sa.Column("user", _NAME, nullable=False),
        sa.Column("csrf", sa.String(64), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("last_seen_at", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.Column("stepped_up_until", _MOMENT),
        sa.Column("by", sa.String(20), nullable=False),
        sa.Column("agent", sa.String(200), nullable=False),
    )
    op.create_index("session_by_user", "session", ["user"])
    op.create_table(
        "access_review",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("by", _NAME, nullable=False),
        sa.Column("digest", sa.String(80), nullable=False),
        sa.Column("people", sa.Integer, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
    )
    op.create_table(
        "seen_roles",
        sa.Column("user", _NAME, primary_key=True),
        sa.Column("roles", sa.Text, nullable=False),
    )

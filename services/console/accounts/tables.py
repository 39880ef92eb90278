"""The console's own tables: accounts, sessions, reviews of access, and the roles that were seen last.

No secret stands here that could be used as it is: passwords, recovery codes and the secrets of sessions are hashes, the
secrets of second factors are sealed. Rows are built from validated values; the tables do not validate.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, DateTime, Index, Integer, MetaData, String, Table, Text

metadata = MetaData()

NAME_CHARACTERS_MAX = 200

_NAME = String(NAME_CHARACTERS_MAX)
_MOMENT = DateTime(timezone=True)

account = Table(
    "account",
    metadata,
    Column("user", _NAME, primary_key=True),
    Column("password_hash", Text, nullable=False),
    Column("sealed_secret", Text),
    Column("last_step", Integer),  # a code of this time step or before has been used
    Column("failures", Integer, nullable=False),
    Column("locked_until", _MOMENT),
    Column("created_at", _MOMENT, nullable=False),
    Column("password_changed_at", _MOMENT, nullable=False),
    Column("signed_in_at", _MOMENT),
    Column("is_closed", Boolean, nullable=False),
    Column("must_change", Boolean, nullable=False),
)

recovery_code = Table(
    "recovery_code",
    metadata,
    Column("code_hash", String(64), primary_key=True),
    Column("user", _NAME, nullable=False),
    Index("recovery_code_by_user", "user"),
)

session = Table(
    "session",
    metadata,
    Column("secret_hash", String(64), primary_key=True),
    Column("id", String(26), nullable=False, unique=True),
    Column("user", _NAME, nullable=False),
    Column("csrf", String(64), nullable=False),
    Column("created_at", _MOMENT, nullable=False),
    Column("last_seen_at", _MOMENT, nullable=False),
    Column("expires_at", _MOMENT, nullable=False),
    Column("stepped_up_until", _MOMENT),
    Column("by", String(20), nullable=False),
    Column("agent", String(200), nullable=False),
    Index("session_by_user", "user"),
)

access_review = Table(
    "access_review",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", _MOMENT, nullable=False),
    Column("by", _NAME, nullable=False),
    Column("digest", String(80), nullable=False),
    Column("people", Integer, nullable=False),
    Column("note", Text, nullable=False),
)

seen_roles = Table(
    "seen_roles",
    metadata,
    Column("user", _NAME, primary_key=True),
    Column("roles", Text, nullable=False),  # sorted, with commas between
)

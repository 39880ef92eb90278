"""The auditor's tables: the log (append-only) and what is projected from it (rebuildable).

`entry`, `tree_node` and `checkpoint` are the record; triggers made by the first migration refuse to change or delete
their rows. Everything else can be dropped and read from the streams again while these last. Rows are built from
validated values; the tables do not validate.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, SmallInteger, String, Table, Text
from sqlalchemy import UniqueConstraint as Unique

from services.auditor.entries import NAME_CHARS_MAX

metadata = MetaData()

APPEND_ONLY = ("entry", "tree_node", "checkpoint")
"""Tables whose rows never change."""

_NAME = String(NAME_CHARS_MAX)
_ORDINAL = BigInteger().with_variant(Integer, "sqlite")
"""A key that is a number: on SQLite the row's own number, so that it needs no index beside the table."""

entry = Table(
    "entry",
    metadata,
    Column("entry_index", _ORDINAL, primary_key=True, autoincrement=False),
    Column("leaf_hash", LargeBinary(32), nullable=False),
    Column("body", Text, nullable=False),  # canonical JSON: the very bytes that were hashed
    Column("run", _NAME),
    Column("type", _NAME, nullable=False),
    Column("stream", _NAME, nullable=False),
    Column("stream_seq", BigInteger, nullable=False),
    Unique("stream", "stream_seq", name="entry_once"),
    Index("entry_by_run", "run", "entry_index"),
)

tree_node = Table(
    "tree_node",
    metadata,
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary(32), nullable=False),
    sqlite_with_rowid=False,
)

checkpoint = Table(
    "checkpoint",
    metadata,
    Column("size", _ORDINAL, primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),
)

progress = Table(
    "progress",
    metadata,
    Column("stream", _NAME, primary_key=True),
    Column("last_seq", BigInteger, nullable=False),
    Column("last_time_us", BigInteger, nullable=False),  # of the merge: never goes back within a stream
)

writer = Table(
    "writer",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("token", BigInteger, nullable=False),  # the highest fencing token that ever wrote
)

run = Table(
    "run",
    metadata,
    Column("run", _NAME, primary_key=True),
    Column("connector", _NAME, nullable=False),
    Column("status", _NAME, nullable=False),
    Column("requested_at", _NAME, nullable=False),
    Column("state", Text, nullable=False),  # RunState
    Column("sealed", Text),  # RunSealed
    Column("sealed_entry", BigInteger),
    Index("run_by_connector", "connector", "requested_at"),
    Index("run_by_time", "requested_at"),
    Index("run_by_status", "status"),
)

run_event = Table(
    "run_event",
    metadata,
    Column("entry_index", _ORDINAL, primary_key=True, autoincrement=False),
    Column("run", _NAME, nullable=False),
    Column("type", _NAME, nullable=False),
    Column("body", Text, nullable=False),
    Index("run_event_by_run", "run", "entry_index"),
)

change_outcome = Table(
    "change_outcome",
    metadata,
    Column("run", _NAME, primary_key=True),
    Column("change_id", _NAME, primary_key=True),
    Column("result", _NAME),  # null: intended, and nothing known yet
    Column("code", _NAME),
    Index("change_outcome_by_result", "run", "result", "code"),
    sqlite_with_rowid=False,
)

dead_letter = Table(
    "dead_letter",
    metadata,
    Column("seq", _ORDINAL, primary_key=True, autoincrement=False),  # in DLQ
    Column("run", _NAME),
    Column("stream", _NAME, nullable=False),
    Column("stream_seq", BigInteger, nullable=False),
    Column("subject", _NAME, nullable=False),
    Column("service", _NAME, nullable=False),
    Column("code", _NAME, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", _NAME, nullable=False),
    Index("dead_letter_by_run", "run"),
)

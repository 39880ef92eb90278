"""The auditor's tables: the log (append-only) and what is projected from it (rebuildable).

`entry`, `tree_node` and `checkpoint` are the record; triggers made by the first migration refuse to change or delete
their rows. Everything else can be dropped and read from the streams again while these last; of plans it holds masked
values only. Rows are built from validated values; the tables do not validate.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy import UniqueConstraint as Unique

from shared.audit.entries import NAME_CHARS_MAX

metadata = MetaData()

APPEND_ONLY = ("entry", "tree_node", "checkpoint")
"""Tables whose rows never change."""

NOT_OF_THE_LEDGER = "stream <> 'LEDGER'"
"""Intents and outcomes are nearly all of the log, and looked for by run; the indexes over kinds and people leave them
out. Spelled alike in a question, or the database does not see that the index serves it."""

_NAME = String(NAME_CHARS_MAX)
_NOT_OF_THE_LEDGER = text(NOT_OF_THE_LEDGER)
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
    Column("actor", _NAME),  # null in rows older than the column, where the body alone has it
    Unique("stream", "stream_seq", name="entry_once"),
    Index("entry_by_run", "run", "entry_index"),
    Index("entry_by_type", "type", "entry_index", sqlite_where=_NOT_OF_THE_LEDGER, postgresql_where=_NOT_OF_THE_LEDGER),
    Index(
        "entry_by_actor", "actor", "entry_index", sqlite_where=_NOT_OF_THE_LEDGER, postgresql_where=_NOT_OF_THE_LEDGER
    ),
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
    Column("requester", _NAME),
    Column("mode", _NAME),
    Column("plan_digest", _NAME),  # null while it has no plan
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

plan_review = Table(
    "plan_review",
    metadata,
    Column("run", _NAME, primary_key=True),
    Column("plan_digest", _NAME, nullable=False),
    Column("is_listed", Boolean, nullable=False),  # whether the changes are in the tables below
    Column("body", Text, nullable=False),  # PlanReview
)
"""Written last: a run that has this row has all rows of its plan."""

plan_change = Table(
    "plan_change",
    metadata,
    Column("run", _NAME, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),  # from 0, in change-id order
    Column("change_id", _NAME, nullable=False),
    Column("entity", _NAME, nullable=False),
    Column("change_class", _NAME, nullable=False),
    Column("wave", Integer, nullable=False),
    Column("key_shown", Text, nullable=False),
    Column("record", _NAME, nullable=False),  # commitment to the record's key, the same in every run
    Column("cohort", Text),
    Column("alike", _NAME, nullable=False),
    Column("excluded", _NAME),  # code under which the plan set the change aside
    Column("page", _NAME, nullable=False),  # subject of its page on PLAN
    Column("search", Text, nullable=False),
    Index("plan_change_by_id", "run", "change_id"),
    Index("plan_change_by_class", "run", "change_class", "position"),
    Index("plan_change_by_cohort", "run", "cohort", "position"),
    Index("plan_change_by_alike", "run", "alike", "change_class", "position"),
    Index("plan_change_by_record", "record", "run"),
    Index("plan_change_by_key", "key_shown", "run"),
    sqlite_with_rowid=False,
)
"""What changes are looked for by; narrow, because looking for a text reads all of a plan's."""

plan_change_body = Table(
    "plan_change_body",
    metadata,
    Column("run", _NAME, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),  # ChangeView, masked, without what became of it
    sqlite_with_rowid=False,
)

plan_aside = Table(
    "plan_aside",
    metadata,
    Column("run", _NAME, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("entity", _NAME, nullable=False),
    Column("key_shown", Text, nullable=False),
    Column("record", _NAME),  # null where the record's key is under no commitment
    Column("change_class", _NAME, nullable=False),
    Column("code", _NAME, nullable=False),
    Column("fields", Text, nullable=False),  # JSON array of their names
    Index("plan_aside_by_code", "run", "code", "position"),
    Index("plan_aside_by_record", "record", "run"),
    Index("plan_aside_by_key", "key_shown", "run"),
    sqlite_with_rowid=False,
)

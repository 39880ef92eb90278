"""The tables of the differ's memory: records, misses, entities, runs and row counts.

No personal value stands in them: fields are commitments, figures are counts. Times are RFC 3339 in UTC with
milliseconds, so that they sort as text. Nothing is read or written here; `services.differ.ledger` does that.
"""

from __future__ import annotations

from sqlalchemy import Index, Table
from sqlmodel import Field, SQLModel


class TargetRecord(SQLModel, table=True):
    """What we know of one target record: its id, and what we wrote to it last."""

    __tablename__ = "target_record"
    __table_args__ = (Index("target_record_by_target_id", "target", "entity", "target_id"),)

    target: str = Field(primary_key=True)
    entity: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    target_id: str | None = None
    commitments: str = "{}"
    """JSON object: commitment by field."""
    clauses: str = "{}"
    """JSON object: digest of the field's contract clause when it was written, by field."""
    release: str | None = None
    """Digest of the connector's release that wrote last."""
    held_against: str | None = None
    """JSON object: commitments of the desired fields that the record is held against; null when it is not held."""
    deferred: str = "[]"
    """JSON array: ids of changes that an approval left out."""
    run: str = ""
    """The run that wrote last; empty when none did."""


class MissedRecord(SQLModel, table=True):
    """A target record that certified reads of one connector's sources miss."""

    __tablename__ = "missed_record"

    connector: str = Field(primary_key=True)
    target: str = Field(primary_key=True)
    entity: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    strikes: int
    last_strike_at: str
    suspended_since: str | None = None
    """When it was first seen suspended while it was missing."""
    run: str
    """The run that counted the last strike."""


class EntityRecord(SQLModel, table=True):
    """What one connector has been through with one target entity."""

    __tablename__ = "entity_record"

    connector: str = Field(primary_key=True)
    target: str = Field(primary_key=True)
    entity: str = Field(primary_key=True)
    certified_runs: int = 0
    last_certified_run: str | None = None
    first_applied_run: str | None = None
    """The first run that applied anything; null while the entity is being onboarded."""


class RunStatistics(SQLModel, table=True):
    """What one run brought to one entity; a run that stands here was counted."""

    __tablename__ = "run_statistics"
    __table_args__ = (
        Index("run_statistics_by_connector", "connector", "target", "entity", "at"),
        Index("run_statistics_by_target", "target", "entity", "applied_at"),
    )

    run: str = Field(primary_key=True)
    entity: str = Field(primary_key=True)
    connector: str
    target: str
    mode: str
    at: str
    """When the plan was made."""
    level: str
    """What the guard said."""
    status: str
    """Where the run went with its plan, or how its apply ended."""
    is_accepted: bool
    """Whether the guard let the plan pass, or it was applied all the same."""
    figures: str
    """JSON: the entity's figures."""
    applied: str = "{}"
    """JSON object: applied changes by class."""
    applied_at: str | None = None


class AcceptedRows(SQLModel, table=True):
    """How many rows a source had in the last run whose plan was accepted."""

    __tablename__ = "accepted_rows"

    connector: str = Field(primary_key=True)
    entity: str = Field(primary_key=True)
    source: str = Field(primary_key=True)
    rows: int
    run: str


def table_of(model: type[SQLModel]) -> Table:
    """The table of one of these models."""
    return SQLModel.metadata.tables[str(model.__tablename__)]


TABLES = [table_of(model) for model in (TargetRecord, MissedRecord, EntityRecord, RunStatistics, AcceptedRows)]

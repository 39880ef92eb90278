"""What the differ's memory is told and what it tells, as values.

Pure. The comparison reads `Memory` (`services.differ.comparing`); here stands what a run leaves behind for the next:
what it wrote, what its certified reads missed, and how its plan ended. No value of a record is among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from shared.policy.figures import EntityFigures, UsualFigures, WindowFigures


@dataclass(frozen=True)
class Scope:
    """Whose memory it is: one connector's, of one entity of one target."""

    connector: str
    target: str
    """Name of the target connection."""
    entity: str


@dataclass(frozen=True)
class Written:
    """One record as a run left it at the target."""

    entity: str
    key: str
    target_id: str | None
    commitments: Mapping[str, str]
    """Commitment by field that was written."""
    clauses: Mapping[str, str] = field(default_factory=dict)
    """Digest of the contract clause by field that was written."""
    is_suspended: bool = False
    is_gone: bool = False
    """Whether the record was deleted; nothing of it is remembered then."""


@dataclass(frozen=True)
class Deferral:
    """A change that an approval left out."""

    entity: str
    key: str
    change_id: str


@dataclass(frozen=True)
class Applied:
    """What an apply left behind."""

    run: str
    connector: str
    target: str
    release: str
    status: str
    """How the run ended."""
    at: datetime
    written: Sequence[Written]
    deferred: Sequence[Deferral]
    by_class: Mapping[str, Mapping[str, int]]
    """Changes that took effect, by entity and class; of a retry, all that took effect of its plan so far."""
    plan_run: str | None = None
    """The run whose plan a retry carried on with; the numbers are kept with that one. None: the run's own."""


@dataclass(frozen=True)
class EntitySeen:
    """What the reads of one run showed of one entity, and what its plan made of it."""

    figures: EntityFigures
    read_at: datetime
    """When the reading of the sources began; misses count from here."""
    is_certified: bool
    """Whether every source and the target were read whole."""
    strike_hours: int
    missed: frozenset[str] = frozenset()
    """Keys that this certified read misses."""
    suspended: frozenset[str] = frozenset()
    """Of these, the records that are suspended."""
    unknown: frozenset[str] = frozenset()
    """Keys of which this read tells nothing: in quarantine, or not desired while a source is not certified."""


@dataclass(frozen=True)
class Drafted:
    """What drafting a plan leaves behind."""

    run: str
    connector: str
    target: str
    mode: str
    at: datetime
    """When the plan was made."""
    level: str
    status: str
    is_accepted: bool
    entities: Sequence[EntitySeen]


@dataclass(frozen=True)
class EntityHistory:
    """What came before, as the guard's figures tell it."""

    certified_runs: int = 0
    is_onboarding: bool = True
    windows: tuple[WindowFigures, ...] = ()
    usual: tuple[UsualFigures, ...] = ()
    declared_before: Mapping[str, int] = field(default_factory=dict)
    """Applied changes that a declared delta covered in earlier runs, by its id."""


@dataclass(frozen=True)
class Seed:
    """A past that was not lived through: for a district that starts as one mirrored for weeks."""

    scope: Scope
    certified_runs: int
    has_applied: bool
    """Whether something was applied before, so that the entity is not onboarded any more."""
    links: Mapping[str, str]
    """Target id by key."""
    missed: Mapping[str, datetime]
    """When each key was first missed."""
    rows_accepted: Mapping[str, int]
    """Rows of the last accepted run, by source."""


def is_new_strike(*, last_strike_at: datetime, read_at: datetime, strike_hours: int) -> bool:
    """Whether a miss lies far enough behind the last one that counted."""
    return (read_at - last_strike_at).total_seconds() >= strike_hours * 3600

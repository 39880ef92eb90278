"""What a comparison is made from and what it brings: the values that pass between the stages of the differ.

Pure. Stage one (`services.differ.diff`) pairs the records of one partition by key and makes the changes of pairs that
differ; what found no partner is the residue. Stage two (`services.differ.settling`) looks at the residue of all
partitions together. Nothing is decided here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import polars as pl

from shared.contract.model import EntityContract
from shared.plan.change import DESTRUCTIVE, Aside, Change, ChangeClass
from shared.ports.wire import Record, Value, Wire

EXISTING = "existing "
"""Before the names of the target's columns where a desired record and its target record stand in one row. No column of
a snapshot begins so."""
LEFT_ALONE = "left alone"
"""Column of the desired side: names of the fields, with commas, of which nothing is known in this run; mostly null."""


@dataclass(frozen=True)
class Waves:
    """Where the changes of one entity stand in the order of execution."""

    constructive: int
    """Creates, updates and whatever else takes nothing away."""
    destructive: int
    """Suspending, deleting and leaving groups; after everything constructive."""


class Protection(Protocol):
    """Which target records are never changed."""

    def is_protected(self, frame: pl.DataFrame) -> pl.Series:
        """True for each row that is protected; the columns are `key`, `target_id` and the fields, normalised."""
        ...


class _NothingProtected:
    def is_protected(self, frame: pl.DataFrame) -> pl.Series:
        return pl.repeat(False, frame.height, dtype=pl.Boolean, eager=True)


NOTHING_PROTECTED: Protection = _NothingProtected()
"""The protection of a connector that lists no record."""


class DeclarationOf(Protocol):
    """Which declared delta covers a change; the guard measures what is covered apart."""

    def __call__(self, *, change_class: ChangeClass, before: Record | None, after: Record) -> str | None:
        """Id of the declaration, or None. The records are normalised and whole; `before` is None for a create."""
        ...


@dataclass(frozen=True)
class Entity:
    """What both stages need to know of one entity."""

    target: str
    """Name of the target connection."""
    name: str
    contract: EntityContract
    waves: Waves
    wire: Wire
    commitment_master: bytes
    protected: Protection = NOTHING_PROTECTED
    clause_digests: Mapping[str, str] = field(default_factory=dict)
    """Digest of what the contract says of a field, its tables and transforms included, by field."""
    declaration_of: DeclarationOf | None = None
    """None where no declared delta is in force."""
    write_companions: tuple[str, ...] = ()
    """Fields that every change of a record sends along, because the target empties what is left out."""


@dataclass(frozen=True)
class Memory:
    """What the ledger knows of one record."""

    key: str
    """Our key."""
    target_id: str | None = None
    """The target record that it was linked to."""
    written: Mapping[str, str] = field(default_factory=dict)
    """Commitment to what we wrote last, by field; empty where we never wrote."""
    clauses: Mapping[str, str] = field(default_factory=dict)
    """Digest of the field's clause when it was written, by field."""
    strikes: int = 0
    """Certified reads, far enough apart, that missed the record since it was seen last."""
    last_strike_at: datetime | None = None
    suspended_since: datetime | None = None
    """When it was first seen suspended while it was missing."""
    held_against: Mapping[str, str] | None = None
    """Commitments, by field, to the desired values that it is held against; empty: held against its being missing;
    None: not held."""
    deferred: frozenset[str] = frozenset()
    """Ids of changes that an approval left out."""


Recall = Mapping[str, Memory]
"""What is remembered, by our key; nothing is known of a key that is not in it."""
Linked = Mapping[str, str]
"""Our key by target id, as the ledger has it: the last writer of a target record counts."""


@dataclass(frozen=True)
class Elsewhere:
    """What lies in no residue and still decides something there; see `services.differ.settling.doubts`."""

    target_ids: frozenset[str] = frozenset()
    """Target records that exist, and that a desired record of their key took."""
    keys: frozenset[str] = frozenset()
    """Keys that are desired, and whose record took a target record of that key."""


@dataclass(frozen=True)
class Compared:
    """One partition of one entity, paired by key."""

    pairs: pl.DataFrame
    """Matched records that differ: the desired side's columns, and the target's with `EXISTING` before their names."""
    unmatched: pl.DataFrame
    """Desired records without a target record of their key."""
    absent: pl.DataFrame
    """Target records whose key is not desired, suspended ones included."""
    desired: int
    live_managed: int
    """Live, managed, in-scope target records: the guard's denominator."""
    quarantined_kept: int
    """Target records left alone because their source row is in quarantine."""
    cohorts: Mapping[str, int]
    """Live, managed records by cohort; empty where the contract names no cohort."""
    groups: Mapping[str, int]
    """Members by group; empty where the entity's records are no memberships."""
    contested: list[str]
    """Keys of sound desired records that several target records claim, in order; they are ambiguous."""


@dataclass
class Declared:
    """How many of the drafted changes a declared delta covers."""

    by_id: Counter[str] = field(default_factory=Counter)
    by_class: Counter[str] = field(default_factory=Counter)
    by_cohort: dict[str, Counter[str]] = field(default_factory=dict)
    """By cohort, then by class."""
    by_field: Counter[str] = field(default_factory=Counter)
    """As `Drafted.field_changes`."""
    by_group: Counter[str] = field(default_factory=Counter)
    """Members taken away, by group."""


@dataclass
class Drafted:
    """Finished changes, and those that were found and left out."""

    changes: list[Change] = field(default_factory=list)
    """In change-id order."""
    aside: list[Aside] = field(default_factory=list)
    """In the order of key, class and code."""
    cohort_changes: dict[str, Counter[str]] = field(default_factory=dict)
    """Changes by cohort, then by class: a record counts where it is before the plan, a new one where it will be."""
    group_removals: Counter[str] = field(default_factory=Counter)
    """Members taken away, by group."""
    declared: Declared = field(default_factory=Declared)

    @property
    def by_class(self) -> dict[str, int]:
        """Changes by class, in name order."""
        counted = Counter(change.change_class.value for change in self.changes)
        return {name: counted[name] for name in sorted(counted)}

    @property
    def null_outs(self) -> int:
        """Changes, without removals, in which at least one value becomes empty."""
        return sum(
            any(one.after is None and one.before is not None for one in change.fields)
            for change in self.changes
            if change.change_class not in DESTRUCTIVE
        )

    @property
    def field_changes(self) -> dict[str, int]:
        """Existing records whose field changes, by field in name order; removals are left out."""
        counted = Counter(
            one.name
            for change in self.changes
            if change.target_id is not None and change.change_class not in DESTRUCTIVE
            for one in change.fields
        )
        return {name: counted[name] for name in sorted(counted)}

    @property
    def aside_by_code(self) -> dict[str, int]:
        """Changes left out, by code in name order."""
        counted = Counter(one.code for one in self.aside)
        return {name: counted[name] for name in sorted(counted)}

    def put_in_order(self) -> None:
        """Bring changes and asides into their one order."""
        self.changes.sort(key=lambda change: change.change_id)
        self.aside.sort(key=lambda one: (one.key, one.change_class.value, one.code, one.target_id or "", one.fields))


@dataclass
class DraftedPairs(Drafted):
    """What the pairs of one partition brought."""

    doubtful: pl.DataFrame = field(default_factory=pl.DataFrame)
    """Pairs of which the ledger says otherwise: they are for stage two, so both halves go into the residue."""


@dataclass
class Settled(Drafted):
    """What the residue of all partitions brought."""

    ambiguous_keys: list[str] = field(default_factory=list)
    """Desired records that stand for several target records, or share one, in order."""
    removals_suppressed: int = 0
    """Removals that were left out for want of a certificate."""
    preserved: int = 0
    """Target records that are desired no longer and stay because the contract preserves them."""
    missed: list[str] = field(default_factory=list)
    """Keys of target records that this certified read missed, in order."""
    suspended_seen: list[str] = field(default_factory=list)
    """Of these, the ones that were suspended already."""


def cohort_of(contract: EntityContract, record: Record) -> str:
    """The name of a record's cohort, as `location=TL-010, role=TEACHER`; a blank value is shown as `-`."""
    return ", ".join(f"{name}={as_text(record[name]) or '-'}" for name in contract.cohort)


def as_text(value: Value) -> str:
    """A value as definitions write it: true and false in small letters, nothing as the empty text."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)

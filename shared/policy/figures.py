"""The figures of a plan that the guard judges: counts by entity, cohort, group, field and window, never a record.

Pure data. The differ makes them, the plan's header carries them, and the applier counts what can be counted again.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from shared.events.model import Document

Window = Literal["24h", "7d"]


class CohortFigures(Document):
    """The numbers of one cohort: the records that share the values of the contract's cohort fields."""

    cohort: str
    """The values, as `location=TL-010, role=TEACHER`; a blank value is shown as `-`."""
    live_managed: int = Field(ge=0)
    """Live, managed, in-scope target records of the cohort before the plan."""
    changes: dict[str, int]
    """Planned changes by class. A record counts where it is before the plan, a new one where it will be."""
    declared: dict[str, int] = Field(default_factory=dict)
    """Of these, the changes that a declared delta matches, by class."""


class GroupFigures(Document):
    """The numbers of one group of which members are taken away."""

    group: str
    members: int = Field(ge=0)
    """Members before the plan."""
    removals: int = Field(ge=0)
    declared: int = Field(default=0, ge=0)
    """Of the removals, those that a declared delta matches."""


class WindowFigures(Document):
    """What was applied to the entity in a sliding window before this run, whichever runs did it."""

    window: Window
    applied: dict[str, int]
    """Applied changes by class."""
    declared: dict[str, int] = Field(default_factory=dict)
    """Of these, the changes that a declared delta covered when they were applied, by class."""


class UsualFigures(Document):
    """The usual range of one number, from the runs before."""

    check: str
    """Name of the guard's check, such as `suspend` or `source_fell`."""
    low: int = Field(ge=0)
    high: int = Field(ge=0)
    runs: int = Field(ge=1)
    """How many runs the range is taken from."""


class DeclaredFigures(Document):
    """A declared delta in force, and how much of it this plan brings."""

    declaration: str
    """Id of the declaration."""
    text: str
    """In the words of who declared it, without personal values."""
    change_class: str
    expected: int = Field(ge=1)
    tolerance_percent: float = Field(ge=0, le=100)
    matched: int = Field(ge=0)
    """Changes of the class that satisfy the declaration's conditions, in this plan."""
    applied_before: int = Field(default=0, ge=0)
    """Changes that matched it in earlier runs and were applied."""


class SourceFigures(Document):
    """What was read from one source, and what the last accepted run read from it."""

    source: str
    rows: int | None = Field(default=None, ge=0)
    """Rows read; None when the read failed before a number was known."""
    rows_accepted_last: int | None = Field(default=None, ge=0)
    """Rows of the last run whose plan was accepted; None when there was none."""
    is_certified: bool


class EntityFigures(Document):
    """The numbers of one entity of a plan."""

    entity: str
    sources: tuple[SourceFigures, ...]
    is_target_certified: bool
    live_managed: int | None = Field(default=None, ge=0)
    """Live, managed, in-scope target records before the plan: the denominator. None when the target is not known."""
    desired: int = Field(ge=0)
    changes: dict[str, int]
    """Planned changes by class."""
    null_outs: int = Field(default=0, ge=0)
    """Changes in which at least one value becomes empty, whatever their class."""
    quarantined: int = Field(default=0, ge=0)
    unmapped: int = Field(default=0, ge=0)
    """Rows with an id that no mapping table holds, whatever the contract makes of them."""
    ambiguous: int = Field(default=0, ge=0)
    """Records set aside because they match several target records, or several claim one key."""
    removals_suppressed: int = Field(default=0, ge=0)
    """Removals that would have been planned, had every source been certified."""
    field_changes: dict[str, int] = Field(default_factory=dict)
    """Existing records whose field changes, by field; removals are left out."""
    declared_fields: dict[str, int] = Field(default_factory=dict)
    """Of these, the records whose change a declared delta matches, by field."""
    cohorts: tuple[CohortFigures, ...] = ()
    """Every cohort with at least one change, in name order; empty where the contract names no cohort."""
    groups: tuple[GroupFigures, ...] = ()
    """For memberships: every group that loses a member, in name order."""
    windows: tuple[WindowFigures, ...] = ()
    """What was applied to the target before, in sliding windows that end with this run."""
    usual: tuple[UsualFigures, ...] = ()
    """What recent runs brought, by check; shown beside the limits."""
    declared: tuple[DeclaredFigures, ...] = ()
    """Declared deltas that are in force, with what they matched."""
    certified_runs: int | None = Field(default=None, ge=0)
    """Earlier runs whose reads were all certified; None where nothing was remembered."""
    is_onboarding: bool = False
    """Whether nothing was ever applied to this target entity by this connector."""
    aside: dict[str, int] = Field(default_factory=dict)
    """Changes that were found and left out of the plan, by code of the catalogue."""


class GuardFigures(Document):
    """All that the guard looks at."""

    entities: tuple[EntityFigures, ...]

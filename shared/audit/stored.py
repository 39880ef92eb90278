"""What the auditor's database holds of runs and plans, as values: rows come out of it as these.

Pure; reading is `lookups` and `plan_lookups`, writing is the auditor's.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from shared.events.model import Document
from shared.policy.verdict import VerdictLine


@dataclass(frozen=True, slots=True)
class StoredRun:
    """One run as it is projected."""

    run: str
    requested_at: str
    state: str
    """Its `RunState`, JSON."""
    sealed: str | None
    """Its `RunSealed`, JSON."""
    sealed_entry: int | None


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One event of a run that answers show."""

    type: str
    body: str
    entry: str
    """Canonical JSON of its audit entry."""


class PlanReview(Document):
    """What a plan's header says to a reviewer; the changes stand beside it."""

    run: str
    plan_run: str
    """The run under whose id the plan lies on PLAN: another one for a retry."""
    plan_digest: str
    is_listed: bool
    """Whether the changes are listed; if not, there are too many, or their pages are gone."""
    target: str = ""
    target_system: str = ""
    environment: str = ""
    target_read_at: str = ""
    verdict: tuple[VerdictLine, ...] = ()
    left_out: dict[str, int] = Field(default_factory=dict)
    """Changes that were found and left out of the plan, by code of the catalogue."""
    changes: int = 0
    """How many the run would carry out or set aside: those of the plan, of a retry those that it tries again."""
    excluded: int = 0
    """Changes that the plan set aside."""
    asides: int = 0
    """How many of those that were left out are listed."""

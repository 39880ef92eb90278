"""What becomes of a target record that is desired no longer: it stays, it waits, it is suspended, or deleted.

Pure. The ladder is the contract's; strikes, times and holds are the ledger's. A removal rests on complete reads: on
one of this run, on two of earlier runs, and on enough of them that missed this very record.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from services.differ.comparing import Memory
from shared.contract.model import EntityContract, Removal
from shared.plan.change import ChangeClass

ONBOARDING_CERTIFIED_RUNS = 2
"""So many certified runs of a connector must have gone before its first removal."""


@dataclass(frozen=True)
class Reads:
    """What the removals of one run rest on."""

    may_remove: bool
    """Whether this run's read of every source is certified."""
    certified_runs: int
    """Certified runs before this one."""
    now: datetime


@dataclass(frozen=True)
class Fate:
    """What becomes of one record."""

    change_class: ChangeClass
    code: str | None = None
    """Why it is left out for now; None when it is done."""


def fate_of(contract: EntityContract, memory: Memory, *, is_suspended: bool, reads: Reads) -> Fate | None:
    """What becomes of a record that is desired no longer; None when nothing does, because it is preserved or has
    reached the lowest rung that it may reach now."""
    change_class = _rung(contract, memory, is_suspended=is_suspended, now=reads.now)
    if change_class is None:
        return None
    if not reads.may_remove:
        return Fate(change_class, "DIF_NOT_CERTIFIED")
    if reads.certified_runs < ONBOARDING_CERTIFIED_RUNS:
        return Fate(change_class, "DIF_ONBOARDING")
    if strikes_with_this(contract.removal, memory, now=reads.now) < contract.removal.strikes:
        return Fate(change_class, "DIF_FIRST_MISS")
    return Fate(change_class)


def strikes_with_this(removal: Removal, memory: Memory, *, now: datetime) -> int:
    """The misses that count, this one included unless it comes too soon after the last."""
    last = memory.last_strike_at
    counts = last is None or now - last >= timedelta(hours=removal.strike_hours)
    return memory.strikes + counts


def removal_class(contract: EntityContract) -> ChangeClass:
    """The first rung of the entity's ladder."""
    return ChangeClass.SUSPEND if contract.membership is None else ChangeClass.MEMBER_REMOVE


def is_suspended(contract: EntityContract, prefix: str = "") -> pl.Expr:
    """Whether a target record is suspended; never, where the contract does not say how that looks.

    `prefix` stands before the names of the target's columns.
    """
    suspended = contract.removal.suspended
    if not suspended:
        return pl.lit(False)
    return pl.all_horizontal(pl.col(prefix + name).eq_missing(pl.lit(value)) for name, value in suspended.items())


def _rung(contract: EntityContract, memory: Memory, *, is_suspended: bool, now: datetime) -> ChangeClass | None:
    removal = contract.removal
    if removal.ladder == "preserve":
        return None
    if contract.membership is not None:
        return ChangeClass.MEMBER_REMOVE
    if not is_suspended:
        return ChangeClass.SUSPEND
    since = memory.suspended_since
    is_due = since is not None and now - since >= timedelta(days=removal.delete_after_days)
    return ChangeClass.DELETE if removal.ladder == "delete" and is_due else None

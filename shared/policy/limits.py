"""The limits of the guard, as data: the house's defaults and what a connector sets instead.

A limit is the largest allowed value. It trips when `n > count`, or when `n > floor` and `n` is more than `percent`
of the denominator. Nothing is measured here; `shared.policy.guard` does that.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from pydantic import Field

from shared.events.model import Document
from shared.hashing.canonical import digest_of

WINDOW_FACTORS: Mapping[str, int] = {"24h": 1, "7d": 2}
"""By sliding window: how many times the limit of a run is allowed within it."""


class Limit(Document):
    """One limit. At least one of `count` and `percent` is set, or it would limit nothing."""

    count: int | None = Field(default=None, ge=0)
    percent: float | None = Field(default=None, ge=0, le=100)
    floor: int = Field(default=0, ge=0)
    """Up to this number the percentage is not looked at."""
    warn_percent: float | None = Field(default=None, ge=0, le=100)
    """Above this share the line warns; it holds nothing."""
    is_off: bool = False
    """Whether what is measured is not allowed at all until a connector sets the limit; any number trips then."""

    @property
    def is_active(self) -> bool:
        """Whether there is a number that trips it: no share of the records is above 100 %."""
        return self.is_off or self.count is not None or (self.percent is not None and self.percent < 100)

    def is_tripped(self, number: int, denominator: int) -> bool:
        """Whether the number is beyond what is allowed; of nothing, any number above the floor is too many."""
        if self.is_off:
            return number > 0
        if self.count is not None and number > self.count:
            return True
        return self._is_above(self.percent, number, denominator)

    def is_warned(self, number: int, denominator: int) -> bool:
        """Whether the number is worth a warning."""
        return self._is_above(self.warn_percent, number, denominator)

    def _is_above(self, percent: float | None, number: int, denominator: int) -> bool:
        if percent is None or number <= self.floor:
            return False
        # As decimals: 57 of 10,000 is exactly 0.57 %, and a binary fraction would call it more.
        return number * 100 > Decimal(str(percent)) * denominator

    def for_window(self, window: str) -> Limit:
        """The limit within a sliding window; `KeyError` for a window that has none."""
        factor = WINDOW_FACTORS[window]
        count = None if self.count is None else self.count * factor
        percent = None if self.percent is None else self.percent * factor
        # Not validated again: twice 60 % is 120 % of the records, which more than one run can reach.
        return self.model_copy(update={"count": count, "percent": percent})

    def in_words(self) -> str:
        """For a verdict line: `allowed 100 or 5 %, and 5 always`."""
        parts = []
        if self.count is not None:
            parts.append(f"{self.count:,}")
        if self.percent is not None:
            parts.append(f"{self.percent:g} %")
        allowed = "allowed " + (" or ".join(parts) or "any number")
        if self.percent is not None and self.floor:
            allowed += f", and {self.floor} always"
        if self.is_off:
            return f"allowed none; a connector that sets the limit is {allowed}"
        return allowed if self.warn_percent is None else f"{allowed}; warns above {self.warn_percent:g} %"


class Policy(Document):
    """All limits of one connector."""

    classes: dict[str, Limit]
    """By class of change; a class without an active limit blocks the plan."""
    source_fell: Limit
    source_grew: Limit
    null_out: Limit
    """Changes that empty a value, whatever their class."""
    quarantine: Limit
    ambiguous: Limit
    touched: Limit = Limit(count=1000, percent=25, floor=25)
    """Existing records that change in any way but a removal, all classes together."""
    field_change: Limit = Limit(percent=20, floor=25)
    """Existing records on which one field changes, measured field by field."""
    unmapped: Limit = Limit(percent=2, floor=5, warn_percent=0.5)
    member_remove_group: Limit = Limit(percent=50, floor=5)
    """Members taken from one group."""
    cohort_records_min: int = Field(default=20, ge=1)
    """Cohorts with fewer live records before the plan are not measured by themselves."""
    group_members_min: int = Field(default=10, ge=1)
    """Groups with fewer members before the plan are not measured by themselves."""

    @property
    def digest(self) -> str:
        """Identity of the policy; plans and approvals are bound to it."""
        return digest_of(self.model_dump(mode="json"))


DEFAULT_POLICY = Policy(
    classes={
        "create": Limit(count=250, percent=10, floor=10),
        "update": Limit(count=1000, percent=25, floor=25),
        "reactivate": Limit(count=250, percent=10, floor=10),
        "rename": Limit(count=10, percent=1, floor=1),
        "role_change": Limit(count=20, percent=2, floor=3),
        "suspend": Limit(count=100, percent=5, floor=5),
        "null_out": Limit(percent=1, floor=5),
        "privilege_gain": Limit(count=0),
        "delete": Limit(count=25, percent=1, floor=2, is_off=True),
        "member_add": Limit(count=1000, percent=25, floor=25),
        "member_remove": Limit(count=500, percent=10, floor=10),
    },
    source_fell=Limit(percent=10, floor=20, warn_percent=3),
    source_grew=Limit(percent=25, floor=50),
    null_out=Limit(percent=1, floor=5),
    quarantine=Limit(percent=2, floor=5, warn_percent=0.5),
    ambiguous=Limit(percent=1),
)

CHANGE_CLASSES = tuple(DEFAULT_POLICY.classes)
"""Every class of change, in the order of the verdict's lines."""
REMOVALS = ("suspend", "delete", "member_remove")
"""Classes that take something away."""
ADDITIONS = ("create", "member_add")
"""Classes whose records are not in the target before the plan, and so in no denominator."""
TOUCHING = tuple(name for name in CHANGE_CLASSES if name not in REMOVALS and name not in ADDITIONS)
"""Classes that `touched` sums. A gain of privilege may be a new record; counting it errs on the safe side."""

_CHECKS = {
    "source_fell": "source_fell",
    "source_grew": "source_grew",
    "value_emptied": "null_out",
    "quarantined": "quarantine",
    "unmapped": "unmapped",
    "ambiguous": "ambiguous",
    "touched": "touched",
    "field_changed": "field_change",
    "member_remove_group": "member_remove_group",
}
"""Limits that are not of one class, by the name of their check, and where the policy keeps them."""

LIMIT_NAMES = (*CHANGE_CLASSES, *_CHECKS)
"""Every name under which a limit can be set."""


def limit_named(name: str, policy: Policy = DEFAULT_POLICY) -> Limit:
    """The limit of a class of change or of a check; `ValueError` names all when there is none of that name."""
    if name in policy.classes:
        return policy.classes[name]
    if name in _CHECKS:
        limit = getattr(policy, _CHECKS[name])
        assert isinstance(limit, Limit)  # noqa: S101 -- the table names limits only
        return limit
    known = ", ".join(sorted([*policy.classes, *_CHECKS]))
    raise ValueError(f"no limit is named {name!r}; the names are {known}")


def policy_with(overrides: Mapping[str, Limit], base: Policy = DEFAULT_POLICY) -> Policy:
    """The base policy with some limits replaced, by class of change or by check; `ValueError` for another name.

    A limit that is set is on. `update` stands for the records touched as well, unless `touched` is set by itself.
    """
    classes = dict(base.classes)
    checks: dict[str, Limit] = {}
    for name, given in overrides.items():
        limit_named(name, base)
        limit = given.model_copy(update={"is_off": False})
        if name in classes:
            classes[name] = limit
        else:
            checks[_CHECKS[name]] = limit
    if "update" in overrides:
        checks.setdefault("touched", classes["update"])
    return base.model_copy(update={"classes": classes, **checks})


def uncovered_classes(policy: Policy) -> tuple[str, ...]:
    """The classes of change that no active limit covers; a connector with any is refused."""
    return tuple(name for name in CHANGE_CLASSES if name not in policy.classes or not policy.classes[name].is_active)

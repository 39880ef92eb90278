"""The limits of the guard, as data: the house's defaults and what a connector sets instead.

A limit is the largest allowed value. It trips when `n > count`, or when `n > floor` and `n` is more than `percent`
of the denominator.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from shared.events.model import Document
from shared.hashing.canonical import digest_of


class Limit(Document):
    """One limit. At least one of `count` and `percent` is set, or it would limit nothing."""

    count: int | None = Field(default=None, ge=0)
    percent: float | None = Field(default=None, ge=0, le=100)
    floor: int = Field(default=0, ge=0)
    """Up to this number the percentage is not looked at."""
    warn_percent: float | None = Field(default=None, ge=0, le=100)
    """Above this share the line warns; it holds nothing."""

    def is_tripped(self, number: int, denominator: int) -> bool:
        """Whether the number is beyond what is allowed; of nothing, any number above the floor is too many."""
        if self.count is not None and number > self.count:
            return True
        return self.percent is not None and number > self.floor and number * 100 > self.percent * denominator

    def is_warned(self, number: int, denominator: int) -> bool:
        """Whether the number is worth a warning."""
        return self.warn_percent is not None and number > self.floor and number * 100 > self.warn_percent * denominator

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
        return allowed if self.warn_percent is None else f"{allowed}; warns above {self.warn_percent:g} %"


class Policy(Document):
    """All limits of one connector."""

    classes: dict[str, Limit]
    """By class of change; a class without a limit blocks the plan."""
    source_fell: Limit
    source_grew: Limit
    null_out: Limit
    quarantine: Limit
    ambiguous: Limit

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
        "delete": Limit(count=25, percent=1, floor=2),
        "member_add": Limit(count=1000, percent=25, floor=25),
        "member_remove": Limit(count=500, percent=10, floor=10),
    },
    source_fell=Limit(percent=10, floor=20, warn_percent=3),
    source_grew=Limit(percent=25, floor=50),
    null_out=Limit(percent=1, floor=5),
    quarantine=Limit(percent=2, floor=5, warn_percent=0.5),
    ambiguous=Limit(percent=1),
)


_CHECKS = {
    "source_fell": "source_fell",
    "source_grew": "source_grew",
    "value_emptied": "null_out",
    "quarantined": "quarantine",
    "ambiguous": "ambiguous",
}
"""Limits that are not of one class, by the name of their check, and where the policy keeps them."""


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


def policy_with(overrides: Mapping[str, Limit]) -> Policy:
    """The default policy with some limits replaced, by class of change or by check; `ValueError` for another name."""
    classes = dict(DEFAULT_POLICY.classes)
    checks: dict[str, Limit] = {}
    for name, limit in overrides.items():
        limit_named(name)
        if name in classes:
            classes[name] = limit
        else:
            checks[_CHECKS[name]] = limit
    return DEFAULT_POLICY.model_copy(update={"classes": classes, **checks})

"""How far a system may be trusted: the rules that every system is held to, and the tier that those it keeps amount to.

A system's `quality.yaml` names the rules that it keeps; the conformance suites refuse a claim that no test has shown,
and a rule shown that is not claimed. From the rules a tier is computed, and from the tier what the house lets the
system do. Nobody sets a tier by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.ports.manifest import Manifest, Role


class Tier(IntEnum):
    """How far a system may be trusted; each tier includes those below it."""

    NONE = 0
    BRONZE = 1
    SILVER = 2
    GOLD = 3
    PLATINUM = 4

    @property
    def title(self) -> str:
        """As people write it."""
        return self.name.lower()


AUTHORITY: Final[Mapping[Tier, str]] = {
    Tier.NONE: "nothing",
    Tier.BRONZE: "reads that a person asks for",
    Tier.SILVER: "scheduled reads",
    Tier.GOLD: "writes that people have approved",
    Tier.PLATINUM: "writes that the policy approves by itself",
}
"""What the house lets a system of that tier do."""


@dataclass(frozen=True)
class Rule:
    """One promise that a system makes."""

    name: str
    tier: Tier
    """The lowest tier that needs it."""
    role: Role
    """Systems that cannot play that role are not asked for it."""
    text: str


RULES: Final[tuple[Rule, ...]] = (
    Rule("complete_reads_only", Tier.BRONZE, "source", "A reading delivers every row and the proof of it, or fails."),
    Rule("empty_is_not_failed", Tier.BRONZE, "source", "No rows are told from no answer."),
    Rule("causes_are_told_apart", Tier.BRONZE, "source", "Network, credential, permission and shape are told apart."),
    Rule(
        "no_personal_values_told", Tier.BRONZE, "source", "No log line and no error holds a personal value or a secret."
    ),
    Rule(
        "matches_its_manifest", Tier.BRONZE, "source", "It does what its manifest says, and nothing that it leaves out."
    ),
    Rule("unsteady_lists_are_noticed", Tier.SILVER, "source", "Pages torn, repeated or moving never pass for a whole."),
    Rule("throttling_is_heeded", Tier.SILVER, "source", "It waits when it is told to, and tells the shared budget."),
    Rule("expired_credentials_are_noticed", Tier.SILVER, "source", "A token that ends half-way is renewed or told."),
    Rule("everything_is_bounded", Tier.SILVER, "source", "Bodies, pages, tries and waits have an end."),
    Rule("abandoned_without_trace", Tier.SILVER, "source", "A reading given up within a page leaves nothing behind."),
    Rule("requests_are_measured", Tier.SILVER, "source", "Every request takes its turn and is counted."),
    Rule("judged_by_a_simulator", Tier.SILVER, "source", "It works against a simulator made by others from the facts."),
    Rule("answers_have_one_meaning", Tier.GOLD, "target", "Done, surely not done, refused or unknown: always one."),
    Rule("unknown_outcomes_are_said", Tier.GOLD, "target", "A write without a whole answer is never called failed."),
    Rule("writes_are_sent_once", Tier.GOLD, "target", "One call sends one write; nothing is repeated inside."),
    Rule("twice_is_once", Tier.GOLD, "target", "The same change sent again makes no second record."),
    Rule("records_are_shown", Tier.GOLD, "target", "One record is shown as a list shows it, by id and by key."),
    Rule("reading_writes_nothing", Tier.GOLD, "target", "Who opens it for reading cannot write."),
    Rule("wire_is_pure", Tier.GOLD, "target", "The write in the plan is the write that goes out."),
    Rule("judged_by_third_parties", Tier.PLATINUM, "source", "A client or schema of other people agrees with us."),
    Rule("confirmed_with_vendor", Tier.PLATINUM, "source", "The vendor has confirmed what is assumed."),
    Rule("proven_against_the_real_system", Tier.PLATINUM, "source", "It has run against the vendor's own system."),
)

_RULES: Final = {rule.name: rule for rule in RULES}


class Quality(BaseModel):
    """What a system's `quality.yaml` says of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shown: tuple[str, ...] = ()
    """Rules that the conformance suites show."""
    elsewhere: dict[str, str] = Field(default_factory=dict)
    """Rules that a test of its own shows, and the file of that test."""
    lacks: dict[str, str] = Field(default_factory=dict)
    """Rules that it does not keep, and why."""
    judges: tuple[str, ...] = ()
    """Who outside of the project has agreed with it or with its simulator: published clients, drivers, schemas."""

    @model_validator(mode="after")
    def _each_rule_once(self) -> Quality:
        named = [*self.shown, *self.elsewhere, *self.lacks]
        for name in named:
            if name not in _RULES:
                raise ValueError(f"{name} is no rule; there are: {', '.join(_RULES)}")
            if named.count(name) > 1:
                raise ValueError(f"{name} is named {named.count(name)} times; a rule is kept or not")
        return self

    @property
    def kept(self) -> frozenset[str]:
        """The rules that it keeps."""
        return frozenset((*self.shown, *self.elsewhere))


def rules_for(manifest: Manifest) -> tuple[Rule, ...]:
    """The rules that a system is held to, by the roles that it plays."""
    return tuple(rule for rule in RULES if rule.role in manifest.capabilities or rule.role == "source")


def tier_of(quality: Quality, manifest: Manifest, *, role: Literal["source", "target"]) -> Tier:
    """The tier of a system in a role: the highest of which it keeps all rules, its own and those below."""
    reached = Tier.NONE
    for tier in (Tier.BRONZE, Tier.SILVER, Tier.GOLD, Tier.PLATINUM):
        if role == "source" and tier is Tier.GOLD:
            continue  # gold is about writing
        asked = [rule for rule in rules_for(manifest) if rule.tier is tier]
        if any(rule.name not in quality.kept for rule in asked):
            break
        reached = tier
    return reached


def missing_for(tier: Tier, quality: Quality, manifest: Manifest) -> tuple[str, ...]:
    """The rules that keep a system from a tier."""
    return tuple(rule.name for rule in rules_for(manifest) if rule.tier <= tier and rule.name not in quality.kept)

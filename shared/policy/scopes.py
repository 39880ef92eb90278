"""The narrower and wider scopes of the guard: cohorts, groups, fields, sliding windows, and the run over its entities.

Decides what is measured against which limit there; a large district hides a lost school, a night a slow loss, and
many entities a run that is large in all of them. Lines that pass are told by one summary for each kind. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from shared.policy.declared import Coverage, coverage_of
from shared.policy.figures import EntityFigures
from shared.policy.limits import ADDITIONS, CHANGE_CLASSES, TOUCHING, Limit, Policy
from shared.policy.verdict import Level, Scope, VerdictLine, level_of, limit_line, summarised

UNLIMITED_AT_FIRST = frozenset({"create", "update", "touched"})
"""Checks without a limit while nothing was ever applied: the first run makes and aligns everything."""


@dataclass(frozen=True)
class Judged:
    """An entity's numbers as they are judged: without what declared deltas cover."""

    figures: EntityFigures
    policy: Policy
    coverage: Coverage
    numbers: Mapping[str, int]
    """By class of change, and `touched`."""
    denominator: int | None

    @property
    def name(self) -> str:
        """Name of the entity."""
        return self.figures.entity

    @property
    def limits(self) -> dict[str, Limit]:
        """The limits on classes and on records touched, in the order of the lines."""
        return limits_of(self.policy)

    def is_unlimited(self, check: str) -> bool:
        """Whether the check has no limit because this is the entity's first run."""
        return self.figures.is_onboarding and check in UNLIMITED_AT_FIRST


def judged(figures: EntityFigures, policy: Policy) -> Judged:
    """The numbers that the limits are held against."""
    # A class that is off stays off: declaring its changes does not set its limit.
    off = {name for name, limit in policy.classes.items() if limit.is_off}
    coverage = coverage_of(figures).leaving_out(off)
    net = {name: number - coverage.covered.get(name, 0) for name, number in figures.changes.items()}
    denominator = figures.live_managed
    if denominator is not None:
        denominator = _without(denominator, coverage.covered)
    return Judged(
        figures=figures, policy=policy, coverage=coverage, numbers=_with_touched(net), denominator=denominator
    )


def limits_of(policy: Policy) -> dict[str, Limit]:
    """The limits on classes and on records touched; always in one order, whatever order the policy was read in."""
    named = {name: policy.classes[name] for name in CHANGE_CLASSES if name in policy.classes}
    return {**named, "touched": policy.touched}


def cohort_lines(entity: Judged) -> list[VerdictLine]:
    """The cohorts, each by the limits of a run and its own records."""
    if not entity.figures.cohorts:
        return []
    least, limits = entity.policy.cohort_records_min, entity.limits
    measured = [one for one in entity.figures.cohorts if one.live_managed >= least]
    lines: list[VerdictLine] = []
    for cohort in measured:
        net = {
            name: entity.coverage.without_covered(name, number=number, matched=cohort.declared.get(name, 0))
            for name, number in cohort.changes.items()
        }
        covered = {name: cohort.changes[name] - number for name, number in net.items()}
        numbers, denominator = _with_touched(net), _without(cohort.live_managed, covered)
        scope = Scope(f"{entity.name}, cohort {cohort.cohort}", measured=cohort.cohort)
        for check, limit in limits.items():
            if entity.is_unlimited(check) or level_of(numbers[check], denominator, limit) is Level.PASS:
                continue  # thousands of cohorts pass; no line is made for what is not shown
            lines.append(limit_line(check, scope, number=numbers[check], denominator=denominator, limit=limit))
    small = len(entity.figures.cohorts) - len(measured)
    said = f"{len(measured):,} cohorts measured, {small:,} with fewer than {least} records not"
    return summarised("cohorts", entity.name, lines=lines, said=said)


def group_lines(entity: Judged) -> list[VerdictLine]:
    """The groups that lose members."""
    if not entity.figures.groups:
        return []
    least = entity.policy.group_members_min
    measured = [one for one in entity.figures.groups if one.members >= least]
    lines = []
    for group in measured:
        number = entity.coverage.without_covered("member_remove", number=group.removals, matched=group.declared)
        lines.append(
            limit_line(
                "member_remove_group",
                Scope(f"{entity.name}, group {group.group}", measured=group.group),
                number=number,
                denominator=group.members - (group.removals - number),
                limit=entity.policy.member_remove_group,
            )
        )
    small = len(entity.figures.groups) - len(measured)
    said = f"{len(measured):,} groups measured, {small:,} with fewer than {least} members not"
    return summarised("groups", entity.name, lines=lines, said=said)


def field_lines(entity: Judged) -> list[VerdictLine]:
    """Each field by how many records it changes on."""
    changed = entity.figures.field_changes
    if not changed:
        return []
    lines = []
    over = sum(number for name, number in entity.coverage.over.items() if name in TOUCHING)
    covered = sum(number for name, number in entity.coverage.covered.items() if name in TOUCHING)
    for field in sorted(changed):
        # A covered change is of one of the classes that touch a record, so no field has more covered than they.
        declared = min(changed[field], covered, max(0, entity.figures.declared_fields.get(field, 0) - over))
        lines.append(
            limit_line(
                "field_changed",
                Scope(f"{entity.name}, field {field}", measured=field),
                number=changed[field] - declared,
                denominator=entity.denominator,
                limit=entity.policy.field_change,
            )
        )
    return summarised("fields", entity.name, lines=lines, said=f"{len(lines):,} changed fields measured")


def window_lines(entity: Judged) -> list[VerdictLine]:
    """What was applied in each sliding window, with this plan.

    Only what the plan adds to is measured: what was approved and applied is done, and holding a plan that has none of
    it would undo nothing.
    """
    if not entity.figures.windows:
        return []
    lines: list[VerdictLine] = []
    for window in entity.figures.windows:
        before = _with_touched({name: n - window.declared.get(name, 0) for name, n in window.applied.items()})
        for check, limit in entity.limits.items():
            if entity.numbers[check] == 0 or entity.is_unlimited(check):
                continue
            lines.append(
                limit_line(
                    check,
                    Scope(
                        f"{entity.name} in {window.window}",
                        measured=window.window,
                        note=f"{before[check]:,} of them were applied before this plan",
                    ),
                    number=before[check] + entity.numbers[check],
                    denominator=entity.denominator,
                    limit=limit.for_window(window.window),
                )
            )
    names = ", ".join(one.window for one in entity.figures.windows)
    return summarised("windows", entity.name, lines=lines, said=f"{names} with this plan measured")


def run_lines(entities: Sequence[Judged], policy: Policy) -> list[VerdictLine]:
    """The sums over all entities; with one entity its own lines say the same."""
    if len(entities) < 2:
        return []
    lines = []
    for check, limit in limits_of(policy).items():
        limited = [one for one in entities if not one.is_unlimited(check)]
        lines.append(
            limit_line(
                check,
                Scope("all records of the run"),
                number=sum(one.numbers[check] for one in limited),
                denominator=_summed([one.denominator for one in limited]),
                limit=limit,
            )
        )
    return summarised("run", "run", lines=lines, said=f"{len(entities):,} entities measured together")


def contradictions(figures: EntityFigures) -> Iterator[str]:
    """Figures that cannot all be true; nothing can be judged by them."""
    changes = Counter(figures.changes)
    by_declaration: Counter[str] = Counter()
    for one in figures.declared:
        by_declaration[one.change_class] += one.matched
    for name in sorted(by_declaration):
        if by_declaration[name] > changes[name]:
            yield f"{by_declaration[name]:,} {name} match declarations, {changes[name]:,} are planned"
    if figures.cohorts:
        in_cohorts: Counter[str] = Counter()
        for cohort in figures.cohorts:
            in_cohorts.update(cohort.changes)
        for name in sorted({*changes, *in_cohorts}):
            if in_cohorts[name] != changes[name]:
                yield f"the cohorts hold {in_cohorts[name]:,} {name}, {changes[name]:,} are planned"
    removals = sum(group.removals for group in figures.groups)
    if figures.groups and removals != changes["member_remove"]:
        yield f"the groups lose {removals:,} members, {changes['member_remove']:,} member_remove are planned"
    parts: list[tuple[str, Mapping[str, int], Mapping[str, int]]] = [
        *((f"cohort {one.cohort}", one.declared, one.changes) for one in figures.cohorts),
        *((f"group {one.group}", {"removals": one.declared}, {"removals": one.removals}) for one in figures.groups),
        *((f"window {one.window}", one.declared, one.applied) for one in figures.windows),
        ("fields", figures.declared_fields, figures.field_changes),
    ]
    for part, declared, whole in parts:
        for name in sorted(declared):
            if declared[name] > whole.get(name, 0):
                yield f"{part}: {declared[name]:,} of {whole.get(name, 0):,} {name} are declared"


def _with_touched(numbers: Mapping[str, int]) -> Counter[str]:
    counted = Counter(dict(numbers))
    counted["touched"] = sum(counted[name] for name in TOUCHING)
    return counted


def _without(records: int, covered: Mapping[str, int]) -> int:
    """Records without those whose change is covered; new ones were not among them."""
    return max(0, records - sum(number for name, number in covered.items() if name not in ADDITIONS))


def _summed(denominators: Sequence[int | None]) -> int | None:
    known = [one for one in denominators if one is not None]
    return sum(known) if len(known) == len(denominators) else None

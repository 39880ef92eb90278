"""Counts of one entity by cohort, group and declaration, as they travel from the partitions to the plan.

Pure. There can be as many groups as there are classes in a district, too many for a fact on the bus; so the counts
ride as a small frame beside the residue, are added up over all partitions, and become figures here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import polars as pl

from services.differ.comparing import Compared, Drafted
from shared.policy.declared import Declaration, figures_of_declaration
from shared.policy.figures import CohortFigures, DeclaredFigures, GroupFigures

Kind = Literal[
    "cohort",
    "cohort_change",
    "group",
    "group_removal",
    "declared",
    "declared_cohort",
    "declared_field",
    "declared_group",
]
"""`cohort`: live managed records. `cohort_change`: changes, by class. `group`: members. `group_removal`: members taken
away. `declared…`: changes that a declaration covers, by its id; by cohort and class; by field; by group."""
Tally = Counter[tuple[str, str, str]]
"""Numbers by kind, name and class; the class is empty where the kind knows none."""

SCHEMA = pl.Schema({"kind": pl.String, "name": pl.String, "change_class": pl.String, "number": pl.Int64})


def tally_of(drafted: Drafted, compared: Compared | None = None) -> Tally:
    """The counts of what was drafted, and of the partition that it was drafted from."""
    found: Tally = Counter()
    if compared is not None:
        _add(found, "cohort", compared.cohorts)
        _add(found, "group", compared.groups)
    for cohort, by_class in drafted.cohort_changes.items():
        _add_classes(found, "cohort_change", cohort, by_class)
    _add(found, "group_removal", drafted.group_removals)
    declared = drafted.declared
    _add(found, "declared", declared.by_id)
    for cohort, by_class in declared.by_cohort.items():
        _add_classes(found, "declared_cohort", cohort, by_class)
    _add(found, "declared_field", declared.by_field)
    _add(found, "declared_group", declared.by_group)
    return found


def frame_of(tally: Tally) -> pl.DataFrame:
    """The counts as a frame, for the bus."""
    rows = [(*where, number) for where, number in sorted(tally.items())]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def tally_from(frames: Iterable[pl.DataFrame]) -> Tally:
    """The sum of such frames."""
    found: Tally = Counter()
    for frame in frames:
        for kind, name, change_class, number in frame.select(list(SCHEMA)).iter_rows():
            found[(kind, name, change_class)] += number
    return found


def cohorts_of(tally: Tally) -> tuple[CohortFigures, ...]:
    """Every cohort with a change, in name order."""
    live, changes = _numbers(tally, "cohort"), _by_class(tally, "cohort_change")
    declared = _by_class(tally, "declared_cohort")
    return tuple(
        CohortFigures(
            cohort=cohort,
            live_managed=live.get(cohort, 0),
            changes=changes[cohort],
            declared=declared.get(cohort, {}),
        )
        for cohort in sorted(changes)
    )


def groups_of(tally: Tally) -> tuple[GroupFigures, ...]:
    """Every group that loses a member, in name order."""
    members, removals = _numbers(tally, "group"), _numbers(tally, "group_removal")
    declared = _numbers(tally, "declared_group")
    return tuple(
        GroupFigures(
            group=group, members=members.get(group, 0), removals=removals[group], declared=declared.get(group, 0)
        )
        for group in sorted(removals)
    )


def declared_of(
    tally: Tally, declarations: Sequence[Declaration], applied_before: Mapping[str, int]
) -> tuple[DeclaredFigures, ...]:
    """Every declaration in force, with what it covers in this plan and covered in earlier ones."""
    matched = _numbers(tally, "declared")
    return tuple(
        figures_of_declaration(one, matched=matched.get(one.id, 0), applied_before=applied_before.get(one.id, 0))
        for one in declarations
    )


def declared_fields_of(tally: Tally) -> dict[str, int]:
    """Changes that a declaration covers, by field in name order."""
    return _numbers(tally, "declared_field")


def _add(tally: Tally, kind: Kind, numbers: Mapping[str, int]) -> None:
    for name, number in numbers.items():
        if number:
            tally[(kind, name, "")] += number


def _add_classes(tally: Tally, kind: Kind, name: str, by_class: Mapping[str, int]) -> None:
    for change_class, number in by_class.items():
        if number:
            tally[(kind, name, str(change_class))] += number


def _numbers(tally: Tally, wanted: Kind) -> dict[str, int]:
    return {name: number for (kind, name, _), number in sorted(tally.items()) if kind == wanted}


def _by_class(tally: Tally, wanted: Kind) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (kind, name, change_class), number in sorted(tally.items()):
        if kind == wanted:
            found.setdefault(name, {})[change_class] = number
    return found

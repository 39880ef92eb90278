"""More harm never looks like less: raising any count of harm in the figures never lowers the level.

Not raised here, because they are no counts of harm: what is there already (`live_managed`, `desired`, members), what
was read (`rows`), runs (`certified_runs`), and what was declared or expected. That a match with a declaration hides
nothing else is the last promise below.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.policy.figures import (
    DeclaredFigures,
    EntityFigures,
    GroupFigures,
    GuardFigures,
    SourceFigures,
    UsualFigures,
)
from shared.policy.guard import Level, guard
from shared.policy.limits import CHANGE_CLASSES, DEFAULT_POLICY, Policy
from tests.unit.policy.judging import DELETES, cohort, declared, group, window

ORDER = list(Level)
EDGES = [0, 1, 5, 6, 10, 11, 20, 21, 25, 26, 60, 100, 101, 250, 500, 1000, 1046]
FEW = st.one_of(st.just(0), st.integers(0, 6))
NUMBER = st.one_of(st.sampled_from(EDGES), st.integers(0, 1500))
USUALLY = st.sampled_from([True] * 9 + [False])
CLASS = st.sampled_from(CHANGE_CLASSES)
POLICY = st.sampled_from([DEFAULT_POLICY, DELETES])


@st.composite
def entities(draw: st.DrawFn, name: str = "contacts") -> EntityFigures:
    """Figures that do not contradict themselves; half of them quiet, for what is held already shows nothing more."""
    number = draw(st.sampled_from([FEW, NUMBER]))
    counts = st.dictionaries(CLASS, number, max_size=4)
    cohorts = tuple(cohort(f"c{n}", draw(NUMBER), draw(counts)) for n in range(draw(st.integers(0, 3))))
    changes: Counter[str] = Counter(draw(counts))
    if cohorts:
        changes = Counter()
        for one in cohorts:
            changes.update(one.changes)
    groups: tuple[GroupFigures, ...] = ()
    if not cohorts and draw(st.booleans()):
        groups = (group("g0", draw(NUMBER), draw(number)), group("g1", draw(NUMBER), draw(number)))
        changes["member_remove"] = sum(one.removals for one in groups)
    promised: tuple[DeclaredFigures, ...] = ()
    if changes:
        of = draw(st.sampled_from(sorted(changes)))
        promised = (
            declared(draw(st.integers(0, changes[of])), of, expected=draw(st.integers(1, 900)), before=draw(number)),
        )
    return EntityFigures(
        entity=name,
        sources=(
            SourceFigures(
                source="person",
                rows=draw(st.sampled_from([None, 1, 890, 960, 1000, 1000, 1300])),
                rows_accepted_last=draw(st.sampled_from([None, 1000])),
                is_certified=draw(USUALLY),
            ),
        ),
        is_target_certified=draw(USUALLY),
        live_managed=draw(st.sampled_from([20, 400, 1000, 5000, 100_000])) if draw(USUALLY) else None,
        desired=draw(st.sampled_from([0, 400, 1000, 5000])),
        changes=dict(changes),
        null_outs=draw(number),
        quarantined=draw(number),
        unmapped=draw(number),
        ambiguous=draw(number),
        removals_suppressed=draw(number),
        field_changes=draw(st.dictionaries(st.sampled_from(["email", "phone"]), NUMBER)),
        cohorts=cohorts,
        groups=groups,
        windows=(window("24h", draw(counts)), window("7d", draw(counts))),
        usual=(UsualFigures(check="suspend", low=0, high=9, runs=3),),
        declared=promised,
        certified_runs=draw(st.integers(0, 9)) if draw(USUALLY) else None,
        is_onboarding=draw(st.booleans()),
        aside=draw(st.dictionaries(st.just("DIF_HELD"), NUMBER)),
    )


def more(counts: Mapping[str, int], name: str, by: int) -> dict[str, int]:
    return {**counts, name: counts.get(name, 0) + by}


def raise_changes(figures: EntityFigures, name: str, by: int) -> dict[str, Any]:
    """One more of a class is one more in a cohort and in a group too."""
    raised: dict[str, Any] = {"changes": more(figures.changes, name, by)}
    if figures.cohorts:
        first = figures.cohorts[0]
        first = first.model_copy(update={"changes": more(first.changes, name, by)})
        raised["cohorts"] = (first, *figures.cohorts[1:])
    if figures.groups and name == "member_remove":
        first_group = figures.groups[0]
        first_group = first_group.model_copy(update={"removals": first_group.removals + by})
        raised["groups"] = (first_group, *figures.groups[1:])
    return raised


def raise_windows(figures: EntityFigures, name: str, by: int) -> dict[str, Any]:
    return {
        "windows": tuple(one.model_copy(update={"applied": more(one.applied, name, by)}) for one in figures.windows)
    }


Raise = Callable[[EntityFigures, str, int], dict[str, Any]]

RAISES: dict[str, Raise] = {
    "changes": raise_changes,
    "null_outs": lambda figures, _, by: {"null_outs": figures.null_outs + by},
    "quarantined": lambda figures, _, by: {"quarantined": figures.quarantined + by},
    "unmapped": lambda figures, _, by: {"unmapped": figures.unmapped + by},
    "ambiguous": lambda figures, _, by: {"ambiguous": figures.ambiguous + by},
    "removals_suppressed": lambda figures, _, by: {"removals_suppressed": figures.removals_suppressed + by},
    "field_changes": lambda figures, _, by: {"field_changes": more(figures.field_changes, "email", by)},
    "windows": raise_windows,
    "aside": lambda figures, _, by: {"aside": more(figures.aside, "DIF_HELD", by)},
}
"""How each count of harm is raised."""
NO_HARM = {
    "entity", "sources", "is_target_certified", "live_managed", "desired", "usual", "declared", "declared_fields",
    "certified_runs", "is_onboarding",
}  # fmt: skip
TOLD_WITH_CHANGES = {"cohorts", "groups"}


def test_every_figure_is_either_raised_here_or_is_no_count_of_harm() -> None:
    assert set(EntityFigures.model_fields) == set(RAISES) | NO_HARM | TOLD_WITH_CHANGES


def levels(before: EntityFigures, after: EntityFigures, other: EntityFigures, policy: Policy) -> tuple[int, int]:
    first, second = (guard(GuardFigures(entities=(one, other)), policy) for one in (before, after))
    assert "guard" not in {line.check for line in first.lines}
    return ORDER.index(first.level), ORDER.index(second.level)


@pytest.mark.parametrize("what", sorted(RAISES))
@settings(deadline=None, max_examples=40)
@given(figures=entities(), other=entities("members"), name=CLASS, by=st.integers(1, 500), policy=POLICY)
def test_more_harm_never_lowers_the_level(
    what: str, figures: EntityFigures, other: EntityFigures, name: str, by: int, policy: Policy
) -> None:
    raised = figures.model_copy(update=RAISES[what](figures, name, by))
    before, after = levels(figures, raised, other, policy)
    assert after >= before


@settings(deadline=None, max_examples=40)
@given(figures=entities(), other=entities("members"), by=st.integers(1, 500), policy=POLICY)
def test_more_matches_of_a_declaration_release_nothing_that_is_held(
    figures: EntityFigures, other: EntityFigures, by: int, policy: Policy
) -> None:
    """A change that comes with its own match may end a shortfall, and that is all."""
    if not figures.declared:
        return
    promised = figures.declared[0]
    raised = figures.model_copy(
        update={
            **raise_changes(figures, promised.change_class, by),
            "declared": (promised.model_copy(update={"matched": promised.matched + by}),),
        }
    )
    before, after = levels(figures, raised, other, policy)
    assert after >= before or before < ORDER.index(Level.HOLD)


@settings(deadline=None, max_examples=40)
@given(figures=entities(), by=st.integers(1, 500))
def test_what_was_applied_of_a_declaration_releases_nothing_that_is_held(figures: EntityFigures, by: int) -> None:
    if not figures.declared:
        return
    promised = figures.declared[0]
    later = promised.model_copy(update={"applied_before": promised.applied_before + by})
    raised = figures.model_copy(update={"declared": (later,)})
    before, after = levels(figures, raised, figures, DEFAULT_POLICY)
    assert after >= before or before < ORDER.index(Level.HOLD)


@settings(deadline=None, max_examples=40)
@given(figures=entities(), policy=POLICY)
def test_losing_a_certificate_or_the_denominator_never_lowers_the_level(figures: EntityFigures, policy: Policy) -> None:
    sources = tuple(one.model_copy(update={"is_certified": False}) for one in figures.sources)
    for lost in ({"sources": sources}, {"live_managed": None}, {"is_target_certified": False}):
        before, after = levels(figures, figures.model_copy(update=lost), figures, policy)
        assert after >= before

"""The content digest: the same for equal data, whatever the run and what went before; and it seals all else."""

from __future__ import annotations

import pytest

from shared.plan.change import Change, Mark
from shared.plan.document import PlanHeader, content_digest_of, leaves_of, plan_digest_of
from shared.policy.figures import GuardFigures
from tests.unit.plan.model_walk import Place, built, places_of
from tests.unit.plan.plan_builder import OTHER_RUN, certificate, change, plan

LEAVES = leaves_of([change(1), change(2)])
PLAIN = built(PlanHeader)

OF_THE_RUN = {
    "run",
    "requester",
    "target_serial",
    "target_read_at",
    "certificates",
    "verdict",
    "approvals_needed",
    "created_at",
    "expires_at",
}
ENTITY_FIGURES = ("figures", "entities", "*")
OF_HISTORY: set[Place] = {
    (*ENTITY_FIGURES, "windows"),
    (*ENTITY_FIGURES, "usual"),
    (*ENTITY_FIGURES, "certified_runs"),
    (*ENTITY_FIGURES, "is_onboarding"),
    (*ENTITY_FIGURES, "sources", "*", "rows_accepted_last"),
    (*ENTITY_FIGURES, "declared", "*", "applied_before"),
}


def is_left_out(place: Place) -> bool:
    return place[0] in OF_THE_RUN or any(place[: len(history)] == history for history in OF_HISTORY)


PLACES = places_of(PlanHeader)


def test_every_field_of_the_header_is_walked() -> None:
    assert {place[0] for place in PLACES} == set(PlanHeader.model_fields)
    assert all(any(place[: len(history)] == history for place in PLACES) for history in OF_HISTORY)


@pytest.mark.parametrize("place", PLACES, ids=".".join)
def test_content_digest_is_altered_by_every_field_but_those_of_run_and_history(place: Place) -> None:
    altered = built(PlanHeader, altered=place)
    assert altered != PLAIN
    is_same = content_digest_of(altered, LEAVES) == content_digest_of(PLAIN, LEAVES)
    assert is_same == is_left_out(place)
    assert plan_digest_of(altered, LEAVES) != plan_digest_of(PLAIN, LEAVES)


def test_second_run_over_equal_data_has_the_content_of_the_first() -> None:
    changes = [change(1), change(2)]
    first = plan(changes)
    (figures,) = first.header.figures.entities
    later = figures.model_copy(
        update={
            "certified_runs": 3,
            "is_onboarding": True,
            "sources": tuple(one.model_copy(update={"rows_accepted_last": 999}) for one in figures.sources),
        }
    )
    second = plan(
        changes,
        run=OTHER_RUN,
        created_at="2026-11-23T08:00:00.000Z",
        target_serial=9,
        certificates=(certificate(rows=100),),
        figures=GuardFigures(entities=(later,)),
    )
    assert second.content_digest == first.content_digest
    assert second.plan_digest != first.plan_digest


def test_marks_for_the_reviewer_alter_no_digest() -> None:
    mark: Mark = "deferred"
    changes = [change(1), change(2)]
    marked: list[Change] = [one.model_copy(update={"marks": (mark,)}) for one in changes]
    assert marked != changes
    assert plan(marked).plan_digest == plan(changes).plan_digest
    assert plan(marked).content_digest == plan(changes).content_digest

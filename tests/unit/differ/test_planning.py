"""From compared partitions to a plan: its figures, what is set aside, and where the run goes next."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.differ.comparing import Waves
from services.differ.memory import EntityHistory
from services.differ.planning import (
    figures_of,
    plan_of,
    status_after,
    summary_of,
    waves_of,
)
from services.differ.tally import Tally, frame_of, tally_from
from shared.clock import to_text
from shared.plan.change import Aside, Change, ChangeClass
from shared.plan.document import (
    Plan,
    asides_digest_of,
    content_digest_of,
    leaves_of,
    plan_digest_of,
)
from shared.policy.connector_policy import policy_of
from shared.policy.declared import Declaration
from shared.policy.figures import UsualFigures, WindowFigures
from shared.policy.guard import Level
from shared.policy.limits import DEFAULT_POLICY
from shared.run.states import RunStatus
from tests.unit.differ.drafts import CHANGES, LIVED_IN, connector, draft
from tests.unit.differ.frames import contract
from tests.unit.plan.plan_builder import (
    ENTITY,
    NOW,
    OTHER_RUN,
    change,
    plan,
    record,
)

S = RunStatus


def test_figures_are_the_sums_of_all_partitions() -> None:
    (found,) = figures_of(
        draft(
            CHANGES,
            accepted={(ENTITY, "person"): 900},
            quarantined_by_code={"NRM_BAD_FORMAT": 2, "MAT_DUPLICATE_KEY": 3},
        )
    ).entities
    assert found.changes == {"create": 1, "suspend": 1, "update": 1}
    assert (found.desired, found.live_managed, found.removals_suppressed) == (1000, 1000, 4)
    assert found.quarantined == 5
    assert found.ambiguous == 2 + 3  # of a partition, and rows that claim one key
    assert found.field_changes == {"first_name": 1}  # neither the create nor the removal
    assert (found.certified_runs, found.is_onboarding) == (2, False)
    assert found.sources[0].rows_accepted_last == 900


def test_denominator_is_unknown_when_the_target_is_not_certified() -> None:
    (found,) = figures_of(draft(CHANGES, target_certified=False)).entities
    assert (found.live_managed, found.is_target_certified) == (None, False)
    assert plan_of(draft(CHANGES, target_certified=False)).header.verdict.level is Level.BLOCK


def test_changes_that_claim_one_target_record_are_all_set_aside() -> None:
    rival = change(2, live=record(1, external_id=None), after={"external_id": "E2"})
    assert rival.target_id == CHANGES[0].target_id
    made = plan_of(draft([*CHANGES, rival]))
    assert [one.change_id for one in made.header.excluded] == sorted([CHANGES[0].change_id, rival.change_id])
    assert {one.code for one in made.header.excluded} == {"MAT_AMBIGUOUS"}
    assert made.header.figures.entities[0].ambiguous == 2 + 2
    assert plan_of(draft(CHANGES)).header.excluded == ()


def test_creates_claim_no_record() -> None:
    assert plan_of(draft([change(n, ChangeClass.CREATE) for n in range(5)])).header.excluded == ()


def test_digests_from_the_index_are_those_from_the_changes() -> None:
    made = plan_of(draft(CHANGES))
    assert made.plan_digest == plan_digest_of(made.header, leaves_of(CHANGES))
    assert made.content_digest == content_digest_of(made.header, leaves_of(CHANGES))
    assert made.header.changes == 3


def test_what_was_left_out_is_counted_and_sealed() -> None:
    aside = Aside(
        entity=ENTITY,
        key="E9",
        target_id="t-9",
        change_class=ChangeClass.SUSPEND,
        fields=("active",),
        code="DIF_FIRST_MISS",
        commitment_key=CHANGES[0].commitment_key,
    )
    made = plan_of(draft(CHANGES, aside=[aside]))
    assert made.header.figures.entities[0].aside == {"DIF_FIRST_MISS": 1}
    assert (made.header.asides, made.header.asides_digest) == (1, asides_digest_of([aside]))
    other = plan_of(draft(CHANGES, aside=[aside.model_copy(update={"key": "E10"})]))
    assert other.plan_digest != made.plan_digest
    assert [page.changes for page in made.pages if page.changes == 0] == [0]  # a page that holds no change


# --- cohorts, groups, declared --------------------------------------------------------------------------------------


def test_cohorts_and_groups_with_changes_are_told_with_what_was_there_before() -> None:
    tally: Tally = Counter(
        {
            ("cohort", "role=AIDE", ""): 30,
            ("cohort", "role=TEACHER", ""): 70,
            ("cohort_change", "role=AIDE", "update"): 2,
            ("cohort_change", "role=AIDE", "suspend"): 1,
            ("cohort_change", "role=-", "create"): 1,
            ("declared_cohort", "role=AIDE", "suspend"): 1,
            ("group", "G1", ""): 40,
            ("group", "G2", ""): 50,
            ("group_removal", "G2", ""): 5,
            ("declared_group", "G2", ""): 4,
            ("declared_field", "role", ""): 2,
        }
    )
    (found,) = figures_of(draft(CHANGES, tally=tally)).entities
    assert [(one.cohort, one.live_managed, one.changes, one.declared) for one in found.cohorts] == [
        ("role=-", 0, {"create": 1}, {}),
        ("role=AIDE", 30, {"suspend": 1, "update": 2}, {"suspend": 1}),
    ]
    assert [(one.group, one.members, one.removals, one.declared) for one in found.groups] == [("G2", 50, 5, 4)]
    assert found.declared_fields == {"role": 2}


def test_declarations_in_force_are_told_with_what_they_cover() -> None:
    declared = Declaration(
        id="d1",
        connector="tiny",
        entity=ENTITY,
        change_class="suspend",
        where={"role": ("TEACHER",)},
        expected=10,
        tolerance_percent=5,
        valid_from="2026-11-01T00:00:00Z",
        valid_until="2026-12-01T00:00:00Z",
        reason="the year ends",
        declared_by="otto",
        at="2026-10-01T00:00:00Z",
    )
    history = replace(LIVED_IN, declared_before={"d1": 3})
    made = draft(CHANGES, tally=Counter({("declared", "d1", ""): 1}), declarations=[declared], history=history)
    (found,) = figures_of(made).entities
    assert [(one.declaration, one.matched, one.applied_before) for one in found.declared] == [("d1", 1, 3)]


def test_tally_survives_the_bus() -> None:
    tally: Tally = Counter({("group", "G1", ""): 3, ("cohort_change", "role=-", "update"): 1})
    assert tally_from([frame_of(tally), frame_of(tally)]) == tally + tally
    assert tally_from([frame_of(Counter())]) == Counter()


# --- waves ----------------------------------------------------------------------------------------------------------


def test_what_an_entity_needs_is_made_before_it_and_taken_away_after_it() -> None:
    plain = contract().model_dump(by_alias=True)
    entities = {
        "members": {**plain, "after": ("groups", "users")},
        "groups": plain,
        "users": {**plain, "after": ("groups",)},
    }
    waves = waves_of(connector(entities=entities).definition)
    made = sorted(waves, key=lambda name: waves[name].constructive)
    assert made == ["groups", "users", "members"]
    assert sorted(waves, key=lambda name: waves[name].destructive) == made[::-1]
    assert max(one.constructive for one in waves.values()) < min(one.destructive for one in waves.values())


def test_entities_that_need_nothing_of_each_other_go_together() -> None:
    plain = contract().model_dump(by_alias=True)
    waves = waves_of(connector(entities={"staff": plain, "students": plain}).definition)
    assert waves == {name: Waves(constructive=1, destructive=2) for name in ("staff", "students")}


# --- content --------------------------------------------------------------------------------------------------------


def test_two_runs_over_equal_data_have_equal_content() -> None:
    first = plan_of(draft(CHANGES))
    second = plan_of(draft(CHANGES, run=OTHER_RUN, later=timedelta(hours=3)))
    assert second.content_digest == first.content_digest
    assert second.plan_digest != first.plan_digest


def test_what_was_accepted_before_is_no_part_of_the_content() -> None:
    """The first run has nothing to compare with and the second has the first; the data are equal all the same."""
    first = plan_of(draft(CHANGES))
    past = EntityHistory(
        certified_runs=9,
        is_onboarding=False,
        windows=(WindowFigures(window="24h", applied={"update": 3}),),
        usual=(UsualFigures(check="update", low=0, high=4, runs=9),),
    )
    second = plan_of(draft(CHANGES, run=OTHER_RUN, accepted={(ENTITY, "person"): 1000}, history=past))
    assert second.content_digest == first.content_digest


@pytest.mark.parametrize(
    ("changes", "overrides", "hours"),
    [
        ([change(1)], {}, 24),
        ([change(1, ChangeClass.SUSPEND)], {}, 24),
        ([change(1, ChangeClass.DELETE)], {}, 4),
        ([change(1)], {"approval": {"valid_hours": 6, "valid_hours_high_risk": 2}}, 6),
        ([change(1, ChangeClass.DELETE)], {"approval": {"valid_hours": 6, "valid_hours_high_risk": 2}}, 2),
    ],
)
def test_plan_expires_with_the_approvals_it_may_get(
    changes: list[Change], overrides: dict[str, Any], hours: int
) -> None:
    head = plan_of(draft(changes, definition=connector(**overrides))).header
    assert head.expires_at == to_text(NOW + timedelta(hours=hours))
    assert head.approvals_needed == (2 if changes[0].change_class is ChangeClass.DELETE else 1)


def test_oldest_reading_of_the_target_counts() -> None:
    made = plan_of(draft(CHANGES))
    assert made.header.target_read_at == to_text(NOW - timedelta(minutes=5))
    assert made.header.target_serial == 7


def test_connector_sets_parts_of_limits_and_the_rest_stays() -> None:
    policy = policy_of(connector(guard={"suspend": {"count": 3}, "source_fell": {"percent": 50}}).definition)
    assert (policy.classes["suspend"].count, policy.classes["suspend"].percent) == (3, 5)
    assert (policy.source_fell.percent, policy.source_fell.floor) == (50, 20)
    assert policy.classes["create"] == DEFAULT_POLICY.classes["create"]


BLOCKED = plan_of(draft(CHANGES, rows=0))
HELD = plan_of(draft([change(n, ChangeClass.RENAME, after={"email": "x"}) for n in range(11)]))
HELD_EMPTY = plan_of(draft([], accepted={(ENTITY, "person"): 2000}))
GOOD = plan([change(1)])
EMPTY = plan([])


@pytest.mark.parametrize(
    ("of", "mode", "status", "code"),
    [
        (BLOCKED, "apply", S.BLOCKED, "GRD_SOURCE_ZERO"),
        (BLOCKED, "dry-run", S.BLOCKED, "GRD_SOURCE_ZERO"),
        (EMPTY, "apply", S.NO_CHANGES, None),
        (EMPTY, "dry-run", S.NO_CHANGES, None),
        (HELD, "apply", S.HELD, "GRD_LIMIT"),
        (HELD, "dry-run", S.PLANNED, "GRD_LIMIT"),
        (HELD_EMPTY, "apply", S.HELD, "GRD_SOURCE_FELL"),
        (GOOD, "apply", S.AWAITING_APPROVAL, None),
        (GOOD, "dry-run", S.PLANNED, None),
    ],
)
def test_run_goes_where_the_verdict_leads(of: Plan, mode: str, status: RunStatus, code: str | None) -> None:
    found, note = status_after(of, mode)
    assert found is status
    assert (None if note is None else note.code) == code


def test_summary_names_what_the_plan_holds() -> None:
    told = summary_of(GOOD)
    assert (told.plan_digest, told.content_digest) == (GOOD.plan_digest, GOOD.content_digest)
    assert told.verdict_digest == GOOD.header.verdict.digest
    assert (told.changes, told.changes_by_class, told.approvals_needed) == (1, {"update": 1}, 1)

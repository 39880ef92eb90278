"""From compared partitions to a plan: its figures, what is set aside, and where the run goes next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest

from services.differ.pages import cut
from services.differ.planning import Draft, excluded_of, figures_of, plan_of, policy_of, status_after, summary_of
from shared.clock import to_text
from shared.contract.loading import Connector
from shared.contract.model import ConnectorDefinition
from shared.errors import StopRun
from shared.events.documents import FailureNote
from shared.events.envelope import body_of
from shared.events.facts import PartitionDiffed, SnapshotRead
from shared.hashing.canonical import sha256_hex
from shared.plan.change import Change, ChangeClass
from shared.plan.document import PAGE_CHANGES_MAX, Plan
from shared.policy.guard import Level, SourceFigures
from shared.policy.limits import DEFAULT_POLICY
from shared.run.state import Side
from shared.run.states import RunStatus
from tests.unit.differ.frames import contract
from tests.unit.plan.plan_builder import (
    ENTITY,
    NOW,
    OTHER_RUN,
    RUN,
    TARGET,
    certificate,
    change,
    plan,
    record,
    run_state,
)

S = RunStatus


def connector(**overrides: Any) -> Connector:
    definition = ConnectorDefinition.model_validate(
        {
            "schema_version": 1,
            "name": "tiny",
            "version": "1.0.0",
            "title": "People to a small target",
            "lifecycle": "active",
            "target": {"system": "small_system", "connection": TARGET},
            "sources": {"person": {"system": "people_system", "connection": "hr", "entity": "people"}},
            "entities": {ENTITY: contract()},
            **overrides,
        }
    )
    return Connector(definition, {}, "sha256:release")


SIDES: tuple[tuple[Side, int], ...] = (("target", 5), ("source", 6))
"""Sides in the order of their reading, and how many minutes ago it began."""


def draft(
    changes: Sequence[Change],
    *,
    partitions: int = 2,
    certified: bool = True,
    target_certified: bool = True,
    rows: int | None = 1000,
    accepted: Mapping[tuple[str, str], int] | None = None,
    quarantined_by_code: dict[str, int] | None = None,
    run: str = RUN,
    definition: Connector | None = None,
    later: timedelta = timedelta(0),
    null_outs: int = 0,
    live: int = 1000,
) -> Draft:
    """A draft whose partitions hold the changes in turn."""
    fault = FailureNote(code="SRC_INCOMPLETE", text="rows are missing")
    snapshots = [
        SnapshotRead(
            run=run,
            side=side,
            entity=ENTITY,
            attempt="a1",
            certificates=(certificate(side=side, at=NOW + later),) if is_whole else (),
            sources=(
                SourceFigures(source="person" if side == "source" else "target", rows=rows, is_certified=is_whole),
            ),
            incomplete=None if is_whole else fault,
            target_serial=7,
            records=1000,
            quarantined=sum((quarantined_by_code or {}).values()) if side == "source" else 0,
            quarantined_by_code=(quarantined_by_code or {}) if side == "source" else {},
            unmapped=(),
            out_of_scope=0,
            partitions=(),
            started_at=to_text(NOW + later - timedelta(minutes=minutes)),
            seconds=1,
            memory_peak_mb=1,
        )
        for side, minutes in SIDES
        for is_whole in (certified if side == "source" else target_certified,)
    ]
    parts = []
    for number in range(partitions):
        own = list(changes[number::partitions])
        parts.append(
            PartitionDiffed(
                run=run,
                partition=number,
                entity=ENTITY,
                changes=len(own),
                changes_by_class=dict(Counter(one.change_class.value for one in own)),
                null_outs=null_outs if number == 0 else 0,
                ambiguous=1,
                removals_suppressed=2,
                desired=500,
                live_managed=live // partitions,
                quarantined_kept=0,
                pages=tuple(
                    page.reference.model_copy(update={"subject": page.reference.subject.replace(RUN, run)})
                    for page in cut(own, run=run, entity=ENTITY, partition=number)
                ),
                seconds=1,
                memory_peak_mb=1,
            )
        )
    return Draft(
        state=run_state(S.GUARDING, run=run),
        connector=definition or connector(),
        environment="staging",
        snapshots=snapshots,
        partitions=parts,
        changes=changes,
        rows_accepted=accepted or {},
        now=NOW + later,
    )


CHANGES = [change(1), change(2, ChangeClass.CREATE), change(3, ChangeClass.SUSPEND)]


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
    assert found.ambiguous == 2 + 3  # of the partitions, and rows that claim one key
    assert found.sources[0].rows_accepted_last == 900


def test_denominator_is_unknown_when_the_target_is_not_certified() -> None:
    (found,) = figures_of(draft(CHANGES, target_certified=False)).entities
    assert (found.live_managed, found.is_target_certified) == (None, False)
    assert plan_of(draft(CHANGES, target_certified=False)).header.verdict.level is Level.BLOCK


def test_changes_that_claim_one_target_record_are_all_set_aside() -> None:
    rival = change(2, live=record(1, external_id=None), after={"external_id": "E2"})
    assert rival.target_id == CHANGES[0].target_id
    changes = [*CHANGES, rival]
    assert {one.change_id for one in excluded_of(changes)} == {CHANGES[0].change_id, rival.change_id}
    assert {one.code for one in excluded_of(changes)} == {"MAT_AMBIGUOUS"}
    assert excluded_of(CHANGES) == ()
    (found,) = figures_of(draft(changes)).entities
    assert found.ambiguous == 2 + 2
    assert {one.change_id for one in plan_of(draft(changes)).header.excluded} == {
        one.change_id for one in excluded_of(changes)
    }


def test_creates_claim_no_record() -> None:
    assert excluded_of([change(n, ChangeClass.CREATE) for n in range(5)]) == ()


@pytest.mark.parametrize("partitions", [1, 3, 8])
def test_plan_is_the_same_for_any_order_and_number_of_partitions(partitions: int) -> None:
    one = draft(CHANGES, partitions=1)
    many = draft(CHANGES, partitions=partitions)
    alike = Draft(
        **{**vars(many), "changes": CHANGES[::-1], "partitions": one.partitions, "snapshots": one.snapshots[::-1]}
    )
    assert plan_of(alike).plan_digest == plan_of(one).plan_digest
    shuffled = Draft(**{**vars(many), "partitions": many.partitions[::-1], "changes": CHANGES[::-1]})
    assert plan_of(shuffled) == plan_of(many)


def test_two_runs_over_equal_data_have_equal_content() -> None:
    first = plan_of(draft(CHANGES))
    second = plan_of(draft(CHANGES, run=OTHER_RUN, later=timedelta(hours=3)))
    assert second.content_digest == first.content_digest
    assert second.plan_digest != first.plan_digest


def test_what_was_accepted_before_is_no_part_of_the_content() -> None:
    """The first run has nothing to compare with and the second has the first; the data are equal all the same."""
    first = plan_of(draft(CHANGES))
    second = plan_of(draft(CHANGES, run=OTHER_RUN, accepted={(ENTITY, "person"): 1000}))
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


def test_pages_hold_every_change_once_and_stay_below_their_bounds() -> None:
    changes = [change(n) for n in range(PAGE_CHANGES_MAX + 1)]
    pages = cut(changes, run=RUN, entity=ENTITY, partition=3)
    assert [len(page.page.changes) for page in pages] == [PAGE_CHANGES_MAX, 1]
    assert [one for page in pages for one in page.page.changes] == changes
    for page in pages:
        assert page.reference.sha256 == sha256_hex(body_of(page.page))
        assert page.reference.changes == len(page.page.changes)
    assert cut([], run=RUN, entity=ENTITY, partition=3) == []


def test_wide_changes_are_cut_into_more_pages_and_one_too_wide_is_refused() -> None:
    wide = [change(n, after={"first_name": "x" * 150_000}) for n in range(5)]
    pages = cut(wide, run=RUN, entity=ENTITY, partition=0)
    assert [one for page in pages for one in page.page.changes] == wide
    assert len(pages) > 1
    with pytest.raises(StopRun, match="one change takes"):
        cut([change(1, after={"first_name": "x" * 450_000})], run=RUN, entity=ENTITY, partition=0)

"""What ended runs add up to."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.monitor.labels import Names
from services.monitor.tally import RUN_SECONDS, EndedRun, Tally
from shared.run.states import TERMINAL

RUN = EndedRun(
    run="20261122T083455-000001",
    connector="staff",
    mode="apply",
    status="succeeded",
    requested_at=1_000.0,
    phases={"queued": 1.0, "held": 5_000.0, "paused": 50.0, "applying": 2.0},
    planned=4,
    outcomes={"applied": 3, "noop_already": 1},
    failure=None,
)

ended_runs = st.builds(
    EndedRun,
    run=st.uuids().map(str),
    connector=st.sampled_from(["staff", "students"]),
    mode=st.sampled_from(["apply", "dry-run"]),
    status=st.sampled_from(sorted(TERMINAL)).map(str),
    requested_at=st.integers(0, 10**9).map(float),
    phases=st.dictionaries(st.sampled_from(["queued", "extracting", "held", "applying"]), st.integers(0, 10**5)),
    planned=st.just(7),
    outcomes=st.just({"applied": 5, "failed": 2}),
    failure=st.sampled_from([None, "SRC_TIMEOUT", "SYS_SECRET"]),
)


def test_a_run_that_is_told_twice_counts_once() -> None:
    tally = Tally(Names())
    assert [tally.add(RUN), tally.add(RUN), tally.add_codes(RUN.run, "staff", {"APL_CONFLICT": 2})] == [
        True,
        False,
        True,
    ]
    assert tally.add_codes(RUN.run, "staff", {"APL_CONFLICT": 2}) is False
    assert dict(tally.runs) == {("staff", "apply", "succeeded"): 1}
    assert dict(tally.changes) == {("staff", "applied"): 3, ("staff", "noop_already"): 1}


def test_the_time_of_a_run_leaves_out_what_people_took() -> None:
    tally = Tally(Names())
    tally.add(RUN)
    assert tally.seconds["staff", "apply"].total == 3.0
    assert tally.phases["staff", "held"].total == 5_000.0
    assert tally.last_success["staff"] == pytest.approx(1_000 + 1 + 5_000 + 50 + 2)


def test_a_dry_run_counts_as_a_run_and_plans_no_changes() -> None:
    tally = Tally(Names())
    tally.add(replace(RUN, mode="dry-run", status="planned", phases={"queued": 1.0}, outcomes={"not_attempted": 4}))
    assert dict(tally.runs) == {("staff", "dry-run", "planned"): 1}
    assert (dict(tally.changes), dict(tally.planned), tally.last_success) == ({}, {}, {})


def test_what_no_catalogue_knows_is_other() -> None:
    tally = Tally(Names())
    tally.add(replace(RUN, status="exploded", failure="NO_SUCH", mode="fast", connector="Ana María <ana@example.org>"))
    tally.add_codes(RUN.run, "staff", {"ana@example.org": 3})
    assert set(tally.runs) == {("other", "other", "other")}
    assert dict(tally.failures) == {("other", "other"): 1, ("staff", "other"): 3}


def test_unknown_effects_are_those_of_the_last_run_that_applied() -> None:
    tally = Tally(Names())
    tally.add(replace(RUN, outcomes={"applied": 3, "unknown": 1}, status="partial"))
    assert tally.last_unknown["staff"][1] == 1
    tally.add(replace(RUN, run="later", requested_at=9_000.0))
    assert tally.last_unknown["staff"][1] == 0


@pytest.mark.parametrize(("seconds", "place"), [(0.0, 0), (1.0, 0), (1.1, 1), (43_200.0, 10), (43_200.1, 11)])
def test_an_observation_lies_in_the_bucket_whose_bound_it_does_not_exceed(seconds: float, place: int) -> None:
    tally = Tally(Names())
    tally.add(replace(RUN, phases={"queued": seconds}))
    assert [at for at, number in enumerate(tally.seconds["staff", "apply"].counts) if number] == [place]
    assert len(tally.seconds["staff", "apply"].counts) == len(RUN_SECONDS) + 1


def test_a_bucket_keeps_its_newest_exemplar() -> None:
    tally = Tally(Names())
    for run, at, trace in (("a", 10.0, "t1"), ("b", 30.0, "t2"), ("c", 20.0, "t3")):
        tally.add(replace(RUN, run=run, requested_at=at, phases={"queued": 1.0}, trace=trace))
    assert [one.trace for one in tally.seconds["staff", "apply"].exemplars.values()] == ["t2"]


@given(st.lists(ended_runs, max_size=30, unique_by=lambda run: run.run), st.randoms(use_true_random=False))
def test_the_order_in_which_runs_are_read_changes_no_sum(runs: list[EndedRun], chance: object) -> None:
    one, other = Tally(Names()), Tally(Names())
    shuffled = list(runs)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random and types it as object
    for run in runs:
        one.add(run)
    for run in [*shuffled, *shuffled]:
        other.add(run)
    assert (one.runs, one.planned, one.changes, one.failures) == (
        other.runs, other.planned, other.changes, other.failures,
    )  # fmt: skip
    assert {key: each.counts for key, each in one.seconds.items()} == {
        key: each.counts for key, each in other.seconds.items()
    }
    assert one.last_success == other.last_success
    assert sum(one.runs.values()) == len(runs) == sum(sum(each.counts) for each in one.seconds.values())

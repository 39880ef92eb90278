"""Promises of the semantics that the code does not keep yet; copy beside tests/unit and tests/integration/handlers to run."""

from __future__ import annotations

import polars as pl
import pytest

from services.extractor.admission import cancel
from shared.errors import NeedsPerson
from shared.run.counts import NineCounts
from shared.run.states import RunStatus
from tests.integration.handlers.conftest import bus, bus_server, house  # noqa: F401
from tests.integration.handlers.small_house import PeopleSource, SmallHouse
from tests.unit.extractor.test_admission import states
from tests.unit.plan.plan_builder import RUN, run_state


def test_paused_run_with_unknown_outcomes_cannot_end() -> None:
    """`unknown` must reach 0 before a run may end; services/extractor/admission.py cancel() ends it at once."""
    paused = run_state(RunStatus.PAUSED, counts=NineCounts(planned=2, unknown=1, not_attempted=1))
    try:
        decision = cancel(paused, actor="otto", reason="", at="2026-11-22T08:00:00.000Z")
    except NeedsPerson:
        return
    assert not states(decision)[RUN].has_ended


async def test_dry_run_does_not_hide_a_waiting_run_from_the_next_apply(house: SmallHouse) -> None:  # noqa: F811
    """Apply run A waits; dry-run B becomes the connector's active run; apply C supersedes nothing: A stays approvable."""
    await house.to_drafted()
    waiting = house.run
    await house.to_drafted("dry-run")
    assert (await house.request("apply")).is_accepted
    house.run = waiting
    assert (await house.state()).has_ended


async def test_breaking_schema_drift_blocks_and_does_not_fail(
    house: SmallHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NRM_SCHEMA_DRIFT and NRM_BLOCKED_UNMAPPED are raised in on_read_side as StopRun; the dispatcher ends the run FAILED."""
    await house.request()
    frame = pl.DataFrame({"id": ["E1"], "first": ["A"], "email": ["a@example.org"]})
    monkeypatch.setattr(PeopleSource, "__init__", lambda self, rows: setattr(self, "_frame", frame))
    with pytest.raises(Exception):
        await house.read_sides()
    assert (await house.state()).status is RunStatus.BLOCKED

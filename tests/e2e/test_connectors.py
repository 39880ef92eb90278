"""Every connector on its stage: simulators of its systems, a whole house, applied once and found done."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.trial import tried
from simulators.stages.catalogue import STAGES

CONNECTORS = Path(__file__).parents[2] / "connectors"
SIZE = 60
"""Enough for several pages, few enough to be quick."""


@pytest.mark.slow
@pytest.mark.parametrize("name", STAGES)
async def test_a_connector_is_applied_once_and_then_finds_nothing(name: str) -> None:
    trial = await tried(name, size=SIZE)
    # What a first run made depend on others may need a second; nothing is left in the end, or `tried` would say so.
    assert trial.applied >= sum(trial.changes.values()) >= 1
    assert trial.runs >= 2
    assert trial.entries > trial.applied


def test_every_connector_has_a_stage() -> None:
    # The connector of the demonstration has the demonstration.
    assert {path.parent.name for path in CONNECTORS.glob("*/connector.yaml")} == {*STAGES, "titanhst-staff"}

"""A simulated Klaxon Alerts for each test, of which none keeps what another did."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from simulators.alerts.switches import AlertsSwitches
from tests.simulators.alerts.running_alerts import Klaxon, running_alerts

ROWS = 25


@pytest.fixture(scope="session")
def served() -> Iterator[tuple[Klaxon, dict[str, Any]]]:
    with running_alerts(ROWS) as klaxon:
        yield klaxon, klaxon.control.get("/state").json()


@pytest.fixture
def klaxon(served: tuple[Klaxon, dict[str, Any]]) -> Iterator[Klaxon]:
    """With 25 contacts, as documented; after the test, nothing that its rules forbid may have been asked of it."""
    klaxon, state = served
    klaxon.switch(**AlertsSwitches().model_dump(mode="json"))
    assert klaxon.control.delete("/faults").is_success
    assert klaxon.control.put("/state", json=state).is_success
    yield klaxon
    assert klaxon.violations() == []

"""Settings of the extractor: where rows as read may not stand on the bus, no reading leaves any there."""

from __future__ import annotations

import pytest

from services.extractor.checkpoints import CheckpointRule
from services.extractor.settings import ExtractorSettings


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({}, CheckpointRule(seconds=10.0)),
        ({"CHECKPOINT_SECONDS": "2.5"}, CheckpointRule(seconds=2.5)),
        ({"CHECKPOINT_SECONDS": "0"}, None),
        ({"REPLAY_ROWS_MAX": "0"}, None),
    ],
    ids=["as it comes", "more often", "never", "no rows at all"],
)
def test_readings_are_made_durable_only_where_rows_may_be_kept(
    settings: dict[str, str], rule: CheckpointRule | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {
        "CONNECTIONS": "connections.yaml",
        "NATS_URL": "nats://127.0.0.1:4222",
        "NATS_PASSWORD": "env:PASSWORD",
        **settings,
    }
    for name, value in given.items():
        monkeypatch.setenv(f"AETHER_{name}", value)
    assert ExtractorSettings().checkpoint_rule() == rule

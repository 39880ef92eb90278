"""What several dashboards say in the same words: the choice of connectors, verdicts, ages of moments."""

from __future__ import annotations

from typing import Final

from deploy.grafana.building.model import Colour, Thresholds, Variable

CONNECTORS: Final = Variable(
    name="connector", label="Connector", figure="aether_connector_last_run_timestamp_seconds", is_many=True
)
ONE_CONNECTOR: Final = Variable(
    name="connector", label="Connector", figure="aether_connector_last_run_timestamp_seconds", is_many=False
)
VERDICTS: Final = (
    (0, "PASS", Colour.GOOD),
    (1, "WARN", Colour.QUIET),
    (2, "HOLD", Colour.WARNING),
    (3, "BLOCK", Colour.BAD),
)
NO_YES: Final = ((0, "no", Colour.GOOD), (1, "yes", Colour.BAD))
DOWN_UP: Final = ((0, "down", Colour.BAD), (1, "up", Colour.GOOD))
NONE_WANTED: Final = Thresholds(((1, Colour.BAD),), base=Colour.GOOD)
"""One is too many."""
DAYS_LEFT: Final = Thresholds(
    ((0, Colour.BAD), (7 * 86400, Colour.WARNING), (21 * 86400, Colour.GOOD)), base=Colour.BAD
)

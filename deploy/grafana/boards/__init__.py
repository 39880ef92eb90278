"""The five dashboards of the house, in the order in which they are looked at."""

from __future__ import annotations

from typing import Final

from deploy.grafana.boards.connector import CONNECTOR
from deploy.grafana.boards.fleet import FLEET
from deploy.grafana.boards.run import RUN
from deploy.grafana.boards.safety import SAFETY
from deploy.grafana.boards.services import SERVICES
from deploy.grafana.building.model import Dashboard

DASHBOARDS: Final[tuple[Dashboard, ...]] = (FLEET, CONNECTOR, RUN, SERVICES, SAFETY)

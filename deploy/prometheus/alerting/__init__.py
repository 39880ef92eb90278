"""Every alert of the house, each with a case in which it fires and one in which it is silent."""

from __future__ import annotations

from typing import Final

from deploy.prometheus.alerting.bus import BUS
from deploy.prometheus.alerting.model import Group
from deploy.prometheus.alerting.objectives import OBJECTIVES
from deploy.prometheus.alerting.programs import PROGRAMS
from deploy.prometheus.alerting.runs import RUNS
from deploy.prometheus.alerting.safety import SAFETY

GROUPS: Final[tuple[Group, ...]] = (PROGRAMS, BUS, RUNS, SAFETY, OBJECTIVES)

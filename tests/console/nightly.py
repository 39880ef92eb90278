"""Connectors of which one runs by itself, at night, and a calendar with windows: for the pages that show them."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

from cli.stack import ROOT
from shared.contract.loading import load_connector
from shared.contract.releases import publish

NIGHTLY = "titanhst-staff-nightly"
SCHEDULE = """
schedule:
  cron: "30 2 * * MON-FRI"
  time_zone: America/Los_Angeles
  calendar: school_days
  jitter_seconds_max: 600
"""
CALENDAR = """\
time_zone: America/Los_Angeles
school_years:
  - {name: 2026-27, first_day: 2026-08-12, last_day: 2027-06-03}
  - {name: 2027-28, first_day: 2027-08-11, last_day: 2028-06-01}
no_school:
  - {name: Thanksgiving, from: 2026-11-23, to: 2026-11-27}
  - {name: winter break, from: 2026-12-21, to: 2027-01-08}
rollover: july
weekly_blackouts:
  - {name: backups, weekdays: [SAT, SUN], from: "23:00", until: "05:00"}
"""


def connectors_with_a_schedule(folder: Path) -> Path:
    """A folder with all connectors of the project and one that runs by itself."""
    shutil.copytree(ROOT / "connectors", folder)
    made = folder / NIGHTLY
    shutil.copytree(folder / "titanhst-staff", made, ignore=shutil.ignore_patterns("releases"))
    definition = made / "connector.yaml"
    text = definition.read_text(encoding="utf-8").replace("name: titanhst-staff\n", f"name: {NIGHTLY}\n", 1)
    text = text.replace("title: Staff to TitanHST contacts", "title: Staff to TitanHST contacts, every night", 1)
    definition.write_text(text + SCHEDULE, encoding="utf-8")
    publish(made, load_connector(made), by="stella", at=datetime(2026, 11, 1, 8, tzinfo=UTC))
    return folder


def write_calendar(data: Path) -> None:
    """The calendar of the house that will stand on this data folder."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    (data / "calendar.yaml").write_text(CALENDAR, encoding="utf-8")

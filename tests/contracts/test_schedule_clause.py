"""The clause `schedule`: what is wrong with it is told with its place, and a connector without one is as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.contract.loading import load_connector
from shared.contract.problems import ContractInvalid

SOUND = "schedule: {cron: '30 2 * * mon-fri', time_zone: America/Los_Angeles}\n"


def written(folder: Path, clause: str) -> Path:
    definition = folder / "connector.yaml"
    definition.write_text(definition.read_text(encoding="utf-8") + clause, encoding="utf-8")
    return folder


def test_a_clause_of_two_words_has_careful_defaults(folder: Path) -> None:
    schedule = load_connector(written(folder, SOUND)).definition.schedule
    assert schedule is not None
    assert schedule.model_dump() == {
        "cron": "30 2 * * MON-FRI",
        "time_zone": "America/Los_Angeles",
        "mode": "dry-run",
        "jitter_seconds_max": 0,
        "catch_up": "latest",
        "calendar": "every_day",
        "rollover": "pause",
    }


def test_a_schedule_is_part_of_the_release(folder: Path) -> None:
    without = load_connector(folder).digest
    scheduled = load_connector(written(folder, SOUND)).digest
    assert without != scheduled


@pytest.mark.parametrize(
    ("clause", "says"),  # the clause begins in line 26
    [
        ("schedule:\n  cron: 0 2 * *\n  time_zone: UTC\n", r":27:9: .*no cron expression of five fields"),
        ("schedule:\n  cron: 0 2 30 2 *\n  time_zone: UTC\n", r":27:9: .*Bad day-of-month"),
        ("schedule:\n  cron: '*/2 * * * *'\n  time_zone: UTC\n", r":27:9: .*every 2 minutes; at most every 5"),
        ("schedule:\n  cron: 0 2 * * *\n  time_zone: Pacific\n", r":28:14: .*'Pacific' is no time zone"),
        ("schedule:\n  cron: 0 2 * * *\n", r":26:1: .*time_zone"),
        (
            "schedule:\n  cron: '*/5 * * * *'\n  time_zone: UTC\n  jitter_seconds_max: 300\n",
            r":27:3: .*300 seconds apart: a run would begin after the next time",
        ),
        ("schedule:\n  cron: 0 2 * * *\n  time_zone: UTC\n  mode: live\n", r":29:9: .*dry-run"),
    ],
)
def test_a_faulty_clause_is_refused_with_its_place(folder: Path, clause: str, says: str) -> None:
    with pytest.raises(ContractInvalid, match=r"small/connector\.yaml" + says):
        load_connector(written(folder, clause))

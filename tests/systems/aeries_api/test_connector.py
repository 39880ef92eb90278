"""What the connector to the district's own tables makes of a whole simulated district."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from services.extractor.normalise import normalise_desired
from services.extractor.rules import Rules
from shared.contract.loading import load_connector
from simulators.aeries_api.world import make_world
from tests.simulators.running_aeries_api import RunningAeries
from tests.support.systems import installed_systems
from tests.systems.aeries_api.conftest import Opener

FOLDER = Path(__file__).parents[3] / "connectors" / "aeries-api-local"


async def test_every_active_student_and_every_seat_of_theirs_becomes_a_record(
    aeries: RunningAeries, opener: Opener
) -> None:
    world = make_world(11, students=200, staff=25, schools=4)
    assert aeries.control.put("/state", json=world.document).status_code == 204
    systems = installed_systems()
    connector = load_connector(FOLDER, systems.columns(), systems.write_companions())
    source = opener.source(excluded_schools=tuple(world.truth["pseudo_schools"]), page_records=100)
    frames = {
        alias: pl.concat([page.rows async for page in source.read(named.entity)])
        for alias, named in connector.definition.sources.items()
    }
    rules = Rules(tables=connector.tables, transforms=connector.transforms)
    made = {
        name: normalise_desired(contract, rules, frames) for name, contract in connector.definition.entities.items()
    }
    assert {name: one.quarantined.rows() for name, one in made.items() if one.quarantined.height} == {}
    assert made["students"].records.height == world.truth["students"]["distinct_active"]
    offered = {row["ID"] for row in world.document["years"]["2026"]["courses"] if not row.get("InactiveStatusCode")}
    assert set(made["courses"].records["key"]) == offered
    assert made["sections"].records.height == frames["section"].height > 0
    students, sections = (set(made[name].records["key"]) for name in ("students", "sections"))
    seats = made["enrolments"].records
    assert 0 < seats.height <= world.truth["students"]["seats"]
    assert set(seats["student_id"]) <= students
    assert set(seats["section_key"]) <= sections

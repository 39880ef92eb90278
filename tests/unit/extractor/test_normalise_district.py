"""The generated district through the contract: what comes out is what its truth, drawn before the rows, says."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import polars as pl

from services.extractor.normalise import Rules
from shared.contract.loading import Connector
from simulators.district.people import Row, World
from simulators.district.world import generate
from tests.unit.extractor.settling import desired

CODES = {
    "missing_key": "NRM_MISSING_KEY",
    "missing_required": "NRM_MISSING_REQUIRED",
    "bad_format": "NRM_BAD_FORMAT",
    "unmapped_role": "NRM_UNMAPPED",
    "unmapped_location": "NRM_UNMAPPED",
}


def text(value: object) -> object:
    return value.isoformat() if isinstance(value, date | datetime) else value


def frame(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame([{name: text(value) for name, value in row.items()} for row in rows], infer_schema_length=None)


def is_live(row: Row) -> bool:
    return row["DEL"] in (0, None)


def aeries_staff(world: World) -> pl.DataFrame:
    """STF with the address of each person's first login; STF's own where that has none."""
    logins: dict[Any, Any] = {}
    for row in sorted(filter(is_live, world.tables["UGN"]), key=lambda row: int(str(row["UID"]))):
        logins.setdefault(row["SID"], row["EM"])
    rows: list[Row] = [
        {
            "id": row["ID"],
            "hr_id": row["HRID"],
            "email": row["EM"] if not str(logins.get(row["ID"]) or "").strip() else logins[row["ID"]],
            "cell": row["CP"],
            "inactive_code": row["TG"],
        }
        for row in filter(is_live, world.tables["STF"])
    ]
    return frame(rows)


def test_the_districts_records_and_quarantine_are_those_of_its_truth(staff_connector: Connector) -> None:
    world = generate(seed=11, staff=1_200)
    frames = {
        "person": frame(world.tables["hr_person"]),
        "job": frame(world.tables["hr_assignment"]),
        "aeries": aeries_staff(world),
    }
    contract = staff_connector.definition.entities["contacts"]
    result = desired(contract, Rules(tables=staff_connector.tables), frames)

    wanted = {
        key: {
            "first_name": person.first_name,
            "last_name": person.last_name,
            "email": person.email,
            "mobile": person.mobile,
            "role": person.role,
            "location": person.location,
        }
        for key, person in world.desired.items()
    }
    found = {str(row.pop("key")): row for row in result.records.drop("external_id", "active", "left alone").to_dicts()}
    assert found == wanted

    faulty = {person.external_id: CODES[person.reason] for person in world.people if person.in_scope and person.reason}
    items = result.quarantined.filter(pl.col("key").is_not_null())
    assert dict(items.select("key", "code").iter_rows()) == faulty
    assert result.quarantined_without_key == len(world.rows_without_key)
    assert result.out_of_scope == sum(not person.in_scope for person in world.people)

"""The staff connector, and rows of its sources in which a test says only what matters to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from services.extractor.normalise import Normalised, Rules
from shared.contract.loading import Connector, load_connector
from tests.unit.extractor.settling import desired

ROOT = Path(__file__).parents[3]
PEOPLE = pl.Schema(
    {"person_id": pl.Int64}
    | dict.fromkeys(
        ("employee_id", "last", "first", "preferred_first", "work_email", "mobile", "status_code", "edited_at"),
        pl.String,
    )
)
ASSIGNMENTS = pl.Schema(
    {
        "employee_id": pl.String,
        "seq": pl.Int64,
        "site_code": pl.String,
        "job_class_code": pl.String,
        "is_primary": pl.Boolean,
        "start_date": pl.String,
        "end_date": pl.String,
    }
)
STAFF = pl.Schema({"id": pl.Int64} | dict.fromkeys(("hr_id", "email", "cell", "inactive_code"), pl.String))
PERSON = {
    "person_id": 1,
    "employee_id": "E1",
    "last": "Alder",
    "first": "Ana",
    "preferred_first": None,
    "work_email": None,
    "mobile": None,
    "status_code": "A",
    "edited_at": "2026-01-01T00:00:00",
}
JOB = {
    "employee_id": "E1",
    "seq": 1,
    "site_code": "010",
    "job_class_code": "0101",
    "is_primary": True,
    "start_date": "2020-08-01",
    "end_date": None,
}
AERIES = {"id": 1, "hr_id": "E1", "email": None, "cell": None, "inactive_code": ""}

Row = Mapping[str, Any]
Normalise = Callable[..., Normalised]


@pytest.fixture(scope="session")
def staff_connector() -> Connector:
    return load_connector(ROOT / "connectors" / "titanhst-staff")


@pytest.fixture
def normalise(staff_connector: Connector) -> Normalise:
    """Normalises rows under the staff connector: lists of what differs from one plain employee E1 with one job."""

    def run(
        people: list[Row] | None = None, jobs: list[Row] | None = None, aeries: list[Row] | None = None
    ) -> Normalised:
        frames = {
            "person": pl.DataFrame([PERSON | dict(row) for row in ([{}] if people is None else people)], schema=PEOPLE),
            "job": pl.DataFrame([JOB | dict(row) for row in ([{}] if jobs is None else jobs)], schema=ASSIGNMENTS),
            "aeries": pl.DataFrame([AERIES | dict(row) for row in (aeries or [])], schema=STAFF),
        }
        contract = staff_connector.definition.entities["contacts"]
        return desired(contract, Rules(tables=staff_connector.tables), frames)

    return run

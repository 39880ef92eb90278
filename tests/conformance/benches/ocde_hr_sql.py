"""A county HR database on the bench: every view, as a table of an SQLite file with a few rows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

from simulators.district.databases import HR
from tests.conformance.bench import Bench
from tests.conformance.benches.sql_files import ROWS, bench_of

ENTITIES = ("people", "assignments", "positions", "sites")
_TABLE_OF = {
    "people": "hr_person",
    "assignments": "hr_assignment",
    "positions": "hr_position",
    "sites": "hr_site",
}
_DAY = date(2026, 8, 13)
_MOMENT = datetime(2026, 8, 13, 7, 30)  # noqa: DTZ001 - the database keeps times without a zone


@asynccontextmanager
async def opened(entity: str, folder: Path) -> AsyncIterator[Bench]:
    """One view of a database made for this test."""
    table = HR.tables[_TABLE_OF[entity]]
    async with bench_of(
        system="ocde_hr_sql", entity=entity, folder=folder, schemas=[HR],
        rows={table: [_row(entity, number) for number in range(1, ROWS + 1)]},
        sensitive={"Wilhelmina", "Ash-Grove", "w7@district.example"},
    ) as bench:  # fmt: skip
        yield bench


def _row(entity: str, number: int) -> dict[str, Any]:
    rows: dict[str, dict[str, Any]] = {
        "people": {
            "person_id": number, "employee_id": f"E{number:05d}", "last": "Ash-Grove", "first": "Wilhelmina",
            "work_email": f"w{number}@district.example", "status_code": "A", "hire_date": _DAY, "edited_at": _MOMENT,
        },
        "assignments": {
            "employee_id": f"E{number:05d}", "seq": 1, "position_id": "P1", "site_code": "010", "job_class_code": "T1",
            "job_title": "Teacher", "fte": 0.5, "is_primary": 1, "start_date": _DAY, "edited_at": _MOMENT,
        },
        "positions": {"position_id": f"P{number:03d}", "site_code": "010", "job_class_code": "T1", "status": "open"},
        "sites": {"site_code": f"{number:03d}", "name": f"Site {number}", "school_code": number},
    }  # fmt: skip
    return rows[entity]

"""An Aeries database on the bench: every entity, in an SQLite file with a few rows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Table

from simulators.district.databases import AERIES, CLASSES
from tests.conformance.bench import Bench
from tests.conformance.benches.sql_files import ROWS, Rows, bench_of

ENTITIES = ("staff", "schools", "students", "courses", "terms", "sections", "rosters", "enrolments")
_TABLE_OF = {
    "staff": "STF", "schools": "LOC", "students": "STU", "courses": "CRS", "terms": "TRM", "sections": "MST",
    "rosters": "SEC", "enrolments": "ENR",
}  # fmt: skip
_DAY = datetime(2026, 8, 13)  # noqa: DTZ001 - the database keeps times without a zone


@asynccontextmanager
async def opened(entity: str, folder: Path) -> AsyncIterator[Bench]:
    """One entity of a database made for this test."""
    name = _TABLE_OF[entity]
    rows: Rows = {_table(name): [_row(name, number) for number in range(1, ROWS + 1)]}
    async with bench_of(
        system="aeries_sql", entity=entity, folder=folder, schemas=[AERIES, CLASSES], rows=rows,
        sensitive={"Wilhelmina", "Ash-Grove", "w7@district.example"},
    ) as bench:  # fmt: skip
        yield bench


def _table(name: str) -> Table:
    return (AERIES.tables | CLASSES.tables)[name] if name in AERIES.tables else CLASSES.tables[name]


def _row(table: str, number: int) -> dict[str, Any]:
    person = {"LN": "Ash-Grove", "FN": "Wilhelmina", "TG": " ", "DEL": 0}
    rows: dict[str, dict[str, Any]] = {
        "STF": {**person, "ID": number, "EM": f"w{number}@district.example", "HRID": f"00{number}"},
        "LOC": {"CD": number, "NM": f"School {number}", "TG": "", "DEL": 0},
        "STU": {
            **person, "SC": 1, "SN": number, "ID": 1_000 + number, "GR": 9, "SEM": f"w{number}@district.example",
            "CU": 0,
        },
        "CRS": {"CN": f"{number:04d}", "CO": "Biology", "TG": "", "DEL": 0},
        "TRM": {"SC": number, "TM": "Y", "D1": _DAY, "D2": _DAY, "DEL": 0},
        "MST": {"SC": 1, "SE": number, "CN": "0726", "SM": "Y", "TN": 1, "DEL": 0},
        "SEC": {"SC": 1, "SN": number, "SE": 7, "DEL": 0},
        "ENR": {"ID": number, "SC": 1, "SN": number, "YR": 2026, "GR": 9, "ED": _DAY, "DEL": 0},
    }  # fmt: skip
    return rows[table]

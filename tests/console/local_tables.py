"""A small local database with synthetic people, laid out as the local system lays it out."""

from __future__ import annotations

import sqlite3
from pathlib import Path

HOSTILE = "<script>alert(1)</script>"


def make(path: Path, *, key: str, change_id: str) -> str:
    """Staff with one row of ours, one hostile one and one keyed by a mail address; the address of the database."""
    with sqlite3.connect(path) as database:
        database.execute(
            "CREATE TABLE aether_staff (row_id INTEGER PRIMARY KEY, staff_id VARCHAR(200) UNIQUE,"
            " last_name VARCHAR(100), email VARCHAR(255), title VARCHAR(100), school_code VARCHAR(200), hire_date DATE,"
            " active BOOLEAN, shoe_size VARCHAR(99), written_by VARCHAR(200), written_at VARCHAR(24))"
        )
        database.executemany(
            "INSERT INTO aether_staff VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (1, key, "Marigold", "marigold@bristlecone-usd.example", "Teacher", "10", "2020-08-01", True, "43",
                 change_id, "2026-11-01T08:00:00.000Z"),
                (2, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, "2021-08-01", False, HOSTILE, HOSTILE,
                 "2026-11-01T08:00:00.000Z"),
                (3, "oak@bristlecone-usd.example", "Oak", None, "Clerk", "20", None, True, None, None, None),
            ],
        )  # fmt: skip
        database.execute(
            "CREATE TABLE aether_courses (row_id INTEGER PRIMARY KEY, course_code VARCHAR(200), title TEXT)"
        )
    return f"sqlite+aiosqlite:///{path}"

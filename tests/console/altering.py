"""Alters a copy of a record, so that a test has a run in a state, or with values, that the played house does not."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

HOSTILE = "<script>alert(1)</script>'\"&"
HOSTILE_SHOWN = "&lt;script&gt;alert(1)&lt;/script&gt;"


def run_in(record: Path, status: str) -> str:
    """A run of the record in this state."""
    with sqlite3.connect(record) as database:
        row = database.execute("SELECT run FROM run WHERE status = ? ORDER BY run DESC", (status,)).fetchone()
    assert row is not None, f"the played house has no run that is {status}"
    return str(row[0])


def planned_in(record: Path, run: str) -> int:
    """How many changes the plan of a run has."""
    with sqlite3.connect(record) as database:
        (text,) = database.execute("SELECT state FROM run WHERE run = ?", (run,)).fetchone()
    return int(json.loads(text)["plan"]["changes"])


def alter(record: Path, run: str, **changes: Any) -> None:
    """Change fields of the document of a run, and the columns that follow from it."""
    with sqlite3.connect(record) as database:
        (text,) = database.execute("SELECT state FROM run WHERE run = ?", (run,)).fetchone()
        state = json.loads(text) | changes
        database.execute(
            "UPDATE run SET state = ?, status = ?, connector = ?, requester = ?, mode = ? WHERE run = ?",
            (json.dumps(state), state["status"], state["connector"], state["requester"], state["mode"], run),
        )


def copy_runs(record: Path, run: str, *, number: int, requested_at: str, **changes: Any) -> list[str]:
    """Further runs like one, requested before it; the newest first."""
    names = []
    with sqlite3.connect(record) as database:
        (text,) = database.execute("SELECT state FROM run WHERE run = ?", (run,)).fetchone()
        for place in range(number):
            name = f"20260101T{place // 3600:02d}{place // 60 % 60:02d}{place % 60:02d}-abcdef"
            state = json.loads(text) | changes | {"run": name}
            database.execute(
                "INSERT INTO run (run, connector, status, requested_at, state, requester, mode) VALUES (?,?,?,?,?,?,?)",
                (name, state["connector"], state["status"], requested_at, json.dumps(state), state["requester"],
                 state["mode"]),
            )  # fmt: skip
            names.append(name)
    return names[::-1]


def add_dead_letter(record: Path, *, run: str | None, at: str, reason: str = "it could not be read") -> None:
    """One message that no service could take."""
    with sqlite3.connect(record) as database:
        database.execute(
            "INSERT INTO dead_letter (seq, run, stream, stream_seq, subject, service, code, reason, at)"
            " VALUES (1, ?, 'CORE', 7, 'cmd.plan.x', 'differ', 'SYS_UNDECODABLE', ?, ?)",
            (run, reason, at),
        )


def conclude(record: Path, run: str, results: dict[tuple[str | None, str | None], int]) -> None:
    """Make the ledger of a run show these outcomes: how many of each result and code."""
    with sqlite3.connect(record) as database:
        database.execute("DELETE FROM change_outcome WHERE run = ?", (run,))
        place = 0
        for (result, code), number in results.items():
            for _ in range(number):
                place += 1
                database.execute(
                    "INSERT INTO change_outcome (run, change_id, result, code) VALUES (?, ?, ?, ?)",
                    (run, f"{place:064x}", result, code),
                )

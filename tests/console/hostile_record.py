"""A record in which everything that a vendor, a source or a person wrote is hostile; and one just as long that is not.

Ids, digests, states and moments stay as they are: services make those, and refuse others.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from shared.events.documents import FailureNote
from shared.events.queries import (
    ConnectionAnswer,
    DeadLetterView,
    FindingView,
    HealthAnswer,
    QuarantineAnswer,
    QuarantinedConnection,
    QuarantineItem,
    RevealChange,
    RevealedChange,
    RevealedField,
)
from tests.console.altering import add_dead_letter
from tests.console.harness import ConsoleUnderTest

HOSTILE: Final[Mapping[str, str]] = {
    "script": "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>",
    "template": "{{7*7}}{% raw %}${7*7}#{7*7}<%= 7*7 %>{{config}}",
    "style": "</style></title></textarea><style>*{display:none}</style><!-- ]]> url(javascript:1)",
    "direction": "\u202eexe.txt\u202c\u200b\u200d\u2066x\u2069\ufeff\u0301",
    "long": "<b>Ü</b> " * 560,
    "controls": "nul\x00bel\x07esc\x1b[31m\x7f\x85\u2028</p>\r\nset-cookie: a=b",
    "address": "javascript:alert(1)//?a=b&c=<b>#\"'",
}
PERSON_CHARS_MAX: Final = 100
"""What people and services say of themselves is bounded where it comes in."""
_FREE: Final = frozenset(
    {"text", "before", "after", "cohort", "key", "expected_origin", "first_cursor", "last_cursor", "scope",
     "rule", "value_class", "target_system", "environment"}
)  # fmt: skip
_PEOPLE: Final = frozenset({"requester", "approver", "reason", "actor", "cancel_requested_by", "pause_requested_by"})


def honest(text: str) -> str:
    """As long, with nothing in it."""
    return "x" * len(text)


def poison(record: Path, text: str) -> None:
    """Put the text in every place of the record that others than services write."""
    with sqlite3.connect(record) as database:
        for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {trigger}")
        for table, key, column in (
            ("run", "run", "state"),
            ("plan_review", "run", "body"),
            ("plan_change_body", "rowid_of", "body"),
            ("run_event", "entry_index", "body"),
        ):
            _poison_documents(database, table, key, column, text)
        database.execute("UPDATE plan_change SET key_shown = ?, cohort = ?, search = ?", (text, text, text))
        database.execute("UPDATE plan_aside SET key_shown = ?", (text,))
        person = text[:PERSON_CHARS_MAX]
        database.execute("UPDATE run SET requester = ?", (person,))
        for index, body in database.execute("SELECT entry_index, body FROM entry").fetchall():
            entry = json.loads(body)
            entry["actor"] = person
            entry["summary"] = {
                name: person if isinstance(value, str) else value for name, value in entry["summary"].items()
            }
            database.execute(
                "UPDATE entry SET body = ?, actor = ? WHERE entry_index = ?", (json.dumps(entry), person, index)
            )
    add_dead_letter(record, run=None, at="2026-11-22T08:00:00.000Z", reason=text)


def _poison_documents(database: sqlite3.Connection, table: str, key: str, column: str, text: str) -> None:
    names = ("run", "position") if key == "rowid_of" else (key,)
    rows = database.execute(f"SELECT {', '.join(names)}, {column} FROM {table}").fetchall()
    where = " AND ".join(f"{name} = ?" for name in names)
    database.executemany(
        f"UPDATE {table} SET {column} = ? WHERE {where}",
        [(json.dumps(_poisoned(json.loads(row[-1]), text)), *row[:-1]) for row in rows],
    )


def _poisoned(value: Any, text: str, name: str = "") -> Any:
    if isinstance(value, dict):
        return {each: _poisoned(inner, text, each) for each, inner in value.items()}
    if isinstance(value, list):
        return [_poisoned(inner, text, name) for inner in value]
    if not isinstance(value, str):
        return value
    if name in _PEOPLE:
        return text[:PERSON_CHARS_MAX]
    return text if name in _FREE else value


def answer_with(made: ConsoleUnderTest, text: str) -> None:
    """Let services answer with the text wherever they hand on what others wrote."""
    at = "2026-11-22T08:00:00.000Z"
    note = FailureNote(code="APL_AUTH", text=text)
    dead = DeadLetterView(
        stream="CORE", seq=7, subject=text, service="differ", code="SYS_UNDECODABLE", reason=text, at=at
    )  # fmt: skip
    shut = QuarantinedConnection(connection="titanhst", since=at, reason=note, run=None, probes=2)
    item = QuarantineItem(
        side="source", entity=text, key=text, source=text, field=text, code="NRM_BAD_FORMAT", value_class=text,
        rule=text,
    )  # fmt: skip

    found = FindingView(subject=text, is_good=False, text=text)

    def revealed(asked: RevealChange) -> RevealedChange:
        field = RevealedField(name=text, before=text, after=text, is_personal=True)
        return RevealedChange(
            run=asked.run, change_id=asked.change_id, entity=text, change_class="update", key=text, fields=(field,)
        )  # fmt: skip

    def checked(connection: str) -> ConnectionAnswer:
        return ConnectionAnswer(connection=connection, system=text, environment=text, tier=text, findings=(found,))

    made.acting.answers |= {
        "health": lambda _: HealthAnswer(
            entries=3, checkpoints=1, lag={"CORE": 2}, dead_letters=(dead,), dead_letters_total=1, quarantined=(shut,)
        ),
        "quarantine": lambda asked: QuarantineAnswer(
            run=asked.run, total=1, by_code={"NRM_BAD_FORMAT": 1}, items=(item,)
        ),
        "check_connection": checked,
        "reveal_change": revealed,
    }

"""A past that was not lived through: what a file may tell of it, and what becomes of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.differ.ledger import Ledger
from services.differ.memory import Scope
from services.differ.seeding import SeedRefused, main, past_from
from tests.unit.plan.plan_builder import NOW

PAST: dict[str, Any] = {
    "connector": "staff",
    "target": "titanhst",
    "entities": {
        "contacts": {
            "certified_runs": 2,
            "links": {"E1": "C1", "E2": "C2"},
            "missed": {"E9": "2026-11-19T08:00:00Z"},
            "rows_accepted": {"person": 2400},
        }
    },
}
SCOPE = Scope(connector="staff", target="titanhst", entity="contacts")


def altered(alter: Callable[[dict[str, Any]], object]) -> bytes:
    past = json.loads(json.dumps(PAST))
    alter(past)
    return json.dumps(past).encode()


def contacts(past: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = past["entities"]["contacts"]
    return found


@pytest.mark.parametrize(
    ("alter", "told"),
    [
        (lambda past: contacts(past).pop("certified_runs"), "entities.contacts.certified_runs: Field required"),
        (lambda past: contacts(past).update(certified_runs=-1), "entities.contacts.certified_runs"),
        (lambda past: contacts(past).update(misses={}), "entities.contacts.misses"),
        (lambda past: past.update(entities={}), "entities: "),
        (lambda past: contacts(past)["missed"].update(E8="yesterday"), "entities.contacts.missed.E8"),
        (lambda past: contacts(past)["missed"].update(E8="2026-11-19T08:00:00"), "entities.contacts.missed.E8"),
        (
            lambda past: contacts(past)["missed"].update(E8="2026-11-23T08:00:00Z"),
            "missed.E8: 2026-11-23.* not come yet",
        ),
        (lambda past: contacts(past)["links"].update(E3="C1"), "links.E3: C1 is linked to E1 already"),
        (lambda past: contacts(past)["links"].update(E3=""), "entities.contacts.links.E3"),
    ],
)
def test_faulty_file_is_refused_with_its_places(alter: Callable[[dict[str, Any]], object], told: str) -> None:
    with pytest.raises(SeedRefused, match=told) as refused:
        past_from(altered(alter), "past.json", now=NOW)
    assert str(refused.value).startswith("past.json: ")


def test_many_faults_are_told_in_one_bounded_message() -> None:
    body = altered(lambda past: contacts(past)["links"].update({f"K{n}": "C1" for n in range(50)}))
    with pytest.raises(SeedRefused, match="and 40 more"):
        past_from(body, "past.json", now=NOW)


def test_file_that_is_no_json_is_refused() -> None:
    with pytest.raises(SeedRefused, match=r"past\.json: file: Invalid JSON"):
        past_from(b"certified_runs: 2", "past.json", now=NOW)


def test_program_writes_the_past_into_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "past.json").write_text(json.dumps(PAST), encoding="utf-8")
    url = f"sqlite+aiosqlite:///{tmp_path / 'differ.db'}"
    monkeypatch.setenv("AETHER_DATABASE_URL", url)
    assert main([str(tmp_path / "past.json")]) == 0
    assert capsys.readouterr().out == "staff contacts: 2 certified runs, 2 links, 1 missed\n"

    async def remembered() -> tuple[dict[str, str], int, int]:
        ledger = Ledger(url)
        linked = await ledger.linked(SCOPE, ["C1", "C2"])
        recalled = await ledger.recall(SCOPE, ["E9"])
        history = await ledger.history(SCOPE, run="r", now=NOW)
        await ledger.close()
        return linked, recalled["E9"].strikes, history.certified_runs

    assert asyncio.run(remembered()) == ({"C1": "E1", "C2": "E2"}, 1, 2)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [([], "usage"), (["a", "b"], "usage"), (["/nowhere/past.json"], "past.json: cannot be read")],
)
def test_program_says_what_it_lacks(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    assert told in capsys.readouterr().err

"""The past of the sample district: every contact with a key is linked, the seeding program takes it, it comes once."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.demo_past import TOLD, past_of
from cli.embedded_setup import PEOPLE, prepare
from cli.processes import ChildFailed
from cli.stack import ROOT, Stack
from services.differ.seeding import past_from
from shared.contract.catalog import Connectors
from simulators.district.__main__ import make

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def test_past_links_every_managed_contact_and_has_missed_the_leavers(tmp_path: Path) -> None:
    truth = make(out=tmp_path, staff=400)
    contacts = json.loads((tmp_path / "titanhst.json").read_bytes())["contacts"]
    told = past_of(json.loads((tmp_path / "truth.json").read_bytes()), contacts, now=NOW)
    [(entity, past)] = past_from(json.dumps(told).encode(), "past.json", now=NOW).entities.items()
    assert entity == "contacts"
    linked = {target_id: key for key, target_id in past.links.items()}
    assert linked == {contact["id"]: contact["externalId"] for contact in contacts if contact["externalId"]}
    assert 0 < len(linked) < len(contacts)
    changes = truth["changes"]
    assert isinstance(changes, dict)
    assert sorted(past.missed) == changes["suspend"]
    assert all(NOW - at > timedelta(days=1) for at in past.missed.values())


def test_past_names_the_sources_of_the_connector_and_the_rows_that_are_read(tmp_path: Path) -> None:
    make(out=tmp_path, staff=400)
    told = past_of(json.loads((tmp_path / "truth.json").read_bytes()), [], now=NOW)
    definition = Connectors(ROOT / "connectors").load("titanhst-staff").definition
    assert (told["connector"], told["target"]) == (definition.name, definition.target.connection)
    assert set(told["entities"]) == set(definition.entities)
    rows = told["entities"]["contacts"]["rows_accepted"]
    assert set(rows) == set(definition.sources)
    with closing(sqlite3.connect(tmp_path / "aeries.db")) as database:
        [live] = database.execute('SELECT count(*) FROM "STF" WHERE coalesce("DEL", 0) = 0').fetchone()
    assert rows["aeries"] == live


@pytest.fixture
def house(tmp_path: Path) -> tuple[Stack, list[str]]:
    """A demonstration that has not started yet, over a district that is made; and what it says."""
    said: list[str] = []
    stack = Stack(tmp_path, is_demo=True, on_notice=said.append)
    prepare(stack.layout, PEOPLE)
    make(out=stack.layout.district, staff=400)
    return stack, said


async def test_past_is_given_once_and_told(house: tuple[Stack, list[str]]) -> None:
    stack, said = house
    await stack._give_past()
    ledger = stack.layout.database("differ")
    with closing(sqlite3.connect(ledger)) as database, database:
        assert database.execute("SELECT count(*) FROM missed_record").fetchone() == (21,)
        database.execute("DELETE FROM missed_record")
    await stack._give_past()
    assert said == [TOLD]
    with closing(sqlite3.connect(ledger)) as database:
        assert database.execute("SELECT count(*) FROM missed_record").fetchone() == (0,), "what came later was lost"


async def test_past_that_cannot_be_given_leaves_no_ledger(house: tuple[Stack, list[str]]) -> None:
    stack, said = house
    stack.layout.past.write_text('{"connector": "titanhst-staff"}')
    with pytest.raises(ChildFailed, match="entities"):
        await stack._give_past()
    assert not stack.layout.database("differ").exists()
    assert said == []

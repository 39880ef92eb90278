"""The state of the simulated TitanHST: seeds, the control plane's view of it, and what outlives the process."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from simulators.kit.lines import LineFile
from simulators.titanhst.store import ROLES, ContactStore, open_store

NOW = datetime(2026, 11, 22, 8, 0, 0, tzinfo=UTC)
LOCATIONS = [{"code": "TL-010", "name": "North"}]
PLAIN = {"firstName": "Ada", "lastName": "Sample", "role": "TEACHER", "locationCode": "TL-010"}


def world(*contacts: object, **more: object) -> dict[str, Any]:
    return {"locations": LOCATIONS, "contacts": list(contacts), **more}


def test_a_seed_may_leave_out_ids_times_and_what_a_create_may_leave_out() -> None:
    store = ContactStore.from_document(
        world(PLAIN | {"id": "c-000050", "createdAt": "2020-01-01T00:00:00Z"}, PLAIN, PLAIN | {"id": "c-000002"}),
        now=NOW,
    )
    assert [contact["id"] for contact in store.page(slice(0, 9))] == ["c-000002", "c-000050", "c-000051"]
    seeded = store.get("c-000050")
    assert seeded is not None
    assert (seeded["createdAt"], seeded["updatedAt"]) == ("2020-01-01T00:00:00Z", "2026-11-22T08:00:00Z")
    assert (seeded["active"], seeded["email"]) == (True, None)
    assert store.roles == ROLES


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ([], "state"),
        (world(people=[]), "state"),
        (world(roles=[{"code": "A"}]), r"roles\[0\]"),
        (world(roles="TEACHER"), r"roles\[0\]"),
        (world(roles=[{"code": "A", "name": "a"}, {"code": "A", "name": "b"}]), r"roles\[1\]"),
        (world(nextNumber=0), "nextNumber"),
        (world(PLAIN, "Ada"), r"contacts\[1\]: not an object"),
        (world(PLAIN | {"role": "WIZARD"}), r"contacts\[0\]: role is not a known role"),
        (world(PLAIN | {"id": "7"}), r"contacts\[0\]: id '7'"),
        (world(PLAIN | {"id": "c-000001"}, PLAIN | {"id": "c-000001"}), r"contacts\[1\]: id 'c-000001' is taken"),
        (world(PLAIN | {"createdAt": "yesterday"}), r"contacts\[0\]: time 'yesterday'"),
        (world(PLAIN | {"externalId": "X"}, PLAIN | {"externalId": "X"}), r"contacts\[1\]: externalId X"),
    ],
)
def test_a_seed_the_api_would_not_hold_is_refused_by_place(document: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        ContactStore.from_document(document, now=NOW)


def test_the_state_can_be_taken_out_and_put_back(titan: Any) -> None:
    titan.writer.delete("/contacts/c-000010")
    state = titan.control.get("/state").json()
    titan.create(externalId="X")
    assert titan.control.put("/state", json=state).status_code == 204
    assert titan.control.get("/state").json() == state
    assert titan.create().json()["id"] == "c-000011"  # the deleted id stays used


def test_a_state_that_is_refused_changes_nothing(titan: Any) -> None:
    before = titan.control.get("/state").json()
    answer = titan.control.put("/state", json=world(PLAIN | {"role": "WIZARD"}))
    assert answer.status_code == 422
    assert "contacts[0]" in answer.json()["message"]
    assert titan.control.put("/state", content=b"{").status_code == 422
    assert titan.control.get("/state").json() == before


def test_a_kept_state_survives_restarts_and_wins_over_the_seed(start_titan: Any, tmp_path: Path) -> None:
    keep_file = tmp_path / "state.jsonl"
    first = start_titan(3, keep_file=keep_file)
    first.create(externalId="X")
    first.writer.patch("/contacts/c-000001", json={"externalId": "E-new"})
    first.writer.delete("/contacts/c-000004")
    first.writer.delete("/contacts/c-000002")
    first.arm("lying_success")
    first.writer.delete("/contacts/c-000003")
    state = first.control.get("/state").json()
    first.stop()
    second = start_titan(9, keep_file=keep_file)
    assert second.control.get("/state").json() == state
    assert second.create(externalId="Y").json()["id"] == "c-000005"
    assert second.reader.get("/contacts/external/E-new").json()["id"] == "c-000001"
    assert second.reader.get("/contacts/external/E1").status_code == 404


def test_a_state_put_from_outside_is_kept_too(start_titan: Any, tmp_path: Path) -> None:
    first = start_titan(3, keep_file=tmp_path / "state.jsonl")
    first.control.put("/state", json=world(PLAIN | {"externalId": "Z"}))
    first.create(externalId="X")
    first.stop()
    second = start_titan(9, keep_file=tmp_path / "state.jsonl")
    assert [item["externalId"] for item in second.reader.get("/contacts").json()["items"]] == ["Z", "X"]


def test_a_torn_last_line_of_a_kept_state_is_forgotten_and_a_wrong_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    lines = LineFile(path)
    store = open_store(seed=world(PLAIN), lines=lines, now=NOW)
    store.create(PLAIN, now=NOW)
    lines.close()
    with path.open("ab") as file:
        file.write(b'{"delete": "c-00')
    assert len(open_store(seed=world(), lines=LineFile(path), now=NOW)) == 2
    with path.open("ab") as file:
        file.write(b'{"delete": "c-000077"}\n')
    with pytest.raises(ValueError, match=r"state\.jsonl: no such line"):
        open_store(seed=world(), lines=LineFile(path), now=NOW)


def test_ids_run_out_loudly() -> None:
    store = ContactStore.from_document(world(PLAIN | {"id": "c-999999"}), now=NOW)
    with pytest.raises(RuntimeError, match="used up before c-1000000"):
        store.create(PLAIN, now=NOW)

"""Klaxon Alerts, written to: creates, both updates, removal, batches, refusals that look like successes, seeds."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import simulators.kit
from tests.simulators.alerts.running_alerts import ID, KEY, ORGANIZATION, Klaxon, person, running_alerts, seed

FIRST = 4_100_000_000_001


@pytest.fixture
def klaxon() -> Iterator[Klaxon]:
    with running_alerts(3) as running:
        yield running


def test_a_create_is_answered_with_the_contact_and_journaled(klaxon: Klaxon) -> None:  # K23
    answer = klaxon.client.post("/contacts", json=person(9, jobTitle="Nurse"))
    assert (answer.status_code, answer.json()["id"]) == (201, FIRST + 3)
    contact = answer.json()["result"]
    assert (contact["organizationId"], contact["status"], contact["jobTitle"]) == (ORGANIZATION, "A", "Nurse")
    assert klaxon.client.get(f"/contacts/{FIRST + 3}").json()["result"] == contact
    assert klaxon.effects() == {"E9": [f"created {FIRST + 3}"]}
    assert klaxon.violations() == []


def test_a_create_sent_twice_is_refused_whatever_key_it_carries(klaxon: Klaxon) -> None:  # K24, K29
    once = {"Idempotency-Key": "one"}
    answers = [klaxon.client.post("/contacts", json=person(9), headers=once).status_code for _ in range(2)]
    assert answers == [201, 409]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"firstName": " "}, 400),
        ({"lastName": "x" * 81}, 400),
        ({"externalId": None}, 400),
        ({"status": "active"}, 400),
        ({"paths": {}}, 400),
        ({"paths": [{"pathId": 11, "value": "no mail"}]}, 400),
        ({"paths": [{"pathId": 12, "value": "562 555 0101"}]}, 400),
        ({"paths": [{"pathId": 11, "value": "a@example.org"}] * 2}, 400),
        ({"paths": [{"pathId": 11, "value": "a@example.org", "waitTime": -1}]}, 400),
        ({"paths": [{"pathId": 11, "value": "a@example.org", "countryCode": "US"}]}, 400),
        ({"recordTypeId": "1"}, 400),
        ({"recordTypeId": 77}, 424),
        ({"paths": [{"pathId": 77, "value": "a@example.org"}]}, 424),
    ],
)
def test_what_a_contact_cannot_hold_is_refused(fields: dict[str, object], expected: int, shared: Klaxon) -> None:
    answer = shared.client.post("/contacts", json=person(9, **fields))  # K25, K26
    assert (answer.status_code, list(answer.json())) == (expected, ["message"])
    assert shared.effects() == {}


@pytest.fixture(scope="module")
def shared() -> Iterator[Klaxon]:
    """For refusals only: nothing in it changes."""
    with running_alerts(3) as running:
        yield running


def test_what_is_forbidden_is_noted(klaxon: Klaxon) -> None:  # K7, K18, K19, K20
    assert klaxon.client.post("/contacts", content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 415
    as_json = {"Content-Type": "application/json"}
    assert klaxon.client.post("/contacts", content=b"{", headers=as_json).status_code == 400
    assert klaxon.client.post("/contacts", content=b"[1]", headers=as_json).status_code == 400
    assert klaxon.client.post("/contacts", json=person(9, nickname="A")).status_code == 400
    assert klaxon.client.put("/contacts", json=person(9)).status_code == 404
    assert klaxon.client.post("/contacts/batch", json={"items": [person(9)]}).status_code == 404
    assert klaxon.violations() == ["K18", "K19", "K19", "K20", "K7", "K7"]
    kept = klaxon.control.get("/state").json()["violations"]
    assert {each["path"] for each in kept} == {"/v1/contacts"}


def test_a_patch_sets_what_it_names_and_a_put_resets_the_rest(klaxon: Klaxon) -> None:  # K27
    address = f"/contacts/{FIRST}"
    patched = klaxon.client.patch(address, json={"jobTitle": "Nurse"}).json()["result"]
    assert (patched["jobTitle"], len(patched["paths"])) == ("Nurse", 1)
    assert klaxon.client.patch(address, json={"jobTitle": "Nurse"}).status_code == 200
    full = {"externalId": "E1", "firstName": "Ada", "lastName": "Sample 1", "recordTypeId": 1}
    put = klaxon.client.put(address, json=full).json()["result"]
    assert (put["jobTitle"], put["paths"], put["status"]) == (None, [], "A")
    assert klaxon.client.put(address, json={"firstName": "Ada"}).status_code == 400
    assert klaxon.effects() == {"E1": [f"updated {FIRST} [jobTitle]", f"updated {FIRST} [jobTitle, paths]"]}


def test_what_was_read_may_be_sent_back_whole(klaxon: Klaxon) -> None:  # K20
    contact = klaxon.client.get(f"/contacts/{FIRST}").json()["result"]
    assert klaxon.client.put(f"/contacts/{FIRST}", json=contact).json()["result"] == contact
    assert klaxon.effects() == {}
    assert klaxon.violations() == []


@pytest.mark.parametrize(("update", "put", "patch"), [("put", 200, 404), ("patch", 404, 200)])
def test_only_one_verb_of_change_may_be_offered(klaxon: Klaxon, update: str, put: int, patch: int) -> None:  # K27
    klaxon.switch(update=update)
    assert klaxon.client.put(f"/contacts/{FIRST}", json=person(1)).status_code == put
    assert klaxon.client.patch(f"/contacts/{FIRST}", json={"lastName": "New"}).status_code == patch


def test_an_external_id_moves_and_frees_the_old_one(klaxon: Klaxon) -> None:  # K24
    assert klaxon.client.patch(f"/contacts/{FIRST}", json={"externalId": "E2"}).status_code == 409
    assert klaxon.client.patch(f"/contacts/{FIRST}", json={"externalId": "E8"}).status_code == 200
    assert klaxon.client.post("/contacts", json=person(1)).status_code == 201


def test_a_delete_is_for_good_and_by_switch_not_offered(klaxon: Klaxon) -> None:  # K28
    assert klaxon.client.delete(f"/contacts/{FIRST}").status_code == 200
    assert klaxon.client.delete(f"/contacts/{FIRST}").status_code == 404
    klaxon.switch(removal="flag")
    assert klaxon.client.delete(f"/contacts/{FIRST + 1}").status_code == 404
    gone = klaxon.client.patch(f"/contacts/{FIRST + 1}", json={"status": "I"}).json()["result"]
    assert gone["status"] == "I"
    assert klaxon.effects() == {"E1": [f"deleted {FIRST}"], "E2": [f"updated {FIRST + 1} [status]"]}
    assert klaxon.violations() == ["K7"]


def test_writes_go_by_the_vendors_id_only(klaxon: Klaxon) -> None:  # K9
    assert klaxon.client.delete("/contacts/E1", params={"idType": "externalId"}).status_code == 400
    assert klaxon.violations() == ["K9"]


def test_a_refusal_may_look_like_a_success(klaxon: Klaxon) -> None:  # K22
    klaxon.switch(is_refusal_a_success=True)
    refused = klaxon.client.post("/contacts", json=person(1))
    assert (refused.status_code, refused.json()["ok"], refused.json()["code"]) == (200, False, 409)
    assert klaxon.client.post("/contacts", json=person(9)).json()["ok"] is True
    assert klaxon.client.get("/contacts").json()["ok"] is True
    assert klaxon.bare.get(f"{klaxon.url}/v1/contacts").status_code == 401


def test_unknown_fields_may_be_taken_without_effect(klaxon: Klaxon) -> None:  # K20
    klaxon.switch(unknown_fields="ignore")
    assert "nickname" not in klaxon.client.post("/contacts", json=person(9, nickname="A")).json()["result"]
    assert klaxon.violations() == ["K20"]


def test_a_batch_answers_for_each_item_under_one_success(klaxon: Klaxon) -> None:  # K40, K41, K43
    klaxon.switch(batch="sync")
    items = [
        person(9),
        person(1, jobTitle="Nurse"),
        person(10, recordTypeId=77),
        {"firstName": "Ada"},
        "Ada",
        person(2),
    ]
    answer = klaxon.client.post("/contacts/batch", json={"items": items})
    assert answer.status_code == 200
    assert [result["status"] for result in answer.json()["results"]] == [201, 200, 424, 400, 400, 200]
    assert klaxon.effects() == {"b-1": [f"created {FIRST + 3}; updated {FIRST} [jobTitle]; unchanged {FIRST + 1}"]}
    assert klaxon.client.get("/contacts").json()["page"]["totalCount"] == 4


def test_a_batch_over_the_limit_is_refused_and_noted(klaxon: Klaxon) -> None:  # K40
    klaxon.switch(batch="sync", batch_items_max=2)
    bodies: list[dict[str, Any]] = [{"items": [person(n) for n in (7, 8, 9)]}, {"items": []}, {"rows": [person(9)]}]
    for body in bodies:
        assert klaxon.client.post("/contacts/batch", json=body).status_code == 400
    assert klaxon.violations() == ["K40"] * 3
    assert klaxon.effects() == {}


def test_results_may_come_later(klaxon: Klaxon) -> None:  # K42
    klaxon.switch(batch="token", batch_seconds=5)
    answer = klaxon.client.post("/contacts/batch", json={"items": [person(9)]})
    address = f"/batches/{answer.json()['batchId']}"
    assert (answer.status_code, klaxon.client.get(address).json()["state"]) == (202, "pending")
    klaxon.clock.seconds += 5
    done = klaxon.client.get(address).json()
    assert (done["state"], done["results"][0]["status"]) == ("done", 201)
    assert klaxon.client.get("/batches/b-77").status_code == 404


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_a_lying_success_answers_as_an_honest_one_and_does_nothing(klaxon: Klaxon, method: str) -> None:
    address = "/contacts" if method == "POST" else f"/contacts/{FIRST}"
    klaxon.control.post("/faults", json={"kind": "lying_success"})
    answer = klaxon.client.request(method, address, json=person(9) if method == "POST" else {"lastName": "New"})
    assert answer.is_success
    assert klaxon.effects() == {}
    assert klaxon.client.get("/contacts").json()["page"]["totalCount"] == 3


def test_the_state_can_be_taken_out_and_put_back(klaxon: Klaxon) -> None:
    klaxon.client.delete(f"/contacts/{FIRST}")
    klaxon.client.get("/contacts", params={"offset": "1"})
    state = klaxon.control.get("/state").json()
    klaxon.client.post("/contacts", json=person(9))
    assert klaxon.control.put("/state", json=state).status_code == 204
    assert klaxon.control.get("/state").json() == state
    assert klaxon.client.post("/contacts", json=person(9)).json()["id"] == FIRST + 3


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"people": []}, "state"),
        ({"organizations": [{"id": "9001", "name": "N"}]}, "organizations[0]"),
        ({"organizations": [{"id": 1, "name": "N"}, {"id": 1, "name": "M"}]}, "organizations[1]: id 1 is taken"),
        ({"recordTypes": [{"id": 1}]}, "recordTypes[0]"),
        ({"deliveryPaths": [{"id": 1, "name": "Pigeon", "kind": "bird"}]}, "deliveryPaths[0]"),
        ({"contacts": {}}, "contacts"),
        ({"contacts": [person(1)]}, "contacts[0]: organizationId"),
        ({"contacts": [person(1, organizationId=9001, recordTypeId=5)]}, "contacts[0]: recordTypeId"),
        ({"contacts": [person(1, organizationId=9001), person(1, organizationId=9001)]}, "contacts[1]: externalId"),
        ({"contacts": [person(1, organizationId=9001, shoe=42)]}, "contacts[0]: an object"),
        ({"nextId": 0}, "nextId"),
        ({"violations": [{"rule": "K1"}]}, "violations[0]"),
    ],
)
def test_a_seed_the_api_would_not_hold_is_refused_by_place(change: dict[str, Any], named: str, shared: Klaxon) -> None:
    answer = shared.control.put("/state", json=seed(1) | change)
    assert answer.status_code == 422
    assert named in answer.json()["message"]
    assert shared.client.get("/contacts").json()["page"]["totalCount"] == 3


def test_the_program_serves_and_ends_cleanly(tmp_path: Path) -> None:
    (tmp_path / "seed.json").write_text(json.dumps(seed(2)))
    (tmp_path / "secret").write_text(KEY)
    command = [sys.executable, "-m", "simulators.alerts", "--state", str(tmp_path / "seed.json"), "--client-id", ID]
    for option in ("--client-secret-file", "--api-key-file", "--bearer-token-file"):
        command += [option, str(tmp_path / "secret")]
    command += ["--ready-file", str(tmp_path / "ready.json"), "--switches", '{"paging": "none"}']
    root = Path(simulators.kit.__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE) as process:
        try:
            deadline = time.monotonic() + 20
            while not (tmp_path / "ready.json").exists():
                assert process.poll() is None, process.stderr.read() if process.stderr else ""
                assert time.monotonic() < deadline
                time.sleep(0.01)
            url = json.loads((tmp_path / "ready.json").read_text())["url"]
            address = f"{url}/v1/contacts?organizationId={ORGANIZATION}"
            answer = httpx.get(address, headers={"x-api-key": KEY}, trust_env=False)
            assert len(answer.json()["page"]["data"]) == 2
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            process.kill()

"""Klaxon Alerts, read: every proof, every paging form, the rates, and what the vendor ignores and we note."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.simulators.alerts.running_alerts import BEARER, ID, KEY, ORGANIZATION, SECRET, Klaxon, running_alerts

LIST = f"/v1/contacts?organizationId={ORGANIZATION}"


@pytest.fixture(scope="module")
def shared() -> Iterator[Klaxon]:
    with running_alerts(25) as klaxon:
        yield klaxon


@pytest.fixture
def klaxon(shared: Klaxon) -> Klaxon:
    """The simulator of this module, as it was at its start but for its clock."""
    shared.control.delete("/switches")
    shared.control.delete("/faults")
    shared.control.put("/state", json=shared.control.get("/state").json() | {"violations": []})
    return shared


def status(klaxon: Klaxon, **headers: str) -> int:
    return klaxon.bare.get(f"{klaxon.url}{LIST}", headers=headers).status_code


def basic(name: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()


def numbers(items: list[Any]) -> list[str]:
    return [item["externalId"] for item in items]


ALL = [f"E{number}" for number in range(1, 26)]


def test_token_basic_and_key_are_all_taken_as_documented(klaxon: Klaxon) -> None:  # K1, K2
    answer = klaxon.token()
    assert answer.status_code == 200
    assert answer.json()["expires_in"] == 28_800
    assert status(klaxon, Authorization=f"Bearer {answer.json()['access_token']}") == 200
    assert status(klaxon, Authorization=basic(ID, SECRET)) == 200
    assert status(klaxon, **{"x-api-key": KEY}) == 200
    assert klaxon.violations() == []


def test_a_token_ends_when_it_said_it_would(klaxon: Klaxon) -> None:  # K6
    klaxon.switch(token_seconds=60)
    token = klaxon.token().json()["access_token"]
    klaxon.clock.seconds += 59.9
    assert status(klaxon, Authorization=f"Bearer {token}") == 200
    klaxon.clock.seconds += 0.1
    assert status(klaxon, Authorization=f"Bearer {token}") == 401
    assert status(klaxon, Authorization="Bearer invented") == status(klaxon) == 401


def test_token_requests_of_another_form_are_refused_and_noted(klaxon: Klaxon) -> None:  # K3, K4
    address = f"{klaxon.url}/authorization/v1/tokens"
    assert klaxon.token(grant_type="password").json()["error"] == "unsupported_grant_type"
    assert klaxon.bare.post(address, json={"grant_type": "client_credentials"}).status_code == 400
    assert klaxon.token(client_id=ID, client_secret="wrong").status_code == 401
    assert klaxon.token(client_id=ID, client_secret=SECRET).status_code == 200
    klaxon.switch(proof_place="basic")
    assert klaxon.token(client_id=ID, client_secret=SECRET).status_code == 401
    klaxon.switch(proof_place="body")
    assert klaxon.token().status_code == 401
    assert klaxon.violations() == ["K3", "K3", "K4", "K4"]


@pytest.mark.parametrize(
    ("form", "good"),
    [
        ("basic", {"Authorization": basic(ID, SECRET)}),
        ("bearer", {"Authorization": f"Bearer {BEARER}"}),
        ("header_key", {"x-api-key": KEY}),
        ("none", {}),
    ],
)
def test_one_form_of_proof_takes_no_other(klaxon: Klaxon, form: str, good: dict[str, str]) -> None:  # K5
    klaxon.switch(auth=form)
    token = {"Authorization": f"Bearer {klaxon.token().json()['access_token']}"}
    assert status(klaxon, **good) == 200
    assert status(klaxon, **token) == (200 if form == "none" else 401)
    klaxon.switch(auth="oauth2")
    assert (status(klaxon, **token), status(klaxon, **good)) == (200, 401)


def test_the_key_may_stand_in_another_header(klaxon: Klaxon) -> None:  # K5
    klaxon.switch(auth="header_key", key_header="x-klaxon-key")
    assert (status(klaxon, **{"x-klaxon-key": KEY}), status(klaxon, **{"x-api-key": KEY})) == (200, 401)


def test_page_numbers_walk_the_list_in_tens(klaxon: Klaxon) -> None:  # K10
    pages = [
        klaxon.client.get("/contacts", params={"pageNumber": str(number)}).json()["page"] for number in (1, 2, 3, 4)
    ]
    assert [len(page["data"]) for page in pages] == [10, 10, 5, 0]
    assert numbers([item for page in pages for item in page["data"]]) == ALL
    assert {page["totalCount"] for page in pages} == {25}
    assert klaxon.violations() == []


def test_without_paging_the_whole_list_comes_bare_if_asked(klaxon: Klaxon) -> None:  # K11
    klaxon.switch(paging="none", items_pointer="", total_pointer="", is_total_in_header=True)
    answer = klaxon.client.get("/contacts")
    assert numbers(answer.json()) == ALL
    assert answer.headers["x-total-count"] == "25"


def test_offset_and_limit_walk_the_list(klaxon: Klaxon) -> None:  # K12
    klaxon.switch(paging="offset_limit", items_pointer="/result/rows", total_pointer="/total")
    found: list[Any] = []
    while len(found) < 25:
        document = klaxon.client.get("/contacts", params={"offset": str(len(found)), "limit": "7"}).json()
        assert document["total"] == 25
        found += document["result"]["rows"]
    assert numbers(found) == ALL


def test_cursors_walk_the_list_and_end_with_null(klaxon: Klaxon) -> None:  # K13
    klaxon.switch(paging="cursor", cursor_pointer="/meta/next", total_pointer="")
    found, query, requests = [], {"limit": "10"}, 0
    while True:
        document = klaxon.client.get("/contacts", params=query).json()
        found += document["page"]["data"]
        requests += 1
        if document["meta"]["next"] is None:
            break
        query["cursor"] = document["meta"]["next"]
    assert (numbers(found), requests) == (ALL, 3)
    assert klaxon.client.get("/contacts", params={"cursor": "invented"}).status_code == 400
    assert klaxon.client.get("/contacts", params={"cursor": "💥"}).status_code == 400
    assert klaxon.violations() == ["K16", "K16"]


def test_links_lead_through_the_list(klaxon: Klaxon) -> None:  # K14
    klaxon.switch(paging="link_header")
    found: list[Any] = []
    address: str | None = f"{klaxon.url}{LIST}&perPage=10"
    while address is not None:
        answer = klaxon.bare.get(address, headers={"x-api-key": KEY})
        found += answer.json()["page"]["data"]
        address = answer.links.get("next", {}).get("url")
    assert numbers(found) == ALL
    assert set(answer.links) == {"first", "last", "prev"}


def test_the_page_may_be_asked_for_in_a_header(klaxon: Klaxon) -> None:  # K15
    klaxon.switch(paging="page_header", total_pointer="")
    answers = [klaxon.client.get("/contacts", headers={"page": str(number)}) for number in (1, 2, 3)]
    assert numbers([item for answer in answers for item in answer.json()["page"]["data"]]) == ALL
    assert {answer.headers["total-pages"] for answer in answers} == {"3"}


@pytest.mark.parametrize("query", [{"pageSize": "1001"}, {"pageSize": "0"}, {"pageNumber": "0"}, {"pageNumber": "x"}])
def test_a_page_that_cannot_be_is_refused_and_noted(klaxon: Klaxon, query: dict[str, str]) -> None:  # K16
    answer = klaxon.client.get("/contacts", params=query)
    assert (answer.status_code, list(answer.json())) == (400, ["message"])  # K21
    assert klaxon.violations() == ["K16"]


def test_a_request_in_another_paging_form_gets_the_first_page_and_is_noted(klaxon: Klaxon) -> None:  # K17
    answer = klaxon.client.get("/contacts", params={"offset": "10", "limit": "10"})
    assert numbers(answer.json()["page"]["data"]) == ALL[:10]
    assert klaxon.violations() == ["K17"]


def test_the_organization_must_be_named_known_and_granted(klaxon: Klaxon) -> None:  # K8
    def ask(query: str) -> int:
        return klaxon.bare.get(f"{klaxon.url}/v1/contacts{query}", headers={"x-api-key": KEY}).status_code

    assert [ask(""), ask("?organizationId=9003"), ask("?organizationId=9002")] == [400, 404, 403]
    assert klaxon.violations() == ["K8"]


def test_a_contact_is_found_by_either_id(klaxon: Klaxon) -> None:  # K9
    by_filter = klaxon.client.get("/contacts", params={"externalId": "E7"}).json()["page"]
    assert (by_filter["totalCount"], numbers(by_filter["data"])) == (1, ["E7"])
    assert klaxon.client.get("/contacts", params={"externalId": "E777"}).json()["page"]["data"] == []
    by_key = klaxon.client.get("/contacts/E7", params={"idType": "externalId"}).json()["result"]
    assert by_key == klaxon.client.get(f"/contacts/{by_key['id']}").json()["result"] == by_filter["data"][0]
    assert klaxon.client.get("/contacts/E7").status_code == 404
    assert klaxon.client.get("/contacts/E7", params={"idType": "mail"}).status_code == 400
    assert klaxon.violations() == ["K9"]


def test_the_codes_are_lists_of_the_same_form(klaxon: Klaxon) -> None:
    assert klaxon.client.get("/recordTypes").json()["page"]["data"][0] == {"id": 1, "name": "Staff"}
    page = klaxon.client.get("/deliveryPaths", params={"pageSize": "1", "pageNumber": "2"}).json()["page"]
    assert page == {"data": [{"id": 12, "name": "Mobile", "kind": "phone"}], "totalCount": 2}


@pytest.mark.parametrize(("tier", "reads", "writes"), [("bronze", 10, 20), ("silver", 20, 35), ("gold", 35, 50)])
def test_a_tier_admits_its_rates_and_says_no_without_headers(
    klaxon: Klaxon, tier: str, reads: int, writes: int
) -> None:  # K30
    klaxon.switch(tier=tier)
    answers = [klaxon.client.get("/recordTypes") for _ in range(reads + 1)]
    assert [answer.status_code for answer in answers] == [200] * reads + [429]
    assert not {name for name in answers[-1].headers if "retry" in name or "limit" in name}
    wrong = [klaxon.client.post("/contacts", json={}).status_code for _ in range(writes + 1)]
    assert wrong == [400] * writes + [429]
    klaxon.clock.seconds += 1.0
    assert klaxon.client.get("/recordTypes").status_code == 200


@pytest.mark.parametrize("form", ["page_number", "offset_limit", "cursor", "link_header", "page_header", "none"])
def test_page_faults_strike_in_every_paging_form(klaxon: Klaxon, form: str) -> None:
    klaxon.switch(paging=form)
    klaxon.control.post("/faults", json={"kind": "short_page", "items_missing": 3})
    size = {"page_number": "pageSize", "page_header": "pageSize", "link_header": "perPage", "none": None}
    parameter = size.get(form, "limit")
    answer = klaxon.client.get("/contacts", params={parameter: "25"} if parameter else {})
    assert numbers(answer.json()["page"]["data"]) == ALL[:22]
    assert klaxon.control.get("/faults").json()["struck"]["short_page"] >= 1


def test_switches_that_cannot_be_together_are_refused(klaxon: Klaxon) -> None:
    for changes in (
        {"items_pointer": ""},
        {"total_pointer": "/page/data/n"},
        {"paging": "cursor", "cursor_pointer": ""},
    ):
        assert klaxon.control.patch("/switches", json=changes).status_code == 422


@pytest.mark.parametrize("changes", [{"paging": "cursor", "total_pointer": "/page/nextCursor"}, {"nonsense": 1}])
def test_unknown_or_colliding_switches_are_refused(klaxon: Klaxon, changes: dict[str, object]) -> None:
    assert klaxon.control.patch("/switches", json=changes).status_code == 422


@pytest.mark.parametrize("people", [20_000, pytest.param(100_000, marks=pytest.mark.whole)])
def test_many_people_are_paged_quickly(people: int) -> None:
    with running_alerts(people) as klaxon:
        started = time.process_time()
        for number in (1, people // 2_000, people // 1_000):
            page = klaxon.client.get("/contacts", params={"pageSize": "1000", "pageNumber": str(number)}).json()["page"]
            assert len(page["data"]) == 1000
        for number in range(1, people + 1, people // 20):
            assert klaxon.client.get(f"/contacts/E{number}", params={"idType": "externalId"}).status_code == 200
        assert time.process_time() - started < people / 20_000


def test_a_client_that_shows_nothing_learns_nothing(klaxon: Klaxon) -> None:
    answer = httpx.get(f"{klaxon.url}{LIST}", trust_env=False)
    assert (answer.status_code, list(answer.json())) == (401, ["message"])

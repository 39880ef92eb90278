"""Every rule of the assumed TitanHST contact API, over a real socket with an independent client."""

import socket
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

PLAIN = {"firstName": "Ada", "lastName": "Sample", "role": "TEACHER", "locationCode": "TL-010"}


def test_requests_without_a_known_token_get_401(shared_titan: Any) -> None:
    for headers in ({}, {"Authorization": "Bearer nobody"}, {"Authorization": "Basic read-token-of-the-tests"}):
        answer = httpx.get(f"{shared_titan.url}/api/v1/contacts", headers=headers, trust_env=False)
        assert answer.status_code == 401
        assert answer.json().keys() == {"message"}
        assert answer.headers["content-type"] == "application/json"


def test_the_read_token_reads_and_never_writes(shared_titan: Any) -> None:
    assert shared_titan.reader.get("/contacts/c-000001").status_code == 200
    refused = [
        shared_titan.reader.post("/contacts", json=PLAIN),
        shared_titan.reader.patch("/contacts/c-000001", json={"lastName": "Other"}),
        shared_titan.reader.delete("/contacts/c-000001"),
    ]
    assert [answer.status_code for answer in refused] == [403, 403, 403]
    assert all(answer.json().keys() == {"message"} for answer in refused)
    assert shared_titan.effects() == {}


def test_a_created_contact_has_every_field_and_the_defaults(titan: Any) -> None:
    answer = titan.create(externalId="E900")
    assert answer.status_code == 201
    assert answer.json() == PLAIN | {
        "id": "c-000011",
        "externalId": "E900",
        "email": None,
        "mobilePhone": None,
        "active": True,
        "createdAt": "2026-11-22T08:00:00Z",
        "updatedAt": "2026-11-22T08:00:00Z",
    }
    assert titan.reader.get("/contacts/c-000011").json() == answer.json()
    assert titan.reader.get("/contacts/external/E900").json() == answer.json()


def test_text_in_any_script_comes_back_as_it_was_sent(titan: Any) -> None:
    created = titan.create(firstName="Zoë 李", externalId="a/b c%?é").json()
    assert created["firstName"] == "Zoë 李"
    assert titan.reader.get("/contacts/external/a%2Fb%20c%25%3F%C3%A9").json() == created


def test_unknown_contacts_get_404(shared_titan: Any) -> None:
    answers = [
        shared_titan.writer.get("/contacts/c-999999"),
        shared_titan.writer.get("/contacts/external/nobody"),
        shared_titan.writer.patch("/contacts/c-999999", json={"active": False}),
        shared_titan.writer.delete("/contacts/c-999999"),
    ]
    assert [answer.status_code for answer in answers] == [404] * 4
    assert all(answer.json().keys() == {"message"} for answer in answers)


@pytest.mark.parametrize(
    "path", ["/api/v1", "/api/v1/", "/api/v1/people", "/api/v1/contacts/", "/api/v1/contacts/a/b/c"]
)
def test_unknown_paths_get_404(shared_titan: Any, path: str) -> None:
    assert shared_titan.writer.get(f"{shared_titan.url}{path}").status_code == 404


def test_paths_outside_the_base_get_404_without_any_token(shared_titan: Any) -> None:
    assert shared_titan.control.get(f"{shared_titan.url}/api/v2/contacts").status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/contacts/c-000001"),
        ("POST", "/contacts/c-000001"),
        ("PATCH", "/contacts"),
        ("DELETE", "/contacts"),
        ("DELETE", "/contacts/external/E1"),
        ("POST", "/roles"),
        ("PATCH", "/locations"),
    ],
)
def test_wrong_verbs_get_405(shared_titan: Any, method: str, path: str) -> None:
    answer = shared_titan.writer.request(method, path, json={})
    assert answer.status_code == 405
    assert method in answer.json()["message"]


def test_a_taken_external_id_gets_409_and_no_effect(shared_titan: Any) -> None:
    assert shared_titan.create(externalId="E1").status_code == 409
    assert shared_titan.writer.patch("/contacts/c-000002", json={"externalId": "E1"}).status_code == 409
    assert shared_titan.effects() == {}


def test_an_external_id_is_free_again_once_cleared_or_deleted(titan: Any) -> None:
    assert titan.writer.patch("/contacts/c-000001", json={"externalId": None}).json()["externalId"] is None
    assert titan.writer.delete("/contacts/c-000002").status_code == 204
    assert titan.reader.get("/contacts/external/E1").status_code == 404
    assert titan.create(externalId="E1").status_code == 201
    assert titan.create(externalId="E2").status_code == 201


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("role", "WIZARD"),
        ("role", None),
        ("locationCode", "TL-999"),
        ("firstName", ""),
        ("firstName", "   "),
        ("lastName", None),
        ("lastName", 7),
        ("lastName", "x" * 101),
        ("externalId", ""),
        ("externalId", "x" * 101),
        ("email", "not-an-address"),
        ("email", "a b@example.org"),
        ("email", "a@example"),
        ("email", f"{'x' * 100}@example.org"),
        ("mobilePhone", "5625550123"),
        ("mobilePhone", "+1 562 555 0123"),
        ("mobilePhone", "+0562555012"),
        ("mobilePhone", "+1234567890123456"),
        ("active", "yes"),
        ("active", None),
        ("id", "c-000099"),
        ("createdAt", "2026-11-22T08:00:00Z"),
        ("shoeSize", 44),
    ],
)
def test_invalid_fields_get_422_by_name_on_create_and_change(shared_titan: Any, field: str, value: object) -> None:
    for answer in (
        shared_titan.writer.post("/contacts", json=PLAIN | {field: value}),
        shared_titan.writer.patch("/contacts/c-000001", json={field: value}),
    ):
        assert answer.status_code == 422
        assert answer.json().keys() == {"message", "errors"}
        assert answer.json()["errors"].keys() == {field}
        assert all(isinstance(text, str) for text in answer.json()["errors"][field])
    assert shared_titan.effects() == {}


@pytest.mark.parametrize("field", ["firstName", "lastName", "role", "locationCode"])
def test_a_create_without_a_required_field_gets_422(shared_titan: Any, field: str) -> None:
    answer = shared_titan.writer.post("/contacts", json={name: value for name, value in PLAIN.items() if name != field})
    assert answer.status_code == 422
    assert answer.json()["errors"].keys() == {field}


def test_text_of_one_hundred_characters_is_accepted(titan: Any) -> None:
    assert titan.create(lastName="x" * 100).status_code == 201


def test_a_change_sets_what_is_present_and_leaves_the_rest(titan: Any) -> None:
    before = titan.reader.get("/contacts/c-000003").json()
    titan.clock.now = datetime(2026, 11, 23, 9, 30, 0, tzinfo=UTC)
    changes = {"email": "ada@example.org", "mobilePhone": "+15625550123", "role": "NURSE", "active": False}
    answer = titan.writer.patch("/contacts/c-000003", json=changes)
    assert answer.status_code == 200
    assert answer.json() == before | changes | {"updatedAt": "2026-11-23T09:30:00Z"}
    cleared = titan.writer.patch("/contacts/c-000003", json={"email": None, "mobilePhone": None, "externalId": None})
    assert [cleared.json()[name] for name in ("email", "mobilePhone", "externalId")] == [None, None, None]


def test_a_change_that_changes_nothing_leaves_the_contact_alone(titan: Any) -> None:
    before = titan.reader.get("/contacts/c-000003").json()
    titan.clock.now = datetime(2026, 11, 23, tzinfo=UTC)
    assert titan.writer.patch("/contacts/c-000003", json={"externalId": "E3", "active": True}).json() == before
    assert titan.writer.patch("/contacts/c-000003", json={}).json() == before
    assert [entry["effect"] for entry in titan.journal()][-2:] == ["unchanged c-000003"] * 2
    assert titan.effects() == {}


def test_a_delete_is_permanent_and_its_id_is_never_used_again(titan: Any) -> None:
    answer = titan.writer.delete("/contacts/c-000010")
    assert (answer.status_code, answer.content) == (204, b"")
    assert titan.writer.delete("/contacts/c-000010").status_code == 404
    assert titan.create().json()["id"] == "c-000011"
    assert titan.reader.get("/contacts").json()["total"] == 10


@pytest.mark.parametrize(
    "body", [b"", b"{", b"{'a': 1}", b'{"active": NaN}', b"\xff\xfe", b"[" * 60_000, b"1" * 10_000]
)
def test_malformed_json_gets_400(shared_titan: Any, body: bytes) -> None:
    for answer in (
        shared_titan.writer.post("/contacts", content=body),
        shared_titan.writer.patch("/contacts/c-000001", content=body),
    ):
        assert answer.status_code == 400
        assert answer.json().keys() == {"message"}


def test_a_body_that_is_no_object_gets_422(shared_titan: Any) -> None:
    assert shared_titan.writer.post("/contacts", json=[PLAIN]).json()["errors"].keys() == {"body"}


def test_half_a_surrogate_pair_does_not_break_the_simulator(shared_titan: Any) -> None:
    answer = shared_titan.writer.post("/contacts", content=b'{"first\\ud800Name": "\\ud800"}')
    assert answer.status_code == 422


def test_bodies_over_64_kib_get_413_even_when_they_are_much_larger(shared_titan: Any) -> None:
    padding = 64 * 1024 - len('{"lastName":""}')
    assert (
        shared_titan.writer.patch("/contacts/c-000001", content=b'{"lastName":"%s"}' % (b"x" * padding)).status_code
        == 422
    )
    for extra in (1, 2_000_000):
        body = b'{"lastName":"%s"}' % (b"x" * (padding + extra))
        assert shared_titan.writer.patch("/contacts/c-000001", content=body).status_code == 413


def test_lists_page_through_all_contacts_in_the_order_of_their_ids(start_titan: Any) -> None:
    titan = start_titan(1_234)
    ids: list[str] = []
    for offset in range(0, 1_500, 500):
        page = titan.reader.get("/contacts", params={"offset": offset, "limit": 500}).json()
        assert page["total"] == 1_234
        ids += [item["id"] for item in page["items"]]
    assert ids == [f"c-{number:06d}" for number in range(1, 1_235)]


def test_lists_have_a_default_limit_and_end_in_an_empty_page(start_titan: Any) -> None:
    titan = start_titan(150)
    assert len(titan.reader.get("/contacts").json()["items"]) == 100
    assert titan.reader.get("/contacts", params={"offset": 150}).json() == {"total": 150, "items": []}
    assert titan.reader.get("/contacts", params={"offset": 10**12}).json() == {"total": 150, "items": []}


@pytest.mark.parametrize(
    "query",
    ["limit=501", "limit=0", "limit=-1", "limit=ten", "offset=-1", "offset=1.5", "offset=", f"offset={'9' * 6000}"],
)
def test_malformed_paging_gets_400(shared_titan: Any, query: str) -> None:
    for path in ("/contacts", "/roles", "/locations"):
        assert shared_titan.reader.get(f"{path}?{query}").status_code == 400


def test_roles_and_locations_are_listed_and_paged(shared_titan: Any) -> None:
    roles = shared_titan.reader.get("/roles").json()
    assert roles["total"] == 12
    assert {"code": "TEACHER", "name": "Teacher"} in roles["items"]
    assert shared_titan.reader.get("/roles", params={"offset": 10, "limit": 5}).json()["items"] == roles["items"][10:]
    assert shared_titan.reader.get("/locations").json() == {
        "total": 2,
        "items": [{"code": "TL-010", "name": "North"}, {"code": "TL-020", "name": "South"}],
    }


def test_over_the_rate_429_says_in_whole_seconds_when_to_come_back(start_titan: Any) -> None:
    titan = start_titan(1, rate_per_second=0.25, burst=3)
    assert [titan.reader.get("/roles").status_code for _ in range(3)] == [200] * 3
    refused = titan.reader.get("/roles")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "4")
    assert refused.json().keys() == {"message"}
    titan.clock.monotonic_seconds = 3.0
    assert titan.reader.get("/roles").headers["retry-after"] == "1"
    titan.clock.monotonic_seconds = 4.0
    assert titan.reader.get("/roles").status_code == 200


def test_every_answer_under_a_rate_tells_what_is_left(start_titan: Any) -> None:
    titan = start_titan(1, rate_per_second=2.0, burst=3)
    for left in ("4", "3", "2"):
        headers = titan.reader.get("/roles").headers
        assert (headers["ratelimit-limit"], headers["ratelimit-remaining"], headers["ratelimit-reset"]) == (
            "5",
            left,
            "1",
        )
    refused = titan.reader.get("/roles").headers
    assert (refused["ratelimit-remaining"], refused["ratelimit-reset"]) == ("0", refused["retry-after"])


def test_without_a_rate_nothing_is_told_of_one(titan: Any) -> None:
    assert not [name for name in titan.reader.get("/roles").headers if name.startswith("ratelimit")]


def test_the_stopwatch_tells_the_busiest_second_and_what_was_refused(start_titan: Any) -> None:
    titan = start_titan(1, rate_per_second=1.0, burst=2)
    assert titan.control.get("/stopwatch").json()["requests"] == 0
    for moment in (10.0, 10.2, 10.9, 11.1, 14.0):
        titan.clock.monotonic_seconds = moment
        titan.reader.get("/roles")
    seen = titan.control.get("/stopwatch").json()
    assert (seen["requests"], seen["first"], seen["last"], seen["seconds"]) == (5, 10.0, 14.0, 4.0)
    assert seen["busiest_second"] == 3, "10.2, 10.9 and 11.1: a second that no full second of the clock holds"
    assert (seen["too_many_requests"], seen["statuses"]) == (1, {"200": 4, "429": 1})
    assert titan.control.delete("/stopwatch").status_code == 204
    assert titan.control.get("/stopwatch").json()["requests"] == 0


def test_a_write_refused_by_the_rate_has_no_effect_and_meets_no_fault(start_titan: Any) -> None:
    titan = start_titan(1, rate_per_second=1.0, burst=1)
    titan.arm("server_error", after=1)
    assert titan.create(externalId="X1").status_code == 201
    assert titan.create(externalId="X2").status_code == 429
    titan.clock.monotonic_seconds = 1.0
    assert titan.create(externalId="X2").status_code == 503
    assert titan.effects() == {"X1": ["created c-000002"]}


def test_a_client_that_leaves_half_way_through_its_body_has_no_effect(titan: Any) -> None:
    host, port = titan.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as sock:
        sock.sendall(
            b"DELETE /api/v1/contacts/c-000001 HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n"
            b"Authorization: Bearer write-token-of-the-tests\r\n\r\nhalf"
        )
    assert titan.reader.get("/contacts/c-000001").status_code == 200
    assert [entry["method"] for entry in titan.journal()] == ["GET"]

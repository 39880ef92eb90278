"""Calls, pages and batches of the simulated Google account: rules C, P and B, and the kit's faults on its lists."""

import json
from collections.abc import Iterator
from email.parser import BytesParser
from typing import Any

import httpx
import pytest

from tests.simulators.running_google_directory import (
    BASE,
    Google,
    fresh,
    new_person,
    person,
    reason,
    running_google,
    seed,
)

ALL = {"customer": "my_customer"}


@pytest.fixture(scope="module")
def shared() -> Iterator[Google]:
    with running_google() as running:
        yield running


@pytest.fixture
def google(shared: Google) -> Iterator[Google]:
    yield from fresh(shared)


@pytest.mark.parametrize(
    ("verb", "path"), [("GET", "/people"), ("DELETE", "/users"), ("PUT", "/groups/g1/members"), ("GET", "/users/a/b/c")]
)
def test_an_unknown_path_or_verb_is_not_found_and_recorded(google: Google, verb: str, path: str) -> None:
    answer = google.plain.request(verb, BASE + path)
    assert reason(answer) == (404, "notFound")
    assert google.violated() == ["C1"]


@pytest.mark.parametrize(
    ("query", "rule"),
    [
        ({"pageSize": "10"}, "C2"),
        ({"maxResults": "many"}, "C3"),
        ({"maxResults": "0"}, "C3"),
        ({"maxResults": "501"}, "P2"),
        ({"orderBy": "age"}, "C3"),
        ({"projection": "everything"}, "C3"),
        ({"alt": "xml"}, "C3"),
        ({"fields": "users(id"}, "C7"),
    ],
)
def test_a_parameter_that_is_none_is_refused_and_recorded(google: Google, query: dict[str, str], rule: str) -> None:
    answer = google.api.get("/users", params=ALL | query)
    assert answer.status_code == 400
    assert google.violated() == [rule]


def test_a_list_without_customer_or_domain_is_refused_and_recorded(google: Google) -> None:
    assert reason(google.api.get("/users")) == (400, "badRequest")
    violation = google.state()["violations"][0]
    assert (violation["rule"], violation["method"], violation["path"]) == ("P1", "users.list", f"{BASE}/users")


@pytest.mark.parametrize(
    ("content", "content_type", "rule"),
    [
        (b'{"suspended": tru', "application/json", "C4"),
        (b"[]", "application/json", "C4"),
        (b'{"suspended": NaN}', "application/json", "C4"),
        (b'{"suspended": true}', "text/plain", "C4"),
        (b'{"suspend": true}', "application/json", "C5"),
        (b'{"suspended": "yes"}', "application/json", "C5"),
        (b'{"name": {"nick": "P"}}', "application/json", "C5"),
        (b'{"phones": ["1"]}', "application/json", "C5"),
    ],
)
def test_a_body_that_is_none_is_refused_and_recorded(
    google: Google, content: bytes, content_type: str, rule: str
) -> None:
    answer = google.api.put("/users/p1@school.example", content=content, headers={"Content-Type": content_type})
    assert answer.status_code == 400
    assert google.violated() == [rule]
    assert google.effects() == {}


def test_no_violation_holds_a_value_of_the_request(google: Google) -> None:
    google.api.put("/users/p1@school.example", json={"primaryEmail": "not an address"})
    google.api.get("/people/p1@school.example")
    assert len(google.violated()) == 2
    assert "p1@" not in json.dumps(google.state()["violations"])
    assert "not an address" not in json.dumps(google.state()["violations"])


def test_a_partial_answer_holds_only_the_fields_asked_for(google: Google) -> None:
    query = ALL | {"maxResults": "1", "fields": "nextPageToken,users(id,name/familyName)"}
    page = google.api.get("/users", params=query).json()
    assert page.keys() == {"nextPageToken", "users"}
    assert page["users"] == [{"id": "900000000000000000000", "name": {"familyName": "Admin"}}]


@pytest.mark.parametrize(("switch", "code"), [("ignored", 200), ("honoured", 412)])
def test_if_match_is_ignored_unless_switched(google: Google, switch: str, code: int) -> None:
    google.switch(if_match=switch)
    etag = google.api.get("/users/p1@school.example").json()["etag"]
    google.api.put("/users/p1@school.example", json={"suspended": True})
    stale = google.api.put("/users/p1@school.example", json={"suspended": False}, headers={"If-Match": etag})
    assert stale.status_code == code


def test_a_list_is_paged_by_opaque_tokens_and_every_record_comes_once(google: Google) -> None:
    google.begin(seed(120))
    pages = google.walk("/users", "users", **ALL, maxResults="50")
    assert [len(page) for page in pages] == [50, 50, 21]
    assert len({user for page in pages for user in page}) == 121
    assert len(google.api.get("/users", params=ALL).json()["users"]) == 100


def test_a_page_token_lives_three_days(google: Google) -> None:
    token = google.api.get("/users", params=ALL | {"maxResults": "2"}).json()["nextPageToken"]
    google.clock.pass_seconds(3 * 86_400 - 1)
    google.authorise()
    assert google.api.get("/users", params=ALL | {"pageToken": token}).status_code == 200
    google.clock.pass_seconds(1)
    assert reason(google.api.get("/users", params=ALL | {"pageToken": token})) == (400, "invalid")
    assert google.violated() == []


def test_a_page_token_is_good_for_its_own_list_only(google: Google) -> None:
    token = google.api.get("/users", params=ALL | {"maxResults": "2"}).json()["nextPageToken"]
    other = google.api.get("/users", params={"domain": "school.example", "pageToken": token})
    assert reason(other) == (400, "invalid")
    assert reason(google.api.get("/users", params=ALL | {"pageToken": "made-up"})) == (400, "invalid")
    assert google.violated() == ["P5"]


def test_a_walk_goes_on_over_deletions_and_creations(google: Google) -> None:
    page = google.api.get("/users", params=ALL | {"maxResults": "2"}).json()
    google.api.delete("/users/p1@school.example")
    google.api.delete("/users/p2@school.example")
    google.api.post("/users", json=new_person())
    rest = google.api.get("/users", params=ALL | {"maxResults": "2", "pageToken": page["nextPageToken"]}).json()
    assert [user["id"] for user in rest["users"]] == [person(3)["id"]]


def test_a_limit_that_is_too_high_is_cut_when_switched(google: Google) -> None:
    google.switch(over_limit="clamp")
    google.begin(seed(600))
    google.switch(over_limit="clamp")
    assert len(google.api.get("/users", params=ALL | {"maxResults": "999"}).json()["users"]) == 500


def test_an_empty_list_leaves_its_array_out_unless_switched(google: Google) -> None:
    assert google.api.get("/groups/g2/members").json().keys() == {"kind", "etag"}
    google.switch(empty_list_has_key=True)
    assert google.api.get("/groups/g2/members").json()["members"] == []


def test_a_short_page_loses_records_that_no_later_page_brings(google: Google) -> None:
    google.begin(seed(9))
    google.arm("short_page", items_missing=2, path_pattern="/users$")
    pages = google.walk("/users", "users", **ALL, maxResults="4")
    assert [len(page) for page in pages] == [2, 4, 2]
    assert len({user for page in pages for user in page}) == 8


def test_a_repeated_page_comes_twice(google: Google) -> None:
    google.begin(seed(9))
    google.arm("repeated_page", path_pattern="/users$")
    pages = google.walk("/users", "users", **ALL, maxResults="4")
    assert pages[1] == pages[0]
    assert [len(page) for page in pages] == [4, 4, 2]


def test_a_short_list_of_units_lacks_its_last(google: Google) -> None:
    google.arm("short_page", path_pattern="/orgunits$")
    units = google.api.get("/customer/my_customer/orgunits", params={"type": "all"}).json()["organizationUnits"]
    assert [unit["orgUnitPath"] for unit in units] == ["/Staff"]


def test_a_lying_success_answers_as_an_honest_one_and_does_nothing(google: Google) -> None:
    google.arm("lying_success", times=3)
    assert google.api.post("/users", json=new_person()).status_code == 200
    assert google.api.put("/users/p1@school.example", json={"suspended": True}).json()["suspended"] is True
    assert google.api.delete("/users/p2@school.example").status_code == 204
    assert reason(google.api.get("/users/new@school.example")) == (404, "notFound")
    assert google.api.get("/users/p1@school.example").json()["suspended"] is False
    assert google.api.get("/users/p2@school.example").status_code == 200
    assert google.effects() == {}


def test_an_effect_whose_answer_is_lost_is_in_the_journal(google: Google) -> None:
    google.arm("reset_after_effect")
    with pytest.raises(httpx.TransportError):
        google.api.post("/users", json=new_person())
    assert len(google.effects()["new@school.example"]) == 1


def test_a_batch_answers_each_call_in_order_and_one_failure_stays_its_own(google: Google) -> None:
    answers = batch(
        google,
        [
            ("PUT", "/users/p1@school.example", {"suspended": True}),
            ("GET", "/users/nobody@school.example", None),
            ("POST", "/groups/g1/members", {"email": "p2@school.example"}),
            ("DELETE", "/users/p3@school.example", None),
            ("GET", "/users?customer=my_customer&maxResults=1", None),
        ],
    )
    assert [code for code, _ in answers] == [200, 404, 200, 204, 200]
    assert answers[0][1]["suspended"] is True
    assert answers[1][1]["error"]["errors"][0]["reason"] == "notFound"
    assert "nextPageToken" in answers[4][1]
    done = [entry["effect"] for entry in google.state()["batchEffects"]]
    pair = f"g1/{person(2)['id']}"
    assert done == [
        f"updated {person(1)['id']} [suspended]",
        "none",
        f"created {pair}",
        f"deleted {person(3)['id']}",
        "none",
    ]
    (record, effects), *others = google.effects().items()
    assert (record.startswith("batch-"), len(effects), others) == (True, 1, [])


def test_every_call_of_a_batch_counts_against_the_rate(google: Google) -> None:
    google.switch(queries_per_minute=3)
    answers = batch(google, [("GET", "/users/p1@school.example", None)] * 5)
    assert [code for code, _ in answers] == [200, 200, 200, 403, 403]
    assert answers[4][1]["error"]["errors"][0]["reason"] == "userRateLimitExceeded"


def test_a_batch_of_creations_meets_the_limit_per_second(google: Google) -> None:
    answers = batch(google, [("POST", "/users", new_person(f"n{number}@school.example")) for number in range(12)])
    assert [code for code, _ in answers] == [200] * 10 + [503] * 2


def test_a_batch_takes_a_thousand_calls_and_not_one_more(google: Google) -> None:
    call = ("GET", "/users/p1@school.example?fields=id", None)
    assert len(batch(google, [call] * 1_000)) == 1_000
    content_type, content = batch_body([call] * 1_001)
    answer = google.api.post(f"{google.url}/batch", content=content, headers={"Content-Type": content_type})
    assert reason(answer) == (400, "badRequest")
    assert google.violated() == ["B2"]


@pytest.mark.parametrize("content", [b"", b"no parts", b"--edge\r\nContent-Type: text/plain\r\n\r\nGET /\r\n--edge--"])
def test_what_is_no_batch_is_refused_whole(google: Google, content: bytes) -> None:
    headers = {"Content-Type": "multipart/mixed; boundary=edge"}
    assert reason(google.api.post(f"{google.url}/batch", content=content, headers=headers)) == (400, "badRequest")
    assert google.violated() == ["B1"]


def test_a_batch_without_a_token_has_its_calls_refused(google: Google) -> None:
    content_type, content = batch_body([("GET", "/users/p1@school.example", None)])
    answer = google.plain.post("/batch", content=content, headers={"Content-Type": content_type})
    assert [code for code, _ in parts(answer)] == [401]


def test_a_lying_batch_does_nothing(google: Google) -> None:
    google.arm("lying_success")
    assert [code for code, _ in batch(google, [("POST", "/users", new_person())])] == [200]
    assert google.effects() == {}
    assert reason(google.api.get("/users/new@school.example")) == (404, "notFound")


def test_whole_requests_are_kept_when_switched(google: Google) -> None:
    google.switch(keep_requests=True)
    long = "x" * 5_000
    google.api.put("/users/p1@school.example", json={"notes": {"value": long}})
    batch(google, [("PUT", "/users/p2@school.example", {"suspended": True})])
    kept = google.state()["requests"]
    assert [(item["name"], item["status"]) for item in kept] == [("users.update", 200), ("users.update", 200)]
    assert kept[0]["body"] == {"notes": {"value": long}}
    assert kept[1]["path"] == f"{BASE}/users/p2@school.example"


def batch_body(calls: list[tuple[str, str, Any]]) -> tuple[str, bytes]:
    """Write calls as one batch."""
    lines = []
    for number, (verb, path, body) in enumerate(calls):
        content = json.dumps(body) if body is not None else ""
        lines += ["--edge", "Content-Type: application/http", f"Content-ID: <call + {number}>", ""]
        lines += [f"{verb} {BASE}{path} HTTP/1.1", "Content-Type: application/json", "", content]
    return "multipart/mixed; boundary=edge", "\r\n".join([*lines, "--edge--", ""]).encode()


def batch(google: Google, calls: list[tuple[str, str, Any]]) -> list[tuple[int, Any]]:
    """Send calls as one batch and give code and document of each answer."""
    content_type, content = batch_body(calls)
    answer = google.api.post(f"{google.url}/batch", content=content, headers={"Content-Type": content_type})
    assert answer.status_code == 200, answer.text
    return parts(answer)


def parts(answer: httpx.Response) -> list[tuple[int, Any]]:
    """Read the answers of a batch, whose names must be those of the calls, in order."""
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    found = []
    for number, part in enumerate(BytesParser().parsebytes(head + answer.content).get_payload()):
        assert part["Content-ID"] == f"<response-call + {number}>"
        status, _, rest = part.get_payload().partition("\n")
        content = rest.replace("\r\n", "\n").partition("\n\n")[2].strip()
        found.append((int(status.split()[1]), json.loads(content) if content else None))
    return found

"""How a simulated Snipe-IT speaks: envelopes, the Accept rule, statuses, the limit of requests; rules P and T."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from simulators.snipeit.access import Rights
from tests.simulators.running_snipeit import JSON, SECRETS, Snipe, person, running_snipeit, small_seed

BEARER = {"Authorization": f"Bearer {SECRETS[Rights.SUPERUSER]}"}


@pytest.fixture(scope="module")
def shared_snipe() -> Iterator[Snipe]:
    with running_snipeit() as running:
        yield running


@pytest.fixture
def snipe(shared_snipe: Snipe) -> Snipe:
    shared_snipe.begin_anew()
    return shared_snipe


def bare(snipe: Snipe, method: str, path: str, **more: Any) -> httpx.Response:
    return httpx.request(method, f"{snipe.url}{path}", trust_env=False, follow_redirects=False, **more)


def test_no_or_a_bad_token_gets_401_with_the_vendors_words(snipe: Snipe) -> None:  # P1, P8
    for headers in ({}, {"Authorization": "Bearer nobody"}, {"Authorization": "Basic x"}):
        answer = bare(snipe, "GET", "/api/v1/users", headers=JSON | headers)
        assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized or unauthenticated."})


def test_a_list_is_total_and_rows_and_a_single_read_is_the_bare_object(snipe: Snipe) -> None:  # P5, P6
    page = snipe.get("/users", limit=1, sort="id", order="asc")
    assert page.keys() == {"total", "rows"}
    assert (page["total"], len(page["rows"])) == (3, 1)
    assert snipe.get("/users/2") == snipe.get("/users", limit=1, offset=1, sort="id", order="asc")["rows"][0]


@pytest.mark.parametrize("path", ["/users/99", "/hardware/99", "/hardware/bytag/none", "/locations/99", "/users/abc"])
def test_a_record_that_is_missing_is_an_error_with_status_200(snipe: Snipe, path: str) -> None:  # P6, P12
    answer = snipe.admin.get(path)
    assert answer.status_code == 200
    assert answer.json()["status"] == "error"
    assert answer.json()["payload"] is None
    assert isinstance(answer.json()["messages"], str)


def test_a_write_answers_status_messages_and_payload(snipe: Snipe) -> None:  # P7
    good = snipe.admin.patch("/users/3", json={"jobtitle": "Nurse"}).json()
    bad = snipe.admin.patch("/users/3", json={"username": "ada"})
    assert good.keys() == bad.json().keys() == {"status", "messages", "payload"}
    assert (good["status"], good["payload"]["jobtitle"]) == ("success", "Nurse")
    assert (bad.status_code, bad.json()["status"]) == (200, "error")
    assert bad.json()["messages"] == {"username": ["The username must be unique."]}


def test_without_accept_failures_are_redirects_or_html_and_successes_are_json(snipe: Snipe) -> None:  # P2
    no_json = {"Accept": "*/*"}
    unauthenticated = bare(snipe, "GET", "/api/v1/users", headers=no_json)
    assert (unauthenticated.status_code, unauthenticated.headers["location"]) == (302, "/login")
    missing = bare(snipe, "GET", "/api/v1/users/99", headers=no_json | BEARER)
    assert missing.status_code == 302
    unknown = bare(snipe, "GET", "/api/v1/nothing", headers=no_json | BEARER)
    assert (unknown.status_code, unknown.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert bare(snipe, "GET", "/api/v1/users/1", headers=no_json | BEARER).json()["id"] == 1
    assert snipe.violations() == ["P2"] * 4


def test_a_body_that_is_not_declared_as_json_is_read_as_a_form_or_not_at_all(snipe: Snipe) -> None:  # P3
    snipe.admin.patch("/users/3", data={"jobtitle": "Nurse"})
    assert snipe.get("/users/3")["jobtitle"] == "Nurse"
    snipe.admin.patch("/users/3", content=b'{"jobtitle":"Cook"}', headers={"Content-Type": "text/plain"})
    assert snipe.get("/users/3")["jobtitle"] == "Nurse"
    assert snipe.violations() == ["P3", "P3"]


def test_a_token_that_may_only_read_gets_403_for_every_write(snipe: Snipe) -> None:  # P9
    assert snipe.reader.get("/users/1").status_code == 200
    for method, path in (("POST", "/users"), ("PATCH", "/users/1"), ("DELETE", "/users/1"), ("PUT", "/hardware/1")):
        answer = snipe.reader.request(method, path, json={})
        assert (answer.status_code, answer.json()) == (403, {"message": "This action is unauthorized."})
    assert snipe.effects() == {}


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/nothing", 404, "404 endpoint not found"),
        ("GET", "/users/1/none", 404, "404 endpoint not found"),
        ("POST", "/users/1", 405, "Method not allowed"),
        ("DELETE", "/hardware", 405, "Method not allowed"),
        ("POST", "/groups", 405, "Method not allowed"),
    ],
)
def test_unknown_paths_and_wrong_verbs_get_an_envelope(
    snipe: Snipe, method: str, path: str, status: int, words: str
) -> None:  # P10
    answer = snipe.admin.request(method, path)
    assert answer.status_code == status
    assert answer.json() == {"status": "error", "messages": words, "payload": None}


def test_malformed_json_gets_422_and_a_body_that_is_too_large_413(snipe: Snipe) -> None:  # P11
    headers = {"Content-Type": "application/json"}
    answer = snipe.admin.patch("/users/3", content=b'{"a":', headers=headers)
    assert (answer.status_code, answer.json()["messages"]) == (422, "Invalid JSON")
    large = snipe.admin.patch("/users/3", content=b'{"notes":"' + b"x" * 1_100_000 + b'"}', headers=headers)
    assert large.status_code == 413
    assert snipe.effects() == {}


@pytest.mark.parametrize("release", ["8.1.4", "8.6"])
def test_every_text_that_is_read_is_escaped_for_html(snipe: Snipe, release: str) -> None:  # P13
    snipe.switch(release=release)
    snipe.done("PATCH", "/users/3", {"last_name": '<b>"R&D"</b>', "notes": "it's"})
    shown = snipe.get("/users/3")
    assert snipe.get("/users/1")["name"] == "Ada O&#039;Brien"
    assert shown["last_name"] == "&lt;b&gt;&quot;R&amp;D&quot;&lt;/b&gt;"
    assert shown["notes"] == "it&#039;s"
    assert snipe.get("/users/2")["manager"] == {"id": 1, "name": "Ada O&#039;Brien"}
    snipe.done("PATCH", "/locations/1", {"name": "North & East"})
    assert snipe.get("/locations/1")["name"] == "North &amp; East"


def test_what_was_sent_is_kept_unescaped_so_writing_back_what_was_read_changes_it(snipe: Snipe) -> None:  # P13
    snipe.done("PATCH", "/users/1", {"last_name": snipe.get("/users/1")["last_name"]})
    assert snipe.get("/users/1")["last_name"] == "O&amp;#039;Brien"


def test_dates_are_read_as_objects_and_written_as_text(snipe: Snipe) -> None:  # P14
    snipe.done("PATCH", "/users/3", {"start_date": "2026-08-01"})
    shown = snipe.get("/users/3")
    assert shown["start_date"] == {"date": "2026-08-01", "formatted": "2026-08-01"}
    assert shown["updated_at"] == {"datetime": "2026-11-22 08:00:00", "formatted": "2026-11-22 08:00 AM"}
    assert snipe.refused("PATCH", "/users/3", {"start_date": "08/01/2026"}).keys() == {"start_date"}


def test_a_token_dies_with_its_user_in_newer_releases_only() -> None:  # P4
    users = [row | {"manager_id": None} for row in small_seed()["users"]]
    users[0]["deleted_at"] = "2026-01-01 00:00:00"
    with running_snipeit(small_seed(users=users)) as snipe:
        assert snipe.admin.get("/users/2").status_code == 401
        snipe.switch(release="8.1.4")
        assert snipe.admin.get("/users/2").status_code == 200


def test_each_user_has_a_limit_a_minute_and_successes_say_what_is_left() -> None:  # T1
    with running_snipeit(throttle_per_minute=3) as snipe:
        left = [snipe.admin.get("/users/1").headers["x-ratelimit-remaining"] for _ in range(3)]
        assert left == ["2", "1", "0"]
        assert snipe.admin.get("/users/1").status_code == 429
        assert snipe.reader.get("/users/1").headers["x-ratelimit-limit"] == "3"
        snipe.clock.monotonic_seconds = 59.0
        assert snipe.admin.get("/users/1").status_code == 429
        snipe.clock.monotonic_seconds = 60.0
        assert snipe.admin.get("/users/1").status_code == 200


def test_the_default_limit_is_120_and_the_capped_release_stops_at_60() -> None:  # T1, T6
    with running_snipeit(throttle_per_minute=120) as snipe:
        assert snipe.admin.get("/users/1").headers["x-ratelimit-limit"] == "120"
        snipe.switch(has_throttle_cap=True)
        statuses = [snipe.admin.get("/users/1").status_code for _ in range(60)]
        assert statuses == [200] * 59 + [429]


def test_a_throttled_request_has_no_effect_and_waits_as_its_release_says() -> None:  # T2, T3
    with running_snipeit(throttle_per_minute=1) as snipe:
        snipe.admin.get("/users/1")
        snipe.clock.monotonic_seconds = 20.0
        newer = snipe.admin.post("/users", json=person())
        assert newer.status_code == 429
        assert newer.json() == {
            "status": "error",
            "messages": "Too many requests. Try again in 40 seconds.",
            "status_code": 429,
            "retryAfter": 40,
        }
        assert newer.headers["retry-after"] == "40"
        assert int(newer.headers["x-ratelimit-reset"]) == int(snipe.clock.now.timestamp()) + 40
        snipe.switch(release="8.1.4")
        older = snipe.admin.post("/users", json=person())
        assert older.json() == {"status": "error", "messages": "Too many requests", "payload": None}
        assert "retry-after" not in older.headers
        assert snipe.effects() == {}


def test_bugs_of_some_releases_ask_for_an_absurd_wait_or_say_a_number() -> None:  # T4, T5
    with running_snipeit(throttle_per_minute=1, has_absurd_retry=True) as snipe:
        snipe.admin.get("/users/1")
        assert int(snipe.admin.get("/users/1").headers["retry-after"]) > 1_000_000_000
        snipe.switch(has_numeric_throttle_message=True)
        assert snipe.admin.get("/users/1").json()["messages"] == 429


def test_faults_speak_as_the_vendor_does(snipe: Snipe) -> None:
    snipe.arm("unauthorized")
    assert snipe.admin.get("/users/1").json() == {"error": "Unauthorized or unauthenticated."}
    snipe.arm("too_many_requests", retry_after_seconds=7)
    throttled = snipe.admin.get("/users/1")
    assert (throttled.status_code, throttled.headers["retry-after"]) == (429, "7")
    snipe.arm("server_error", status=500)
    assert snipe.admin.get("/users/1").json()["status"] == "error"
    snipe.arm("lying_success")
    assert snipe.done("POST", "/users", person())["username"] == "dee"
    assert snipe.get("/users", username="dee", sort="id")["total"] == 0
    assert snipe.effects() == {}


def test_what_the_documents_forbid_is_recorded_without_values_of_persons(snipe: Snipe) -> None:
    snipe.get("/users/1")
    assert snipe.violations() == []
    snipe.done("PATCH", "/users/3", {"employee_number": "E-secret"})
    (found,) = snipe.state()["violations"]
    assert found == {
        "rule": "W3",
        "method": "PATCH",
        "path": "/api/v1/users/3",
        "text": "employee_number is no field that can be written here; it was ignored",
    }

"""The token endpoint, scopes, privileges and rates of the simulated Google account."""

from collections.abc import Iterator
from typing import Any

import pytest

from simulators.google_directory.keys import new_key
from simulators.google_directory.methods import SCOPES
from tests.simulators.running_google_directory import (
    ACCOUNT,
    SCOPE,
    Google,
    fresh,
    new_person,
    person,
    reason,
    running_google,
    seed,
)


@pytest.fixture(scope="module")
def shared() -> Iterator[Google]:
    with running_google() as running:
        yield running


@pytest.fixture
def google(shared: Google) -> Iterator[Google]:
    yield from fresh(shared, seed(adminRoles=[{"user": "p1@school.example", "resources": ["users"]}]))


def test_a_signed_assertion_gets_a_token_that_expires(google: Google) -> None:
    answer = google.ask_token()
    assert answer.status_code == 200
    assert answer.json().keys() == {"access_token", "expires_in", "token_type"}
    assert google.api.get("/users/p1@school.example").status_code == 200
    google.clock.pass_seconds(answer.json()["expires_in"])
    assert reason(google.api.get("/users/p1@school.example")) == (401, "authError")


@pytest.mark.parametrize(
    ("claims", "code", "error"),
    [
        ({"iss": "nobody@project.iam.example"}, 400, "invalid_grant"),
        ({"aud": "https://elsewhere.example/token"}, 400, "invalid_grant"),
        ({"exp": 4_000_000_000}, 400, "invalid_grant"),
        ({"iat": 1_000_000_000, "exp": 1_000_003_600}, 400, "invalid_grant"),
        ({"iat": None}, 400, "invalid_grant"),
        ({"sub": "nobody@school.example"}, 400, "invalid_grant"),
        ({"scope": f"{SCOPE}users.all"}, 400, "invalid_scope"),
        ({"scope": None}, 400, "invalid_scope"),
    ],
)
def test_an_assertion_with_bad_claims_gets_the_documented_error(
    google: Google, claims: dict[str, Any], code: int, error: str
) -> None:
    answer = google.ask_token(**claims)
    assert (answer.status_code, answer.json()["error"]) == (code, error)


def test_a_foreign_key_a_changed_claim_and_no_assertion_get_no_token(google: Google) -> None:
    foreign, _ = new_key(client_email=ACCOUNT, token_uri=f"{google.url}/token", scopes=SCOPES)
    parts = google.assertion().split(".")
    changed = ".".join((parts[0], google.assertion(sub="p1@school.example").split(".")[1], parts[2]))
    for answer in (google.ask_token(key=foreign), google.ask_token(changed), google.ask_token("no.jwt.at-all")):
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert google.plain.post(f"{google.url}/token", data={"grant_type": "password"}).status_code == 400
    assert google.violated() == ["A1", "A1"]


def test_the_vendors_own_audience_is_taken_too(google: Google) -> None:
    assert google.ask_token(aud="https://oauth2.googleapis.com/token").status_code == 200


def test_a_suspended_subject_gets_no_token(google: Google) -> None:
    google.begin(seed(0, users=[*seed(0)["users"], person(1, suspended=True)]))
    assert google.ask_token(sub="p1@school.example").json()["error"] == "invalid_grant"


@pytest.mark.parametrize("error", ["access_denied", "admin_policy_enforced", "unauthorized_client", "invalid_grant"])
def test_the_token_endpoint_refuses_as_it_is_switched(google: Google, error: str) -> None:
    google.switch(token_refusal=error)
    assert google.ask_token().json()["error"] == error


def test_without_a_token_nothing_is_answered(google: Google) -> None:
    for headers in ({}, {"Authorization": "Bearer nobody"}, {"Authorization": "Basic x"}):
        answer = google.plain.get("/admin/directory/v1/users?customer=my_customer", headers=headers)
        assert reason(answer) == (401, "authError")


def test_a_read_only_scope_reads_and_never_writes(google: Google) -> None:
    google.authorise(scope=f"{SCOPE}user.readonly {SCOPE}group.member.readonly")
    assert google.api.get("/users", params={"customer": "my_customer"}).status_code == 200
    assert google.api.get("/groups/g1/members").status_code == 200
    refused = [
        google.api.post("/users", json=new_person()),
        google.api.put("/users/p1@school.example", json={"suspended": True}),
        google.api.delete("/users/p1@school.example"),
        google.api.post("/groups/g1/members", json={"email": "p2@school.example"}),
        google.api.get("/groups/g1"),
    ]
    assert [reason(answer) for answer in refused] == [(403, "insufficientPermissions")] * 5
    assert google.effects() == {}


def test_the_member_scope_changes_members_and_no_groups(google: Google) -> None:
    google.authorise(scope=f"{SCOPE}group.member")
    assert google.api.post("/groups/g1/members", json={"email": "p2@school.example"}).status_code == 200
    assert reason(google.api.delete("/groups/g1")) == (403, "insufficientPermissions")


def test_only_an_administrator_may_and_one_with_a_role_only_what_it_covers(google: Google) -> None:
    google.authorise(sub="p2@school.example")
    assert reason(google.api.get("/users/p1@school.example")) == (403, "forbidden")
    google.authorise(sub=None)
    assert reason(google.api.get("/users/p1@school.example")) == (403, "forbidden")
    google.authorise(sub="p1@school.example")
    assert google.api.get("/users/p2@school.example").status_code == 200
    assert reason(google.api.get("/groups/g1")) == (403, "forbidden")


def test_more_queries_than_a_minute_admits_are_a_403_that_is_a_throttle(google: Google) -> None:
    google.switch(queries_per_minute=3)
    answers = [google.api.get("/users/p1@school.example") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 403]
    assert reason(answers[3]) == (403, "userRateLimitExceeded")
    assert answers[3].json()["error"]["errors"][0]["domain"] == "usageLimits"
    google.clock.pass_seconds(60)
    assert google.api.get("/users/p1@school.example").status_code == 200


def test_the_eleventh_creation_of_a_second_gets_503_and_no_effect(google: Google) -> None:
    answers = [google.api.post("/users", json=new_person(f"n{number}@school.example")) for number in range(11)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [503]
    assert reason(answers[10]) == (503, "backendError")
    assert google.api.post("/users", json=new_person("n10@other.example")).status_code == 200
    google.clock.pass_seconds(1)
    assert google.api.post("/users", json=new_person("n10@school.example")).status_code == 200
    assert len(google.effects()) == 12


def test_the_second_unit_write_of_a_second_is_over_the_quota(google: Google) -> None:
    assert google.api.post("/customer/my_customer/orgunits", json=_unit("A")).status_code == 201
    assert reason(google.api.post("/customer/my_customer/orgunits", json=_unit("B"))) == (403, "quotaExceeded")
    google.clock.pass_seconds(1)
    assert google.api.post("/customer/my_customer/orgunits", json=_unit("B")).status_code == 201


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("userRateLimitExceeded", 403),
        ("quotaExceeded", 403),
        ("rateLimitExceeded", 429),
        ("backendError", 503),
        ("domainCannotUseApis", 403),
        ("accessNotConfigured", 403),
    ],
)
def test_every_nth_call_is_refused_with_the_switched_reason(google: Google, name: str, code: int) -> None:
    google.switch(refuse_with=name, refuse_every=2)
    answers = [google.api.get("/users/p1@school.example") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, code, 200, code]
    assert reason(answers[1]) == (code, name)


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("too_many_requests", {}, (429, "rateLimitExceeded")),
        ("server_error", {"status": 502}, (502, "backendError")),
        ("server_error", {}, (503, "backendError")),
        ("quota", {}, (403, "userRateLimitExceeded")),
        ("unauthorized", {}, (401, "authError")),
        ("capacity", {}, (412, "limitExceeded")),
    ],
)
def test_the_kits_faults_speak_as_the_vendor_does(
    google: Google, kind: str, options: dict[str, Any], expected: tuple[int, str]
) -> None:
    google.arm(kind, **options)
    assert reason(google.api.get("/users/p1@school.example")) == expected


def test_the_quota_fault_gives_the_other_reason_when_switched(google: Google) -> None:
    google.switch(quota_reason="quotaExceeded")
    google.arm("quota")
    assert reason(google.api.get("/users/p1@school.example")) == (403, "quotaExceeded")


def _unit(name: str) -> dict[str, str]:
    return {"name": name, "parentOrgUnitPath": "/"}

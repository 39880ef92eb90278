"""The simulated OneRoster provider: who is let in, by OAuth 2 and by signed requests, and how a refusal looks."""

from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from tests.simulators.running_oneroster import (
    BASE_1P1,
    BASE_1P2,
    BASIC,
    CLIENT_ID,
    CLIENT_SECRET,
    SCOPE,
    RunningRoster,
    running_oneroster,
)

GRANT = {"grant_type": "client_credentials"}
IN_BODY = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}


@pytest.fixture(scope="module")
def server() -> Iterator[RunningRoster]:
    with running_oneroster() as running:
        yield running


@pytest.fixture
def roster(server: RunningRoster) -> RunningRoster:
    server.reset()
    return server


def minor(answer: httpx.Response) -> str:
    value: str = answer.json()["imsx_CodeMinor"]["imsx_codeMinorField"][0]["imsx_codeMinorFieldValue"]
    return value


def test_a_token_of_1p1_lives_six_hours_by_the_clock(roster: RunningRoster) -> None:
    document = roster.anyone.post(f"{BASE_1P1}/token", data=GRANT, auth=BASIC).json()
    assert (document["token_type"], document["expires_in"]) == ("bearer", 21_600)
    headers = {"Authorization": f"Bearer {document['access_token']}"}
    roster.clock.now += timedelta(seconds=21_599)
    assert roster.anyone.get(f"{BASE_1P1}/orgs", headers=headers).status_code == 200
    roster.clock.now += timedelta(seconds=1)
    assert roster.anyone.get(f"{BASE_1P1}/orgs", headers=headers).status_code == 401


def test_credentials_stand_in_basic_or_in_the_body_and_never_in_both(roster: RunningRoster) -> None:
    path = f"{BASE_1P1}/token"
    assert roster.anyone.post(path, data=GRANT | IN_BODY).status_code == 200
    both = roster.anyone.post(path, data=GRANT | IN_BODY, auth=BASIC)
    assert (both.status_code, both.json()["error"]) == (400, "invalid_request")
    assert roster.violations() == ["O2"]
    roster.switch(client_auth="basic")
    assert roster.anyone.post(path, data=GRANT | IN_BODY).status_code == 401
    roster.switch(client_auth="body")
    assert roster.anyone.post(path, data=GRANT, auth=BASIC).status_code == 401


@pytest.mark.parametrize("auth", [(CLIENT_ID, "other"), ("other", CLIENT_SECRET)])
def test_an_unknown_client_gets_no_token(roster: RunningRoster, auth: tuple[str, str]) -> None:
    answer = roster.anyone.post(f"{BASE_1P1}/token", data=GRANT, auth=auth)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert roster.violations() == []


def test_a_token_request_is_a_form_that_names_its_grant(roster: RunningRoster) -> None:
    path = f"{BASE_1P2}/token"
    assert roster.anyone.post(path, json=GRANT, auth=BASIC).json()["error"] == "invalid_request"
    other = roster.anyone.post(path, data={"grant_type": "password"}, auth=BASIC)
    assert other.json()["error"] == "unsupported_grant_type"
    assert roster.violations() == ["O2", "O2"]


def test_1p2_needs_a_scope_for_the_token_and_the_right_one_for_the_path(roster: RunningRoster) -> None:
    path = f"{BASE_1P2}/token"
    assert roster.anyone.post(path, data=GRANT, auth=BASIC).json()["error"] == "invalid_scope"
    core = roster.anyone.post(path, data=GRANT | {"scope": f"{SCOPE}roster-core.readonly"}, auth=BASIC).json()
    headers = {"Authorization": f"Bearer {core['access_token']}"}
    assert roster.anyone.get(f"{BASE_1P2}/users", headers=headers).status_code == 200
    refused = roster.anyone.get(f"{BASE_1P2}/demographics", headers=headers)
    assert (refused.status_code, minor(refused)) == (403, "unauthorisedrequest")
    assert roster.anyone.get(f"{BASE_1P1}/users", headers=headers).status_code == 401, "a token is for one version"
    assert roster.violations() == ["O3", "O3"]
    assert roster.new.get("/demographics").status_code == 200


def test_a_client_never_gets_a_scope_that_is_not_its_own() -> None:
    own = frozenset({f"{SCOPE}roster.readonly"})
    with running_oneroster(settings={"scopes": own}) as roster:
        assert roster.new.get("/users").status_code == 200
        assert roster.new.get("/demographics").status_code == 403


def test_a_signed_request_is_let_in_by_1p1_with_any_query(roster: RunningRoster) -> None:
    assert roster.signed(f"{BASE_1P1}/users").status_code == 200
    query = {"filter": "familyName='Sample P1' AND status='active'", "limit": "5", "fields": "sourcedId,email"}
    answer = roster.signed(f"{BASE_1P1}/users", query)
    assert answer.json() == {"users": [{"sourcedId": "P1", "email": "p1@example.org"}]}
    assert roster.violations() == []


def test_a_signature_with_another_secret_or_for_another_query_is_refused(roster: RunningRoster) -> None:
    assert roster.signed(f"{BASE_1P1}/users", secret="other").status_code == 401
    good = roster.signed(f"{BASE_1P1}/users", {"limit": "1"}).request
    changed = roster.anyone.get(
        f"{BASE_1P1}/users", params={"limit": "2"}, headers={"Authorization": good.headers["Authorization"]}
    )
    assert changed.status_code == 401


def test_a_signature_is_taken_once_and_only_while_it_is_fresh(roster: RunningRoster) -> None:
    first = roster.signed(f"{BASE_1P1}/orgs", {"limit": "9"}, oauth_nonce="once")
    assert first.status_code == 200
    again = roster.signed(f"{BASE_1P1}/orgs", {"limit": "9"}, oauth_nonce="once")
    assert again.status_code == 401
    old = str(int(roster.clock.now.timestamp()) - 301)
    assert roster.signed(f"{BASE_1P1}/orgs", oauth_timestamp=old).status_code == 401
    assert roster.signed(f"{BASE_1P1}/orgs", oauth_signature_method="HMAC-SHA1").status_code == 401
    assert roster.violations() == ["O4"] * 3


def test_1p2_takes_no_signed_request(roster: RunningRoster) -> None:
    assert roster.signed(f"{BASE_1P2}/users").status_code == 401
    assert roster.violations() == ["O5"]


def test_a_provider_may_take_one_way_only(roster: RunningRoster) -> None:
    roster.switch(oauth1=False)
    assert roster.signed(f"{BASE_1P1}/courses").status_code == 401
    roster.switch(oauth1=True, oauth2=False)
    assert roster.signed(f"{BASE_1P1}/courses", oauth_nonce="b").status_code == 200
    assert roster.old.get("/courses").status_code == 401
    assert roster.anyone.post(f"{BASE_1P1}/token", data=GRANT, auth=BASIC).status_code == 401
    assert roster.new.get("/courses").status_code == 200


def test_prefix_and_token_path_are_settings() -> None:
    with running_oneroster(settings={"path_prefix": "tenant/7", "token_path": "oauth/access_token"}) as roster:
        answer = roster.old.get("/orgs/S1").json()["org"]
        assert answer["parent"]["href"] == f"{roster.url}/tenant/7{BASE_1P1}/orgs/D1"
        assert roster.anyone.get(f"{BASE_1P1}/orgs").status_code == 404
        token = roster.anyone.post("/oauth/access_token", data=GRANT, auth=BASIC).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        assert roster.anyone.get(f"/tenant/7{BASE_1P1}/orgs", headers=headers).status_code == 200


def test_refusals_have_the_imsx_body(roster: RunningRoster) -> None:
    for answer, status, code in (
        (roster.anyone.get(f"{BASE_1P1}/users"), 401, "unauthorisedrequest"),
        (roster.old.get("/users/nobody"), 404, "unknownobject"),
        (roster.old.get("/pupils"), 404, "unknownobject"),
        (roster.old.post("/users", json={}), 405, "unsupportedoperation"),
        (roster.old.get("/users", params={"sort": "shoe"}), 400, "invalid_sort_field"),
    ):
        assert (answer.status_code, minor(answer)) == (status, code)
        assert answer.json()["imsx_severity"] == "error"
        assert answer.json()["imsx_codeMajor"] == ("unsupported" if status == 405 else "failure")
    assert roster.violations() == ["O1", "O11"]
    roster.switch(error_body="wrapped")
    assert roster.old.get("/users/nobody").json().keys() == {"imsx_StatusInfo"}


def test_violations_never_name_a_person(roster: RunningRoster) -> None:
    roster.old.delete("/users/P1")
    assert roster.control.get("/state").json()["violations"][0]["path"] == f"{BASE_1P1}/users/{{sourcedId}}"

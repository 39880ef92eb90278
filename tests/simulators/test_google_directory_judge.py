"""The vendor's own client, unmodified, drives the simulated Google account over a real socket.

It signs its own assertions, builds its own addresses from its discovery document, pages with `list_next` and reads
refusals as `HttpError`. What it cannot do: `client_options.api_endpoint` does not move its batch address, which stays
that of the vendor, so the batch is given the simulator's; its clock is the machine's, so the simulator runs on that one
too, put forward by the tests; and it tells a 202 from a 200 nowhere in what it returns.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httplib2  # type: ignore[import-untyped]  # it has no types
import httpx
import pytest
from google.auth.exceptions import RefreshError
from google.oauth2 import service_account
from google_auth_httplib2 import AuthorizedHttp  # type: ignore[import-untyped]  # it has no types
from googleapiclient.discovery import build  # type: ignore[import-untyped]  # the official client has no types
from googleapiclient.errors import HttpError  # type: ignore[import-untyped]  # as above
from googleapiclient.http import BatchHttpRequest  # type: ignore[import-untyped]  # as above

from simulators.google_directory.app import GoogleConfig, create_app
from simulators.google_directory.keys import ServiceAccount
from simulators.kit.serve import serving
from simulators.kit.staging import Stage
from tests.simulators.google_discovery import check_request
from tests.simulators.running_google_directory import ADMIN, SCOPE, new_person, person, seed, service_key

SCOPES = [f"{SCOPE}{name}" for name in ("user", "group", "orgunit", "userschema", "user.security")]


@dataclass
class Judge:
    """The simulator, and the client that judges it."""

    url: str
    client: Any
    http: Any
    control: httpx.Client
    ahead: list[float]
    """Seconds the simulator's clock is ahead of the machine's, in one item."""
    opened: list[Any]
    """Connections to close."""

    def connect(self, *, subject: str = ADMIN, scopes: list[str] | None = None) -> Any:
        """Make a client of its own credentials."""
        key = service_key()[0] | {"token_uri": f"{self.url}/token"}
        credentials = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]  # as it is
            key, scopes=scopes or SCOPES
        ).with_subject(subject)
        self.http = AuthorizedHttp(credentials, http=httplib2.Http(timeout=20, proxy_info=None))
        self.opened.append(self.http)
        return build(
            "admin",
            "directory_v1",
            http=self.http,
            static_discovery=True,
            cache_discovery=False,
            client_options={"api_endpoint": f"{self.url}/"},
        )

    def switch(self, **switches: Any) -> None:
        assert self.control.patch("/switches", json=switches).status_code == 200


@pytest.fixture(scope="module")
def shared() -> Iterator[Judge]:
    ahead = [0.0]

    def now() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=ahead[0])

    account: ServiceAccount = service_key()[1]
    config = GoogleConfig(seed=seed(), accounts=(account,), stage=Stage(clock=now))
    with (
        serving(create_app(config)) as url,
        httpx.Client(base_url=f"{url}/_sim", timeout=20.0, trust_env=False) as control,
    ):
        yield Judge(url=url, client=None, http=None, control=control, ahead=ahead, opened=[])


@pytest.fixture
def judge(shared: Judge) -> Iterator[Judge]:
    shared.ahead[0] = 0.0
    shared.control.delete("/switches")
    shared.control.delete("/faults")
    # The judge is not slowed down by rates that other tests show.
    shared.switch(
        queries_per_minute=None, user_creations_per_second=None, orgunit_writes_per_second=None, keep_requests=True
    )
    assert shared.control.put("/state", json=seed()).status_code == 204
    shared.client = shared.connect()
    yield shared
    for http in shared.opened:
        http.close()
    shared.opened.clear()
    state = shared.control.get("/state").json()
    problems = [
        problem
        for kept in state["requests"]
        if kept["status"] < 400
        # It sends `alt=json` with every call, which the document knows, and never an unknown name.
        for problem in check_request(kept["method"], kept["path"], kept["query"], kept["body"])
    ]
    assert problems == []


def refusal(call: Any) -> tuple[int, str]:
    """Make a call that is refused, and say code and reason as the client reads them."""
    with pytest.raises(HttpError) as refused:
        call.execute()
    return refused.value.status_code, refused.value.error_details[0]["reason"]


def walk(collection: Any, name: str, **query: Any) -> list[dict[str, Any]]:
    """Walk a list as the client does."""
    found: list[dict[str, Any]] = []
    request = collection.list(**query)
    while request is not None:
        page = request.execute()
        found += page.get(name, [])
        request = collection.list_next(request, page)
    return found


def test_it_walks_users_with_list_next(judge: Judge) -> None:
    judge.control.put("/state", json=seed(24))
    users = walk(judge.client.users(), "users", customer="my_customer", maxResults=10, orderBy="email")
    assert len({user["id"] for user in users}) == 25
    assert [user["primaryEmail"] for user in users] == sorted(user["primaryEmail"] for user in users)


def test_it_makes_changes_renames_deletes_and_brings_back_a_user(judge: Judge) -> None:
    users = judge.client.users()
    user_id = users.insert(body=new_person()).execute()["id"]
    assert refusal(users.insert(body=new_person())) == (409, "duplicate")
    assert users.update(userKey=user_id, body={"suspended": True}).execute()["suspended"] is True
    renamed = users.update(userKey=user_id, body={"primaryEmail": "nia@school.example"}).execute()
    assert renamed["aliases"] == ["new@school.example"]
    assert users.patch(userKey=user_id, body={"notes": {"value": "n"}}).execute()["notes"] == {"value": "n"}
    users.delete(userKey=user_id).execute()
    assert refusal(users.get(userKey=user_id)) == (404, "notFound")
    gone = walk(users, "users", customer="my_customer", showDeleted="true")
    assert [user["id"] for user in gone] == [user_id]
    users.undelete(userKey=user_id, body={"orgUnitPath": "/Staff"}).execute()
    assert users.get(userKey=user_id, projection="full").execute()["orgUnitPath"] == "/Staff"
    users.makeAdmin(userKey=user_id, body={"status": True}).execute()
    users.signOut(userKey=user_id).execute()
    assert users.aliases().list(userKey=user_id).execute()["aliases"][0]["alias"] == "new@school.example"


def test_it_keeps_groups_and_members(judge: Judge) -> None:
    groups, members = judge.client.groups(), judge.client.members()
    group_id = groups.insert(body={"email": "new@school.example", "name": "New"}).execute()["id"]
    members.insert(groupKey=group_id, body={"email": "p2@school.example", "role": "OWNER"}).execute()
    assert refusal(members.insert(groupKey=group_id, body={"id": person(2)["id"]})) == (409, "duplicate")
    members.insert(groupKey=group_id, body={"email": "all@school.example"}).execute()
    assert members.hasMember(groupKey=group_id, memberKey="p1@school.example").execute() == {"isMember": True}
    assert refusal(members.hasMember(groupKey=group_id, memberKey="o@side.example")) == (400, "invalid")
    derived = walk(members, "members", groupKey=group_id, includeDerivedMembership=True, maxResults=2)
    assert [member["type"] for member in derived] == ["USER", "GROUP", "USER"]
    members.patch(groupKey=group_id, memberKey="p2@school.example", body={"role": "MEMBER"}).execute()
    members.delete(groupKey=group_id, memberKey="p2@school.example").execute()
    assert refusal(members.delete(groupKey=group_id, memberKey="p2@school.example")) == (404, "notFound")
    assert [group["id"] for group in walk(groups, "groups", userKey="p1@school.example")] == ["g1"]
    groups.update(groupKey=group_id, body={"description": "d"}).execute()
    groups.delete(groupKey=group_id).execute()
    assert refusal(groups.get(groupKey=group_id)) == (404, "notFound")


def test_it_keeps_units_and_schemas(judge: Judge) -> None:
    units, schemas = judge.client.orgunits(), judge.client.schemas()
    here = {"customerId": "my_customer"}
    units.insert(**here, body={"name": "East Side", "parentOrgUnitPath": "/Staff"}).execute()
    assert units.get(**here, orgUnitPath="Staff/East Side").execute()["orgUnitPath"] == "/Staff/East Side"
    moved = units.update(**here, orgUnitPath="Staff/East Side", body={"parentOrgUnitPath": "/"}).execute()
    assert moved["orgUnitPath"] == "/East Side"
    listed = units.list(**here, type="all").execute()["organizationUnits"]
    assert {unit["orgUnitPath"] for unit in listed} == {"/East Side", "/Staff", "/Staff/North Side"}
    units.patch(**here, orgUnitPath=moved["orgUnitId"], body={"description": "d"}).execute()
    units.delete(**here, orgUnitPath="East Side").execute()
    assert refusal(units.get(**here, orgUnitPath="East Side")) == (404, "notFound")
    fields = [{"fieldName": "key", "fieldType": "STRING"}]
    schemas.insert(**here, body={"schemaName": "Sync", "displayName": "Sync", "fields": fields}).execute()
    assert schemas.list(**here).execute()["schemas"][0]["schemaName"] == "Sync"
    judge.client.users().update(userKey="p1@school.example", body={"customSchemas": {"Sync": {"key": "K"}}}).execute()
    user = judge.client.users().get(userKey="p1@school.example", projection="full").execute()
    assert user["customSchemas"] == {"Sync": {"key": "K"}}


def test_it_sends_a_batch_and_each_failure_is_its_own(judge: Judge) -> None:
    answers: dict[str, Any] = {}

    def keep(request_id: str, response: Any, exception: Any) -> None:
        answers[request_id] = exception.error_details[0]["reason"] if exception is not None else response

    # With a token at hand: for a new one, a batch would open a connection that the client never closes.
    judge.client.users().get(userKey="p1@school.example").execute()
    batch = BatchHttpRequest(callback=keep, batch_uri=f"{judge.url}/batch")
    users, members = judge.client.users(), judge.client.members()
    batch.add(users.get(userKey="p1@school.example"), request_id="get")
    batch.add(users.get(userKey="nobody@school.example"), request_id="nobody")
    batch.add(users.update(userKey="p2@school.example", body={"suspended": True}), request_id="put")
    batch.add(members.insert(groupKey="g2", body={"email": "p2@school.example"}), request_id="join")
    batch.add(users.delete(userKey="p3@school.example"), request_id="delete")
    batch.execute(http=judge.http)
    assert answers["get"]["id"] == person(1)["id"]
    assert answers["nobody"] == "notFound"
    assert answers["put"]["suspended"] is True
    assert answers["join"]["status"] == "SUSPENDED"
    assert refusal(users.get(userKey="p3@school.example")) == (404, "notFound")


@pytest.mark.parametrize(
    ("name", "code"),
    [("userRateLimitExceeded", 403), ("quotaExceeded", 403), ("rateLimitExceeded", 429), ("backendError", 503)],
)
def test_it_reads_the_reason_of_every_throttle(judge: Judge, name: str, code: int) -> None:
    judge.switch(refuse_with=name)
    assert refusal(judge.client.users().get(userKey="p1@school.example")) == (code, name)


def test_its_own_retries_outlast_a_burst_of_throttles(judge: Judge) -> None:
    judge.switch(refuse_with="userRateLimitExceeded", refuse_every=2)
    request = judge.client.users().get(userKey="p1@school.example")
    request._sleep = lambda seconds: None  # so that the test need not wait
    assert [request.execute(num_retries=2)["id"] for _ in range(3)] == [person(1)["id"]] * 3


def test_it_is_told_which_scope_or_right_is_missing(judge: Judge) -> None:
    reading = judge.connect(scopes=[f"{SCOPE}user.readonly"])
    assert reading.users().get(userKey="p1@school.example").execute()["id"] == person(1)["id"]
    assert refusal(reading.users().delete(userKey="p1@school.example")) == (403, "insufficientPermissions")
    nobody = judge.connect(subject="p1@school.example")
    assert refusal(nobody.users().get(userKey="p1@school.example")) == (403, "forbidden")
    with pytest.raises(RefreshError, match="invalid_grant"):
        judge.connect(subject="nobody@school.example").users().get(userKey="p1@school.example").execute()
    with pytest.raises(RefreshError, match="invalid_scope"):
        judge.connect(scopes=[f"{SCOPE}everything"]).users().get(userKey="p1@school.example").execute()


def test_it_gets_a_new_token_when_the_old_one_is_refused(judge: Judge) -> None:
    users = judge.client.users()
    users.get(userKey="p1@school.example").execute()
    old = judge.http.credentials.token
    judge.control.post("/faults", json={"kind": "unauthorized", "path_pattern": "/users/"})
    assert users.get(userKey="p1@school.example").execute()["id"] == person(1)["id"]
    assert judge.http.credentials.token != old


def test_it_meets_a_creation_that_is_not_complete(judge: Judge) -> None:
    judge.switch(user_settling_seconds=60)
    users = judge.client.users()
    user_id = users.insert(body=new_person()).execute()["id"]
    with pytest.raises(HttpError, match="User creation is not complete"):
        users.update(userKey=user_id, body={"suspended": True}).execute()
    judge.ahead[0] = 60.0
    assert users.update(userKey=user_id, body={"suspended": True}).execute()["suspended"] is True

"""A simulated OneRoster provider on a real socket, with a small district and clients of both versions."""

import base64
import hashlib
import hmac
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

from simulators.kit.serve import serving
from simulators.kit.staging import Stage
from simulators.oneroster.app import OneRosterConfig, create_app
from simulators.oneroster.switches import OneRosterSwitches
from tests.support.without_tls import TRUSTS_NOBODY

CLIENT_ID = "roster-client"
CLIENT_SECRET = "roster-secret-of-the-tests"
BASIC = httpx.BasicAuth(CLIENT_ID, CLIENT_SECRET)
BASE_1P1 = "/ims/oneroster/v1p1"
BASE_1P2 = "/ims/oneroster/rostering/v1p2"
SCOPE = "https://purl.imsglobal.org/spec/or/v1p2/scope/"
ALL_SCOPES = f"{SCOPE}roster-core.readonly {SCOPE}roster.readonly {SCOPE}roster-demographics.readonly"
STAMP = "2026-11-01T08:00:00.000Z"


@dataclass
class Clock:
    """A clock that tests set."""

    now: datetime = datetime(2026, 11, 22, 8, 0, 0, tzinfo=UTC)

    def read(self) -> datetime:
        return self.now


@dataclass
class RunningRoster:
    """One running provider and what a test needs to talk to it."""

    url: str
    clock: Clock
    anyone: httpx.Client
    old: httpx.Client
    """A client of 1.1."""
    new: httpx.Client
    """A client of 1.2 with every scope."""
    control: httpx.Client

    def violations(self) -> list[str]:
        return [each["rule"] for each in self.control.get("/state").json()["violations"]]

    def switch(self, **changes: Any) -> None:
        answer = self.control.patch("/switches", json=changes)
        assert answer.status_code == 200, answer.text

    def reset(self) -> None:
        """Back to the small district, so that one server does for many tests."""
        self.clock.now = Clock().now
        assert self.control.put("/state", json=seed()).status_code == 204
        self.control.delete("/switches")
        self.control.delete("/faults")

    def signed(
        self, path: str, query: Mapping[str, str] | None = None, *, secret: str = CLIENT_SECRET, **changes: str
    ) -> httpx.Response:
        """Ask with OAuth 1.0a; `changes` replace parameters before the request is signed."""
        oauth = {
            "oauth_consumer_key": CLIENT_ID,
            "oauth_signature_method": "HMAC-SHA256",
            "oauth_timestamp": str(int(self.clock.now.timestamp())),
            "oauth_nonce": f"nonce {path} {query}",
            "oauth_version": "1.0",
        } | changes
        asked = dict(query or {})
        pairs = sorted((_encoded(name), _encoded(value)) for name, value in [*oauth.items(), *asked.items()])
        parameters = "&".join("=".join(pair) for pair in pairs)
        text = "&".join(("GET", _encoded(self.url + path), _encoded(parameters)))
        digest = hmac.new(f"{_encoded(secret)}&".encode(), text.encode(), hashlib.sha256).digest()
        oauth["oauth_signature"] = base64.b64encode(digest).decode()
        header = "OAuth " + ", ".join(f'{name}="{_encoded(value)}"' for name, value in oauth.items())
        return self.anyone.get(path, params=asked, headers={"Authorization": header})


def _encoded(text: str) -> str:
    return quote(text, safe="")


def user(key: str, role: str = "student", **fields: Any) -> dict[str, Any]:
    """A user of a seed."""
    return {
        "sourcedId": key,
        "dateLastModified": STAMP,
        "enabledUser": True,
        "username": key.lower(),
        "userIds": [{"type": "SIS", "identifier": key}],
        "givenName": "Ada",
        "familyName": f"Sample {key}",
        "grades": ["09"] if role == "student" else [],
        "roles": [{"role": role, "roleType": "primary", "orgSourcedId": "S1"}],
    } | fields


def enrollment(room: str, person: str, role: str = "student", **fields: Any) -> dict[str, Any]:
    """An enrolment of a seed."""
    return {
        "sourcedId": f"{room}-{person}",
        "dateLastModified": STAMP,
        "classSourcedId": room,
        "schoolSourcedId": "S1",
        "userSourcedId": person,
        "role": role,
    } | fields


def room(key: str, **fields: Any) -> dict[str, Any]:
    """A class of a seed."""
    return {
        "sourcedId": key,
        "dateLastModified": STAMP,
        "title": f"Algebra {key}",
        "courseSourcedId": "C1",
        "classType": "scheduled",
        "schoolSourcedId": "S1",
        "termSourcedIds": ["T1"],
        "periods": ["1", "2"],
    } | fields


def session(key: str, kind: str, parent: str | None) -> dict[str, Any]:
    """An academic session of a seed."""
    row = {"sourcedId": key, "title": key, "type": kind, "startDate": "2026-08-17", "endDate": "2026-12-18"}
    return row | {"schoolYear": "2027"} | ({"parentSourcedId": parent} if parent else {})


def seed(**changes: Any) -> dict[str, Any]:
    """A district with two schools, two classes, three students, two teachers and a counselor."""
    org = {"identifier": "1", "dateLastModified": STAMP}
    return {
        "orgs": [
            org | {"sourcedId": "D1", "name": "District", "type": "district"},
            org | {"sourcedId": "S1", "name": "North", "type": "school", "parentSourcedId": "D1"},
            org | {"sourcedId": "S2", "name": "South", "type": "school", "parentSourcedId": "D1"},
        ],
        "academicSessions": [
            session("Y1", "schoolYear", None),
            session("T1", "term", "Y1"),
            session("G1", "gradingPeriod", "T1"),
        ],
        "courses": [{"sourcedId": "C1", "title": "Algebra", "orgSourcedId": "D1", "schoolYearSourcedId": "Y1"}],
        "classes": [room("R1"), room("R2", schoolSourcedId="S2")],
        "users": [
            user("P1", email="p1@example.org"),
            user("P2", agentSourcedIds=["P1"], dateLastModified="2026-11-20T08:00:00.000Z"),
            user("P3", status="tobedeleted", dateLastModified="2026-11-21T08:00:00.000Z"),
            user("T1", "teacher"),
            user("T2", "teacher", enabledUser=False),
            user("K1", "counselor", userProfiles=[{"profileId": "K1-a", "profileType": "LMS", "vendorId": "v"}]),
        ],
        "enrollments": [
            enrollment("R1", "T1", "teacher", primary=True),
            enrollment("R1", "P1"),
            enrollment("R1", "P2"),
            enrollment("R2", "P1", schoolSourcedId="S2", status="tobedeleted"),
        ],
        "demographics": [{"sourcedId": "P1", "birthDate": "2011-02-03", "sex": "female", "asian": True}],
    } | changes


@contextmanager
def running_oneroster(*, document: Any = None, settings: Any = None, **switches: Any) -> Iterator[RunningRoster]:
    """Serve a provider; `document` is its seed, `settings` go into its configuration."""
    clock = Clock()
    config = OneRosterConfig(
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        seed=seed() if document is None else document,
        switches=OneRosterSwitches.model_validate(switches),
        stage=Stage(clock=clock.read),
        **(settings or {}),
    )
    with ExitStack() as stack:
        url = stack.enter_context(serving(create_app(config)))

        def client(base: str, **headers: str) -> httpx.Client:
            return stack.enter_context(
                httpx.Client(base_url=base, headers=headers, timeout=20.0, trust_env=False, verify=TRUSTS_NOBODY)
            )

        anyone = client(url)
        prefix = f"/{config.path_prefix}" if config.path_prefix else ""

        def token(base: str, **form: str) -> str:
            body = {"grant_type": "client_credentials", **form}
            answer = anyone.post(f"{prefix}{base}/token", data=body, auth=BASIC).json()
            return f"Bearer {answer.get('access_token', 'none')}"

        yield RunningRoster(
            url=url,
            clock=clock,
            anyone=anyone,
            old=client(f"{url}{prefix}{BASE_1P1}", authorization=token(BASE_1P1)),
            new=client(f"{url}{prefix}{BASE_1P2}", authorization=token(BASE_1P2, scope=ALL_SCOPES)),
            control=client(f"{url}/_sim"),
        )

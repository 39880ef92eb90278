"""A simulated Apex on a real socket, with a small world and a client that holds a token."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from simulators.apex.app import ApexConfig, create_app
from simulators.apex.switches import ApexSwitches
from simulators.kit.serve import serving
from simulators.kit.staging import Stage
from tests.support.without_tls import TRUSTS_NOBODY

CLIENT_ID = "apex-client"
CLIENT_SECRET = "apex-secret-of-the-tests"
BASIC = httpx.BasicAuth(CLIENT_ID, CLIENT_SECRET)
TOKEN_BODY = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}


@dataclass
class Clock:
    """A clock that tests set."""

    now: datetime = datetime(2026, 11, 22, 8, 0, 0, tzinfo=UTC)

    def read(self) -> datetime:
        return self.now


@dataclass
class RunningApex:
    """One running simulator and what a test needs to talk to it."""

    url: str
    clock: Clock
    anyone: httpx.Client
    client: httpx.Client
    control: httpx.Client

    def state(self) -> dict[str, Any]:
        document: dict[str, Any] = self.control.get("/state").json()
        return document

    def violations(self) -> list[str]:
        return [each["rule"] for each in self.state()["violations"]]

    def effects(self) -> list[str]:
        return [each["effect"] for each in self.state()["effects"]]

    def reset(self) -> None:
        """Back to the small world, so that one server does for many tests; the journal goes on."""
        self.clock.now = Clock().now
        assert self.control.put("/state", json=seed()).status_code == 204
        self.control.delete("/switches")
        self.control.delete("/faults")

    def last_effect(self) -> str:
        """What the journal says of the last request."""
        effect: str = self.control.get("/journal").json()["entries"][-1]["effect"]
        return effect

    def switch(self, **changes: Any) -> None:
        answer = self.control.patch("/switches", json=changes)
        assert answer.status_code == 200, answer.text

    def create(self, *people: dict[str, Any]) -> list[dict[str, Any]]:
        answer = self.client.post("/students", json={"studentUsers": list(people)})
        results: list[dict[str, Any]] = answer.json()["studentUsers"]
        return results


def student(number: int, **fields: Any) -> dict[str, Any]:
    """An item that a create of a student accepts."""
    login = f"s{number}"
    return {
        "ImportUserId": f"{login}@example.org",
        "ImportOrgId": "10",
        "FirstName": "Ada",
        "LastName": f"Sample {number}",
        "Email": f"{login}@example.org",
        "GradeLevel": "9",
        "LoginId": login,
        "LoginPw": "not-a-secret",
        "Role": "S",
    } | fields


def member_of_staff(number: int, **fields: Any) -> dict[str, Any]:
    """An item that a create of staff accepts."""
    item = student(number, Role="TC") | fields
    del item["GradeLevel"]
    return item


def seeded(number: int, *, role: str = "S", status: str = "Active", org: str = "10") -> dict[str, Any]:
    """A person of a seed."""
    letter = "s" if role == "S" else "t"
    return {
        "ImportUserId": f"{letter}{number}@example.org",
        "FirstName": "Tess" if role != "S" else "Ada",
        "LastName": f"Sample {number}",
        "Email": f"{letter}{number}@example.org",
        "LoginId": f"{letter}{number}",
        "Organizations": [{"ImportOrgId": org, "Role": role, "RoleStatus": status}],
    }


def classroom(name: str, **fields: Any) -> dict[str, Any]:
    """An item that a create of a classroom accepts."""
    return {
        "ImportClassroomId": name,
        "ClassroomName": f"Room {name}",
        "ProductCodes": ["ALG-A"],
        "ImportUserId": "t1@example.org",
        "ImportOrgId": "10",
        "ClassroomStartDate": "2026/08/17",
        "ProgramCode": "ALG",
    } | fields


def seed(students: int = 3) -> dict[str, Any]:
    """Two organisations, two teachers, one program, two classrooms and `students` students, nobody enrolled."""
    return {
        "organizations": [{"ImportOrgId": "10", "Name": "North"}, {"ImportOrgId": "20", "Name": "South"}],
        "products": [
            {"ProductCode": "ALG-A", "ProgramCode": "ALG", "ProductName": "Algebra A"},
            {"ProductCode": "BIO-A", "ProgramCode": "BIO", "ProductName": "Biology A"},
        ],
        "orders": [{"ImportOrgId": "10", "ProgramCode": "BIO", "Seats": 1}],
        "staff": [seeded(1, role="T"), seeded(2, role="M")],
        "students": [seeded(number) for number in range(1, students + 1)],
        "classrooms": [
            classroom("R1", ClassroomStartDate="2026-08-17T08:30:09+00:00"),
            classroom("R2", ClassroomStartDate="2026-08-17T00:00:00+00:00", ProductCodes=["BIO-A"], ProgramCode="BIO"),
        ],
    }


@contextmanager
def running_apex(*, path_prefix: str = "", document: Any = None, **switches: Any) -> Iterator[RunningApex]:
    """Serve a simulator; `document` is its seed."""
    clock = Clock()
    config = ApexConfig(
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        seed=seed() if document is None else document,
        path_prefix=path_prefix,
        switches=ApexSwitches.model_validate(switches),
        stage=Stage(clock=clock.read),
    )
    with ExitStack() as stack:
        url = stack.enter_context(serving(create_app(config)))

        def client(base: str, **headers: str) -> httpx.Client:
            return stack.enter_context(
                httpx.Client(base_url=base, headers=headers, timeout=20.0, trust_env=False, verify=TRUSTS_NOBODY)
            )

        anyone = client(url)
        token = anyone.post("/token", json=TOKEN_BODY, auth=BASIC).json()["access_token"]
        base = f"{url}/{path_prefix}" if path_prefix else url
        yield RunningApex(
            url=url,
            clock=clock,
            anyone=anyone,
            client=client(base, authorization=f"Bearer {token}"),
            control=client(f"{url}/_sim"),
        )

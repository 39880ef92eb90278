"""A simulated Klaxon Alerts on a real socket, and an independent client for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from simulators.alerts.app import AlertsConfig, create_app
from simulators.alerts.switches import AlertsSwitches
from simulators.kit.serve import serving
from simulators.kit.staging import Stage
from tests.support.without_tls import TRUSTS_NOBODY

ID, SECRET, KEY, BEARER = "klaxon-client", "klaxon-secret-of-the-tests", "klaxon-key", "klaxon-bearer"
ORGANIZATION = 9001


@dataclass
class HandClock:
    """A clock that tests set."""

    now: datetime = datetime(2026, 11, 22, 8, 0, 0, tzinfo=UTC)
    seconds: float = 0.0

    def read(self) -> datetime:
        return self.now

    def read_monotonic(self) -> float:
        return self.seconds


@dataclass
class Klaxon:
    """One running simulator and a client that shows the key."""

    url: str
    clock: HandClock
    client: httpx.Client
    control: httpx.Client
    bare: httpx.Client = field(repr=False)

    def switch(self, **changes: object) -> None:
        answer = self.control.patch("/switches", json=changes)
        assert answer.status_code == 200, answer.text

    def violations(self) -> list[str]:
        return [each["rule"] for each in self.control.get("/state").json()["violations"]]

    def effects(self) -> dict[str, list[str]]:
        effects: dict[str, list[str]] = self.control.get("/effects").json()["effects"]
        return effects

    def token(self, **form: str) -> httpx.Response:
        data = {"grant_type": "client_credentials"} | form
        auth = httpx.BasicAuth(ID, SECRET) if "client_secret" not in form else httpx.USE_CLIENT_DEFAULT
        return self.bare.post(f"{self.url}/authorization/v1/tokens", data=data, auth=auth)


def person(number: int = 99, **fields: object) -> dict[str, object]:
    """A body that a create accepts."""
    return {
        "externalId": f"E{number}",
        "firstName": "Ada",
        "lastName": f"Sample {number}",
        "recordTypeId": 1,
        "paths": [{"waitTime": 0, "status": "A", "pathId": 11, "value": f"ada{number}@example.org"}],
    } | fields


def seed(count: int) -> dict[str, Any]:
    """A world with two organizations, of which the second is closed to us, and `count` contacts in the first."""
    return {
        "organizations": [
            {"id": ORGANIZATION, "name": "North District"},
            {"id": 9002, "name": "South District", "granted": False},
        ],
        "recordTypes": [{"id": 1, "name": "Staff"}, {"id": 2, "name": "Visitor"}],
        "deliveryPaths": [
            {"id": 11, "name": "Work e-mail", "kind": "email"},
            {"id": 12, "name": "Mobile", "kind": "phone"},
        ],
        "contacts": [person(number, organizationId=ORGANIZATION) for number in range(1, count + 1)],
    }


@contextmanager
def running_alerts(count: int = 25, **switches: Any) -> Iterator[Klaxon]:
    """Serve a simulator with `count` contacts and these switches."""
    clock = HandClock()
    config = AlertsConfig(
        client_id=ID,
        client_secret=SECRET,
        api_key=KEY,
        bearer_token=BEARER,
        seed=seed(count),
        switches=AlertsSwitches(**switches),
        stage=Stage(clock=clock.read, monotonic=clock.read_monotonic),
    )
    with serving(create_app(config)) as url:
        options: dict[str, Any] = {"timeout": 10.0, "trust_env": False, "verify": TRUSTS_NOBODY}
        query = {"organizationId": str(ORGANIZATION)}
        with (
            httpx.Client(base_url=f"{url}/v1", params=query, headers={"x-api-key": KEY}, **options) as client,
            httpx.Client(base_url=f"{url}/_sim", **options) as control,
            httpx.Client(**options) as bare,
        ):
            yield Klaxon(url=url, clock=clock, client=client, control=control, bare=bare)

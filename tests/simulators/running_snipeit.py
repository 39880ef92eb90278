"""A simulated Snipe-IT on a real socket, independent clients for it, and what it recorded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from simulators.kit.serve import serving
from simulators.kit.staging import Stage
from simulators.snipeit.access import Rights, Token
from simulators.snipeit.app import SnipeConfig, create_app
from simulators.snipeit.switches import SnipeSwitches

SECRETS = {rights: f"{rights.value}-token-of-the-tests" for rights in Rights}
JSON = {"Accept": "application/json"}
SORTED = {"sort": "id", "order": "asc"}


@dataclass
class ManualClock:
    """A clock that tests set."""

    now: datetime = datetime(2026, 11, 22, 8, 0, 0, tzinfo=UTC)
    monotonic_seconds: float = 0.0

    def read(self) -> datetime:
        return self.now

    def read_monotonic(self) -> float:
        return self.monotonic_seconds


@dataclass
class Snipe:
    """One running simulator and what a test needs to talk to it."""

    url: str
    clock: ManualClock
    control: httpx.Client
    clients: dict[Rights, httpx.Client] = field(default_factory=dict)
    since_seq: int = 0

    @property
    def admin(self) -> httpx.Client:
        return self.clients[Rights.SUPERUSER]

    @property
    def editor(self) -> httpx.Client:
        return self.clients[Rights.EDIT]

    @property
    def reader(self) -> httpx.Client:
        return self.clients[Rights.READ]

    def get(self, path: str, **query: object) -> Any:
        answer = self.admin.get(path, params={name: str(value) for name, value in query.items()})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ids(self, path: str, **query: object) -> list[int]:
        return [row["id"] for row in self.get(path, **(SORTED | query))["rows"]]

    def done(self, method: str, path: str, body: object = None) -> Any:
        """Write as the superuser; the payload of what must be a success."""
        answer = self.admin.request(method, path, json=body if body is not None else {})
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == "success", answer.text
        return answer.json()["payload"]

    def refused(self, method: str, path: str, body: object = None) -> Any:
        """Write as the superuser; the messages of what must be a refusal with status 200."""
        answer = self.admin.request(method, path, json=body if body is not None else {})
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == "error", answer.text
        return answer.json()["messages"]

    def switch(self, **changes: object) -> None:
        answer = self.control.patch("/switches", json=changes)
        assert answer.status_code == 200, answer.text

    def arm(self, kind: str, **options: object) -> None:
        answer = self.control.post("/faults", json={"kind": kind, **options})
        assert answer.status_code == 201, answer.text

    def effects(self) -> dict[str, list[str]]:
        answer = self.control.get("/effects", params={"after_seq": self.since_seq})
        effects: dict[str, list[str]] = answer.json()["effects"]
        return effects

    def last_effect(self) -> str:
        return str(self.control.get("/journal").json()["entries"][-1]["effect"])

    def begin_anew(self) -> None:
        """Back to the small world, so that the tests of a module can share one simulator."""
        self.control.delete("/faults")
        self.control.delete("/switches")
        answer = self.control.put("/state", json=small_seed())
        assert answer.status_code == 204, answer.text
        self.since_seq = self.control.get("/health").json()["last_seq"]
        self.clock.now, self.clock.monotonic_seconds = ManualClock.now, 0.0

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = self.control.get("/state").json()
        return state

    def violations(self) -> list[str]:
        return [each["rule"] for each in self.state()["violations"]]


def small_seed(**tables: list[dict[str, Any]]) -> dict[str, Any]:
    """A world with three users, three assets and what they refer to; a table given here takes the place of one."""
    return {
        "companies": [{"id": 1, "name": "Bristlecone USD"}],
        "groups": [{"id": 1, "name": "Technicians"}],
        "manufacturers": [{"id": 1, "name": "Acme"}],
        "categories": [{"id": 1, "name": "Laptops", "category_type": "asset"}],
        "statuslabels": [
            {"id": 1, "name": "Ready", "type": "deployable"},
            {"id": 2, "name": "Repair", "type": "pending"},
            {"id": 3, "name": "Retired", "type": "archived"},
            {"id": 4, "name": "Lost", "type": "undeployable"},
        ],
        "fields": [{"id": 1, "name": "MAC Address", "db_column": "_snipeit_mac_address_1"}],
        "locations": [
            {"id": 1, "name": "North", "manager_id": 1},
            {"id": 2, "name": "South", "parent_id": 1},
            {"id": 3, "name": "Depot"},
        ],
        "departments": [{"id": 1, "name": "Instruction"}],
        "models": [{"id": 1, "name": "Chromebook", "model_number": "C-1", "category_id": 1, "manufacturer_id": 1,
                    "eol": 36, "field_ids": [1]}],
        "users": [
            {"id": 1, "first_name": "Ada", "last_name": "O'Brien", "username": "ada", "email": "ada@district.example",
             "employee_num": "E1", "location_id": 1, "activated": True, "permissions": {"superuser": "1"}},
            {"id": 2, "first_name": "Ben", "last_name": "Sample", "username": "ben", "email": "ben@district.example",
             "employee_num": "E2", "location_id": 1, "manager_id": 1, "department_id": 1, "activated": True},
            {"id": 3, "first_name": "Cy", "last_name": "Sample", "username": "cy", "employee_num": "E3"},
        ],
        "hardware": [
            {"id": 1, "name": "One", "asset_tag": "T1", "serial": "S1", "model_id": 1, "status_id": 1,
             "rtd_location_id": 3, "location_id": 1, "assigned_type": "user", "assigned_to": 2},
            {"id": 2, "name": "Two", "asset_tag": "T2", "serial": "S2", "model_id": 1, "status_id": 1,
             "rtd_location_id": 3, "location_id": 3},
            {"id": 3, "name": "Three", "asset_tag": "T3", "serial": "S3", "model_id": 1, "status_id": 3},
        ],
    } | tables  # fmt: skip


def person(**fields: object) -> dict[str, object]:
    """A body that creates a user."""
    return {
        "first_name": "Dee",
        "username": "dee",
        "password": "long enough",
        "password_confirmation": "long enough",
    } | fields


@contextmanager
def running_snipeit(seed: dict[str, Any] | None = None, **switches: Any) -> Iterator[Snipe]:
    """Serve a simulator; without a limit of requests unless the switches ask for one."""
    clock = ManualClock()
    config = SnipeConfig(
        tokens=tuple(
            Token(secret=secret, rights=rights, user_id=1 if rights is Rights.SUPERUSER else None)
            for rights, secret in SECRETS.items()
        ),
        seed=small_seed() if seed is None else seed,
        switches=SnipeSwitches.model_validate({"throttle_per_minute": None} | switches),
        stage=Stage(clock=clock.read, monotonic=clock.read_monotonic),
    )
    with ExitStack() as stack:
        url = stack.enter_context(serving(create_app(config)))

        def client(base: str, headers: dict[str, str]) -> httpx.Client:
            return stack.enter_context(
                httpx.Client(base_url=base, headers=headers, timeout=10.0, trust_env=False, verify=False)
            )

        yield Snipe(
            url=url,
            clock=clock,
            control=client(f"{url}/_sim", {}),
            clients={
                rights: client(f"{url}/api/v1", JSON | {"Authorization": f"Bearer {secret}"})
                for rights, secret in SECRETS.items()
            },
        )

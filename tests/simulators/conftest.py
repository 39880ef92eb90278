"""A simulated TitanHST on a real socket, and independent clients for it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from simulators.kit.serve import serving
from simulators.kit.staging import Stage
from simulators.titanhst.app import TitanConfig, create_app
from tests.support.whole import pytest_collection_modifyitems
from tests.support.without_tls import TRUSTS_NOBODY

__all__ = ["pytest_collection_modifyitems"]

READ_TOKEN = "read-token-of-the-tests"
WRITE_TOKEN = "write-token-of-the-tests"


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
class Titan:
    """One running simulator and what a test needs to talk to it."""

    url: str
    clock: ManualClock
    reader: httpx.Client
    writer: httpx.Client
    control: httpx.Client
    stop: Callable[[], None]

    def arm(self, kind: str, **options: object) -> None:
        answer = self.control.post("/faults", json={"kind": kind, **options})
        assert answer.status_code == 201, answer.text

    def journal(self, **query: Any) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.control.get("/journal", params=query).json()["entries"]
        return entries

    def effects(self) -> dict[str, list[str]]:
        effects: dict[str, list[str]] = self.control.get("/effects").json()["effects"]
        return effects

    def create(self, **fields: object) -> httpx.Response:
        return self.writer.post("/contacts", json=contact(**fields))


def contact(**fields: object) -> dict[str, object]:
    """A body that a create accepts."""
    return {"firstName": "Ada", "lastName": "Sample", "role": "TEACHER", "locationCode": "TL-010"} | fields


def seed(count: int = 0) -> dict[str, Any]:
    """A world with two locations and `count` contacts."""
    return {
        "locations": [{"code": "TL-010", "name": "North"}, {"code": "TL-020", "name": "South"}],
        "contacts": [
            contact(id=f"c-{number:06d}", externalId=f"E{number}", lastName=f"Sample {number}")
            for number in range(1, count + 1)
        ],
    }


@contextmanager
def running_titan(count: int = 0, **settings: Any) -> Iterator[Titan]:
    """Serve a simulator with `count` seeded contacts; `settings` are a seed, a keep_file and whatever Stage takes."""
    clock = ManualClock()
    config = TitanConfig(
        read_token=READ_TOKEN,
        write_token=WRITE_TOKEN,
        seed=settings.pop("seed", seed(count)),
        keep_file=settings.pop("keep_file", None),
        stage=Stage(clock=clock.read, monotonic=clock.read_monotonic, **settings),
    )
    with ExitStack() as stack, ExitStack() as server:
        url = server.enter_context(serving(create_app(config)))

        def client(base: str, token: str | None = None) -> httpx.Client:
            headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
            return stack.enter_context(
                httpx.Client(base_url=base, headers=headers, timeout=10.0, trust_env=False, verify=TRUSTS_NOBODY)
            )

        yield Titan(
            url=url,
            clock=clock,
            reader=client(f"{url}/api/v1", READ_TOKEN),
            writer=client(f"{url}/api/v1", WRITE_TOKEN),
            control=client(f"{url}/_sim"),
            stop=server.close,
        )


@pytest.fixture
def start_titan() -> Iterator[Callable[..., Titan]]:
    """Start simulators as `running_titan` does; all end with the test."""
    with ExitStack() as stack:
        yield lambda count=0, **settings: stack.enter_context(running_titan(count, **settings))


@pytest.fixture
def titan() -> Iterator[Titan]:
    """A simulator with ten contacts."""
    with running_titan(10) as running:
        yield running


@pytest.fixture(scope="module")
def shared_titan() -> Iterator[Titan]:
    """One simulator for all the tests of a module that only meet refusals: nothing in it may change."""
    with running_titan(10) as running:
        yield running
        assert running.effects() == {}
        assert running.control.get("/faults").json()["armed"] == []


@pytest.fixture
def token_files(tmp_path: Path) -> tuple[Path, Path]:
    """Two files with the tokens, for the program."""
    files = (tmp_path / "read-token", tmp_path / "write-token")
    files[0].write_text(f"{READ_TOKEN}\n")
    files[1].write_text(f"{WRITE_TOKEN}\n")
    return files

"""A simulated Google account on a real socket, and an independent client that checks every answer it gets."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import httpx
from google.auth import crypt, jwt

from simulators.google_directory.app import GoogleConfig, create_app
from simulators.google_directory.keys import ServiceAccount, new_key
from simulators.google_directory.methods import SCOPES
from simulators.google_directory.switches import GoogleSwitches
from simulators.kit.serve import serving
from simulators.kit.staging import Stage
from tests.simulators.google_discovery import check_answer
from tests.support.without_tls import TRUSTS_NOBODY

SCOPE = "https://www.googleapis.com/auth/admin.directory."
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ADMIN = "admin@school.example"
ACCOUNT = "sync@project.iam.example"
BASE = "/admin/directory/v1"


@cache
def service_key() -> tuple[dict[str, str], ServiceAccount]:
    """One key for all tests: making one takes a while."""
    return new_key(client_email=ACCOUNT, token_uri="https://oauth2.googleapis.com/token", scopes=SCOPES)


def signer_of(key: dict[str, str]) -> Any:
    """Read a key."""
    return crypt.RSASigner.from_service_account_info(key)  # type: ignore[no-untyped-call]  # as it comes


@cache
def _signer() -> Any:
    """The signer of that key: reading a key checks it, which takes longer than signing."""
    return signer_of(service_key()[0])


def person(number: int, **members: object) -> dict[str, Any]:
    """A seeded user."""
    return {
        "id": f"{number:021d}",
        "primaryEmail": f"p{number}@school.example",
        "name": {"givenName": "Pat", "familyName": f"Sample{number:03d}"},
        "externalIds": [{"type": "organization", "value": f"E{number:04d}"}],
        **members,
    }


def new_person(address: str = "new@school.example", **members: object) -> dict[str, Any]:
    """A body that makes a user."""
    name = {"givenName": "Nia", "familyName": "New"}
    return {"primaryEmail": address, "name": name, "password": "correct-horse", **members}


def seed(count: int = 3, **members: Any) -> dict[str, Any]:
    """An account with an administrator, `count` people, two units and two groups."""
    admin = {"primaryEmail": ADMIN, "id": "900000000000000000000", "isAdmin": True}
    return {
        "customerId": "C00test00",
        "domains": ["school.example", "other.example"],
        "orgUnits": [{"orgUnitPath": "/Staff"}, {"orgUnitPath": "/Staff/North Side"}],
        "users": [admin | {"name": {"givenName": "Ada", "familyName": "Admin"}}, *map(person, range(1, count + 1))],
        "groups": [
            {"id": "g1", "email": "all@school.example", "name": "All", "members": [{"email": "p1@school.example"}]},
            {"id": "g2", "email": "few@school.example", "name": "Few"},
        ],
    } | members


@dataclass
class ManualClock:
    """A clock that tests set; both of its faces go together."""

    now: datetime = datetime(2026, 11, 22, 8, 0, 0, tzinfo=UTC)
    monotonic_seconds: float = 0.0

    def read(self) -> datetime:
        return self.now

    def read_monotonic(self) -> float:
        return self.monotonic_seconds

    def pass_seconds(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.monotonic_seconds += seconds


@dataclass
class Google:
    """One running simulator and what a test needs to talk to it."""

    url: str
    clock: ManualClock
    plain: httpx.Client
    """Without a token."""
    api: httpx.Client
    """With a token of the administrator for everything; its base is that of the API."""
    control: httpx.Client
    problems: list[str] = field(default_factory=list)
    """What was wrong with answers, judged by the discovery document."""
    seq: int = 0
    """The journal's last number when the test began."""

    def begin(self, document: Any = None) -> "Google":
        """Put everything back as at the start of a test, later on the same clock: rates and tokens are new."""
        self.problems.clear()
        self.clock.pass_seconds(120)
        assert self.control.delete("/switches").status_code == 204
        assert self.control.delete("/faults").status_code == 200
        answer = self.control.put("/state", json=seed() if document is None else document)
        assert answer.status_code == 204, answer.text
        self.seq = self.control.get("/health").json()["last_seq"]
        self.authorise()
        return self

    def check(self) -> None:
        """Every answer so far must have fitted the discovery document."""
        assert not self.problems, self.problems[:5]

    def assertion(self, **claims: Any) -> str:
        """A signed assertion, good unless claims are changed or taken away with None."""
        issued = int(self.clock.now.timestamp())
        whole: dict[str, Any] = {
            "iss": ACCOUNT,
            "aud": f"{self.url}/token",
            "iat": issued,
            "exp": issued + 3600,
            "sub": ADMIN,
            "scope": " ".join(sorted(SCOPES)),
        } | claims
        foreign = whole.pop("key", None)
        signer = _signer() if foreign is None else signer_of(foreign)
        kept = {name: value for name, value in whole.items() if value is not None}
        encoded: bytes = jwt.encode(signer, kept)  # type: ignore[no-untyped-call]  # as it comes
        return encoded.decode()

    def ask_token(self, assertion: str | None = None, **claims: Any) -> httpx.Response:
        """Ask for a token."""
        form = {"grant_type": GRANT, "assertion": assertion or self.assertion(**claims)}
        return self.plain.post(f"{self.url}/token", data=form)

    def authorise(self, **claims: Any) -> None:
        """Go on with a token of these claims."""
        token = self.ask_token(**claims).json()["access_token"]
        self.api.headers["Authorization"] = f"Bearer {token}"

    def switch(self, **switches: Any) -> None:
        answer = self.control.patch("/switches", json=switches)
        assert answer.status_code == 200, answer.text

    def arm(self, kind: str, **options: object) -> None:
        answer = self.control.post("/faults", json={"kind": kind, **options})
        assert answer.status_code == 201, answer.text

    def state(self) -> dict[str, Any]:
        document: dict[str, Any] = self.control.get("/state").json()
        return document

    def violated(self) -> list[str]:
        """The rules that were broken so far, in order."""
        return [violation["rule"] for violation in self.state()["violations"]]

    def effects(self) -> dict[str, list[str]]:
        answer = self.control.get("/effects", params={"after_seq": self.seq})
        effects: dict[str, list[str]] = answer.json()["effects"]
        return effects

    def walk(self, path: str, name: str, **query: Any) -> list[list[str]]:
        """Walk a list to its end and give the ids of every page."""
        pages: list[list[str]] = []
        token: dict[str, str] = {}
        while True:
            page = self.api.get(path, params=query | token).json()
            pages.append([item["id"] for item in page.get(name, [])])
            if "nextPageToken" not in page or len(pages) > 50:
                return pages
            token = {"pageToken": page["nextPageToken"]}


def fresh(shared: Google, document: Any = None) -> Iterator[Google]:
    """Give a shared simulator to one test; most tests share one, because starting it takes longer than the test."""
    yield shared.begin(document)
    shared.check()


def reason(answer: httpx.Response) -> tuple[int, str]:
    """The code and the reason of a refusal."""
    return answer.status_code, answer.json()["error"]["errors"][0]["reason"]


@contextmanager
def running_google(document: Any = None, *, subject: str = ADMIN, **switches: Any) -> Iterator[Google]:
    """Serve a simulator; at the end every answer of the API must have fitted the discovery document."""
    clock = ManualClock()
    config = GoogleConfig(
        seed=seed() if document is None else document,
        accounts=(service_key()[1],),
        switches=GoogleSwitches.model_validate(switches),
        stage=Stage(clock=clock.read, monotonic=clock.read_monotonic),
    )
    with ExitStack() as stack:
        url = stack.enter_context(serving(create_app(config)))
        problems: list[str] = []

        def client(base: str, **hooks: list[Callable[..., Any]]) -> httpx.Client:
            made = httpx.Client(base_url=base, timeout=20.0, trust_env=False, event_hooks=hooks, verify=TRUSTS_NOBODY)
            return stack.enter_context(made)

        def judge(answer: httpx.Response) -> None:
            answer.read()
            request = answer.request
            path = request.url.raw_path.decode().partition("?")[0]
            is_json = answer.headers.get("content-type", "").startswith("application/json")
            if is_json and path.startswith(BASE):
                document = answer.json() if answer.content else None
                is_partial = "fields" in request.url.params
                found = check_answer(request.method, path, answer.status_code, document, is_partial=is_partial)
                problems.extend(found)

        google = Google(
            url=url,
            clock=clock,
            plain=client(url),
            api=client(f"{url}{BASE}", response=[judge]),
            control=client(f"{url}/_sim"),
            problems=problems,
        )
        google.authorise(sub=subject)
        yield google
        google.check()

"""Every system with a client of its own, on its simulator, with a hostile gateway in between; for test_hostile_*."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from time import monotonic
from typing import Any, Final

import pytest
from google.auth import crypt

from shared.ports.connections import Connection
from shared.ports.registry import Registry
from shared.ports.surroundings import Surroundings
from shared.ports.system import Source, Target
from shared.ports.wire import ChangeVerb, Record, Wire
from shared.secrets import Secret
from simulators.hostile.gateway import HostileGateway, ListForm, serving_gateway
from simulators.hostile.talking import Request
from simulators.snipeit.access import Rights
from tests.simulators import running_aeries_api, running_apex, running_google_directory, running_oneroster
from tests.simulators.running_aeries_api import running_aeries
from tests.simulators.running_apex import running_apex as running_apex_at
from tests.simulators.running_google_directory import running_google, service_key, signer_of
from tests.simulators.running_oneroster import running_oneroster as running_roster
from tests.simulators.running_snipeit import SECRETS as SNIPE_SECRETS
from tests.simulators.running_snipeit import running_snipeit, small_seed
from tests.support.systems import installed_systems

TIMEOUT_SECONDS: Final = 3.0
BODY_BYTES_MAX: Final = 600_000
PAGES_MAX: Final = 30
PEOPLE: Final = 7
"""More than two pages of people everywhere."""


class SimulatedClock:
    """The hour at which the simulators stand still, and seconds that pass."""

    def now(self) -> datetime:
        return datetime(2026, 11, 22, 8, 0, 0, tzinfo=UTC)

    def monotonic_seconds(self) -> float:
        return monotonic()


@dataclass(frozen=True)
class Listing:
    """One list of one system: how it is asked for, how it is built, and which column shows a record's name."""

    system: str
    entity: str
    path: str
    form: ListForm
    name: str
    is_paged: bool = True
    beyond_proof: frozenset[str] = frozenset()
    """Nastinesses that make of the list what the vendor itself would send if it held less: nothing in one answer that
    tells no total can show them, and what a read brings is left to the guard, which knows the read before."""

    def __str__(self) -> str:
        return f"{self.system}-{self.entity}"


@dataclass(frozen=True)
class Writing:
    """One kind of write to one system."""

    system: str
    entity: str
    verb: ChangeVerb
    path: str
    values: Callable[[int], Record]
    """Of the n-th write."""
    key: str
    """The column with our key."""
    target_id: str | None = None

    def __str__(self) -> str:
        return f"{self.system}-{self.verb}"


@dataclass
class Vendor:
    """One running vendor with its gateway."""

    system: str
    url: str
    gateway: HostileGateway
    settings: Mapping[str, Any]
    secrets: Mapping[str, str]
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """By entity, as read without a gateway in between."""
    made: int = 0
    """Writes so far, so that no two are of one record."""

    def __post_init__(self) -> None:
        self._registry = self._opened()

    def source(self, *, is_direct: bool = False, timeout_seconds: float = TIMEOUT_SECONDS) -> Source:
        return self._registry.open_source(self._connection(is_direct=is_direct, timeout_seconds=timeout_seconds))

    def target(self, *, is_direct: bool = False, timeout_seconds: float = TIMEOUT_SECONDS) -> Target:
        return self._registry.open_target(self._connection(is_direct=is_direct, timeout_seconds=timeout_seconds))

    def wire(self) -> Wire:
        return self._registry.wire(self.system)

    async def rows_of(self, entity: str) -> list[dict[str, Any]]:
        """What the vendor holds."""
        if entity not in self.rows:
            self.rows[entity] = (await read(self.source(is_direct=True), entity))[0]
        return self.rows[entity]

    def secret_texts(self) -> set[str]:
        """What no error may show: what was resolved, and what was sent by way of proof."""
        texts = set(self.gateway.credentials())
        for secret in self.secrets.values():
            is_key_file = secret.startswith("{")
            texts |= set(json.loads(secret)["private_key"].split("\n")[1:-2]) if is_key_file else {secret}
        return texts

    def _opened(self) -> Registry:
        async def sleep(seconds: float) -> None:
            await asyncio.sleep(min(seconds, 0.005))

        return installed_systems(
            surroundings=Surroundings(
                clock=SimulatedClock(),
                rng=Random(7),
                sleep=sleep,
                resolve=lambda reference: Secret(self.secrets[reference]),
            ),
        )

    def _connection(self, *, is_direct: bool, timeout_seconds: float) -> Connection:
        url = self.url if is_direct else self.gateway.url
        settings = {
            "timeout_seconds": timeout_seconds,
            "body_bytes_max": BODY_BYTES_MAX,
            "pages_max": PAGES_MAX,
            **{name: value.replace("{url}", url) if isinstance(value, str) else value
               for name, value in self.settings.items()},
        }  # fmt: skip
        return Connection(name=self.system, system=self.system, environment="staging", settings=settings)


async def read(source: Source, entity: str) -> tuple[list[dict[str, Any]], bool]:
    """What a source makes of a list, and whether it says that this is all of it; closes the source."""
    try:
        reading = source.read(entity)
        pages = [page async for page in reading]
    finally:
        await source.close()
    return [row for page in pages for row in page.rows.iter_rows(named=True)], reading.expected is not None


def _number(name: str, *, first: int) -> Callable[[Request], int]:
    return lambda request: int(request.query.get(name, first)) - first


_AERIES_PEOPLE: Final[dict[str, Any]] = {"items": None, "name": ("LastName",)}
_APEX: Final[dict[str, Any]] = {
    "items": None, "total_header": "total-pages", "is_position_in_pages": True,
    "position": lambda request: int(request.headers.get("page", "1")) - 1,
}  # fmt: skip
_SNIPE: Final[dict[str, Any]] = {
    "items": "rows", "ids": ("id",), "total": "total", "position": _number("offset", first=0),
    "position_query": frozenset({"offset"}),
}  # fmt: skip

LISTINGS: Final = (
    Listing(
        "aeries_api",
        "students",
        "^GET /aeries/api/v5/schools/[0-9]+/students$",
        ListForm(
            ids=("StudentNumber",),
            position=_number("StartingRecord", first=1),
            position_query=frozenset({"StartingRecord", "EndingRecord"}),
            **_AERIES_PEOPLE,
        ),
        "last_name",
    ),
    Listing(
        "aeries_api",
        "staff",
        "^GET /aeries/api/v5/staff$",
        ListForm(ids=("ID",), **_AERIES_PEOPLE),
        "last_name",
        is_paged=False,
        beyond_proof=frozenset({"json_one_item_for_array", "pages_without_end"}),
    ),
    Listing("snipeit", "users", "^GET /api/v1/users$", ListForm(name=("first_name",), **_SNIPE), "first_name"),
    Listing("snipeit", "hardware", "^GET /api/v1/hardware$", ListForm(name=("name",), **_SNIPE), "name"),
    Listing(
        "google_directory",
        "users",
        "^GET /admin/directory/v1/users$",
        ListForm(
            items="users", ids=("id",), name=("name", "givenName"), cursor="nextPageToken", cursor_query="pageToken"
        ),
        "given_name",
    ),
    Listing(
        "google_directory",
        "org_units",
        "^GET /admin/directory/v1/customer/my_customer/orgunits$",
        ListForm(items="organizationUnits", ids=("orgUnitId",), name=("name",)),
        "name",
        is_paged=False,
        beyond_proof=frozenset({"json_without_items", "pages_without_end"}),
    ),
    Listing(
        "google_directory",
        "members",
        "^GET /admin/directory/v1/groups/[^/]+/members$",
        ListForm(items="members", ids=("id",), name=("role",), cursor="nextPageToken", cursor_query="pageToken"),
        "role",
    ),
    Listing(
        "apex",
        "students",
        "^GET /students$",
        ListForm(ids=("ImportUserId",), name=("FirstName",), **_APEX),
        "first_name",
    ),
    Listing(
        "apex",
        "enrollments",
        "^GET /students/[^/]+/classrooms$",
        ListForm(ids=("ImportClassroomId",), name=("EnrollmentStatus",), **_APEX),
        "status",
        is_paged=False,
    ),
    Listing(
        "oneroster",
        "users",
        "^GET /ims/oneroster/rostering/v1p2/users$",
        ListForm(
            items="users",
            ids=("sourcedId",),
            name=("givenName",),
            total_header="X-Total-Count",
            position=_number("offset", first=0),
            position_query=frozenset({"offset"}),
        ),
        "given_name",
    ),
)
TOKENS: Final = {"google_directory": "^POST /token$", "apex": "^POST /token$", "oneroster": "^POST .*/token$"}
"""Where tokens are given, by system."""


def _staff(number: int) -> Record:
    return {
        "id": 5_000 + number, "hr_id": f"N{number}", "last_name": "Written-Grove", "first_name": "Writtena",
        "email": f"written{number}@district.example", "hire_date": "2026-08-03", "leave_date": None,
        "primary_school": 501,
    }  # fmt: skip


def _user(number: int) -> Record:
    return {
        "employee_num": f"N{number}", "first_name": "Writtena", "last_name": "Written-Grove",
        "username": f"written{number}", "email": f"written{number}@district.example", "activated": True,
    }  # fmt: skip


def _account(number: int) -> Record:
    return {
        "external_id": f"N{number}", "email": f"written{number}@school.example", "given_name": "Writtena",
        "family_name": "Written-Grove", "org_unit_path": "/Staff", "suspended": False,
    }  # fmt: skip


def _student(number: int) -> Record:
    user_id = f"written{number}@example.org"
    return {
        "membership_key": f"10/{user_id}", "import_user_id": user_id, "import_org_id": "10",
        "first_name": "Writtena", "middle_name": None, "last_name": "Written-Grove", "email": user_id,
        "grade_level": "9", "login_id": f"written{number}", "coach_emails": None, "role": "S", "active": True,
    }  # fmt: skip


def _changed(column: str, **others: Any) -> Callable[[int], Record]:
    return lambda number: {column: f"Writtena {number}", **others}


WRITINGS: Final = (
    Writing("aeries_api", "staff", "create", "^POST /aeries/api/v5/staff$", _staff, "hr_id"),
    Writing("aeries_api", "staff", "update", "^PUT /aeries/api/v5/staff/901$",
            _changed("first_name", leave_date="2026-06-05"), "hr_id", "901"),
    Writing("snipeit", "users", "create", "^POST /api/v1/users$", _user, "employee_num"),
    Writing("snipeit", "users", "update", "^PATCH /api/v1/users/2$", _changed("first_name"), "employee_num", "2"),
    Writing("google_directory", "users", "create", "^POST /admin/directory/v1/users$", _account, "external_id"),
    Writing("google_directory", "users", "update", f"^(PATCH|PUT) /admin/directory/v1/users/{1:021d}$",
            _changed("given_name"), "external_id", f"{1:021d}"),
    Writing("apex", "students", "create", "^POST /students$", _student, "membership_key"),
    Writing("apex", "students", "update", "^PUT /students/s1@example.org$", _changed("first_name"),
            "membership_key", "10/s1@example.org"),
)  # fmt: skip


@contextmanager
def running_vendors() -> Iterator[dict[str, Vendor]]:
    """All of them, each with a small world and a gateway."""
    with ExitStack() as stack:
        vendors: dict[str, Vendor] = {}
        signer = signer_of(service_key()[0])  # reading a key takes longer than most tests
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(crypt.RSASigner, "from_service_account_info", lambda info: signer)

        def add(system: str, url: str, settings: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
            gateway = stack.enter_context(serving_gateway(url))
            vendors[system] = Vendor(system, url, gateway, settings, secrets)

        add(
            "aeries_api",
            stack.enter_context(running_aeries()).url,
            {"base_url": "{url}/aeries", "certificate": "env:KEY", "database_year": 2026, "page_records": 4},
            {"env:KEY": running_aeries_api.CERTIFICATE},
        )
        add(
            "snipeit",
            stack.enter_context(running_snipeit(_snipe_seed())).url,
            {"base_url": "{url}", "token": "env:KEY", "page_limit": 3, "pages_in_flight": 1},
            {"env:KEY": SNIPE_SECRETS[Rights.SUPERUSER]},
        )
        google = running_google(
            running_google_directory.seed(PEOPLE, groups=_groups()),
            queries_per_minute=None,
            user_creations_per_second=None,
            orgunit_writes_per_second=None,
        )
        add(
            "google_directory",
            stack.enter_context(google).url,
            {
                "base_url": "{url}", "token_uri": "{url}/token", "service_account": "env:KEY", "page_size": 3,
                "subject": running_google_directory.ADMIN, "user_creations_per_second": 1_000,
            },
            {"env:KEY": json.dumps(service_key()[0])},
        )  # fmt: skip
        add(
            "apex",
            stack.enter_context(running_apex_at(document=_apex_seed(), page_size=3)).url,
            {
                "base_url": "{url}", "client_id": running_apex.CLIENT_ID, "client_secret": "env:KEY",
                "gather_seconds": 0.001, "requests_at_once": 1,
            },
            {"env:KEY": running_apex.CLIENT_SECRET},
        )  # fmt: skip
        add(
            "oneroster",
            stack.enter_context(running_roster()).url,
            {
                "base_url": "{url}", "version": "1.2", "client_id": running_oneroster.CLIENT_ID,
                "client_secret": "env:KEY", "page_limit": 2, "pages_in_flight": 1,
            },
            {"env:KEY": running_oneroster.CLIENT_SECRET},
        )  # fmt: skip
        yield vendors


def _snipe_seed() -> dict[str, Any]:
    seed = small_seed()
    seed["users"] += [
        {
            "id": number,
            "first_name": "Dee",
            "last_name": "Sample",
            "username": f"dee{number}",
            "employee_num": f"E{number}",
        }
        for number in range(4, PEOPLE + 1)
    ]
    seed["hardware"] += [
        {
            "id": number,
            "name": "Spare",
            "asset_tag": f"T{number}",
            "serial": f"S{number}",
            "model_id": 1,
            "status_id": 1,
        }
        for number in range(4, PEOPLE + 1)
    ]
    return seed


def _groups() -> list[dict[str, Any]]:
    members = [{"email": f"p{number}@school.example"} for number in range(1, PEOPLE + 1)]
    return [
        {"id": "g1", "email": "all@school.example", "name": "All", "members": members},
        {"id": "g2", "email": "few@school.example", "name": "Few", "members": members[:1]},
    ]


def _apex_seed() -> dict[str, Any]:
    enrolled = {"EnrollmentStatus": "Active", "EnrolledAt": "2026-08-17T08:30:09+00:00"}
    rooms = [("R1", 1), ("R1", 2), ("R2", 2)]
    return running_apex.seed(PEOPLE) | {
        "enrollments": [
            enrolled | {"ImportClassroomId": room, "ImportUserId": f"s{number}@example.org"} for room, number in rooms
        ]
    }

"""Google's directory on the bench: users, organisational units, groups and memberships of one domain."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from shared.ports.connections import Connection
from shared.ports.system import Source
from shared.ports.wire import Record, Value
from simulators.google_directory.app import GoogleConfig, create_app
from simulators.google_directory.keys import ServiceAccount, new_key
from simulators.google_directory.methods import SCOPES
from simulators.google_directory.switches import GoogleSwitches
from simulators.kit.serve import serving
from tests.conformance.bench import Bench, Observed, Vendor, Writing
from tests.conformance.benches.titanhst import nobody
from tests.support.systems import installed_systems

ENTITIES = ("users", "org_units", "groups", "members")
ROWS = 25
DOMAIN = "school.example"
ADMIN = "admin@staff.example"
"""Outside of the domain that is read: without the administrator there would be nobody to ask for."""
BASE = "/admin/directory/v1"
READ_ONLY = frozenset(scope for scope in SCOPES if scope.endswith(".readonly"))
_LISTS = {
    "users": f"^{BASE}/users$",
    "org_units": f"^{BASE}/customer/my_customer/orgunits$",
    "groups": f"^{BASE}/groups$",
    "members": f"^{BASE}/groups/[^/]+/members$",
}
_WRITES = {
    "users": f"^{BASE}/users(/[0-9]+)?$",
    "org_units": f"^{BASE}/customer/my_customer/orgunits(/id:.+)?$",
    "groups": f"^{BASE}/groups(/[^/]+)?$",
    "members": f"^{BASE}/groups/[^/]+/members(/[^/]+)?$",
}


@cache
def keys() -> tuple[dict[str, str], tuple[ServiceAccount, ...]]:
    """Key files by the reference they lie at, and the accounts that the simulator knows: all but one."""
    files, accounts = {}, []
    for name, scopes in (("READ", READ_ONLY), ("WRITE", SCOPES), ("OLD", SCOPES)):
        email = f"{name.lower()}@project.iam.example"
        file, account = new_key(client_email=email, token_uri="https://oauth2.googleapis.com/token", scopes=scopes)
        files[f"env:{name}"] = json.dumps(file)
        accounts.append(account)
    return files, tuple(accounts[:2])


@asynccontextmanager
async def opened(entity: str, folder: Path) -> AsyncIterator[Bench]:
    """One entity of a simulated account."""
    files, accounts = keys()
    # The vendor's rates would make a test of many writes last as long as they do.
    switches = GoogleSwitches(user_creations_per_second=None, orgunit_writes_per_second=None, queries_per_minute=None)
    app = create_app(GoogleConfig(seed=_seed(), accounts=accounts, switches=switches))
    with serving(app) as url, nobody() as nowhere:
        async with Vendor(url) as vendor:
            observed = Observed()
            registry = installed_systems(surroundings=observed.surroundings(files))
            source = registry.open_source(_connection(url))
            refused = registry.open_source(_connection(url, service_account="env:OLD"))
            unreachable = registry.open_source(_connection(nowhere))
            target = registry.open_target(_connection(url))
            may_only_read = registry.open_target(_connection(url, write_service_account="env:READ"))

            async def make_empty() -> None:
                await vendor.replace_state(_seed(without=entity))

            async def expire_token() -> None:
                await vendor.arm("unauthorized", method="GET", path_pattern=_LISTS[entity])

            yield Bench(
                source=source,
                entity=entity,
                rows=ROWS,
                unreachable=unreachable,
                refused=refused,
                make_empty=make_empty,
                is_paged=entity != "org_units",
                vendor=vendor,
                list_path=_LISTS[entity],
                sensitive=frozenset(
                    {"Wilhelmina", "Ash-Grove", "w7@school.example", ADMIN, "project.iam.example", *_secrets(files)}
                ),
                expire_token=expire_token,
                surroundings=observed,
                writing=Writing(
                    target=target,
                    wire=registry.wire("google_directory"),
                    new=_NEW[entity],
                    change=_CHANGES[entity],
                    key={"users": "external_id", "org_units": "org_unit_path", "groups": "email"}.get(
                        entity, "membership_key"
                    ),
                    can=frozenset({"create", "update", "delete"})
                    | (frozenset({"suspend", "reactivate"}) if entity == "users" else frozenset()),
                    write_path=_WRITES[entity],
                    may_only_read=may_only_read,
                    any_target_id="17/18" if entity == "members" else "17",
                ),
            )
            opened_ends: tuple[Source, ...] = (source, refused, unreachable, target, may_only_read)
            for each in opened_ends:
                await each.close()


def _secrets(files: dict[str, str]) -> list[str]:
    return [json.loads(text)["private_key"].splitlines()[1] for text in files.values()]


def _connection(url: str, *, service_account: str = "env:READ", write_service_account: str = "env:WRITE") -> Connection:
    settings = {
        "base_url": url,
        "token_uri": f"{url}/token",
        "service_account": service_account,
        "write_service_account": write_service_account,
        "subject": ADMIN,
        "domain": DOMAIN,
        "page_size": 10,
        "groups_in_flight": 1,
        "timeout_seconds": 5,
        "user_creations_per_second": 1_000,
        "org_unit_writes_per_second": 1_000,
    }
    return Connection(name="google", system="google_directory", environment="staging", settings=settings)


def _seed(*, without: str = "") -> dict[str, Any]:
    admin = {
        "id": "9" * 21,
        "primaryEmail": ADMIN,
        "name": {"givenName": "Ada", "familyName": "Admin"},
        "isAdmin": True,
    }
    users = [] if without == "users" else [_user(number) for number in range(1, ROWS + 41)]
    is_of_members = without != "members"
    groups = [{"id": f"gr{n:03d}", "email": f"g{n:02d}@{DOMAIN}", "name": f"Group {n}"} for n in range(1, ROWS + 1)]
    if users and is_of_members:
        groups[0]["members"] = [{"email": user["primaryEmail"]} for user in users[:ROWS]]  # type: ignore[assignment] # JSON
    return {
        "customerId": "C00bench0",
        "domains": [DOMAIN, "staff.example"],
        "orgUnits": [] if without == "org_units" else [{"orgUnitPath": f"/Unit {n:02d}"} for n in range(1, ROWS + 1)],
        "users": [admin, *users[:ROWS], *(_elsewhere(user) for user in users[ROWS:])],
        "groups": [] if without == "groups" else groups,
    }


def _user(number: int) -> dict[str, Any]:
    return {
        "id": f"{number:021d}",
        "primaryEmail": f"w{number}@{DOMAIN}",
        "name": {"givenName": "Wilhelmina", "familyName": "Ash-Grove"},
        "externalIds": [{"type": "organization", "value": f"E{number}"}],
    }


def _elsewhere(user: dict[str, Any]) -> dict[str, Any]:
    """Somebody of another domain, who can be made a member."""
    return {**user, "primaryEmail": user["primaryEmail"].replace(DOMAIN, "staff.example")}


def _new_user(number: int) -> Record:
    return {
        "external_id": f"N'{number} ü",
        "email": f"new{number}@{DOMAIN}",
        "given_name": "Zoë",
        "family_name": "O'Neil",
        "display_name": None,
        "org_unit_path": "/Unit 01",
        "suspended": False,
    }


def _new_unit(number: int) -> Record:
    return {
        "org_unit_path": f"/Unit 01/Grade {number} ü",
        "parent_path": "/Unit 01",
        "name": f"Grade {number} ü",
        "description": "Made by a test",
    }


def _new_group(number: int) -> Record:
    return {"email": f"new{number}@{DOMAIN}", "name": f"New {number}", "description": None}


def _new_member(number: int) -> Record:
    group, member = f"g02@{DOMAIN}", f"w{ROWS + number}@staff.example"
    return {"membership_key": f"{group}/{member}", "group_email": group, "member_email": member, "role": "MEMBER"}


_NEW: dict[str, Callable[[int], Record]] = {
    "users": _new_user,
    "org_units": _new_unit,
    "groups": _new_group,
    "members": _new_member,
}
_CHANGES: dict[str, dict[str, Value]] = {
    "users": {"given_name": "Changed", "org_unit_path": "/Unit 02", "recovery_email": "home@elsewhere.example"},
    "org_units": {"description": "Changed"},
    "groups": {"name": "Changed", "description": "Also changed"},
    "members": {"role": "MANAGER"},
}

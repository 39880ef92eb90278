"""Snipe-IT on the bench: users, assets, checkouts and places; all other lists are read and written as places are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from shared.ports.connections import Connection
from shared.ports.wire import ChangeVerb, Record, Value
from simulators.kit.serve import serving
from simulators.snipeit.access import Rights, Token
from simulators.snipeit.app import SnipeConfig, create_app
from simulators.snipeit.switches import SnipeSwitches
from tests.conformance.bench import Bench, Observed, Vendor, Writing
from tests.conformance.benches.titanhst import nobody
from tests.support.systems import installed_systems

ENTITIES = ("users", "hardware", "checkouts", "locations")
ROWS = 25
SECRETS = {
    "env:READ": "reading-token-of-the-bench",
    "env:WRITE": "writing-token-of-the-bench",
    "env:OLD": "token-that-nobody-knows",
}
FREE_FROM: Final = 100
"""Assets from this tag on are free, for checkouts."""
_CAN: Final[Mapping[str, frozenset[ChangeVerb]]] = {
    "users": frozenset({"create", "update", "suspend", "reactivate", "delete"}),
    "hardware": frozenset({"create", "update", "delete"}),
    "checkouts": frozenset({"create", "delete"}),
    "locations": frozenset({"create", "update", "delete"}),
}
_CHANGE: Final[Mapping[str, Mapping[str, Value]]] = {
    "users": {"first_name": "Changed & new", "username": "changed", "end_date": "2027-06-30", "activated": False},
    "hardware": {"name": "Changed <new>", "order_number": "PO-9", "warranty_months": "24", "purchase_cost": "1234.50"},
    "checkouts": {},
    "locations": {"city": "Changed", "zip": "92701"},
}
_KEYS: Final = {
    "users": "employee_num",
    "hardware": "asset_tag",
    "checkouts": "checkout_key",
    "locations": "name",
}


@asynccontextmanager
async def opened(entity: str, folder: Path) -> AsyncIterator[Bench]:
    """One entity of a simulated Snipe-IT."""
    tokens = (
        Token(secret=SECRETS["env:READ"], rights=Rights.READ),
        Token(secret=SECRETS["env:WRITE"], rights=Rights.SUPERUSER),
    )
    switches = SnipeSwitches(throttle_per_minute=None)
    app = create_app(SnipeConfig(tokens=tokens, seed=_seed(entity), switches=switches))
    with serving(app) as url, nobody() as nowhere:
        async with Vendor(url) as vendor:
            observed = Observed()
            registry = installed_systems(surroundings=observed.surroundings(SECRETS))
            source = registry.open_source(_connection(url))
            refused = registry.open_source(_connection(url, token="env:OLD"))
            unreachable = registry.open_source(_connection(nowhere))
            target = registry.open_target(_connection(url))
            may_only_read = registry.open_target(_connection(url, write_token="env:READ"))

            async def make_empty() -> None:
                await vendor.replace_state({})

            path = "hardware" if entity == "checkouts" else entity
            yield Bench(
                source=source,
                entity=entity,
                rows=ROWS,
                unreachable=unreachable,
                refused=refused,
                make_empty=make_empty,
                vendor=vendor,
                list_path=f"/api/v1/{path}$",
                sensitive=frozenset({"Wilhelmina", "O'Ash-Grove", "w7@district.example", *SECRETS.values()}),
                surroundings=observed,
                writing=Writing(
                    target=target,
                    wire=registry.wire("snipeit"),
                    new=lambda number: _new(entity, number),
                    change=_CHANGE[entity],
                    key=_KEYS[entity],
                    can=_CAN[entity],
                    write_path="/checkout$" if entity == "checkouts" else rf"/api/v1/{path}(/\d+)?$",
                    may_only_read=may_only_read,
                ),
            )
            for each in (source, refused, unreachable, target, may_only_read):
                await each.close()


def _connection(url: str, *, token: str = "env:READ", write_token: str = "env:WRITE") -> Connection:
    settings = {"base_url": url, "token": token, "write_token": write_token, "page_limit": 10, "timeout_seconds": 5}
    return Connection(name="assets", system="snipeit", environment="staging", settings=settings)


def _seed(entity: str) -> dict[str, Any]:
    numbers = range(1, ROWS + 1)
    tables: dict[str, Any] = {
        "companies": [{"id": 1, "name": "Bristlecone USD"}],
        "manufacturers": [{"id": 1, "name": "Acme & Sons"}],
        "categories": [{"id": 1, "name": "Laptops", "category_type": "asset"}],
        "statuslabels": [
            {"id": 1, "name": "Ready", "type": "deployable"},
            {"id": 2, "name": "Retired", "type": "archived"},
        ],
        "locations": [{"id": n, "name": f"Site {n}", "address": "7 O'Ash-Grove"} for n in numbers],
        "departments": [{"id": 1, "name": "Instruction"}],
        "models": [{"id": n, "name": f"Chromebook {n}", "category_id": 1, "manufacturer_id": 1} for n in numbers],
        "users": [
            {
                "id": n,
                "first_name": "Wilhelmina",
                "last_name": "O'Ash-Grove",
                "username": f"w{n}",
                "email": f"w{n}@district.example",
                "employee_num": f"E{n}",
                "location_id": 1,
                "activated": True,
            }
            for n in numbers
        ],
        # Two of them archived, which stand in a list of their own.
        "hardware": [
            {"id": n, "name": f'The "{n}"', "asset_tag": f"T{n}", "model_id": 1, "status_id": 2 if n > ROWS - 2 else 1}
            for n in numbers
        ],
    }
    if entity == "checkouts":
        lent = [{**asset, "status_id": 1, "assigned_type": "user", "assigned_to": 7} for asset in tables["hardware"]]
        free = [
            {"id": n, "asset_tag": f"T{n}", "model_id": 1, "status_id": 1} for n in range(FREE_FROM, FREE_FROM + 20)
        ]
        tables["hardware"] = [*lent, *free]
    return tables


def _new(entity: str, number: int) -> Record:
    match entity:
        case "users":
            return {
                "employee_num": f"N/{number} ü",
                "username": f"new{number}",
                "first_name": "Zoë",
                "last_name": "O'Neil & <Co>",
                "email": f"new{number}@district.example",
                "jobtitle": None,
                "location_id": "3",
                "department_id": "1",
                "activated": True,
                "start_date": "2026-08-13",
            }
        case "hardware":
            return {
                "asset_tag": f"N-{number} ü",
                "name": "Cart & cable",
                "serial": f"SN{number}",
                "model_id": "3",
                "status_id": "1",
                "rtd_location_id": "4",
                "purchase_date": "2026-08-13",
                "purchase_cost": "12345.60",
                "warranty_months": "36",
                "notes": "with a lid",
            }
        case "checkouts":
            tag = f"T{FREE_FROM + number}"
            return {
                "checkout_key": f"{tag}/E5",
                "asset_tag": tag,
                "asset_id": str(FREE_FROM + number),
                "employee_num": "E5",
                "user_id": "5",
            }
        case _:
            return {"name": f"N/{number} & ü", "city": "Santa Ana", "parent_id": "2", "manager_id": "3"}

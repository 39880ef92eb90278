"""A district's Snipe-IT in any size, made from a seed: `world(seed=…, users=…, assets=…)` is a state to begin with.

The same numbers make the same state. It holds what a client must cope with: names that HTML escapes, users without
employee number, an employee number that two users have, users and assets that were deleted, and archived assets.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path
from typing import Any

from simulators.district.names import digits_of_phone, first_name, last_name

USERS_MAX = 1_000_000
DOMAIN = "bristlecone-usd.example"
STAMP = "2026-08-01 06:00:00"
LOCATIONS = 40
DELETED_EVERY = 97
NAMELESS_EVERY = 101
"""Every so many users one has no employee number."""
ARCHIVED_EVERY = 50
JOBS = ("Teacher", "Counselor", "Office Manager", "R&D Coach", "Custodian", "Nurse", "Principal", None)


def world(*, seed: int, users: int, assets: int = 0) -> dict[str, Any]:
    """Make a state with this many users and assets, the deleted ones among them."""
    if not (0 <= users <= USERS_MAX and 0 <= assets <= USERS_MAX):
        raise ValueError(f"{users} users and {assets} assets: 0 to {USERS_MAX} of each")
    rng = random.Random(seed)
    return {
        "companies": [{"id": 1, "name": "Bristlecone USD"}, {"id": 2, "name": "Parks & Recreation"}],
        "groups": [{"id": 1, "name": "Technicians"}],
        "manufacturers": [{"id": 1, "name": "Acme"}, {"id": 2, "name": "Globex"}],
        "categories": [
            {"id": 1, "name": "Laptops", "category_type": "asset"},
            {"id": 2, "name": "Tablets", "category_type": "asset"},
        ],
        "statuslabels": [
            {"id": 1, "name": "Ready to Deploy", "type": "deployable"},
            {"id": 2, "name": "In Repair", "type": "pending"},
            {"id": 3, "name": "Retired", "type": "archived"},
            {"id": 4, "name": "Lost", "type": "undeployable"},
        ],
        "fields": [{"id": 1, "name": "MAC Address", "db_column": "_snipeit_mac_address_1", "format": "MAC"}],
        "locations": [
            {"id": number, "name": f"Site {number:03d}", "parent_id": 1 if number > 1 else None}
            for number in range(1, LOCATIONS + 1)
        ],
        "departments": [{"id": 1, "name": "Instruction", "company_id": 1}, {"id": 2, "name": "Operations"}],
        "models": [
            {"id": 1, "name": "Chromebook", "model_number": "C-1", "category_id": 1, "manufacturer_id": 1, "eol": 48,
             "field_ids": [1]},
            {"id": 2, "name": 'Tablet 10"', "model_number": "T-10", "category_id": 2, "manufacturer_id": 2},
        ],
        "users": [_user(rng, number) for number in range(1, users + 1)],
        "hardware": [_asset(rng, number, users=users) for number in range(1, assets + 1)],
    }  # fmt: skip


def is_deleted_user(number: int) -> bool:
    """Whether the user with this id was deleted before the story begins."""
    return number % DELETED_EVERY == 0


def _user(rng: random.Random, number: int) -> dict[str, Any]:
    first, last = first_name(rng), last_name(rng)
    username = f"user{number}"
    # The second user shares the number of the first: one person hired twice, as the database lets it happen.
    employee_num = None if number % NAMELESS_EVERY == 0 else f"E{max(number, 2) if number != 1 else 2:06d}"
    return {
        "id": number,
        "first_name": first,
        "last_name": last,
        "username": username,
        "email": f"{username}@{DOMAIN}",
        "employee_num": employee_num,
        "jobtitle": rng.choice(JOBS),
        "phone": digits_of_phone(rng),
        "company_id": 1,
        "department_id": rng.choice((1, 2)),
        "location_id": rng.randrange(1, LOCATIONS + 1),
        "activated": True,
        "created_at": STAMP,
        "updated_at": STAMP,
        "deleted_at": STAMP if is_deleted_user(number) else None,
    }


def _asset(rng: random.Random, number: int, *, users: int) -> dict[str, Any]:
    status_id = 3 if number % ARCHIVED_EVERY == 0 else 1
    holder = rng.randrange(1, users + 1) if users and status_id == 1 and rng.random() < 0.7 else None
    if holder is not None and is_deleted_user(holder):
        holder = None
    model_id = rng.choice((1, 2))
    custom = {"_snipeit_mac_address_1": f"02:00:00:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"}
    return {
        "id": number,
        "name": f"Device {number}",
        "asset_tag": f"{number:06d}",
        "serial": f"SN{number:08d}",
        "model_id": model_id,
        "status_id": status_id,
        "location_id": rng.randrange(1, LOCATIONS + 1),
        "rtd_location_id": 1,
        "assigned_type": "user" if holder is not None else None,
        "assigned_to": holder,
        "purchase_cost": "349.00",
        "purchase_date": "2025-07-01",
        "created_at": STAMP,
        "updated_at": STAMP,
    } | (custom if model_id == 1 else {})


def main(arguments: list[str] | None = None) -> int:
    """Write a state to a file, for `python -m simulators.snipeit --state`."""
    parser = argparse.ArgumentParser(prog="python -m simulators.snipeit.world", description=main.__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--assets", type=int, default=50)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    state = world(seed=options.seed, users=options.users, assets=options.assets)
    options.out.write_text(json.dumps(state), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Every kind of request that google_directory sends, held against the vendor's own discovery document."""

from __future__ import annotations

from typing import Any

import pytest

from shared.ports.wire import ChangeVerb, Record
from tests.simulators.google_discovery import check_request
from tests.systems.google_directory.conftest import House, read

LIVES: dict[str, tuple[Record, Record]] = {
    "users": (
        {
            "external_id": "S/1 'ü",
            "email": "life@school.example",
            "given_name": "Zoë",
            "family_name": "O'Neil",
            "display_name": "Zoë O'Neil",
            "org_unit_path": "/Staff/North Side",
            "suspended": False,
            "archived": False,
            "change_password_at_next_login": True,
            "in_address_list": True,
            "recovery_email": "zoe@home.example",
            "recovery_phone": "+17145550100",
        },
        {
            "display_name": None,
            "external_id": None,
            "recovery_email": None,
            "recovery_phone": None,
            "org_unit_path": "/",
            "email": "life2@school.example",
            "archived": True,
        },
    ),
    "org_units": (
        {"org_unit_path": "/Staff/Süd 1", "parent_path": "/Staff", "name": "Süd 1", "description": "South"},
        {"org_unit_path": "/Süd 2", "description": None},
    ),
    "groups": (
        {"email": "life@school.example", "name": "Life", "description": "All"},
        {"email": "life2@school.example", "name": "Life 2", "description": None},
    ),
    "members": (
        {
            "membership_key": "few@school.example/o+n@elsewhere.example",
            "group_email": "few@school.example",
            "member_email": "o+n@elsewhere.example",
            "role": "MEMBER",
        },
        {"role": "OWNER"},
    ),
}


@pytest.mark.parametrize("entity", LIVES)
async def test_the_whole_life_of_a_record_is_what_the_discovery_document_allows(house: House, entity: str) -> None:
    new, change = LIVES[entity]
    target = house.target()
    await target.check()
    await read(house.source(), entity)
    key = {"users": "external_id", "org_units": "org_unit_path", "groups": "email", "members": "membership_key"}[entity]
    await house.send(target, entity, "create", None, new)
    shown = await target.fetch(entity, target_id=None, key=str(new[key]))
    assert shown is not None
    target_id = str(shown["target_id"])
    verbs: list[tuple[ChangeVerb, Record]] = [("update", change)]
    verbs += [("suspend", {}), ("reactivate", {})] if entity == "users" else []
    for verb, values in [*verbs, ("delete", {})]:
        await house.send(target, entity, verb, target_id, values)
        after = await target.fetch(entity, target_id=target_id, key=None)
        if verb == "update":
            assert after is not None
            assert {name: after[name] for name in change} == change
    assert after is None
    requests: list[dict[str, Any]] = house.google.state()["requests"]
    resource = {"org_units": "orgunits"}.get(entity, entity)
    asked = {one["name"] for one in requests if one["name"].startswith(resource)}
    change_method = "update" if entity == "users" else "patch"
    assert asked == {f"{resource}.{verb}" for verb in ("list", "get", "insert", change_method, "delete")}
    for one in requests:
        assert check_request(one["method"], one["path"], one["query"], one["body"]) == []
        assert one["status"] < 300 or one["status"] == 404
    await house.close()

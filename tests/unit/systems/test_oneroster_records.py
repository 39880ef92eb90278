"""A roster's records from JSON and from CSV: the same columns, whatever the version."""

from __future__ import annotations

from typing import Any

import pytest

from shared.http.rows import Rows
from shared.http.shape import WrongShape
from systems.oneroster.fields import COLLECTIONS, columns_of
from systems.oneroster.records import role_pairs, rows_of_csv, rows_of_json

USERS = COLLECTIONS["users"]


def one(rows: Rows) -> dict[str, Any]:
    assert rows.length == 1
    return {name: values[0] for name, values in rows.columns.items()}


def user(**fields: Any) -> dict[str, Any]:
    return {
        "sourcedId": "U1",
        "status": "active",
        "dateLastModified": "2026-11-01T08:00:00.000Z",
        "enabledUser": "true",
        "username": "u1",
        "givenName": "Ada",
        "familyName": "Sample",
        "userIds": [{"type": "SIS", "identifier": "7"}, {"type": "LDAP", "identifier": "u1"}],
        "grades": ["09", "10"],
        "agents": [{"href": "x", "sourcedId": "P1", "type": "user"}],
    } | fields


def org(key: str) -> dict[str, str]:
    return {"href": "x", "sourcedId": key, "type": "org"}


def csv_of(entity: str, **values: str) -> dict[str, str]:
    return {field.csv: "" for field in COLLECTIONS[entity].fields if field.csv != "roles"} | values


def test_a_user_of_both_versions_has_the_same_role_and_organisations() -> None:
    old = one(rows_of_json([user(role="student", orgs=[org("S1"), org("S2")])], USERS))
    roles = [
        {"roleType": "secondary", "role": "student", "org": org("S2")},
        {"roleType": "primary", "role": "student", "org": org("S1")},
    ]
    new = one(rows_of_json([user(roles=roles)], USERS))
    assert old == new
    assert (new["role"], new["org_id"], new["org_ids"], new["roles"]) == (
        "student",
        "S1",
        "S1,S2",
        "student@S1,student@S2",
    )
    assert (new["user_ids"], new["grades"], new["agent_ids"]) == ("{SIS:7},{LDAP:u1}", "09,10", "P1")


def test_the_organisation_that_is_said_to_be_primary_counts() -> None:
    roles = [{"roleType": "primary", "role": "teacher", "org": org("S1")}]
    assert one(rows_of_json([user(roles=roles, primaryOrg=org("S2"))], USERS))["org_id"] == "S2"


def test_a_user_of_a_bundle_is_the_user_of_a_service() -> None:
    service = one(rows_of_json([user(role="student", orgs=[org("S1")])], USERS))
    line = csv_of(
        "users",
        sourcedId="U1",
        status="active",
        dateLastModified="2026-11-01T08:00:00.000Z",
        enabledUser="true",
        username="u1",
        givenName="Ada",
        familyName="Sample",
        userIds="{SIS:7},{LDAP:u1}",
        grades="09,10",
        agentSourcedIds="P1",
    )
    assert one(rows_of_csv([line | {"role": "student", "orgSourcedIds": "S1"}], USERS, {})) == service
    roles = role_pairs([{"userSourcedId": "U1", "roleType": "primary", "role": "student", "orgSourcedId": "S1"}])
    del line["role"], line["orgSourcedIds"]
    assert one(rows_of_csv([line], USERS, roles)) == service


@pytest.mark.parametrize(("told", "value"), [("true", True), (False, False), ("False", False), (None, None)])
def test_booleans_are_words_or_json(told: Any, value: bool | None) -> None:
    assert one(rows_of_json([user(enabledUser=told)], USERS))["enabled"] is value


def test_periods_are_one_text_in_one_version_and_a_list_in_the_other() -> None:
    room = {"sourcedId": "R1", "title": "Algebra", "terms": [org("T1"), org("T2")]}
    for periods in ("1,2", ["1", "2"]):
        read = one(rows_of_json([room | {"periods": periods}], COLLECTIONS["classes"]))
        assert (read["periods"], read["term_ids"]) == ("1,2", "T1,T2")


def test_what_is_new_is_counted_and_what_is_known_and_unread_is_not() -> None:
    rows = rows_of_json([user(metadata={"a": 1}, shoeSize="9"), user(sourcedId="U2", shoeSize="8")], USERS)
    assert dict(rows.unknown_fields) == {"shoeSize": 2}


@pytest.mark.parametrize(
    "item",
    [
        user(sourcedId=None),
        user(sourcedId=""),
        user(enabledUser="Wilhelmina"),
        user(email=["wilhelmina@example.org"]),
        user(orgs="Wilhelmina"),
        user(roles=["Wilhelmina"]),
        user(userIds=["Wilhelmina"]),
        "Wilhelmina",
    ],
)
def test_a_record_of_another_shape_is_refused_without_its_values(item: Any) -> None:
    with pytest.raises(WrongShape) as caught:
        rows_of_json([item], USERS)
    assert "ilhelmina" not in str(caught.value)


def test_a_file_without_a_heading_that_we_read_is_refused() -> None:
    line = csv_of("orgs", sourcedId="S1")
    assert one(rows_of_csv([line], COLLECTIONS["orgs"], {}))["sourced_id"] == "S1"
    del line["parentSourcedId"]
    with pytest.raises(WrongShape, match="parentSourcedId"):
        rows_of_csv([line], COLLECTIONS["orgs"], {})


def test_every_entity_has_its_columns_and_its_key() -> None:
    for entity in COLLECTIONS:
        assert columns_of(entity)[0].name == "sourced_id"

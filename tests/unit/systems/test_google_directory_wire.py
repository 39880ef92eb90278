"""How changes of Google's directory go out, how they are recognised again, and what its refusals mean."""

from __future__ import annotations

import pytest

from shared.errors import StopRun
from shared.http.shape import WrongShape
from shared.ports.wire import Record, WireWrite
from systems.google_directory.entities import ENTITIES, columns_of, scopes_of
from systems.google_directory.reasons import Meaning, Verb, meaning_of, said_in
from systems.google_directory.records import page_of, row_of, rows_in
from systems.google_directory.wire import build_wire, parsed, unit_path_path

BASE = "/admin/directory/v1"
WIRE = build_wire()
PERSON: Record = {
    "external_id": "S1",
    "email": "s1@school.example",
    "given_name": "Zoë",
    "family_name": "O'Neil",
    "org_unit_path": "/Students/Grade 07",
    "recovery_email": None,
}


def said(reason: str, text: str = "") -> dict[str, object]:
    return {"error": {"code": 0, "message": text, "errors": [{"reason": reason, "message": text, "domain": "global"}]}}


def test_a_new_user_goes_out_whole_and_the_same_each_time() -> None:
    write = WIRE.write_for("users", verb="create", target_id=None, values=PERSON)
    assert (write.method, write.path) == ("POST", f"{BASE}/users")
    body = dict(write.body or {})
    password = str(body.pop("password"))
    assert body == {
        "primaryEmail": "s1@school.example",
        "name": {"givenName": "Zoë", "familyName": "O'Neil"},
        "externalIds": [{"type": "organization", "value": "S1"}],
        "orgUnitPath": "/Students/Grade 07",
        "hashFunction": "SHA-1",
    }
    assert len(password) == 40
    assert int(password, 16) > 0
    assert write == WIRE.write_for("users", verb="create", target_id=None, values=dict(sorted(PERSON.items())))


def test_no_two_new_users_share_what_stands_for_their_password() -> None:
    found = set()
    for number in range(100):
        write = WIRE.write_for("users", verb="create", target_id=None, values={**PERSON, "external_id": f"S{number}"})
        found.add((write.body or {})["password"])
    assert len(found) == 100


def test_a_change_of_a_user_is_a_put_of_what_changes() -> None:
    values: Record = {"family_name": "Moss", "external_id": None, "recovery_phone": None}
    write = WIRE.write_for("users", verb="update", target_id="17", values=values)
    assert write == WireWrite(
        "PUT", f"{BASE}/users/17", {"externalIds": None, "recoveryPhone": None, "name": {"familyName": "Moss"}}
    )


@pytest.mark.parametrize(("verb", "is_suspended"), [("suspend", True), ("reactivate", False)])
def test_out_of_use_and_back_is_one_flag_with_whatever_else_changes(verb: str, is_suspended: bool) -> None:
    for values in ({}, {"org_unit_path": "/Gone"}, {"suspended": is_suspended}):
        write = WIRE.write_for("users", verb="suspend" if is_suspended else "reactivate", target_id="17", values=values)
        assert write.method == "PUT", verb
        assert (write.body or {})["suspended"] is is_suspended
        assert ("orgUnitPath" in (write.body or {})) == ("org_unit_path" in values)


def test_a_unit_is_made_below_its_parent_and_its_path_is_never_sent() -> None:
    write = WIRE.write_for("org_units", verb="create", target_id=None, values={"org_unit_path": "/A/B c/D"})
    assert write == WireWrite(
        "POST", f"{BASE}/customer/my_customer/orgunits", {"parentOrgUnitPath": "/A/B c", "name": "D"}
    )
    top = WIRE.write_for("org_units", verb="create", target_id=None, values={"org_unit_path": "/A", "name": "A"})
    assert top.body == {"parentOrgUnitPath": "/", "name": "A"}
    moved = WIRE.write_for("org_units", verb="update", target_id="id:9x", values={"org_unit_path": "/E/D"})
    assert moved == WireWrite(
        "PATCH", f"{BASE}/customer/my_customer/orgunits/id:9x", {"parentOrgUnitPath": "/E", "name": "D"}
    )


def test_memberships_are_made_changed_and_ended() -> None:
    values: Record = {
        "membership_key": "g@x.example/a+b@y.example",
        "group_email": "g@x.example",
        "member_email": "a+b@y.example",
    }
    made = WIRE.write_for("members", verb="create", target_id=None, values={**values, "role": "MEMBER"})
    assert made == WireWrite("POST", f"{BASE}/groups/g@x.example/members", {"email": "a+b@y.example", "role": "MEMBER"})
    ended = WIRE.write_for("members", verb="delete", target_id="g1/17", values={})
    assert ended == WireWrite("DELETE", f"{BASE}/groups/g1/members/17", None)
    changed = WIRE.write_for("members", verb="update", target_id="g1/17", values={"role": "OWNER"})
    assert changed == WireWrite("PATCH", f"{BASE}/groups/g1/members/17", {"role": "OWNER"})


@pytest.mark.parametrize(
    ("entity", "verb", "target_id", "values", "text"),
    [
        ("users", "update", "17", {"is_admin": True}, "is_admin cannot be sent"),
        ("users", "update", "17", {"given_name": None}, "given_name cannot be null"),
        ("users", "create", None, {"email": "a@b.example"}, "given_name, family_name"),
        ("users", "create", "17", PERSON, "takes no target id"),
        ("users", "delete", None, {}, "needs a target id"),
        ("users", "delete", "..", {}, "names no record"),
        ("users", "update", "17", {}, "nothing to send"),
        ("groups", "suspend", "17", {}, "suspend cannot be done here"),
        ("members", "delete", "17", {}, "names no record"),
        ("members", "create", None, {"group_email": "g@x.example"}, "member_email"),
        (
            "members",
            "create",
            None,
            {"membership_key": "x", "group_email": "g", "member_email": "m"},
            "joined by a slash",
        ),
        ("org_units", "create", None, {"org_unit_path": "A"}, "begins with a slash"),
        ("org_units", "create", None, {"org_unit_path": "/A/B", "parent_path": "/C"}, "must be those"),
        ("org_units", "create", None, {"name": "A"}, "org_unit_path"),
        ("no_such", "create", None, {}, "no_such"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_there_is_a_plan(
    entity: str, verb: str, target_id: str | None, values: Record, text: str
) -> None:
    with pytest.raises(StopRun, match=text) as caught:
        WIRE.write_for(entity, verb=verb, target_id=target_id, values=values)  # type: ignore[arg-type] # a parameter
    assert "b.example" not in str(caught.value)


def test_every_write_of_ours_is_recognised_and_no_other() -> None:
    for entity, values in {
        "users": PERSON,
        "org_units": {"org_unit_path": "/A"},
        "groups": {"email": "g@x.example"},
        "members": {"group_email": "g@x.example", "member_email": "a/b@x.example"},
    }.items():
        target_id = {"members": "g1/17", "org_units": "id:9x"}.get(entity, "17")
        made = parsed(WIRE.write_for(entity, verb="create", target_id=None, values=values))
        assert made is not None
        assert (made.entity, made.verb, made.target_id) == (entity, "create", None)
        ended = parsed(WIRE.write_for(entity, verb="delete", target_id=target_id, values={}))
        assert ended is not None
        assert (ended.entity, ended.verb, ended.target_id) == (entity, "delete", target_id)
    for method, path in (
        ("POST", f"{BASE}/users/17/makeAdmin"),
        ("POST", f"{BASE}/users/17"),
        ("PATCH", f"{BASE}/users/17"),
        ("PUT", f"{BASE}/groups/g1/members/17"),
        ("DELETE", f"{BASE}/users/.."),
        ("DELETE", f"{BASE}/users/17?x=1"),
        ("DELETE", f"{BASE}/customer/C1/orgunits/id:9"),
        ("DELETE", f"{BASE}/customer/my_customer/orgunits/A"),
        ("DELETE", f"{BASE}/customer/my_customer/schemas/s"),
        ("DELETE", "/users/17"),
    ):
        assert parsed(WireWrite(method, path, None)) is None, (method, path)


def test_the_path_of_a_unit_keeps_its_slashes_and_escapes_the_rest() -> None:
    assert unit_path_path("/A b/C?#").endswith("/orgunits/A%20b/C%3F%23")
    for path in ("A", "/", "/A//B", "/A/../B"):
        with pytest.raises(StopRun):
            unit_path_path(path)


@pytest.mark.parametrize(
    ("status", "reason", "text", "entity", "verb", "meaning"),
    [
        (403, "userRateLimitExceeded", "", "users", None, "rate"),
        (403, "quotaExceeded", "", "org_units", "create", "rate"),
        (429, "rateLimitExceeded", "", "users", "update", "rate"),
        (403, "forbidden", "", "users", None, "permission"),
        (403, "insufficientPermissions", "", "users", "create", "permission"),
        (403, "accessNotConfigured", "", "users", None, "permission"),
        (403, "domainCannotUseApis", "", "users", None, "permission"),
        (401, "authError", "", "users", None, "auth"),
        (503, "backendError", "", "users", None, "busy"),
        (503, "backendError", "", "users", "create", "doubtful"),
        (404, "notFound", "Resource Not Found: userKey", "users", None, "missing"),
        (404, "notFound", "Resource Not Found: userKey", "users", "update", "moved"),
        (404, "notFound", "Resource Not Found: domain", "users", "create", "refused"),
        (404, "notFound", "Resource Not Found: groupKey", "members", "create", "not_yet"),
        (400, "invalid", "Invalid Parent Orgunit Id", "org_units", "create", "not_yet"),
        (400, "invalid", "INVALID_OU_ID", "users", "create", "refused"),
        (409, "duplicate", "Entity already exists.", "users", "create", "moved"),
        (409, "duplicate", "Entity already exists.", "users", "update", "taken"),
        (409, "duplicate", "Member already exists.", "members", "create", "moved"),
        (412, "limitExceeded", "Domain user limit reached.", "users", "create", "capacity"),
        (412, "conditionNotMet", "User creation is not complete.", "users", "update", "not_yet"),
        (400, "invalid", "User creation is not complete.", "users", "update", "not_yet"),
        (412, "conditionNotMet", "Cyclic memberships not allowed.", "members", "create", "refused"),
        (412, "conditionNotMet", "Org unit is not empty.", "org_units", "delete", "refused"),
        (412, "conditionNotMet", "Precondition Failed", "users", "update", "moved"),
        (412, "conditionNotMet", "Precondition Failed", "users", None, "busy"),
        (418, "neverHeardOf", "", "users", "update", "odd"),
    ],
)
def test_a_refusal_is_read_by_its_reason(
    status: int, reason: str, text: str, entity: str, verb: Verb, meaning: Meaning
) -> None:
    assert meaning_of(status, said_in(said(reason, text)), entity=entity, verb=verb) == meaning


def test_who_is_not_the_interface_is_not_believed() -> None:
    assert said_in([]) is None
    assert said_in({"error": "invalid_grant"}) is None
    assert meaning_of(404, None, entity="users", verb=None) == "odd"
    assert meaning_of(404, None, entity="users", verb="delete") == "odd"
    assert meaning_of(302, None, entity="users", verb="create") == "doubtful"
    assert meaning_of(202, None, entity="users", verb="create") == "doubtful"


def test_of_a_refusal_only_columns_are_told() -> None:
    found = said_in(said("invalid", "Invalid Input: primary_user_email of wilhelmina@x.example"))
    assert found is not None
    assert found.fields == ("email",)


def test_a_user_is_read_by_column_and_what_it_lacks_is_null() -> None:
    shown = {
        "kind": "admin#directory#user",
        "id": "17",
        "primaryEmail": "a@x.example",
        "name": {"givenName": "A", "familyName": "B", "fullName": "A B"},
        "externalIds": [{"type": "custom", "value": "no"}, {"type": "organization", "value": "S1"}],
        "organizations": [{"title": "Cook"}, {"primary": True, "title": "Teacher", "department": "Maths"}],
        "orgUnitPath": "/A",
        "suspended": False,
        "lastLoginTime": "1970-01-01T00:00:00.000Z",
    }
    row = row_of("users", shown)
    assert set(row) == {column.name for column in columns_of("users")}
    assert (row["external_id"], row["job_title"], row["department"]) == ("S1", "Teacher", "Maths")
    assert (row["last_login_at"], row["display_name"], row["archived"]) == (None, None, False)
    for name in ("id", "primaryEmail", "suspended", "orgUnitPath"):
        with pytest.raises(WrongShape):
            row_of("users", {key: value for key, value in shown.items() if key != name})
    with pytest.raises(WrongShape):
        row_of("users", {**shown, "kind": "admin#directory#group"})


def test_a_list_is_told_from_another_and_may_leave_its_array_out() -> None:
    described = ENTITIES["users"]
    empty = page_of(described, {"kind": "admin#directory#users"})
    assert (list(empty.items), empty.next_token) == ([], None)
    assert rows_in("users", empty.items).length == 0
    bodies: tuple[object, ...] = (
        {},
        [],
        {"kind": "admin#directory#groups"},
        {"kind": described.list_kind, "users": {}},
    )
    for body in bodies:
        with pytest.raises(WrongShape):
            page_of(described, body)
    with pytest.raises(WrongShape):
        page_of(described, {"kind": described.list_kind, "nextPageToken": ""})


def test_a_token_asks_for_the_least_scopes() -> None:
    base = "https://www.googleapis.com/auth/admin.directory."
    assert scopes_of("users", may_write=False) == f"{base}user.readonly"
    assert scopes_of("members", may_write=True) == f"{base}group.readonly {base}group.member"
    for entity in ENTITIES:
        assert all(scope.endswith(".readonly") for scope in scopes_of(entity, may_write=False).split())

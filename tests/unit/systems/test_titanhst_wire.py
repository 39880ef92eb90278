"""How a change of a contact looks on the wire."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import StopRun
from shared.http.shape import WrongShape
from shared.ports.registry import installed_systems_folder
from shared.ports.yaml_document import read_yaml
from systems.http.family import family_of
from systems.http.wire import entity_at, page_of, record_of

FAMILY = family_of(read_yaml(installed_systems_folder() / "titanhst" / "http.yaml"), name="titanhst")
WIRE = FAMILY.build_wire()
HTTP = FAMILY.http
CONTACT: dict[str, Any] = {
    "id": "c-1",
    "externalId": None,
    "firstName": "A",
    "lastName": "B",
    "email": None,
    "mobilePhone": None,
    "role": "NURSE",
    "locationCode": "TL-010",
    "active": True,
    "createdAt": "2026-01-01T00:00:00Z",
    "updatedAt": "2026-01-01T00:00:00Z",
}


def test_create_carries_all_fields_under_their_names() -> None:
    write = WIRE.write_for(
        "contacts",
        verb="create",
        target_id=None,
        values={"external_id": "E1", "first_name": "A", "mobile": "+17145550100", "location": "TL-010", "email": None},
    )
    assert (write.method, write.path) == ("POST", "/api/v1/contacts")
    assert write.body == {
        "externalId": "E1",
        "firstName": "A",
        "mobilePhone": "+17145550100",
        "locationCode": "TL-010",
        "email": None,
    }


@pytest.mark.parametrize(
    ("verb", "values", "body"),
    [
        ("update", {"role": "NURSE", "email": None}, {"role": "NURSE", "email": None}),
        ("suspend", {}, {"active": False}),
        ("reactivate", {"last_name": "B"}, {"lastName": "B", "active": True}),
        ("suspend", {"active": True}, {"active": False}),
    ],
)
def test_changes_send_only_what_they_set(verb: Any, values: dict[str, Any], body: dict[str, Any]) -> None:
    write = WIRE.write_for("contacts", verb=verb, target_id="c-1", values=values)
    assert (write.method, write.path, write.body) == ("PATCH", "/api/v1/contacts/c-1", body)


def test_delete_has_no_body() -> None:
    write = WIRE.write_for("contacts", verb="delete", target_id="c-1", values={})
    assert (write.method, write.path, write.body) == ("DELETE", "/api/v1/contacts/c-1", None)


def test_ids_are_escaped_and_cannot_leave_their_place() -> None:
    write = WIRE.write_for("contacts", verb="delete", target_id="../a/b?c#d é", values={})
    assert write.path == "/api/v1/contacts/..%2Fa%2Fb%3Fc%23d%20%C3%A9"
    for blank in ("", ".", ".."):
        with pytest.raises(StopRun):
            WIRE.write_for("contacts", verb="delete", target_id=blank, values={})


@pytest.mark.parametrize(
    ("entity", "verb", "target_id", "values"),
    [
        ("contacts", "update", "c-1", {}),
        ("contacts", "update", None, {"role": "NURSE"}),
        ("contacts", "create", "c-1", {"role": "NURSE"}),
        ("contacts", "update", "c-1", {"target_id": "c-2"}),
        ("contacts", "update", "c-1", {"nickname": "x"}),
        ("contacts", "update", "c-1", {"last_name": None}),
        ("roles", "update", "c-1", {"name": "x"}),
        ("roles", "delete", "c-1", {}),
        ("rooms", "delete", "c-1", {}),
    ],
)
def test_write_that_makes_no_sense_is_never_made(
    entity: str, verb: Any, target_id: str | None, values: dict[str, Any]
) -> None:
    with pytest.raises(StopRun):
        WIRE.write_for(entity, verb=verb, target_id=target_id, values=values)


def test_same_change_is_the_same_write() -> None:
    first, second = (
        WIRE.write_for("contacts", verb="update", target_id="c-1", values={"role": "A", "email": "b@c.example"})
        for _ in range(2)
    )
    assert first == second


def test_record_is_read_by_canonical_names_in_the_described_order() -> None:
    record = record_of({**CONTACT, "nickname": "x"}, http=HTTP, entity="contacts")
    assert list(record) == list(HTTP.entities["contacts"].fields)
    assert (record["target_id"], record["location"], record["active"]) == ("c-1", "TL-010", True)


def test_unknown_fields_are_counted_by_name() -> None:
    rows = page_of(
        {"total": 2, "items": [{**CONTACT, "x": 1}, {**CONTACT, "x": 2, "y": 3}]}, http=HTTP, entity="contacts"
    )
    assert (rows.total, rows.length, rows.unknown_fields) == (2, 2, {"x": 2, "y": 1})


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ([], "/total"),
        ({"items": []}, "/total"),
        ({"total": True, "items": []}, "/total"),
        ({"total": -1, "items": []}, "/total"),
        ({"total": 0}, "/items"),
        ({"total": 0, "items": {}}, "/items"),
        ({"total": 1, "items": ["c-1"]}, "/items/0"),
        ({"total": 1, "items": [{**CONTACT, "active": 1}]}, "/items/0/active"),
        ({"total": 1, "items": [{**CONTACT, "id": None}]}, "/items/0/id"),
        ({"total": 1, "items": [{name: CONTACT[name] for name in CONTACT if name != "email"}]}, "/items/0/email"),
    ],
)
def test_wrong_shape_is_named_by_pointer(body: Any, pointer: str) -> None:
    with pytest.raises(WrongShape) as caught:
        page_of(body, http=HTTP, entity="contacts")
    assert caught.value.pointer == pointer


@pytest.mark.parametrize(
    ("path", "entity"),
    [
        ("/api/v1/contacts", "contacts"),
        ("/api/v1/contacts/c-1", "contacts"),
        ("/api/v1/roles", "roles"),
        ("/api/v1/contactsX", None),
        ("/api/v1/contacts/../x", None),
        ("/api/v1/contacts?x", None),
        ("/contacts", None),
    ],
)
def test_path_belongs_to_one_entity_or_none(path: str, entity: str | None) -> None:
    assert entity_at(HTTP, path) == entity

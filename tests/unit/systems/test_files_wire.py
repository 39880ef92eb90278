"""A change of a file as a row to add, to set or to take out; and the documents that cannot be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue, ValidationError

from shared.errors import StopRun
from shared.ports.wire import Value, Wire, WireWrite
from systems.files.description import FilesInterface
from systems.files.wire import FilesWire, RowChange, change_of
from tests.support.systems import installed_systems

FIELDS: dict[str, Any] = {
    "person_site": {"parts": ["person_id", "site"]},
    "person_id": {"header": "ID"},
    "site": {"header": "Site"},
    "name": {"header": "Name"},
    "is_active": {"header": "Active", "kind": "boolean"},
}
ENTITY: dict[str, Any] = {
    "file": "people.csv",
    "format": {"kind": "csv"},
    "key": "person_site",
    "fields": FIELDS,
    "write": {"suspend": {"is_active": False}, "reactivate": {"is_active": True}},
}
READ_ONLY = {**ENTITY, "file": "sites.csv", "write": None}
FILES = FilesInterface.model_validate({"entities": {"people": ENTITY, "sites": READ_ONLY}})
WIRE = FilesWire(FILES)


def test_each_verb_has_its_form() -> None:
    values: dict[str, Value] = {
        "person_site": "E1/010",
        "person_id": "E1",
        "site": "010",
        "name": "Bo",
        "is_active": True,
    }
    sent: dict[str, JsonValue] = {name: value for name, value in values.items() if name != "person_site"}
    assert WIRE.write_for("people", verb="create", target_id=None, values=values) == WireWrite("ADD", "/people", sent)
    path = "/people/E1%2F010"
    assert WIRE.write_for("people", verb="update", target_id="E1/010", values={"name": None}) == WireWrite(
        "SET", path, {"name": None}
    )
    assert WIRE.write_for("people", verb="suspend", target_id="E1/010", values={"name": "Bo"}) == WireWrite(
        "SET", path, {"name": "Bo", "is_active": False}
    )
    assert WIRE.write_for("people", verb="reactivate", target_id="E1/010", values={}).body == {"is_active": True}
    assert WIRE.write_for("people", verb="delete", target_id="E1/010", values={}) == WireWrite("REMOVE", path, None)


@given(target_id=st.text(min_size=1), name=st.text())
def test_what_is_written_is_understood_as_it_was_meant(target_id: str, name: str) -> None:
    write = WIRE.write_for("people", verb="update", target_id=target_id, values={"name": name})
    assert change_of(FILES, write) == RowChange("people", "SET", target_id, {"name": name})
    assert write.path.count("/") == 2


@pytest.mark.parametrize(
    ("entity", "verb", "target_id", "values"),
    [
        ("pupils", "create", None, {"person_id": "E1", "site": "1"}),
        ("sites", "create", None, {"person_id": "E1", "site": "1"}),
        ("people", "create", "E1", {"person_id": "E1", "site": "1"}),
        ("people", "create", None, {"person_id": "E1"}),
        ("people", "create", None, {"person_id": "E1", "site": ""}),
        ("people", "create", None, {"person_site": "E2/1", "person_id": "E1", "site": "1"}),
        ("people", "update", None, {"name": "Bo"}),
        ("people", "update", "", {"name": "Bo"}),
        ("people", "update", "E1", {}),
        ("people", "update", "E1", {"target_id": "E2"}),
        ("people", "update", "E1", {"colour": "red"}),
        ("people", "update", "E1", {"person_site": "E2/1"}),
    ],
)
def test_what_cannot_be_written_is_refused_when_it_is_planned(
    entity: str, verb: Any, target_id: str | None, values: dict[str, Any]
) -> None:
    with pytest.raises(StopRun):
        WIRE.write_for(entity, verb=verb, target_id=target_id, values=values)


@pytest.mark.parametrize(
    "write",
    [
        WireWrite("ADD", "/people/E1", {"name": "Bo"}),
        WireWrite("SET", "/people", {"name": "Bo"}),
        WireWrite("SET", "/people/E1", None),
        WireWrite("REMOVE", "/people/E1", {}),
        WireWrite("SET", "/people/../E1", {"name": "Bo"}),
        WireWrite("SET", "/sites/E1", {"name": "Bo"}),
        WireWrite("SET", "/people/E1", {"name": ["Bo"]}),
        WireWrite("SET", "/people/E1", {"person_site": "E1/010"}),
        WireWrite("SET", "people/E1", {"name": "Bo"}),
    ],
)
def test_a_write_that_this_wire_never_made_is_refused(write: WireWrite) -> None:
    with pytest.raises(StopRun) as caught:
        change_of(FILES, write)
    assert caught.value.code == "APL_INTERNAL"


@pytest.mark.parametrize("system", ["catapult", "parentsquare"])
def test_the_wires_of_the_vendors_are_made_without_a_connection(system: str) -> None:
    wire: Wire = installed_systems().wire(system)
    assert wire.write_for("staff", verb="delete", target_id="E1/010", values={}) == WireWrite(
        "REMOVE", "/staff/E1%2F010", None
    )


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"key": "none"}, "key none is not among the fields"),
        ({"key": "is_active"}, "must be text"),
        ({"file": "../people.csv"}, "should match pattern"),
        ({"file": "/etc/passwd"}, "should match pattern"),
        ({"format": {"kind": "parquet"}}, "Parquet can only be read"),
        (
            {"format": {"kind": "json_lines"}, "proof": {"kind": "trailer", "mark": "T", "count_at": 2}},
            "belongs to CSV",
        ),
        ({"proof": {"kind": "sha256_file"}}, "two files cannot be replaced at once"),
        ({"repeated_keys": "delivered"}, "repeated_keys must be refused"),
        ({"write": {"suspend": {"site": "x"}, "reactivate": {"site": "y"}}}, "is no field that suspending may set"),
        ({"write": {"suspend": {"is_active": False}}}, "go together"),
        ({"fields": {**FIELDS, "target_id": {"header": "T"}}}, "added by the family"),
        ({"fields": {**FIELDS, "other": {"header": "Name"}}}, "two fields have one header"),
        ({"fields": {**FIELDS, "other": {"header": "X", "spellings": {"b": "Name"}}}}, "two fields have one header"),
        ({"fields": {**FIELDS, "other": {"parts": ["person_site"]}}}, "no field that stands in the file"),
        ({"fields": {**FIELDS, "other": {}}}, "has a header, or parts"),
        ({"fields": {**FIELDS, "other": {"header": "X", "pattern": "%Y"}}}, "pattern is for dates"),
    ],
)
def test_a_document_that_cannot_be_is_refused(change: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        FilesInterface.model_validate({"entities": {"people": {**ENTITY, **change}}})


def test_two_entities_do_not_share_a_file() -> None:
    with pytest.raises(ValidationError, match="belongs to people and to others"):
        FilesInterface.model_validate({"entities": {"people": ENTITY, "others": ENTITY}})

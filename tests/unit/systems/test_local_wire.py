"""How a change of a local table looks: one statement, decided without a database."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import StopRun
from shared.ports.wire import ChangeVerb, WireWrite
from systems.local.tables import ACTIVE, KEY_CHARACTERS_MAX, TABLES
from systems.local.wire import LocalWire, build_wire, place_of

WIRE = build_wire()


def test_create_sets_every_given_field_and_is_active_unless_told_otherwise() -> None:
    write = WIRE.write_for("students", verb="create", target_id=None, values={"student_id": "S1", "grade": "09"})
    assert write == WireWrite("INSERT", "/students", {"active": True, "student_id": "S1", "grade": "09"})
    asleep = WIRE.write_for("students", verb="create", target_id=None, values={"student_id": "S1", "active": False})
    assert asleep.body == {"active": False, "student_id": "S1"}


@pytest.mark.parametrize(
    ("verb", "values", "wanted"),
    [
        ("update", {"grade": None}, WireWrite("UPDATE", "/students/17", {"grade": None})),
        ("suspend", {}, WireWrite("UPDATE", "/students/17", {"active": False})),
        ("suspend", {"grade": "UG"}, WireWrite("UPDATE", "/students/17", {"grade": "UG", "active": False})),
        ("reactivate", {}, WireWrite("UPDATE", "/students/17", {"active": True})),
        ("delete", {}, WireWrite("DELETE", "/students/17", None)),
    ],
)
def test_each_verb_is_one_statement_on_one_row(verb: ChangeVerb, values: dict[str, Any], wanted: WireWrite) -> None:
    assert WIRE.write_for("students", verb=verb, target_id="17", values=values) == wanted


@pytest.mark.parametrize(
    ("entity", "verb", "target_id", "values"),
    [
        ("students", "create", "17", {"student_id": "S1"}),
        ("students", "update", None, {"grade": "09"}),
        ("students", "update", "17", {}),
        ("students", "update", "17; drop table students", {"grade": "09"}),
        ("students", "update", "017", {"grade": "09"}),
        ("students", "update", "17", {"row_id": "18"}),
        ("students", "update", "17", {"written_by": "x"}),
        ("pupils", "create", None, {"student_id": "S1"}),
    ],
)
def test_what_is_no_change_of_this_system_is_refused(
    entity: str, verb: ChangeVerb, target_id: str | None, values: dict[str, Any]
) -> None:
    with pytest.raises(StopRun):
        WIRE.write_for(entity, verb=verb, target_id=target_id, values=values)


@pytest.mark.parametrize(
    "write",
    [
        WireWrite("POST", "/students", {}),
        WireWrite("INSERT", "/students/17", {}),
        WireWrite("INSERT", "/pupils", {}),
        WireWrite("INSERT", "//students", {}),
        WireWrite("INSERT", "students", {}),
        WireWrite("UPDATE", "/students", {}),
        WireWrite("UPDATE", "/students/x", {}),
        WireWrite("UPDATE", "/students/17", None),
        WireWrite("DELETE", "/students/17", {}),
        WireWrite("DELETE", "/students/17/", None),
        WireWrite("DELETE", "/students/0", None),
    ],
)
def test_a_write_that_this_wire_never_makes_has_no_place(write: WireWrite) -> None:
    with pytest.raises(StopRun):
        place_of(write)


@given(
    entity=st.sampled_from(sorted(TABLES)),
    verb=st.sampled_from(["create", "update", "suspend", "reactivate", "delete"]),
    row=st.integers(1, 10**17),
    data=st.data(),
)
def test_every_write_leads_back_to_its_place(entity: str, verb: ChangeVerb, row: int, data: st.DataObject) -> None:
    texts = [name for name, column in TABLES[entity].columns.items() if column.kind == "text"]
    values = data.draw(st.dictionaries(st.sampled_from(texts), st.none() | st.text(), min_size=1))
    write = LocalWire().write_for(
        entity, verb=verb, target_id=None if verb == "create" else str(row), values={} if verb == "delete" else values
    )
    assert place_of(write) == (entity, None if verb == "create" else row)
    assert write.body is None or values.items() <= write.body.items()


def test_every_table_has_its_key_first_and_tells_whether_a_record_is_active() -> None:
    for table in TABLES.values():
        assert next(iter(table.columns)) == table.key
        assert table.columns[table.key].characters_max == KEY_CHARACTERS_MAX
        assert table.columns[ACTIVE].kind == "boolean"
        assert all((column.kind == "text") == (column.characters_max > 0) for column in table.columns.values())

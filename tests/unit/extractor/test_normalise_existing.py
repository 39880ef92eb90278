"""The target side: equal meanings come out equal, and what is nobody's stays nobody's."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from services.extractor.normalise import Normalised
from shared.contract.loading import Connector
from shared.errors import StopRun
from tests.unit.extractor import settling

CONTACT = {
    "target_id": "c-000001",
    "external_id": "E1",
    "first_name": "Ana",
    "last_name": "Alder",
    "email": "ana@x.org",
    "mobile": "+19165550152",
    "role": "TEACHER",
    "location": "TL-010",
    "active": True,
}
SCHEMA = pl.Schema(dict.fromkeys(CONTACT, pl.String) | {"active": pl.Boolean})


def existing(connector: Connector, *rows: dict[str, Any]) -> Normalised:
    frame = pl.DataFrame([CONTACT | row for row in rows], schema=SCHEMA)
    return settling.existing(connector.definition.entities["contacts"], frame)


def test_a_clean_contact_stays_as_it_is(staff_connector: Connector) -> None:
    result = existing(staff_connector, {})
    assert result.records.to_dicts() == [{"key": "E1"} | CONTACT]
    assert result.rows_read == {"target": 1}


def test_equal_meanings_compare_equal(staff_connector: Connector) -> None:
    spelled = {
        "external_id": " e1 ",
        "first_name": "Ana ",
        "last_name": " Alder",
        "email": "Ana@X.org",
        "mobile": "916-555-0152",
        "role": " TEACHER",
    }
    assert existing(staff_connector, spelled).records.equals(existing(staff_connector, {}).records)


def test_a_contact_without_key_stays_without_key(staff_connector: Connector) -> None:
    result = existing(
        staff_connector, {"external_id": None}, {"external_id": " ", "target_id": "c-2"}, {"target_id": "c-3"}
    )
    assert result.records["key"].to_list() == ["E1", None, None]
    assert result.quarantined.is_empty()


def test_a_value_of_the_wrong_form_stays_and_differs(staff_connector: Connector) -> None:
    (record,) = existing(
        staff_connector, {"mobile": "call home", "email": " none ", "role": "teacher"}
    ).records.to_dicts()
    assert (record["mobile"], record["email"], record["role"]) == ("call home", "none", "teacher")


def test_contacts_that_share_a_key_are_unknown_not_chosen_from(staff_connector: Connector) -> None:
    result = existing(
        staff_connector, {}, {"external_id": "e1", "target_id": "c-2"}, {"external_id": "E2", "target_id": "c-3"}
    )
    assert result.records["key"].to_list() == ["E2"]
    assert result.quarantined_keys.to_list() == ["E1"]
    assert result.quarantined["code"].to_list() == ["MAT_DUPLICATE_KEY"] * 2


def test_a_missing_column_stops_the_run(staff_connector: Connector) -> None:
    frame = pl.DataFrame([CONTACT], schema=SCHEMA).drop("email", "target_id")
    with pytest.raises(StopRun, match="target: target_id, email") as caught:
        settling.existing(staff_connector.definition.entities["contacts"], frame)
    assert caught.value.code == "NRM_SCHEMA_DRIFT"


def test_an_empty_target_keeps_its_columns(staff_connector: Connector) -> None:
    result = existing(staff_connector)
    assert result.records.schema == existing(staff_connector, {}).records.schema
    assert result.records.is_empty()


def test_a_desired_record_written_to_the_target_comes_back_equal(staff_connector: Connector) -> None:
    first = existing(staff_connector, {"email": "ANA@x.org", "mobile": "1 (916) 555-0152"}).records
    again = settling.existing(staff_connector.definition.entities["contacts"], first.drop("key"))
    assert again.records.equals(first)

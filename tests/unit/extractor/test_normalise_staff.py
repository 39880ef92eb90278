"""Every rule of the staff connector, on rows written by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from services.extractor.normalise import Discarded, Normalised, Unmapped

Normalise = Callable[..., Normalised]


def only(result: Normalised) -> dict[str, Any]:
    assert result.quarantined.is_empty(), result.quarantined
    (record,) = result.records.to_dicts()
    return record


def items(result: Normalised) -> list[tuple[str | None, str, str]]:
    return list(result.quarantined.select("key", "field", "code").iter_rows())


def test_a_plain_employee_becomes_one_contact_with_fields_in_contract_order(normalise: Normalise) -> None:
    record = only(normalise())
    assert record == {
        "key": "E1",
        "external_id": "E1",
        "first_name": "Ana",
        "last_name": "Alder",
        "email": None,
        "mobile": None,
        "role": "TEACHER",
        "location": "TL-010",
        "active": True,
        "left alone": None,
    }
    assert list(record) == [
        "key",
        "external_id",
        "first_name",
        "last_name",
        "email",
        "mobile",
        "role",
        "location",
        "active",
        "left alone",
    ]


def test_the_row_edited_last_stands_for_the_employee_however_the_number_is_spelled(normalise: Normalise) -> None:
    people = [
        {"person_id": 1, "employee_id": "e1 ", "last": "Old", "edited_at": "2025-01-01T00:00:00"},
        {"person_id": 2, "employee_id": " E1", "last": "New", "edited_at": "2026-01-01T00:00:00"},
        {"person_id": 3, "last": "Undated", "edited_at": None},
    ]
    assert only(normalise(people))["last_name"] == "New"
    assert only(normalise(people[::-1]))["last_name"] == "New"


def test_of_rows_edited_at_one_moment_the_lowest_person_id_counts(normalise: Normalise) -> None:
    people = [{"person_id": 10, "last": "Ten"}, {"person_id": 9, "last": "Nine"}]
    assert only(normalise(people))["last_name"] == "Nine"


def test_scope_is_decided_by_the_row_that_counts(normalise: Normalise) -> None:
    rehired = [{"status_code": "T", "edited_at": "2024"}, {"status_code": "A", "edited_at": "2025"}]
    left = [{"status_code": "A", "edited_at": "2024"}, {"status_code": "T", "edited_at": "2025"}]
    assert normalise(rehired).records.height == 1
    gone = normalise(left)
    assert (gone.records.height, gone.out_of_scope, gone.quarantined.height) == (0, 1, 0)


@pytest.mark.parametrize(
    ("status", "is_in"), [("A", True), (" l ", True), ("T", False), ("", False), (None, False), ("AL", False)]
)
def test_only_active_and_on_leave_are_in_scope(normalise: Normalise, status: str | None, is_in: bool) -> None:
    assert normalise([{"status_code": status}]).records.height == int(is_in)


def test_an_employee_out_of_scope_is_never_quarantined(normalise: Normalise) -> None:
    result = normalise([{"status_code": "T", "last": " ", "work_email": "broken"}], jobs=[])
    assert (result.quarantined.height, result.out_of_scope) == (0, 1)


@pytest.mark.parametrize("number", [None, "", "   "])
def test_a_row_without_employee_number_is_quarantined_without_key(normalise: Normalise, number: str | None) -> None:
    result = normalise([{}, {"person_id": 2, "employee_id": number}])
    assert result.records["key"].to_list() == ["E1"]
    assert items(result) == [(None, "external_id", "NRM_MISSING_KEY")]
    assert result.quarantined["value_class"].to_list() == ["blank"]
    assert result.quarantined_without_key == 1
    assert result.quarantined_keys.to_list() == []


def test_two_rows_without_employee_number_are_two_items(normalise: Normalise) -> None:
    result = normalise([{"employee_id": None}, {"person_id": 2, "employee_id": None}])
    assert result.quarantined_without_key == 2


def test_a_blank_employee_number_joins_nothing(normalise: Normalise) -> None:
    result = normalise(
        jobs=[{}, {"employee_id": None, "job_class_code": "0999"}], aeries=[{"hr_id": " ", "email": "a@b.org"}]
    )
    assert only(result)["email"] is None


def test_only_open_assignments_count(normalise: Normalise) -> None:
    jobs = [
        {"seq": 1, "end_date": "2030-06-30", "site_code": "030"},
        {"seq": 2, "is_primary": False, "site_code": "020"},
    ]
    assert only(normalise(jobs=jobs))["location"] == "TL-020"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            {"seq": 9, "is_primary": True, "start_date": "2001-01-01"},
            {"seq": 1, "is_primary": False, "start_date": "2026-01-01"},
        ),
        ({"seq": 9, "start_date": "2026-01-01"}, {"seq": 1, "start_date": "2025-12-31"}),
        ({"seq": 9, "start_date": "2026-01-01"}, {"seq": 10, "start_date": "2026-01-01"}),
        ({"seq": 9, "is_primary": False}, {"seq": 1, "is_primary": None}),
        ({"seq": 9}, {"seq": 1, "start_date": None}),
    ],
    ids=[
        "primary first",
        "then the latest start",
        "then the lowest number",
        "unknown primary last",
        "unknown start last",
    ],
)
def test_the_order_of_assignments(normalise: Normalise, first: dict[str, Any], second: dict[str, Any]) -> None:
    jobs = [first | {"site_code": "020"}, second | {"site_code": "030"}]
    assert only(normalise(jobs=jobs))["location"] == "TL-020"
    assert only(normalise(jobs=jobs[::-1]))["location"] == "TL-020"


def test_without_open_assignment_role_and_location_are_missing(normalise: Normalise) -> None:
    result = normalise(jobs=[{"end_date": "2026-06-30"}])
    assert result.records.is_empty()
    assert items(result) == [("E1", "location", "NRM_MISSING_REQUIRED"), ("E1", "role", "NRM_MISSING_REQUIRED")]
    assert result.quarantined_keys.to_list() == ["E1"]


def test_of_several_active_aeries_records_the_lowest_id_counts(normalise: Normalise) -> None:
    aeries = [
        {"id": 3, "email": "three@x.org"},
        {"id": 1, "email": "one@x.org", "inactive_code": "I"},
        {"id": 2, "email": "two@x.org", "hr_id": " e1", "inactive_code": " "},
    ]
    assert only(normalise(aeries=aeries))["email"] == "two@x.org"


def test_the_preferred_first_name_comes_first_and_blank_is_none(normalise: Normalise) -> None:
    assert only(normalise([{"preferred_first": "Bea"}]))["first_name"] == "Bea"
    assert only(normalise([{"preferred_first": "  "}]))["first_name"] == "Ana"


def test_names_are_trimmed_collapsed_and_composed(normalise: Normalise) -> None:
    record = only(normalise([{"first": " Jose\u0301\t  Luis ", "last": "\u00a0de  la\nCruz"}]))
    assert (record["first_name"], record["last_name"]) == ("José Luis", "de la Cruz")


@pytest.mark.parametrize(("column", "field"), [("first", "first_name"), ("last", "last_name")])
def test_a_missing_name_is_quarantined(normalise: Normalise, column: str, field: str) -> None:
    assert items(normalise([{column: " "}])) == [("E1", field, "NRM_MISSING_REQUIRED")]


def test_the_address_in_aeries_comes_before_the_one_in_hr(normalise: Normalise) -> None:
    people = [{"work_email": "HR@x.org"}]
    assert only(normalise(people, aeries=[{"email": " Ana.Alder@X.org "}]))["email"] == "ana.alder@x.org"
    assert only(normalise(people, aeries=[{"email": "  "}]))["email"] == "hr@x.org"
    assert only(normalise(people))["email"] == "hr@x.org"


@pytest.mark.parametrize(
    "address", ["none", "a@b", "a b@x.org", "@x.org", "a@@x.org", "a@x.", "a@.org", "a@x..org", "a@x.o"]
)
def test_an_implausible_address_quarantines_the_row_and_shows_no_value(normalise: Normalise, address: str) -> None:
    result = normalise([{"work_email": address}])
    assert result.records.is_empty()
    (item,) = result.quarantined.to_dicts()
    assert item == {
        "key": "E1",
        "source": "person",
        "field": "email",
        "code": "NRM_BAD_FORMAT",
        "value_class": f"text({len(address)})",
        "rule": "format: email",
    }


def test_an_implausible_address_that_does_not_count_harms_nobody(normalise: Normalise) -> None:
    assert only(normalise([{"work_email": "broken"}], aeries=[{"email": "ana@x.org"}]))["email"] == "ana@x.org"


def test_the_first_raw_address_counts_even_when_it_is_implausible(normalise: Normalise) -> None:
    result = normalise([{"work_email": "ana@x.org"}], aeries=[{"email": "broken"}])
    assert result.quarantined.select("source", "code").row(0) == ("aeries", "NRM_BAD_FORMAT")


@pytest.mark.parametrize(
    ("raw", "mobile"),
    [
        ("(916) 555-0152", "+19165550152"),
        ("1-916-555-0152", "+19165550152"),
        ("+1 916 555 0152", "+19165550152"),
        (" 9165550152 ", "+19165550152"),
    ],
)
def test_telephone_numbers_take_one_form(normalise: Normalise, raw: str, mobile: str) -> None:
    assert only(normalise([{"mobile": raw}]))["mobile"] == mobile


@pytest.mark.parametrize("raw", ["555-0152", "2-916-555-0152", "+44 20 7946 0958", "n/a", "x1234567890123456"])
def test_another_number_is_discarded_and_counted(normalise: Normalise, raw: str) -> None:
    result = normalise([{"mobile": raw}], aeries=[{"cell": "9165550152"}])
    assert only(result)["mobile"] is None
    assert result.discarded == (Discarded("mobile", "NRM_BAD_FORMAT", 1),)


def test_the_number_in_aeries_stands_in_for_a_blank_one(normalise: Normalise) -> None:
    assert only(normalise([{"mobile": " "}], aeries=[{"cell": "9165550152"}]))["mobile"] == "+19165550152"


def test_ids_are_mapped_in_any_spelling(normalise: Normalise) -> None:
    assert only(normalise(jobs=[{"job_class_code": " 0101 ", "site_code": "020 "}]))["location"] == "TL-020"


def test_unmapped_ids_are_quarantined_and_counted_by_value(normalise: Normalise) -> None:
    people = [{"employee_id": f"E{n}", "person_id": n} for n in range(1, 5)]
    codes = ["zz1", "ZZ1", "ZZ2", "0101"]
    result = normalise(
        people, jobs=[{"employee_id": f"E{n}", "job_class_code": code} for n, code in enumerate(codes, start=1)]
    )
    assert result.records["key"].to_list() == ["E4"]
    assert items(result) == [(f"E{n}", "role", "NRM_UNMAPPED") for n in (1, 2, 3)]
    assert result.unmapped == (Unmapped("roles", "ZZ1", 2), Unmapped("roles", "ZZ2", 1))


def test_unmapped_ids_of_people_out_of_scope_do_not_count(normalise: Normalise) -> None:
    assert normalise([{"status_code": "T"}], jobs=[{"job_class_code": "ZZ"}]).unmapped == ()


def test_rows_read_are_counted_by_source(normalise: Normalise) -> None:
    assert normalise([{}, {}], aeries=[{}]).rows_read == {"person": 2, "job": 1, "aeries": 1}


def test_empty_sources_give_no_records_and_keep_the_columns(normalise: Normalise) -> None:
    full, empty = normalise(), normalise([], jobs=[])
    assert empty.records.schema == full.records.schema
    assert empty.quarantined.schema == full.quarantined.schema
    assert empty.records.is_empty()

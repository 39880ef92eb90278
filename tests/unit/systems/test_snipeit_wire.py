"""How Snipe-IT's records and changes look on the wire, and what its answers mean: decided without a connection."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import StopRun
from shared.http.shape import WrongShape
from shared.ports.wire import WireWrite
from systems.snipeit.answers import WINDOW_SECONDS, said_of, sensible_wait
from systems.snipeit.entities import ENTITIES, columns_of
from systems.snipeit.records import Dialect, page_of, plain, row_of
from systems.snipeit.wire import NOTE, build_wire, meaning_of

WIRE = build_wire()
PLAIN = Dialect()
ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#039;"}


def escaped(text: str) -> str:
    """As PHP's `htmlspecialchars` writes it, each character by itself."""
    return "".join(ESCAPES.get(character, character) for character in text)


def asset(**fields: object) -> dict[str, Any]:
    return {
        "id": 7,
        "asset_tag": "T7",
        "status_label": {"id": 1, "name": "Ready", "status_type": "deployable"},
    } | fields


def user(**fields: object) -> dict[str, Any]:
    return {"id": 3, "username": "cy", "activated": True, "employee_num": "E3"} | fields


def said(body: object, *, status: int = 200, entity: str = "users", location: str | None = None) -> Any:
    return said_of(status, body, location=location, entity=entity)


# --- writes ---------------------------------------------------------------------------------------------------------


def test_an_update_sends_what_changes_and_nothing_else() -> None:
    write = WIRE.write_for(
        "users", verb="update", target_id="3", values={"email": "cy@x.example", "department_id": "4"}
    )
    assert write == WireWrite("PATCH", "/api/v1/users/3", {"email": "cy@x.example", "department_id": 4})


def test_location_is_sent_only_when_it_is_what_changes() -> None:
    write = WIRE.write_for("users", verb="suspend", target_id="3", values={})
    assert write.body == {"activated": False}
    assert WIRE.write_for("users", verb="reactivate", target_id="3", values={}).body == {"activated": True}


def test_a_new_user_needs_no_password_and_gets_none() -> None:
    write = WIRE.write_for("users", verb="create", target_id=None, values={"username": "cy", "first_name": "Cy"})
    assert write == WireWrite("POST", "/api/v1/users", {"username": "cy", "first_name": "Cy", "ldap_import": True})


def test_months_and_ids_go_out_as_numbers_and_amounts_as_they_are() -> None:
    values = {"asset_tag": "007", "model_id": "12", "warranty_months": "36", "purchase_cost": "12.50", "serial": None}
    write = WIRE.write_for("hardware", verb="create", target_id=None, values=values)
    assert write.body == {
        "asset_tag": "007",
        "model_id": 12,
        "warranty_months": 36,
        "purchase_cost": "12.50",
        "serial": None,
    }


def test_an_id_that_is_no_number_is_left_to_the_other_side_to_refuse() -> None:
    write = WIRE.write_for("hardware", verb="update", target_id="7", values={"model_id": "Chromebook"})
    assert write.body == {"model_id": "Chromebook"}


def test_a_checkout_is_a_request_of_its_own_and_so_is_its_end() -> None:
    values = {"checkout_key": "T7/E3", "asset_tag": "T7", "asset_id": "7", "user_id": "3", "employee_num": "E3"}
    assert WIRE.write_for("checkouts", verb="create", target_id=None, values=values) == WireWrite(
        "POST", "/api/v1/hardware/7/checkout", {"checkout_to_type": "user", "assigned_user": 3, "note": NOTE}
    )
    assert WIRE.write_for("checkouts", verb="delete", target_id="7", values={}) == WireWrite(
        "POST", "/api/v1/hardware/7/checkin", {"note": NOTE}
    )


@pytest.mark.parametrize(
    ("entity", "verb", "target_id", "values", "named"),
    [
        ("users", "update", "3", {"name": "Cy"}, "name"),
        ("users", "update", "3", {"ldap_import": False}, "ldap_import"),
        ("users", "update", "3", {}, "nothing to send"),
        ("users", "update", "../2", {"email": None}, "whole number"),
        ("users", "update", "0", {"email": None}, "whole number"),
        ("users", "update", None, {"email": None}, "takes no target id|needs a target id"),
        ("users", "create", "3", {"email": None}, "takes no target id"),
        ("hardware", "suspend", "7", {}, "removal.suspended"),
        ("hardware", "update", "7", {"holder_id": "3"}, "holder_id"),
        ("checkouts", "update", "7", {"user_id": "4"}, "update"),
        ("checkouts", "create", None, {"asset_id": "7"}, "user_id"),
        ("categories", "create", None, {"name": "x"}, "create"),
    ],
)
def test_what_a_contract_cannot_ask_for_is_told_before_any_plan(
    entity: str, verb: Any, target_id: str | None, values: dict[str, Any], named: str
) -> None:
    with pytest.raises(StopRun, match=named) as caught:
        WIRE.write_for(entity, verb=verb, target_id=target_id, values=values)
    assert caught.value.code == "APL_INTERNAL"


def test_every_write_of_ours_is_recognised_when_it_is_to_be_sent() -> None:
    for entity, described in ENTITIES.items():
        for verb in described.verbs:
            values: dict[str, Any] = {"asset_id": "7", "user_id": "3"} if entity == "checkouts" else {"name": "x"}
            if entity == "users":
                values = {"email": "x@x.example"}
            target_id = None if verb == "create" else "7"
            meant = meaning_of(WIRE.write_for(entity, verb=verb, target_id=target_id, values=values))
            assert meant is not None
            assert meant.entity == entity
            assert meant.verb == ("update" if verb in ("suspend", "reactivate") else verb)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/users/3"),
        ("PUT", "/api/v1/users/3"),
        ("DELETE", "/api/v1/users"),
        ("POST", "/api/v1/users/3"),
        ("POST", "/api/v1/users/3/restore"),
        ("POST", "/api/v1/users/3/checkout"),
        ("PATCH", "/api/v1/hardware/7/checkout"),
        ("PATCH", "/api/v1/settings/1"),
        ("DELETE", "/api/v1/categories/1"),
        ("POST", "/api/v1/checkouts"),
        ("PATCH", "/api/v1/users/3?x=1"),
        ("PATCH", "/api/v1/users/../hardware/7"),
        ("PATCH", "https://elsewhere.example/api/v1/users/3"),
    ],
)
def test_a_request_that_no_plan_of_ours_holds_is_not_recognised(method: str, path: str) -> None:
    assert meaning_of(WireWrite(method, path, {})) is None


# --- records --------------------------------------------------------------------------------------------------------


@given(st.text(max_size=80))
def test_text_is_what_it_was_before_it_was_escaped(text: str) -> None:
    assert plain(escaped(text)) == (text or None)


def test_only_what_escaping_makes_is_undone_and_only_once() -> None:
    assert plain("AT&amp;amp;T &copy; &nbsp; &lt;b&gt;") == "AT&amp;T &copy; &nbsp; <b>"


def test_an_asset_is_read_by_column_whatever_the_release_calls_its_status() -> None:
    label = {"id": 4, "name": "Out &amp; about", "status_type": "deployable", "status_meta": "deployed"}
    for names in (("status_label",), ("status",), ("status", "status_label")):
        shown = asset() | dict.fromkeys(names, label)
        row = row_of("hardware", shown, dialect=PLAIN)
        assert row is not None
        assert (row["status_id"], row["status"], row["status_type"]) == ("4", "Out & about", "deployable")


def test_dates_months_amounts_and_holders_become_flat_columns() -> None:
    shown = asset(
        name="",
        model={"id": 5, "name": "Chromebook"},
        purchase_date={"date": "2026-08-13", "formatted": "08/13/2026"},
        expected_checkin={"datetime": "2027-06-01 00:00:00", "formatted": "later"},
        last_checkout={"datetime": "2026-09-01 07:15:00", "formatted": "then"},
        warranty_months="12 months",
        purchase_cost="1,234.50",
        assigned_to={"id": 3, "type": "user", "name": "Cy O&#039;Neil", "username": "cy", "employee_number": "E3"},
        location=None,
    )
    row = row_of("hardware", shown, dialect=PLAIN)
    assert row is not None
    wanted = {
        "target_id": "7",
        "name": None,
        "model_id": "5",
        "model": "Chromebook",
        "purchase_date": "2026-08-13",
        "expected_checkin": "2027-06-01",
        "last_checkout": "2026-09-01T07:15:00",
        "warranty_months": "12",
        "purchase_cost": "1234.50",
        "holder_type": "user",
        "holder_name": "Cy O'Neil",
        "holder_employee_num": "E3",
        "location_id": None,
        "location": None,
    }
    assert {name: row[name] for name in wanted} == wanted
    assert list(row) == [column.name for column in columns_of("hardware")]


def test_amounts_are_read_as_the_server_writes_them_or_not_at_all() -> None:
    comma = Dialect(decimal_comma=True)
    row = row_of("hardware", asset(purchase_cost="1.234,50"), dialect=comma)
    assert row is not None
    assert row["purchase_cost"] == "1234.50"
    with pytest.raises(WrongShape, match="digit_separator"):
        row_of("hardware", asset(purchase_cost="1.234,50 €"), dialect=comma)


def test_custom_fields_are_found_by_database_column_and_not_by_their_changing_label() -> None:
    fields = {"MAC &amp; more": {"field": "_snipeit_mac_1", "value": "aa:bb", "field_format": "MAC", "element": "text"}}
    row = row_of("hardware", asset(custom_fields=fields), dialect=Dialect(custom_fields={"custom_2": "_snipeit_mac_1"}))
    assert row is not None
    assert (row["custom_1"], row["custom_2"]) == (None, "aa:bb")
    empty = row_of("hardware", asset(custom_fields={}), dialect=PLAIN)
    assert empty is not None
    assert empty["custom_2"] is None


def test_what_is_deleted_softly_is_not_there() -> None:
    deleted = asset(deleted_at={"datetime": "2026-09-01 07:15:00", "formatted": "then"})
    assert row_of("hardware", deleted, dialect=PLAIN) is None


def test_a_checkout_is_what_a_person_has_and_its_key_names_both() -> None:
    person = {"id": 3, "type": "user", "name": "Cy", "username": "cy", "employee_number": "E3"}
    assert row_of("checkouts", asset(assigned_to=person), dialect=PLAIN) == {
        "target_id": "7",
        "checkout_key": "T7/E3",
        "asset_id": "7",
        "asset_tag": "T7",
        "user_id": "3",
        "employee_num": "E3",
        "username": "cy",
    }
    nobody = row_of("checkouts", asset(assigned_to=person | {"employee_number": None}), dialect=PLAIN)
    assert nobody is not None
    assert nobody["checkout_key"] is None, "without a number it is nobody's business of ours"
    for holder in (None, {"id": 3, "type": "location", "name": "North"}, {"id": 3, "type": "asset", "name": "Cart"}):
        assert row_of("checkouts", asset(assigned_to=holder), dialect=PLAIN) is None


def test_ids_and_total_of_a_page_speak_of_all_records_also_of_those_that_are_no_checkouts() -> None:
    lent = asset(assigned_to={"id": 3, "type": "user", "employee_number": "E3"})
    rows, ids, total = page_of("checkouts", {"total": 9, "rows": [lent, asset() | {"id": 8}]}, dialect=PLAIN)
    assert (rows.length, ids, total) == (1, ["7", "8"], 9)


@pytest.mark.parametrize(
    ("entity", "body", "pointer"),
    [
        ("users", [], ""),
        ("users", {"rows": []}, "/total"),
        ("users", {"total": "1", "rows": []}, "/total"),
        ("users", {"total": 0}, "/rows"),
        ("users", {"total": 1, "rows": ["x"]}, "/rows/0/id"),
        ("users", {"total": 1, "rows": [user(id="3")]}, "/rows/0/id"),
        ("users", {"total": 1, "rows": [{"id": 3, "username": "cy"}]}, "/rows/0/activated"),
        ("users", {"total": 1, "rows": [user(username="")]}, "/rows/0/username"),
        ("users", {"total": 1, "rows": [user(start_date={"date": "soon"})]}, "/rows/0/start_date"),
        ("users", {"total": 1, "rows": [user(location="North")]}, "/rows/0/location/id"),
        ("users", {"total": 1, "rows": [user(remote="perhaps")]}, "/rows/0/remote"),
        ("hardware", {"total": 1, "rows": [asset(warranty_months="long")]}, "/rows/0/warranty_months"),
    ],
)
def test_another_shape_is_told_with_its_place_and_without_a_value(entity: str, body: object, pointer: str) -> None:
    with pytest.raises(WrongShape) as caught:
        page_of(entity, body, dialect=PLAIN)
    assert caught.value.pointer == pointer
    assert not any(word in str(caught.value) for word in ("soon", "North", "perhaps", "long"))


# --- answers --------------------------------------------------------------------------------------------------------


def test_an_error_under_status_200_is_no_success() -> None:
    body = {"status": "error", "messages": {"username": ["The username has already been taken."]}, "payload": None}
    found = said(body)
    assert (found.meaning, found.fields) == ("refused", ("username",))


def test_the_status_of_an_asset_is_not_taken_for_the_word_of_an_envelope() -> None:
    assert said(asset(status={"id": 1, "name": "Ready"}), entity="hardware").meaning == "done"
    assert said({"total": 0, "rows": []}).meaning == "done"
    assert said({"status": "perhaps"}).meaning == "strange"


@pytest.mark.parametrize(
    ("status", "text", "meaning"),
    [
        (200, "Asset not found", "missing"),
        (200, "User does not exist.", "missing"),
        (404, "User not found", "missing"),
        (404, "404 endpoint not found", "no_route"),
        (405, "Method not allowed", "no_route"),
        (200, "That asset is not available for checkout!", "moved"),
        (200, "That asset is already checked in.", "moved"),
        (200, "This user has items assigned and could not be deleted.", "refused"),
        (200, "Something that nobody has heard of", "refused"),
        (422, "Invalid JSON", "strange"),
    ],
)
def test_a_sentence_is_understood_by_what_it_says(status: int, text: str, meaning: str) -> None:
    assert said({"status": "error", "messages": text, "payload": None}, status=status).meaning == meaning


def test_sentences_and_values_are_never_repeated() -> None:
    for messages in ("Wilhelmina cannot be deleted", "Wilhelmina is odd", {"email": ["w7@x.example is taken"]},
                     {"Wilhelmina": ["x"]}):  # fmt: skip
        found = said({"status": "error", "messages": messages})
        assert "Wilhelmina" not in f"{found.why}{found.fields}"
        assert "w7@" not in f"{found.why}{found.fields}"


def test_a_create_that_finds_its_key_taken_has_found_its_record() -> None:
    taken = {"asset_tag": ["The asset tag must be unique."]}
    assert said({"status": "error", "messages": taken}, entity="hardware").meaning == "moved"
    also = taken | {"serial": ["The serial must be unique."]}
    assert said({"status": "error", "messages": also}, entity="hardware").meaning == "refused"
    missing = {"asset_tag": ["The asset tag field is required."]}
    assert said({"status": "error", "messages": missing}, entity="hardware").meaning == "refused"


@pytest.mark.parametrize(
    "body",
    [
        {"status": "error", "messages": "Too many requests", "payload": None},
        {"status": "error", "messages": 429, "payload": None},
        {
            "status": "error",
            "messages": "Too many requests. Try again in 9 seconds.",
            "status_code": 429,
            "retryAfter": 9,
        },
        None,
    ],
)
def test_too_many_requests_are_understood_in_every_shape(body: dict[str, Any] | None) -> None:
    assert said(body, status=429).meaning == "rate"
    assert said(body, status=429).wait_seconds == (9.0 if body and "retryAfter" in body else None)


def test_a_wait_out_of_reason_is_one_window() -> None:
    assert [sensible_wait(each) for each in (7, "7", 0, 900)] == [7.0, 7.0, 0.0, 900.0]
    assert sensible_wait(1_700_000_000) == sensible_wait("1700000000") == WINDOW_SECONDS
    assert all(sensible_wait(seconds) is None for seconds in (None, True, -1, float("nan"), "soon", "²"))


@pytest.mark.parametrize(
    ("status", "body", "location", "meaning"),
    [
        (401, {"error": "Unauthorized or unauthenticated."}, None, "auth"),
        (401, None, None, "auth"),
        (403, {"message": "This action is unauthorized."}, None, "permission"),
        (403, None, None, "foreign"),
        (404, None, None, "foreign"),
        (302, None, "https://x.example/login", "login"),
        (302, None, "https://x.example/", "elsewhere"),
        (200, None, None, "strange"),
        (408, None, None, "busy"),
        (500, {"message": "Server Error"}, None, "busy"),
        (503, None, None, "busy"),
        (503, {"message": "Service Unavailable"}, None, "maintenance"),
        (422, {"message": "The given data was invalid.", "errors": {"email": ["no"]}}, None, "refused"),
        (418, {}, None, "foreign"),
    ],
)
def test_refusals_of_access_wrong_addresses_and_troubles_are_told_apart(
    status: int, body: object, location: str | None, meaning: str
) -> None:
    assert said(body, status=status, location=location).meaning == meaning

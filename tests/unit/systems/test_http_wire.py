"""Records without code, both ways: places, code tables, formats, lists; and what a description may not say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from deploy.documents.interface_language import render_markdown
from shared.errors import StopRun
from shared.http.shape import WrongShape
from shared.ports.wire import Value, WireWrite
from systems.http.description import HttpInterface
from systems.http.fields import HttpField
from systems.http.places import collision, picked, place_of, put
from systems.http.wire import HttpWire, page_of, record_of, write_at

FIELDS: dict[str, Any] = {
    "target_id": {"wire": "id", "kind": "text", "as_number": True, "read_only": True},
    "number": {"wire": "externalId", "kind": "text"},
    "first": {"wire": "name.first", "kind": "text"},
    "last": {"wire": "name.last", "kind": "text"},
    "mail": {"wire": "paths[type=mail].value", "kind": "text", "nullable": True, "item": {"wait": 0}},
    "phone": {"wire": "paths[type=phone].value", "kind": "text", "nullable": True},
    "groups": {"wire": "groups", "kind": "text", "joined_by": ",", "unordered": True, "nullable": True},
    "since": {"wire": "since", "kind": "date", "format": "%m/%d/%Y", "nullable": True, "optional": True},
    "active": {"wire": "status", "kind": "boolean", "lookup": {True: "A", False: None}},
}
RECORD = {
    "id": 12,
    "externalId": "E1",
    "name": {"first": "A", "last": "B"},
    "paths": [{"type": "phone", "value": "+1"}, {"type": "fax", "value": "2"}, {"type": "mail", "value": "a@b.c"}],
    "groups": ["y", "x", "y"],
    "since": "02/29/2024",
    "status": "A",
}
VALUES = {
    "target_id": "12", "number": "E1", "first": "A", "last": "B", "mail": "a@b.c", "phone": "+1", "groups": "x,y",
    "since": "2024-02-29", "active": True,
}  # fmt: skip


def interface(*, fields: dict[str, Any] | None = None, top: dict[str, Any] | None = None, **entity: Any) -> Any:
    document = {
        "auth": {"kind": "none"},
        "paging": {"kind": "none", "items": ""},
        "error": {"message": "/message"},
        "entities": {
            "people": {
                "list": "/people",
                "by_id": "/people/{id}",
                "by_key": "/people/by-key/{key}",
                "create": "/people",
                "update": {"method": "PATCH", "path": "/people/{id}"},
                "delete": "/people/{id}",
                "key": "number",
                "id": "target_id",
                "fields": fields or FIELDS,
                **entity,
            }
        },
        **(top or {}),
    }
    return HttpInterface.model_validate(document)


HTTP = interface()
WIRE = HttpWire(HTTP, name="people")


def write(http: Any, verb: Any, **values: Any) -> WireWrite:
    target_id = None if verb == "create" else "12"
    return HttpWire(http, name="people").write_for("people", verb=verb, target_id=target_id, values=values)


def without(name: str, **more: Any) -> dict[str, Any]:
    return {field: {**value, **more.get(field, {})} for field, value in FIELDS.items() if field != name}


def test_a_record_is_read_from_its_places() -> None:
    assert record_of(RECORD, http=HTTP, entity="people") == VALUES


def test_what_is_not_there_is_null_where_it_may_be() -> None:
    bare = {**RECORD, "paths": [], "groups": None, "status": None}
    del bare["since"]
    record = record_of(bare, http=HTTP, entity="people")
    assert (record["mail"], record["phone"], record["groups"], record["since"]) == (None, None, None, None)
    assert record["active"] is False, "the code table gives null a meaning"


def test_create_builds_the_objects_and_lists_around_the_values() -> None:
    sent = write(HTTP, "create", **{name: value for name, value in VALUES.items() if name != "target_id"})
    assert (sent.method, sent.path) == ("POST", "/people")
    assert sent.body == {
        "externalId": "E1",
        "name": {"first": "A", "last": "B"},
        "paths": [{"type": "mail", "wait": 0, "value": "a@b.c"}, {"type": "phone", "value": "+1"}],
        "groups": ["x", "y"],
        "since": "02/29/2024",
        "status": "A",
    }
    assert record_of({"id": 12, **dict(sent.body or {})}, http=HTTP, entity="people") == VALUES, "what is sent is read"


def test_a_list_is_sent_whole_and_empty_where_nothing_stands_in_it() -> None:
    assert write(HTTP, "update", mail=None, phone=None).body == {"paths": []}
    assert write(HTTP, "update", mail=None, phone="+2").body == {"paths": [{"type": "phone", "value": "+2"}]}
    with pytest.raises(StopRun, match="must send mail too"):
        write(HTTP, "update", phone="+2")


def test_a_merged_object_is_sent_in_part_and_a_replaced_one_whole() -> None:
    assert write(HTTP, "update", first="C").body == {"name": {"first": "C"}}
    replaced = interface(update={"method": "PATCH", "path": "/people/{id}", "objects": "replaced"})
    with pytest.raises(StopRun, match="must send last too"):
        write(replaced, "update", first="C")
    assert write(replaced, "update", number="E2").body == {"externalId": "E2"}


def test_put_sends_every_field_and_the_constants() -> None:
    http = interface(update={"method": "PUT", "path": "/people/{id}"}, constants={"source.name": "district"})
    values = {name: value for name, value in VALUES.items() if name != "target_id"}
    body = write(http, "update", **values).body
    assert body is not None
    assert body["source"] == {"name": "district"}
    assert record_of({"id": 12, **body}, http=http, entity="people") == VALUES
    with pytest.raises(StopRun, match="must send number"):
        write(http, "update", **{name: value for name, value in values.items() if name != "number"})


def test_a_request_of_its_own_carries_only_what_it_says() -> None:
    own = {"path": "/people/{id}/deactivate", "body": {"reason": "left"}}
    http = interface(suspend_request=own)
    assert write(http, "suspend") == WireWrite("POST", "/people/12/deactivate", {"reason": "left"})
    with pytest.raises(StopRun, match="carries no fields"):
        write(http, "suspend", number="E2")
    with_companions = write(http, "suspend", mail="a@b.c", phone=None)
    assert with_companions == write(http, "suspend"), "companions come with every change"


def test_a_batch_item_names_its_record_by_id_as_the_other_side_writes_it() -> None:
    batch = {
        "path": "/people/batch", "verbs": ["update"], "items": "items", "items_max": 5, "identified_by": "id",
        "results": "/results", "status": "status",
    }  # fmt: skip
    http = interface(batch=batch)
    sent = write(http, "update", number="E2")
    assert sent == WireWrite("POST", "/people/batch", {"externalId": "E2", "id": 12})
    matched = write_at(http, sent)
    assert matched is not None
    assert matched.is_batch


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("active", "A", "lookup does not hold"),
        ("first", None, "cannot be null"),
        ("since", "29.2.2024", "ISO 8601"),
        ("target_id", "13", "cannot be sent"),
        ("shoe_size", 44, "cannot be sent"),
    ],
)
def test_a_value_that_cannot_be_sent_is_named_by_its_field(name: str, value: Value, words: str) -> None:
    with pytest.raises(StopRun, match=words) as caught:
        write(HTTP, "create", **{name: value})
    assert name in caught.value.message
    assert value is None or str(value) not in caught.value.message.replace(name, "")


@pytest.mark.parametrize(
    ("change", "pointer", "words"),
    [
        ({"id": "12"}, "/0/id", "no whole number"),
        ({"id": True}, "/0/id", "no whole number"),
        ({"name": None}, "/0/name/first", "missing"),
        ({"name": {"first": "A", "last": 7}}, "/0/name/last", "no text"),
        ({"paths": {}}, "/0/paths", "no list"),
        ({"paths": [{"type": "mail", "value": 7}]}, "/0/paths", "no text"),
        ({"paths": [{"type": "mail", "value": "a"}, {"type": "mail", "value": "b"}]}, "/0/paths", "2 items"),
        ({"groups": "x"}, "/0/groups", "no list"),
        ({"groups": ["x,y"]}, "/0/groups", "separator"),
        ({"since": "2024-02-29"}, "/0/since", "not written as"),
        ({"status": "B"}, "/0/status", "code"),
        ({"status": ["A"]}, "/0/status", "code"),
    ],
)
def test_what_is_not_as_described_is_named_by_its_place_and_never_by_value(
    change: dict[str, Any], pointer: str, words: str
) -> None:
    with pytest.raises(WrongShape, match=words) as caught:
        page_of([{**RECORD, **change}], http=HTTP, entity="people")
    assert caught.value.pointer == pointer


def test_a_code_that_no_table_holds_is_kept_where_the_description_says_so() -> None:
    kept = interface(
        fields={**FIELDS, "kind": {"wire": "kind", "kind": "text", "lookup": {"S": 1}, "unlisted": "keep"}}
    )
    assert [record_of({**RECORD, "kind": kind}, http=kept, entity="people")["kind"] for kind in (1, 2, "1")] == [
        "S",
        "2",
        "1",
    ]


@pytest.mark.parametrize(
    ("form", "theirs", "ours"),
    [
        ("epoch_seconds", 1_764_000_000, "2025-11-24T16:00:00Z"),
        ("epoch_milliseconds", 1_764_000_000_000, "2025-11-24T16:00:00Z"),
        ("%Y-%m-%d %H:%M:%S", "2025-11-24 16:00:00", "2025-11-24T16:00:00Z"),
        ("%Y-%m-%dT%H:%M:%S%z", "2025-11-24T08:00:00-0800", "2025-11-24T16:00:00Z"),
    ],
)
def test_moments_are_read_as_utc_and_sent_as_the_other_side_writes_them(form: str, theirs: Any, ours: str) -> None:
    field = HttpField.model_validate({"wire": "at", "kind": "datetime", "format": form})
    assert field.shape("at").read is not None
    assert field.shape("at").read(theirs) == ours  # type: ignore[misc] # asked for above
    back = field.sent(ours)
    assert field.shape("at").read(back) == ours  # type: ignore[misc] # asked for above


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20), st.booleans())
def test_what_is_put_somewhere_is_found_there(value: str, other: str, is_in_list: bool) -> None:
    place = place_of("a.b[kind=x].c.d" if is_in_list else "a.b.c")
    body: dict[str, Any] = {}
    put(body, place, value, item={})
    put(body, place_of("a.b[kind=y].c.d" if is_in_list else "a.b.e"), other, item={})
    inner = body["a"]["b"]
    assert (picked(inner, place.pick) if place.pick is not None else inner["c"]) == value


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a[b]", "a[b=c]", "a[b=c].", "a b", "a[=c].d", "a[b=c][d=e].f"])
def test_a_place_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no place"):
        place_of(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [("a", "a.b"), ("a.b", "a"), ("a", "a"), ("a[k=1].v", "a.v"), ("a[k=1].v", "a[k=1].v"), ("a", "a[k=1].v")],
)
def test_places_that_cannot_both_be_written_are_seen(one: str, other: str) -> None:
    assert collision({"x": place_of(one), "y": place_of(other)}) == ("x", "y")


@pytest.mark.parametrize(("one", "other"), [("a.b", "a.c"), ("a[k=1].v", "a[k=2].v"), ("a[k=1].v", 'a[k="1"].v')])
def test_places_beside_each_other_are_both_written(one: str, other: str) -> None:
    assert collision({"x": place_of(one), "y": place_of(other)}) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fields": without("", first={"lookup": {"A": "a"}, "as_number": True})}, "lookup and as_number"),
        ({"fields": without("", active={"lookup": {True: "A", False: "A"}})}, "twice"),
        ({"fields": without("", active={"lookup": {"yes": "A"}})}, "kind boolean on its left"),
        ({"fields": without("", first={"format": "%Y"})}, "kind date or datetime"),
        ({"fields": without("", first={"item": {"a": 1}})}, "place in a list"),
        ({"fields": without("", first={"wire": "name"})}, "first and last cannot both be written"),
        ({"fields": without("number")}, "number is not among the fields"),
        ({"fields": without("", target_id={"kind": "integer", "as_number": False})}, "must be of the kind text"),
        ({"create": "/people/{id}"}, "nothing else in braces"),
        ({"delete": "/people"}, "must hold {id}"),
        ({"by_key": "/people"}, "must hold {key}"),
        ({"by_key": None}, "found again; give key and by_key"),
        ({"by_id": None}, "found again; give id and by_id"),
        ({"suspend": {"active": False}, "suspend_request": {"path": "/x/{id}"}}, "cannot both be"),
        ({"suspend": {"target_id": "1"}}, "read_only and cannot be set"),
        ({"top": {"query": {"o": "{organization}"}}}, "no parameter organization"),
        ({"top": {"reasons": {"moved": ["X"]}}}, "need error: reason"),
        (
            {"top": {"error": {"message": "/m", "reason": "/r"}, "reasons": {"moved": ["X"], "refused": ["X"]}}},
            "under moved and under refused",
        ),
        ({"top": {"paging": {"kind": "none", "items": "", "total": "/total"}}}, "no room for a total"),
        (
            {"top": {"paging": {"kind": "offset_limit", "offset": "o", "limit": "l", "limit_max": 1}}},
            "pages have to overlap",
        ),
        ({"top": {"paging": {"kind": "by_guess"}}}, "by_guess"),
        ({"top": {"base_path": "/v1/"}}, "base_path"),
        ({"top": {"typo": 1}}, "typo"),
    ],
)
def test_a_description_that_cannot_be_kept_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        interface(**changes)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("method", "path", "is_known"),
    [
        ("POST", "/people", True),
        ("PATCH", "/people/a%2Fb", True),
        ("DELETE", "/people/12", True),
        ("PUT", "/people/12", False),
        ("GET", "/people/12", False),
        ("DELETE", "/people", False),
        ("DELETE", "/people/..", False),
        ("DELETE", "/people/1/2", False),
        ("DELETE", "//elsewhere/people/1", False),
        ("POST", "/people?force=1", False),
    ],
)
def test_only_writes_of_the_description_are_known(method: str, path: str, is_known: bool) -> None:
    assert (write_at(HTTP, WireWrite(method, path, None)) is not None) == is_known


def test_every_clause_of_the_language_says_what_it_means() -> None:
    silent = [
        line
        for line in render_markdown().splitlines()
        if line.startswith("| `") and line.count(" | ") == 3 and line.endswith("|  |")
    ]
    assert silent == []


def test_the_printed_language_is_current() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "http-interface.md").read_text(encoding="utf-8")
    assert text == render_markdown(), "docs/http-interface.md is out of date; run: make documents"

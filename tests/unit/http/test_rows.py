"""Records of JSON answers become columns, or it is said where they are not as agreed."""

from __future__ import annotations

import pytest

from shared.http.rows import FieldShape, record_of, rows_of
from shared.http.shape import Json, WrongShape, at, parsed

SHAPES = (
    FieldShape("id", ("id",), "integer"),
    FieldShape("given_name", ("name", "given"), "text", may_miss=True),
    FieldShape("fte", ("fte",), "decimal", is_nullable=True),
)


def test_nested_fields_become_columns_and_new_ones_are_counted() -> None:
    items: Json = [
        {"id": 1, "name": {"given": "Ada"}, "fte": 1, "new": True},
        {"id": 2, "name": None, "fte": None, "new": None},
        {"id": 3, "fte": 0.5},
    ]
    rows = rows_of(items, SHAPES, pointer="/items")
    assert rows.columns == {"id": [1, 2, 3], "given_name": ["Ada", None, None], "fte": [1, None, 0.5]}
    assert (rows.length, rows.unknown_fields) == (3, {"new": 2})


@pytest.mark.parametrize(
    ("item", "pointer", "text"),
    [
        ({"name": {"given": "Secret"}, "fte": 1}, "/items/0/id", "missing"),
        ({"id": "Secret", "fte": 1}, "/items/0/id", "no integer but a str"),
        ({"id": True, "fte": 1}, "/items/0/id", "no integer but a bool"),
        ({"id": 1, "name": "Secret", "fte": 1}, "/items/0/name/given", "missing"),
        ({"id": None, "fte": 1}, "/items/0/id", "null"),
        ({"id": 2**63, "fte": 1}, "/items/0/id", "no column holds"),
        ("Secret", "/items/0", "no record"),
    ],
)
def test_a_record_of_another_shape_is_refused_with_its_place_and_without_its_value(
    item: Json, pointer: str, text: str
) -> None:
    with pytest.raises(WrongShape, match=text) as caught:
        rows_of([item], SHAPES, pointer="/items")
    assert caught.value.pointer == pointer
    assert "Secret" not in str(caught.value)


@pytest.mark.parametrize("items", [None, {"id": 1}, "text", 5])
def test_what_is_no_list_is_refused(items: Json) -> None:
    with pytest.raises(WrongShape, match="no list"):
        rows_of(items, SHAPES, pointer="/items")


def test_quick_and_thorough_reading_agree() -> None:
    flat = (FieldShape("id", ("id",), "integer"), FieldShape("mail", ("mail",), "text", is_nullable=True))
    items: list[Json] = [{"id": n, "mail": None if n % 3 else f"p{n}@example.org"} for n in range(50)]
    together = rows_of(items, flat, pointer="")
    one_by_one = [record_of(item, flat) for item in items]
    assert together.columns == {name: [row[name] for row in one_by_one] for name in ("id", "mail")}


def test_a_reader_of_its_own_says_what_is_wrong() -> None:
    def grade(found: Json) -> str:
        if not isinstance(found, int):
            raise ValueError("is no grade")
        return f"G{found}"

    shape = FieldShape("grade", ("grade",), "text", read=grade)
    assert record_of({"grade": 7}, [shape]) == {"grade": "G7"}
    with pytest.raises(WrongShape, match="/grade: is no grade"):
        record_of({"grade": "seven"}, [shape])


def test_pointers_are_those_of_the_rfc() -> None:
    # RFC 6901, section 5: names with a slash or a tilde are escaped.
    body: Json = {"a/b": 1, "m~n": {"": 8}}
    assert (at(body, "/a~1b"), at(body, "/m~0n/"), at(body, "")) == (1, 8, body)
    with pytest.raises(WrongShape, match="missing"):
        at(body, "/a/b")
    with pytest.raises(WrongShape, match="no JSON"):
        parsed(b"<html>")

"""What two plans over the same rows are said to differ in."""

from __future__ import annotations

from cli.comparing import Difference, differences
from shared.events.queries import ChangeView
from tests.unit.cli.documents import change_view


def changed(
    key: str, *, change_id: str, change_class: str = "update", fields: tuple[str, ...] = ("role",)
) -> ChangeView:
    made = change_view(key, **dict.fromkeys(fields, ("a", "b")))
    return made.model_copy(update={"change_id": change_id, "change_class": change_class})


def test_equal_plans_have_no_difference_in_whatever_order() -> None:
    one, other = changed("E1", change_id="1"), changed("E2", change_id="2")
    assert differences([one, other], [other, one]) == []


def test_each_difference_is_told_by_its_kind() -> None:
    old = [
        changed("E1", change_id="1"),
        changed("E3", change_id="3"),
        changed("E4", change_id="4", fields=("role", "email")),
        changed("E5", change_id="5"),
        changed("E6", change_id="6"),
    ]
    new = [
        changed("E2", change_id="2"),
        changed("E3", change_id="3b", change_class="rename"),
        changed("E4", change_id="4b"),
        changed("E5", change_id="5b"),
        changed("E6", change_id="6"),
    ]
    assert differences(old, new) == [
        Difference("only in old", "contacts", "E1", "update (role)", None),
        Difference("only in new", "contacts", "E2", None, "update (role)"),
        Difference("other class", "contacts", "E3", "update (role)", "rename (role)"),
        Difference("other fields", "contacts", "E4", "update (email, role)", "update (role)"),
        Difference("other values", "contacts", "E5", "update (role)", "update (role)"),
    ]


def test_values_that_look_alike_when_masked_still_differ() -> None:
    """Both are shown as `A…(4)`; the ids are digests over what the record will be."""
    one = change_view("E1", first_name=("A…(4)", "B…(4)"))
    (found,) = differences([one], [one.model_copy(update={"change_id": "other"})])
    assert found.kind == "other values"


def test_records_under_one_shown_key_are_compared_one_by_one() -> None:
    """Masked keys may coincide."""
    same = changed("a…(9)", change_id="1")
    (found,) = differences([same, changed("a…(9)", change_id="2")], [same])
    assert (found.kind, found.key) == ("only in old", "a…(9)")

"""What a reviewer sees of a personal value: its first sign and its length."""

from __future__ import annotations

import pytest

from services.auditor.masking import masked, view_of
from shared.plan.change import Cause, Change, ChangeClass, FieldChange, Write

PERSONAL = {"staff": frozenset({"last_name"})}


def change(*, key: str = "1001", entity: str = "staff") -> Change:
    fields = (
        FieldChange(name="last_name", before="Sample", after="Example", cause=Cause.SOURCE_CHANGE),
        FieldChange(name="site", before=None, after=12, cause=Cause.SOURCE_CHANGE),
    )
    return Change(
        change_id="c1", target="hst", entity=entity, key=key, target_id=None, change_class=ChangeClass.UPDATE,
        verb="update", fields=fields, precondition=None, write=Write(method="PUT", path="/x", body=None),
        commitment_key="00", wave=1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"), [("Example", "E…(7)"), ("A", "…(1)"), ("", "…(0)"), (None, None), (42, "4…(2)"), (True, "t…(4)")]
)
def test_a_masked_value_shows_first_sign_and_length(value: str | int | bool | None, text: str | None) -> None:
    assert masked(value) == text


def test_only_personal_fields_are_masked() -> None:
    last_name, site = view_of(change(), PERSONAL).fields
    assert (last_name.before, last_name.after) == ("S…(6)", "E…(7)")
    assert (site.before, site.after) == (None, "12")


def test_an_entity_that_the_plan_does_not_describe_is_masked_whole() -> None:
    assert [field.after for field in view_of(change(entity="students"), PERSONAL).fields] == ["E…(7)", "1…(2)"]


@pytest.mark.parametrize(("key", "text"), [("1001", "1001"), ("Example", "E…(7)"), ("e@x.org", "e…(7)")])
def test_a_key_that_is_personal_is_masked_too(key: str, text: str) -> None:
    assert view_of(change(key=key), PERSONAL).key == text

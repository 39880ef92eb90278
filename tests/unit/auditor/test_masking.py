"""What a reviewer sees of a personal value: its first sign and its length."""

from __future__ import annotations

import pytest

from services.auditor.masking import CohortNames, alike_of, masked, record_of, view_of
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
        commitment_key="00" * 32, wave=1,
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


COHORT = "location=A, b=c, role=TEACHER"
COHORTS = CohortNames(("location=TL-010, role=TEACHER", "location=-, role=TEACHER", COHORT))


def test_a_change_is_in_the_cohort_where_the_guard_counted_it() -> None:
    assert COHORTS.of(change().model_copy(update={"cohort": COHORT}), frozenset({"last_name"})) == COHORT
    assert COHORTS.of(change(), frozenset()) is None


def test_a_cohort_is_not_told_that_is_none_of_the_plans_or_personal() -> None:
    assert COHORTS.of(change().model_copy(update={"cohort": "location=TL-999, role=TEACHER"}), frozenset()) is None
    told = change().model_copy(update={"cohort": COHORT})
    assert COHORTS.of(told, frozenset({"role"})) is None
    assert CohortNames(()).of(told, frozenset()) is None


def test_changes_are_alike_that_do_the_same_whatever_they_do_to_personal_fields() -> None:
    one = change()
    renamed = one.fields[0].model_copy(update={"after": "Other"})
    elsewhere = one.fields[1].model_copy(update={"after": 13})
    assert alike_of(one.model_copy(update={"fields": (renamed, one.fields[1])}), {"last_name"}) == alike_of(
        one, {"last_name"}
    )
    for other in (
        one.model_copy(update={"fields": (one.fields[0], elsewhere)}),
        one.model_copy(update={"change_class": ChangeClass.NULL_OUT}),
        one.model_copy(update={"entity": "students"}),
        one.model_copy(update={"fields": one.fields[:1]}),
    ):
        assert alike_of(other, {"last_name"}) != alike_of(one, {"last_name"})
    # Of an entity that the plan does not describe every field is personal, so no value enters the digest.
    assert alike_of(one.model_copy(update={"fields": (one.fields[0], elsewhere)}), None) == alike_of(one, None)


def test_a_record_is_known_again_by_its_own_key_alone() -> None:
    assert record_of("1001", "11" * 32) == record_of("1001", "11" * 32)
    assert record_of("1001", "11" * 32) != record_of("1001", "22" * 32)
    assert record_of("1001", "11" * 32) != record_of("1002", "11" * 32)

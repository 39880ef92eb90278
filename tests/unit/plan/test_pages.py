"""Pages written quickly are, byte for byte, what any event is on the bus."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events.envelope import body_of
from shared.hashing.canonical import INTEGER_MAX
from shared.plan.change import Aside, Change, Mark
from shared.plan.document import IndexEntry, PlanIndexPart, PlanPage
from shared.plan.pages import body_of_page
from tests.unit.plan.plan_builder import ENTITY, RUN, change
from tests.unit.plan.random_changes import ASIDES, CHANGES, HEX_32, TEXT


def page_of(changes: Sequence[Change], aside: Sequence[Aside] = ()) -> PlanPage:
    return PlanPage(run=RUN, partition=0, number=1, changes=tuple(changes), aside=tuple(aside))


@given(st.lists(CHANGES, max_size=3), st.lists(ASIDES, max_size=2))
def test_page_has_the_body_of_any_event_and_reads_back_equal(changes: list[Change], aside: list[Aside]) -> None:
    page = page_of(changes, aside)
    body = body_of_page(page)
    assert body == body_of(page)
    again = PlanPage.model_validate_json(body)
    assert again == page
    assert body_of_page(again) == body


@given(
    st.lists(
        st.builds(
            IndexEntry, change_id=HEX_32, leaf=HEX_32, target_id=st.none() | TEXT, wave=st.integers(1, INTEGER_MAX)
        ),
        max_size=3,
    )
)
def test_part_of_an_index_has_the_body_of_any_event(entries: list[IndexEntry]) -> None:
    part = PlanIndexPart(run=RUN, entity=ENTITY, partition=0, number=1, entries=tuple(entries))
    assert body_of_page(part) == body_of(part)


def test_copied_and_unchecked_changes_are_written_alike() -> None:
    mark: Mark = "deferred"
    plain = change(1)
    copied = plain.model_copy(update={"marks": (mark,), "change_id": "a" * 64})
    # In another order than the class has them.
    unchecked = Change.model_construct(**{name: getattr(plain, name) for name in reversed(Change.model_fields)})
    page = page_of([plain, copied, unchecked])
    assert body_of_page(page) == body_of(page)


def test_a_number_that_no_digest_takes_is_on_no_page() -> None:
    plain = change(1)
    page = page_of([plain.model_copy(update={"write": plain.write.model_copy(update={"body": {"role": 2**70}})})])
    with pytest.raises(orjson.JSONEncodeError):
        body_of_page(page)

"""Changes, and what was left out, cut into pages."""

from __future__ import annotations

import pytest

from services.differ.pages import ASIDES_ON_A_PAGE_MAX, cut
from shared.errors import StopRun
from shared.events.envelope import body_of
from shared.hashing.canonical import sha256_hex
from shared.plan.change import Aside, ChangeClass
from shared.plan.document import (
    PAGE_CHANGES_MAX,
)
from tests.unit.plan.plan_builder import (
    ENTITY,
    RUN,
    change,
)


def test_pages_hold_every_change_once_and_stay_below_their_bounds() -> None:
    changes = [change(n) for n in range(PAGE_CHANGES_MAX + 1)]
    pages = cut(changes, run=RUN, entity=ENTITY, partition=3)
    assert [len(page.page.changes) for page in pages] == [PAGE_CHANGES_MAX, 1]
    assert [one for page in pages for one in page.page.changes] == changes
    for page in pages:
        assert page.body == body_of(page.page)
        assert page.reference.sha256 == sha256_hex(page.body)
        assert page.reference.changes == len(page.page.changes)
    assert cut([], run=RUN, entity=ENTITY, partition=3) == []


def test_what_was_left_out_has_pages_of_its_own() -> None:
    aside = [
        Aside(
            entity=ENTITY,
            key=f"E{n}",
            target_id=f"t-{n}",
            change_class=ChangeClass.SUSPEND,
            fields=(),
            code="DIF_FIRST_MISS",
        )
        for n in range(ASIDES_ON_A_PAGE_MAX + 1)
    ]
    pages = cut([change(1)], aside, run=RUN, entity=ENTITY, partition=0)
    assert [(len(page.page.changes), len(page.page.aside)) for page in pages] == [
        (1, 0),
        (0, ASIDES_ON_A_PAGE_MAX),
        (0, 1),
    ]
    assert [one for page in pages for one in page.page.aside] == aside
    assert [page.page.number for page in pages] == [1, 2, 3]
    assert len({page.reference.subject for page in pages}) == 3


def test_wide_changes_are_cut_into_more_pages_and_one_too_wide_is_refused() -> None:
    wide = [change(n, after={"first_name": "x" * 150_000}) for n in range(5)]
    pages = cut(wide, run=RUN, entity=ENTITY, partition=0)
    assert [one for page in pages for one in page.page.changes] == wide
    assert len(pages) > 1
    with pytest.raises(StopRun, match="one change takes"):
        cut([change(1, after={"first_name": "x" * 450_000})], run=RUN, entity=ENTITY, partition=0)

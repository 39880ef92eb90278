"""What stands in quarantine, and since when."""

from __future__ import annotations

from services.monitor.labels import Names
from services.monitor.quarantine import EntityRead, Quarantines, has_seen_enough


def read(at: float, side: str = "source", entity: str = "staff", **codes: int) -> EntityRead:
    return EntityRead(entity, side, at, codes)


def after(*reads: EntityRead) -> Quarantines:
    quarantines = Quarantines(Names(), Names())
    for one in reads:
        quarantines.saw("hr", one)
    return quarantines


def test_the_last_read_says_how_many_and_the_first_in_a_row_since_when() -> None:
    quarantines = after(read(1, NRM_UNMAPPED=9), read(2), read(3, NRM_UNMAPPED=2), read(4, NRM_BAD_FORMAT=5))
    assert quarantines.records() == {("hr", "staff", "NRM_BAD_FORMAT"): 5}
    assert quarantines.since() == {("hr", "staff"): 3}


def test_a_clean_read_ends_it() -> None:
    quarantines = after(read(1, NRM_UNMAPPED=9), read(2, NRM_UNMAPPED=0))
    assert quarantines.records() == {("hr", "staff", "NRM_UNMAPPED"): 0}
    assert quarantines.since() == {}


def test_both_sides_are_added_up_and_the_older_moment_counts() -> None:
    quarantines = after(read(1, "target", NRM_UNMAPPED=1), read(2, NRM_UNMAPPED=2), read(3, entity="rooms", MADE_UP=4))
    assert quarantines.records() == {("hr", "staff", "NRM_UNMAPPED"): 3, ("hr", "rooms", "other"): 4}
    assert quarantines.since() == {("hr", "staff"): 1, ("hr", "rooms"): 3}


def test_looking_back_ends_where_each_side_was_clean_once() -> None:
    newest_first = [read(4, NRM_UNMAPPED=1), read(3, "target"), read(2, NRM_UNMAPPED=1)]
    assert not has_seen_enough(newest_first)
    assert has_seen_enough([*newest_first, read(1)])
    assert not has_seen_enough([])

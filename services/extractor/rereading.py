"""When a reading is begun anew: a list that moved while it was read page by page may stand still the next time.

Pure. Only signs of movement are worth another reading: the total moved, a record or a page came twice, the order
broke, a page was cut short. A torn answer, a page of HTML or a refused credential would be the same again, and a person
should hear of it now. It stands between the reading of one entity and what the extractor makes of a broken one.
"""

from __future__ import annotations

UNSTABLE = "SRC_UNSTABLE"
"""The code under which a source reports that the records moved while it paged through them."""
REREADS_MAX = 2
"""Readings of one entity beyond the first, in one attempt at a side."""
PAUSE_SECONDS_FIRST = 2.0
"""Before the first of them; each further one waits twice as long."""


def is_read_anew(code: str | None, *, rereads: int) -> bool:
    """Whether another reading is begun after one that ended with that code, and after so many that were begun anew."""
    return code == UNSTABLE and rereads < REREADS_MAX


def pause_seconds(rereads: int, *, chance: float) -> float:
    """How long to wait before reading anew, after `rereads` earlier times.

    `chance` is drawn from [0, 1): between half and one and a half of the pause is waited, so that two readers who
    disturb each other do not meet again.
    """
    return PAUSE_SECONDS_FIRST * 2.0**rereads * (0.5 + chance)


def told(text: str, *, rereads: int) -> str:
    """The reason of the last reading, with how often it was tried."""
    return f"{text} (read {rereads + 1} times)"

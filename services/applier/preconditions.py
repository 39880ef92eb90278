"""What a live record means for a change: go on, not needed any more, or not as the plan saw it.

Pure. The plan saw a record and committed to it; this compares what the target shows now with that commitment and with
what the change would make of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from shared.plan.change import Change, state_commitment
from shared.ports.wire import Record


class Standing(Enum):
    """How a live record stands to a change."""

    AS_PLANNED = "as_planned"
    """As the plan saw it: the write may go out."""
    ALREADY = "already"
    """As the change would make it: nothing is left to do."""
    MOVED = "moved"
    """Neither: somebody else changed it."""


def standing(
    change: Change,
    live: Record | None,
    *,
    compared_fields: Sequence[str],
    unmanaged_fields: frozenset[str] = frozenset(),
) -> Standing:
    """How the live record stands to the change; None means that the target has no such record.

    An unmanaged field is sent with a create and shown as the target likes: it says nothing of whether that was done.
    """
    if change.verb == "delete":
        if live is None:
            return Standing.ALREADY
    elif live is not None and all(
        live.get(one.name) == one.after for one in change.fields if one.name not in unmanaged_fields
    ):
        return Standing.ALREADY
    if change.precondition is None:
        return Standing.AS_PLANNED if live is None else Standing.MOVED
    if live is None:
        return Standing.MOVED
    key = bytes.fromhex(change.commitment_key)
    shown = state_commitment(key, {name: live.get(name) for name in compared_fields})
    return Standing.AS_PLANNED if shown == change.precondition else Standing.MOVED

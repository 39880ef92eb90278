"""Reading a list that is cut by positions, of which nobody tells how long it is.

Each question begins at the last record of the answer before, so that a list that shifts in between is noticed: another
record comes first then. The list is at its end only when that record comes alone, and nothing behind it. An answer that
is cut short is no end: the next question finds what it left out, or a list that does not fit; also where every answer
is cut to its first record, as a list of one is sent as that record. An empty list is asked for twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from shared.errors import StopRun

Key = tuple[object, ...]


@dataclass(frozen=True)
class Stretch:
    """The records between two positions, as they came."""

    items: list[object]
    keys: Sequence[Key]
    """What tells each record apart."""
    sha256: str


async def whole_list(
    ask: Callable[[int, int], Awaitable[Stretch]], *, place: str, records: int, stretches_max: int
) -> list[Stretch]:
    """Every record once, in stretches, the overlapping ones taken out.

    `ask` takes the first and the last position, both counted from 1 and both included; `place` says in messages which
    list it is; `records` (2 or more) is how many are asked for at once. `StopRun` when the list moved.
    """
    first = await ask(1, records)
    _require_length(first, records, place)
    if not first.items:
        if (await ask(1, records)).items:
            raise _moved(place, "it was empty, and then it was not")
        return []
    found, before, position = [first], first.keys[-1], len(first.items)
    for _ in range(stretches_max):
        stretch = await ask(position, position + records - 1)
        _require_length(stretch, records, place)
        if not stretch.keys or stretch.keys[0] != before:
            raise _moved(place, f"another record stands at position {position} than before")
        if len(stretch.items) == 1:
            if (await ask(position + 1, position + records)).items:
                raise _moved(place, f"it ended at position {position}, and then it did not")
            return found
        found.append(Stretch(stretch.items[1:], stretch.keys[1:], stretch.sha256))
        before, position = stretch.keys[-1], position + len(stretch.items) - 1
    raise StopRun("SRC_INCOMPLETE", f"{place}: not at its end after {stretches_max} questions (pages_max)")


def _require_length(stretch: Stretch, records: int, place: str) -> None:
    if len(stretch.items) > records:
        text = f"{place}: {len(stretch.items)} records came where {records} were asked for; positions are not heeded"
        raise StopRun("SRC_WRONG_SHAPE", text)


def _moved(place: str, text: str) -> StopRun:
    return StopRun("SRC_UNSTABLE", f"{place}: {text}; the list moved while it was read, or was cut; read it anew")

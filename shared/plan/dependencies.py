"""Which changes of a plan build on which others: what has to be carried out first, and left out together.

Pure. A change that gives something (a membership, say) builds on the change of an earlier wave that makes the record
it names; a delete builds on the changes of earlier waves that take away what hangs on the record. Records of one entity
may build on each other, as units do on the unit above them: their changes stand in one wave and follow each other by
generation. What becomes of a change when another did not take effect is the applier's to decide.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Final

from shared.plan.change import DESTRUCTIVE, Change
from shared.plan.document import EntityPlan
from shared.ports.wire import Value

_MAKING: Final = frozenset({"create", "reactivate"})
"""Verbs that bring a record to life."""


class Dependencies:
    """What the changes of one plan build on."""

    def __init__(self, changes: Sequence[Change], entities: Iterable[EntityPlan]) -> None:
        self.changes: Sequence[Change] = changes
        needs = {one.entity: one.needs for one in entities}
        self._builds_on: dict[str, tuple[str, ...]] = {}
        self._generations: Mapping[str, int] = {}
        if not any(needs.values()):
            return
        needed_by: dict[str, list[str]] = defaultdict(list)
        for entity, needed in needs.items():
            for other in needed:
                needed_by[other].append(entity)
        made = _made_by(changes, needed_by)
        taken = _taken_by(changes, needs)
        for change in changes:
            if change.verb == "delete":
                found = _uses_of(change, needed_by.get(change.entity, ()), taken)
            elif change.change_class not in DESTRUCTIVE:
                found = _makers_for(change, needs.get(change.entity, ()), made)
            else:
                continue
            earlier = tuple(one.change_id for one in found if one.wave < change.wave)
            if earlier:
                self._builds_on[change.change_id] = earlier
        among = [entity for entity, needed in needs.items() if entity in needed]
        self._order_within(changes, among, made)

    def builds_on(self, change_id: str) -> tuple[str, ...]:
        """The changes that this one builds on directly."""
        return self._builds_on.get(change_id, ())

    def generation(self, change_id: str) -> int:
        """How many changes of its own entity have to come before it, one after the other; 0 for most."""
        return self._generations.get(change_id, 0)

    def _order_within(
        self, changes: Iterable[Change], among: Sequence[str], made: Mapping[tuple[str, str], Change]
    ) -> None:
        """Have the records of these entities built after those of the same entity that they name."""
        parents: dict[str, tuple[str, ...]] = {}
        for change in changes:
            if change.entity in among and change.change_class not in DESTRUCTIVE:
                found = _makers_for(change, (change.entity,), made)
                parents[change.change_id] = tuple(
                    one.change_id for one in found if one.change_id != change.change_id and one.wave == change.wave
                )
        self._generations = _generations(parents)
        for change_id in self._generations:
            if parents[change_id]:
                self._builds_on[change_id] = (*self.builds_on(change_id), *parents[change_id])


def _generations(parents: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """By change, how long the longest way to one without parents is; changes in or behind a ring are left out."""
    children: dict[str, list[str]] = defaultdict(list)
    left = {}
    for change_id, named in parents.items():
        left[change_id] = len(named)
        for parent in named:
            children[parent].append(change_id)
    found: dict[str, int] = {}
    present = [change_id for change_id, open_parents in left.items() if not open_parents]
    for generation in count():  # bounded: each takes at least one change
        if not present:
            return found
        following = []
        for change_id in present:
            found[change_id] = generation
            for child in children[change_id]:
                left[child] -= 1
                if not left[child]:
                    following.append(child)
        present = following
    return found


def _made_by(changes: Iterable[Change], needed_by: Mapping[str, Sequence[str]]) -> dict[tuple[str, str], Change]:
    """The change that makes a record, by entity and each name that others may know the record by."""
    made = {}
    for change in changes:
        if change.verb in _MAKING and change.entity in needed_by:
            for name in (change.key, change.target_id):
                if name is not None:
                    made[change.entity, name] = change
    return made


def _taken_by(changes: Iterable[Change], needs: Mapping[str, Sequence[str]]) -> dict[tuple[str, str], list[Change]]:
    """The changes that take something away, by entity and each value that they name."""
    taken: dict[tuple[str, str], list[Change]] = defaultdict(list)
    for change in changes:
        if change.change_class in DESTRUCTIVE and needs.get(change.entity):
            values = (value for field in change.fields for value in (field.before, field.after))
            for name in _names_in(values):
                taken[change.entity, name].append(change)
    return taken


def _makers_for(change: Change, needed: Sequence[str], made: Mapping[tuple[str, str], Change]) -> tuple[Change, ...]:
    names = _names_in(field.after for field in change.fields)
    found = {one.change_id: one for name in names for entity in needed if (one := made.get((entity, name))) is not None}
    return tuple(found.values())


def _uses_of(
    change: Change, users: Sequence[str], taken: Mapping[tuple[str, str], Sequence[Change]]
) -> tuple[Change, ...]:
    names = [name for name in (change.key, change.target_id) if name is not None]
    found = {one.change_id: one for name in names for entity in users for one in taken.get((entity, name), ())}
    return tuple(found.values())


def _names_in(values: Iterable[Value]) -> dict[str, None]:
    """The values that can name a record, as text, each once and in order."""
    return dict.fromkeys(str(value) for value in values if isinstance(value, str | int) and not isinstance(value, bool))

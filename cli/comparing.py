"""What differs between two plans over the same rows: records that only one changes, and records changed otherwise.

Pure. Values are masked in what is compared here; that two changes of a record lead to other values shows in their ids,
which are digests over what the record will be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from shared.events.queries import ChangeView

Kind = Literal["only in old", "only in new", "other class", "other fields", "other values"]
KINDS: tuple[Kind, ...] = ("only in old", "only in new", "other class", "other fields", "other values")


@dataclass(frozen=True, slots=True)
class Difference:
    """One record whose change is not the same in both plans."""

    kind: Kind
    entity: str
    key: str
    old: str | None
    """Class of the change and its fields; None where there is none."""
    new: str | None

    def document(self) -> dict[str, str | None]:
        """As `--json` prints it."""
        return {"kind": self.kind, "entity": self.entity, "key": self.key, "old": self.old, "new": self.new}


def differences(old: Iterable[ChangeView], new: Iterable[ChangeView]) -> list[Difference]:
    """All differences in the order of entity and key.

    Of several changes under one shown key, each is compared with one of the other plan in their order.
    """
    before, after = _by_record(old), _by_record(new)
    found: list[Difference] = []
    for entity, key in sorted(before.keys() | after.keys()):
        ones, others = _unlike(before.get((entity, key), []), after.get((entity, key), []))
        for place in range(max(len(ones), len(others))):
            one = ones[place] if place < len(ones) else None
            other = others[place] if place < len(others) else None
            found.append(Difference(_kind(one, other), entity, key, _told(one), _told(other)))
    return found


def _by_record(changes: Iterable[ChangeView]) -> dict[tuple[str, str], list[ChangeView]]:
    found: dict[tuple[str, str], list[ChangeView]] = {}
    for change in changes:
        found.setdefault((change.entity, change.key), []).append(change)
    return found


def _unlike(old: Sequence[ChangeView], new: Sequence[ChangeView]) -> tuple[list[ChangeView], list[ChangeView]]:
    """Both without what is in the other: the same id, and the same fields under it."""
    ids, others = ({_identity(one) for one in each} for each in (old, new))
    return [one for one in old if _identity(one) not in others], [one for one in new if _identity(one) not in ids]


def _identity(change: ChangeView) -> tuple[str, tuple[str, ...]]:
    return change.change_id, _names(change)


def _kind(old: ChangeView | None, new: ChangeView | None) -> Kind:
    if old is None:
        return "only in new"
    if new is None:
        return "only in old"
    if old.change_class != new.change_class:
        return "other class"
    return "other fields" if _names(old) != _names(new) else "other values"


def _names(change: ChangeView) -> tuple[str, ...]:
    return tuple(sorted(field.name for field in change.fields))


def _told(change: ChangeView | None) -> str | None:
    return None if change is None else f"{change.change_class} ({', '.join(_names(change))})"

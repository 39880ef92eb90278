"""How a change is shown to a reviewer: personal values by their first sign and their length only.

Pure. The lists of personal fields and of the guard's cohorts come from the plan itself, which took them from the
contract.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from hashlib import sha256
from typing import Final

import orjson

from shared.events.queries import ChangeView, MaskedField
from shared.hashing.commitment import commit
from shared.plan.change import DESTRUCTIVE, Change, ChangeClass
from shared.plan.document import PlanHeader
from shared.ports.wire import Value

DIGEST_DIGITS: Final = 32
"""Hexadecimal digits of the short digests that group changes and name records: 128 bits."""
SEARCH_CHARS_MAX: Final = 400
"""Of one change's text to look through; what stands behind is found by nothing."""
_PERSONAL: Final = {"personal": True}
"""Stands for a personal value where changes are compared; no value of a field looks like it."""
_COHORT_FIELD: Final = re.compile(r"(?:^|, )(\w+)=")


class Masking:
    """How the changes of one plan are shown."""

    def __init__(self, header: PlanHeader) -> None:
        self.personal = {entity.entity: frozenset(entity.personal_fields) for entity in header.entities}
        self._cohorts = {
            figures.entity: CohortNames(one.cohort for one in figures.cohorts)
            for figures in header.figures.entities
            if figures.cohorts
        }

    def view(self, change: Change) -> ChangeView:
        """The change, masked, without what became of it."""
        personal = self.personal.get(change.entity)
        cohorts = self._cohorts.get(change.entity)
        return view_of(change, self.personal).model_copy(
            update={
                "wave": change.wave,
                "cohort": None if cohorts is None or personal is None else cohorts.of(change, personal),
                "alike": alike_of(change, personal),
                "record": record_of(change.key, change.commitment_key),
                "is_destructive": change.change_class in DESTRUCTIVE,
                # With a deleted record goes what only the target knew of it; of other classes nobody here knows.
                "is_irreversible": True if change.change_class is ChangeClass.DELETE else None,
                "marks": change.marks,
            }
        )

    def search_text(self, view: ChangeView) -> str:
        """What a reviewer's text is looked for in: the key and the values as they are shown, but for the masked."""
        personal = self.personal.get(view.entity)
        texts = [view.key]
        for field in view.fields:
            if personal is not None and field.name not in personal:
                texts += [text for text in (field.before, field.after) if text]
        return "\n".join(texts).lower()[:SEARCH_CHARS_MAX]


class CohortNames:
    """The guard's cohorts of one entity, known by the names in its figures, as `location=TL-010, role=TEACHER`."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        # A value may hold what looks like one more field; the fields of the contract stand in every name.
        self._fields = min((_COHORT_FIELD.findall(name) for name in self._names), key=len, default=[])

    def of(self, change: Change, personal: frozenset[str]) -> str | None:
        """The cohort in which the guard counted the change; None where that is none of the plan's, or tells of a
        personal field."""
        if change.cohort not in self._names or not personal.isdisjoint(self._fields):
            return None
        return change.cohort


def masked(value: Value) -> str | None:
    """First sign and length of a value; of a value of one sign the length alone. None stays None."""
    if value is None:
        return None
    text = shown(value) or ""
    return f"{text[:1] if len(text) > 1 else ''}…({len(text)})"


def shown(value: Value) -> str | None:
    """A value that is not personal, as text."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def view_of(change: Change, personal_fields: Mapping[str, Collection[str]]) -> ChangeView:
    """A change as a reviewer sees it; a field of an entity that the plan does not describe counts as personal.

    `personal_fields` holds the names by entity.
    """
    personal = personal_fields.get(change.entity)
    fields: list[MaskedField] = []
    hidden: set[str] = set()
    for field in change.fields:
        is_personal = personal is None or field.name in personal
        show = masked if is_personal else shown
        if is_personal:
            hidden.update(text for text in (shown(field.before), shown(field.after)) if text)
        fields.append(
            MaskedField(name=field.name, before=show(field.before), after=show(field.after), cause=field.cause.value)
        )
    return ChangeView(
        change_id=change.change_id,
        change_class=change.change_class.value,
        entity=change.entity,
        key=key_shown(change.key, is_personal=change.key in hidden),
        fields=tuple(fields),
    )


def key_shown(key: str, *, is_personal: bool) -> str:
    """A record's key: an id, unless the connector keys records by something personal, such as a mail address."""
    return (masked(key) or "") if is_personal or "@" in key else key


def alike_of(change: Change, personal: Collection[str] | None) -> str:
    """A digest that is equal for changes that do the same; of personal fields it tells only that they change."""
    fields: list[list[object]] = []
    for field in change.fields:
        if personal is None or field.name in personal:
            fields.append([field.name, _PERSONAL])
        else:
            fields.append([field.name, shown(field.before), shown(field.after)])
    return sha256(orjson.dumps([change.entity, change.change_class.value, fields])).hexdigest()[:DIGEST_DIGITS]


def record_of(key: str, commitment_key: str) -> str:
    """A commitment to a record's key, shortened: equal in every run, and nothing to who lacks the record's own key."""
    return commit(bytes.fromhex(commitment_key), key).partition(":")[2][:DIGEST_DIGITS]

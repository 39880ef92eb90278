"""What the guard wants to know of changes beyond their number: by cohort, by group, and what a declared delta covers.

Pure. A change holds only the fields that change, so this is counted while the whole record is at hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from services.differ.comparing import Drafted, Entity, cohort_of
from shared.plan.change import DESTRUCTIVE, ChangeClass
from shared.ports.wire import Record


class Counting:
    """Counts the changes of one entity into `drafted`."""

    def __init__(self, entity: Entity, drafted: Drafted) -> None:
        self._contract = entity.contract
        self._declaration_of = entity.declaration_of
        self._drafted = drafted
        self.is_needed = bool(
            entity.contract.cohort or entity.contract.membership is not None or entity.declaration_of is not None
        )
        """Whether anything is counted at all; otherwise no caller need put whole records together."""

    def count(
        self, change_class: ChangeClass, fields: Iterable[str], *, before: Record | None, after: Record
    ) -> str | None:
        """Count a change of these fields and return its cohort, None where the contract names none.

        Both records are normalised and whole, `before` is None for a create.
        """
        contract, drafted, name = self._contract, self._drafted, change_class.value
        here = after if before is None else before
        cohort = cohort_of(contract, here) if contract.cohort else None
        group = None
        if contract.membership is not None and change_class is ChangeClass.MEMBER_REMOVE:
            group = str(here[contract.membership.group])
            drafted.group_removals[group] += 1
        if cohort is not None:
            drafted.cohort_changes.setdefault(cohort, Counter())[name] += 1
        if self._declaration_of is None:
            return cohort
        declaration = self._declaration_of(change_class=change_class, before=before, after=after)
        if declaration is None:
            return cohort
        declared = drafted.declared
        declared.by_id[declaration] += 1
        declared.by_class[name] += 1
        if cohort is not None:
            declared.by_cohort.setdefault(cohort, Counter())[name] += 1
        if group is not None:
            declared.by_group[group] += 1
        if before is not None and change_class not in DESTRUCTIVE:
            declared.by_field.update(list(fields))  # a mapping would be added up by its values
        return cohort

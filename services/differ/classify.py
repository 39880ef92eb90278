"""The class of a change: the riskiest of what it does.

Pure. In falling order of risk: privilege gain, delete, suspend and leaving a group, role change, rename, a value
emptied, reactivation, joining a group, anything else. What a removal is, its rung on the ladder says
(`services.differ.removals`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from services.differ.comparing import as_text
from shared.contract.model import EntityContract
from shared.plan.change import ChangeClass
from shared.ports.wire import Value


class Classes:
    """The classes under one contract; made once, asked for every change."""

    def __init__(self, contract: EntityContract) -> None:
        fields = contract.fields
        self._privileged = {name: one.privileged for name, one in fields.items() if one.privileged is not None}
        self._roles = frozenset(name for name, one in fields.items() if one.is_role)
        self._renames = frozenset(name for name, one in fields.items() if one.is_rename) | {contract.key}
        self._suspended = frozenset(contract.removal.suspended)
        self._plain_create = ChangeClass.CREATE if contract.membership is None else ChangeClass.MEMBER_ADD

    def of_update(self, after: Mapping[str, Value], *, had_value: Iterable[str], was_suspended: bool) -> ChangeClass:
        """The class of a change to a record that exists.

        `after` are the changed fields, `had_value` names those of them that were not empty before: a first value is no
        change of role and no rename, for there was nothing that anybody relied on.
        """
        if self._gains_privilege(after):
            return ChangeClass.PRIVILEGE_GAIN
        if not self._roles.isdisjoint(had_value):
            return ChangeClass.ROLE_CHANGE
        if not self._renames.isdisjoint(had_value):
            return ChangeClass.RENAME
        if None in after.values():
            return ChangeClass.NULL_OUT
        if was_suspended and self.reactivates(after):
            return ChangeClass.REACTIVATE
        return ChangeClass.UPDATE

    def of_create(self, after: Mapping[str, Value]) -> ChangeClass:
        """The class of a new record with these values."""
        return ChangeClass.PRIVILEGE_GAIN if self._gains_privilege(after) else self._plain_create

    def reactivates(self, after: Mapping[str, Value]) -> bool:
        """Whether these changed fields end the suspension of a suspended record."""
        return not self._suspended.isdisjoint(after)

    def _gains_privilege(self, after: Mapping[str, Value]) -> bool:
        for name, privileged in self._privileged.items():
            value = after.get(name)
            if value is not None and as_text(value) in privileged:
                return True
        return False

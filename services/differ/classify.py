"""The class of a change to a record that exists: the riskiest of what it does.

Pure. In falling order of risk: role change, rename, a value emptied, reactivation, anything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shared.contract.model import EntityContract
from shared.plan.change import ChangeClass, FieldChange
from shared.ports.wire import Value


def classify(
    contract: EntityContract,
    fields: Sequence[FieldChange],
    *,
    was_suspended: bool,
    before_by_name: Mapping[str, Value],
) -> ChangeClass:
    """The class for these changed fields; `before_by_name` are the record's normalised values before."""
    changed = {one.name: one for one in fields}
    # A first value is no change of role and no rename: there was nothing that anybody relied on.
    had_value = {name for name in changed if before_by_name.get(name) is not None}
    if any(contract.fields[name].is_role for name in had_value):
        return ChangeClass.ROLE_CHANGE
    if any(contract.fields[name].is_rename for name in had_value):
        return ChangeClass.RENAME
    if any(one.after is None for one in fields):
        return ChangeClass.NULL_OUT
    if was_suspended and any(name in changed for name in contract.removal.suspended):
        return ChangeClass.REACTIVATE
    return ChangeClass.UPDATE

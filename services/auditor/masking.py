"""How a changed value is shown to a reviewer: personal ones by their first sign and their length only.

Pure. The list of personal fields comes from the plan itself, which took it from the contract.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from shared.events.queries import ChangeView, MaskedField
from shared.plan.change import Change
from shared.ports.wire import Value


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
    # A key is an id, unless the connector keys records by something personal, such as a mail address.
    is_key_hidden = change.key in hidden or "@" in change.key
    return ChangeView(
        change_id=change.change_id,
        change_class=change.change_class.value,
        entity=change.entity,
        key=(masked(change.key) or "") if is_key_hidden else change.key,
        fields=tuple(fields),
    )

"""What a simulated Snipe-IT does to the tables that users and assets refer to: create, change, delete softly.

A row that anything undeleted refers to cannot be deleted.
"""

from __future__ import annotations

from simulators.kit.gateway import Answer
from simulators.snipeit.errands import (
    Errand,
    Refused,
    changed_row,
    checked,
    created,
    new_row,
    refuse_taken,
    success,
)
from simulators.snipeit.shapes import raw, reference_counts, reference_shape, user_shape
from simulators.snipeit.store import Row


def create_reference(errand: Errand, name: str) -> Answer:
    """POST of a location, model, status label, category, company, department or manufacturer."""
    rules = errand.store[name].rules
    row = new_row(errand, name, checked(errand, name, required=rules.required))
    refuse_taken(errand, name, row)
    errand.put(name, row)
    message = f"{rules.thing} created successfully."
    return created(errand, name, row, message=message, payload=_payload(errand, name, row))


def update_reference(errand: Errand, name: str, row_id: str) -> Answer:
    """PUT and PATCH: both partial."""
    before = errand.find(name, row_id)
    after = changed_row(errand, before, checked(errand, name, required=()))
    refuse_taken(errand, name, after)
    message = f"{errand.store[name].rules.thing} updated successfully."
    return errand.written(name, before, after, message=message, payload=_payload(errand, name, after))


def delete_reference(errand: Errand, name: str, row_id: str) -> Answer:
    """DELETE: refused while anything refers to the row."""
    row = errand.find(name, row_id)
    thing = errand.store[name].rules.thing
    has_children = name == "locations" and bool(errand.store["locations"].find_live("parent_id", row["id"]))
    if has_children or any(reference_counts(errand.store, name, row["id"]).values()):
        raise Refused(f"This {thing.lower()} is in use and cannot be deleted.")
    errand.put(name, row | {"deleted_at": errand.now, "updated_at": errand.now})
    effect = "none" if errand.pretend else f"deleted {row['id']}"
    return success(f"{thing} deleted successfully.", None, effect=effect, name=name, row=row)


def shown(errand: Errand, name: str, row: Row) -> dict[str, object]:
    """The read shape of such a row."""

    def manager(user: Row) -> dict[str, object]:
        return user_shape(errand.store, user, switches=errand.switches, can_write=errand.can_write)

    return reference_shape(errand.store, name, row, user=manager, can_write=errand.can_write)


def _payload(errand: Errand, name: str, row: Row) -> dict[str, object]:
    # Locations are answered as they are read, the others as the database has them.
    return shown(errand, name, row) if name == "locations" else raw(row)

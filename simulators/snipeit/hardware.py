"""What a simulated Snipe-IT does to its assets but lending: create, change, delete softly, restore, audit.

The answer to a write is the raw row, not the shape that a read has. A change that names a holder lends the asset again,
whoever has it.
"""

from __future__ import annotations

from dataclasses import replace

from simulators.kit.gateway import Answer
from simulators.snipeit.columns import CUSTOM_PREFIX, TABLES, Column, Kind
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
from simulators.snipeit.shapes import months_later, raw
from simulators.snipeit.store import HOLDERS, Row
from simulators.snipeit.values import coerced

HOLDER_FIELDS = {f"assigned_{kind}": kind for kind in HOLDERS}
AUDIT_MONTHS = 12
_ASIDE = frozenset(HOLDER_FIELDS)


def create_asset(errand: Errand) -> Answer:
    """POST /hardware."""
    if errand.switches.has_automatic_tags and not errand.filled("asset_tag"):  # H2
        errand = replace(errand, body={**errand.body, "asset_tag": f"{errand.store['hardware'].next_id():06d}"})
    values = checked(errand, "hardware", required=("model_id", "status_id", "asset_tag"), aside=_ASIDE)
    row = new_row(errand, "hardware", values)
    if row["location_id"] is None:
        row["location_id"] = row["rtd_location_id"]
    _refuse_custom(errand, row)
    refuse_taken(errand, "hardware", row)
    row = _lent_by_body(errand, row)
    errand.put("hardware", row)
    return created(errand, "hardware", row, message="Asset created successfully. :)", payload=raw(row))


def update_asset(errand: Errand, asset_id: str) -> Answer:
    """PUT and PATCH /hardware/{id}: one and the same, both partial."""
    before = errand.find("hardware", asset_id)
    values = checked(errand, "hardware", required=(), aside=_ASIDE)
    if errand.filled("rtd_location_id") and not errand.filled("location_id"):
        values["location_id"] = values["rtd_location_id"]  # H12
    after = changed_row(errand, before, values)
    _refuse_custom(errand, after)
    refuse_taken(errand, "hardware", after)
    after = _lent_by_body(errand, after)
    return errand.written("hardware", before, after, message="Asset updated successfully.", payload=raw(after))


def delete_asset(errand: Errand, asset_id: str) -> Answer:
    """DELETE /hardware/{id}: whoever had the asset has it no more."""
    row = errand.find("hardware", asset_id)
    gone = row | {"assigned_to": None, "assigned_type": None, "deleted_at": errand.now, "updated_at": errand.now}
    errand.put("hardware", gone)
    effect = "none" if errand.pretend else f"deleted {row['id']}"
    return success("The asset was deleted successfully.", None, effect=effect, name="hardware", row=row)


def restore_asset(errand: Errand, asset_id: str) -> Answer:
    """POST /hardware/{id}/restore."""
    row = errand.find_any("hardware", asset_id)
    if row["deleted_at"] is None:
        raise Refused("This asset is not deleted, so it cannot be restored.")
    after = row | {"deleted_at": None, "updated_at": errand.now}
    refuse_taken(errand, "hardware", after)
    return errand.written("hardware", row, after, message="Asset restored successfully.", payload=None)


def audit_asset(errand: Errand, asset_id: str | None) -> Answer:
    """POST /hardware/{id}/audit, and /hardware/audit with the tag in the body."""
    row = errand.find("hardware", asset_id) if asset_id is not None else by_tag(errand, errand.body.get("asset_tag"))
    after = row | {"last_audit_date": errand.now, "updated_at": errand.now}
    after["next_audit_date"] = months_later(errand.now[: len("2026-11-22")], AUDIT_MONTHS)
    after |= chosen(errand, ("next_audit_date",))
    payload = {
        "id": row["id"],
        "asset_tag": row["asset_tag"],
        "note": errand.body.get("note"),
        "next_audit_date": after["next_audit_date"],
    }
    return errand.written("hardware", row, after, message="Asset audit successfully logged.", payload=payload)


def by_tag(errand: Errand, tag: object) -> Row:
    """The undeleted asset with a tag."""
    found = errand.store["hardware"].find_live("asset_tag", tag) if isinstance(tag, str) and tag else []
    return found[0] if found else errand.missing("hardware")


def lent(errand: Errand, asset: Row, *, kind: str, holder_id: object) -> Row:
    """An asset after it was given to somebody or something; its location becomes the holder's."""
    table = HOLDERS[kind]
    column = Column(kind=Kind.REF, table=table)
    try:
        found = coerced(f"assigned_{kind}", holder_id, column=column, has_row=errand.store.has_live)
    except ValueError:
        found = None
    holder = errand.store[table].get_live(found) if found is not None else None
    if holder is None or (kind == "asset" and holder["id"] == asset["id"]):
        raise Refused({f"assigned_{kind}": [f"The selected assigned {kind} is invalid."]})
    return asset | {
        "assigned_type": kind,
        "assigned_to": holder["id"],
        "location_id": holder["id"] if kind == "location" else holder["location_id"],
        "last_checkout": errand.now,
        "checkout_counter": asset["checkout_counter"] + 1,
        "updated_at": errand.now,
    }


def chosen(errand: Errand, names: tuple[str, ...]) -> Row:
    """The columns of an asset that a body sets to something, checked."""
    values: Row = {}
    errors: dict[str, list[str]] = {}
    for name in names:
        if errand.filled(name):
            column = TABLES["hardware"].columns[name]
            try:
                values[name] = coerced(name, errand.body[name], column=column, has_row=errand.store.has_live)
            except ValueError as error:
                errors[name] = [str(error)]
    if errors:
        raise Refused(errors)
    return values


def _lent_by_body(errand: Errand, asset: Row) -> Row:
    """Lend as a create or a change asks, without asking whether the asset is to be had (H11)."""
    for name, kind in HOLDER_FIELDS.items():
        if errand.filled(name):
            return lent(errand, asset, kind=kind, holder_id=errand.body[name])
    return asset


def _refuse_custom(errand: Errand, row: Row) -> None:
    known = {field["db_column"] for field in errand.store.custom_columns(row["model_id"])}
    for name in [name for name in row if name.startswith(CUSTOM_PREFIX) and name not in known]:
        if name in errand.body:
            errand.breach("W3", f"{name[:60]} is no custom field of this model; it was ignored")
            del row[name]

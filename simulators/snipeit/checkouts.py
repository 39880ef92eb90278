"""Lending in a simulated Snipe-IT: check-out to a user, a location or an asset, and check-in.

Only a free asset with a deployable status can be checked out, only one that somebody has can be checked in; both
refusals come with status 200.
"""

from __future__ import annotations

from typing import Any

from simulators.kit.gateway import Answer
from simulators.snipeit.columns import TABLES
from simulators.snipeit.errands import Errand, Refused, success
from simulators.snipeit.hardware import HOLDER_FIELDS, chosen, lent
from simulators.snipeit.store import HOLDERS, Row
from simulators.snipeit.values import coerced

CHECKOUT_FIELDS = frozenset(
    {"checkout_to_type", "status_id", "checkout_at", "expected_checkin", "name", "note", *HOLDER_FIELDS}
)
CHECKIN_FIELDS = frozenset({"status_id", "location_id", "name", "note", "checkin_at", "asset_tag"})


def check_out(errand: Errand, asset: Row) -> Answer:
    """Give a free asset to somebody or something."""
    _report_unknown(errand, CHECKOUT_FIELDS)
    label = errand.store["statuslabels"].get(asset["status_id"]) or {}
    if asset["assigned_to"] is not None or label.get("type") != "deployable":
        raise Refused("That asset is not available for checkout!", payload={"asset": asset["asset_tag"]})
    kind = errand.body.get("checkout_to_type")
    if not isinstance(kind, str) or kind not in HOLDERS:
        raise Refused({"checkout_to_type": ["The selected checkout to type is invalid."]})
    if errand.switches.needs_checkout_note and not errand.filled("note"):
        raise Refused({"note": ["The note field is required."]})
    values = chosen(errand, ("status_id", "expected_checkin", "name"))
    if "status_id" in values:
        label = errand.store["statuslabels"].get(values["status_id"]) or {}
        if label.get("type") != "deployable":
            raise Refused({"status_id": ["The selected status is not deployable."]})
    after = lent(errand, asset, kind=kind, holder_id=errand.body.get(f"assigned_{kind}")) | values
    if errand.filled("checkout_at"):
        after["last_checkout"] = _stamp(errand, "checkout_at", "last_checkout")
    return errand.written("hardware", asset, after, message="Asset checked out successfully.", payload=_tag(asset))


def check_in(errand: Errand, asset: Row) -> Answer:
    """Take an asset back; it goes to its default location unless the body names another."""
    _report_unknown(errand, CHECKIN_FIELDS)
    if asset["assigned_to"] is None:
        if errand.switches.has_lying_checkin:  # H10
            return success(
                "Asset checked in successfully.",
                _tag(asset),
                effect=_unchanged(errand, asset),
                name="hardware",
                row=asset,
            )
        raise Refused("That asset is already checked in.", payload=_tag(asset))
    values = chosen(errand, ("status_id", "location_id", "name"))
    after = asset | {
        "assigned_type": None,
        "assigned_to": None,
        "expected_checkin": None,
        "location_id": asset["rtd_location_id"],
        "last_checkin": errand.now,
        "checkin_counter": asset["checkin_counter"] + 1,
        "updated_at": errand.now,
    }
    after |= values
    if errand.filled("checkin_at"):
        after["last_checkin"] = _stamp(errand, "checkin_at", "last_checkin")
    return errand.written("hardware", asset, after, message="Asset checked in successfully.", payload=_tag(asset))


def _stamp(errand: Errand, name: str, column: str) -> Any:
    try:
        rule = TABLES["hardware"].columns[column]
        return coerced(name, errand.body[name], column=rule, has_row=errand.store.has_live)
    except ValueError as error:
        raise Refused({name: [str(error)]}) from None


def _tag(asset: Row) -> dict[str, object]:
    return {"asset": asset["asset_tag"]}


def _unchanged(errand: Errand, asset: Row) -> str:
    return "none" if errand.pretend else f"unchanged {asset['id']}"


def _report_unknown(errand: Errand, known: frozenset[str]) -> None:
    for name in errand.body:
        if name not in known:
            errand.breach("W3", f"{str(name)[:60]} is no field that can be written here; it was ignored")

"""What a simulated Snipe-IT does to its users: create, change, delete softly and restore.

A change of `location_id` moves the user's assets; fields of authentication are dropped without a word where the token's
user has no right over them; a user who holds or manages anything cannot be deleted.
"""

from __future__ import annotations

from typing import Any

from simulators.kit.gateway import Answer
from simulators.snipeit.access import AUTH_FIELDS, Rights
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
from simulators.snipeit.lists import count_of
from simulators.snipeit.shapes import user_shape
from simulators.snipeit.store import Row

PASSWORD_LENGTH_MIN = 8
_ASIDE = frozenset({"password", "password_confirmation", "send_welcome"})
_HELD = {
    "assets_count": "assets",
    "licenses_count": "licenses",
    "accessories_count": "accessories",
    "manages_users_count": "managed users",
    "manages_locations_count": "managed locations",
}


def create_user(errand: Errand) -> Answer:
    """POST /users."""
    values = checked(errand, "users", required=("first_name", "username"), aside=_ASIDE)
    if not values.get("ldap_import") or errand.filled("password"):
        _refuse_password(errand, is_required=not values.get("ldap_import"))
    if errand.token.rights is not Rights.SUPERUSER:
        values.pop("groups", None)  # U9
    row = new_row(errand, "users", values)
    _refuse_dates(errand, row)
    refuse_taken(errand, "users", row)
    errand.put("users", row)
    return created(errand, "users", row, message="User was successfully created.", payload=_shape(errand, row))


def update_user(errand: Errand, user_id: str) -> Answer:
    """PUT and PATCH /users/{id}."""
    before = errand.find("users", user_id)
    required = ("first_name", "username") if errand.call.method == "PUT" else ()
    values = checked(errand, "users", required=required, aside=_ASIDE)
    if errand.filled("password"):
        _refuse_password(errand, is_required=True)
    may_edit_auth = errand.token.may_edit_auth(before)
    if errand.switches.ignores_auth_fields and errand.token.rights is not Rights.SUPERUSER:
        may_edit_auth = False
    if not may_edit_auth:
        values = {name: value for name, value in values.items() if name not in AUTH_FIELDS}  # U7
    if errand.token.rights is not Rights.SUPERUSER:
        values.pop("groups", None)  # U9
    assets = errand.store.assets_of("user", before["id"])
    if assets and "company_id" in values and values["company_id"] != before["company_id"]:
        raise Refused({"company_id": ["The company cannot be changed while items are assigned to this user."]})  # U10
    after = changed_row(errand, before, values)
    _refuse_dates(errand, after)
    refuse_taken(errand, "users", after)
    more: list[str] = ["password"] if may_edit_auth and errand.filled("password") else []
    if "location_id" in values:  # U8
        moved = [asset for asset in assets if asset["location_id"] != values["location_id"]]
        for asset in moved:
            errand.put("hardware", asset | {"location_id": values["location_id"], "updated_at": errand.now})
        more += ["assets.location_id"] if moved else []
    return errand.written(
        "users", before, after, message="User was successfully updated.", payload=_shape(errand, after), more=(*more,)
    )


def delete_user(errand: Errand, user_id: str) -> Answer:
    """DELETE /users/{id}: refused while the user holds or manages anything."""
    row = errand.find("users", user_id)
    for count, things in _HELD.items():  # U11
        number = count_of(errand.store, row, count)
        if number:
            raise Refused(f"This user still has {number} {things} and cannot be deleted.")
    errand.put("users", row | {"deleted_at": errand.now, "updated_at": errand.now})
    effect = "none" if errand.pretend else f"deleted {row['id']}"
    return success("User was successfully deleted.", None, effect=effect, name="users", row=row)


def restore_user(errand: Errand, user_id: str) -> Answer:
    """POST /users/{id}/restore."""
    row = errand.find_any("users", user_id)
    if row["deleted_at"] is None:
        raise Refused("This user is not deleted, so it cannot be restored.")
    after = row | {"deleted_at": None, "updated_at": errand.now}
    refuse_taken(errand, "users", after)
    return errand.written("users", row, after, message="User was successfully restored.", payload=None)


def _shape(errand: Errand, row: Row) -> dict[str, Any]:
    return user_shape(errand.store, row, switches=errand.switches, can_write=errand.can_write)


def _refuse_password(errand: Errand, *, is_required: bool) -> None:
    password = errand.body.get("password")
    if password in {None, ""} if not isinstance(password, list | dict) else False:
        if is_required:
            raise Refused({"password": ["The password field is required."]})
        return
    if not isinstance(password, str) or len(password) < PASSWORD_LENGTH_MIN:
        raise Refused({"password": [f"The password must be at least {PASSWORD_LENGTH_MIN} characters."]})
    if errand.body.get("password_confirmation") != password:
        raise Refused({"password": ["The password confirmation does not match."]})


def _refuse_dates(errand: Errand, row: Row) -> None:
    start, end = row["start_date"], row["end_date"]
    if errand.switches.is_newer and start is not None and end is not None and end < start:  # U4
        raise Refused({"end_date": ["The end date must be a date after or equal to start date."]})

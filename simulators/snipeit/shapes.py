"""How the vendor shows a row: escaped text, dates as objects, references with names.

Pure of effects: it reads the store and returns documents. Every text of a read shape is escaped for HTML, whatever the
release; a raw row (`raw`) is not.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from datetime import date
from typing import Any

from simulators.snipeit.lists import count_of
from simulators.snipeit.store import HOLDERS, Row, Store
from simulators.snipeit.switches import SnipeSwitches

_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#039;"})
_INLINE = (
    (re.compile(r"\*\*(.+?)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"\*(.+?)\*"), r"<em>\1</em>"),
    (re.compile(r"`(.+?)`"), r"<code>\1</code>"),
    (re.compile(r"\[([^\]]+)\]\((https?://[^)\s]+)\)"), r'<a href="\2">\1</a>'),
)


def escaped(value: Any) -> Any:
    """A text as the vendor shows it."""
    return value.translate(_ENTITIES) if isinstance(value, str) else value


def markdown(value: str | None) -> str | None:
    """Notes of an asset: escaped, then inline Markdown made HTML."""
    if value is None:
        return None
    shown: str = escaped(value)
    for pattern, into in _INLINE:
        shown = pattern.sub(into, shown)
    return shown


def stamp(value: str | None) -> dict[str, str] | None:
    """A point in time as an object."""
    if value is None:
        return None
    hour = int(value[11:13])
    shown = f"{value[:11]}{hour % 12 or 12:02d}:{value[14:16]} {'AM' if hour < 12 else 'PM'}"
    return {"datetime": value, "formatted": shown}


def day(value: str | None) -> dict[str, str] | None:
    """A date as an object."""
    return {"date": value, "formatted": value} if value is not None else None


def months_later(value: str, months: int) -> str:
    """The date some months after another; the last of the month where there is no such day."""
    start = date.fromisoformat(value)
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    return date(year, month + 1, min(start.day, monthrange(year, month + 1)[1])).isoformat()


def raw(row: Row) -> dict[str, Any]:
    """A row as the database has it: flat, nothing escaped, times as ISO text."""
    shown = dict(row)
    for name in ("created_at", "updated_at", "deleted_at"):
        if shown[name] is not None:
            shown[name] = shown[name].replace(" ", "T") + ".000000Z"
    return shown


def raw_user(row: Row) -> dict[str, Any]:
    """A user's raw row: without groups and counts, which are no columns, and with permissions as text."""
    shown = raw({name: value for name, value in row.items() if name != "groups" and not name.endswith("_count")})
    if shown["permissions"] is not None:
        pairs = ",".join(f'"{key}":"{flag}"' for key, flag in shown["permissions"].items())
        shown["permissions"] = f"{{{pairs}}}"
    return shown


def user_name(row: Row) -> str:
    """A user's whole name."""
    return f"{row['first_name'] or ''} {row['last_name'] or ''}".strip()


def named(store: Store, table: str, row_id: int | None) -> dict[str, Any] | None:
    """A reference as id and name; null where it refers to nothing, or to a row that was deleted."""
    row = store[table].get_live(row_id) if row_id is not None else None
    if row is None:
        return None
    return {"id": row["id"], "name": escaped(user_name(row) if table == "users" else row["name"])}


def user_shape(store: Store, row: Row, *, switches: SnipeSwitches, can_write: bool) -> dict[str, Any]:
    """A user as lists and single reads show it."""
    groups = [each for group_id in row["groups"] if (each := named(store, "groups", group_id)) is not None]
    is_live = row["deleted_at"] is None
    shown: dict[str, Any] = {"id": row["id"], "avatar": None, "name": escaped(user_name(row))}
    plain = ["first_name", "last_name", "username", "remote", "locale", "employee_num"]
    for name in plain:
        shown[name] = escaped(row[name])
    if switches.is_newer:
        shown |= {name: escaped(row[name]) for name in ("display_name", "mobile")}
    shown |= {"manager": named(store, "users", row["manager_id"])}
    for name in ("jobtitle", "vip", "phone", "website", "address", "city", "state", "country", "zip", "email"):
        shown[name] = escaped(row[name])
    counts = ("assets_count", "licenses_count", "accessories_count", "consumables_count", "manages_users_count",
              "manages_locations_count")  # fmt: skip
    return (
        shown
        | {
            "department": named(store, "departments", row["department_id"]),
            "location": named(store, "locations", row["location_id"]),
            "company": named(store, "companies", row["company_id"]),
            "notes": escaped(row["notes"]),
            "permissions": row["permissions"],
            "activated": row["activated"],
            "autoassign_licenses": row["autoassign_licenses"],
            "ldap_import": row["ldap_import"],
            "scim_externalid": escaped(row["scim_externalid"]),
            "two_factor_enrolled": False,
            "two_factor_optin": False,
            "groups": {"total": len(groups), "rows": groups} if groups else None,
        }
        | {name: count_of(store, row, name) for name in counts}
        | {
            "created_at": stamp(row["created_at"]),
            "updated_at": stamp(row["updated_at"]),
            "start_date": day(row["start_date"]),
            "end_date": day(row["end_date"]),
            "last_login": stamp(row["last_login"]),
            "deleted_at": stamp(row["deleted_at"]),
            "available_actions": {
                "update": can_write and is_live,
                "delete": can_write and is_live,
                "clone": can_write and is_live,
                "restore": can_write and not is_live,
            },
        }
    )


def status_shape(store: Store, asset: Row) -> dict[str, Any] | None:
    """The status of an asset: its label, and whether somebody has it."""
    label = store["statuslabels"].get(asset["status_id"])
    if label is None:
        return None
    is_held = asset["assigned_to"] is not None
    return {
        "id": label["id"],
        "name": escaped(label["name"]),
        "status_type": label["type"],
        "status_meta": "deployed" if is_held else label["type"],
    }


def holder_shape(store: Store, asset: Row) -> dict[str, Any] | None:
    """Who or what has an asset."""
    kind = asset["assigned_type"]
    holder = store[HOLDERS[kind]].get(asset["assigned_to"]) if kind is not None else None
    if holder is None:
        return None
    if kind != "user":
        return {"id": holder["id"], "name": escaped(holder["name"]), "type": kind}
    return {
        "id": holder["id"],
        "username": escaped(holder["username"]),
        "name": escaped(user_name(holder)),
        "first_name": escaped(holder["first_name"]),
        "last_name": escaped(holder["last_name"]),
        "email": escaped(holder["email"]),
        "employee_number": escaped(holder["employee_num"]),
        "type": "user",
    }


def asset_shape(store: Store, row: Row, *, switches: SnipeSwitches, can_write: bool) -> dict[str, Any]:
    """An asset as lists and single reads show it."""
    model = store["models"].get(row["model_id"]) or {}
    status = status_shape(store, row)
    label = store["statuslabels"].get(row["status_id"]) or {}
    is_live = row["deleted_at"] is None
    is_free = is_live and row["assigned_to"] is None and label.get("type") == "deployable"
    months, bought = row["warranty_months"], row["purchase_date"]
    is_warranted = months is not None and bought is not None
    shown = {
        "id": row["id"],
        "name": escaped(row["name"]),
        "asset_tag": escaped(row["asset_tag"]),
        "serial": escaped(row["serial"]),
        "model": named(store, "models", row["model_id"]),
        "byod": row["byod"],
        "requestable": row["requestable"],
        "model_number": escaped(model.get("model_number")),
        "eol": f"{model['eol']} months" if model.get("eol") else None,
        "asset_eol_date": day(row["asset_eol_date"]),
        "status_label": status,
        "category": named(store, "categories", model.get("category_id")),
        "manufacturer": named(store, "manufacturers", model.get("manufacturer_id")),
        "supplier": named(store, "suppliers", row["supplier_id"]),
        "notes": markdown(row["notes"]),
        "order_number": escaped(row["order_number"]),
        "company": named(store, "companies", row["company_id"]),
        "location": named(store, "locations", row["location_id"]),
        "rtd_location": named(store, "locations", row["rtd_location_id"]),
        "image": None,
        "assigned_to": holder_shape(store, row),
        "warranty_months": f"{months} months" if months is not None else None,
        "warranty_expires": day(months_later(bought, months)) if is_warranted else None,
        "created_at": stamp(row["created_at"]),
        "updated_at": stamp(row["updated_at"]),
        "last_audit_date": stamp(row["last_audit_date"]),
        "next_audit_date": day(row["next_audit_date"]),
        "deleted_at": stamp(row["deleted_at"]),
        "purchase_date": day(bought),
        "last_checkout": stamp(row["last_checkout"]),
        "last_checkin": stamp(row["last_checkin"]),
        "expected_checkin": day(row["expected_checkin"]),
        "purchase_cost": f"{float(row['purchase_cost']):,.2f}" if row["purchase_cost"] is not None else None,
        "checkin_counter": row["checkin_counter"],
        "checkout_counter": row["checkout_counter"],
        "requests_counter": row["requests_counter"],
        "user_can_checkout": is_free and can_write,
        "custom_fields": {
            escaped(field["name"]): {
                "field": field["db_column"],
                "value": escaped(row.get(field["db_column"])),
                "field_format": field["format"],
                "element": field["element"],
            }
            for field in store.custom_columns(row["model_id"])
        },
        "available_actions": {
            "checkout": is_free and can_write,
            "checkin": is_live and can_write and row["assigned_to"] is not None,
            "clone": can_write,
            "restore": can_write and not is_live,
            "update": can_write and is_live,
            "delete": can_write and is_live,
        },
    }
    return shown | {"status": status} if switches.is_newer else shown


def reference_shape(
    store: Store, name: str, row: Row, *, user: Callable[[Row], dict[str, Any]], can_write: bool
) -> dict[str, Any]:
    """A row of any other table as lists and single reads show it; `user` shows a manager in full."""
    shown: dict[str, Any] = {"id": row["id"]}
    for column, rule in store[name].rules.columns.items():
        if rule.table and column.endswith("_id"):
            shown[column.removesuffix("_id")] = named(store, rule.table, row[column])
        elif column not in {"id", "field_ids", "created_at", "updated_at", "deleted_at"}:
            shown[column] = escaped(row[column])
    if name == "locations":
        manager = store["users"].get_live(row["manager_id"]) if row["manager_id"] is not None else None
        children = store["locations"].find_live("parent_id", row["id"])
        shown["manager"] = user(manager) if manager is not None else None
        shown["children"] = [{"id": child["id"], "name": escaped(child["name"])} for child in children]
    elif name == "models":
        shown["eol"] = f"{row['eol']} months" if row["eol"] else "None"
    return (
        shown
        | reference_counts(store, name, row["id"])
        | {
            "created_at": stamp(row["created_at"]),
            "updated_at": stamp(row["updated_at"]),
            "deleted_at": stamp(row["deleted_at"]),
            "available_actions": {"update": can_write, "delete": can_write, "clone": can_write},
        }
    )


def reference_counts(store: Store, name: str, row_id: int) -> dict[str, int]:
    """How many undeleted rows refer to one; it cannot be deleted while there is any."""

    def count(table: str, column: str) -> int:
        return len(store[table].find_live(column, row_id))

    if name in {"categories", "manufacturers"}:
        models = store["models"].find_live("category_id" if name == "categories" else "manufacturer_id", row_id)
        assets = sum(len(store["hardware"].find_live("model_id", model["id"])) for model in models)
        return {"models_count": len(models), "assets_count": assets}
    counts = {title: count(table, column) for title, (table, column) in _REFERRERS.get(name, {}).items()}
    return counts | ({"assigned_assets_count": len(store.assets_of("location", row_id))} if name == "locations" else {})


_REFERRERS = {
    "locations": {
        "assets_count": ("hardware", "location_id"),
        "rtd_assets_count": ("hardware", "rtd_location_id"),
        "users_count": ("users", "location_id"),
    },
    "models": {"assets_count": ("hardware", "model_id")},
    "statuslabels": {"assets_count": ("hardware", "status_id")},
    "companies": {"users_count": ("users", "company_id"), "assets_count": ("hardware", "company_id")},
    "departments": {"users_count": ("users", "department_id")},
}
"""Who refers to a row of a table, under the name the vendor gives to the count."""

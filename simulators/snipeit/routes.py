"""Which path of a simulated Snipe-IT leads where: the verbs it takes, the list it shows, or what it does.

Only routing: what is done stands in `users`, `hardware`, `checkouts` and `reference`, and lists are served by `app`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from simulators.kit.gateway import Answer, Call
from simulators.snipeit.checkouts import check_in, check_out
from simulators.snipeit.columns import READ_ONLY, TABLES
from simulators.snipeit.errands import Errand, Refused, document
from simulators.snipeit.hardware import (
    audit_asset,
    by_tag,
    create_asset,
    delete_asset,
    restore_asset,
    update_asset,
)
from simulators.snipeit.reference import create_reference, delete_reference, shown, update_reference
from simulators.snipeit.shapes import asset_shape, raw_user, user_shape
from simulators.snipeit.store import Row, Store
from simulators.snipeit.switches import SnipeSwitches
from simulators.snipeit.users import create_user, delete_user, restore_user, update_user

BASE = ("api", "v1")
Act = Callable[[Errand], Answer]
_DUE = ("due", "overdue", "due-or-overdue")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListAsked:
    """A list that a path stands for."""

    table: str
    fixed: Mapping[str, str] = field(default_factory=dict)
    """What the path itself filters by."""
    owner: tuple[str, str] | None = None
    """The table and id of the row whose list it is."""

    def query(self, call: Call) -> dict[str, str]:
        """The parameters that decide which rows are asked for; a list of one owner is in the order of ids."""
        return (
            {"sort": "id", "order": "asc", **self.fixed} | call.query | dict(self.fixed) if self.owner else call.query
        )

    def switches(self, switches: SnipeSwitches) -> SnipeSwitches:
        """The switches as they count for this list: what one user or place has is shown whole, archived or not."""
        return switches.model_copy(update={"shows_archived": True}) if self.owner else switches

    def is_missing(self, store: Store) -> bool:
        """Whether the row whose list it is does not exist."""
        if self.owner is None:
            return False
        table, row_id = self.owner
        return not (row_id.isdecimal() and len(row_id) <= 18 and store.has_live(table, int(row_id)))

    def refuse_missing(self, errand: Errand) -> None:
        """Say that the row whose list it is does not exist."""
        if self.owner is not None:
            errand.missing(self.owner[0])

    def shape(self, errand: Errand, row: Row) -> dict[str, Any]:
        """A row as this list shows it."""
        return read_shape(errand, self.table, row)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a path leads."""

    acts: Mapping[str, Act] = field(default_factory=dict)
    listing: ListAsked | None = None

    @property
    def methods(self) -> set[str]:
        """The verbs that the path takes."""
        return set(self.acts) | ({"GET"} if self.listing is not None else set())

    def act(self, errand: Errand) -> Answer:
        """Do what the path and the verb ask for."""
        return self.acts[errand.call.method](errand)


def route_of(call: Call) -> Route | None:
    """Find where a path leads; None where the vendor has no such path, or the simulator does not know it."""
    if call.segments[:2] != BASE:
        return None
    found: Route | None = None
    match call.segments[2:]:
        case ("hardware", *rest):
            found = _hardware(tuple(rest))
        case ("users", *rest):
            found = _users(tuple(rest))
        case ("locations" as name, row_id, "users" | "assets" as things):
            found = _owned("users" if things == "users" else "hardware", name, row_id, column="location_id")
        case ("models" as name, row_id, "assets"):
            found = _owned("hardware", name, row_id, column="model_id")
        case ("statuslabels" as name, row_id, "assetlist"):
            found = _owned("hardware", name, row_id, column="status_id")
        case (name,) if name in TABLES:
            acts: dict[str, Act] = {} if name in READ_ONLY else {"POST": lambda errand: create_reference(errand, name)}
            found = Route(acts=acts, listing=ListAsked(table=name))
        case (name, row_id) if name in TABLES:
            found = _one(name, row_id)
    return found


def read_shape(errand: Errand, name: str, row: Row) -> dict[str, Any]:
    """A row as its table's lists and single reads show it."""
    match name:
        case "users":
            return user_shape(errand.store, row, switches=errand.switches, can_write=errand.can_write)
        case "hardware":
            return asset_shape(errand.store, row, switches=errand.switches, can_write=errand.can_write)
        case _:
            return shown(errand, name, row)


def _one(name: str, row_id: str) -> Route:
    acts: dict[str, Act] = {"GET": lambda errand: _read(errand, name, errand.find(name, row_id))}
    if name not in READ_ONLY:
        acts |= {
            "PUT": lambda errand: update_reference(errand, name, row_id),
            "PATCH": lambda errand: update_reference(errand, name, row_id),
            "DELETE": lambda errand: delete_reference(errand, name, row_id),
        }
    return Route(acts=acts)


def _owned(table: str, owner: str, row_id: str, *, column: str) -> Route:
    return Route(listing=ListAsked(table=table, fixed={column: row_id}, owner=(owner, row_id)))


def _users(rest: tuple[str, ...]) -> Route | None:
    match rest:
        case ():
            return Route(acts={"POST": create_user}, listing=ListAsked(table="users"))
        case ("me",):
            return Route(acts={"GET": _me})
        case (user_id,):
            return Route(
                acts={
                    "GET": lambda errand: _read(errand, "users", errand.find("users", user_id)),
                    "PUT": lambda errand: update_user(errand, user_id),
                    "PATCH": lambda errand: update_user(errand, user_id),
                    "DELETE": lambda errand: delete_user(errand, user_id),
                }
            )
        case (user_id, "restore"):
            return Route(acts={"POST": lambda errand: restore_user(errand, user_id)})
        case (user_id, "assets"):
            fixed = {"assigned_to": user_id, "assigned_type": "user"}
            return Route(listing=ListAsked(table="hardware", fixed=fixed, owner=("users", user_id)))
    return None


def _hardware(rest: tuple[str, ...]) -> Route | None:
    found: Route | None = None
    match rest:
        case ():
            found = Route(acts={"POST": create_asset}, listing=ListAsked(table="hardware"))
        case ("bytag", tag, *verb):
            found = _of_tag(tag, tuple(verb))
        case ("byserial", serial):
            found = Route(acts={"GET": lambda errand: _by_serial(errand, serial)})
        case ("checkinbytag",):
            found = Route(acts={"POST": lambda errand: check_in(errand, by_tag(errand, errand.body.get("asset_tag")))})
        case ("audit",):
            found = Route(acts={"POST": lambda errand: audit_asset(errand, None)})
        case ("audits" | "audit" | "checkins" as what, when) if when in _DUE:
            column = "expected_checkin" if what == "checkins" else "next_audit_date"
            found = Route(acts={"GET": lambda errand: _due(errand, column=column, when=when)})
        case (asset_id, *verb):
            found = _of_asset(asset_id, tuple(verb))
    return found


def _of_tag(tag: str, verb: tuple[str, ...]) -> Route | None:
    acts: dict[tuple[str, ...], dict[str, Act]] = {
        (): {"GET": lambda errand: _by_tag(errand, tag)},
        ("checkout",): {"POST": lambda errand: check_out(errand, by_tag(errand, tag))},
        ("checkin",): {"POST": lambda errand: check_in(errand, by_tag(errand, tag))},
    }
    return Route(acts=acts[verb]) if verb in acts else None


def _of_asset(asset_id: str, verb: tuple[str, ...]) -> Route | None:
    acts: dict[tuple[str, ...], dict[str, Act]] = {
        (): {
            "GET": lambda errand: _read(errand, "hardware", errand.find_any("hardware", asset_id)),
            "PUT": lambda errand: update_asset(errand, asset_id),
            "PATCH": lambda errand: update_asset(errand, asset_id),
            "DELETE": lambda errand: delete_asset(errand, asset_id),
        },
        ("checkout",): {"POST": lambda errand: check_out(errand, errand.find("hardware", asset_id))},
        ("checkin",): {"POST": lambda errand: check_in(errand, errand.find("hardware", asset_id))},
        ("audit",): {"POST": lambda errand: audit_asset(errand, asset_id)},
        ("restore",): {"POST": lambda errand: restore_asset(errand, asset_id)},
    }
    return Route(acts=acts[verb]) if verb in acts else None


def _read(errand: Errand, name: str, row: Row) -> Answer:
    return document(read_shape(errand, name, row))


def _me(errand: Errand) -> Answer:
    """GET /users/me: the raw row of the token's user (U13)."""
    user_id = errand.token.user_id
    row = errand.store["users"].get(user_id) if user_id is not None else None
    if row is None:
        raise Refused("User not found")
    return document(raw_user(row))


def _by_tag(errand: Errand, tag: str) -> Answer:
    if errand.call.query.get("deleted") == "true":  # H8
        table = errand.store["hardware"]
        return _rows(errand, [table.rows[asset_id] for asset_id in table.find("asset_tag", tag)])
    return _read(errand, "hardware", by_tag(errand, tag))


def _by_serial(errand: Errand, serial: str) -> Answer:
    found = errand.store["hardware"].find_live("serial", serial)
    if not found:
        errand.missing("hardware")
    return _rows(errand, found)


def _rows(errand: Errand, rows: list[Row]) -> Answer:
    return document({"total": len(rows), "rows": [read_shape(errand, "hardware", row) for row in rows]})


def _due(errand: Errand, *, column: str, when: str) -> Answer:
    today = date.fromisoformat(errand.now[: len("2026-11-22")]).isoformat()
    table = errand.store["hardware"]
    found = []
    for asset_id in table.live_ids:
        value = table.rows[asset_id][column]
        if value is not None and ((value == today and when != "overdue") or (value < today and when != "due")):
            found.append(table.rows[asset_id])
    return _rows(errand, found[: errand.switches.max_results])

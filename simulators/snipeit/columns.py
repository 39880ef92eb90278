"""The tables of a simulated Snipe-IT: which columns a row has, which a caller may write, and what must be unique.

Pure description; `values` checks bodies against it, `store` keeps rows by it, `lists` filters and sorts by it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum, auto
from typing import Any

TEXT_LENGTH_MAX = 191
LONG_TEXT_LENGTH_MAX = 65_535
CUSTOM_PREFIX = "_snipeit_"


class Kind(StrEnum):
    """What a column holds."""

    TEXT = auto()
    FLAG = auto()
    NUMBER = auto()
    REF = auto()
    """The id of a row of `Column.table`."""
    DATE = auto()
    """`YYYY-MM-DD`."""
    STAMP = auto()
    """`YYYY-MM-DD HH:MM:SS`, without a zone as the vendor says it; the simulator means UTC."""
    MONEY = auto()
    REFS = auto()
    """A list of ids of `Column.table`."""
    MAP = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table."""

    kind: Kind = Kind.TEXT
    table: str = ""
    default: Any = None
    is_writable: bool = True
    is_newer: bool = False
    """Known from release 8.3 on; before, it is ignored in bodies and absent from answers."""
    length_max: int = TEXT_LENGTH_MAX
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRules:
    """What is true of every row of one table."""

    thing: str
    """The singular word of the vendor's messages, such as `User`."""
    columns: dict[str, Column]
    required: tuple[str, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    """Sets of columns whose values together belong to one undeleted row only; null takes no place."""
    length_min: dict[str, int] = field(default_factory=dict)
    indexed: tuple[str, ...] = ()
    searched: tuple[str, ...] = ()
    sort_default: str = "created_at"
    counts: tuple[str, ...] = ()
    """Counts of other rows that a list can be filtered by."""

    def writable(self, name: str, *, is_newer: bool) -> Column | None:
        """Find a column that a body may set in this release."""
        column = self.columns.get(name)
        return column if column is not None and column.is_writable and (is_newer or not column.is_newer) else None


def text(**more: Any) -> Column:
    """A column of text."""
    return Column(**more)


def _ref(table: str) -> Column:
    return Column(kind=Kind.REF, table=table)


def _flag(default: bool = False) -> Column:
    return Column(kind=Kind.FLAG, default=default)


def _stamp(*, is_writable: bool = False) -> Column:
    return Column(kind=Kind.STAMP, is_writable=is_writable)


def _counter() -> Column:
    return Column(kind=Kind.NUMBER, default=0, is_writable=False)


_TEXT, _LONG, _DATE, _NUMBER = (
    Column(),
    Column(length_max=LONG_TEXT_LENGTH_MAX),
    Column(kind=Kind.DATE),
    Column(kind=Kind.NUMBER),
)
_ADDRESS = dict.fromkeys(("address", "address2", "city", "state", "country", "zip", "phone", "fax"), _TEXT)


def _rules(thing: str, columns: dict[str, Column], **more: Any) -> TableRules:
    stamps = {"created_at": _stamp(), "updated_at": _stamp(), "deleted_at": _stamp()}
    indexed = ("name", *more.pop("indexed", ())) if "name" in columns else more.pop("indexed", ())
    if "name" in columns:
        more = {"searched": ("name",), "required": ("name",)} | more
    return TableRules(
        thing=thing,
        columns={"id": Column(kind=Kind.NUMBER, is_writable=False)} | columns | stamps,
        indexed=indexed,
        **more,
    )


_ONE_NAME = (("name",),)

TABLES: dict[str, TableRules] = {
    "companies": _rules("Company", {"name": _TEXT, "phone": _TEXT, "email": _TEXT, "notes": _LONG}, unique=_ONE_NAME),
    "groups": _rules("Group", {"name": _TEXT}, unique=_ONE_NAME),
    "manufacturers": _rules(
        "Manufacturer",
        dict.fromkeys(("name", "url", "support_url", "support_phone", "support_email"), _TEXT) | {"notes": _LONG},
        unique=_ONE_NAME,
    ),
    "suppliers": _rules("Supplier", {"name": _TEXT, "notes": _LONG} | _ADDRESS, unique=_ONE_NAME),
    "categories": _rules(
        "Category",
        {
            "name": _TEXT,
            "category_type": text(choices=("asset", "accessory", "consumable", "component", "license")),
            "require_acceptance": _flag(),
            "use_default_eula": _flag(),
            "checkin_email": _flag(),
            "notes": _LONG,
        },
        required=("name", "category_type"),
        unique=(("name", "category_type"),),
    ),
    "statuslabels": _rules(
        "Status label",
        {
            "name": _TEXT,
            "type": text(choices=("deployable", "pending", "archived", "undeployable")),
            "color": _TEXT,
            "show_in_nav": _flag(),
            "default_label": _flag(),
            "notes": _LONG,
        },
        required=("name", "type"),
        unique=_ONE_NAME,
    ),
    "fields": _rules(
        "Custom field",
        {"name": _TEXT, "db_column": _TEXT, "format": text(default="ANY"), "element": text(default="text")},
        required=("name", "db_column"),
        unique=(("db_column",),),
    ),
    "locations": _rules(
        "Location",
        {
            "name": _TEXT,
            "parent_id": _ref("locations"),
            "manager_id": _ref("users"),
            "company_id": _ref("companies"),
            "currency": _TEXT,
            "ldap_ou": _TEXT,
            "notes": _LONG,
        }
        | _ADDRESS,
        unique=_ONE_NAME,
        length_min={"name": 2},
        indexed=("parent_id", "manager_id"),
        searched=("name", "address", "city", "state", "zip", "phone", "ldap_ou"),
    ),
    "departments": _rules(
        "Department",
        {
            "name": _TEXT,
            "company_id": _ref("companies"),
            "manager_id": _ref("users"),
            "location_id": _ref("locations"),
            "notes": _LONG,
        },
        unique=(("name", "company_id"),),
    ),
    "models": _rules(
        "Model",
        {
            "name": _TEXT,
            "model_number": _TEXT,
            "category_id": _ref("categories"),
            "manufacturer_id": _ref("manufacturers"),
            "eol": _NUMBER,
            "min_amt": _NUMBER,
            "requestable": _flag(),
            "notes": _LONG,
            "field_ids": Column(kind=Kind.REFS, table="fields", default=(), is_writable=False),
        },
        required=("name", "category_id"),
        unique=(("name", "model_number"),),
        indexed=("category_id", "manufacturer_id"),
        searched=("name", "model_number"),
    ),
    "users": _rules(
        "User",
        {
            "first_name": _TEXT,
            "last_name": _TEXT,
            "display_name": text(is_newer=True),
            "username": _TEXT,
            "email": _TEXT,
            "employee_num": _TEXT,
            "jobtitle": _TEXT,
            "phone": _TEXT,
            "mobile": text(is_newer=True),
            "address": _TEXT,
            "city": _TEXT,
            "state": _TEXT,
            "country": _TEXT,
            "zip": text(length_max=10),
            "website": _TEXT,
            "notes": _LONG,
            "company_id": _ref("companies"),
            "department_id": _ref("departments"),
            "location_id": _ref("locations"),
            "manager_id": _ref("users"),
            "activated": _flag(),
            "remote": _flag(),
            "vip": _flag(),
            "start_date": _DATE,
            "end_date": _DATE,
            "ldap_import": _flag(),
            "locale": _TEXT,
            "scim_externalid": _TEXT,
            "autoassign_licenses": _flag(True),
            "groups": Column(kind=Kind.REFS, table="groups", default=()),
            "permissions": Column(kind=Kind.MAP),
            "last_login": _stamp(),
            "licenses_count": _counter(),
            "accessories_count": _counter(),
            "consumables_count": _counter(),
        },
        required=("first_name", "username"),
        unique=(("username",),),
        indexed=("username", "employee_num", "email", "manager_id", "location_id", "department_id", "company_id"),
        searched=(
            "first_name", "last_name", "display_name", "username", "email", "employee_num", "jobtitle", "phone",
            "mobile", "address", "city", "state", "zip", "country", "website", "notes",
        ),
        sort_default="first_name",
        counts=("assets_count", "licenses_count", "accessories_count", "consumables_count", "manages_users_count",
                "manages_locations_count"),
    ),
    "hardware": _rules(
        "Asset",
        {
            "name": _TEXT,
            "asset_tag": _TEXT,
            "serial": _TEXT,
            "model_id": _ref("models"),
            "status_id": _ref("statuslabels"),
            "supplier_id": _ref("suppliers"),
            "company_id": _ref("companies"),
            "location_id": _ref("locations"),
            "rtd_location_id": _ref("locations"),
            "order_number": _TEXT,
            "notes": _LONG,
            "warranty_months": _NUMBER,
            "purchase_date": _DATE,
            "purchase_cost": Column(kind=Kind.MONEY),
            "asset_eol_date": _DATE,
            "next_audit_date": _DATE,
            "expected_checkin": _DATE,
            "requestable": _flag(),
            "byod": _flag(),
            "assigned_type": text(choices=("user", "location", "asset"), is_writable=False),
            "assigned_to": Column(kind=Kind.NUMBER, is_writable=False),
            "last_audit_date": _stamp(),
            "last_checkout": _stamp(),
            "last_checkin": _stamp(),
            "checkin_counter": _counter(),
            "checkout_counter": _counter(),
            "requests_counter": _counter(),
        },
        required=("model_id", "status_id", "asset_tag"),
        unique=(("asset_tag",), ("serial",)),
        indexed=("asset_tag", "serial", "model_id", "status_id", "location_id", "rtd_location_id", "company_id",
                 "assigned_to", "order_number"),
        searched=("name", "asset_tag", "serial", "order_number", "notes"),
    ),
}  # fmt: skip
"""In an order in which a row's references are mostly read before it; users and locations refer to each other."""

READ_ONLY = ("groups", "suppliers", "fields")
"""Tables that the simulator only lists."""

"""What Snipe-IT has: entities, their paths, columns and what of a column can be written, as data. Pure.

Names and places follow the vendor's source code of release 8.1.4 and newer single files of it (read 2026-11-22). How a
value is read stands in `records`, how a change goes out in `wire`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from shared.errors import StopRun
from shared.ports.system import Column
from shared.ports.wire import ChangeVerb

BASE_PATH: Final = "/api/v1"
TARGET_ID: Final = "target_id"
CHECKOUTS: Final = "checkouts"
HARDWARE: Final = "hardware"
CUSTOM_COLUMNS: Final = tuple(f"custom_{number}" for number in range(1, 11))
"""Columns of hardware that a connection's `custom_fields` fills."""

Form = Literal["text", "id", "months", "amount", "boolean", "date", "datetime"]
"""How a value is written: `id` and `months` are whole numbers there and text of digits here."""

_KINDS: Final[Mapping[Form, Literal["text", "boolean", "date", "datetime"]]] = {
    "text": "text",
    "id": "text",
    "months": "text",
    "amount": "text",
    "boolean": "boolean",
    "date": "date",
    "datetime": "datetime",
}


@dataclass(frozen=True)
class SnipeField:
    """One column."""

    column: str
    place: str
    """Where it stands in the read shape: a name, or names joined by `/`."""
    form: Form = "text"
    body: str | None = None
    """Its name in the body of a write; None for what only the other side sets."""
    may_miss: bool = True
    """Whether a record may lack it, as those of another release do."""


@dataclass(frozen=True)
class SnipeEntity:
    """One kind of record."""

    path: str
    """Of its list, below the base path."""
    fields: Sequence[SnipeField]
    key: str = TARGET_ID
    """The column of our key."""
    found_by: Literal["filter", "search", "tag", "holder"] | None = None
    """How one record is asked for by our key: a filter of the whole value, the free-text search, the path of a tag, or
    the tag's holder; None for what is only read."""
    verbs: frozenset[ChangeVerb] = frozenset()
    """What can be done to it."""
    ignored: frozenset[str] = frozenset()
    """Names in its records that are known and not read."""


_WRITTEN: Final[frozenset[ChangeVerb]] = frozenset({"create", "update", "suspend", "reactivate", "delete"})
_ID: Final = SnipeField(TARGET_ID, "id", "id", may_miss=False)
_CREATED: Final = SnipeField("created_at", "created_at", "datetime")
_ALWAYS_IGNORED: Final = frozenset({"available_actions", "created_by", "deleted_at", "image", "updated_at"})


def _own(name: str, form: Form = "text", *, may_miss: bool = True) -> SnipeField:
    return SnipeField(name, name, form, body=name, may_miss=may_miss)


def _reference(name: str, *, place: str | None = None, is_written: bool = True) -> tuple[SnipeField, SnipeField]:
    """The id of what is referred to, and its name for people."""
    place = place or name
    return (
        SnipeField(f"{name}_id", f"{place}/id", "id", body=f"{name}_id" if is_written else None),
        SnipeField(name, f"{place}/name"),
    )


_ADDRESS: Final = tuple(map(_own, ("address", "city", "state", "country", "zip")))

ENTITIES: Final[Mapping[str, SnipeEntity]] = {
    "users": SnipeEntity(
        path="/users",
        fields=(
            _ID,
            _own("employee_num"),
            _own("username", may_miss=False),
            _own("first_name"),
            _own("last_name"),
            _own("display_name"),
            _own("email"),
            _own("jobtitle"),
            _own("phone"),
            _own("mobile"),
            _own("website"),
            *_ADDRESS,
            _own("notes"),
            _own("locale"),
            *_reference("company"),
            *_reference("department"),
            *_reference("location"),
            *_reference("manager"),
            _own("activated", "boolean", may_miss=False),
            _own("remote", "boolean"),
            _own("vip", "boolean"),
            _own("autoassign_licenses", "boolean"),
            _own("start_date", "date"),
            _own("end_date", "date"),
            SnipeField("ldap_import", "ldap_import", "boolean"),
            _CREATED,
        ),
        key="employee_num",
        found_by="filter",
        verbs=_WRITTEN,
        ignored=_ALWAYS_IGNORED
        | {"avatar", "name", "permissions", "groups", "last_login", "two_factor_enrolled", "two_factor_optin"}
        | {"assets_count", "licenses_count", "accessories_count", "consumables_count", "scim_externalid", "companies"}
        | {"manages_users_count", "manages_locations_count"},
    ),
    HARDWARE: SnipeEntity(
        path="/hardware",
        fields=(
            _ID,
            _own("asset_tag", may_miss=False),
            _own("name"),
            _own("serial"),
            *_reference("model"),
            SnipeField("model_number", "model_number"),
            *_reference("status", place="status_label"),
            SnipeField("status_type", "status_label/status_type"),
            *_reference("category", is_written=False),
            *_reference("manufacturer", is_written=False),
            *_reference("supplier"),
            *_reference("company"),
            *_reference("location"),
            *_reference("rtd_location"),
            _own("order_number"),
            _own("purchase_date", "date"),
            _own("purchase_cost", "amount"),
            _own("warranty_months", "months"),
            _own("notes"),
            SnipeField("holder_type", "assigned_to/type"),
            SnipeField("holder_id", "assigned_to/id", "id"),
            SnipeField("holder_name", "assigned_to/name"),
            SnipeField("holder_username", "assigned_to/username"),
            SnipeField("holder_employee_num", "assigned_to/employee_number"),
            SnipeField("expected_checkin", "expected_checkin", "date"),
            SnipeField("last_checkout", "last_checkout", "datetime"),
            _CREATED,
            *(SnipeField(name, f"custom_fields/{name}") for name in CUSTOM_COLUMNS),
        ),
        key="asset_tag",
        found_by="tag",
        verbs=_WRITTEN,
        ignored=_ALWAYS_IGNORED
        | {"status", "eol", "asset_eol_date", "warranty_expires", "last_audit_date", "next_audit_date", "last_checkin"}
        | {"checkin_counter", "checkout_counter", "requests_counter", "user_can_checkout", "byod", "requestable"}
        | {"qr", "alt_barcode", "age", "book_value", "assigned_type", "depreciation"},
    ),
    CHECKOUTS: SnipeEntity(
        path="/hardware",
        fields=(
            _ID,
            SnipeField("checkout_key", "checkout_key"),
            SnipeField("asset_id", "id", "id", body="asset_id"),
            SnipeField("asset_tag", "asset_tag"),
            SnipeField("user_id", "user_id", "id", body="assigned_user"),
            SnipeField("employee_num", "employee_num"),
            SnipeField("username", "username"),
        ),
        key="checkout_key",
        found_by="holder",
        verbs=frozenset({"create", "delete"}),
    ),
    "locations": SnipeEntity(
        path="/locations",
        fields=(
            _ID,
            _own("name", may_miss=False),
            *_ADDRESS,
            _own("phone"),
            _own("ldap_ou"),
            *_reference("parent"),
            *_reference("manager"),
            _CREATED,
        ),
        key="name",
        found_by="search",
        verbs=_WRITTEN,
        ignored=_ALWAYS_IGNORED
        | {"children", "currency", "address2", "fax", "notes", "company", "tag_color", "assigned_accessories_count"}
        | {"accessories_count", "assigned_assets_count", "assets_count", "rtd_assets_count", "users_count"}
        | {"children_count", "components_count", "consumables_count"},
    ),
    "models": SnipeEntity(
        path="/models",
        fields=(
            _ID,
            _own("name", may_miss=False),
            _own("model_number"),
            *_reference("category"),
            *_reference("manufacturer"),
            *_reference("fieldset"),
            _own("eol", "months"),
            _own("notes"),
            _CREATED,
        ),
        key="name",
        found_by="search",
        verbs=_WRITTEN,
        ignored=_ALWAYS_IGNORED
        | {"depreciation", "assets_count", "default_fieldset_values", "requestable", "min_amt", "remaining"}
        | {"assets_assigned_count", "assets_archived_count", "require_serial", "tag_color"},
    ),
    "statuslabels": SnipeEntity(
        path="/statuslabels",
        fields=(_ID, SnipeField("name", "name", may_miss=False), SnipeField("type", "type"), _CREATED),
        ignored=_ALWAYS_IGNORED | {"color", "show_in_nav", "default_label", "assets_count", "notes"},
    ),
    "categories": SnipeEntity(
        path="/categories",
        fields=(
            _ID,
            SnipeField("name", "name", may_miss=False),
            SnipeField("category_type", "category_type"),
            _CREATED,
        ),
        ignored=_ALWAYS_IGNORED
        | {"eula", "has_eula", "use_default_eula", "checkin_email", "require_acceptance", "item_count", "notes"}
        | {"assets_count", "accessories_count", "consumables_count", "components_count", "licenses_count"}
        | {"alert_on_response", "tag_color"},
    ),
    "companies": SnipeEntity(
        path="/companies",
        fields=(_ID, SnipeField("name", "name", may_miss=False), SnipeField("email", "email"), _CREATED),
        ignored=_ALWAYS_IGNORED
        | {"phone", "fax", "assets_count", "licenses_count", "accessories_count", "consumables_count"}
        | {"components_count", "users_count", "notes", "tag_color"},
    ),
    "departments": SnipeEntity(
        path="/departments",
        fields=(
            _ID,
            SnipeField("name", "name", may_miss=False),
            *_reference("company", is_written=False),
            *_reference("manager", is_written=False),
            *_reference("location", is_written=False),
            _CREATED,
        ),
        ignored=_ALWAYS_IGNORED | {"phone", "fax", "users_count", "notes", "tag_color"},
    ),
    "manufacturers": SnipeEntity(
        path="/manufacturers",
        fields=(_ID, SnipeField("name", "name", may_miss=False), _CREATED),
        ignored=_ALWAYS_IGNORED
        | {"url", "support_url", "warranty_lookup_url", "support_phone", "support_email", "assets_count", "notes"}
        | {"licenses_count", "consumables_count", "accessories_count", "components_count", "tag_color"},
    ),
}
"""By the names that connectors use."""


def entity_of(entity: str) -> SnipeEntity:
    """What is known of an entity; `StopRun` for an unknown one."""
    try:
        return ENTITIES[entity]
    except KeyError:
        known = ", ".join(sorted(ENTITIES))
        raise StopRun("SRC_CONFIG", f"entity {entity}: is not known to snipeit; there are: {known}") from None


def columns_of(entity: str) -> Sequence[Column]:
    """The columns of an entity; `StopRun` for an unknown one."""
    return tuple(
        Column(field.column, _KINDS[field.form], is_required=not field.may_miss) for field in entity_of(entity).fields
    )

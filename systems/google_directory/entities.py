"""What Google's directory has: entities, where they lie, their columns and the scopes they need, as data. Pure.

Names follow the vendor's discovery document (admin.directory_v1, revision 20261104, read 2026-11-22). How a change goes
out stands in `wire`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from shared.errors import StopRun
from shared.http.rows import FieldShape, Kind
from shared.http.shape import Json
from shared.ports.system import Column
from shared.ports.wire import Value

BASE_PATH: Final = "/admin/directory/v1"
CUSTOMER: Final = "my_customer"
"""The account of whoever asks. No other one is ever named, so that nothing can be read here and written there."""
USERS, ORG_UNITS, GROUPS, MEMBERS = "users", "org_units", "groups", "members"
ORGANIZATION: Final = "organization"
"""The type of the external id that is our key: the employee's or the student's number."""
_SCOPE: Final = "https://www.googleapis.com/auth/admin.directory."
_NEVER: Final = "1970-01-01T00:00:00.000Z"


@dataclass(frozen=True)
class GoogleEntity:
    """One kind of record."""

    name: str
    kind: str
    """What a record says that it is."""
    list_kind: str
    """What a list of them says that it is."""
    items: str
    """The name of the records in a list; an empty list may leave it out."""
    page_max: int
    """Records of one page at most."""
    shapes: Sequence[FieldShape]
    key: str
    read_scopes: tuple[str, ...]
    write_scopes: tuple[str, ...]
    has_order: bool = True
    """Whether lists of it can be asked for in the order of addresses, and in the opposite one."""

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """As connectors know them."""
        return tuple(Column(shape.name, shape.kind, is_required=not shape.may_miss) for shape in self.shapes)

    @cached_property
    def mask(self) -> str:
        """The members of a record that are asked for; without a mask a user is ten times as long."""
        made = {"membershipKey", "targetId", "groupEmail"}  # of a membership; we put them there
        names = dict.fromkeys(shape.place[0] for shape in self.shapes)
        return ",".join(("kind", *(name for name in names if name not in made)))

    @property
    def list_mask(self) -> str:
        """The same for a list."""
        return f"kind,nextPageToken,{self.items}({self.mask})"


def _text(name: str, *place: str, may_miss: bool = False) -> FieldShape:
    """Text; one without a character is no value, for Google shows an absent description so."""
    return FieldShape(name, place, "text", may_miss=may_miss, read=_filled if may_miss else _required)


def _flag(name: str, place: str) -> FieldShape:
    return FieldShape(name, (place,), "boolean", may_miss=True, read=_set)


def _moment(name: str, place: str) -> FieldShape:
    return FieldShape(name, (place,), "datetime", may_miss=True, read=_time)


def _filled(value: Json) -> Value:
    if value is None or isinstance(value, str):
        return value or None
    raise ValueError(f"is no text but a {type(value).__name__}")


def _required(value: Json) -> Value:
    if isinstance(value, str) and value:
        return value
    raise ValueError("is no text with a character")


def _set(value: Json) -> Value:
    if value is None or isinstance(value, bool):
        return bool(value)
    raise ValueError(f"is no boolean but a {type(value).__name__}")


def _time(value: Json) -> Value:
    return None if value == _NEVER else _filled(value)


def _count(value: Json) -> Value:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 12:
        return int(value)
    raise ValueError("is no whole number as text")


def _objects(value: Json) -> list[dict[str, Json]]:
    if value is None:
        return []
    if isinstance(value, list) and all(isinstance(each, dict) for each in value):
        return value
    raise ValueError("is no list of objects")


def _external_id(value: Json) -> Value:
    """The first id of our type; those of other types belong to others."""
    return next((_filled(one.get("value")) for one in _objects(value) if one.get("type") == ORGANIZATION), None)


def _of_organization(name: str) -> FieldShape:
    def read(value: Json) -> Value:
        found = _objects(value)
        chosen = next((one for one in found if one.get("primary") is True), found[0] if found else {})
        return _filled(chosen.get(name))

    column = {"title": "job_title"}.get(name, name)
    return FieldShape(column, ("organizations",), "text", may_miss=True, read=read)


def _made(name: str, place: str, kind: Kind = "text") -> FieldShape:
    return FieldShape(name, (place,), kind)


ENTITIES: Final[Mapping[str, GoogleEntity]] = {
    each.name: each
    for each in (
        GoogleEntity(
            name=USERS,
            kind="admin#directory#user",
            list_kind="admin#directory#users",
            items="users",
            page_max=500,
            shapes=(
                _text("target_id", "id"),
                FieldShape("external_id", ("externalIds",), "text", may_miss=True, read=_external_id),
                _text("email", "primaryEmail"),
                _text("given_name", "name", "givenName", may_miss=True),
                _text("family_name", "name", "familyName", may_miss=True),
                _text("display_name", "name", "displayName", may_miss=True),
                _text("org_unit_path", "orgUnitPath"),
                FieldShape("suspended", ("suspended",), "boolean"),
                _flag("archived", "archived"),
                _flag("change_password_at_next_login", "changePasswordAtNextLogin"),
                _flag("in_address_list", "includeInGlobalAddressList"),
                _text("recovery_email", "recoveryEmail", may_miss=True),
                _text("recovery_phone", "recoveryPhone", may_miss=True),
                _of_organization("department"),
                _of_organization("title"),
                _flag("is_admin", "isAdmin"),
                _flag("is_delegated_admin", "isDelegatedAdmin"),
                _text("suspension_reason", "suspensionReason", may_miss=True),
                _moment("created_at", "creationTime"),
                _moment("last_login_at", "lastLoginTime"),
            ),
            key="external_id",
            read_scopes=("user.readonly",),
            write_scopes=("user",),
        ),
        GoogleEntity(
            name=ORG_UNITS,
            kind="admin#directory#orgUnit",
            list_kind="admin#directory#orgUnits",
            items="organizationUnits",
            page_max=1,
            shapes=(
                _text("target_id", "orgUnitId"),
                _text("org_unit_path", "orgUnitPath"),
                _text("name", "name"),
                _text("parent_path", "parentOrgUnitPath"),
                _text("parent_id", "parentOrgUnitId", may_miss=True),
                _text("description", "description", may_miss=True),
            ),
            key="org_unit_path",
            read_scopes=("orgunit.readonly",),
            write_scopes=("orgunit",),
            has_order=False,
        ),
        GoogleEntity(
            name=GROUPS,
            kind="admin#directory#group",
            list_kind="admin#directory#groups",
            items="groups",
            page_max=200,
            shapes=(
                _text("target_id", "id"),
                _text("email", "email"),
                _text("name", "name", may_miss=True),
                _text("description", "description", may_miss=True),
                FieldShape("members", ("directMembersCount",), "integer", read=_count),
                _flag("admin_created", "adminCreated"),
            ),
            key="email",
            read_scopes=("group.readonly",),
            write_scopes=("group",),
        ),
        GoogleEntity(
            name=MEMBERS,
            kind="admin#directory#member",
            list_kind="admin#directory#members",
            items="members",
            page_max=200,
            shapes=(
                _made("target_id", "targetId"),
                _made("membership_key", "membershipKey"),
                _made("group_email", "groupEmail"),
                _text("member_id", "id"),
                _text("member_email", "email", may_miss=True),
                _text("role", "role", may_miss=True),
                _text("type", "type", may_miss=True),
                _text("status", "status", may_miss=True),
            ),
            key="membership_key",
            # The groups themselves are listed too, and asked for one by one.
            read_scopes=("group.readonly", "group.member.readonly"),
            write_scopes=("group.readonly", "group.member"),
            has_order=False,
        ),
    )
}
"""By the names that connectors use."""


def entity_of(entity: str) -> GoogleEntity:
    """What is known of an entity; `StopRun` for an unknown one."""
    try:
        return ENTITIES[entity]
    except KeyError:
        known = ", ".join(sorted(ENTITIES))
        raise StopRun("SRC_CONFIG", f"entity {entity}: is not known to google_directory; there are: {known}") from None


def columns_of(entity: str) -> Sequence[Column]:
    """The columns of an entity; `StopRun` for an unknown one."""
    return entity_of(entity).columns


def scopes_of(entity: str, *, may_write: bool) -> str:
    """The scopes that a token for this entity asks for, and no others."""
    described = entity_of(entity)
    return " ".join(_SCOPE + scope for scope in (described.write_scopes if may_write else described.read_scopes))

"""How records look in an answer: pure translations into the API's documents (C9, P6, V3, V4)."""

from datetime import datetime
from typing import Any

from simulators.google_directory.directory import Directory, is_renaming
from simulators.google_directory.records import Group, Membership, Unit, User, stamp
from simulators.google_directory.switches import GoogleSwitches

NEVER = "1970-01-01T00:00:00.000Z"
PUBLIC_MEMBERS = frozenset(
    ["kind", "id", "etag", "primaryEmail", "name", "emails", "organizations", "phones", "thumbnailPhotoUrl"]
)
"""What `viewType=domain_public` shows; the exact list is not documented."""


def etag(record_id: str, version: int) -> str:
    """Write an opaque version mark in quotes."""
    return f'"sim-{record_id.removeprefix("id:")}/{version}"'


def shown_email(record: User | Group, *, now: datetime, switches: GoogleSwitches) -> str:
    """The primary address as reads show it now (V3)."""
    if record.renamed_from and is_renaming(record, now=now, seconds=switches.rename_settling_seconds):
        return record.renamed_from
    return record.email


def user_document(
    user: User, directory: Directory, *, now: datetime, switches: GoogleSwitches, fresh: bool = False
) -> dict[str, Any]:
    """Show a user whole, with all custom schemas; `fresh` shows a change that is still on its way."""
    email = user.email if fresh else shown_email(user, now=now, switches=switches)
    aliases = [alias for alias in user.aliases if alias != email]
    name = {"givenName": user.given, "familyName": user.family, "fullName": f"{user.given} {user.family}"}
    if user.display is not None:
        name["displayName"] = user.display
    document: dict[str, Any] = {
        "kind": "admin#directory#user",
        "id": user.id,
        "etag": etag(user.id, user.version),
        "primaryEmail": email,
        "name": name,
        "isAdmin": user.is_admin,
        "isDelegatedAdmin": user.is_delegated_admin,
        "lastLoginTime": NEVER,
        "creationTime": stamp(user.created),
        "agreedToTerms": True,
        "suspended": user.suspended,
        "archived": user.archived,
        "changePasswordAtNextLogin": False,
        "ipWhitelisted": False,
        "includeInGlobalAddressList": True,
        "nonEditableAliases": [f"{email.partition('@')[0]}@{directory.domains[0]}.test-google-a.com"],
        "customerId": directory.customer_id,
        "orgUnitPath": directory.units[user.unit_id].path,
        "isMailboxSetup": True,
        "isEnrolledIn2Sv": False,
        "isEnforcedIn2Sv": False,
    } | user.members
    extra = [{"address": alias} for alias in aliases]
    document["emails"] = [{"address": email, "primary": True}, *user.members.get("emails", ()), *extra]
    if aliases:
        document["aliases"] = aliases
    if user.suspended and user.suspended_at is not None:
        document |= {"suspensionReason": "ADMIN", "suspensionTime": stamp(user.suspended_at)}
    if user.archived and user.archived_at is not None:
        document["archivalTime"] = stamp(user.archived_at)
    return document


def deleted_document(user: User, directory: Directory) -> dict[str, Any]:
    """Show a deleted user: little more than who it was (U11)."""
    document = {
        "kind": "admin#directory#user",
        "id": user.id,
        "etag": etag(user.id, user.version),
        "primaryEmail": user.email,
        "customerId": directory.customer_id,
    }
    return document if user.deleted_at is None else document | {"deletionTime": stamp(user.deleted_at)}


def projected(document: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
    """Leave out what projection and view do not show (U15)."""
    schemas = document.get("customSchemas", {})
    match query.get("projection", "basic"):
        case "full":
            kept = schemas
        case "custom":
            mask = query.get("customFieldMask", "").split(",")
            kept = {name: values for name, values in schemas.items() if name in mask}
        case _:
            kept = {}
    document = {name: value for name, value in document.items() if name != "customSchemas"}
    if kept:
        document["customSchemas"] = kept
    if query.get("viewType") == "domain_public":
        document = {name: value for name, value in document.items() if name in PUBLIC_MEMBERS}
    return document


def is_settled(membership: Membership, *, now: datetime, switches: GoogleSwitches) -> bool:
    """Tell whether a membership can be seen yet (V4)."""
    return (now - membership.added).total_seconds() >= switches.member_settling_seconds


def group_document(
    group: Group, directory: Directory, *, now: datetime, switches: GoogleSwitches, fresh: bool = False
) -> dict[str, Any]:
    """Show a group; the count of its members is text."""
    email = group.email if fresh else shown_email(group, now=now, switches=switches)
    members = directory.members.get(group.id, {})
    if switches.member_settling_seconds:
        count = sum(is_settled(membership, now=now, switches=switches) for membership in members.values())
    else:
        count = len(members)
    document: dict[str, Any] = {
        "kind": "admin#directory#group",
        "id": group.id,
        "etag": etag(group.id, group.version),
        "email": email,
        "name": group.name,
        "directMembersCount": str(count),
        "description": group.description,
        "adminCreated": True,
        "nonEditableAliases": [f"{email.partition('@')[0]}@{directory.domains[0]}.test-google-a.com"],
    }
    if aliases := [alias for alias in group.aliases if alias != email]:
        document["aliases"] = aliases
    if group.external_ids:
        document["externalIds"] = list(group.external_ids)
    return document


def member_document(
    membership: Membership, directory: Directory, *, now: datetime, switches: GoogleSwitches
) -> dict[str, Any]:
    """Show a member of a group; its address and status are looked up, never kept."""
    member_id = membership.member_id
    document: dict[str, Any] = {
        "kind": "admin#directory#member",
        "id": member_id,
        "etag": etag(member_id, membership.version),
        "role": membership.role,
    }
    if membership.delivery is not None:
        document["delivery_settings"] = membership.delivery
    if (user := directory.users.get(member_id)) is not None:
        email = shown_email(user, now=now, switches=switches)
        return document | {"email": email, "type": "USER", "status": "SUSPENDED" if user.suspended else "ACTIVE"}
    if (group := directory.groups.get(member_id)) is not None:
        return document | {
            "email": shown_email(group, now=now, switches=switches),
            "type": "GROUP",
            "status": "ACTIVE",
        }
    if member_id == directory.customer_id:
        return document | {"type": "CUSTOMER"}
    return document | {"email": membership.outside_email, "type": "EXTERNAL"}


def unit_document(unit: Unit, directory: Directory) -> dict[str, Any]:
    """Show an organisational unit."""
    document = {
        "kind": "admin#directory#orgUnit",
        "etag": etag(unit.id, unit.version),
        "name": unit.name,
        "description": unit.description,
        "orgUnitId": unit.id,
        "orgUnitPath": unit.path,
    }
    if unit.parent_id is not None:
        document |= {"parentOrgUnitId": unit.parent_id, "parentOrgUnitPath": directory.units[unit.parent_id].path}
    return document


def list_document(kind: str, name: str, items: list[dict[str, Any]], *, switches: GoogleSwitches) -> dict[str, Any]:
    """Show a list; without items its array is usually left out (P6)."""
    document: dict[str, Any] = {"kind": f"admin#directory#{kind}", "etag": f'"sim-list-{kind}"'}
    if items or switches.empty_list_has_key:
        document[name] = items
    return document

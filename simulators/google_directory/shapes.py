"""What bodies may hold: members and their types per resource, which are read only, which are repeated.

Pure. A value may always be null; whether that clears something is for the resource to say.
"""

from collections.abc import Callable, Mapping
from typing import Any

BODY_MEMBERS_MAX = 200

REPEATED = frozenset(
    [
        "addresses",
        "emails",
        "externalIds",
        "ims",
        "keywords",
        "languages",
        "locations",
        "organizations",
        "phones",
        "posixAccounts",
        "relations",
        "sshPublicKeys",
        "websites",
    ]
)
"""The user's arrays of objects: replaced whole, never merged (U6, U7)."""
USER_READ_ONLY = frozenset(
    [
        "agreedToTerms",
        "aliases",
        "archivalTime",
        "creationTime",
        "customerId",
        "deletionTime",
        "etag",
        "id",
        "isAdmin",
        "isDelegatedAdmin",
        "isEnforcedIn2Sv",
        "isEnrolledIn2Sv",
        "isGuestUser",
        "isMailboxSetup",
        "kind",
        "lastLoginTime",
        "nonEditableAliases",
        "suspensionReason",
        "suspensionTime",
        "thumbnailPhotoEtag",
        "thumbnailPhotoUrl",
        "guestAccountInfo",
    ]
)
"""Silently ignored in a body (U8); also what only guests have, who are not simulated."""


def _named(kind: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), kind)


SHAPES: dict[str, dict[str, str]] = {
    "User": {
        **_named("list", " ".join(sorted(REPEATED))),
        **_named("strings", "aliases nonEditableAliases"),
        **_named(
            "boolean",
            "agreedToTerms archived changePasswordAtNextLogin includeInGlobalAddressList ipWhitelisted isAdmin "
            "isDelegatedAdmin isEnforcedIn2Sv isEnrolledIn2Sv isGuestUser isMailboxSetup suspended",
        ),
        **_named(
            "string",
            "archivalTime creationTime customerId deletionTime etag hashFunction id kind lastLoginTime orgUnitPath "
            "password primaryEmail recoveryEmail recoveryPhone suspensionReason suspensionTime thumbnailPhotoEtag "
            "thumbnailPhotoUrl",
        ),
        **_named("object", "customSchemas gender guestAccountInfo notes"),
        "name": "UserName",
    },
    "UserName": _named("string", "displayName familyName fullName givenName"),
    "UserUndelete": _named("string", "orgUnitPath"),
    "UserMakeAdmin": _named("boolean", "status"),
    "Alias": _named("string", "alias etag id kind primaryEmail"),
    "Group": {
        **_named("string", "description directMembersCount email etag id kind name"),
        **_named("strings", "aliases nonEditableAliases"),
        "adminCreated": "boolean",
        "externalIds": "externalIds",
    },
    "ExternalId": _named("string", "id namespace"),
    "Member": _named("string", "delivery_settings email etag id kind role status type"),
    "OrgUnit": {
        **_named("string", "description etag kind name orgUnitId orgUnitPath parentOrgUnitId parentOrgUnitPath"),
        "blockInheritance": "boolean",
    },
    "Schema": {**_named("string", "displayName etag kind schemaId schemaName"), "fields": "fields"},
    "SchemaFieldSpec": {
        **_named("string", "displayName etag fieldId fieldName fieldType kind readAccessType"),
        **_named("boolean", "indexed multiValued"),
        "numericIndexingSpec": "object",
    },
}


_ITEM_SHAPES = {"fields": "SchemaFieldSpec", "externalIds": "ExternalId"}


def _is_list_of(value: Any, item_type: type) -> bool:
    return isinstance(value, list) and all(isinstance(item, item_type) for item in value)


_FITS: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "list": lambda value: _is_list_of(value, dict),
    "strings": lambda value: _is_list_of(value, str),
    "fields": lambda value: _is_list_of(value, dict),
    "externalIds": lambda value: _is_list_of(value, dict),
}


def body_error(body: Mapping[str, Any], shape: str, *, at: str = "") -> str | None:
    """Say what is wrong with a body first, by member; None when nothing is (C5)."""
    if len(body) > BODY_MEMBERS_MAX:
        return f"{at or 'body'} has {len(body)} members, at most {BODY_MEMBERS_MAX} fit"
    members = SHAPES[shape]
    for name, value in body.items():
        place = f"{at}.{name}" if at else name
        if name not in members:
            return f'Unknown name "{name[:60]}" at {at or "the body"}: Cannot find field.'
        if value is not None and (complaint := _type_error(value, members[name], at=place)) is not None:
            return complaint
    return None


def _type_error(value: Any, kind: str, *, at: str) -> str | None:
    if kind in SHAPES:
        return body_error(value, kind, at=at) if isinstance(value, dict) else f"Invalid value at {at}: not an object"
    if not _FITS[kind](value):
        return f"Invalid value at {at}: not of type {kind}"
    if kind in _ITEM_SHAPES:
        complaints = (body_error(item, _ITEM_SHAPES[kind], at=f"{at}[{n}]") for n, item in enumerate(value))
        return next((complaint for complaint in complaints if complaint is not None), None)
    return None

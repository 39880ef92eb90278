"""Users: list, read, make, change, delete and bring back (rules U of README.md), and the changes a body asks for."""

import re
from dataclasses import replace
from typing import Any, cast

from simulators.google_directory import custom
from simulators.google_directory.asking import Ask, Result, check_customer, check_new_address, done
from simulators.google_directory.directory import ROOT_UNIT_ID, Directory
from simulators.google_directory.errors import Refused, not_found
from simulators.google_directory.records import Unit, User
from simulators.google_directory.search import all_hold, clauses_of
from simulators.google_directory.shapes import REPEATED, USER_READ_ONLY
from simulators.google_directory.views import deleted_document, projected, shown_email, user_document

HASHES = frozenset({"MD5", "SHA-1", "crypt"})
SEARCHABLE = frozenset(
    ["email", "name", "givenName", "familyName", "orgUnitPath", "isSuspended", "isArchived", "isAdmin", "externalId"]
)
_PHONE = re.compile(r"\+[1-9][0-9]{1,14}")


def user_of(ask: Ask, key: str | None = None) -> User:
    """Find the user a call is about (U14)."""
    key = ask.keys["userKey"] if key is None else key
    user = ask.directory.find_user(key, now=ask.now, rename_settling=ask.switches.rename_settling_seconds)
    if user is None:
        raise not_found("userKey")
    return user


def check_settled(ask: Ask, user: User) -> None:
    """Refuse changes of a user that is still being made (V1)."""
    if (ask.now - user.created).total_seconds() < ask.switches.user_settling_seconds:
        raise Refused("conditionNotMet", "User creation is not complete.", code=ask.switches.user_settling_code)


def listed_ids(ask: Ask) -> list[str]:
    """List the ids that a list call asks for, in its order."""
    directory, query = ask.directory, ask.query
    if "customer" not in query and "domain" not in query:
        raise Refused("badRequest", "Bad Request", rule="P1")
    if "customer" in query:
        check_customer(directory, query["customer"])
    domain = query.get("domain", "").lower()
    if domain and domain not in directory.domains:
        raise not_found("domain")
    is_deleted = ask.flag("showDeleted")
    if is_deleted:
        directory.forget_expired(now=ask.now)
    source = directory.deleted if is_deleted else directory.users
    clauses = clauses_of(query.get("query", ""), known=SEARCHABLE)
    if not domain and not clauses and "orderBy" not in query:
        return list(source)
    exact = next((each.value for each in clauses if each.name == "externalId" and each.is_exact), None)
    # A directory of a hundred thousand is not gone through for each student.
    candidates = source.values() if exact is None or is_deleted else directory.users_by_external_id(exact)
    found = [
        user
        for user in candidates
        if (not domain or user.email.lower().endswith(f"@{domain}"))
        and (not clauses or all_hold(clauses, _searched(user, directory)))
    ]
    if "orderBy" in query:
        order = {"email": lambda u: u.email.lower(), "familyName": lambda u: (u.family.lower(), u.given.lower())}
        key = order.get(query["orderBy"], lambda u: (u.given.lower(), u.family.lower()))
        found.sort(key=cast(Any, key), reverse=query.get("sortOrder") == "DESCENDING")
    return [user.id for user in found]


def listed(ask: Ask, user_id: str) -> dict[str, Any] | None:
    """Show one user of a list, unless it went meanwhile."""
    if ask.flag("showDeleted"):
        gone = ask.directory.deleted.get(user_id)
        return deleted_document(gone, ask.directory) if gone is not None else None
    user = ask.directory.users.get(user_id)
    if user is None:
        return None
    return projected(user_document(user, ask.directory, now=ask.now, switches=ask.switches), ask.query)


def answer(ask: Ask) -> Result:
    """Answer every users call but the list."""
    match ask.verb:
        case "insert":
            return _insert(ask)
        case "undelete":
            return _undelete(ask)
        case "get":
            document = user_document(user_of(ask), ask.directory, now=ask.now, switches=ask.switches)
            return Result(document=projected(document, ask.query))
        case _:
            return _change(ask, user_of(ask))


def _change(ask: Ask, user: User) -> Result:
    if ask.verb == "signOut":
        return Result()
    check_settled(ask, user)
    match ask.verb:
        case "delete":
            if not ask.pretend:
                ask.directory.delete_user(user, now=ask.now)
            return done(ask, "deleted", user.id, user.external_id)
        case "makeAdmin":
            if not isinstance(ask.body.get("status"), bool):
                raise Refused("required", "Required: status", rule="U17")
            return _put(ask, user, replace(user, is_admin=ask.body["status"]), is_empty=True)
        case _:
            return _put(ask, user, changed_user(ask, user))


def _put(ask: Ask, before: User, after: User, *, is_empty: bool = False) -> Result:
    changed = changed_names(before, after) + (["password"] if ask.body.get("password") is not None else [])
    if changed:
        after = replace(after, version=before.version + 1)
        if not ask.pretend:
            ask.directory.put_user(after)
    document = None if is_empty else _written(ask, after)
    if not changed:
        return done(ask, "unchanged", before.id, before.external_id, document=document)
    return done(ask, "updated", before.id, after.external_id, document=document, changed=changed)


def _insert(ask: Ask) -> Result:
    body, directory = ask.body, ask.directory
    name = body.get("name") or {}
    given = {"primaryEmail": body.get("primaryEmail"), "password": body.get("password")}
    for field, value in (given | {f"name.{n}": name.get(n) for n in ("givenName", "familyName")}).items():
        if not value:
            raise Refused("required", f"Missing required field: {field}", rule="U1")
    address = str(body["primaryEmail"])
    check_new_address(ask, address, holder_id=None)
    seats = ask.switches.user_seats
    if seats is not None and len(directory.users) >= seats:
        raise Refused("limitExceeded")
    new = User(
        id=f"1{directory.next_number:020d}",
        email=address,
        unit_id=ROOT_UNIT_ID,
        given="",
        family="",
        created=ask.now,
    )
    user = changed_user(ask, new)
    if ask.flag("resolveConflictAccount"):
        match directory.conflict_accounts.get(address.lower()):
            case "keep":
                raise Refused("duplicate", "Entity already exists. A conflicting unmanaged account was kept.")
            case "invite":
                invited = {"kind": "admin#directory#user", "primaryEmail": address}
                return Result(document=invited, code=202)
    if not ask.pretend:
        directory.new_number()
        directory.conflict_accounts.pop(address.lower(), None)
        directory.put_user(user)
    return done(ask, "created", user.id, user.external_id, document=_written(ask, user))


def _undelete(ask: Ask) -> Result:
    key, directory = ask.keys["userKey"], ask.directory
    if "@" in key:
        raise Refused("invalid", "Invalid Input: userKey", rule="U12")
    user = directory.take_deleted(key, now=ask.now)
    if user is None:
        if key in directory.users:
            raise Refused("invalid", "Invalid Input: the user is not deleted")
        raise not_found("userKey")
    if directory.owner_of(user.email) is not None:
        raise Refused("duplicate", "Entity already exists.")
    path = ask.body.get("orgUnitPath")
    unit = _unit(ask, path) if path is not None else directory.units.get(user.unit_id) or _unit(ask, "/")
    if not ask.pretend:
        # An alias may have been given to somebody else meanwhile, where the address was not blocked.
        aliases = tuple(alias for alias in user.aliases if directory.owner_of(alias) is None)
        directory.undelete(replace(user, aliases=aliases), unit_id=unit.id)
    return done(ask, "updated", user.id, user.external_id, changed=["deleted"])


def changed_user(ask: Ask, user: User) -> User:
    """Say what a user becomes by a body: what is absent stays, null clears, arrays are replaced (U6, U7, U8)."""
    members = dict(user.members)
    settings: dict[str, Any] = {}
    for name, value in ask.body.items():
        if name in USER_READ_ONLY:
            continue
        is_empty = value is None or value in ([], {})
        if name in REPEATED and is_empty and ask.verb == "patch":
            ask.note("U7", f"PATCH cannot clear {name}; use PUT")
            continue
        match name:
            case "primaryEmail":
                settings |= _rename(ask, user, value)
            case "name":
                settings |= _name(user, value)
            case "orgUnitPath":
                settings["unit_id"] = _unit(ask, value if value is not None else "/").id
            case "suspended" | "archived":
                is_on = bool(value)
                if is_on != getattr(user, name):
                    settings |= {name: is_on, f"{name}_at": ask.now if is_on else None}
            case "password" | "hashFunction":
                _check_password(ask.body)
            case "customSchemas":
                merged = custom.merged(ask, members.get(name, {}), value)
                _set(members, name, merged)
            case _:
                _check_value(name, value)
                _set(members, name, value)
    return without_own_addresses(replace(user, members=members, **settings))


def without_own_addresses(user: User) -> User:
    """Keep no address under `emails` that is shown there anyway: the primary one and the aliases."""
    own = {user.email.lower(), *map(str.lower, user.aliases)}
    members = dict(user.members)
    kept = [item for item in members.get("emails", ()) if str(item.get("address", "")).lower() not in own]
    _set(members, "emails", kept)
    return replace(user, members=members)


def changed_names(before: User, after: User) -> list[str]:
    """Name the members of the resource that differ."""
    pairs = {
        "primaryEmail": before.email != after.email,
        "name": (before.given, before.family, before.display) != (after.given, after.family, after.display),
        "orgUnitPath": before.unit_id != after.unit_id,
        "suspended": before.suspended != after.suspended,
        "archived": before.archived != after.archived,
        "isAdmin": before.is_admin != after.is_admin,
        "aliases": before.aliases != after.aliases and before.email == after.email,
    }
    for name in sorted(before.members.keys() | after.members.keys()):
        pairs[name] = before.members.get(name) != after.members.get(name)
    return [name for name, differs in pairs.items() if differs]


def _rename(ask: Ask, user: User, address: str | None) -> dict[str, Any]:
    if not address:
        raise Refused("invalid", "Invalid Input: primary_user_email", rule="U9")
    if address.lower() == user.email.lower():
        return {"email": address}
    check_new_address(ask, address, holder_id=user.id)
    aliases = [alias for alias in user.aliases if alias.lower() != address.lower()]
    return {
        "email": address,
        "aliases": (*aliases, user.email),
        "renamed_from": shown_email(user, now=ask.now, switches=ask.switches),
        "renamed_at": ask.now,
    }


def _name(user: User, name: dict[str, Any] | None) -> dict[str, Any]:
    name = name or {"givenName": None}
    for part in ("givenName", "familyName"):
        if part in name and not name[part]:
            raise Refused("invalid", f"Invalid {'Given' if part == 'givenName' else 'Family'} Name", rule="U1")
    if len(name.get("displayName") or "") > 256:
        raise Refused("invalid", "Invalid Input: displayName", rule="U1")
    return {
        "given": name.get("givenName", user.given),
        "family": name.get("familyName", user.family),
        "display": name.get("displayName", user.display) or None,
    }


def _unit(ask: Ask, path: str) -> Unit:
    unit = ask.directory.find_unit(path)
    if unit is None or not path.startswith("/"):
        raise Refused("invalid", "Invalid Input: INVALID_OU_ID")
    return unit


def _check_password(body: dict[str, Any]) -> None:
    password, function = body.get("password"), body.get("hashFunction")
    if function is not None and function not in HASHES:
        raise Refused("invalid", "Invalid Input: hashFunction", rule="U2")
    if password is not None and function is None and not (8 <= len(password) <= 100 and password.isascii()):
        raise Refused("invalid", "Invalid Password", rule="U2")


def _check_value(name: str, value: Any) -> None:
    if name == "recoveryPhone" and value and _PHONE.fullmatch(value) is None:
        raise Refused("invalid", "Invalid Input: recoveryPhone", rule="U1")


def _set(members: dict[str, Any], name: str, value: Any) -> None:
    if value is None or value in ([], {}, ""):
        members.pop(name, None)
    else:
        members[name] = value


def _written(ask: Ask, user: User) -> dict[str, Any]:
    document = user_document(user, ask.directory, now=ask.now, switches=ask.switches, fresh=True)
    return projected(document, {"projection": "full"})


def _searched(user: User, directory: Directory) -> dict[str, list[str]]:
    return {
        "email": [user.email, *user.aliases],
        "name": [f"{user.given} {user.family}"],
        "givenName": [user.given],
        "familyName": [user.family],
        "orgUnitPath": [directory.units[user.unit_id].path if user.unit_id in directory.units else "/"],
        "isSuspended": [str(user.suspended)],
        "isArchived": [str(user.archived)],
        "isAdmin": [str(user.is_admin)],
        "externalId": user.external_ids(),
    }

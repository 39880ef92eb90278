"""Groups (rules G), and the aliases of groups and users (U19)."""

from dataclasses import replace
from typing import Any

from simulators.google_directory.asking import Ask, Result, check_customer, check_new_address, done
from simulators.google_directory.errors import Refused, not_found
from simulators.google_directory.records import Group, User
from simulators.google_directory.search import all_hold, clauses_of
from simulators.google_directory.users import check_settled, user_of, without_own_addresses
from simulators.google_directory.views import etag, group_document, is_settled, list_document, shown_email

SEARCHABLE = frozenset({"email", "name", "memberKey"})
ALIASES_MAX = 30
DESCRIPTION_LENGTH_MAX = 4_096


def group_of(ask: Ask, key: str | None = None) -> Group:
    """Find the group a call is about; a new one may not be found yet (V2)."""
    key = ask.keys["groupKey"] if key is None else key
    group = ask.directory.find_group(key, now=ask.now, rename_settling=ask.switches.rename_settling_seconds)
    if group is None or not _is_there(ask, group):
        raise not_found("groupKey")
    return group


def listed_ids(ask: Ask) -> list[str]:
    """List the ids that a list call asks for, in its order (G1)."""
    directory, query = ask.directory, ask.query
    if not query.keys() & {"customer", "domain", "userKey"}:
        raise Refused("badRequest", "Bad Request", rule="P1")
    if "customer" in query and "userKey" in query:
        raise Refused("invalid", "Invalid Input: customer and userKey exclude each other", rule="G1")
    if "customer" in query:
        check_customer(directory, query["customer"])
    domain = query.get("domain", "").lower()
    if domain and domain not in directory.domains:
        raise not_found("domain")
    clauses = clauses_of(query.get("query", ""), known=SEARCHABLE)
    member_keys = [clause.value for clause in clauses if clause.name == "memberKey"]
    member_keys += [query["userKey"]] if "userKey" in query else []
    groups = [group for group in directory.groups.values() if _is_there(ask, group)]
    for key in member_keys:
        member_id = _member_id(ask, key)
        joined = directory.groups_of.get(member_id, {})
        groups = [
            group
            for group in groups
            if group.id in joined
            and is_settled(directory.members[group.id][member_id], now=ask.now, switches=ask.switches)
        ]
    texts = [clause for clause in clauses if clause.name != "memberKey"]
    found = [
        group
        for group in groups
        if (not domain or group.email.lower().endswith(f"@{domain}"))
        and all_hold(texts, {"email": [group.email], "name": [group.name]})
    ]
    if "orderBy" in query:
        found.sort(key=lambda group: group.email.lower(), reverse=query.get("sortOrder") == "DESCENDING")
    return [group.id for group in found]


def listed(ask: Ask, group_id: str) -> dict[str, Any] | None:
    """Show one group of a list, unless it went meanwhile."""
    group = ask.directory.groups.get(group_id)
    return group_document(group, ask.directory, now=ask.now, switches=ask.switches) if group is not None else None


def answer(ask: Ask) -> Result:
    """Answer every groups call but the list."""
    directory = ask.directory
    if ask.verb == "insert":
        address = ask.body.get("email")
        if not address:
            raise Refused("required", "Missing required field: email", rule="G2")
        check_new_address(ask, address, holder_id=None)
        new = Group(id=f"0{directory.next_number:014x}", email=address, name=address.partition("@")[0], created=ask.now)
        group = changed_group(ask, new)
        if not ask.pretend:
            directory.new_number()
            directory.put_group(group)
        return done(ask, "created", group.id, group.email, document=_written(ask, group))
    group = group_of(ask)
    match ask.verb:
        case "get":
            return Result(document=group_document(group, directory, now=ask.now, switches=ask.switches))
        case "delete":
            if not ask.pretend:
                directory.delete_group(group)
            return done(ask, "deleted", group.id, group.email)
        case _:
            after = changed_group(ask, group)
            names = ("email", "name", "description", "external_ids")
            changed = [name for name in names if getattr(after, name) != getattr(group, name)]
            if not changed:
                return done(ask, "unchanged", group.id, group.email, document=_written(ask, group))
            after = replace(after, version=group.version + 1)
            if not ask.pretend:
                directory.put_group(after)
            return done(ask, "updated", group.id, after.email, document=_written(ask, after), changed=changed)


def changed_group(ask: Ask, group: Group) -> Group:
    """Say what a group becomes by a body; what is absent stays (G3)."""
    settings: dict[str, Any] = {}
    body = ask.body
    if "email" in body and (body["email"] or "").lower() != group.email.lower():
        if not body["email"]:
            raise Refused("invalid", "Invalid Input: email", rule="G3")
        check_new_address(ask, body["email"], holder_id=group.id)
        kept = [alias for alias in group.aliases if alias.lower() != body["email"].lower()]
        settings |= {"email": body["email"], "aliases": (*kept, group.email), "renamed_at": ask.now}
        settings["renamed_from"] = shown_email(group, now=ask.now, switches=ask.switches)
    if body.get("name"):
        settings["name"] = body["name"]
    if "description" in body:
        settings["description"] = body["description"] or ""
        if len(settings["description"]) > DESCRIPTION_LENGTH_MAX:
            raise Refused("invalid", "Invalid Input: description", rule="G3")
    if "externalIds" in body and not (ask.verb == "patch" and not body["externalIds"]):
        settings["external_ids"] = tuple(body["externalIds"] or ())
    return replace(group, **settings)


def aliases(ask: Ask) -> Result:
    """Answer the calls about the aliases of a user or group."""
    owner: User | Group = user_of(ask) if ask.method.resource == "users" else group_of(ask)
    external_id = owner.external_id if isinstance(owner, User) else owner.email
    if ask.verb == "list":
        items = [_alias(owner, alias, etag(owner.id, owner.version)) for alias in owner.aliases]
        return Result(document=list_document("aliases", "aliases", items, switches=ask.switches))
    if isinstance(owner, User):
        check_settled(ask, owner)
    if ask.verb == "insert":
        alias = ask.body.get("alias")
        if not alias:
            raise Refused("required", "Missing required field: alias", rule="U19")
        check_new_address(ask, alias, holder_id=None)
        if len(owner.aliases) >= ALIASES_MAX:
            raise Refused("limitExceeded", "Alias limit reached.", rule="U19")
        after = (*owner.aliases, alias)
        document = _alias(owner, alias, etag(owner.id, owner.version + 1))
    else:
        after = tuple(alias for alias in owner.aliases if alias.lower() != ask.keys["alias"].lower())
        if len(after) == len(owner.aliases):
            raise not_found("resource_id")
        document = None
    if not ask.pretend:
        if isinstance(owner, User):
            ask.directory.put_user(without_own_addresses(replace(owner, aliases=after, version=owner.version + 1)))
        else:
            ask.directory.put_group(replace(owner, aliases=after, version=owner.version + 1))
    return done(ask, "updated", owner.id, external_id, document=document, changed=["aliases"])


def _alias(owner: User | Group, alias: str, mark: str) -> dict[str, Any]:
    return {
        "kind": "admin#directory#alias",
        "id": owner.id,
        "etag": mark,
        "primaryEmail": owner.email,
        "alias": alias,
    }


def _is_there(ask: Ask, group: Group) -> bool:
    return (ask.now - group.created).total_seconds() >= ask.switches.group_settling_seconds


def _member_id(ask: Ask, key: str) -> str:
    settling = ask.switches.rename_settling_seconds
    user = ask.directory.find_user(key, now=ask.now, rename_settling=settling)
    group = ask.directory.find_group(key, now=ask.now, rename_settling=settling)
    if user is None and group is None:
        raise not_found("userKey")
    return user.id if user is not None else group.id if group is not None else ""


def _written(ask: Ask, group: Group) -> dict[str, Any]:
    return group_document(group, ask.directory, now=ask.now, switches=ask.switches, fresh=True)

"""Members of groups (rules M): users, groups, people from outside and the whole customer, direct and derived."""

import hashlib
from dataclasses import replace
from typing import Any

from simulators.google_directory.asking import Ask, Result, done, is_my_domain
from simulators.google_directory.errors import Refused, not_found
from simulators.google_directory.groups import group_of
from simulators.google_directory.records import Group, Membership
from simulators.google_directory.views import is_settled, member_document

ROLES = frozenset({"OWNER", "MANAGER", "MEMBER"})
DELIVERIES = frozenset({"ALL_MAIL", "DAILY", "DIGEST", "DISABLED", "NONE"})


def listed_ids(ask: Ask) -> list[str]:
    """List the ids that a list call asks for: direct members, and the derived ones behind them if asked (M1, M7)."""
    group = group_of(ask)
    roles = {role for role in ask.query.get("roles", "").upper().split(",") if role}
    if roles - ROLES:
        raise Refused("invalid", "Invalid Input: roles", rule="M2")
    direct = [
        membership.member_id
        for membership in ask.directory.members[group.id].values()
        if (not roles or membership.role in roles) and _is_settled(ask, membership)
    ]
    if not ask.flag("includeDerivedMembership"):
        return direct
    derived = [member_id for member_id in _derived(ask, group.id) if member_id not in set(direct)]
    return direct + (derived if not roles or "MEMBER" in roles else [])


def listed(ask: Ask, member_id: str) -> dict[str, Any] | None:
    """Show one member of a list; a derived one has the role of a plain member."""
    members = ask.directory.members.get(group_of(ask).id, {})
    membership = members.get(member_id)
    if membership is None:
        if not ask.flag("includeDerivedMembership"):
            return None
        elsewhere = next(iter(ask.directory.groups_of.get(member_id, ())), None)
        if elsewhere is not None:
            membership = replace(ask.directory.members[elsewhere][member_id], role="MEMBER")
    return _document(ask, membership) if membership is not None else None


def answer(ask: Ask) -> Result:
    """Answer every members call but the list."""
    group = group_of(ask)
    match ask.verb:
        case "insert":
            return _insert(ask, group)
        case "hasMember":
            return _has_member(ask, group)
    membership = _membership(ask, group)
    link, key = f"{group.id}/{membership.member_id}", _link_key(ask, group, membership)
    match ask.verb:
        case "get":
            return Result(document=_document(ask, membership))
        case "delete":
            if not ask.pretend:
                ask.directory.leave(group.id, membership.member_id)
            return done(ask, "deleted", link, key)
        case _:
            after = _changed(ask, membership)
            changed = [name for name in ("role", "delivery") if getattr(after, name) != getattr(membership, name)]
            if not changed:
                return done(ask, "unchanged", link, key, document=_document(ask, membership))
            after = replace(after, version=membership.version + 1)
            if not ask.pretend:
                ask.directory.join(group.id, after)
            return done(ask, "updated", link, key, document=_document(ask, after), changed=changed)


def outside_id(address: str) -> str:
    """Give the id of a person from outside: the same for the same address."""
    return "2" + str(int(hashlib.sha256(address.lower().encode()).hexdigest(), 16))[:20]


def member_id_of(ask: Ask, *, key: str) -> str | None:
    """Find the id of what may be a member by id or address; None where an own domain has no such address."""
    directory, settling = ask.directory, ask.switches.rename_settling_seconds
    if (user := directory.find_user(key, now=ask.now, rename_settling=settling)) is not None:
        return user.id
    if (group := directory.find_group(key, now=ask.now, rename_settling=settling)) is not None:
        return group.id
    if key == directory.customer_id:
        return key
    return outside_id(key) if "@" in key and not is_my_domain(directory, key) else None


def _insert(ask: Ask, group: Group) -> Result:
    key = ask.body.get("id") or ask.body.get("email")
    if not key:
        raise Refused("required", "Missing required field: memberKey", rule="M3")
    member_id = member_id_of(ask, key=key)
    if member_id is None:
        raise not_found("memberKey")
    if member_id in ask.directory.members[group.id]:
        raise Refused("duplicate", "Member already exists.")
    if member_id in ask.directory.groups and (member_id == group.id or group.id in _below(ask, member_id)):
        raise Refused("conditionNotMet", "Cyclic memberships not allowed.")
    is_outside = member_id == outside_id(key)
    new = Membership(member_id=member_id, outside_email=key if is_outside else None, added=ask.now)
    membership = _changed(ask, new)
    if not ask.pretend:
        ask.directory.join(group.id, membership)
    key = _link_key(ask, group, membership)
    return done(ask, "created", f"{group.id}/{member_id}", key, document=_document(ask, membership))


def _has_member(ask: Ask, group: Group) -> Result:
    key = ask.keys["memberKey"]
    if "@" in key and not is_my_domain(ask.directory, key):
        raise Refused("invalid", "Invalid Input: memberKey")
    member_id = member_id_of(ask, key=key)
    if member_id is None:
        raise not_found("memberKey")
    own = ask.directory.members[group.id].get(member_id)
    is_direct = own is not None and _is_settled(ask, own)
    return Result(document={"isMember": is_direct or member_id in _derived(ask, group.id)})


def _membership(ask: Ask, group: Group) -> Membership:
    key = ask.keys["memberKey"]
    member_id = member_id_of(ask, key=key)
    members = ask.directory.members[group.id]
    membership = members.get(member_id) if member_id is not None else members.get(key)
    if membership is None or not _is_settled(ask, membership):
        raise not_found("memberKey")
    return membership


def _changed(ask: Ask, membership: Membership) -> Membership:
    role = ask.body.get("role") or membership.role
    delivery = ask.body.get("delivery_settings") or membership.delivery
    if role not in ROLES:
        raise Refused("invalid", "Invalid Input: role", rule="M2")
    if delivery is not None and delivery not in DELIVERIES:
        raise Refused("invalid", "Invalid Input: delivery_settings", rule="M2")
    return replace(membership, role=role, delivery=delivery)


def _derived(ask: Ask, group_id: str) -> dict[str, None]:
    """Everybody below nested groups whose nesting has settled, in the order found (M7, V5)."""
    found: dict[str, None] = {}
    seen = {group_id}
    waiting = [group_id]
    while waiting:  # bounded: each group once
        current = waiting.pop()
        for membership in ask.directory.members[current].values():
            if not _is_settled(ask, membership):
                continue
            if current != group_id:
                found[membership.member_id] = None
            nested = membership.member_id
            age = (ask.now - membership.added).total_seconds()
            if nested in ask.directory.groups and nested not in seen and age >= ask.switches.nested_settling_seconds:
                seen.add(nested)
                waiting.append(nested)
    return found


def _below(ask: Ask, group_id: str) -> set[str]:
    """Every group nested in a group, seen or not."""
    seen: set[str] = set()
    waiting = [group_id]
    while waiting:  # bounded: each group once
        for member_id in ask.directory.members[waiting.pop()]:
            if member_id in ask.directory.groups and member_id not in seen:
                seen.add(member_id)
                waiting.append(member_id)
    return seen


def _is_settled(ask: Ask, membership: Membership) -> bool:
    return is_settled(membership, now=ask.now, switches=ask.switches)


def _document(ask: Ask, membership: Membership) -> dict[str, Any]:
    return member_document(membership, ask.directory, now=ask.now, switches=ask.switches)


def _link_key(ask: Ask, group: Group, membership: Membership) -> str:
    document = _document(ask, membership)
    return f"{group.email}/{document.get('email', membership.member_id)}"

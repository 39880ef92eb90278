"""The state as a document: the seed a simulator begins with, and what it shows of itself; each reads the other.

Users, groups, members and units have the API's own members; what the API does not show stands under `sim`. A seed that
breaks a rule of the account is refused with place, value and rule.
"""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from simulators.google_directory import custom, shapes
from simulators.google_directory.asking import is_my_domain
from simulators.google_directory.directory import ROOT_UNIT_ID, Directory, path_below
from simulators.google_directory.errors import Refused
from simulators.google_directory.members import DELIVERIES, ROLES, outside_id
from simulators.google_directory.records import LONG_AGO, Group, Membership, Unit, User, moment_of
from simulators.google_directory.units import check_place
from simulators.google_directory.users import without_own_addresses

RECORDS_MAX = 2_000_000
OWN_NUMBERS_MAX = 10**9
"""Numbers inside ids above this are the seed's own invention and are never reached."""
MEMBERS = frozenset(
    [
        "customerId",
        "domains",
        "orgUnits",
        "schemas",
        "users",
        "deletedUsers",
        "groups",
        "adminRoles",
        "conflictAccounts",
        "nextNumber",
        "violations",
        "violationsDropped",
        "batchEffects",
        "requests",
    ]
)
RESOURCES = frozenset({"users", "groups", "members", "orgunits", "schemas"})
OUTCOMES = frozenset({"replace", "invite", "keep"})
_USER_MEMBERS = (
    shapes.SHAPES["User"].keys()
    - shapes.USER_READ_ONLY
    - {"primaryEmail", "name", "orgUnitPath", "suspended", "archived", "password", "hashFunction"}
)


def directory_of(document: Any) -> Directory:
    """Build an account from a seed; `ValueError` names place, value and rule."""
    if not isinstance(document, dict):
        raise ValueError("seed: it must be an object")
    if unknown := document.keys() - MEMBERS:
        raise ValueError(f"seed: {sorted(unknown)} are no members of a seed; known are {sorted(MEMBERS)}")
    domains = document.get("domains")
    if not isinstance(domains, list) or not domains or not all(isinstance(domain, str) for domain in domains):
        raise ValueError(f"domains: {domains!r} is not a list of at least one domain")
    directory = Directory(
        customer_id=str(document.get("customerId", "C00simul8")), domains=tuple(domain.lower() for domain in domains)
    )
    for name, read in (
        ("orgUnits", _read_unit),
        ("schemas", _read_schema),
        ("users", _read_user),
        ("deletedUsers", _read_deleted),
        ("groups", _read_group),
    ):
        for place, item in _items(document, name):
            _read(place, item, directory, read)
    for place, item in _items(document, "groups"):
        _read(place, item, directory, _read_members)
    next_number = document.get("nextNumber", 1)
    if not isinstance(next_number, int) or isinstance(next_number, bool) or next_number < 1:
        raise ValueError(f"nextNumber: {next_number!r} is not a whole number from 1")
    directory.next_number = max(directory.next_number, next_number)
    _read_roles_and_conflicts(document, directory)
    return directory


def _read_roles_and_conflicts(document: dict[str, Any], directory: Directory) -> None:
    for place, item in _items(document, "adminRoles"):
        match item:
            case {"user": str(address), "resources": list(resources)} if set(map(str, resources)) <= RESOURCES:
                directory.admin_roles[address.lower()] = tuple(resources)
            case _:
                raise ValueError(f"{place}: {item!r} needs a user and resources out of {sorted(RESOURCES)}")
    conflicts = document.get("conflictAccounts", {})
    if not isinstance(conflicts, dict):
        raise ValueError(f"conflictAccounts: {conflicts!r} is not an object")
    for address, outcome in conflicts.items():
        if outcome not in OUTCOMES:
            raise ValueError(f"conflictAccounts.{address}: {outcome!r} is none of {sorted(OUTCOMES)} (U13)")
        directory.conflict_accounts[address.lower()] = outcome


def document_of(directory: Directory) -> dict[str, Any]:
    """Describe an account as a seed."""
    units = sorted(directory.units.values(), key=lambda unit: (unit.path.count("/"), unit.path))
    return {
        "customerId": directory.customer_id,
        "domains": list(directory.domains),
        "orgUnits": [
            {
                "orgUnitPath": unit.path,
                "orgUnitId": unit.id,
                "description": unit.description,
                "sim": {"version": unit.version},
            }
            for unit in units
            if unit.parent_id is not None
        ],
        "schemas": list(directory.schemas.values()),
        "users": [_user_item(user, directory) for user in directory.users.values()],
        "deletedUsers": [_user_item(user, directory) for user in directory.deleted.values()],
        "groups": [_group_item(group, directory) for group in directory.groups.values()],
        "adminRoles": [
            {"user": address, "resources": list(resources)} for address, resources in directory.admin_roles.items()
        ],
        "conflictAccounts": dict(directory.conflict_accounts),
        "nextNumber": directory.next_number,
    }


def _keep_clear(directory: Directory, form: str, record_id: str, *, base: int = 10) -> None:
    """Let no id that will be given out be one that a seed has already used."""
    found = re.fullmatch(form, record_id)
    if found is not None and (number := int(found[1], base)) < OWN_NUMBERS_MAX:
        directory.next_number = max(directory.next_number, number + 1)


def _items(document: dict[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    items = document.get(name, [])
    if not isinstance(items, list) or len(items) > RECORDS_MAX:
        raise ValueError(f"{name}: it must be a list of at most {RECORDS_MAX} items")
    yield from ((f"{name}[{position}]", item) for position, item in enumerate(items))


def _read(place: str, item: Any, directory: Directory, read: Callable[[dict[str, Any], Directory], None]) -> None:
    if not isinstance(item, dict):
        raise ValueError(f"{place}: {item!r} is not an object")
    try:
        read(item, directory)
    except (Refused, ValueError) as error:
        raise ValueError(f"{place}: {error}") from error


def _read_unit(item: dict[str, Any], directory: Directory) -> None:
    path = item.get("orgUnitPath")
    if not isinstance(path, str) or not path.startswith("/") or path == "/":
        raise ValueError(f"orgUnitPath {path!r} is not a path below the root (O6)")
    parent = directory.find_unit(path.rpartition("/")[0] or "/")
    if parent is None:
        raise ValueError(f"orgUnitPath {path!r}: the unit above it must stand before it (O3)")
    unit_id = item.get("orgUnitId") or f"id:sim{directory.new_number():08d}"
    if unit_id in directory.units or not str(unit_id).startswith("id:"):
        raise ValueError(f"orgUnitId {unit_id!r} is taken or does not begin with id: (O6)")
    _keep_clear(directory, r"id:sim(\d{8})", unit_id)
    name = path.rpartition("/")[2]
    version = _sim(item).get("version", 1)
    unit = Unit(
        id=unit_id,
        name=name,
        parent_id=parent.id,
        path=path_below(parent, name),
        description=item.get("description") or "",
        version=version,
    )
    check_place(directory, unit)
    directory.put_unit(unit)


def _read_schema(item: dict[str, Any], directory: Directory) -> None:
    body = {name: value for name, value in item.items() if name not in {"kind", "schemaId", "etag"}}
    version = int(str(item.get("etag", '"/1"')).rsplit("/", maxsplit=1)[-1].rstrip('"'))
    schema_id = item.get("schemaId") or f"sch{directory.new_number():08d}"
    if complaint := shapes.body_error(body, "Schema"):
        raise ValueError(f"{complaint} (S1)")
    _keep_clear(directory, r"sch(\d{8})", schema_id)
    directory.schemas[schema_id] = custom.schema_of(body, schema_id=schema_id, version=version)


def _read_user(item: dict[str, Any], directory: Directory) -> None:
    user = _user_of(item, directory)
    for address in (user.email, *user.aliases):
        if directory.owner_of(address) is not None or not is_my_domain(directory, address):
            raise ValueError(f"{address!r} is taken or of a domain that is not in {list(directory.domains)} (U4, U5)")
    directory.put_user(user)


def _read_deleted(item: dict[str, Any], directory: Directory) -> None:
    user = _user_of(item, directory)
    if user.deleted_at is None:
        raise ValueError("deletionTime is missing (U11)")
    directory.put_deleted(user)


def _user_of(item: dict[str, Any], directory: Directory) -> User:
    body = {name: value for name, value in item.items() if name != "sim"}
    if complaint := shapes.body_error(body, "User"):
        raise ValueError(f"{complaint} (C5)")
    name, sim = body.get("name") or {}, _sim(item)
    if not body.get("primaryEmail") or not name.get("givenName") or not name.get("familyName"):
        raise ValueError("primaryEmail, name.givenName and name.familyName are needed (U1)")
    unit = directory.find_unit(body.get("orgUnitPath") or "/")
    if unit is None and not body.get("deletionTime"):
        raise ValueError(f"orgUnitPath {body['orgUnitPath']!r} is no unit of this account (U3)")
    user_id = body.get("id") or f"1{directory.new_number():020d}"
    if user_id in directory.users or user_id in directory.deleted:
        raise ValueError(f"id {user_id!r} is taken (U14)")
    _keep_clear(directory, r"1(\d{20})", str(user_id))
    known = {str(schema["schemaName"]) for schema in directory.schemas.values()}
    if unknown := set(body.get("customSchemas") or {}) - known:
        raise ValueError(f"customSchemas: {sorted(unknown)} are no schemas of this account (S2)")
    email = str(body["primaryEmail"])
    kept = {name: value for name in sorted(_USER_MEMBERS) if (value := body.get(name)) not in (None, [], {}, "")}
    aliases = tuple(body.get("aliases") or ())
    user = User(
        id=str(user_id),
        email=email,
        unit_id=unit.id if unit is not None else ROOT_UNIT_ID,
        given=name["givenName"],
        family=name["familyName"],
        display=name.get("displayName"),
        suspended=bool(body.get("suspended")),
        suspended_at=_moment(body, "suspensionTime"),
        archived=bool(body.get("archived")),
        archived_at=_moment(body, "archivalTime"),
        is_admin=bool(body.get("isAdmin")),
        is_delegated_admin=bool(body.get("isDelegatedAdmin")),
        members=kept,
        aliases=aliases,
        created=_moment(body, "creationTime") or LONG_AGO,
        version=sim.get("version", 1),
        renamed_from=sim.get("renamedFrom"),
        renamed_at=_moment(sim, "renamedAt"),
        deleted_at=_moment(body, "deletionTime"),
    )
    return without_own_addresses(user)


def _read_group(item: dict[str, Any], directory: Directory) -> None:
    body = {name: value for name, value in item.items() if name not in {"sim", "members"}}
    if complaint := shapes.body_error(body, "Group"):
        raise ValueError(f"{complaint} (C5)")
    sim, address = _sim(item), body.get("email")
    aliases = tuple(body.get("aliases") or ())
    if not address:
        raise ValueError("email is needed (G2)")
    for taken in (address, *aliases):
        if directory.owner_of(taken) is not None or not is_my_domain(directory, taken):
            raise ValueError(f"{taken!r} is taken or of a domain that is not in {list(directory.domains)} (U4, U5)")
    group_id = body.get("id") or f"0{directory.new_number():014x}"
    if group_id in directory.groups:
        raise ValueError(f"id {group_id!r} is taken (G3)")
    _keep_clear(directory, r"0([0-9a-f]{14})", group_id, base=16)
    directory.put_group(
        Group(
            id=group_id,
            email=address,
            name=body.get("name") or address.partition("@")[0],
            description=body.get("description") or "",
            external_ids=tuple(body.get("externalIds") or ()),
            aliases=aliases,
            created=_moment(sim, "created") or LONG_AGO,
            version=sim.get("version", 1),
            renamed_from=sim.get("renamedFrom"),
            renamed_at=_moment(sim, "renamedAt"),
        )
    )


def _read_members(item: dict[str, Any], directory: Directory) -> None:
    owner = directory.owner_of(item["email"])
    if owner is None:
        raise AssertionError("a group is read before its members")
    for position, member in enumerate(item.get("members") or ()):
        body = {name: value for name, value in member.items() if name != "sim"} if isinstance(member, dict) else {"": 0}
        if complaint := shapes.body_error(body, "Member"):
            raise ValueError(f"members[{position}]: {complaint} (C5)")
        key, role = member.get("id") or member.get("email"), member.get("role") or "MEMBER"
        delivery = member.get("delivery_settings")
        if role not in ROLES or (delivery is not None and delivery not in DELIVERIES):
            raise ValueError(f"members[{position}]: role {role!r} or delivery_settings {delivery!r} is unknown (M2)")
        known = directory.owner_of(str(key))
        outside = member.get("email")
        if key in directory.users or key in directory.groups or key == directory.customer_id:
            member_id, outside = str(key), None
        elif known is not None:
            member_id, outside = known[1], None
        elif isinstance(outside, str) and "@" in outside and not is_my_domain(directory, outside):
            member_id = outside_id(outside)
        else:
            raise ValueError(f"members[{position}]: {key!r} is nobody of this account (M3)")
        if member_id in directory.members[owner[1]] or member_id == owner[1]:
            raise ValueError(f"members[{position}]: {key!r} is a member twice, or of itself (M4)")
        sim = _sim(member)
        directory.join(
            owner[1],
            Membership(
                member_id=member_id,
                role=role,
                delivery=delivery,
                outside_email=outside,
                added=_moment(sim, "added") or LONG_AGO,
                version=sim.get("version", 1),
            ),
        )


def _user_item(user: User, directory: Directory) -> dict[str, Any]:
    unit = directory.units.get(user.unit_id)
    name = {"givenName": user.given, "familyName": user.family}
    item: dict[str, Any] = {
        "id": user.id,
        "primaryEmail": user.email,
        "name": name if user.display is None else name | {"displayName": user.display},
        "orgUnitPath": unit.path if unit is not None else "/",
        "suspended": user.suspended,
        "archived": user.archived,
        "isAdmin": user.is_admin,
        "isDelegatedAdmin": user.is_delegated_admin,
        "aliases": list(user.aliases),
        "creationTime": user.created.isoformat(),
        "sim": _sim_item(user.version, user.renamed_from, user.renamed_at),
    } | user.members
    times = {"suspensionTime": user.suspended_at, "archivalTime": user.archived_at, "deletionTime": user.deleted_at}
    return item | {name: moment.isoformat() for name, moment in times.items() if moment is not None}


def _group_item(group: Group, directory: Directory) -> dict[str, Any]:
    sim = _sim_item(group.version, group.renamed_from, group.renamed_at) | {"created": group.created.isoformat()}
    return {
        "id": group.id,
        "email": group.email,
        "name": group.name,
        "description": group.description,
        "aliases": list(group.aliases),
        "externalIds": list(group.external_ids),
        "members": [
            {
                "id": None if membership.outside_email else membership.member_id,
                "email": membership.outside_email,
                "role": membership.role,
                "delivery_settings": membership.delivery,
                "sim": {"added": membership.added.isoformat(), "version": membership.version},
            }
            for membership in directory.members[group.id].values()
        ],
        "sim": sim,
    }


def _sim_item(version: int, renamed_from: str | None, renamed_at: datetime | None) -> dict[str, Any]:
    if renamed_at is None:
        return {"version": version}
    return {"version": version, "renamedFrom": renamed_from, "renamedAt": renamed_at.isoformat()}


def _sim(item: dict[str, Any]) -> dict[str, Any]:
    sim = item.get("sim") or {}
    if not isinstance(sim, dict) or not isinstance(sim.get("version", 1), int):
        raise ValueError(f"sim: {sim!r} is not an object with a version")
    return sim


def _moment(item: dict[str, Any], name: str) -> datetime | None:
    text = item.get(name)
    try:
        return moment_of(text) if text is not None else None
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error

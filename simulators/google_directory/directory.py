"""The whole account: records and the indexes that find them by id, address, path and membership.

It keeps the indexes true and refuses nothing; the rules are in the modules named after the resources. What time does by
itself happens here: deleted users are gone after 20 days, and a new primary address is known only after a while.
"""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal

from simulators.google_directory.records import Aged, Group, Membership, Unit, User

DELETED_DAYS = 20
ROOT_UNIT_ID = "id:sim00000000"

Owner = tuple[Literal["user", "group"], str]


class Directory:
    """One Google account."""

    def __init__(self, *, customer_id: str, domains: tuple[str, ...]) -> None:
        self.customer_id = customer_id
        self.domains = domains
        self.users: dict[str, User] = {}
        self.deleted: dict[str, User] = {}  # in the order of deletion
        self.groups: dict[str, Group] = {}
        self.members: dict[str, dict[str, Membership]] = {}  # group id, member id
        self.groups_of: dict[str, dict[str, None]] = {}  # member id, group ids
        self.units: dict[str, Unit] = {}
        self.units_below: dict[str, dict[str, None]] = {}
        self.users_in_unit: Counter[str] = Counter()
        self.schemas: dict[str, dict[str, Any]] = {}
        self.admin_roles: dict[str, tuple[str, ...]] = {}  # address, resources
        self.conflict_accounts: dict[str, str] = {}  # address, what becomes of it
        self.next_number = 1
        self._owners: dict[str, Owner] = {}
        self._deleted_addresses: dict[str, str] = {}
        self._external_ids: dict[str, dict[str, None]] = {}  # external id in lower case, user ids
        self._unit_ids: dict[str, str] = {}  # path in lower case
        self.put_unit(Unit(id=ROOT_UNIT_ID, name="/", parent_id=None, path="/"))

    def new_number(self) -> int:
        """Hand out a number that no id has yet."""
        number = self.next_number
        self.next_number += 1
        return number

    # Addresses

    def owner_of(self, address: str) -> Owner | None:
        """Find who has an address, primary or alias."""
        return self._owners.get(address.lower())

    def is_held_by_deleted(self, address: str, *, now: datetime) -> bool:
        """Tell whether a deleted user still holds an address."""
        self.forget_expired(now=now)
        return address.lower() in self._deleted_addresses

    def _claim(self, addresses: tuple[str, ...], owner: Owner) -> None:
        for address in addresses:
            self._owners[address.lower()] = owner

    def _release(self, addresses: tuple[str, ...]) -> None:
        for address in addresses:
            self._owners.pop(address.lower(), None)

    # Users

    def find_user(self, key: str, *, now: datetime, rename_settling: float) -> User | None:
        """Find a living user by id, address or alias."""
        if key in self.users:
            return self.users[key]
        owner = self.owner_of(key)
        if owner is None or owner[0] != "user":
            return None
        user = self.users[owner[1]]
        is_unknown_yet = is_renaming(user, now=now, seconds=rename_settling) and key.lower() == user.email.lower()
        return None if is_unknown_yet else user

    def put_user(self, user: User) -> None:
        """Add a user or replace the one with its id."""
        before = self.users.get(user.id)
        if before is not None:
            self._release((before.email, *before.aliases))
            self._forget_external_ids(before)
            self.users_in_unit[before.unit_id] -= 1
        self.users[user.id] = user
        self.users_in_unit[user.unit_id] += 1
        self._claim((user.email, *user.aliases), ("user", user.id))
        for external_id in user.external_ids():
            self._external_ids.setdefault(external_id.lower(), {})[user.id] = None

    def users_by_external_id(self, external_id: str) -> list[User]:
        """Find the living users that show an external id, whatever its case."""
        return [self.users[user_id] for user_id in self._external_ids.get(external_id.lower(), ())]

    def _forget_external_ids(self, user: User) -> None:
        for external_id in user.external_ids():
            holders = self._external_ids[external_id.lower()]
            holders.pop(user.id, None)
            if not holders:
                del self._external_ids[external_id.lower()]

    def delete_user(self, user: User, *, now: datetime) -> None:
        """Take a user away, to be brought back for some days; memberships are not brought back."""
        del self.users[user.id]
        self._forget_external_ids(user)
        self.users_in_unit[user.unit_id] -= 1
        self._release((user.email, *user.aliases))
        self.leave_all(user.id)
        self.put_deleted(replace(user, deleted_at=now, version=user.version + 1))

    def put_deleted(self, user: User) -> None:
        """Keep a deleted user."""
        self.deleted[user.id] = user
        self._deleted_addresses |= dict.fromkeys(map(str.lower, (user.email, *user.aliases)), user.id)

    def take_deleted(self, user_id: str, *, now: datetime) -> User | None:
        """Find a deleted user that can still be brought back."""
        self.forget_expired(now=now)
        return self.deleted.get(user_id)

    def undelete(self, user: User, *, unit_id: str) -> None:
        """Bring a user back."""
        self._forget_deleted(user.id)
        self.put_user(replace(user, deleted_at=None, unit_id=unit_id, version=user.version + 1))

    def forget_expired(self, *, now: datetime) -> None:
        """Let go of users that were deleted too long ago."""
        while self.deleted:
            first = next(iter(self.deleted.values()))
            if first.deleted_at is None or now - first.deleted_at < timedelta(days=DELETED_DAYS):
                return
            self._forget_deleted(first.id)

    def _forget_deleted(self, user_id: str) -> None:
        user = self.deleted.pop(user_id)
        for address in (user.email, *user.aliases):
            if self._deleted_addresses.get(address.lower()) == user_id:
                del self._deleted_addresses[address.lower()]

    # Groups and members

    def find_group(self, key: str, *, now: datetime, rename_settling: float) -> Group | None:
        """Find a group by id, address or alias."""
        if key in self.groups:
            return self.groups[key]
        owner = self.owner_of(key)
        if owner is None or owner[0] != "group":
            return None
        group = self.groups[owner[1]]
        is_unknown_yet = is_renaming(group, now=now, seconds=rename_settling) and key.lower() == group.email.lower()
        return None if is_unknown_yet else group

    def put_group(self, group: Group) -> None:
        """Add a group or replace the one with its id."""
        before = self.groups.get(group.id)
        if before is not None:
            self._release((before.email, *before.aliases))
        self.groups[group.id] = group
        self.members.setdefault(group.id, {})
        self._claim((group.email, *group.aliases), ("group", group.id))

    def delete_group(self, group: Group) -> None:
        """Take a group away for good."""
        for member_id in list(self.members[group.id]):
            self.leave(group.id, member_id)
        del self.members[group.id], self.groups[group.id]
        self._release((group.email, *group.aliases))
        self.leave_all(group.id)

    def join(self, group_id: str, membership: Membership) -> None:
        """Add a member or replace the membership it has."""
        self.members[group_id][membership.member_id] = membership
        self.groups_of.setdefault(membership.member_id, {})[group_id] = None

    def leave(self, group_id: str, member_id: str) -> None:
        """Take a member out of a group."""
        del self.members[group_id][member_id]
        del self.groups_of[member_id][group_id]
        if not self.groups_of[member_id]:
            del self.groups_of[member_id]

    def leave_all(self, member_id: str) -> None:
        """Take a member out of every group."""
        for group_id in list(self.groups_of.get(member_id, ())):
            self.leave(group_id, member_id)

    # Organisational units

    def find_unit(self, path_or_id: str) -> Unit | None:
        """Find a unit by its path from the root, in any case, or by its id."""
        if path_or_id.startswith("id:"):
            return self.units.get(path_or_id)
        unit_id = self._unit_ids.get(path_or_id.lower())
        return self.units[unit_id] if unit_id is not None else None

    def put_unit(self, unit: Unit) -> None:
        """Add a unit or replace the one with its id; the paths below follow."""
        before = self.units.get(unit.id)
        if before is not None:
            del self._unit_ids[before.path.lower()]
            if before.parent_id is not None:
                del self.units_below[before.parent_id][unit.id]
        self.units[unit.id] = unit
        self._unit_ids[unit.path.lower()] = unit.id
        self.units_below.setdefault(unit.id, {})
        if unit.parent_id is not None:
            self.units_below[unit.parent_id][unit.id] = None
        if before is not None and before.path != unit.path:
            for child_id in list(self.units_below[unit.id]):
                child = self.units[child_id]
                self.put_unit(replace(child, path=path_below(unit, child.name)))

    def delete_unit(self, unit: Unit) -> None:
        """Take an empty unit away."""
        del self.units[unit.id], self._unit_ids[unit.path.lower()], self.units_below[unit.id]
        if unit.parent_id is not None:
            del self.units_below[unit.parent_id][unit.id]


def path_below(parent: Unit, name: str) -> str:
    """Write the path of a unit below another."""
    return f"/{name}" if parent.parent_id is None else f"{parent.path}/{name}"


def is_renaming(record: Aged, *, now: datetime, seconds: float) -> bool:
    """Tell whether a change of the primary address is still on its way (V3)."""
    return record.renamed_at is not None and (now - record.renamed_at).total_seconds() < seconds

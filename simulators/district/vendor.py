"""The vendor's contacts as an older script left them last week, so that one run has exactly a wanted set of changes.

Starts from the wanted contacts and spoils some of them, each on purpose and with its consequence written down; what is
not spoiled is already as it should be. It never talks to a vendor: the state is a seed for the TitanHST simulator.
Values that a source does not know (no address, no number) may stand in a contact all the same: they are never cleared.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

from simulators.district import names
from simulators.district.catalogue import VENDOR_LOCATIONS, VENDOR_ROLES
from simulators.district.people import Person, Wanted, World, scaled

Contact = dict[str, object]
CLASSES = ("create", "update", "rename", "role_change", "suspend", "reactivate")
FIELD_AT_VENDOR = {
    "external_id": "externalId",
    "first_name": "firstName",
    "last_name": "lastName",
    "email": "email",
    "mobile": "mobilePhone",
    "role": "role",
    "location": "locationCode",
    "active": "active",
}
ALREADY_INACTIVE = 10
"""Contacts of former staff that are inactive as they should be, in a district of the default size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeCounts:
    """How many changes of each class the next run must find."""

    create: int = 38
    update: int = 57
    """Includes the adopted ones."""
    rename: int = 6
    role_change: int = 14
    suspend: int = 21
    reactivate: int = 3
    adopted: int = 5
    """Contacts without external id and with the person's mail address; they are updates and within `update`."""
    ambiguous: int = 2
    """People for whom two unmanaged contacts carry their mail address; no change, quarantined."""
    unmanaged: int = 12
    """Contacts that belong to nobody in HR; no change."""

    def __post_init__(self) -> None:
        for name, count in asdict(self).items():
            if count < 0:
                raise ValueError(f"{name}: {count}, allowed 0 or more")
        if self.adopted > self.update:
            raise ValueError(f"adopted: {self.adopted}, allowed at most update ({self.update}), which includes them")


@dataclass(slots=True)
class VendorState:
    """The contacts, and what the next run must conclude from them."""

    contacts: list[Contact] = field(default_factory=list)
    changes: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in CLASSES})
    """Class → external ids."""
    fields: dict[str, dict[str, list[object]]] = field(default_factory=dict)
    """External id → field → [before, after]."""
    adopted: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)
    left_scope: list[str] = field(default_factory=list)
    """Those to suspend whom HR still knows; nobody knows the others any more."""
    unmanaged: int = 0
    already_inactive: int = 0

    @property
    def document(self) -> dict[str, object]:
        """The seed of the TitanHST simulator."""
        return {
            "roles": [{"code": code, "name": name} for code, name in sorted(VENDOR_ROLES.items())],
            "locations": [{"code": code, "name": name} for code, name in sorted(VENDOR_LOCATIONS.items())],
            "contacts": self.contacts,
        }


def leave_behind(world: World, counts: ChangeCounts | None = None) -> VendorState:
    """Make the vendor's state for a district; the same arguments give the same contacts in the same order."""
    return _Maker(world, counts or ChangeCounts()).make()


class _Maker:
    def __init__(self, world: World, counts: ChangeCounts) -> None:
        self.world, self.counts = world, counts
        self.rng = random.Random(f"vendor/{world.seed}")
        self.state = VendorState()
        self.desired = world.desired
        self.pool = list(self.desired)
        self.rng.shuffle(self.pool)
        # Per kind of change: what is spoiled, in turn. Each entry names fields to set to something else.
        self.turns: dict[str, tuple[tuple[str, ...], ...]] = {
            "update": (("first_name",), ("mobile",), ("location",), ("no_email",), ("no_mobile",),
                       ("first_name", "mobile", "location")),
            "rename": (("email",), ("last_name",), ("email", "last_name", "first_name")),
            "role_change": (("role",), ("role", "location"), ("role", "last_name"), ("role", "inactive")),
            "reactivate": (("inactive",), ("inactive", "location")),
        }  # fmt: skip

    def make(self) -> VendorState:
        counts = self.counts
        for external_id in self._take(counts.ambiguous, lambda wanted: wanted.email is not None):
            self._ambiguous(external_id)
        for turn, external_id in enumerate(self._take(counts.adopted, lambda wanted: wanted.email is not None)):
            self._spoil("update", external_id, ("first_name",) if turn % 2 else (), is_managed=False)
        whole = {"update": counts.update - counts.adopted, "rename": counts.rename}
        whole |= {"role_change": counts.role_change, "reactivate": counts.reactivate}
        for name, count in whole.items():
            turns = self.turns[name]
            people = self._take(count, lambda wanted: wanted.email is not None and wanted.mobile is not None)
            for turn, external_id in enumerate(people):
                self._spoil(name, external_id, turns[turn % len(turns)])
        for external_id in self._take(counts.create, lambda _: True):
            self._conclude("create", external_id, None, self.desired[external_id])
        for external_id in self.pool:
            self._add(self._contact(self.desired[external_id], external_id))
        self._former()
        self._quarantined()
        self._unmanaged()
        self._number()
        for ids in self.state.changes.values():
            ids.sort()
        self.state.adopted.sort()
        self.state.ambiguous.sort()
        self.state.left_scope.sort()
        return self.state

    def _take(self, count: int, fits: Callable[[Wanted], bool]) -> list[str]:
        chosen = [external_id for external_id in self.pool if fits(self.desired[external_id])][:count]
        if len(chosen) < count:
            raise ValueError(
                f"changes: {count} people asked for, {len(chosen)} of {len(self.desired)} left; "
                "ask for fewer changes or a larger district"
            )
        gone = set(chosen)
        self.pool = [external_id for external_id in self.pool if external_id not in gone]
        return chosen

    def _contact(self, wanted: Wanted, external_id: str | None) -> Contact:
        """A contact as wanted; where the source knows no address or number the vendor may still have one."""
        rng = self.rng
        old_mail = f"kept{len(self.state.contacts)}@{names.OLD_DOMAIN}" if rng.random() < 0.5 else None
        old_phone = f"+1{names.digits_of_phone(rng)}" if rng.random() < 0.3 else None
        return {
            "externalId": external_id,
            "firstName": wanted.first_name,
            "lastName": wanted.last_name,
            "email": wanted.email or old_mail,
            "mobilePhone": wanted.mobile or old_phone,
            "role": wanted.role,
            "locationCode": wanted.location,
            "active": True,
        }

    def _add(self, contact: Contact) -> None:
        self.state.contacts.append(contact)

    def _spoil(self, name: str, external_id: str, how: Iterable[str], *, is_managed: bool = True) -> None:
        wanted = self.desired[external_id]
        contact = self._contact(wanted, external_id if is_managed else None)
        for each in how:
            self._spoil_field(contact, each)
        if not is_managed:
            self.state.adopted.append(external_id)
        self._add(contact)
        self._conclude(name, external_id, contact, wanted)

    def _spoil_field(self, contact: Contact, how: str) -> None:
        match how:
            case "inactive":
                contact["active"] = False
            case "no_email":
                contact["email"] = None
            case "no_mobile":
                contact["mobilePhone"] = None
            case "email":
                contact["email"] = f"was{len(self.state.contacts)}@{names.OLD_DOMAIN}"
            case "mobile":
                contact["mobilePhone"] = self._other(
                    contact["mobilePhone"], lambda: f"+1{names.digits_of_phone(self.rng)}"
                )
            case "first_name":
                contact["firstName"] = self._other(contact["firstName"], lambda: self.rng.choice(names.SHORT_NAMES))
            case "last_name":
                contact["lastName"] = self._other(contact["lastName"], lambda: names.last_name(self.rng))
            case "role":
                contact["role"] = self._other(contact["role"], lambda: self.rng.choice(list(VENDOR_ROLES)))
            case "location":
                contact["locationCode"] = self._other(
                    contact["locationCode"], lambda: self.rng.choice(list(VENDOR_LOCATIONS))
                )
            case _:
                raise ValueError(f"{how}: no such way to spoil a contact")

    def _other(self, value: object, draw: Callable[[], str]) -> str:
        for _ in range(1_000):  # every list drawn from has ten values at least: a thousand equal draws mean a bug
            if (other := draw()) != value:
                return other
        raise ValueError(f"{value!r}: a thousand draws gave no other value")

    def _conclude(self, name: str, external_id: str, contact: Contact | None, wanted: Wanted) -> None:
        """Write down one change with every field that differs; what the source does not know is not compared."""
        after: dict[str, object] = {"external_id": external_id, **asdict(wanted), "active": True}
        differing: dict[str, list[object]] = {}
        for each, value in after.items():
            before = None if contact is None else contact[FIELD_AT_VENDOR[each]]
            if value is not None and before != value:
                differing[each] = [before, value]
        self.state.changes[name].append(external_id)
        self.state.fields[external_id] = differing

    def _ambiguous(self, external_id: str) -> None:
        wanted = self.desired[external_id]
        self.state.ambiguous.append(external_id)
        # The second one is spelled in capitals: addresses are matched without regard to case.
        for mail in (wanted.email or "", (wanted.email or "").upper()):
            self._add(self._contact(wanted, None) | {"email": mail})

    def _former(self) -> None:
        """Contacts without a wanted record: active ones to suspend (some of nobody HR knows), inactive ones."""
        orphans = self.counts.suspend // 7
        former = [person for person in self.world.people if not person.in_scope]
        self.rng.shuffle(former)
        suspend, rest = former[: self.counts.suspend - orphans], former[self.counts.suspend - orphans :]
        if len(suspend) + orphans < self.counts.suspend:
            raise ValueError(f"suspend: {self.counts.suspend}, the district has {len(former)} former employees")
        for number in range(orphans):
            self._suspend(f"Q{number + 1:06d}", former[number].wanted)
        for person in suspend:
            self._suspend(person.external_id, person.wanted)
            self.state.left_scope.append(person.external_id)
        for person in rest[: scaled(ALREADY_INACTIVE, staff=self.world.staff)]:
            self.state.already_inactive += 1
            self._add(self._contact(person.wanted, person.external_id) | {"active": False})

    def _suspend(self, external_id: str, wanted: Wanted) -> None:
        self._add(self._contact(wanted, external_id))
        self.state.changes["suspend"].append(external_id)
        self.state.fields[external_id] = {"active": [True, False]}

    def _quarantined(self) -> None:
        """Contacts of people whose rows are unsound: visibly out of date, so that any touch would show."""
        unsound = [person for person in self.world.people if person.in_scope and person.reason is not None]
        for number, person in enumerate(unsound):
            if number % 3 == 2:
                continue  # no contact, and none may come
            contact = self._contact(person.wanted, person.external_id)
            self._spoil_field(contact, "last_name")
            self._spoil_field(contact, "role")
            self._add(contact | {"active": number % 5 != 0})

    def _unmanaged(self) -> None:
        """Contacts that no run may touch, some of them with the mail address of somebody else."""
        borrowed = [self.desired[self.pool[0]].email] if self.pool else []
        borrowed += [_first_mail(person for person in self.world.people if not person.in_scope)]
        borrowed += [_first_mail(person for person in self.world.people if person.reason == "unmapped_role")]
        titles = ("Police Liaison", "Fire Marshal", "County Office", "Board Trustee", "Crossing Guard", "Night Watch")
        for number in range(self.counts.unmanaged):
            mail = borrowed[number] if number < len(borrowed) else f"liaison{number}@partner.example"
            contact = self._contact(
                Wanted(
                    first_name=titles[number % len(titles)],
                    last_name=names.last_name(self.rng),
                    email=mail if number % 4 != 3 else None,
                    mobile=None,
                    role=self.rng.choice(("OTHER", "SECURITY")),
                    location="TL-300",
                ),
                None,
            )
            self._add(contact | {"active": number % 6 != 5})
            self.state.unmanaged += 1

    def _number(self) -> None:
        """Shuffle, and give ids and times: the vendor's order says nothing about anything."""
        self.rng.shuffle(self.state.contacts)
        last_week = datetime.combine(self.world.reference - timedelta(days=7), datetime.min.time()).replace(hour=2)
        for number, contact in enumerate(self.state.contacts, start=1):
            created = last_week - timedelta(days=self.rng.randint(0, 800), seconds=self.rng.randrange(7_000))
            self.state.contacts[number - 1] = {
                "id": f"c-{number:06d}",
                **contact,
                "createdAt": f"{created:%Y-%m-%dT%H:%M:%SZ}",
                "updatedAt": f"{last_week:%Y-%m-%dT%H:%M:%SZ}",
            }


def _first_mail(people: Iterable[Person]) -> str | None:
    return next((person.wanted.email for person in people if person.wanted.email is not None), None)

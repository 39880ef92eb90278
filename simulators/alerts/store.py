"""The records of a simulated Klaxon Alerts: organizations, codes and contacts, and what a write does to them.

It takes checked bodies and the time, and knows nothing of HTTP. A contact is replaced, never changed in place, so a
page handed out stays what it was. Get and filter by key are look-ups; a page costs its own length.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Self

from simulators.alerts.rules import (
    KINDS,
    OPTIONAL_VALUES,
    READ_ONLY,
    WRITABLE,
    BadBodyError,
    UnknownCodeError,
    check_contact,
)

CONTACTS_MAX = 1_000_000
FIRST_ID = 4_100_000_000_001
"""Ids are numbers beyond 32 bits."""

Contact = dict[str, Any]


class DuplicateExternalIdError(Exception):
    """Another contact of the organization already has this external id."""


class Organization:
    """One customer of the vendor: its contacts in the order of their ids."""

    def __init__(self, *, organization_id: int, name: str, is_granted: bool) -> None:
        self.id = organization_id
        self.name = name
        self.is_granted = is_granted
        """Whether the credentials of the simulator may use it."""
        self.ids: list[int] = []
        self.id_of_external: dict[str, int] = {}


class AlertStore:
    """All that the vendor keeps."""

    def __init__(self) -> None:
        self.organizations: dict[int, Organization] = {}
        self.record_types: dict[int, str] = {}
        self.delivery_paths: dict[int, tuple[str, str]] = {}
        """Name and kind by id."""
        self.kind_of_path: dict[int, str] = {}
        self._contacts: dict[int, Contact] = {}
        self._next_id = FIRST_ID

    @classmethod
    def from_document(cls, document: Any, *, now: datetime) -> Self:
        """Build the state from a seed or a saved state; what the API would not hold is refused by place and rule."""
        known = {"organizations", "recordTypes", "deliveryPaths", "contacts", "nextId"}
        if not isinstance(document, dict) or not document.keys() <= known:
            raise ValueError(f"state: an object with {', '.join(sorted(known))}, and nothing else")
        store = cls()
        for place, item in _items(document, "organizations"):
            match item:
                case {"id": int(number), "name": str(name), **rest} if rest.keys() <= {"granted"}:
                    _refuse_second(number, store.organizations, place)
                    is_granted = rest.get("granted", True) is True
                    store.organizations[number] = Organization(organization_id=number, name=name, is_granted=is_granted)
                case _:
                    raise ValueError(f"{place}: needs a number id and a name, and may have granted")
        for place, item in _items(document, "recordTypes"):
            match item:
                case {"id": int(number), "name": str(name), **rest} if not rest:
                    _refuse_second(number, store.record_types, place)
                    store.record_types[number] = name
                case _:
                    raise ValueError(f"{place}: needs a number id and a name, and nothing else")
        for place, item in _items(document, "deliveryPaths"):
            match item:
                case {"id": int(number), "name": str(name), "kind": str(kind), **rest} if kind in KINDS and not rest:
                    _refuse_second(number, store.delivery_paths, place)
                    store.delivery_paths[number] = (name, kind)
                    store.kind_of_path[number] = kind
                case _:
                    raise ValueError(f"{place}: needs a number id, a name and a kind of {', '.join(KINDS)}")
        store._seed_contacts(document, now=now)
        return store

    def document(self) -> dict[str, Any]:
        """Describe the whole state; `from_document` reads it back."""
        return {
            "organizations": [
                {"id": each.id, "name": each.name, "granted": each.is_granted} for each in self.organizations.values()
            ],
            "recordTypes": self.record_type_items(),
            "deliveryPaths": self.delivery_path_items(),
            "contacts": [self._contacts[number] for number in sorted(self._contacts)],
            "nextId": self._next_id,
        }

    def record_type_items(self) -> list[dict[str, Any]]:
        """List the record types as the API shows them."""
        return [{"id": number, "name": name} for number, name in sorted(self.record_types.items())]

    def delivery_path_items(self) -> list[dict[str, Any]]:
        """List the delivery paths as the API shows them."""
        return [
            {"id": number, "name": name, "kind": kind} for number, (name, kind) in sorted(self.delivery_paths.items())
        ]

    def page(self, organization: Organization, window: slice) -> list[Contact]:
        """Hand out the contacts at these positions, in the order of their ids."""
        return [self._contacts[number] for number in organization.ids[window]]

    def get(self, organization: Organization, number: int) -> Contact | None:
        """Find a contact by the vendor's id."""
        contact = self._contacts.get(number)
        return contact if contact is not None and contact["organizationId"] == organization.id else None

    def get_by_external_id(self, organization: Organization, external_id: str) -> Contact | None:
        """Find a contact by the customer's id."""
        number = organization.id_of_external.get(external_id)
        return self._contacts[number] if number is not None else None

    def check(self, body: Mapping[str, Any], *, is_partial: bool) -> None:
        """Refuse a body that no contact can have."""
        check_contact(body, record_types=self.record_types, kind_of_path=self.kind_of_path, is_partial=is_partial)

    def create(
        self, organization: Organization, body: Mapping[str, Any], *, now: datetime, pretend: bool = False
    ) -> Contact:
        """Add a contact from a checked body; with `pretend`, only say what it would be."""
        if body["externalId"] in organization.id_of_external:
            raise DuplicateExternalIdError("externalId belongs to another contact")
        stamp = _stamp(now)
        contact = _whole(body, number=self._next_id, organization=organization, created_at=stamp, updated_at=stamp)
        if not pretend:
            self._put(organization, contact)
        return contact

    def update(
        self,
        organization: Organization,
        before: Contact,
        body: Mapping[str, Any],
        *,
        is_partial: bool,
        now: datetime,
        pretend: bool = False,
    ) -> tuple[Contact, list[str]]:
        """Set what a checked body holds; a full update also resets what it leaves out. Say which fields changed."""
        # K27
        wanted = dict(body) if is_partial else {name: body.get(name, OPTIONAL_VALUES.get(name)) for name in WRITABLE}
        if "paths" in wanted:
            wanted["paths"] = _whole_paths(wanted["paths"])
        changed = [name for name in WRITABLE if name in wanted and wanted[name] != before[name]]
        if not changed:
            return before, []
        if organization.id_of_external.get(wanted.get("externalId", ""), before["id"]) != before["id"]:
            raise DuplicateExternalIdError("externalId belongs to another contact")
        after = before | {name: wanted[name] for name in changed} | {"updatedAt": _stamp(now)}
        if not pretend:
            self._put(organization, after)
        return after, changed

    def delete(self, organization: Organization, contact: Contact) -> None:
        """Remove a contact for good; its id is never given out again."""
        del self._contacts[contact["id"]]
        del organization.ids[bisect_left(organization.ids, contact["id"])]
        del organization.id_of_external[contact["externalId"]]

    def _put(self, organization: Organization, contact: Contact) -> None:
        number: int = contact["id"]
        before = self._contacts.get(number)
        if before is None:
            organization.ids.append(number)
            self._next_id = max(self._next_id, number + 1)
        else:
            del organization.id_of_external[before["externalId"]]
        self._contacts[number] = contact
        organization.id_of_external[contact["externalId"]] = number

    def _seed_contacts(self, document: dict[str, Any], *, now: datetime) -> None:
        next_id = document.get("nextId", FIRST_ID)
        if not isinstance(next_id, int) or isinstance(next_id, bool) or next_id < 1:
            raise ValueError("nextId: must be a whole number from 1")
        for place, item in _items(document, "contacts"):
            try:
                self._seed_contact(item, now=now)
            except (BadBodyError, UnknownCodeError, DuplicateExternalIdError, ValueError) as error:
                raise ValueError(f"{place}: {error}") from error
        for organization in self.organizations.values():
            organization.ids.sort()
        self._next_id = max(self._next_id, next_id)

    def _seed_contact(self, item: Any, *, now: datetime) -> None:
        if not isinstance(item, dict) or not item.keys() <= {*WRITABLE, *READ_ONLY}:
            raise ValueError(f"an object with {', '.join((*WRITABLE, *READ_ONLY))}, and nothing else")
        organization = self.organizations.get(item.get("organizationId", 0))
        if organization is None:
            raise ValueError("organizationId names no organization of this seed")
        body = {name: item[name] for name in WRITABLE if name in item}
        self.check(body, is_partial=False)
        number = item.get("id", self._next_id)
        if not isinstance(number, int) or isinstance(number, bool) or number < 1 or number in self._contacts:
            raise ValueError("id must be a whole number from 1 that no other contact has")
        if body["externalId"] in organization.id_of_external:
            raise DuplicateExternalIdError("externalId belongs to another contact of the organization")
        stamps = [item.get(name, _stamp(now)) for name in ("createdAt", "updatedAt")]
        if not all(isinstance(stamp, str) for stamp in stamps):
            raise ValueError("createdAt and updatedAt must be text")
        self._put(
            organization,
            _whole(body, number=number, organization=organization, created_at=stamps[0], updated_at=stamps[1]),
        )


def _items(document: dict[str, Any], name: str) -> Iterable[tuple[str, Any]]:
    items = document.get(name, [])
    if not isinstance(items, list) or len(items) > CONTACTS_MAX:
        raise ValueError(f"{name}: a list of at most {CONTACTS_MAX}")
    return [(f"{name}[{position}]", item) for position, item in enumerate(items)]


def _refuse_second(number: int, taken: Mapping[int, Any], place: str) -> None:
    if isinstance(number, bool) or number in taken:
        raise ValueError(f"{place}: id {number} is taken or is no number")


def _whole(
    body: Mapping[str, Any], *, number: int, organization: Organization, created_at: str, updated_at: str
) -> Contact:
    contact: Contact = {"id": number, "organizationId": organization.id}
    for name in WRITABLE:
        contact[name] = body[name] if name in body else OPTIONAL_VALUES[name]
    contact["paths"] = _whole_paths(contact["paths"])
    return contact | {"createdAt": created_at, "updatedAt": updated_at}


def _whole_paths(paths: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "waitTime": path.get("waitTime", 0),
            "status": path.get("status", "A"),
            "pathId": path["pathId"],
            "value": path["value"],
        }
        for path in paths
    ]


def _stamp(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")

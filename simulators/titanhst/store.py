"""The records of a simulated TitanHST: contacts, roles and locations, and what a write does to them.

Pure state behind the API: it takes validated bodies and the time, and knows nothing of HTTP. A contact is replaced,
never changed in place, so a page handed out stays what it was. Kept in a file if asked: one line with the whole state,
then one line per effect, so that a killed and restarted simulator still knows everything it has answered for.
"""

import re
from bisect import bisect_left
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

from simulators.kit.lines import LineFile
from simulators.titanhst.rules import WRITABLE, body_errors

CONTACTS_MAX = 6_000_000
ID_DIGITS = 6
"""Digits of an id, unless the seed has longer ones; one length keeps the order of the ids as text and as numbers the
same."""
ROLES = {
    "TEACHER": "Teacher",
    "SUBSTITUTE": "Substitute",
    "ADMINISTRATOR": "Administrator",
    "COUNSELOR": "Counselor",
    "NURSE": "Nurse",
    "SECURITY": "Security",
    "OFFICE": "Office",
    "CUSTODIAL": "Custodial",
    "TRANSPORT": "Transport",
    "FOOD": "Food Service",
    "AIDE": "Aide",
    "OTHER": "Other",
}
_ID = re.compile(r"c-([0-9]{6,9})")
_STAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_STAMPS = ("createdAt", "updatedAt")

Contact = dict[str, Any]


class DuplicateExternalIdError(Exception):
    """Another contact already has this external id."""


class ContactStore:
    """All contacts in the order of their ids, with roles and locations."""

    def __init__(self, *, roles: dict[str, str], locations: dict[str, str]) -> None:
        self.roles = roles
        self.locations = locations
        self._contacts: dict[str, Contact] = {}
        self._ids: list[str] = []  # ascending; a new id is always the greatest
        self._id_of_external: dict[str, str] = {}
        self._next_number = 1
        self._id_digits = ID_DIGITS
        self._lines: LineFile | None = None

    @classmethod
    def from_document(cls, document: Any, *, now: datetime) -> Self:
        """Build the state from a seed or a saved state; anything the API would not hold is refused by name."""
        if not isinstance(document, dict) or not document.keys() <= {"roles", "locations", "contacts", "nextNumber"}:
            raise ValueError("state: an object with roles, locations, contacts and nextNumber, and nothing else")
        roles = _codes(document["roles"], name="roles") if "roles" in document else dict(ROLES)
        store = cls(roles=roles, locations=_codes(document.get("locations", []), name="locations"))
        contacts = document.get("contacts", [])
        if not isinstance(contacts, list) or len(contacts) > CONTACTS_MAX:
            raise ValueError(f"contacts: a list of at most {CONTACTS_MAX} contacts")
        if contacts and isinstance(contacts[0], dict):
            store._id_digits = max(ID_DIGITS, len(str(contacts[0].get("id", ""))) - len("c-"))
        for position, contact in enumerate(contacts):
            try:
                store._put(store._seeded(contact, now=now), is_new=True)
            except (ValueError, DuplicateExternalIdError) as error:
                raise ValueError(f"contacts[{position}]: {error}") from error
        store._ids.sort()
        next_number = document.get("nextNumber", 1)
        if not isinstance(next_number, int) or isinstance(next_number, bool) or next_number < 1:
            raise ValueError(f"nextNumber: {next_number!r} is not a whole number from 1")
        store._next_number = max(store._next_number, next_number)
        return store

    def document(self) -> dict[str, Any]:
        """Describe the whole state; `from_document` reads it back."""
        return {
            "roles": code_items(self.roles),
            "locations": code_items(self.locations),
            "contacts": self.page(slice(0, len(self._ids))),
            "nextNumber": self._next_number,
        }

    def __len__(self) -> int:
        return len(self._ids)

    def page(self, window: slice) -> list[Contact]:
        """Hand out the contacts at these positions, in the order of their ids."""
        return [self._contacts[contact_id] for contact_id in self._ids[window]]

    def get(self, contact_id: str) -> Contact | None:
        """Find a contact by the vendor's id."""
        return self._contacts.get(contact_id)

    def get_by_external_id(self, external_id: str) -> Contact | None:
        """Find a contact by the customer's id."""
        contact_id = self._id_of_external.get(external_id)
        return self._contacts[contact_id] if contact_id is not None else None

    def create(self, body: Mapping[str, Any], *, now: datetime, pretend: bool = False) -> Contact:
        """Add a contact from a checked body and return it; with `pretend`, only say what it would be."""
        self._refuse_taken(body.get("externalId"), contact_id=None)
        contact_id = self._next_id()
        if len(contact_id) > len("c-") + self._id_digits:
            raise RuntimeError(f"ids are used up before {contact_id}; start the simulator with a fresh state")
        contact = _whole(body, contact_id=contact_id, created_at=_stamp(now), updated_at=_stamp(now))
        if not pretend:
            self._put(contact, is_new=True)
            self._keep({"put": contact})
        return contact

    def update(
        self, contact: Contact, body: Mapping[str, Any], *, now: datetime, pretend: bool = False
    ) -> tuple[Contact, list[str]]:
        """Set the fields a checked body holds; return the contact and which fields changed (none: nothing happened)."""
        changed = [name for name in WRITABLE if name in body and body[name] != contact[name]]
        if not changed:
            return contact, []
        self._refuse_taken(body.get("externalId"), contact_id=contact["id"])
        after = contact | {name: body[name] for name in changed} | {"updatedAt": _stamp(now)}
        if not pretend:
            self._put(after, is_new=False)
            self._keep({"put": after})
        return after, changed

    def delete(self, contact: Contact) -> None:
        """Remove a contact for good; its id is never given out again."""
        contact_id = contact["id"]
        del self._contacts[contact_id]
        del self._ids[bisect_left(self._ids, contact_id)]
        if contact["externalId"] is not None:
            del self._id_of_external[contact["externalId"]]
        self._keep({"delete": contact_id})

    def keep_in(self, lines: LineFile) -> None:
        """Write the whole state to a file now, and every effect from now on."""
        lines.replace(self.document())
        self._lines = lines

    def _next_id(self) -> str:
        return f"c-{self._next_number:0{self._id_digits}d}"

    def _keep(self, line: dict[str, Any]) -> None:
        if self._lines is not None:
            self._lines.append(line)

    def _refuse_taken(self, external_id: str | None, *, contact_id: str | None) -> None:
        if external_id is not None and self._id_of_external.get(external_id, contact_id) != contact_id:
            raise DuplicateExternalIdError(f"externalId {external_id} belongs to another contact")

    def _put(self, contact: Contact, *, is_new: bool) -> None:
        contact_id: str = contact["id"]
        if is_new:
            self._ids.append(contact_id)
            self._next_number = max(self._next_number, int(contact_id.removeprefix("c-")) + 1)
        elif (old := self._contacts[contact_id]["externalId"]) is not None:
            del self._id_of_external[old]
        self._contacts[contact_id] = contact
        if contact["externalId"] is not None:
            self._id_of_external[contact["externalId"]] = contact_id

    def _seeded(self, contact: Any, *, now: datetime) -> Contact:
        if not isinstance(contact, dict):
            raise ValueError("not an object")
        body = {name: value for name, value in contact.items() if name not in {"id", *_STAMPS}}
        errors = body_errors(body, roles=self.roles, locations=self.locations, is_partial=False)
        if errors:
            raise ValueError("; ".join(f"{name} {text}" for name, texts in errors.items() for text in texts))
        contact_id = contact.get("id", self._next_id())
        if not isinstance(contact_id, str) or _ID.fullmatch(contact_id) is None or contact_id in self._contacts:
            raise ValueError(f"id {contact_id!r} is taken or is not of the form c-000123")
        if len(contact_id) != len("c-") + self._id_digits:
            raise ValueError(f"id {contact_id!r} has not {self._id_digits} digits as the first one has")
        stamps = [contact.get(name, _stamp(now)) for name in _STAMPS]
        for stamp in stamps:
            if not isinstance(stamp, str) or _STAMP.fullmatch(stamp) is None:
                raise ValueError(f"time {stamp!r} is not of the form 2026-11-22T08:00:00Z")
        self._refuse_taken(body.get("externalId"), contact_id=None)
        return _whole(body, contact_id=contact_id, created_at=stamps[0], updated_at=stamps[1])


def open_store(*, seed: Any, lines: LineFile | None, now: datetime) -> ContactStore:
    """Build the state from the seed, or from the file it was kept in before, which then wins over the seed."""
    if lines is None:
        return ContactStore.from_document(seed, now=now)
    kept = lines.read()
    whole = next(kept, None)
    store = ContactStore.from_document(seed if whole is None else whole, now=now)
    for line in kept:
        match line:
            case {"put": {"id": str(contact_id)} as contact}:
                store._put(contact, is_new=store.get(contact_id) is None)
            case {"delete": str(contact_id)} if (gone := store.get(contact_id)) is not None:
                store.delete(gone)
            case _:
                raise ValueError(f"{lines.path}: no such line as {str(line)[:80]!r} can follow; remove the file")
    store.keep_in(lines)
    return store


def code_items(codes: Mapping[str, str]) -> list[dict[str, str]]:
    """List codes with their names as the API shows them, in the order of the codes."""
    return [{"code": code, "name": codes[code]} for code in sorted(codes)]


def _codes(items: Any, *, name: str) -> dict[str, str]:
    codes: dict[str, str] = {}
    for position, item in enumerate(items if isinstance(items, list) else [None]):
        match item:
            case {"code": str(code), "name": str(text), **rest} if code and code not in codes and not rest:
                codes[code] = text
            case _:
                raise ValueError(f"{name}[{position}]: needs a code of its own and a name, and nothing else")
    return codes


def _whole(body: Mapping[str, Any], *, contact_id: str, created_at: str, updated_at: str) -> Contact:
    contact: Contact = {"id": contact_id}
    for name in WRITABLE:
        contact[name] = body.get(name, True if name == "active" else None)
    return contact | {"createdAt": created_at, "updatedAt": updated_at}


def _stamp(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")

"""What the demonstration holds the house to: the district's truth, and the vendor's own record of what was done to it.

Each check returns what is wrong, in words; nothing wrong is an empty list. Pure: the documents are read by the demo.
It knows the vendor's field names, because it looks at the vendor from outside and not through our own systems.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

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
GIVEN_BY_VENDOR = ("id", "createdAt", "updatedAt")
FAULTS_SHOWN_MAX = 10

Contact = Mapping[str, Any]
PlannedChange = tuple[str, str, Iterable[tuple[str, str]]]
"""Class, key, and each field that it touches with the cause."""


def counts_differ(found: Mapping[str, int], *, truth: Mapping[str, Any]) -> list[str]:
    """The planned changes by class against the truth's."""
    wanted = {name: number for name, number in truth["counts"].items() if number}
    present = {name: number for name, number in found.items() if number}
    return [
        f"{name}: planned {present.get(name, 0)}, true {wanted.get(name, 0)}"
        for name in sorted(wanted.keys() | present.keys())
        if wanted.get(name, 0) != present.get(name, 0)
    ]


def changes_differ(changes: Iterable[PlannedChange], *, truth: Mapping[str, Any]) -> list[str]:
    """The planned changes one by one, with the fields each touches and why; values are compared later, at the vendor.

    A key that is shown masked is compared as far as it shows: its first sign and its length.
    """
    wanted = Counter(
        (name, key, frozenset((field, _cause(name, key, truth)) for field in truth["fields"][key]))
        for name, keys in truth["changes"].items()
        for key in keys
    )
    present = Counter((name, key, frozenset(fields)) for name, key, fields in changes)
    both = wanted & present
    missing = Counter((name, _masked(key), fields) for name, key, fields in (wanted - both).elements())
    extra = present - both
    faults = [f"missing: {_told(each)}" for each in (missing - extra).elements()]
    faults += [f"not true: {_told(each)}" for each in (extra - missing).elements()]
    return _bounded(sorted(faults))


def quarantine_differs(*, source: int, ambiguous: int, truth: Mapping[str, Any]) -> list[str]:
    """How many records were set aside while reading, and how many while matching."""
    counts = dict(truth["quarantine_counts"])
    wanted_ambiguous = counts.pop("ambiguous_match", 0)
    faults = []
    if source != sum(counts.values()):
        faults.append(f"quarantined while reading: {source}, true {sum(counts.values())}")
    if ambiguous != wanted_ambiguous:
        faults.append(f"ambiguous: {ambiguous}, true {wanted_ambiguous}")
    return faults


def state_differs(before: Sequence[Contact], after: Sequence[Contact], *, truth: Mapping[str, Any]) -> list[str]:
    """The vendor's contacts now against those before with the true changes made, contact by contact, field by field."""
    seeds = {contact["id"]: contact for contact in before}
    creates = set(truth["changes"]["create"])
    faults: list[str] = []
    seen: Counter[str] = Counter()
    for contact in after:
        key = contact["externalId"]
        seen[key or ""] += 1
        seed = seeds.pop(contact["id"], None)
        if seed is None and key not in creates:
            faults.append(f"contact {contact['id']} ({key}) is new and should not be")
            continue
        wanted: dict[str, Any] = dict.fromkeys(FIELD_AT_VENDOR.values())
        wanted |= {name: value for name, value in (seed or {}).items() if name not in GIVEN_BY_VENDOR}
        for field, (_, value) in truth["fields"].get(key, {}).items():
            wanted[FIELD_AT_VENDOR[field]] = value
        wrong = sorted(name for name, value in wanted.items() if contact[name] != value)
        if wrong:
            faults.append(f"contact {contact['id']} ({key}): not as it should be in {', '.join(wrong)}")
    faults += [f"contact {gone} is gone" for gone in seeds]
    for key in (key for keys in truth["changes"].values() for key in keys):
        if seen[key] != 1:
            faults.append(f"{key} stands {seen[key]} times at the vendor, should stand once")
    return _bounded(faults)


def effects_differ(effects: Mapping[str, Sequence[str]], *, dropped: int, truth: Mapping[str, Any]) -> list[str]:
    """Whether each change took effect at the vendor exactly once and nothing else did."""
    if dropped:
        return [f"the vendor's journal dropped {dropped} entries, so nothing can be said"]
    wanted = {key for keys in truth["changes"].values() for key in keys}
    faults = [
        f"{key}: {len(done)} effects ({'; '.join(done)}), should be 1"
        for key, done in effects.items()
        if key in wanted and len(done) != 1
    ]
    faults += [f"{key}: {'; '.join(done)}, should be untouched" for key, done in effects.items() if key not in wanted]
    faults += [f"{key}: nothing happened" for key in sorted(wanted - effects.keys())]
    return _bounded(faults)


def _masked(key: str) -> str:
    return f"{key[:1]}…({len(key)})"


def _cause(name: str, key: str, truth: Mapping[str, Any]) -> str:
    """Why a change is needed: nothing was ever written, so no field can have drifted; who left is told apart."""
    return "scope_change" if name == "suspend" and key in truth["left_scope"] else "source_change"


def _told(change: tuple[str, str, frozenset[tuple[str, str]]]) -> str:
    name, key, fields = change
    return f"{name} of {key}: {', '.join(f'{field} ({cause})' for field, cause in sorted(fields))}"


def _bounded(faults: list[str]) -> list[str]:
    more = len(faults) - FAULTS_SHOWN_MAX
    return faults if more <= 0 else [*faults[:FAULTS_SHOWN_MAX], f"and {more} more"]

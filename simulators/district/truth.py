"""The truth document of a sample district: what a correct run must find, in plain values for any test to read.

Gathered from the world and the vendor state as they were made; it computes nothing from rows or contacts by rule.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from simulators.district import class_rows
from simulators.district.people import World
from simulators.district.vendor import VendorState


def truth_of(world: World, state: VendorState) -> dict[str, object]:
    """Collect what is true; every mapping and list is in sorted order."""
    quarantined: dict[str, str] = {
        person.external_id: person.reason for person in world.people if person.in_scope and person.reason is not None
    }
    quarantined |= dict.fromkeys(state.ambiguous, "ambiguous_match")
    quarantined |= dict.fromkeys(world.rows_without_key, "missing_key")
    changed = sum(len(ids) for name, ids in state.changes.items() if name != "suspend")
    managed = [contact for contact in state.contacts if contact["externalId"] is not None]
    truth: dict[str, object] = {
        "seed": world.seed,
        "staff": world.staff,
        "reference_date": world.reference.isoformat(),
        "in_scope": sum(person.in_scope for person in world.people),
        "desired": len(world.desired),
        "unchanged": len(world.desired) - changed - len(state.ambiguous),
        "counts": {name: len(ids) for name, ids in sorted(state.changes.items())},
        "changes": dict(sorted(state.changes.items())),
        "fields": {external_id: state.fields[external_id] for external_id in sorted(state.fields)},
        "quarantined": dict(sorted(quarantined.items())),
        "quarantine_counts": dict(sorted(Counter(quarantined.values()).items())),
        "adopted": state.adopted,
        "left_scope": state.left_scope,
        "unmanaged": state.unmanaged,
        "ambiguous_contacts": 2 * len(state.ambiguous),
        "already_inactive": state.already_inactive,
        "target_contacts": len(state.contacts),
        "managed_active": sum(contact["active"] is True for contact in managed),
        "rows": {table: len(rows) for table, rows in sorted(world.tables.items())},
        "mess": dict(sorted(world.mess.items())),
    }
    if world.classes is not None:
        pupils = world.classes.pupils
        unsound = {str(each.person_id): each.reason for each in pupils if each.is_desired and each.reason is not None}
        truth["students"] = len(pupils)
        truth["local"] = {
            **class_rows.records_of(world.classes),
            "staff": {
                external_id: {
                    "last_name": wanted.last_name,
                    "first_name": wanted.first_name,
                    "email": wanted.email,
                    "mobile": wanted.mobile,
                    "role": wanted.role,
                    "school_code": _school_code(wanted.location),
                }
                for external_id, wanted in world.desired.items()
            },
        }
        truth["local_quarantined"] = {"students": dict(sorted(unsound.items()))}
    return truth


def _school_code(location: str) -> str:
    """The code of the school, 0 for a department."""
    number = int(location.removeprefix("TL-"))
    return str(number // 10 if number < 300 else 0)


def write_json(path: Path, document: object) -> None:
    """Write a document so that equal values give equal bytes."""
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

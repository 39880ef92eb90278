"""The past that the sample district is given: mirrored for three weeks, so that a first run is not the very first.

Says what the differ's ledger would know by now: which contact belongs to which employee, who was missed already, and
how many rows were read last; `services.differ.seeding` writes it. Pure: documents and the time are handed in. It tells
nothing of what was written to a contact, so nothing that a run finds is taken for somebody's edit at the vendor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from shared.clock import to_text

TOLD = (
    "The district has been mirrored for three weeks: contacts are linked, and the leavers were first missed 3 days ago."
)
CERTIFIED_RUNS = 2
"""As many as must have gone before anything is removed."""
FIRST_MISSED = timedelta(days=3)
"""Well over the time that must lie between two misses."""


def past_of(truth: Mapping[str, Any], contacts: Iterable[Mapping[str, Any]], *, now: datetime) -> dict[str, Any]:
    """The past of the staff contacts, as the seeding program takes it."""
    missed, rows = to_text(now - FIRST_MISSED), truth["rows"]
    entity = {
        "certified_runs": CERTIFIED_RUNS,
        "has_applied": True,
        "links": {contact["externalId"]: contact["id"] for contact in contacts if contact["externalId"] is not None},
        "missed": dict.fromkeys(truth["changes"]["suspend"], missed),
        "rows_accepted": {
            "person": rows["hr_person"],
            "job": rows["hr_assignment"],
            # Aeries keeps what was deleted, and marks it; it is not read.
            "aeries": rows["STF"] - truth["mess"].get("stf_deleted_duplicate", 0),
        },
    }
    return {"connector": "titanhst-staff", "target": "titanhst", "entities": {"contacts": entity}}

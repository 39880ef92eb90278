"""Pages of changes as bytes for the bus: the body that any event has, written several times as fast.

A plan of a large district is tens of thousands of changes, and writing them is part of the time that a person waits
for. Reading stays with `shared.events.envelope`: what comes from the bus is checked, and that is where its time goes.
"""

from __future__ import annotations

import orjson

from shared.plan.document import IndexEntry, PlanIndexPart, PlanPage


def body_of_page(page: PlanPage | PlanIndexPart | IndexEntry) -> bytes:
    """`shared.events.envelope.body_of`, byte for byte, for documents whose fields are plain and have no other name.

    `orjson.JSONEncodeError` for an integer of more than 64 bits, which no digest takes either.
    """
    # A frozen document holds its fields in the order of its class, and nothing else.
    return orjson.dumps(page, default=vars)

"""Several contacts in one request: each item has a status of its own, told at once or to whoever asks later.

An item is a contact: an `externalId` that is known changes that contact, one that is not adds it. All items take
effect when the batch is accepted, in their order; with the poll form only the results come later.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from simulators.alerts.rules import BadBodyError, UnknownCodeError
from simulators.alerts.store import AlertStore, DuplicateExternalIdError, Organization

BATCHES_MAX = 1_000
"""Results remembered; the oldest are forgotten first."""

Result = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One accepted batch."""

    organization_id: int
    results: list[Result]
    due_at: float
    """On the simulator's monotonic clock."""


class Batches:
    """The batches whose results may still be asked for."""

    def __init__(self) -> None:
        self._batches: OrderedDict[str, Batch] = OrderedDict()
        self._count = 0

    def keep(self, batch: Batch) -> str:
        """Remember a batch and say its id."""
        self._count += 1
        batch_id = f"b-{self._count}"
        self._batches[batch_id] = batch
        if len(self._batches) > BATCHES_MAX:
            self._batches.popitem(last=False)
        return batch_id

    def get(self, batch_id: str) -> Batch | None:
        """Find a batch."""
        return self._batches.get(batch_id)


def do_items(
    store: AlertStore, organization: Organization, items: list[Any], *, now: datetime, pretend: bool
) -> tuple[list[Result], list[str]]:
    """Do every item that can be done; return the results and the effects, one of each per item."""
    results: list[Result] = []
    effects: list[str] = []
    for index, item in enumerate(items):
        result, effect = _do_item(store, organization, item, now=now, pretend=pretend)
        results.append({"index": index} | result)
        effects.append("none" if pretend else effect)
    return results, effects


def _do_item(
    store: AlertStore, organization: Organization, item: Any, *, now: datetime, pretend: bool
) -> tuple[Result, str]:
    external_id = item.get("externalId") if isinstance(item, dict) else None
    result: Result = {"externalId": external_id if isinstance(external_id, str) else None}
    try:
        if not isinstance(external_id, str):
            raise BadBodyError("an item is a contact and has an externalId")
        before = store.get_by_external_id(organization, external_id)
        store.check(item, is_partial=before is not None)
        if before is None:
            contact = store.create(organization, item, now=now, pretend=pretend)
            return result | {"status": 201, "id": contact["id"]}, f"created {contact['id']}"
        contact, changed = store.update(organization, before, item, is_partial=True, now=now, pretend=pretend)
        effect = f"updated {contact['id']} [{', '.join(changed)}]" if changed else f"unchanged {contact['id']}"
        return result | {"status": 200, "id": contact["id"]}, effect
    except BadBodyError as error:
        return result | {"status": 400, "message": str(error)}, "none"
    except UnknownCodeError as error:
        return result | {"status": 424, "message": str(error)}, "none"
    except DuplicateExternalIdError as error:
        return result | {"status": 409, "message": str(error)}, "none"

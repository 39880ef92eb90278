"""The plan: a header, the changes, and the digest over both.

The header says what the plan was made from (releases, certificates, target snapshot, policy) and what the guard said;
the digest is the RFC 6962 root over the header and the changes in change-id order. Whoever holds the header and the
pages can compute it, and anybody who alters one byte of either gets another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar

from pydantic import Field

from shared.events.documents import PageReference
from shared.events.model import Document, Event
from shared.hashing.canonical import canonical_json
from shared.hashing.merkle import leaf_hash, root_of
from shared.plan.change import Change, leaf_of
from shared.policy.guard import GuardFigures, Verdict
from shared.policy.limits import Policy
from shared.records.certificate import Certificate

PAGE_CHANGES_MAX = 500
"""Changes on one page."""
PAGE_BYTES_MAX = 800_000
"""Bytes of one page on the bus; below the server's largest message."""


class PlanPage(Event):
    """Some changes of one partition, in change-id order; the message under `page_subject`."""

    event_type: ClassVar[str] = "aether.plan.page.v1"

    run: str
    partition: int = Field(ge=0)
    number: int = Field(ge=1)
    """1 for the first page of the partition."""
    changes: tuple[Change, ...]


class EntityPlan(Document):
    """What the plan says of one entity as a whole."""

    entity: str
    compared_fields: tuple[str, ...]
    """Fields, in contract order, that preconditions commit to."""
    personal_fields: tuple[str, ...]
    """Fields that hold personal data; shown masked."""


class Excluded(Document):
    """A change that was planned and then set aside; it is counted as quarantined and never carried out."""

    change_id: str
    code: str


class PlanHeader(Document):
    """Everything about a plan but its changes."""

    schema_version: int = 1
    run: str
    requester: str | None
    """The identity the bus asserted for the run request; None when it asserted none."""
    connector: str
    connector_version: str
    release_digest: str
    """Digest of the connector's definition and tables."""
    target: str
    """Name of the target connection."""
    target_system: str
    environment: str
    target_serial: int = Field(ge=0)
    """Sequence of the last apply that had begun on the target before its snapshot was read; 0 when there was none."""
    target_read_at: str
    """When the target's snapshot was begun."""
    entities: tuple[EntityPlan, ...]
    certificates: tuple[Certificate, ...]
    figures: GuardFigures
    policy: Policy
    verdict: Verdict
    excluded: tuple[Excluded, ...]
    changes: int = Field(ge=0)
    changes_by_class: dict[str, int]
    approvals_needed: int = Field(ge=0, le=2)
    created_at: str
    expires_at: str


class Plan(Event):
    """A header and where its pages lie; the message under `header_subject`."""

    event_type: ClassVar[str] = "aether.plan.v1"

    header: PlanHeader
    pages: tuple[PageReference, ...]
    """In subject order."""
    plan_digest: str
    content_digest: str


_RUN_BOUND: Mapping[str, Any] = {
    **dict.fromkeys(
        ("run", "requester", "created_at", "expires_at", "target_read_at", "target_serial", "certificates"), True
    ),
    # What was accepted before, and what the guard makes of it, differ between the first run and the second.
    **dict.fromkeys(("verdict", "approvals_needed"), True),
    "figures": {"entities": {"__all__": {"sources": {"__all__": {"rows_accepted_last"}}}}},
}
"""Header fields that differ between two runs over equal data; the content digest leaves them out."""


def in_order(changes: Iterable[Change]) -> list[Change]:
    """The one order of a plan's changes: by change id. `ValueError` when two changes share an id."""
    ordered = sorted(changes, key=lambda change: change.change_id)
    for first, second in pairwise(ordered):
        if first.change_id == second.change_id:
            raise ValueError(f"change {first.change_id} stands in the plan twice")
    return ordered


def plan_digest_of(header: PlanHeader, change_leaves: Sequence[bytes]) -> str:
    """The plan's digest; `change_leaves` are `leaf_of` each change in change-id order."""
    return _root(canonical_json(header.model_dump(mode="json")), change_leaves)


def content_digest_of(header: PlanHeader, change_leaves: Sequence[bytes]) -> str:
    """The digest of what the plan would do, without run id, times and history: equal data gives equal digests."""
    return _root(canonical_json(header.model_dump(mode="json", exclude=_RUN_BOUND)), change_leaves)


def leaves_of(changes: Iterable[Change]) -> list[bytes]:
    """The leaves of the changes, in change-id order."""
    return [leaf_of(change) for change in in_order(changes)]


def _root(header: bytes, change_leaves: Sequence[bytes]) -> str:
    return "sha256:" + root_of([leaf_hash(header), *(leaf_hash(leaf) for leaf in change_leaves)]).hex()


def header_subject(run: str) -> str:
    """Where a run's plan (header and page list) lies."""
    return f"plan.{run}.header"


def page_subject(run: str, entity: str, partition: int, number: int) -> str:
    """Where one page of changes lies."""
    return f"plan.{run}.page.{entity}.{partition}.{number}"


def pages_filter(run: str) -> str:
    """Every page of a run."""
    return f"plan.{run}.page.>"

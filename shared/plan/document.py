"""The plan: a header, the changes, and the digest over both.

The header says what the plan was made from (releases, certificates, target snapshot, policy) and what the guard said;
the digest is the RFC 6962 root over the header and the changes in change-id order. Whoever holds the header and the
pages can compute it, and anybody who alters one byte of either gets another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import Field

from shared.events.documents import PageReference
from shared.events.model import Document, Event, FailureCode
from shared.hashing.canonical import canonical_json
from shared.hashing.merkle import leaf_hash, root_of
from shared.plan.change import Aside, Change, aside_leaf_of, leaf_of
from shared.policy.figures import GuardFigures
from shared.policy.guard import Verdict
from shared.policy.limits import Policy
from shared.records.certificate import Certificate

PAGE_CHANGES_MAX = 500
"""Changes on one page."""
INDEX_ENTRIES_MAX = 4_000
"""Entries in one part of a plan's index, as long as they take no more than `PAGE_BYTES_MAX` as well."""
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
    aside: tuple[Aside, ...] = ()
    """Changes that were found and left out, by key and class."""


class IndexEntry(Document):
    """One change as the plan's tree holds it: enough to compute the root and a proof of inclusion, and no value."""

    change_id: str
    leaf: str
    """RFC 6962 leaf hash of the change, hex."""
    target_id: str | None
    """The target's own id; two changes of one entity that claim the same are told apart by nobody."""
    wave: int = Field(ge=1)


class PlanIndexPart(Event):
    """The index over the changes of one partition, in change-id order; the message under `index_subject`.

    It saves reading every page where only the tree is wanted. Whoever carries a plan out computes the leaves from the
    pages and believes no index.
    """

    event_type: ClassVar[str] = "aether.plan.index.v1"

    run: str
    entity: str
    partition: int = Field(ge=0)
    number: int = Field(ge=1)
    """1 for the first part of the partition."""
    entries: tuple[IndexEntry, ...] = Field(max_length=INDEX_ENTRIES_MAX)


ReadBack = Literal["canary", "always"]
"""Which writes are read back: the first destructive ones of a run, or every one."""


class EntityPlan(Document):
    """What the plan says of one entity as a whole."""

    entity: str
    compared_fields: tuple[str, ...]
    """Fields, in contract order, that preconditions commit to."""
    personal_fields: tuple[str, ...]
    """Fields that hold personal data; shown masked."""
    needs: tuple[str, ...] = ()
    """Entities of the plan whose records this one's changes may build on."""
    read_back: ReadBack = "canary"
    """Which writes are read back before they count as applied."""
    unmanaged_fields: tuple[str, ...] = ()
    """Fields that a create sets and nothing looks at afterwards; the target may show another value, or none."""


class Excluded(Document):
    """A change that was planned and then set aside; it is counted as quarantined and never carried out."""

    change_id: str
    code: FailureCode


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
    asides: int = Field(default=0, ge=0)
    """How many changes were found and left out; they stand on the pages and count in no figure of changes."""
    asides_digest: str | None = None
    """`asides_digest_of` all that was left out; None when nothing was."""


class Plan(Event):
    """A header and where its pages lie; the message under `header_subject`."""

    event_type: ClassVar[str] = "aether.plan.v1"

    header: PlanHeader
    pages: tuple[PageReference, ...]
    """In subject order."""
    plan_digest: str
    content_digest: str


_HISTORY: Mapping[str, Any] = {
    **dict.fromkeys(("windows", "usual", "certified_runs", "is_onboarding"), True),
    "sources": {"__all__": {"rows_accepted_last"}},
    "declared": {"__all__": {"applied_before"}},
}
"""Figures of an entity that tell of earlier runs, and nothing of what this plan would do."""

_RUN_BOUND: Mapping[str, Any] = {
    **dict.fromkeys(
        ("run", "requester", "created_at", "expires_at", "target_read_at", "target_serial", "certificates"), True
    ),
    # What the guard makes of the figures differs with the history that it judges them by.
    **dict.fromkeys(("verdict", "approvals_needed"), True),
    "figures": {"entities": {"__all__": _HISTORY}},
}
"""Header fields that differ between two runs over equal data; the content digest leaves them out."""

Ordered = TypeVar("Ordered", Change, IndexEntry)


def in_order(changes: Iterable[Ordered]) -> list[Ordered]:
    """The one order of a plan's changes, or of their entries: by change id. `ValueError` when two share an id."""
    ordered = sorted(changes, key=lambda change: change.change_id)
    for first, second in pairwise(ordered):
        if first.change_id == second.change_id:
            raise ValueError(f"change {first.change_id} stands in the plan twice")
    return ordered


def leaves_of(changes: Iterable[Change]) -> list[bytes]:
    """The leaves of the changes, in change-id order."""
    return [leaf_of(change) for change in in_order(changes)]


def plan_digest_of(header: PlanHeader, change_leaves: Sequence[bytes]) -> str:
    """The plan's digest; `change_leaves` are `leaf_of` each change in change-id order."""
    return digest_of_root(plan_root(header, [leaf_hash(leaf) for leaf in change_leaves]))


def content_digest_of(header: PlanHeader, change_leaves: Sequence[bytes]) -> str:
    """The digest of what the plan would do, without run id, times and history: equal data gives equal digests."""
    return digest_of_root(content_root(header, [leaf_hash(leaf) for leaf in change_leaves]))


def asides_digest_of(asides: Iterable[Aside]) -> str | None:
    """The digest over what was left out, in order of entity, key, class and code; None when nothing was.

    The root over `aside_leaf_of` each, so that the plan's digest seals what it does not do as well.
    """
    # One record can be left out twice under one code, for different fields.
    ordered = sorted(
        asides, key=lambda one: (one.entity, one.key, one.change_class, one.code, one.fields, one.target_id or "")
    )
    return digest_of_root(root_of([leaf_hash(aside_leaf_of(one)) for one in ordered])) if ordered else None


def header_leaf_hash(header: PlanHeader) -> bytes:
    """The hash of leaf 0 of the plan's tree; the changes follow from 1 on, in change-id order."""
    return leaf_hash(canonical_json(header.model_dump(mode="json")))


def plan_root(header: PlanHeader, change_hashes: Sequence[bytes]) -> bytes:
    """The root of the plan's tree, from the leaf hashes of the changes in change-id order."""
    return root_of([header_leaf_hash(header), *change_hashes])


def content_root(header: PlanHeader, change_hashes: Sequence[bytes]) -> bytes:
    """The root behind the content digest, from the leaf hashes of the changes in change-id order."""
    content = canonical_json(header.model_dump(mode="json", exclude=_RUN_BOUND))
    return root_of([leaf_hash(content), *change_hashes])


def digest_of_root(root: bytes) -> str:
    """A root as digests are written."""
    return "sha256:" + root.hex()


def header_subject(run: str) -> str:
    """Where a run's plan (header and page list) lies."""
    return f"plan.{run}.header"


def page_subject(run: str, entity: str, partition: int, number: int) -> str:
    """Where one page of changes lies."""
    return f"plan.{run}.page.{entity}.{partition}.{number}"


def index_subject(run: str, entity: str, partition: int, number: int) -> str:
    """Where one part of the plan's index lies."""
    return f"plan.{run}.index.{entity}.{partition}.{number}"


def pages_filter(run: str) -> str:
    """Every page of a run."""
    return f"plan.{run}.page.>"

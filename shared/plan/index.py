"""The index of a plan: what its tree needs to know of each change, without the changes themselves.

The differ makes it beside the pages, one partition at a time; whoever drafts the plan or shows a proof computes root
and paths from it and reads no page. Pure. The applier never looks at it: it computes every leaf from the pages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from shared.hashing.merkle import leaf_hash
from shared.plan.change import Change, leaf_of
from shared.plan.document import (
    INDEX_ENTRIES_MAX,
    PAGE_BYTES_MAX,
    IndexEntry,
    PlanHeader,
    PlanIndexPart,
    content_root,
    digest_of_root,
    in_order,
    plan_root,
)
from shared.plan.pages import body_of_page


def index_of(changes: Iterable[Change], *, run: str, entity: str, partition: int) -> list[PlanIndexPart]:
    """The index over one partition's changes, in change-id order, in parts that fit into a message."""
    entries = (
        IndexEntry(
            change_id=change.change_id,
            leaf=leaf_hash(leaf_of(change)).hex(),
            target_id=change.target_id,
            wave=change.wave,
        )
        for change in in_order(changes)
    )
    return [
        PlanIndexPart(run=run, entity=entity, partition=partition, number=number, entries=part)
        for number, part in enumerate(_parts(entries), start=1)
    ]


def _parts(entries: Iterable[IndexEntry]) -> Iterator[tuple[IndexEntry, ...]]:
    part: list[IndexEntry] = []
    part_bytes = 0
    for entry in entries:
        # A vendor's id can be of any length, so entries are counted in bytes as well; the comma is the one more.
        entry_bytes = len(body_of_page(entry)) + 1
        if part and (len(part) == INDEX_ENTRIES_MAX or part_bytes + entry_bytes > PAGE_BYTES_MAX):
            yield tuple(part)
            part, part_bytes = [], 0
        part.append(entry)
        part_bytes += entry_bytes
    if part:
        yield tuple(part)


def plan_digest_from_index(header: PlanHeader, entries: Iterable[IndexEntry]) -> str:
    """`plan_digest_of`, from the entries of all parts in any order."""
    return digest_of_root(plan_root(header, hashes_of(header, entries)))


def content_digest_from_index(header: PlanHeader, entries: Iterable[IndexEntry]) -> str:
    """`content_digest_of`, from the entries of all parts in any order."""
    return digest_of_root(content_root(header, hashes_of(header, entries)))


def hashes_of(header: PlanHeader, entries: Iterable[IndexEntry]) -> list[bytes]:
    """The leaf hashes in change-id order; `ValueError` unless there is one entry for each change of the header."""
    ordered = in_order(entries)
    if len(ordered) != header.changes:
        raise ValueError(
            f"run {header.run}: the index holds {len(ordered)} changes, the header says {header.changes}; "
            "pass the entries of every part"
        )
    return [bytes.fromhex(entry.leaf) for entry in ordered]


def contested_of(parts: Iterable[PlanIndexPart]) -> list[str]:
    """The ids of changes that claim one target record together, in order; partitions cannot see each other's."""
    claims = [
        (part.entity, entry.target_id, entry.change_id)
        for part in parts
        for entry in part.entries
        if entry.target_id is not None
    ]
    claimed = Counter((entity, target_id) for entity, target_id, _ in claims)
    return sorted(change_id for entity, target_id, change_id in claims if claimed[(entity, target_id)] > 1)

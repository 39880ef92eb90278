"""Who is who in the residue: desired records find the target records that are theirs although the key does not say so.

Pure. The ledger's link goes first, then the key, then the contract's correlation fields in order. One record stands for
one record: where links and keys contradict each other, or a correlation finds several, everything concerned is left for
a person. A person whose key changed is found again and renamed, never removed and made anew.

The outcome does not depend on the order of the rows, and a value that very many records share costs no product.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import polars as pl

from services.differ.comparing import EXISTING, Elsewhere, Linked, Recall
from shared.contract.model import EntityContract

_DESIRED = "desired row"
_LIVE = "existing row"


@dataclass(frozen=True)
class Residue:
    """What stage two looks at, of all partitions of one entity."""

    unmatched: pl.DataFrame
    """Desired records without a target record of their key, and those of doubtful pairs."""
    absent: pl.DataFrame
    """Target records whose key is not desired, and those of doubtful pairs."""
    unkeyed: pl.DataFrame
    """Target records without our key."""


@dataclass(frozen=True)
class Known:
    """What is known beside the residue."""

    recall: Recall
    linked: Linked
    elsewhere: Elsewhere
    quarantined_keys: frozenset[str]
    is_complete: bool
    """Whether the source was read whole. Otherwise a key that is not desired may only not have been read."""


@dataclass(frozen=True)
class Matched:
    """The residue, taken apart."""

    pairs: pl.DataFrame
    """Both sides' columns, the target's with `EXISTING` before their names."""
    fresh: pl.DataFrame
    """Desired records that no target record stands for."""
    absent: pl.DataFrame
    """Target records with a key that nobody took, and that nothing is unclear about."""
    unclear_desired: Mapping[str, str]
    """Code by key: desired records that are left for a person."""
    unclear_existing: Mapping[str, str]
    """Code by key: target records that are left for a person; they are not removed."""


@dataclass
class _Claims:
    """Who stands for whom, by row numbers of the two sides."""

    taken: dict[int, int] = field(default_factory=dict)
    """The target record of a desired record."""
    unclear_desired: dict[int, str] = field(default_factory=dict)
    """Code by row."""
    unclear_existing: dict[int, str] = field(default_factory=dict)
    """Code by row; such a record is given to nobody."""


def doubts_of(residue: Residue, *, recall: Recall, linked: Linked) -> Elsewhere:
    """The target ids and keys that decide something in the residue and do not lie in it."""
    keys = set(residue.unmatched.get_column("key"))
    existing = _existing(residue)
    ids = set(existing.get_column("target_id"))
    links = (_link(key, recall, linked) for key in keys)
    others = (linked.get(target_id) for target_id in ids)
    return Elsewhere(
        target_ids=frozenset(link for link in links if link is not None and link not in ids),
        keys=frozenset(other for other in others if other is not None and other not in keys)
        - frozenset(existing.get_column("key").drop_nulls()),
    )


def match(contract: EntityContract, residue: Residue, known: Known) -> Matched:
    """Take the residue apart."""
    desired = residue.unmatched.sort("key")
    existing = _existing(residue).sort("target_id", "key")
    claims = _by_link_and_key(desired, existing, known)
    _by_correlation(contract, desired, existing, claims, is_complete=known.is_complete)
    free = set(range(desired.height)) - claims.taken.keys() - claims.unclear_desired.keys()
    left = set(range(existing.height)) - set(claims.taken.values()) - claims.unclear_existing.keys()
    rows = sorted(claims.taken.items())
    theirs = existing[[live for _, live in rows]].rename(lambda name: EXISTING + name)
    keys, live_keys = desired.get_column("key"), existing.get_column("key")
    return Matched(
        pairs=desired[[wanted for wanted, _ in rows]].hstack(theirs),
        fresh=desired[sorted(free)],
        absent=existing[sorted(left)].filter(pl.col("key").is_not_null()),
        unclear_desired={keys[row]: code for row, code in sorted(claims.unclear_desired.items())},
        unclear_existing={
            live_keys[row]: code for row, code in sorted(claims.unclear_existing.items()) if live_keys[row] is not None
        },
    )


def _existing(residue: Residue) -> pl.DataFrame:
    return pl.concat([residue.absent, residue.unkeyed.select(residue.absent.columns)])


def _link(key: str, recall: Recall, linked: Linked) -> str | None:
    """The target record that the ledger gives to a key, unless it gave that record to another key since."""
    memory = recall.get(key)
    if memory is None or memory.target_id is None:
        return None
    return memory.target_id if linked.get(memory.target_id, key) == key else None


def _by_link_and_key(desired: pl.DataFrame, existing: pl.DataFrame, known: Known) -> _Claims:
    """Give each desired record the one target record that its link or its key names; contradictions to nobody."""
    shown: list[str | None] = existing.get_column("key").to_list()
    ids: list[str] = existing.get_column("target_id").to_list()
    row_of_id = {target_id: row for row, target_id in enumerate(ids)}
    row_of_key = {key: row for row, key in enumerate(shown) if key is not None}
    # Whose record it is, the ledger says; while that key is desired with another record, or nothing is known of it,
    # the record is given to nobody.
    spoken_for = {*known.elsewhere.keys, *known.quarantined_keys}
    owners = [known.linked.get(target_id) for target_id in ids]
    faulty_existing = {
        row for row, owner in enumerate(owners) if owner is not None and owner != shown[row] and owner in spoken_for
    }
    faulty_desired: set[int] = set()
    edges: set[tuple[int, int]] = set()
    for row, key in enumerate(desired.get_column("key")):
        link = _link(key, known.recall, known.linked)
        if link is not None and link in known.elsewhere.target_ids:
            faulty_desired.add(row)
        if link is not None and link in row_of_id:
            edges.add((row, row_of_id[link]))
        if key in row_of_key:
            edges.add((row, row_of_key[key]))
    claims = _Claims()
    for wanted, live in _components(edges, {*faulty_desired}, {*faulty_existing}):
        if len(wanted) == len(live) == 1 and not wanted & faulty_desired and not live & faulty_existing:
            claims.taken[next(iter(wanted))] = next(iter(live))
        else:
            claims.unclear_desired.update(dict.fromkeys(wanted, "MAT_REUSED_ID"))
            claims.unclear_existing.update(dict.fromkeys(live, "MAT_REUSED_ID"))
    return claims


def _components(
    edges: Iterable[tuple[int, int]], desired: Iterable[int], existing: Iterable[int]
) -> Iterable[tuple[set[int], set[int]]]:
    """The rows of both sides that hang together by edges, and those named that hang on nothing."""
    parent: dict[tuple[str, int], tuple[str, int]] = {}

    def root(node: tuple[str, int]) -> tuple[str, int]:
        while parent.setdefault(node, node) != node:
            parent[node] = node = parent[parent[node]]
        return node

    for row in desired:
        root((_DESIRED, row))
    for row in existing:
        root((_LIVE, row))
    for wanted, live in edges:
        parent[root((_DESIRED, wanted))] = root((_LIVE, live))
    found: dict[tuple[str, int], tuple[set[int], set[int]]] = {}
    for node in list(parent):
        side, row = node
        found.setdefault(root(node), (set(), set()))[side == _LIVE].add(row)
    return found.values()


def _by_correlation(
    contract: EntityContract, desired: pl.DataFrame, existing: pl.DataFrame, claims: _Claims, *, is_complete: bool
) -> None:
    """Give desired records that have none yet the target record that shares a value with them alone.

    The first field that finds anything decides for a desired record; what a target record is claimed by counts over all
    fields together. Whoever finds a record that cannot be given away is unclear too, and never new.
    """
    settled = {*claims.taken, *claims.unclear_desired}
    rest = desired.with_row_index(_DESIRED).filter(~pl.col(_DESIRED).is_in(list(settled)))
    candidates = existing.with_row_index(_LIVE).filter(~pl.col(_LIVE).is_in(list(claims.taken.values())))
    edges: dict[int, int] = {}
    unclear_desired: set[int] = set()
    unclear_existing: set[int] = set()
    for name in contract.correlate:
        if name == contract.key or rest.is_empty() or candidates.is_empty():
            continue
        shared = _by_value(rest, name, _DESIRED).join(_by_value(candidates, name, _LIVE), on=name, how="inner")
        found: list[int] = []
        for wanted, live in shared.select(_DESIRED, _LIVE).iter_rows():
            found += wanted
            if len(wanted) == len(live) == 1:
                edges[wanted[0]] = live[0]
            else:
                unclear_desired.update(wanted)
                unclear_existing.update(live)
        rest = rest.filter(~pl.col(_DESIRED).is_in(found))
    claimed = Counter(edges.values())
    not_to_give = {*claims.unclear_existing, *unclear_existing}
    if not is_complete:
        not_to_give.update(candidates.filter(pl.col("key").is_not_null()).get_column(_LIVE))
    for wanted_row, live_row in edges.items():
        if claimed[live_row] > 1 or live_row in not_to_give:
            unclear_desired.add(wanted_row)
            unclear_existing.add(live_row)
        else:
            claims.taken[wanted_row] = live_row
    for row in unclear_desired:
        claims.unclear_desired[row] = "MAT_AMBIGUOUS"
    for row in unclear_existing:
        claims.unclear_existing.setdefault(row, "MAT_AMBIGUOUS")


def _by_value(frame: pl.DataFrame, name: str, rows: str) -> pl.DataFrame:
    """The rows that have each value of a field; blank values are left out."""
    value = pl.col(name).cast(pl.String)
    return (
        frame.select(value.alias(name), rows)
        .filter(pl.col(name).is_not_null() & (pl.col(name).str.strip_chars() != ""))
        .group_by(name)
        .agg(rows)
    )

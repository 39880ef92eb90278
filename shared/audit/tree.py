"""The append-only tree of the audit log, kept as its frontier: the roots of its complete subtrees, at most 64 hashes.

Appending needs the frontier only, so the auditor never loads the log to grow it. What an append completes is handed
back for the store to keep; with these nodes any proof reads O(log n) hashes. Pure: it neither stores nor signs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count, repeat
from typing import NamedTuple, Protocol

from shared.hashing.merkle import (
    HASH_BYTES,
    Range,
    consistency_ranges,
    fold,
    inclusion_ranges,
    pair_up,
    require_hashes,
)

SIZE_MAX = 2**53 - 1
"""The size must survive JSON; at a million entries a second this lasts 285 years."""


class CompletedNode(NamedTuple):
    """The root of a complete subtree of 2**level leaves, number `position` (from 0) of its level; level is 1 or more.

    Level 0 is left out: it is the leaf hashes, which the caller holds already.
    """

    level: int
    position: int  # not `index`, which every tuple has as a method
    hash: bytes


@dataclass(frozen=True, slots=True)
class Frontier:
    """A tree of `size` leaves, as the roots of its complete subtrees from left to right (large to small)."""

    size: int
    nodes: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if not 0 <= self.size <= SIZE_MAX:
            raise ValueError(f"frontier: size {self.size}, allowed 0 to {SIZE_MAX}")
        if len(self.nodes) != self.size.bit_count():
            raise ValueError(
                f"frontier: {len(self.nodes)} nodes for size {self.size}, expected {self.size.bit_count()}; "
                "rebuild it from the stored leaf hashes"
            )
        require_hashes(self.nodes)

    def to_json(self) -> dict[str, int | list[str]]:
        """A JSON object of the size and the nodes in hexadecimal digits."""
        return {"size": self.size, "nodes": [node.hex() for node in self.nodes]}

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> Frontier:
        """The inverse of `to_json`; `ValueError` for anything that it could not have written."""
        size, nodes = value.get("size"), value.get("nodes")
        if set(value) != {"size", "nodes"} or type(size) is not int or not isinstance(nodes, list):
            raise ValueError(f"frontier: fields {sorted(value)}, expected 'size' (an integer) and 'nodes' (a list)")
        for place, node in enumerate(nodes):
            if not isinstance(node, str) or len(node) != 2 * HASH_BYTES:
                raise ValueError(f"frontier: node {place} is not {2 * HASH_BYTES} hexadecimal digits")
        return cls(size, tuple(bytes.fromhex(node) for node in nodes))


EMPTY = Frontier(0, ())


class Appended(NamedTuple):
    """The grown tree, and the inner nodes which it has that the tree before had not, level by level."""

    frontier: Frontier
    completed: list[CompletedNode]


class NodeLookup(Protocol):
    """Where the hashes of complete subtrees are kept; level 0 are the leaf hashes."""

    def __call__(self, *, level: int, position: int) -> bytes:
        """The hash of complete subtree number `position` (from 0) among those of 2**level leaves."""
        ...


def append(frontier: Frontier, leaf_hashes: Sequence[bytes]) -> Appended:
    """The tree with these leaf hashes added on the right; memory grows with the batch, not with the tree."""
    require_hashes(leaf_hashes)
    waiting = list(frontier.nodes)
    completed: list[CompletedNode] = []
    kept: list[bytes] = []
    row: list[bytes] = list(leaf_hashes)
    level = 0
    while row or waiting:
        before = frontier.size >> level
        if before & 1:
            row = [waiting.pop(), *row]
        if len(row) % 2:
            kept.append(row.pop())
        row = pair_up(row)
        level += 1
        completed.extend(map(CompletedNode, repeat(level), count(before >> 1), row))
    return Appended(Frontier(frontier.size + len(leaf_hashes), tuple(reversed(kept))), completed)


def root(frontier: Frontier) -> bytes:
    """The root hash of the tree."""
    return fold(frontier.nodes)


def root_at(nodes: NodeLookup, *, size: int) -> bytes:
    """The root which the tree had at `size` leaves, from stored nodes."""
    return _range_root(nodes, (0, size))


def inclusion_proof_at(nodes: NodeLookup, *, index: int, size: int) -> list[bytes]:
    """The inclusion proof of leaf `index` in the tree of `size` leaves, from stored nodes."""
    return [_range_root(nodes, leaves) for leaves in inclusion_ranges(index=index, size=size)]


def consistency_proof_at(nodes: NodeLookup, *, old_size: int, new_size: int) -> list[bytes]:
    """The proof that the tree of `new_size` leaves extends the one of `old_size`, from stored nodes."""
    return [_range_root(nodes, leaves) for leaves in consistency_ranges(old_size=old_size, new_size=new_size)]


def _range_root(nodes: NodeLookup, leaves: Range) -> bytes:
    """The root over a range of leaves that starts where a subtree of at least its length may start."""
    start, end = leaves
    complete: list[bytes] = []
    for level in reversed(range((end - start).bit_length())):
        if (end - start) >> level & 1:
            complete.append(nodes(level=level, position=start >> level))
            start += 1 << level
    return fold(complete)

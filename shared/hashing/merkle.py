"""RFC 6962 Merkle trees: roots, inclusion proofs and consistency proofs over leaf hashes held in memory.

The plan's digest and the audit log both stand on it. It never stores anything and never reads data itself: it takes
leaf hashes (32 bytes each) and gives hashes back. `shared.audit.tree` keeps a growing tree on the same shapes.
Making a proof raises on impossible arguments (a defect of the caller); verifying returns False (a forgery is data).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from hmac import compare_digest

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()
PROOF_HASHES_MAX = 65
"""A tree of up to 2**64 leaves never needs a longer proof; a longer one is refused unread."""

Range = tuple[int, int]
"""Leaves from the first number up to, without, the second."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of one leaf: SHA-256 over 0x00 and the data."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes, /) -> bytes:
    """The hash of an inner node: SHA-256 over 0x01, left and right."""
    # Positional although both are bytes: left before right is the one order anybody would write.
    return sha256(b"\x01" + left + right).digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes; of none, the hash of nothing."""
    require_hashes(leaves)
    if not leaves:
        return EMPTY_ROOT
    row: Sequence[bytes] = leaves
    while len(row) > 1:
        parents = pair_up(row)
        if len(row) % 2:
            # A node without a sibling rises unchanged: the same tree as RFC 6962's split at the largest power of two.
            parents.append(row[-1])
        row = parents
    return row[0]


def inclusion_proof(leaves: Sequence[bytes], *, index: int) -> list[bytes]:
    """The hashes that lead from leaf `index` to the root of all `leaves`, nearest sibling first."""
    return [root_of(leaves[start:end]) for start, end in inclusion_ranges(index=index, size=len(leaves))]


def consistency_proof(leaves: Sequence[bytes], *, old_size: int) -> list[bytes]:
    """The hashes that show the tree of the first `old_size` leaves to be a prefix of the tree of all."""
    return [root_of(leaves[start:end]) for start, end in consistency_ranges(old_size=old_size, new_size=len(leaves))]


def verify_inclusion(leaf: bytes, *, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof leads from the leaf hash at `index` to the root of `size` leaves (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size or not _are_hashes([leaf, root, *proof]) or len(proof) > PROOF_HASHES_MAX:
        return False
    place, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            node = node_hash(sibling, node)
            place, last = _skip_lone_levels(place, last)
        else:
            node = node_hash(node, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and compare_digest(node, root)


def verify_consistency(
    *, old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether the proof shows that the new tree only extends the old one (RFC 9162, 2.1.4.2).

    An empty old tree is a prefix of every tree: its proof is empty and its root must be `EMPTY_ROOT`.
    """
    if not 0 <= old_size <= new_size or not _are_hashes([old_root, new_root, *proof]) or len(proof) > PROOF_HASHES_MAX:
        return False
    if old_size == new_size:
        return not proof and compare_digest(old_root, new_root)
    if old_size == 0:
        return not proof and compare_digest(old_root, EMPTY_ROOT)
    # A complete old tree is itself the first node of the proof and is left out of it.
    path = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    if not path:
        return False
    place, last = old_size - 1, new_size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old_node = new_node = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            old_node, new_node = node_hash(sibling, old_node), node_hash(sibling, new_node)
            place, last = _skip_lone_levels(place, last)
        else:
            new_node = node_hash(new_node, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and compare_digest(old_node, old_root) and compare_digest(new_node, new_root)


def inclusion_ranges(*, index: int, size: int) -> list[Range]:
    """The leaf ranges whose roots make up an inclusion proof, in proof order."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size} leaves; ask for 0 to {size - 1}")
    ranges: list[Range] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def consistency_ranges(*, old_size: int, new_size: int) -> list[Range]:
    """The leaf ranges whose roots make up a consistency proof, in proof order; none from an empty or equal tree."""
    if not 0 <= old_size <= new_size:
        raise ValueError(f"a tree of {old_size} leaves cannot be a prefix of one of {new_size}; the older comes first")
    if old_size in (0, new_size):
        return []
    ranges: list[Range] = []
    start, end = 0, new_size
    while old_size != end:
        middle = start + _split(end - start)
        if old_size <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    if start:
        # From 0 it would be the old root itself, which the verifier holds already.
        ranges.append((start, end))
    return ranges[::-1]


def fold(nodes: Sequence[bytes]) -> bytes:
    """The root over complete subtrees of falling size, given from left to right; of none, `EMPTY_ROOT`."""
    if not nodes:
        return EMPTY_ROOT
    root = nodes[-1]
    for node in reversed(nodes[:-1]):
        root = node_hash(node, root)
    return root


def pair_up(row: Sequence[bytes]) -> list[bytes]:
    """The parents of neighbours in a row; a last one without a neighbour is left out."""
    # Not node_hash: at a million leaves the call would cost as much as the hash.
    return [sha256(b"\x01" + left + right).digest() for left, right in zip(row[::2], row[1::2], strict=False)]


def require_hashes(hashes: Sequence[bytes]) -> None:
    """Raise `ValueError` unless every item is 32 bytes long."""
    if not _are_hashes(hashes):
        place = next(place for place, item in enumerate(hashes) if len(item) != HASH_BYTES)
        raise ValueError(
            f"hash {place} has {len(hashes[place])} bytes, expected {HASH_BYTES}; pass leaf hashes, not data"
        )


def _are_hashes(hashes: Iterable[bytes]) -> bool:
    return set(map(len, hashes)) <= {HASH_BYTES}


def _split(width: int) -> int:
    """The largest power of two smaller than `width` (at least 2): where RFC 6962 parts a tree."""
    return 1 << (width - 1).bit_length() - 1


def _skip_lone_levels(place: int, last: int) -> tuple[int, int]:
    """Climb past the levels on which the node had no sibling, so that none is in the proof."""
    while place and not place & 1:
        place, last = place >> 1, last >> 1
    return place, last

"""The frontier: the same tree however it is appended, and proofs from the nodes that it hands out."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.audit.tree import (
    EMPTY,
    Frontier,
    append,
    consistency_proof_at,
    inclusion_proof_at,
    root,
    root_at,
)
from shared.hashing.merkle import (
    EMPTY_ROOT,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [leaf_hash(b"leaf %d" % number) for number in range(400)]


class Store:
    """What a store would keep: the leaf hashes and every completed node, none of them twice."""

    def __init__(self) -> None:
        self.frontier = EMPTY
        self.nodes: dict[tuple[int, int], bytes] = {}

    def grow(self, leaves: list[bytes]) -> None:
        for place, leaf in enumerate(leaves, start=self.frontier.size):
            self.nodes[0, place] = leaf
        self.frontier, completed = append(self.frontier, leaves)
        for node in completed:
            assert (node.level, node.position) not in self.nodes
            self.nodes[node.level, node.position] = node.hash

    def __call__(self, *, level: int, position: int) -> bytes:
        return self.nodes[level, position]


@given(st.lists(st.integers(0, 60), max_size=6))
def test_batches_of_any_size_grow_the_same_tree(batches: list[int]) -> None:
    store = Store()
    for batch in batches:
        store.grow(LEAVES[store.frontier.size : store.frontier.size + batch])
    size = sum(batches)
    assert store.frontier.size == size
    assert root(store.frontier) == root_of(LEAVES[:size])
    # Every complete subtree was handed out once, with its hash.
    expected = {
        (level, position): root_of(LEAVES[position << level : (position + 1) << level])
        for level in range(size.bit_length())
        for position in range(size >> level)
    }
    assert store.nodes == expected


def test_proofs_from_stored_nodes_equal_those_from_the_leaves() -> None:
    store = Store()
    store.grow(LEAVES[:77])
    for size in range(78):
        leaves = LEAVES[:size]
        assert root_at(store, size=size) == root_of(leaves)
        for index in range(size):
            proof = inclusion_proof_at(store, index=index, size=size)
            assert proof == inclusion_proof(leaves, index=index)
            assert verify_inclusion(leaves[index], index=index, size=size, proof=proof, root=root_of(leaves))
        for old_size in range(size + 1):
            assert consistency_proof_at(store, old_size=old_size, new_size=size) == consistency_proof(
                leaves, old_size=old_size
            )


def test_proof_reads_a_logarithm_of_the_log() -> None:
    store = Store()
    store.grow(LEAVES)
    reads: list[tuple[int, int]] = []

    def counted(*, level: int, position: int) -> bytes:
        reads.append((level, position))
        return store(level=level, position=position)

    old_root, new_root = root_of(LEAVES[:255]), root_of(LEAVES)
    proof = consistency_proof_at(counted, old_size=255, new_size=400)
    assert verify_consistency(old_size=255, new_size=400, old_root=old_root, new_root=new_root, proof=proof)
    assert len(reads) <= 2 * (400).bit_length()


def test_completed_nodes_name_level_and_position() -> None:
    first = append(EMPTY, LEAVES[:3])
    assert [(node.level, node.position) for node in first.completed] == [(1, 0)]
    second = append(first.frontier, LEAVES[3:4])
    assert [(node.level, node.position) for node in second.completed] == [(1, 1), (2, 0)]
    assert second.completed[0].hash == node_hash(LEAVES[2], LEAVES[3])


def test_appending_nothing_changes_nothing() -> None:
    grown = append(EMPTY, LEAVES[:5]).frontier
    assert append(grown, []) == (grown, [])
    assert root(EMPTY) == EMPTY_ROOT


@given(st.integers(0, 400))
def test_frontier_survives_json(size: int) -> None:
    frontier = append(EMPTY, LEAVES[:size]).frontier
    assert Frontier.from_json(json.loads(json.dumps(frontier.to_json()))) == frontier


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"size": 1},
        {"size": 0, "nodes": [], "more": 1},
        {"size": True, "nodes": ["00" * 32]},
        {"size": "1", "nodes": ["00" * 32]},
        {"size": -1, "nodes": []},
        {"size": 2**53, "nodes": ["00" * 32]},
        {"size": 3, "nodes": ["00" * 32]},
        {"size": 1, "nodes": ["00" * 31]},
        {"size": 1, "nodes": ["zz" * 32]},
        {"size": 1, "nodes": [" 0" * 32]},
        {"size": 1, "nodes": [7]},
    ],
)
def test_a_damaged_frontier_is_refused(value: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Frontier.from_json(value)

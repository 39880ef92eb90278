"""Merkle trees against the Certificate Transparency vectors, an independent implementation, and every flipped bit."""

from __future__ import annotations

import pymerkle
import pytest
from hypothesis import given
from hypothesis import strategies as st

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

# The reference data of Certificate Transparency: eight leaves and the root at every size.
CT_DATA = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
CT_LEAVES = [leaf_hash(bytes.fromhex(data)) for data in CT_DATA]
CT_INCLUSION = [
    (
        0,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
]
CT_CONSISTENCY = [
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
    (1, 1, []),
]


def leaves_of(size: int) -> list[bytes]:
    return [leaf_hash(b"leaf %d" % number) for number in range(size)]


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize("size", range(9))
def test_roots_equal_the_published_ones(size: int) -> None:
    assert root_of(CT_LEAVES[:size]).hex() == CT_ROOTS[size]


@pytest.mark.parametrize(("index", "expected"), CT_INCLUSION)
def test_inclusion_proofs_equal_the_published_ones(index: int, expected: list[str]) -> None:
    assert [item.hex() for item in inclusion_proof(CT_LEAVES, index=index)] == expected


@pytest.mark.parametrize(("old_size", "new_size", "expected"), CT_CONSISTENCY)
def test_consistency_proofs_equal_the_published_ones(old_size: int, new_size: int, expected: list[str]) -> None:
    assert [item.hex() for item in consistency_proof(CT_LEAVES[:new_size], old_size=old_size)] == expected


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 50])
def test_an_independent_implementation_agrees_on_roots_and_proofs(size: int) -> None:
    # pymerkle with SHA-256 in its default security mode, which prefixes leaves with 0x00 and nodes with 0x01 as
    # RFC 6962 does. It counts leaves from 1 and begins a path with the hash that is proven.
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    data = [b"leaf %d" % number for number in range(size)]
    for item in data:
        tree.append_entry(item)
    leaves = [leaf_hash(item) for item in data]
    assert root_of(leaves) == tree.get_root()
    for index in range(size):
        assert [leaves[index], *inclusion_proof(leaves, index=index)] == tree.prove_inclusion(index + 1).path
    for old_size in range(1, size):
        # Its consistency proofs go down to single leaves where RFC 6962 stops at a whole subtree, so each side
        # verifies its own proof against the roots of the other.
        theirs = tree.prove_consistency(old_size, size)
        pymerkle.verify_consistency(root_of(leaves[:old_size]), root_of(leaves), theirs)
        assert verify_consistency(
            old_size=old_size,
            new_size=size,
            old_root=tree.get_root(old_size),
            new_root=tree.get_root(size),
            proof=consistency_proof(leaves, old_size=old_size),
        )


def subproof_as_written(old_size: int, leaves: list[bytes], *, is_whole: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962 section 2.1.2, word for word."""
    size = len(leaves)
    if old_size == size:
        return [] if is_whole else [root_of(leaves)]
    k = 1
    while 2 * k < size:
        k *= 2
    if old_size <= k:
        return [*subproof_as_written(old_size, leaves[:k], is_whole=is_whole), root_of(leaves[k:])]
    return [*subproof_as_written(old_size - k, leaves[k:], is_whole=False), root_of(leaves[:k])]


@pytest.mark.parametrize("new_size", [1, 2, 3, 6, 8, 13, 32, 45])
def test_consistency_proofs_are_those_of_the_recursive_definition(new_size: int) -> None:
    leaves = leaves_of(new_size)
    for old_size in range(1, new_size + 1):
        expected = subproof_as_written(old_size, leaves, is_whole=True)
        assert consistency_proof(leaves, old_size=old_size) == expected


@pytest.mark.parametrize("size", range(1, 40))
def test_every_inclusion_proof_verifies_and_for_no_other_leaf(size: int) -> None:
    leaves = leaves_of(size)
    root = root_of(leaves)
    for index in range(size):
        proof = inclusion_proof(leaves, index=index)
        verdicts = [
            verify_inclusion(leaf, index=place, size=size, proof=proof, root=root)
            for place in range(size)
            for leaf in leaves
        ]
        assert verdicts.count(True) == 1
        assert verdicts[index * size + index]


@pytest.mark.parametrize("new_size", range(40))
def test_every_consistency_proof_verifies(new_size: int) -> None:
    leaves = leaves_of(new_size)
    for old_size in range(new_size + 1):
        assert verify_consistency(
            old_size=old_size,
            new_size=new_size,
            old_root=root_of(leaves[:old_size]),
            new_root=root_of(leaves),
            proof=consistency_proof(leaves, old_size=old_size),
        )


@given(st.data(), st.integers(1, 300))
def test_any_flipped_bit_fails_an_inclusion_proof(data: st.DataObject, size: int) -> None:
    leaves = leaves_of(size)
    index = data.draw(st.integers(0, size - 1))
    hashes = [leaves[index], root_of(leaves), *inclusion_proof(leaves, index=index)]
    assert verify_inclusion(hashes[0], index=index, size=size, root=hashes[1], proof=hashes[2:])
    place = data.draw(st.integers(0, len(hashes) - 1))
    hashes[place] = flipped(hashes[place], data.draw(st.integers(0, 255)))
    assert not verify_inclusion(hashes[0], index=index, size=size, root=hashes[1], proof=hashes[2:])


@given(st.data(), st.integers(1, 300))
def test_any_flipped_bit_fails_a_consistency_proof(data: st.DataObject, new_size: int) -> None:
    leaves = leaves_of(new_size)
    old_size = data.draw(st.integers(1, new_size))
    proof = consistency_proof(leaves, old_size=old_size)
    hashes = [root_of(leaves[:old_size]), root_of(leaves), *proof]
    place = data.draw(st.integers(0, len(hashes) - 1))
    hashes[place] = flipped(hashes[place], data.draw(st.integers(0, 255)))
    assert not verify_consistency(
        old_size=old_size, new_size=new_size, old_root=hashes[0], new_root=hashes[1], proof=hashes[2:]
    )


@given(st.data(), st.integers(2, 100))
def test_a_rewritten_history_has_no_consistency_proof(data: st.DataObject, new_size: int) -> None:
    leaves = leaves_of(new_size)
    old_size = data.draw(st.integers(1, new_size - 1))
    altered = data.draw(st.integers(0, old_size - 1))
    rewritten = [*leaves[:altered], leaf_hash(b"altered"), *leaves[altered + 1 :]]
    for proof in (consistency_proof(leaves, old_size=old_size), consistency_proof(rewritten, old_size=old_size)):
        assert not verify_consistency(
            old_size=old_size,
            new_size=new_size,
            old_root=root_of(leaves[:old_size]),
            new_root=root_of(rewritten),
            proof=proof,
        )


def test_proofs_of_a_wrong_length_are_refused() -> None:
    leaves = leaves_of(11)
    root = root_of(leaves)
    proof = inclusion_proof(leaves, index=6)
    for wrong in (proof[:-1], proof[1:], [*proof, root], [root, *proof], [], proof * 20, [item[:31] for item in proof]):
        assert not verify_inclusion(leaves[6], index=6, size=11, proof=wrong, root=root)
    extension = consistency_proof(leaves, old_size=6)
    old_root = root_of(leaves[:6])
    for wrong in (extension[:-1], extension[1:], [*extension, root], [], extension * 40):
        assert not verify_consistency(old_size=6, new_size=11, old_root=old_root, new_root=root, proof=wrong)


def test_impossible_sizes_and_places_never_verify() -> None:
    leaves = leaves_of(4)
    root = root_of(leaves)
    for index, size in ((-1, 4), (4, 4), (0, 0)):
        assert not verify_inclusion(leaves[0], index=index, size=size, proof=[], root=root)
    assert not verify_consistency(old_size=4, new_size=3, old_root=root, new_root=root, proof=[])
    assert not verify_consistency(old_size=0, new_size=4, old_root=root, new_root=root, proof=[])
    assert not verify_consistency(old_size=0, new_size=4, old_root=EMPTY_ROOT, new_root=root, proof=[root])
    assert not verify_consistency(old_size=4, new_size=4, old_root=root, new_root=EMPTY_ROOT, proof=[])


def test_an_inner_node_can_never_pass_as_a_leaf() -> None:
    left, right = leaves_of(2)
    assert leaf_hash(left + right) != node_hash(left, right)


@pytest.mark.parametrize(("index", "size"), [(3, 3), (-1, 3), (0, 0)])
def test_asking_for_a_proof_of_no_leaf_names_index_and_size(index: int, size: int) -> None:
    with pytest.raises(ValueError, match=f"leaf {index} is not in a tree of {size}"):
        inclusion_proof(leaves_of(size), index=index)


def test_asking_for_a_proof_from_a_larger_tree_is_refused() -> None:
    with pytest.raises(ValueError, match="a tree of 4 leaves cannot be a prefix of one of 3"):
        consistency_proof(leaves_of(3), old_size=4)


def test_data_in_place_of_leaf_hashes_is_refused() -> None:
    with pytest.raises(ValueError, match="hash 1 has 4 bytes, expected 32"):
        root_of([leaf_hash(b""), b"data"])

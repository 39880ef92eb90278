"""A change is proven to stand in a plan by its digest alone, and nothing that was touched is proven."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import pymerkle
import pytest
from pydantic import ValidationError

from shared.hashing.canonical import canonical_json
from shared.plan.change import Change, leaf_of
from shared.plan.document import IndexEntry, PlanHeader, in_order, leaves_of, plan_digest_of
from shared.plan.index import index_of
from shared.plan.proofs import InclusionProof, inclusion_proof, verify_inclusion
from tests.unit.plan.plan_builder import ENTITY, RUN, change, header

ALL = in_order([change(number) for number in range(1, 301)])
LEAVES = leaves_of(ALL)
PLAIN_HEADER = header(ALL[:1])
SIZES = [*range(1, 18), 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 299, 300]


@cache
def entries() -> list[IndexEntry]:
    return [entry for part in index_of(ALL, run=RUN, entity=ENTITY, partition=0) for entry in part.entries]


def header_for(size: int) -> PlanHeader:
    return PLAIN_HEADER.model_copy(update={"changes": size})


class Proven:
    """A plan of the first `size` changes, and the proof of one of them."""

    def __init__(self, size: int, place: int) -> None:
        self.header = header_for(size)
        self.change = ALL[place]
        self.digest = plan_digest_of(self.header, LEAVES[:size])
        shuffled = entries()[:size]
        random.Random(size * 1000 + place).shuffle(shuffled)
        self.proof = inclusion_proof(self.header, iter(shuffled), self.change.change_id)

    def is_proven(self, **altered: Any) -> bool:
        given = {"header": self.header, "change": self.change, "proof": self.proof, **altered}
        digest = given.pop("digest", self.digest)
        return verify_inclusion(digest, **given)


@pytest.mark.parametrize("size", SIZES)
def test_every_change_of_a_plan_is_proven(size: int) -> None:
    digest = plan_digest_of(header_for(size), LEAVES[:size])
    places = range(size) if size <= 33 else random.Random(size).sample(range(size), 12)
    for place in places:
        made = Proven(size, place)
        assert made.digest == digest
        assert made.proof.index == place + 1
        assert made.proof.size == size + 1
        assert made.is_proven()


@pytest.mark.parametrize("first", range(1, 301, 50))
def test_roots_and_paths_are_those_of_an_independent_tree(first: int) -> None:
    for size in range(first, first + 50):
        tree = pymerkle.InmemoryTree(algorithm="sha256")
        for leaf in (canonical_json(header_for(size).model_dump(mode="json")), *LEAVES[:size]):
            tree.append_entry(leaf)
        for place in {0, size // 2, size - 1, random.Random(size).randrange(size)}:
            made = Proven(size, place)
            assert made.digest == "sha256:" + tree.get_root().hex()
            for index, path in ((place + 1, made.proof.path), (0, made.proof.header_path)):
                # It counts leaves from 1 and begins a path with the hash that is proven.
                assert tree.prove_inclusion(index + 1).path[1:] == [bytes.fromhex(one) for one in path]
            assert made.is_proven()


# --- forgeries ------------------------------------------------------------------------------------------------------

FORGED_SIZES = [1, 2, 5, 8, 100]


@pytest.mark.parametrize("size", FORGED_SIZES)
def test_another_change_or_header_is_not_proven(size: int) -> None:
    made = Proven(size, size // 2)
    plain = made.change
    (first, *others) = plain.fields
    forged: list[Change] = [
        plain.model_copy(update={"target_id": "t-999"}),
        plain.model_copy(update={"key": "E999"}),
        plain.model_copy(update={"wave": 2}),
        plain.model_copy(update={"precondition": None}),
        plain.model_copy(update={"commitment_key": "00" * 32}),
        plain.model_copy(update={"fields": (first.model_copy(update={"after": "Mallory"}), *others)}),
        plain.model_copy(update={"write": plain.write.model_copy(update={"body": {"first_name": "Mallory"}})}),
        ALL[299],
    ]
    assert made.is_proven()
    assert not any(made.is_proven(change=one) for one in forged)
    assert not made.is_proven(header=made.header.model_copy(update={"target": "another"}))
    assert not made.is_proven(header=made.header.model_copy(update={"run": "another"}))


@pytest.mark.parametrize("size", FORGED_SIZES)
def test_another_size_or_place_is_not_proven(size: int) -> None:
    made = Proven(size, size // 2)
    for number in {0, 1, size - 1, size, size + 1, size + 2, 2 * size, 2**63, -1}:
        if number != made.proof.size:
            assert not made.is_proven(proof=made.proof.model_copy(update={"size": number}))
            # Nor when the header is made to agree.
            agreeing = made.header.model_copy(update={"changes": number - 1})
            assert not made.is_proven(proof=made.proof.model_copy(update={"size": number}), header=agreeing)
        if number != made.proof.index:
            assert not made.is_proven(proof=made.proof.model_copy(update={"index": number}))


@pytest.mark.parametrize("size", FORGED_SIZES)
@pytest.mark.parametrize("which", ["path", "header_path"])
def test_another_path_is_not_proven(size: int, which: str) -> None:
    made = Proven(size, size // 2)
    path: tuple[str, ...] = getattr(made.proof, which)
    assert path
    others = [path[1:], path[:-1], (*path, path[-1]), (path[0], *path), (*path, "00" * 32), ("zz" * 32, *path[1:])]
    others += [path[::-1]] if len(path) > 1 else []
    for place, one in enumerate(path):
        for flipped in (f"{int(one[0], 16) ^ 1:x}{one[1:]}", f"{one[:-1]}{int(one[-1], 16) ^ 8:x}", one[:-2], ""):
            others.append((*path[:place], flipped, *path[place + 1 :]))
    for other in others:
        assert not made.is_proven(proof=made.proof.model_copy(update={which: other})), other


def test_another_digest_is_not_proven() -> None:
    made = Proven(5, 2)
    plain = made.digest
    others = [
        plain[:-1] + ("0" if plain[-1] != "0" else "1"),
        plain.removeprefix("sha256:"),
        plain.upper(),
        "sha512:" + plain.removeprefix("sha256:"),
        "sha256:" + plain,
        plain + " ",
        "sha256:",
        "",
        "sha256:" + "00" * 32,
    ]
    assert made.is_proven()
    assert not any(made.is_proven(digest=one) for one in others)


def test_header_is_never_proven_to_be_a_change() -> None:
    # A proof for leaf 0 is a good path of the tree; a change is never leaf 0.
    made = Proven(1, 0)
    swapped = made.proof.model_copy(update={"index": 0, "path": made.proof.header_path})
    assert not made.is_proven(proof=swapped)
    with pytest.raises(ValidationError):
        InclusionProof.model_validate(swapped.model_dump())


def test_change_of_one_plan_is_not_proven_for_another() -> None:
    first, second = Proven(5, 2), Proven(8, 2)
    assert not verify_inclusion(second.digest, header=second.header, change=first.change, proof=first.proof)
    assert not verify_inclusion(second.digest, header=first.header, change=first.change, proof=first.proof)
    # The right change under the header of another run of equal size.
    other = first.header.model_copy(update={"run": "another"})
    assert not verify_inclusion(first.digest, header=other, change=first.change, proof=first.proof)


def test_change_without_a_usable_key_is_not_proven() -> None:
    made = Proven(5, 2)
    for key in ("", "00", "no hex"):
        assert not made.is_proven(change=made.change.model_copy(update={"commitment_key": key}))


# --- making ---------------------------------------------------------------------------------------------------------


def test_no_proof_is_made_of_a_change_that_the_plan_does_not_hold() -> None:
    with pytest.raises(ValueError, match="no change ffff among the 5 of the plan"):
        inclusion_proof(header_for(5), entries()[:5], "ffff")


def test_no_proof_is_made_from_an_index_that_is_not_the_plans() -> None:
    wanted = ALL[0].change_id
    with pytest.raises(ValueError, match="the index holds 4 changes, the header says 5"):
        inclusion_proof(header_for(5), entries()[:4], wanted)
    with pytest.raises(ValueError, match="twice"):
        inclusion_proof(header_for(5), [*entries()[:4], entries()[0]], wanted)


def test_proof_survives_its_json() -> None:
    made = Proven(8, 3)
    again = InclusionProof.model_validate_json(made.proof.model_dump_json())
    assert again == made.proof
    assert made.is_proven(proof=again)
    assert leaf_of(made.change) == LEAVES[3]


@pytest.mark.parametrize(
    "altered",
    [{"size": 1}, {"path": ["ab"]}, {"path": ["A" * 64]}, {"header_path": ["0" * 64] * 66}, {"another": 1}],
)
def test_proof_that_is_none_is_refused_at_the_edge(altered: dict[str, Any]) -> None:
    document = Proven(8, 3).proof.model_dump(mode="json")
    with pytest.raises(ValidationError):
        InclusionProof.model_validate({**document, **altered})

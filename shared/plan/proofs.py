"""Proofs that a change stands in a plan: made from the header and the index, checked with the digest alone.

Pure. Making a proof raises on arguments that do not belong together (a defect of the caller); verifying returns False
(a forgery is data). A proof says that the plan holds exactly this change, and not that it may still be carried out:
the applier finds that out itself, and computes the root over all pages before its first write.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from shared.events.model import Document
from shared.hashing import merkle
from shared.plan.change import Change, leaf_of
from shared.plan.document import IndexEntry, PlanHeader, digest_of_root, header_leaf_hash, in_order
from shared.plan.index import hashes_of

HexHash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Path = Annotated[tuple[HexHash, ...], Field(max_length=merkle.PROOF_HASHES_MAX)]


class InclusionProof(Document):
    """That one change, and the header that it is shown with, are leaves of one plan's tree."""

    size: int = Field(ge=2)
    """Leaves of the tree: the header and the changes."""
    index: int = Field(ge=1)
    """The change's leaf; the header is leaf 0."""
    path: Path
    """RFC 6962 inclusion proof of the change, hex, nearest sibling first."""
    header_path: Path
    """The same of the header: it says of which run and target the change is, and how many there are."""


def inclusion_proof(header: PlanHeader, entries: Iterable[IndexEntry], change_id: str) -> InclusionProof:
    """The proof that the change stands in the plan; `entries` are those of every part of its index, in any order.

    `ValueError` when the plan does not hold the change, or the entries are not the plan's.
    """
    ordered = in_order(entries)
    leaves = [header_leaf_hash(header), *hashes_of(header, ordered)]
    index = next((place for place, entry in enumerate(ordered, start=1) if entry.change_id == change_id), None)
    if index is None:
        raise ValueError(f"run {header.run}: no change {change_id} among the {header.changes} of the plan")
    return InclusionProof(
        size=len(leaves),
        index=index,
        path=tuple(one.hex() for one in merkle.inclusion_proof(leaves, index=index)),
        header_path=tuple(one.hex() for one in merkle.inclusion_proof(leaves, index=0)),
    )


def verify_inclusion(plan_digest: str, *, header: PlanHeader, change: Change, proof: InclusionProof) -> bool:
    """Whether header and change are leaves of the tree whose root is the plan's digest.

    The change's leaf is computed from the change, so a value that differs anywhere in it proves nothing.
    """
    try:
        root = bytes.fromhex(plan_digest.removeprefix("sha256:"))
        change_hash, header_hash = merkle.leaf_hash(leaf_of(change)), header_leaf_hash(header)
        path, header_path = ([bytes.fromhex(one) for one in hashes] for hashes in (proof.path, proof.header_path))
    except ValueError:
        return False
    return (
        # A path alone can fit trees of several sizes; the header is sealed, and says how many leaves there are.
        proof.size == header.changes + 1
        and proof.index >= 1
        and digest_of_root(root) == plan_digest
        and merkle.verify_inclusion(header_hash, index=0, size=proof.size, proof=header_path, root=root)
        and merkle.verify_inclusion(change_hash, index=proof.index, size=proof.size, proof=path, root=root)
    )

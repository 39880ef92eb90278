"""One entry of the audit log proven here and now, told step by step so that a person can follow and repeat it.

Pure. Whether the proof holds is decided by `shared.audit.bundle`; the steps are the same arithmetic, spelled out.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from shared.audit.bundle import InclusionBundle, verify_bundle
from shared.audit.checkpoint import parse_and_verify_checkpoint, parse_verifier_key
from shared.hashing.merkle import node_hash


class ProofStep(BaseModel):
    """One hash of the way from the leaf to the root."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    side: Literal["left", "right"]
    """On which side of ours the other hash stands."""
    sibling: str
    result: str


class EntryProof(BaseModel):
    """The proof of one entry, checked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    is_valid: bool
    reason: str
    """The verdict in one sentence."""
    leaf: str
    entry_bytes: int
    """Length of the canonical JSON that was hashed."""
    steps: tuple[ProofStep, ...]
    root: str
    """To which the steps lead."""
    signed_root: str
    size: int
    """Entries that the checkpoint covers."""
    origin: str
    """The log's name in the checkpoint."""
    key_id: str
    checkpoint: str
    """The signed note, whole."""


def told(bundle: InclusionBundle, verifier_key: str) -> EntryProof:
    """The bundle checked under the key and told in steps; `CheckpointError` for a key or checkpoint that is none."""
    verdict = verify_bundle(bundle, verifier_key)
    signed = parse_and_verify_checkpoint(bundle.checkpoint, verifier_key)
    leaf = bundle.entry.leaf_hash()
    steps = steps_of(leaf, index=bundle.index, size=bundle.size, proof=[bytes.fromhex(each) for each in bundle.proof])
    return EntryProof(
        is_valid=verdict.is_valid,
        reason=verdict.reason,
        leaf=leaf.hex(),
        entry_bytes=len(bundle.entry.leaf_bytes()),
        steps=steps,
        root=steps[-1].result if steps else leaf.hex(),
        signed_root=signed.root.hex(),
        size=signed.size,
        origin=signed.origin,
        key_id=parse_verifier_key(verifier_key).key_id.hex(),
        checkpoint=bundle.checkpoint,
    )


def steps_of(leaf: bytes, *, index: int, size: int, proof: list[bytes]) -> tuple[ProofStep, ...]:
    """Every hash from the leaf up, by RFC 9162, 2.1.3.2; as many as the proof has siblings."""
    steps: list[ProofStep] = []
    place, last, node = index, size - 1, leaf
    for sibling in proof:
        is_left = bool(place & 1) or place == last
        node = node_hash(sibling, node) if is_left else node_hash(node, sibling)
        steps.append(ProofStep(side="left" if is_left else "right", sibling=sibling.hex(), result=node.hex()))
        # At the right edge there are levels on which our node has no neighbour and goes up as it is.
        while is_left and place and not place & 1:
            place, last = place >> 1, last >> 1
        place, last = place >> 1, last >> 1
    return tuple(steps)

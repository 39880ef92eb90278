"""Proof bundles: one entry of the audit log with all that is needed to verify it, as one JSON document.

A bundle is made from the auditor's stored nodes and checked with nothing but the log's verifier key, anywhere and for
ever. It proves that the entry is in the signed log; it does not show any other entry.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.audit.checkpoint import (
    NOTE_BYTES_MAX,
    CheckpointError,
    parse_and_verify_checkpoint,
    parse_verifier_key,
)
from shared.audit.entries import AuditEntry
from shared.audit.tree import NodeLookup, inclusion_proof_at
from shared.hashing.canonical import INTEGER_MAX
from shared.hashing.merkle import PROOF_HASHES_MAX, verify_inclusion

BUNDLE_BYTES_MAX = 2_097_152


class InclusionBundle(BaseModel):
    """Proof that one entry is in the log which a checkpoint signs."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal["aether.audit.inclusion.v1"] = "aether.audit.inclusion.v1"
    entry: AuditEntry
    index: Annotated[int, Field(ge=0, le=INTEGER_MAX)]
    """The entry's place in the log, from 0."""
    size: Annotated[int, Field(ge=1, le=INTEGER_MAX)]
    """The size of the log that the checkpoint signs."""
    proof: Annotated[list[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]], Field(max_length=PROOF_HASHES_MAX)]
    """The sibling hashes in hexadecimal digits, nearest first."""
    checkpoint: Annotated[str, Field(max_length=NOTE_BYTES_MAX)]
    """The signed note, whole."""


class BundleVerdict(NamedTuple):
    """Whether a bundle holds, and the sentence for who asked."""

    is_valid: bool
    reason: str


def prove_inclusion(entry: AuditEntry, *, nodes: NodeLookup, checkpoint: str, verifier_key: str) -> InclusionBundle:
    """The bundle for an entry under a checkpoint that covers it; `ValueError` when the stored log does not prove it.

    The bundle is verified before it is handed out: a proof that fails in a reader's hands would be worse than none.
    """
    size = parse_and_verify_checkpoint(checkpoint, verifier_key).size
    if entry.index >= size:
        raise ValueError(
            f"entry {entry.index}: the checkpoint covers {size} entries, the last is {size - 1}; "
            "ask again after the next checkpoint"
        )
    proof = inclusion_proof_at(nodes, index=entry.index, size=size)
    bundle = InclusionBundle(
        entry=entry,
        index=entry.index,
        size=size,
        proof=[sibling.hex() for sibling in proof],
        checkpoint=checkpoint,
    )
    verdict = verify_bundle(bundle, verifier_key)
    if not verdict.is_valid:
        raise ValueError(f"the stored log does not prove entry {entry.index}: {verdict.reason}; verify the whole log")
    return bundle


def verify_bundle(bundle: InclusionBundle | str | bytes, verifier_key: str) -> BundleVerdict:
    """Whether the bundle proves its entry under the key.

    A malformed bundle is a verdict, not an exception; `CheckpointError` is raised only for a verifier key that is none.
    """
    parse_verifier_key(verifier_key)
    try:
        document = bundle if isinstance(bundle, InclusionBundle) else _parsed(bundle)
        signed = parse_and_verify_checkpoint(document.checkpoint, verifier_key)
    except ValueError as error:
        return BundleVerdict(False, _problem(error))
    index, size = document.index, document.size
    if index != document.entry.index:
        return BundleVerdict(False, f"bundle: index {index} is not the entry's own {document.entry.index}")
    if size != signed.size:
        return BundleVerdict(False, f"bundle: size {size} is not the checkpoint's {signed.size}")
    proof = [bytes.fromhex(sibling) for sibling in document.proof]
    if not verify_inclusion(document.entry.leaf_hash(), index=index, size=size, proof=proof, root=signed.root):
        return BundleVerdict(False, f"entry {index} and the proof do not lead to the signed root of size {size}")
    return BundleVerdict(True, f"entry {index} is in the log of {size} entries that {signed.origin} signed")


def _parsed(text: str | bytes) -> InclusionBundle:
    if len(text) > BUNDLE_BYTES_MAX:
        raise ValueError(f"{len(text)} bytes or characters, at most {BUNDLE_BYTES_MAX}")
    return InclusionBundle.model_validate_json(text)


def _problem(error: ValueError) -> str:
    """What to tell of an error, without the values that were read."""
    match error:
        case CheckpointError():
            return f"checkpoint: {error}"
        case ValidationError():
            first = error.errors(include_input=False, include_url=False)[0]
            return f"bundle: {'.'.join(map(str, first['loc'])) or 'document'}: {first['msg']}"
        case _:
            return f"bundle: {error}"

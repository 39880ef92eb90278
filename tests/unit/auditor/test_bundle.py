"""Proof bundles: every covered entry is proven offline, and nothing altered is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.audit.bundle import InclusionBundle, prove_inclusion, verify_bundle
from shared.audit.checkpoint import Checkpoint, CheckpointError, sign_checkpoint
from shared.hashing.merkle import root_of
from tests.unit.auditor.log_builder import ORIGIN, OTHER_PRIVATE, VERIFIER_KEY, Log

LOG = Log()
NOTE = LOG.note(11)


def bundle_for(index: int) -> InclusionBundle:
    return prove_inclusion(LOG.entries[index], nodes=LOG.node, checkpoint=NOTE, verifier_key=VERIFIER_KEY)


@pytest.mark.parametrize("index", range(11))
def test_every_covered_entry_is_proven_from_its_json_alone(index: int) -> None:
    verdict = verify_bundle(bundle_for(index).model_dump_json(), VERIFIER_KEY)
    assert verdict == (True, f"entry {index} is in the log of 11 entries that {ORIGIN} signed")


def test_an_entry_behind_the_checkpoint_is_refused() -> None:
    with pytest.raises(ValueError, match="entry 11: the checkpoint covers 11 entries, the last is 10"):
        bundle_for(11)


def test_a_store_that_lost_the_truth_hands_out_no_bundle() -> None:
    altered = LOG.entries[4].model_copy(update={"actor": "nobody"})
    with pytest.raises(ValueError, match="the stored log does not prove entry 4"):
        prove_inclusion(altered, nodes=LOG.node, checkpoint=NOTE, verifier_key=VERIFIER_KEY)


def altered(**changes: object) -> str:
    document: dict[str, Any] = bundle_for(4).model_dump(mode="json")
    return json.dumps(document | changes)


ENTRY = bundle_for(4).model_dump(mode="json")["entry"]
PROOF = bundle_for(4).proof


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (altered(entry=ENTRY | {"actor": "nobody"}), "do not lead to the signed root"),
        (altered(entry=ENTRY | {"index": 5}), "index 4 is not the entry's own 5"),
        (altered(entry=ENTRY | {"index": 5}, index=5), "do not lead to the signed root"),
        (altered(size=12), "size 12 is not the checkpoint's 11"),
        (altered(proof=PROOF[:-1]), "do not lead to the signed root"),
        (altered(proof=PROOF[::-1]), "do not lead to the signed root"),
        (altered(proof=["zz" * 32]), "bundle: proof.0"),
        (altered(proof=PROOF * 20), "bundle: proof"),
        (altered(checkpoint=LOG.note(12)), "size 11 is not the checkpoint's 12"),
        (altered(checkpoint=NOTE.replace("\n11\n", "\n12\n")), "text or signature was altered"),
        (
            altered(checkpoint=sign_checkpoint(Checkpoint(ORIGIN, 11, root_of(LOG.leaves[:11])), OTHER_PRIVATE)),
            "none is there",
        ),
        (altered(format="aether.audit.inclusion.v2"), "bundle: format"),
        (altered(more=1), "bundle: more"),
        ("{", "bundle: document"),
        ("x" * 2_097_153, "at most 2097152"),
        ("\ud800", "bundle: "),
    ],
)
def test_an_altered_bundle_is_refused_with_its_reason(text: str, words: str) -> None:
    verdict = verify_bundle(text, VERIFIER_KEY)
    assert not verdict.is_valid
    assert words in verdict.reason


@given(st.data())
def test_no_flipped_bit_of_the_evidence_passes(data: st.DataObject) -> None:
    document = bundle_for(data.draw(st.integers(0, 10))).model_dump(mode="json")
    place = data.draw(st.integers(0, len(document["proof"]) - 1))
    raw = bytearray(bytes.fromhex(document["proof"][place]))
    bit = data.draw(st.integers(0, 255))
    raw[bit // 8] ^= 1 << bit % 8
    document["proof"][place] = raw.hex()
    assert not verify_bundle(json.dumps(document), VERIFIER_KEY).is_valid


def test_a_key_that_is_none_is_an_exception_and_no_verdict() -> None:
    with pytest.raises(CheckpointError):
        verify_bundle(bundle_for(0), "no key")

"""Checkpoints against published signed notes, and the refusal of whatever is not exactly one."""

from __future__ import annotations

import base64
import re
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.audit.checkpoint import (
    Checkpoint,
    CheckpointError,
    CheckpointForged,
    parse_and_verify_checkpoint,
    parse_verifier_key,
    sign_checkpoint,
    verifier_key_of,
)
from shared.hashing.merkle import EMPTY_ROOT
from shared.hashing.signing import (
    load_private_key,
    public_key_b64,
    public_key_bytes,
    sign,
    sign_raw,
    verify,
    verify_raw,
)
from tests.unit.auditor.log_builder import ORIGIN, OTHER_PRIVATE, PRIVATE, VERIFIER_KEY

# A tree head as the Go checksum database served it, and the key that Go has built in.
GO_KEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
GO_NOTE = (
    "go.sum database tree\n6476701\nmb8QLQIs0Z0yP5Cstq6guj87oXWeC9gEM8oVikmm9Wk=\n\n"
    "— sum.golang.org Az3grsLX85Gz+s1SiTbgkuqxgItqFq7gsMUEyVnrsa9LM7Us9S+1xbFIGu95949rj4nPRYfvimWEPWL+o3GeoWwOoAw=\n"
)
# The example of the signed note package of Go: verifier key, seed (behind its type byte), text and signature.
NOTE_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NOTE_SEED = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
NOTE_TEXT = b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
NOTE_SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="

CHECKPOINT = Checkpoint(ORIGIN, 8, bytes(range(32)), ("released 2026-01-31", "— looks like a signature AAAA"))
NOTE = sign_checkpoint(CHECKPOINT, PRIVATE)


def test_a_checkpoint_of_another_log_software_verifies() -> None:
    checkpoint = parse_and_verify_checkpoint(GO_NOTE, GO_KEY, origin="go.sum database tree")
    assert checkpoint.size == 6476701
    assert checkpoint.root == base64.b64decode("mb8QLQIs0Z0yP5Cstq6guj87oXWeC9gEM8oVikmm9Wk=")
    with pytest.raises(CheckpointForged):
        parse_and_verify_checkpoint(GO_NOTE.replace("6476701", "6476702"), GO_KEY, origin="go.sum database tree")


def test_key_ids_and_signatures_equal_the_published_ones() -> None:
    key = parse_verifier_key(NOTE_KEY)
    assert (key.name, key.key_id.hex(), key.text()) == ("PeterNeumann", "c74f20a3", NOTE_KEY)
    assert parse_verifier_key(GO_KEY).key_id.hex() == "033de0ae"
    private = load_private_key(base64.b64encode(base64.b64decode(NOTE_SEED)[1:]).decode())
    assert verifier_key_of(private, origin="PeterNeumann") == NOTE_KEY
    assert base64.b64encode(key.key_id + sign_raw(private, NOTE_TEXT)).decode() == NOTE_SIGNATURE


def test_key_id_is_four_bytes_over_name_newline_type_and_key() -> None:
    public = public_key_bytes(PRIVATE)
    by_hand = sha256(b"audit.example.org/log\n\x01" + public).hexdigest()[:8]
    key_b64 = base64.b64encode(b"\x01" + public).decode()
    assert f"{ORIGIN}+{by_hand}+{key_b64}" == VERIFIER_KEY


def test_the_note_has_exactly_the_prescribed_lines() -> None:
    root = base64.b64encode(bytes(range(32))).decode()
    body = f"{ORIGIN}\n8\n{root}\nreleased 2026-01-31\n— looks like a signature AAAA\n"
    text, blank, signatures = NOTE.rpartition("\n\n")
    assert (text + "\n", blank) == (body, "\n\n")
    match = re.fullmatch(r"— audit\.example\.org/log ([A-Za-z0-9+/=]+)\n", signatures)
    assert match
    raw = base64.b64decode(match[1])
    assert raw[:4] == parse_verifier_key(VERIFIER_KEY).key_id
    assert verify_raw(public_key_bytes(PRIVATE), message=body.encode(), signature=raw[4:])


def test_a_signed_checkpoint_reads_back_equal() -> None:
    assert parse_and_verify_checkpoint(NOTE, VERIFIER_KEY) == CHECKPOINT
    empty = Checkpoint(ORIGIN, 0, EMPTY_ROOT)
    assert parse_and_verify_checkpoint(sign_checkpoint(empty, PRIVATE), VERIFIER_KEY) == empty


@given(st.integers(0, len(NOTE.encode()) * 8 - 1))
def test_no_flipped_bit_passes_as_a_checkpoint(bit: int) -> None:
    changed = bytearray(NOTE.encode())
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CheckpointError):
        parse_and_verify_checkpoint(changed.decode(errors="surrogateescape"), VERIFIER_KEY)


def test_an_approval_signature_is_never_a_checkpoint_signature() -> None:
    body = CHECKPOINT.text()
    approval = base64.b64decode(sign(PRIVATE, domain="approval/v1", payload=body.encode()))
    key = parse_verifier_key(VERIFIER_KEY)
    note = f"{body}\n— {ORIGIN} {base64.b64encode(key.key_id + approval).decode()}\n"
    with pytest.raises(CheckpointForged):
        parse_and_verify_checkpoint(note, VERIFIER_KEY)
    of_note = base64.b64encode(base64.b64decode(NOTE.split()[-1])[4:]).decode()
    assert not verify(public_key_b64(PRIVATE), domain="approval/v1", payload=body.encode(), signature=of_note)


def test_witness_signatures_beside_the_logs_own_are_passed_over() -> None:
    witness = "— witness.example.org " + base64.b64encode(bytes(80)).decode() + "\n"
    text, own = NOTE.rsplit("\n\n", 1)
    assert parse_and_verify_checkpoint(f"{text}\n\n{witness}{own}", VERIFIER_KEY) == CHECKPOINT
    with pytest.raises(CheckpointForged, match="none is there"):
        parse_and_verify_checkpoint(f"{text}\n\n{witness}", VERIFIER_KEY)


def test_a_signature_by_another_key_under_the_logs_name_is_forged() -> None:
    forged = sign_checkpoint(CHECKPOINT, OTHER_PRIVATE)
    with pytest.raises(CheckpointForged, match="line 7: expected a signature by audit"):
        parse_and_verify_checkpoint(forged, VERIFIER_KEY)
    key = parse_verifier_key(VERIFIER_KEY)
    claimed = base64.b64encode(key.key_id + sign_raw(OTHER_PRIVATE, CHECKPOINT.text().encode())).decode()
    with pytest.raises(CheckpointForged, match="text or signature was altered"):
        parse_and_verify_checkpoint(f"{CHECKPOINT.text()}\n— {ORIGIN} {claimed}\n", VERIFIER_KEY)


def test_a_bad_signature_of_the_log_is_not_saved_by_a_good_one_behind_it() -> None:
    text, good = NOTE.rsplit("\n\n", 1)
    bad = f"— {ORIGIN} " + base64.b64encode(parse_verifier_key(VERIFIER_KEY).key_id + bytes(64)).decode() + "\n"
    assert parse_and_verify_checkpoint(f"{text}\n\n{good}{bad}", VERIFIER_KEY) == CHECKPOINT
    with pytest.raises(CheckpointForged, match=r"line 7: .* text or signature was altered"):
        parse_and_verify_checkpoint(f"{text}\n\n{bad}{good}", VERIFIER_KEY)


def test_another_logs_checkpoint_is_refused() -> None:
    other = sign_checkpoint(Checkpoint("other.example.org/log", 8, bytes(32)), PRIVATE)
    with pytest.raises(CheckpointForged, match="this is another log's checkpoint"):
        parse_and_verify_checkpoint(other, verifier_key_of(PRIVATE, origin="other.example.org/log"), origin=ORIGIN)


ROOT_B64 = base64.b64encode(bytes(32)).decode()
SIGNED = f"\n— {ORIGIN} {base64.b64encode(bytes(68)).decode()}\n"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "a newline at the end"),
        (NOTE[:-1], 7, "a newline at the end"),
        (f"{ORIGIN}\n8\n{ROOT_B64}\n", 0, "a blank line"),
        (f"{ORIGIN}\n8\n{SIGNED}", 3, "three lines"),
        (f"\n8\n{ROOT_B64}\n{SIGNED}", 1, "not empty"),
        (f"{ORIGIN}\n08\n{ROOT_B64}\n{SIGNED}", 2, "without leading zeros"),
        (f"{ORIGIN}\n+8\n{ROOT_B64}\n{SIGNED}", 2, "decimal digits"),
        (f"{ORIGIN}\n٨\n{ROOT_B64}\n{SIGNED}", 2, "decimal digits"),
        (f"{ORIGIN}\n9007199254740992\n{ROOT_B64}\n{SIGNED}", 2, "9007199254740991"),
        (f"{ORIGIN}\n8\nAAAA\n{SIGNED}", 3, "32 bytes"),
        (f"{ORIGIN}\n8\n{ROOT_B64[:-2]}B=\n{SIGNED}", 3, "canonical"),
        (f"{ORIGIN}\n8\n***\n{SIGNED}", 3, "base64"),
        (f"{ORIGIN}\n8\n{ROOT_B64}\n\nmore\n{SIGNED}", 4, "not empty"),
        (f"{ORIGIN}\n8\n{ROOT_B64}\na\tb\n{SIGNED}", 4, "control characters"),
        (f"{ORIGIN}\n8\n{ROOT_B64}\n\n-- {ORIGIN} AAAA\n", 5, "an em dash"),
        (f"{ORIGIN}\n8\n{ROOT_B64}\n\n— {ORIGIN}\n", 5, "an em dash"),
        (f"{ORIGIN}\n8\n{ROOT_B64}\n\n— {ORIGIN} %%\n", 5, "base64"),
        (f"{ORIGIN}\n8\n{ROOT_B64}\n\n— {ORIGIN} AAAAAA==\n", 5, "a key id of 4 bytes"),
        (f"{ORIGIN}\n8\n{ROOT_B64}\n" + SIGNED + SIGNED[1:] * 100, 5, "1 to 100 signature lines"),
        ("\ud800\n", 0, "Unicode"),
        ("x" * 70_000, 0, "65536 bytes"),
    ],
)
def test_malformed_text_is_refused_with_line_and_expectation(text: str, line: int, words: str) -> None:
    with pytest.raises(CheckpointError, match=words) as caught:
        parse_and_verify_checkpoint(text, VERIFIER_KEY)
    assert caught.value.line == line
    assert not isinstance(caught.value, CheckpointForged)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "name\\+id\\+base64"),
        (VERIFIER_KEY.replace("audit", "audio"), "copied from another"),
        (VERIFIER_KEY[:-4] + "AAA=", "type 0x01 .* of 32"),
        (VERIFIER_KEY[:-4] + "AAAA", "copied from another"),
        (f"{ORIGIN}+00000000+AAAA", "type 0x01"),
        ("a b+00000000+" + base64.b64encode(b"\x01" + bytes(32)).decode(), "without spaces"),
    ],
)
def test_a_verifier_key_that_contradicts_itself_is_refused(text: str, words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        parse_verifier_key(text)


def test_what_could_not_be_read_back_is_not_signed() -> None:
    with pytest.raises(CheckpointError, match="line 4"):
        Checkpoint(ORIGIN, 1, bytes(32), ("two\nlines",))
    with pytest.raises(CheckpointError, match="line 3"):
        Checkpoint(ORIGIN, 1, bytes(31))
    with pytest.raises(CheckpointError, match="without spaces"):
        sign_checkpoint(Checkpoint("a log", 1, bytes(32)), PRIVATE)
    with pytest.raises(CheckpointError, match="shorten the extension"):
        sign_checkpoint(Checkpoint(ORIGIN, 1, bytes(32), ("x" * 66_000,)), PRIVATE)

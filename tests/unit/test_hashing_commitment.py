"""Commitments: bound to key and value, separated by subject and salt."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.hashing.canonical import CanonicalJsonError
from shared.hashing.commitment import commit, committer, is_commitment_to, subject_key

MASTER = bytes(range(32))
SALT = bytes(range(32, 64))


def test_commitment_is_the_hmac_of_the_canonical_json() -> None:
    key = subject_key(MASTER, "staff:1001")
    expected = hmac.new(key, b'{"a":1,"b":"x"}', hashlib.sha256).hexdigest()
    assert commit(key, {"b": "x", "a": 1}) == f"hmac-sha256:{expected}"


SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-1, 1) | st.text(st.characters(codec="utf-8"))


@given(
    key=st.binary(min_size=32, max_size=32),
    values=st.lists(SCALARS | st.dictionaries(st.text(st.characters(codec="utf-8")), SCALARS), max_size=4),
)
def test_commitments_under_a_key_set_up_once_are_the_same(key: bytes, values: list[object]) -> None:
    commitment_to = committer(key)
    # Twice over: no commitment leaves anything behind for the next.
    assert [commitment_to(value) for value in [*values, *values]] == [
        commit(key, value) for value in [*values, *values]
    ]


@given(key=st.binary(min_size=32, max_size=32), text=st.text(st.characters(max_codepoint=127, min_codepoint=97)))
def test_commitment_of_a_text_is_the_hmac_of_its_json(key: bytes, text: str) -> None:
    expected = "hmac-sha256:" + hmac.new(key, f'"{text}"'.encode(), hashlib.sha256).hexdigest()
    assert committer(key)(text) == expected
    assert commit(key, text) == expected


def test_a_value_that_is_refused_spoils_no_later_commitment() -> None:
    key = subject_key(MASTER, "staff:1001")
    commitment_to = committer(key)
    with pytest.raises(CanonicalJsonError):
        commitment_to("\ud800")
    assert commitment_to("Sample Name") == commit(key, "Sample Name")


def test_commitment_opens_only_with_its_key_and_value() -> None:
    key, other = subject_key(MASTER, "staff:1001"), subject_key(MASTER, "staff:1002")
    commitment = commit(key, "Sample Name")
    assert is_commitment_to("Sample Name", commitment=commitment, key=key)
    assert not is_commitment_to("sample name", commitment=commitment, key=key)
    assert not is_commitment_to("Sample Name", commitment=commitment, key=other)
    assert not is_commitment_to("Sample Name", commitment=commitment.upper(), key=key)


def test_subjects_masters_and_salts_all_lead_to_different_keys() -> None:
    keys = {
        subject_key(MASTER, "a"),
        subject_key(MASTER, "b"),
        subject_key(MASTER[::-1], "a"),
        subject_key(MASTER, "a", salt=SALT),
        subject_key(MASTER, "a", salt=SALT[::-1]),
        # The salt's own bytes as the start of the subject are not the salt.
        subject_key(MASTER, SALT.decode() + "a"),
        hmac.digest(MASTER, b"a", hashlib.sha256),
    }
    assert len(keys) == 7
    assert subject_key(MASTER, "a", salt=SALT) == subject_key(MASTER, "a", salt=SALT)


def test_commitments_written_once_open_for_ever() -> None:
    # Changes when the domain or the framing changes, which would orphan every commitment ever written.
    message = b"aether-integrator/subject-key/v1\x00" + b"\x20" + SALT + b"staff:1001"
    assert subject_key(MASTER, "staff:1001", salt=SALT) == hmac.new(MASTER, message, hashlib.sha256).digest()


def test_short_keys_and_empty_subjects_are_refused() -> None:
    with pytest.raises(ValueError, match="master key: 31 bytes, at least 32"):
        subject_key(MASTER[:31], "a")
    with pytest.raises(ValueError, match="salt of a subject: 5 bytes, expected 32"):
        subject_key(MASTER, "a", salt=b"short")
    with pytest.raises(ValueError, match="subject: empty"):
        subject_key(MASTER, "")
    with pytest.raises(ValueError, match="subject key: 16 bytes, expected 32"):
        commit(MASTER[:16], 1)
    for wrong in (MASTER[:31], MASTER + b"x", b""):
        with pytest.raises(ValueError, match=f"subject key: {len(wrong)} bytes, expected 32"):
            committer(wrong)

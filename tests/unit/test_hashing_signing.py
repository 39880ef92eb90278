"""Ed25519 against RFC 8032, one purpose per signature, and the forms of keys that are read."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from shared.hashing.signing import (
    KeyTextError,
    generate,
    load_private_key,
    load_public_key,
    private_key_pem,
    public_key_b64,
    public_key_bytes,
    sign,
    sign_raw,
    verify,
    verify_raw,
)

# RFC 8032 section 7.1, tests 1 to 3: seed, public key, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]
SEED_B64 = base64.b64encode(bytes.fromhex(RFC_8032[0][0])).decode()
PRIVATE = load_private_key(SEED_B64)
PUBLIC = public_key_b64(PRIVATE)


@pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC_8032)
def test_raw_signatures_equal_the_published_ones(seed: str, public: str, message: str, signature: str) -> None:
    private = load_private_key(base64.b64encode(bytes.fromhex(seed)).decode())
    assert public_key_bytes(private).hex() == public
    assert sign_raw(private, bytes.fromhex(message)).hex() == signature
    assert verify_raw(bytes.fromhex(public), message=bytes.fromhex(message), signature=bytes.fromhex(signature))
    assert not verify_raw(
        bytes.fromhex(public), message=bytes.fromhex(message) + b"!", signature=bytes.fromhex(signature)
    )


def test_a_signature_is_good_for_its_domain_payload_and_key_only() -> None:
    signature = sign(PRIVATE, domain="approval/v1", payload=b"plan")
    assert verify(PUBLIC, domain="approval/v1", payload=b"plan", signature=signature)
    assert not verify(PUBLIC, domain="approval/v2", payload=b"plan", signature=signature)
    assert not verify(PUBLIC, domain="approval/v1", payload=b"plam", signature=signature)
    assert not verify(public_key_b64(generate()), domain="approval/v1", payload=b"plan", signature=signature)


def test_domain_and_payload_never_run_into_each_other() -> None:
    signature = sign(PRIVATE, domain="approval", payload=b"/v1\x00plan")
    assert not verify(PUBLIC, domain="approval/v1", payload=b"plan", signature=signature)


def test_a_domain_signature_is_never_one_over_the_bare_payload() -> None:
    signature = base64.b64decode(sign(PRIVATE, domain="approval/v1", payload=b"text\n"))
    assert not verify_raw(public_key_bytes(PRIVATE), message=b"text\n", signature=signature)
    bare = base64.b64encode(sign_raw(PRIVATE, b"text\n")).decode()
    assert not verify(PUBLIC, domain="approval/v1", payload=b"text\n", signature=bare)


@given(st.integers(0, 511))
def test_any_flipped_bit_of_a_signature_fails(bit: int) -> None:
    raw = bytearray(base64.b64decode(sign(PRIVATE, domain="approval/v1", payload=b"plan")))
    raw[bit // 8] ^= 1 << bit % 8
    changed = base64.b64encode(raw).decode()
    assert not verify(PUBLIC, domain="approval/v1", payload=b"plan", signature=changed)


@pytest.mark.parametrize("signature", ["", "no base64!", "AAAA", "é", base64.b64encode(bytes(64)).decode()[:-1]])
def test_malformed_signatures_and_keys_are_false_and_no_exception(signature: str) -> None:
    assert not verify(PUBLIC, domain="approval/v1", payload=b"plan", signature=signature)
    good = sign(PRIVATE, domain="approval/v1", payload=b"plan")
    assert not verify(signature, domain="approval/v1", payload=b"plan", signature=good)


@pytest.mark.parametrize("domain", ["", "Approval", "approval v1", "a\x00b", "a" * 65])
def test_a_domain_outside_the_alphabet_is_refused(domain: str) -> None:
    with pytest.raises(ValueError, match="signature domain"):
        sign(PRIVATE, domain=domain, payload=b"")


def test_keys_are_read_back_from_both_forms() -> None:
    private = generate()
    assert public_key_bytes(load_private_key(private_key_pem(private))) == public_key_bytes(private)
    assert public_key_bytes(load_private_key(f"  {SEED_B64}\n")) == public_key_bytes(PRIVATE)
    assert public_key_b64(PRIVATE) == PUBLIC
    load_public_key(PUBLIC + "\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "base64 of 0 bytes, expected exactly 32"),
        ("not base64 at all", "not base64"),
        ("AAAA", "base64 of 3 bytes, expected exactly 32"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "PEM that cannot be read"),
        ("A" * 5000, "5000 characters, at most 4096"),
        (
            generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            "expected an Ed25519 key",
        ),
        (
            PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"sample")).decode(),
            "without a password",
        ),
    ],
)
def test_text_that_is_no_key_is_refused_and_never_shown(text: str, words: str) -> None:
    with pytest.raises(KeyTextError, match=words) as caught:
        load_private_key(text)
    assert len(text) < 10 or text.strip() not in str(caught.value)


def test_a_public_key_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(KeyTextError, match="public key: base64 of 31 bytes"):
        load_public_key(base64.b64encode(bytes(31)).decode())

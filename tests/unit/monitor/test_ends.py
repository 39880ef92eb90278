"""When certificates and credentials end, and how old the credentials are."""

from __future__ import annotations

import base64
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from prometheus_client import CollectorRegistry, generate_latest

from services.extractor.credential_ages import credential_files, tell_credentials
from services.extractor.credential_ages import end_of as end_of_credential
from services.monitor.certificates import Certificates, end_of
from shared.ports.connections import Connection, Connections

ENDS = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
SECRET = "canary-7f3a-never-shown"


def certificate(ends: datetime = ENDS) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nats.example.org")])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    signed = made.not_valid_before(ends - timedelta(days=9)).not_valid_after(ends).sign(key, SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + signed.public_bytes(Encoding.PEM)


def token(**claims: object) -> bytes:
    parts = ({"alg": "none"}, claims)
    return b".".join([*(base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=") for one in parts), b"c2ln"])


def connections(**settings: object) -> Connections:
    one = Connection(name="hst", system="titanhst", environment="staging", settings=dict(settings))
    return Connections(connections={"hst": one})


def test_the_first_certificate_of_a_chain_to_end_counts(tmp_path: Path) -> None:
    file = tmp_path / "chain.pem"
    file.write_bytes(certificate() + certificate(ENDS - timedelta(days=3)))
    assert end_of(file) == (ENDS - timedelta(days=3)).timestamp()


def test_what_is_no_certificate_has_no_figure_and_stops_no_other(tmp_path: Path) -> None:
    (tmp_path / "good.pem").write_bytes(certificate())
    (tmp_path / "bad.pem").write_text("nothing")
    names = ("good", "bad", "missing")
    found = Certificates([(name, str(tmp_path / f"{name}.pem")) for name in names]).read()
    assert found == {"good": ENDS.timestamp()}


@pytest.mark.parametrize(
    "content",
    [b"", b"plain-secret", b"a.b.c", token(), token(exp="soon"), token(exp=True), token(exp=1e300), b"x." * 3,
     b"-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----\n", b"a." + base64.b64encode(b"[1]") + b".c"],
)  # fmt: skip
def test_a_secret_that_does_not_say_when_it_ends_has_no_end(content: bytes) -> None:
    assert end_of_credential(content) is None


def test_certificates_and_tokens_say_when_they_end() -> None:
    assert end_of_credential(certificate()) == ENDS.timestamp()
    assert end_of_credential(token(exp=1_900_000_000) + b"\n") == 1_900_000_000


def test_every_file_of_a_connection_is_found_also_within_settings(tmp_path: Path) -> None:
    found = credential_files(
        connections(
            token="file:/a", oauth={"key": "file:/b"}, url="https://x", other="env:X", **{"Bad Name": "file:/c"}
        )
    )
    assert {(one.connection, one.setting, str(one.path)) for one in found} == {
        ("hst", "token", "/a"),
        ("hst", "oauth.key", "/b"),
    }


def test_ages_are_told_and_values_never(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(token(exp=1_900_000_000, sub=SECRET))
    (tmp_path / "key").write_text(SECRET)
    for name, written in (("token", 1_700_000_000), ("key", 1_600_000_000)):
        os.utime(tmp_path / name, (written, written))
    registry = CollectorRegistry()
    places = {name: f"file:{tmp_path / name}" for name in ("token", "key", "missing")}
    tell_credentials(registry, connections(**places))

    def told(figure: str, setting: str) -> float | None:
        return registry.get_sample_value(figure, {"connection": "hst", "setting": setting})

    changed, expiry = "aether_credential_changed_timestamp_seconds", "aether_credential_expiry_timestamp_seconds"
    assert [told(changed, name) for name in places] == [1_700_000_000, 1_600_000_000, None]
    assert [told(expiry, name) for name in places] == [1_900_000_000, None, None]
    (tmp_path / "token").write_bytes(token(exp=1_950_000_000))
    assert told(expiry, "token") == 1_950_000_000  # a renewed secret is read anew
    assert SECRET.encode() not in generate_latest(registry)

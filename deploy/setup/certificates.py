"""The house's own certificate authority, and the certificates of its servers.

One authority, kept where only the set-up reaches it; one certificate a server, with the names under which it is called.
A certificate that ends soon or lacks a name is made anew. It serves nothing and writes no file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 397
RENEW_BEFORE_DAYS = 60
"""A certificate with less left is made anew at the next set-up."""
BACKDATED = timedelta(minutes=5)
"""For machines whose clocks are a little behind."""
LOOPBACK = IPv4Address("127.0.0.1")


@dataclass(frozen=True)
class Pair:
    """A certificate with its key, both PEM."""

    certificate: str
    key: str = field(repr=False)


def make_authority(name: str, *, now: datetime) -> Pair:
    """A new authority, which may sign servers and no other authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        _builder(subject, subject, key.public_key(), now=now, days=AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _pair(certificate, key)


def make_certificate(authority: Pair, names: Sequence[str], *, now: datetime, days: int = CERTIFICATE_DAYS) -> Pair:
    """A new certificate for a server under these names, the first of them its own; good for both ends of a route."""
    issuer, issuer_key = _read(authority)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    shown: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    certificate = (
        _builder(subject, issuer.subject, key.public_key(), now=now, days=days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectAlternativeName([*shown, x509.IPAddress(LOOPBACK)]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    return _pair(certificate, key)


def is_good(certificate: str, authority: Pair, names: Sequence[str], *, now: datetime) -> bool:
    """Whether a certificate is this authority's, has these names and lasts long enough to be kept."""
    found = x509.load_pem_x509_certificate(certificate.encode())
    issuer, _ = _read(authority)
    try:
        found.verify_directly_issued_by(issuer)
    except Exception:  # noqa: BLE001 - what an alien certificate raises depends on its kind of key; none is good
        return False
    shown = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    is_named = set(names) <= set(shown.get_values_for_type(x509.DNSName))
    return is_named and found.not_valid_after_utc - now >= timedelta(days=RENEW_BEFORE_DAYS)


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, *, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _read(pair: Pair) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = serialization.load_pem_private_key(pair.key.encode(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the authority's key is of another kind than this set-up makes")
    return x509.load_pem_x509_certificate(pair.certificate.encode()), key


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    return Pair(
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
    )

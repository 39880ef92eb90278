"""Mail is given to an SMTP server that others wrote, over TLS that is checked, and what it refuses is understood."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any, Final

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.monitor.notices.channels import EmailChannel
from services.monitor.notices.delivery import NotDelivered
from services.monitor.notices.mail import Mail
from services.monitor.notices.wording import House, Notice, trial_of

NOW: Final = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.UTC)
PASSWORD: Final = "correct horse"


def a_notice(nonce: str = "1") -> Notice:
    return trial_of(channel="ops", house=House("staging", None), at="2026-11-22T12:00:00.000Z", nonce=nonce)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the certificate of an authority of our own, and of `localhost` under it."""
    folder = tmp_path_factory.mktemp("tls")

    def make(name: str, issuer: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None) -> tuple[x509.Name, Any]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issued_by, signing = issuer or (subject, key)
        today = dt.datetime.now(dt.UTC)
        built = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(issued_by).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(today - dt.timedelta(days=1))
            .not_valid_after(today + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
                    key_agreement=False, key_cert_sign=issuer is None, crl_sign=issuer is None, encipher_only=False,
                    decipher_only=False,
                ), critical=True,
            )
            .sign(signing, hashes.SHA256())
        )  # fmt: skip
        (folder / f"{name}.pem").write_bytes(built.public_bytes(serialization.Encoding.PEM))
        (folder / f"{name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return subject, key

    make("localhost", make("authority", None))
    return folder


@dataclass
class Inbox:
    """What the server took, and what it answers."""

    envelopes: list[Envelope] = field(default_factory=list)
    recipients: dict[str, str] = field(default_factory=dict)
    """Answers to recipients that are not taken."""
    data: list[str] = field(default_factory=list)
    """Answers to the next mails, before they are taken again."""

    async def handle_RCPT(
        self, server: object, session: object, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.recipients:
            return self.recipients[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: object, session: object, envelope: Envelope) -> str:
        if self.data:
            return self.data.pop(0)
        self.envelopes.append(envelope)
        return "250 taken"


@contextmanager
def serving(certificates: Path, *, starttls: bool = True, implicit: bool = False) -> Iterator[tuple[Inbox, int]]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates / "localhost.pem", certificates / "localhost.key")

    def authenticate(server: object, session: object, envelope: object, mechanism: str, data: object) -> AuthResult:
        assert isinstance(data, LoginPassword)
        is_right = (data.login, data.password) == (b"aether", PASSWORD.encode())
        return AuthResult(success=is_right, handled=False)

    inbox = Inbox()
    controller = Controller(
        inbox, hostname="localhost", port=0, ssl_context=context if implicit else None,
        tls_context=context if starttls else None, require_starttls=starttls, authenticator=authenticate,
        auth_required=starttls, auth_require_tls=True,
    )  # fmt: skip
    port = free_port()
    controller.port = port
    controller.start()
    try:
        yield inbox, port
    finally:
        controller.stop()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return int(one.getsockname()[1])


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", PASSWORD)


def channel(port: int, certificates: Path, **more: object) -> EmailChannel:
    return EmailChannel.model_validate(
        {"name": "ops", "kind": "email", "host": "localhost", "port": port, "user": "aether",
         "password": "env:MAIL_PASSWORD", "from": "aether@example.org", "to": ("a@example.org", "b@example.org"),
         "ca": certificates / "authority.pem", **more}
    )  # fmt: skip


async def test_a_mail_arrives_over_starttls_with_a_password(certificates: Path) -> None:
    with serving(certificates) as (inbox, port):
        said = await Mail(channel(port, certificates)).send(a_notice(), now=NOW)
    assert said == "the server took it for 2 of 2"
    (envelope,) = inbox.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("aether@example.org", ["a@example.org", "b@example.org"])
    assert isinstance(envelope.content, bytes)
    mail = message_from_bytes(envelope.content, policy=default)
    assert mail["Subject"] == "[aether staging] a trial of the channel ops"
    assert mail["Message-ID"] == f"<aether-{a_notice().id}@example.org>"
    assert "Nothing is wrong" in mail.get_content()


async def test_a_mail_arrives_over_tls_from_the_first_byte(certificates: Path) -> None:
    with serving(certificates, starttls=False, implicit=True) as (inbox, port):
        await Mail(channel(port, certificates, security="tls", user=None, password=None)).send(a_notice(), now=NOW)
    assert len(inbox.envelopes) == 1


async def test_a_server_whose_certificate_is_not_believed_gets_nothing(certificates: Path) -> None:
    with serving(certificates) as (inbox, port):
        with pytest.raises(NotDelivered, match=r"certificate of localhost:\d+ is not believed.*set ca:"):
            await Mail(channel(port, certificates, ca=None)).send(a_notice(), now=NOW)
        with pytest.raises(NotDelivered, match="is not believed"):  # the right authority, another name
            await Mail(channel(port, certificates, host="127.0.0.1")).send(a_notice(), now=NOW)
    assert inbox.envelopes == []


async def test_a_server_without_starttls_gets_nothing(certificates: Path) -> None:
    with serving(certificates, starttls=False) as (inbox, port), pytest.raises(NotDelivered, match="does not offer"):
        await Mail(channel(port, certificates)).send(a_notice(), now=NOW)
    assert inbox.envelopes == []


async def test_a_wrong_password_is_told_without_it(certificates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", "wrong donkey")
    refusal = pytest.raises(NotDelivered, match=r"refused the user or the password \(535\)")
    with serving(certificates) as (_, port), refusal as refused:
        await Mail(channel(port, certificates)).send(a_notice(), now=NOW)
    assert "donkey" not in refused.value.reason + refused.value.said


async def test_a_missing_password_is_told_by_its_reference(certificates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAIL_PASSWORD")
    with serving(certificates) as (_, port), pytest.raises(NotDelivered, match="env:MAIL_PASSWORD"):
        await Mail(channel(port, certificates)).send(a_notice(), now=NOW)


async def test_one_refused_recipient_does_not_keep_the_mail_from_the_other(certificates: Path) -> None:
    with serving(certificates) as (inbox, port):
        inbox.recipients["a@example.org"] = "550 5.1.1 <a@example.org> unknown"
        said = await Mail(channel(port, certificates)).send(a_notice(), now=NOW)
    assert said.startswith("the server took it for 1 of 2; refused: a@example.org: 550")
    assert inbox.envelopes[0].rcpt_tos == ["b@example.org"]


async def test_a_mail_that_nobody_may_have_is_not_sent_and_no_address_stands_in_the_reason(certificates: Path) -> None:
    with serving(certificates) as (inbox, port):
        inbox.recipients = {who: f"550 5.1.1 <{who}> unknown" for who in ("a@example.org", "b@example.org")}
        with pytest.raises(NotDelivered, match=r"refused every recipient \(550\)") as refused:
            await Mail(channel(port, certificates)).send(a_notice(), now=NOW)
    assert "@" not in refused.value.reason and "a@example.org" in refused.value.said


async def test_what_is_deferred_is_tried_again_under_the_same_message_id(certificates: Path) -> None:
    with serving(certificates) as (inbox, port):
        inbox.data = ["451 4.7.1 greylisted, try again"]
        mail = Mail(channel(port, certificates))
        with pytest.raises(NotDelivered, match="answered 451"):
            await mail.send(a_notice(), now=NOW)
        await mail.send(a_notice(), now=NOW)
    assert len(inbox.envelopes) == 1


async def test_a_server_that_is_not_there_is_told_with_its_place(certificates: Path) -> None:
    port = free_port()
    with pytest.raises(NotDelivered, match=f"localhost:{port} cannot be reached"):
        await Mail(channel(port, certificates)).send(a_notice(), now=NOW)

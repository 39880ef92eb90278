"""Tells people by mail, over SMTP: one plain text a notice, to all recipients of the channel at once.

The library is a blocking one, so each channel has one thread of its own; a server that hangs holds up no other
channel, and only one try of its own at a time.
"""

from __future__ import annotations

import asyncio
import smtplib
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime
from typing import Final

import structlog

from services.monitor.notices.channels import EmailChannel
from services.monitor.notices.delivery import NotDelivered, tls_context
from services.monitor.notices.wording import Notice
from shared.errors import AetherError
from shared.secrets import resolve

STEP_SECONDS_MAX: Final = 20.0
"""For one answer of the server."""
SEND_SECONDS_MAX: Final = 90.0
"""For the whole delivery."""
SUBJECT_CHARS_MAX: Final = 200

log = structlog.get_logger(__name__)


class Mail:
    """A channel of mail."""

    def __init__(self, channel: EmailChannel) -> None:
        self._channel = channel
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"mail-{channel.name}")

    async def send(self, notice: Notice, *, now: datetime) -> str:
        """Hand the mail to the server; refused recipients are no failure while one is left."""
        message = mail_of(notice, self._channel, now=now)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(SEND_SECONDS_MAX):
                refused = await loop.run_in_executor(self._thread, self._deliver, message)
        except TimeoutError:
            raise NotDelivered(f"the mail server did not finish in {SEND_SECONDS_MAX:g} s") from None
        taken = len(self._channel.to) - len(refused)
        if refused:
            log.warning("recipients_refused", name=self._channel.name, count=len(refused), code=_codes(refused))
        said = "; ".join(f"{who}: {code} {_text(text)}" for who, (code, text) in refused.items())
        return f"the server took it for {taken} of {len(self._channel.to)}" + (f"; refused: {said}" if said else "")

    def _deliver(self, message: EmailMessage) -> dict[str, tuple[int, bytes]]:
        channel = self._channel
        where = f"{channel.host}:{channel.port}"
        try:
            with self._connected() as server:
                if channel.security == "starttls":
                    server.starttls(context=tls_context(channel.ca))
                    server.ehlo_or_helo_if_needed()
                if channel.user is not None and channel.password is not None:
                    server.login(channel.user, resolve(channel.password))
                return server.send_message(message, from_addr=channel.sender, to_addrs=list(channel.to))
        except smtplib.SMTPRecipientsRefused as error:
            said = "; ".join(f"{code} {_text(text)}" for code, text in error.recipients.values())
            raise NotDelivered(
                f"the mail server refused every recipient ({_codes(error.recipients)})", said=said
            ) from None
        except smtplib.SMTPAuthenticationError as error:
            reason = f"the mail server refused the user or the password ({error.smtp_code})"
            raise NotDelivered(reason, said=_text(error.smtp_error)) from None
        except smtplib.SMTPResponseException as error:
            reason = f"the mail server answered {error.smtp_code}"
            raise NotDelivered(reason, said=_text(error.smtp_error)) from None
        except smtplib.SMTPNotSupportedError:
            raise NotDelivered("the mail server does not offer what the channel asks for, STARTTLS or AUTH") from None
        except smtplib.SMTPException as error:
            raise NotDelivered(f"the mail server broke off ({type(error).__name__})", said=str(error)) from None
        except ssl.SSLCertVerificationError as error:
            reason = f"the certificate of {where} is not believed: {error.verify_message}; set ca: where it is your own"
            raise NotDelivered(reason) from None
        except AetherError as error:
            raise NotDelivered(error.message) from None
        except OSError as error:
            raise NotDelivered(f"{where} cannot be reached ({error.strerror or type(error).__name__})") from None

    def _connected(self) -> smtplib.SMTP:
        channel, own = self._channel, socket.gethostname()
        if channel.security == "tls":
            return smtplib.SMTP_SSL(
                channel.host, channel.port, local_hostname=own, timeout=STEP_SECONDS_MAX,
                context=tls_context(channel.ca),
            )  # fmt: skip
        return smtplib.SMTP(channel.host, channel.port, local_hostname=own, timeout=STEP_SECONDS_MAX)


def mail_of(notice: Notice, channel: EmailChannel, *, now: datetime) -> EmailMessage:
    """The mail; the same notice has the same Message-ID whenever it is sent."""
    message = EmailMessage(policy=SMTP_POLICY)
    # The library refuses line ends in a header; nothing that comes here has one, and neither may its mistakes.
    subject = "".join(one if one.isprintable() else " " for one in notice.title)[:SUBJECT_CHARS_MAX]
    message["From"] = channel.sender
    message["To"] = ", ".join(channel.to)
    message["Subject"] = subject
    message["Date"] = format_datetime(now)
    message["Message-ID"] = _message_id(notice.id, channel)
    if notice.reply_to is not None:
        message["In-Reply-To"] = message["References"] = _message_id(notice.reply_to, channel)
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message.set_content(notice.text, subtype="plain", charset="utf-8", cte="quoted-printable")
    return message


def _message_id(name: str, channel: EmailChannel) -> str:
    return f"<aether-{name}@{channel.sender.rpartition('@')[2]}>"


def _codes(refused: dict[str, tuple[int, bytes]]) -> str:
    return ", ".join(str(code) for code in sorted({code for code, _ in refused.values()}))


def _text(said: bytes | str) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said

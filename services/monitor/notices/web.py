"""Tells programs by webhook, signed as Standard Webhooks has it, and people in Slack or what understands the same.

A redirect is not followed: the signature, or the address itself, would go to somebody else. Every answer but 2xx is a
failure and is tried again; a receiver knows a repetition by `webhook-id`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import orjson

from services.monitor.notices.channels import SlackChannel, WebhookChannel, is_own_host
from services.monitor.notices.delivery import SAID_CHARS_MAX, NotDelivered, tls_context
from services.monitor.notices.wording import Notice
from shared.errors import AetherError
from shared.secrets import resolve

SEND_SECONDS_MAX: Final = 15.0
"""For the whole exchange."""
KEY_BYTES_MIN: Final = 24
"""As Standard Webhooks has it."""
RETRY_AFTER_SECONDS_MAX: Final = 900.0
SLACK_TEXT_CHARS_MAX: Final = 2_900
"""Slack takes 3,000 in one block."""
USER_AGENT: Final = "aether-notices/1"
_PREFIX: Final = "whsec_"


class Webhook:
    """A channel to a program."""

    def __init__(self, channel: WebhookChannel) -> None:
        self._channel = channel

    async def send(self, notice: Notice, *, now: datetime) -> str:
        """Post the document with its signature."""
        key = webhook_key(await _secret(self._channel.secret), where=self._channel.secret)
        body = orjson.dumps(notice.document)
        headers = signed_headers(key, message_id=f"msg_{notice.id}", timestamp=int(now.timestamp()), body=body)
        parts = urlsplit(self._channel.url)
        # Path and query may hold what others take for a password.
        shown = f"{parts.scheme}://{parts.netloc}"
        return await _post(self._channel.url, body, headers, channel=self._channel, shown=shown)


class Slack:
    """A channel of Slack."""

    def __init__(self, channel: SlackChannel) -> None:
        self._channel = channel

    async def send(self, notice: Notice, *, now: datetime) -> str:
        """Post the message to the incoming webhook."""
        url = await _secret(self._channel.url)
        parts = urlsplit(url)
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_own_host(parts.hostname or ""))
        if not is_safe or not parts.hostname:
            raise NotDelivered(f"{self._channel.url}: what lies there is no address that begins with https://")
        return await _post(url, orjson.dumps(slack_message(notice)), {}, channel=self._channel, shown=self._channel.url)


def webhook_key(secret: str, *, where: str) -> bytes:
    """The bytes that signatures are made with; `where` is the reference, for errors."""
    try:
        key = (
            base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
            if secret.startswith(_PREFIX)
            else secret.encode()
        )
    except binascii.Error:
        raise NotDelivered(f"{where}: what follows {_PREFIX} is no base64; make the key anew") from None
    if len(key) < KEY_BYTES_MIN:
        raise NotDelivered(
            f"{where}: a key of {len(key)} bytes; at least {KEY_BYTES_MIN} are needed, make a longer one"
        )
    return key


def signed_headers(key: bytes, *, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of Standard Webhooks: HMAC-SHA256 over id, time and body."""
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    signature = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": f"v1,{signature}"}


def slack_message(notice: Notice) -> dict[str, Any]:
    """The message as Slack takes it; `text` is what a notification shows."""
    lines = "\n".join(notice.lines)
    text = f"*{_escaped(notice.title)}*\n{_escaped(lines)}"
    if len(text) > SLACK_TEXT_CHARS_MAX:
        text = text[:SLACK_TEXT_CHARS_MAX].rpartition("\n")[0] + "\n…"
    blocks: list[dict[str, Any]] = [{"type": "section", "text": {"type": "mrkdwn", "text": text}}]
    if notice.link is not None:
        link = f"<{_escaped(notice.link)}|Open in the console>"
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": link}})
    return {"text": _escaped(notice.title), "blocks": blocks}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


async def _secret(reference: str) -> str:
    try:
        return await asyncio.to_thread(resolve, reference)  # some secrets lie with a server
    except AetherError as error:
        raise NotDelivered(error.message) from None


async def _post(
    url: str, body: bytes, headers: dict[str, str], *, channel: WebhookChannel | SlackChannel, shown: str
) -> str:
    """One request; `shown` stands for the address in what is told, because the address may be a secret."""
    own = {"content-type": "application/json", "user-agent": USER_AGENT, **headers}
    try:
        async with (
            asyncio.timeout(SEND_SECONDS_MAX),
            # No proxy and no netrc of the environment: nobody but the document says where this goes.
            httpx.AsyncClient(
                verify=tls_context(channel.ca), follow_redirects=False, trust_env=False, timeout=SEND_SECONDS_MAX
            ) as client,
            client.stream("POST", url, content=body, headers=own) as answer,
        ):
            if answer.is_success:
                return f"{shown} answered {answer.status_code}"
            raise NotDelivered(
                f"{shown} answered {answer.status_code}"
                + (", a redirect, which is not followed" if answer.is_redirect else ""),
                said=await _beginning(answer),
                retry_after_seconds=_retry_after(answer.headers.get("retry-after")),
            )
    except TimeoutError:
        raise NotDelivered(f"{shown} did not answer in {SEND_SECONDS_MAX:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # Its text may hold the address.
        reason = (
            "its certificate is not believed, or TLS failed" if "CERTIFICATE" in str(error) else type(error).__name__
        )
        raise NotDelivered(f"{shown} cannot be reached ({reason})") from None


async def _beginning(answer: httpx.Response) -> str:
    async for part in answer.aiter_bytes(SAID_CHARS_MAX):
        return part.decode("utf-8", "replace")
    return ""


def _retry_after(text: str | None) -> float | None:
    return min(float(text), RETRY_AFTER_SECONDS_MAX) if text is not None and text.isascii() and text.isdigit() else None

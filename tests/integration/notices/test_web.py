"""A webhook is signed as others can verify, goes where it was told and nowhere else, and every answer is understood."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import pytest
import pytest_asyncio
import uvicorn
from structlog.testing import capture_logs

from services.monitor.notices import web
from services.monitor.notices.channels import SlackChannel, WebhookChannel
from services.monitor.notices.delivery import NotDelivered
from services.monitor.notices.web import Slack, Webhook, webhook_key
from services.monitor.notices.wording import House, Notice, trial_of

NOW: Final = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
KEY: Final = bytes(range(32))
SECRET: Final = "whsec_" + base64.b64encode(KEY).decode()


def a_notice() -> Notice:
    return trial_of(channel="ops", house=House("staging", None), at="2026-11-22T12:00:00.000Z", nonce="1")


@dataclass
class Receiver:
    """A web server that notes what it gets."""

    url: str = ""
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    status: int = 204
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    slow_seconds: float = 0.0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        body = b""
        while True:
            part = await receive()
            body += part.get("body", b"")
            if not part.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.got.append((scope["path"], headers, body))
        await asyncio.sleep(self.slow_seconds)
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": b"" if self.status == 204 else b"no, because"})


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        made.url = f"http://127.0.0.1:{place.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(made, lifespan="off", log_level="error", ws="none"))
        task = asyncio.create_task(server.serve(sockets=[place]))
        async with asyncio.timeout(10):
            while not server.started:
                await asyncio.sleep(0.01)
        yield made
        server.should_exit = server.force_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_KEY", SECRET)


def webhook(url: str, **more: object) -> Webhook:
    return Webhook(
        WebhookChannel.model_validate({"name": "ops", "kind": "webhook", "url": url, "secret": "env:HOOK_KEY", **more})
    )


def is_signed(secret: str, headers: dict[str, str], body: bytes, *, now: int) -> bool:
    """The rule of Standard Webhooks, spelled once more from its text."""
    if abs(int(headers["webhook-timestamp"]) - now) > 300:
        return False
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body.decode()}"
    made = hmac.new(base64.b64decode(secret.split("_", 1)[1]), content.encode("utf-8"), hashlib.sha256)
    wanted = base64.b64encode(made.digest()).decode()
    passed = [part.split(",", 1) for part in headers["webhook-signature"].split(" ")]
    return any(version == "v1" and hmac.compare_digest(found, wanted) for version, found in passed)


def test_our_spelling_of_the_rule_agrees_with_the_published_example() -> None:
    # The example of the specification's own libraries.
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    assert is_signed(secret, headers, body, now=1614265330)
    ours = web.signed_headers(
        webhook_key(secret, where="x"), message_id=headers["webhook-id"], timestamp=1614265330, body=body
    )
    assert ours == headers


async def test_a_webhook_is_signed_and_a_changed_one_is_not_believed(receiver: Receiver) -> None:
    assert await webhook(f"{receiver.url}/in?token=t").send(a_notice(), now=NOW) == f"{receiver.url} answered 204"
    ((path, headers, body),) = receiver.got
    assert path == "/in" and headers["content-type"] == "application/json"
    assert json.loads(body) == a_notice().document
    now = int(NOW.timestamp())
    assert is_signed(SECRET, headers, body, now=now)
    assert not is_signed(SECRET, headers, body + b" ", now=now)
    assert not is_signed(SECRET, headers | {"webhook-id": "msg_other"}, body, now=now)
    assert not is_signed(SECRET, headers, body, now=now + 301)


async def test_a_repetition_has_the_same_id(receiver: Receiver) -> None:
    for _ in range(2):
        await webhook(receiver.url).send(a_notice(), now=NOW)
    assert len({headers["webhook-id"] for _, headers, _ in receiver.got}) == 1


@pytest.mark.parametrize("status", [400, 404, 410, 500, 503])
async def test_every_answer_but_success_is_a_failure(receiver: Receiver, status: int) -> None:
    receiver.status = status
    with pytest.raises(NotDelivered, match=f"answered {status}") as refused:
        await webhook(receiver.url).send(a_notice(), now=NOW)
    assert refused.value.said == "no, because" and refused.value.retry_after_seconds is None


async def test_who_asks_for_time_is_given_it(receiver: Receiver) -> None:
    receiver.status, receiver.headers = 429, [(b"retry-after", b"30")]
    with pytest.raises(NotDelivered) as refused:
        await webhook(receiver.url).send(a_notice(), now=NOW)
    assert refused.value.retry_after_seconds == 30
    receiver.headers = [(b"retry-after", b"99999999")]
    with pytest.raises(NotDelivered) as refused:
        await webhook(receiver.url).send(a_notice(), now=NOW)
    assert refused.value.retry_after_seconds == 900


async def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.status, receiver.headers = 307, [(b"location", f"{receiver.url}/elsewhere".encode())]
    with pytest.raises(NotDelivered, match="answered 307, a redirect, which is not followed"):
        await webhook(f"{receiver.url}/in").send(a_notice(), now=NOW)
    assert [path for path, _, _ in receiver.got] == ["/in"]


async def test_who_does_not_answer_is_left_in_bounded_time(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "SEND_SECONDS_MAX", 0.3)
    receiver.slow_seconds = 3
    with pytest.raises(NotDelivered, match=r"did not answer|cannot be reached \(ReadTimeout\)"):
        await webhook(receiver.url).send(a_notice(), now=NOW)


async def test_nobody_at_the_address_is_told_without_its_path() -> None:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{place.getsockname()[1]}"
    with pytest.raises(NotDelivered, match="cannot be reached") as refused:
        await webhook(f"{url}/in/verysecret?key=verysecret").send(a_notice(), now=NOW)
    assert "verysecret" not in refused.value.reason + refused.value.said


@pytest.mark.parametrize("secret", ["whsec_!!!", "whsec_c2hvcnQ=", "short"])
async def test_a_key_that_is_none_signs_nothing(
    receiver: Receiver, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_KEY", secret)
    with pytest.raises(NotDelivered, match="env:HOOK_KEY") as refused:
        await webhook(receiver.url).send(a_notice(), now=NOW)
    assert receiver.got == [] and secret not in refused.value.reason


async def test_slack_is_written_to_and_its_address_is_never_told(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLACK_URL", f"{receiver.url}/services/T0/B0/verysecret\n")
    slack = Slack(SlackChannel.model_validate({"name": "chat", "kind": "slack", "url": "env:SLACK_URL"}))
    with capture_logs() as lines:
        assert await slack.send(a_notice(), now=NOW) == "env:SLACK_URL answered 204"
        receiver.status = 500
        with pytest.raises(NotDelivered, match="env:SLACK_URL answered 500") as refused:
            await slack.send(a_notice(), now=NOW)
    assert json.loads(receiver.got[0][2])["text"] == "[aether staging] a trial of the channel ops"
    assert receiver.got[0][0] == "/services/T0/B0/verysecret"
    assert "verysecret" not in repr((lines, refused.value.reason, refused.value.said))


@pytest.mark.parametrize("url", ["http://hooks.example.org/T0/verysecret", "verysecret", "https:///verysecret"])
async def test_an_address_of_slack_that_is_none_is_not_written_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_URL", url)
    slack = Slack(SlackChannel.model_validate({"name": "chat", "kind": "slack", "url": "env:SLACK_URL"}))
    with pytest.raises(NotDelivered, match="begins with https://") as refused:
        await slack.send(a_notice(), now=NOW)
    assert "verysecret" not in refused.value.reason

"""What can be refused before anything is sent, and who may be believed."""

from collections.abc import Sequence

import pytest
from nats.aio.client import Client

from shared.bus.connect import BusSettings, Refusals
from shared.bus.identity import NotIdentified, requester_of
from shared.bus.publishing import (
    BATCH_BYTES_MAX,
    BATCH_MESSAGES_MAX,
    Fence,
    Outgoing,
    publish_batch,
    publish_one,
)
from shared.bus.reading import foreign_marks

JS = Client().jetstream()
"""Not connected: whatever is refused here was refused before anything was sent."""


def messages(count: int, size: int = 1) -> list[Outgoing]:
    return [Outgoing(f"cmd.diff.r1.{number}", bytes(size), f"m{number}") for number in range(count)]


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ([], "empty batch"),
        (messages(BATCH_MESSAGES_MAX + 1), "1001 messages to CORE: at most 1000"),
        (messages(40, 900_000), f"at most {BATCH_BYTES_MAX} are allowed"),
        ([Outgoing("cmd.diff.r1", b"", "a"), Outgoing("led.r1", b"", "b")], "led.r1 of LEDGER"),
        ([Outgoing("snap.r1", b"", "a"), Outgoing("snap.r2", b"", "b")], "SNAP takes no atomic batches"),
        ([Outgoing("cmd.diff.r1", b"", "a"), Outgoing("cmd.diff.r2", b"", "a")], "only 1 different message ids"),
    ],
)
async def test_impossible_batch_is_refused_before_anything_is_sent(batch: Sequence[Outgoing], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        await publish_batch(JS, batch)


async def test_impossible_message_is_refused_before_it_is_sent() -> None:
    with pytest.raises(ValueError, match="no stream of the table stores the subject 'nowhere'"):
        await publish_one(JS, Outgoing("nowhere", b"", "a"))
    with pytest.raises(ValueError, match="split the content"):
        await publish_one(JS, Outgoing("cmd.diff.r1", bytes(2**20), "a"))
    with pytest.raises(ValueError, match="at most"):
        await publish_one(JS, Outgoing("cmd.diff.r1", b"", "a", {"x": "y" * 20_000}))


def test_message_that_contradicts_itself_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="not both"):
        Outgoing("led.r1", b"", "a", expected_last_seq=0, fence=Fence("led.f", 1))
    with pytest.raises(ValueError, match="needs an id"):
        Outgoing("led.r1", b"", "")
    for name in ("Nats-TTL", "nats-rollup", "Status", "Nats-Msg-Id"):
        with pytest.raises(ValueError, match=name):
            Outgoing("led.r1", b"", "a", {name: "x"})
    assert Outgoing("led.r1", b"", "a", {"Nats-Msg-Id": "a"}).headers == {"Nats-Msg-Id": "a"}


def test_only_the_servers_word_on_a_request_from_the_people_identifies() -> None:
    assert requester_of({"Nats-Request-Info": '{"acc":"STAGING_PEOPLE","user":"anna"}'}).user == "anna"
    for headers in (
        None,
        {},
        {"Nats-Request-Info": "no json"},
        {"Nats-Request-Info": "[]"},
        {"Nats-Request-Info": '{"acc":"STAGING_PEOPLE"}'},
        {"Nats-Request-Info": '{"acc":"STAGING_PEOPLE","user":""}'},
        {"Nats-Request-Info": '{"acc":"STAGING_HOUSE","user":"anna"}'},
    ):
        with pytest.raises(NotIdentified):
            requester_of(headers)


def test_refusal_explains_only_the_same_act_for_a_while_and_is_counted() -> None:
    now = 100.0
    heard: list[str] = []
    refusals = Refusals("differ", now=lambda: now, on_refusal=lambda refusal: heard.append(refusal.subject))
    assert refusals.hear("nats: stale connection") is None
    # The client library hands errors on in small letters.
    assert refusals.hear('nats: permissions violation for publish to "$js.api.stream.purge.core"') is not None
    found = refusals.explaining("$JS.API.STREAM.PURGE.CORE")
    assert found is not None
    assert (found.user, found.subject) == ("differ", "$JS.API.STREAM.PURGE.CORE")
    assert refusals.explaining("$JS.API.STREAM.PURGE.CORE", "subscription") is None
    assert refusals.explaining("$JS.API.STREAM.PURGE.DLQ") is None
    now += 61
    assert refusals.explaining("$JS.API.STREAM.PURGE.CORE") is None
    for number in range(500):
        refusals.hear(f'nats: permissions violation for publish to "s{number}"')
    assert refusals.total == len(heard) == 501
    assert len(refusals.recent) == 100


def test_message_without_our_marks_or_with_the_servers_is_foreign() -> None:
    ours = {"Nats-Expected-Stream": "CORE", "Nats-Msg-Id": "a"}
    assert foreign_marks(ours, "CORE") is None
    for headers in ({}, {"Nats-Msg-Id": "a"}, {"Nats-Expected-Stream": "CORE"}, {**ours, "Nats-Subject": "cmd.x"}):
        assert foreign_marks(headers, "CORE") is not None
    assert foreign_marks(ours, "LEDGER") is not None


def test_password_is_not_in_the_text_of_settings() -> None:
    assert "synthetic" not in repr(BusSettings("nats://host", "differ", "synthetic"))

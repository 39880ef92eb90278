"""All or nothing, lost races, lost answers, fences: on the real server."""

import asyncio
from collections.abc import Callable
from typing import Any

import nats.errors
import pytest
from nats.js import JetStreamContext

from shared.bus.connect import client_of
from shared.bus.publishing import (
    Conflict,
    Fence,
    Outgoing,
    PermissionRefused,
    Published,
    PublishFailed,
    publish_batch,
    publish_one,
)
from shared.bus.reading import at, last, read_all
from shared.events.stored import Stored
from tests.support.bus import BusUnderTest


async def stored_in(js: JetStreamContext, subject: str, stream: str = "CORE") -> list[Stored]:
    return [stored async for stored in read_all(js, stream, subject)]


def lose_answers(
    js: JetStreamContext, monkeypatch: pytest.MonkeyPatch, *, is_lost: Callable[[str, dict[str, str]], bool], times: int
) -> None:
    """Let the server do its work and withhold the answer, as a connection does that breaks at the wrong moment."""
    client = client_of(js)
    ask = client.request
    left = times

    async def request(subject: str, payload: bytes = b"", **options: Any) -> Any:
        nonlocal left
        answer = await ask(subject, payload, **options)
        if left and is_lost(subject, options.get("headers") or {}):
            left -= 1
            raise nats.errors.TimeoutError
        return answer

    monkeypatch.setattr(client, "request", request)


async def test_batch_is_stored_whole_and_in_order(bus: BusUnderTest) -> None:
    js, run = await bus.js_as("extractor"), bus.unique("run")
    batch = [Outgoing(f"run.{run}.state", b"one", f"{run}-1", expected_last_seq=0)]
    batch += [Outgoing(f"cmd.diff.{run}.{part}", b"x", f"{run}-d{part}") for part in range(999)]
    seq = await publish_batch(js, batch)
    commands = await stored_in(js, f"cmd.diff.{run}.*")
    assert [command.subject for command in commands] == [f"cmd.diff.{run}.{part}" for part in range(999)]
    assert commands[-1].seq == seq
    state = await last(js, "CORE", f"run.{run}.state")
    assert state is not None
    assert state.seq == seq - 999


async def test_batch_whose_condition_fails_stores_nothing(bus: BusUnderTest) -> None:
    js, run = await bus.js_as("extractor"), bus.unique("run")
    await publish_one(js, Outgoing(f"run.{run}.state", b"one", f"{run}-1", expected_last_seq=0))
    batch = [Outgoing(f"run.{run}.state", b"two", f"{run}-2", expected_last_seq=0)]
    batch += [Outgoing(f"cmd.diff.{run}.{part}", b"x", f"{run}-d{part}") for part in range(20)]
    with pytest.raises(Conflict, match=rf"run\.{run}\.state: expected the subject to stand at 0") as conflict:
        await publish_batch(js, batch)
    assert conflict.value.subject == f"run.{run}.state"
    assert await stored_in(js, f"cmd.diff.{run}.*") == []
    assert [stored.data for stored in await stored_in(js, f"run.{run}.state")] == [b"one"]


async def test_batch_with_a_refused_message_in_the_middle_stores_nothing(bus: BusUnderTest) -> None:
    js, run = await bus.js_as("differ"), bus.unique("run")
    batch = [
        Outgoing(f"evt.differ.x.{run}", b"x", f"{run}-1"),
        Outgoing(f"cmd.extract.{run}", b"x", f"{run}-2"),  # not the differ's to write
        Outgoing(f"evt.differ.y.{run}", b"x", f"{run}-3"),
    ]
    with pytest.raises(PermissionRefused, match=r"cmd\.extract"):
        await publish_batch(js, batch, timeout_seconds=0.5)
    assert await stored_in(js, f"evt.differ.*.{run}") == []


async def test_of_many_writers_exactly_one_wins(bus: BusUnderTest) -> None:
    js, run = await bus.js_as("extractor"), bus.unique("run")

    async def attempt(number: int) -> Published | None:
        try:
            return await publish_one(js, Outgoing(f"run.{run}.state", b"", f"{run}-{number}", expected_last_seq=0))
        except Conflict:
            return None

    results = await asyncio.gather(*(attempt(number) for number in range(20)))
    assert sum(result is not None for result in results) == 1


async def test_repetition_of_a_stored_message_succeeds_without_a_second_copy(bus: BusUnderTest) -> None:
    js, run = await bus.js_as("extractor"), bus.unique("run")
    outgoing = Outgoing(f"run.{run}.state", b"one", f"{run}-1", expected_last_seq=0)
    first = await publish_one(js, outgoing)
    assert await publish_one(js, outgoing) == Published(first.seq, is_duplicate=True)
    plain = Outgoing(f"cmd.diff.{run}", b"x", f"{run}-d")
    assert (await publish_one(js, plain)).seq == (await publish_one(js, plain)).seq
    assert len(await stored_in(js, f"*.*.{run}")) == 1
    assert len(await stored_in(js, f"run.{run}.state")) == 1


async def test_lost_answer_with_a_condition_is_found_to_be_our_own_success(
    bus: BusUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    js, run = await bus.js_as("extractor"), bus.unique("run")
    lose_answers(js, monkeypatch, is_lost=lambda subject, _: subject.startswith("run."), times=1)
    published = await publish_one(js, Outgoing(f"run.{run}.state", b"one", f"{run}-1", expected_last_seq=0))
    assert published.is_duplicate
    assert len(await stored_in(js, f"run.{run}.state")) == 1


async def test_lost_answer_to_a_batch_is_found_to_be_our_own_success(
    bus: BusUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    js, run = await bus.js_as("extractor"), bus.unique("run")
    for name, first in (
        ("with", Outgoing(f"run.{run}.state", b"1", f"{run}-1", expected_last_seq=0)),
        ("without", Outgoing(f"evt.extractor.x.{run}", b"1", f"{run}-e")),
    ):
        lose_answers(js, monkeypatch, is_lost=lambda _, headers: "Nats-Batch-Commit" in headers, times=1)
        batch = [first, *(Outgoing(f"cmd.diff.{run}.{name}.{part}", b"x", f"{run}-{name}-{part}") for part in range(5))]
        seq = await publish_batch(js, batch)
        commands = await stored_in(js, f"cmd.diff.{run}.{name}.*")
        assert len(commands) == 5
        assert commands[-1].seq == seq
        assert await publish_batch(js, batch) == seq


async def test_lost_answer_and_a_state_that_moved_on_is_still_our_success(
    bus: BusUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    js, run = await bus.js_as("extractor"), bus.unique("run")
    first = Outgoing(f"run.{run}.state", b"one", f"{run}-1", expected_last_seq=0)
    seq = (await publish_one(js, first)).seq
    await publish_one(js, Outgoing(f"run.{run}.state", b"two", f"{run}-2", expected_last_seq=seq))
    assert await publish_one(js, first) == Published(seq, is_duplicate=True)


async def test_conflict_of_another_is_not_taken_for_our_success(
    bus: BusUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    js, run = await bus.js_as("extractor"), bus.unique("run")
    await publish_one(js, Outgoing(f"run.{run}.state", b"theirs", f"{run}-theirs", expected_last_seq=0))
    lose_answers(js, monkeypatch, is_lost=lambda subject, _: subject.startswith("run."), times=1)
    with pytest.raises(Conflict):
        await publish_one(js, Outgoing(f"run.{run}.state", b"ours", f"{run}-ours", expected_last_seq=0))


async def test_no_answer_at_all_is_reported_as_uncertain(bus: BusUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    js, run = await bus.js_as("extractor"), bus.unique("run")
    monkeypatch.setattr("shared.bus.publishing.RETRY_SECONDS", 0.01)
    lose_answers(js, monkeypatch, is_lost=lambda *_: True, times=1000)
    with pytest.raises(PublishFailed, match=r"no certain answer in \d+ attempts.*publish the same again"):
        await publish_one(js, Outgoing(f"cmd.diff.{run}", b"x", f"{run}-d"), timeout_seconds=0.3)


async def test_fence_refuses_a_whole_batch_once_it_moved(bus: BusUnderTest) -> None:
    js, run = await bus.js_as("applier"), bus.unique("run")
    fence_subject = f"led.fence.{run}"
    old = Fence(fence_subject, (await publish_one(js, Outgoing(fence_subject, b"1", f"{run}-f1"))).seq)

    def wave(name: str, fence: Fence) -> list[Outgoing]:
        intents = [
            Outgoing(f"led.{run}.{name}{number}", b"intent", f"{run}-{name}{number}", expected_last_seq=0)
            for number in range(3)
        ]
        return [Outgoing(f"led.{run}.wave-{name}", b"", f"{run}-wave-{name}", fence=fence), *intents]

    await publish_batch(js, wave("a", old))
    new = Fence(fence_subject, (await publish_one(js, Outgoing(fence_subject, b"2", f"{run}-f2"))).seq)
    with pytest.raises(Conflict):
        await publish_batch(js, wave("b", old))
    assert await stored_in(js, f"led.{run}.b*", "LEDGER") == []
    assert await last(js, "LEDGER", f"led.{run}.b0") is None
    await publish_batch(js, wave("c", new))
    with pytest.raises(Conflict, match=f"expected {fence_subject} to stand at {old.seq}"):
        await publish_one(js, Outgoing(f"led.{run}.d", b"", f"{run}-d", fence=old))


async def test_reading_gives_stream_order_and_stops_where_told(bus: BusUnderTest) -> None:
    js, run = await bus.js_as("extractor"), bus.unique("run")
    seqs: list[int] = []
    for start in range(0, 1500, 500):
        batch = [Outgoing(f"cmd.diff.{run}.{n}", b"%d" % n, f"{run}-{n}") for n in range(start, start + 500)]
        seqs.append(await publish_batch(js, batch))
    all_of_it = await stored_in(js, f"cmd.diff.{run}.*")
    assert [int(stored.data) for stored in all_of_it] == list(range(1500))
    part = [s async for s in read_all(js, "CORE", f"cmd.diff.{run}.*", seqs[0] + 1, seqs[1])]
    assert [int(stored.data) for stored in part] == list(range(500, 1000))
    assert await at(js, "CORE", seqs[0]) == all_of_it[499]
    assert await at(js, "CORE", 10**9) is None
    assert [s async for s in read_all(js, "CORE", f"cmd.diff.{run}.*", seqs[2] + 1)] == []


async def test_large_messages_are_read_in_bounded_batches(bus: BusUnderTest) -> None:
    js, run = await bus.js_as("extractor"), bus.unique("run")
    body = bytes(900_000)
    await asyncio.gather(*(publish_one(js, Outgoing(f"snap.{run}.{n}", body, f"{run}-{n}")) for n in range(20)))
    pages = await stored_in(js, f"snap.{run}.*", "SNAP")
    assert sorted(page.subject for page in pages) == sorted(f"snap.{run}.{n}" for n in range(20))
    assert all(len(page.data) == 900_000 for page in pages)


async def test_empty_body_is_a_message_and_not_an_end(bus: BusUnderTest) -> None:
    js, run = await bus.js_as("extractor"), bus.unique("run")
    for number in range(3):
        await publish_one(js, Outgoing(f"cmd.diff.{run}.{number}", b"", f"{run}-{number}", {"ce-type": "x"}))
    stored = await stored_in(js, f"cmd.diff.{run}.*")
    assert [one.data for one in stored] == [b"", b"", b""]
    assert [one.headers["ce-type"] for one in stored] == ["x", "x", "x"]


async def test_publishing_and_reading_resume_after_the_server_was_killed(own_bus: BusUnderTest) -> None:
    js = await own_bus.js_as("extractor")
    before = [Outgoing(f"cmd.diff.r1.{n}", b"x", f"r1-{n}") for n in range(50)]
    await publish_batch(js, before)
    own_bus.server.kill()

    async def again() -> None:
        await asyncio.sleep(0.3)
        await own_bus.server.restart_async()

    restarting = asyncio.create_task(again())
    after = Outgoing("run.r1.state", b"after", "r1-state", expected_last_seq=0)
    await publish_one(js, after, timeout_seconds=3)
    await restarting
    # What was acknowledged before the crash is there, and its ids are remembered.
    assert [stored.subject for stored in await stored_in(js, "cmd.diff.>")] == [one.subject for one in before]
    assert (await publish_one(js, before[-1])).is_duplicate
    assert len(await stored_in(js, "run.r1.state")) == 1

"""The simulated bus and a real server are asked the same, and must answer the same.

Scripts are drawn from seeds and go through the house's own publishing and reading; what is compared is what these
return or raise, and what lies in the streams afterwards.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from nats.js import JetStreamContext

from shared.bus.connect import BusSettings, client_of, connect, leave
from shared.bus.embedded import EmbeddedServer
from shared.bus.provision import provision
from shared.bus.publishing import Conflict, Fence, Outgoing, Published, PublishRefused, publish_batch, publish_one
from shared.bus.reading import at, last, read_all
from shared.bus.topology import PROVISIONER, ConsumerSpec
from tests.simulation.bus import Bus
from tests.simulation.consumers import Consumer
from tests.simulation.loop import VirtualLoop

Script = Callable[[JetStreamContext], Awaitable[list[str]]]
CONSUMER = ConsumerSpec("applier", "applier", "CORE", ("cmd.apply.>",), ack_wait_seconds=1, max_ack_pending=4)
SUBJECTS = ("led.fence.small", "led.r1.change.a", "led.r1.change.b", "led.r2.change.a")


def on_real_server(folder: Path, script: Script) -> list[str]:
    with EmbeddedServer(folder, ()) as server:

        async def ask() -> list[str]:
            keeper = await connect(BusSettings(server.url, PROVISIONER, server.password_of(PROVISIONER)))
            await provision(keeper.jetstream(), consumers=(CONSUMER,))
            await leave(keeper)
            client = await connect(BusSettings(server.url, "applier", server.password_of("applier")))
            try:
                return await script(client.jetstream())
            finally:
                await leave(client)

        return asyncio.run(ask())


def on_simulated_bus(script: Script) -> list[str]:
    loop = VirtualLoop()
    try:
        bus = Bus(loop, Random(1), epoch_us=1_795_334_400_000_000)
        bus.consumers = {("CORE", "applier"): Consumer(CONSUMER, bus.streams["CORE"])}
        client = bus.connect("applier", context=loop.world)
        return loop.run_until_complete(script(client.jetstream()))
    finally:
        loop.close()


async def told(doing: Awaitable[Published | int]) -> str:
    """What came of a publish, without the server's own sentences."""
    try:
        return repr(await doing)
    except Conflict as conflict:
        return f"Conflict {conflict.subject}"
    except PublishRefused as refused:
        return f"PublishRefused {refused.subject} {refused.code}"


async def outgoing(js: JetStreamContext, rng: Random, subject: str, *, is_alone: bool) -> Outgoing:
    """One message with a condition that holds, or does not; now and then with an id that was used before."""
    number = rng.randrange(12 if rng.random() < 0.3 else 10**9)
    plain: dict[str, Any] = {"subject": subject, "body": b"%d" % number, "message_id": f"{subject}-{number}"}
    match rng.randrange(4):
        case 0:
            newest = await last(js, "LEDGER", subject)
            plain["expected_last_seq"] = 0 if newest is None else newest.seq
        case 1:
            plain["expected_last_seq"] = rng.randrange(6)
        case 2 if not subject.startswith("led.fence") or is_alone:
            newest = await last(js, "LEDGER", SUBJECTS[0])
            plain["fence"] = Fence(SUBJECTS[0], (0 if newest is None else newest.seq) + rng.choice((0, 0, 0, 1)))
        case _:
            pass
    return Outgoing(**plain)


def writing_script(seed: int) -> Script:
    async def script(js: JetStreamContext) -> list[str]:
        rng, lines = Random(seed), []
        for _ in range(30):
            if rng.random() < 0.5:
                one = await outgoing(js, rng, rng.choice(SUBJECTS), is_alone=True)
                lines.append(f"one {one.subject} {await told(publish_one(js, one))}")
            else:
                subjects = rng.sample(SUBJECTS, rng.randint(2, 4))
                batch = [await outgoing(js, rng, subject, is_alone=False) for subject in subjects]
                lines.append(f"batch {len(batch)} {await told(publish_batch(js, batch))}")
            if rng.random() < 0.2 and lines:
                newest = await at(js, "LEDGER", rng.randint(1, 40))
                lines.append(f"at {newest and (newest.seq, newest.subject, newest.data)}")
        for pattern in ("led.>", "led.r1.change.*", "led.*.change.a", "led.nobody.>"):
            found = [one async for one in read_all(js, "LEDGER", pattern, start_seq=rng.randint(1, 3))]
            lines.append(
                f"{pattern} {[(one.seq, one.subject, one.data, sorted(one.headers.items())) for one in found]}"
            )
        return [_without_batch_ids(line) for line in lines]

    return script


def _without_batch_ids(line: str) -> str:
    head, _, tail = line.partition("('Nats-Batch-Id', '")
    return line if not tail else _without_batch_ids(head + "(" + tail[32 + len("'), ") :])


@pytest.mark.parametrize("seed", range(1, 9))
def test_writing_and_reading_have_the_same_answers(tmp_path: Path, seed: int) -> None:
    real = on_real_server(tmp_path / "bus", writing_script(seed))
    simulated = on_simulated_bus(writing_script(seed))
    assert simulated == real


async def broken_batches(js: JetStreamContext) -> list[str]:
    """Batches as a lost connection leaves them, below our own publishing."""
    client, lines = client_of(js), []

    async def send(batch: str, number: int, *, commit: bool = False, **more: str) -> str:
        subject = f"led.r1.change.{batch}{number}"
        headers = {"Nats-Msg-Id": f"{batch}-{number}", "Nats-Expected-Stream": "LEDGER"}
        headers |= {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
        headers |= ({"Nats-Batch-Commit": "1"} if commit else {}) | more
        answer = await client.request(subject, b"x", timeout=1, headers=headers)
        content = json.loads(answer.data) if answer.data else {}
        return f"{batch}{number} {content.get('error', {}).get('err_code', content.get('seq', 'taken'))}"

    lines.append(await send("whole", 1))
    lines.append(await send("whole", 2, commit=True))
    lines.append(await send("gap", 1))
    lines.append(await send("gap", 3, commit=True))
    lines.append(await send("late", 2, commit=True))
    lines.append(await send("twice", 1))
    lines.append(await send("twice", 2, commit=True, **{"Nats-Msg-Id": "whole-2"}))
    lines.append(f"{[(one.seq, one.subject) async for one in read_all(js, 'LEDGER', '>')]}")
    return lines


async def consuming(js: JetStreamContext) -> list[str]:
    """Deliveries, delays, terms and late acknowledgements of one durable consumer."""
    client, lines = client_of(js), []
    subject = "$JS.API.CONSUMER.MSG.NEXT.CORE.applier"

    async def pull() -> Any:
        inbox = client.new_inbox()
        subscription = await client.subscribe(inbox)
        await client.publish(subject, json.dumps({"batch": 1, "expires": 300_000_000}).encode(), reply=inbox)
        message = await subscription.next_msg(timeout=2)
        await subscription.unsubscribe()
        if not message.reply:
            lines.append(f"nothing: {(message.headers or {})['Status']}")
            return None
        lines.append(f"{message.subject} seq {message.metadata.sequence.stream} time {message.metadata.num_delivered}")
        return message

    for number in range(1, 8):
        name = "apply" if number % 3 else "other"
        subject_of = f"cmd.{name}.r{number}" if name == "apply" else f"evt.applier.r{number}"
        await publish_one(js, Outgoing(subject_of, b"x", f"id-{number}"))
    first, second, third, fourth = [await pull() for _ in range(4)]
    await pull()  # four are out, which is the most allowed
    await first.ack()
    await pull()
    await second.nak(delay=0.2)
    await third.term()
    await asyncio.sleep(0.6)
    await fourth.in_progress()
    again = await pull()
    await again.ack()
    await asyncio.sleep(0.6)
    last_one = await pull()  # the fifth was never acknowledged; the fourth was heard of in time
    await last_one.ack()
    await fourth.ack()
    await pull()
    return lines


async def leasing(js: JetStreamContext) -> list[str]:
    """A message with a time to live, and one message a subject."""
    lines = []

    def lease(number: int, expected: int) -> Outgoing:
        return Outgoing("lease.target.small", b"x", f"id-{number}", expected_last_seq=expected, ttl_seconds=1)

    for number, expected in ((1, 0), (2, 0), (3, 1), (1, 3)):
        lines.append(await told(publish_one(js, lease(number, expected))))
    await asyncio.sleep(2.5)
    lines.append(repr(await last(js, "LEASE", "lease.target.small")))
    for number, expected in ((4, 2), (5, 0), (1, 0)):
        lines.append(await told(publish_one(js, lease(number, expected))))
    with suppress(asyncio.CancelledError):
        lines.append(f"{[(one.seq, one.message_id) async for one in read_all(js, 'LEASE', '>')]}")
    return lines


@pytest.mark.parametrize("script", [broken_batches, consuming, leasing], ids=lambda script: script.__name__)
def test_broken_batches_consumers_and_leases_have_the_same_answers(tmp_path: Path, script: Script) -> None:
    assert on_simulated_bus(script) == on_real_server(tmp_path / "bus", script)

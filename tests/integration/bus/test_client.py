"""A cancelled task ends, whatever the client library was doing for it at that moment: on the real server."""

import asyncio
import contextlib

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.bus.client import heeding
from tests.support.bus import BusUnderTest


async def swallowing() -> str:
    """Wait, and make nothing of a cancellation: as the library does."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(10)
    return "done"


async def failing() -> str:
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError:
        raise ValueError("broken off") from None
    return "done"


@pytest.mark.parametrize("work", [swallowing, failing])
async def test_cancellation_that_the_work_hid_still_ends_the_task(work: object) -> None:
    assert callable(work)
    task = asyncio.create_task(heeding(work()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_results_errors_and_earlier_cancellations_pass_through() -> None:
    async def late() -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(10)
        # What was asked before the work began is not its affair: a task that cleans up may still use the bus.
        return await heeding(asyncio.sleep(0, "cleaned up"))

    task = asyncio.create_task(late())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "cleaned up"
    with pytest.raises(ZeroDivisionError):
        await heeding(asyncio.to_thread(lambda: 1 // 0))


async def test_time_limit_inside_the_work_is_no_cancellation() -> None:
    async def limited() -> str:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.sleep(10)
        return "done"

    assert await heeding(limited()) == "done"


async def test_task_that_is_cancelled_amid_a_burst_of_acknowledgements_ends(own_bus: BusUnderTest) -> None:
    client, subject = await own_bus.connect_as("auditor"), "$JS.ACK.CORE.auditor_core.1.1.1.1.0"

    async def burst() -> None:
        while True:  # never waits for anything but room among what the library has yet to write
            await client.publish(subject, b"")

    task = asyncio.create_task(burst())
    await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=20)
    assert done
    assert task.cancelled()


async def test_task_that_is_cancelled_as_its_answer_arrives_ends(bus: BusUnderTest) -> None:
    client: Client = await bus.connect_as("applier")
    subject, question = "$JS.API.STREAM.MSG.GET.CORE", b'{"last_by_subj": "run.none.state"}'

    async def asking() -> Msg:
        return await client.request(subject, question, timeout=5)

    await asking()  # the library's own preparations are behind us
    for _ in range(20):
        task = asyncio.create_task(asking())
        # The library keeps what it waits for by token: cancel between the answer's arrival and the task's next step.
        while not any(answer.done() for answer in list(client._resp_map.values())):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

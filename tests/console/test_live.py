"""Live pages: what is sent, to whom, how fast, and when the stream ends."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path

import pytest

from services.console.live import PAUSE_SECONDS_MIN, PAUSE_SHARE, LiveHub, Stamped
from tests.console.altering import alter, conclude, planned_in, run_in
from tests.console.harness import ConsoleUnderTest, console_under_test

WATCHERS = 200
SECONDS_MAX = 1.0
"""Generous: the machine of the tests may be busy. The figure for a quiet one is in the notes of measurements."""
WAIT_SECONDS = 10.0


async def _always() -> bool:
    return True


async def _next(stream: AsyncIterator[bytes], name: str) -> str:
    """The data of the next event of this name."""
    async with asyncio.timeout(WAIT_SECONDS):
        async for part in stream:
            for event in part.decode().split("\n\n"):
                if event.startswith(f"event: {name}\n"):
                    return "\n".join(line.removeprefix("data: ") for line in event.splitlines()[1:])
    raise AssertionError(f"the stream ended without {name}")


@asynccontextmanager
async def _watching(hub: LiveHub, topic: str, **seen: str) -> AsyncIterator[AsyncIterator[bytes]]:
    async with aclosing(hub.watch(topic, may_go_on=_always, seen=seen)) as stream:
        yield stream


@pytest.fixture
async def applying(own_record: Path, house_data: Path) -> AsyncIterator[tuple[ConsoleUnderTest, str, Path]]:
    """A console over a record in which a run applies, the run and the record."""
    run = run_in(own_record, "succeeded")
    alter(own_record, run, status="applying", counts=None)
    conclude(own_record, run, {("applied", None): 10})
    under_test = console_under_test(house_data, audit_database=own_record)
    yield under_test, run, own_record
    under_test.console.live.end()
    await under_test.console.records.close()


async def test_a_run_page_is_sent_its_parts_and_then_what_changed(
    applying: tuple[ConsoleUnderTest, str, Path],
) -> None:
    under_test, run, record = applying
    planned = planned_in(record, run)
    async with _watching(under_test.console.live, f"run:{run}") as stream:
        assert f"10 of {planned} changes concluded" in await _next(stream, "counts")
        conclude(record, run, {("applied", None): 25, ("failed", "APL_REFUSED_RECORD"): 1})
        under_test.console.live.hear([run])
        assert f"26 of {planned} changes concluded, 1 failed" in await _next(stream, "counts")


async def test_a_note_about_another_run_sends_nothing(applying: tuple[ConsoleUnderTest, str, Path]) -> None:
    under_test, run, record = applying
    planned = planned_in(record, run)
    async with _watching(under_test.console.live, f"run:{run}") as stream:
        await _next(stream, "facts")
        conclude(record, run, {("applied", None): 25})
        under_test.console.live.hear(["20260101T000000-abcdef"])
        waiting = asyncio.ensure_future(_next(stream, "counts"))
        done, _ = await asyncio.wait({waiting}, timeout=0.5)
        assert not done
        under_test.console.live.hear([run])
        assert f"25 of {planned}" in await waiting


async def test_what_is_sent_live_holds_no_act_and_nobodys_token(
    applying: tuple[ConsoleUnderTest, str, Path],
) -> None:
    under_test, run, _ = applying
    sent = ""
    for topic, last in ((f"run:{run}", "facts"), ("runs", "changed"), ("inbox", "changed")):
        async with _watching(under_test.console.live, topic) as stream:
            async with asyncio.timeout(WAIT_SECONDS):
                async for part in stream:
                    sent += part.decode()
                    if f"event: {last}\n" in sent:
                        break
    assert not re.search(r"<(form|button|input|script)|csrf|token-of-the-session", sent)
    assert "<table>" in sent or '<table class="dense">' in sent


async def test_the_acts_reload_when_the_state_changes_and_not_with_each_change(
    applying: tuple[ConsoleUnderTest, str, Path],
) -> None:
    under_test, run, record = applying
    planned = planned_in(record, run)
    async with _watching(under_test.console.live, f"run:{run}") as stream:
        before = await _next(stream, "state")
        conclude(record, run, {("applied", None): 25})
        under_test.console.live.hear([run])
        assert f"25 of {planned}" in await _next(stream, "counts")
        alter(record, run, status="paused")
        under_test.console.live.hear([run])
        assert await _next(stream, "state") != before


async def test_the_page_and_the_stream_agree_on_what_the_page_has(
    applying: tuple[ConsoleUnderTest, str, Path],
) -> None:
    under_test, run, _ = applying
    async with under_test.as_person("olga", "operator") as browser:
        text = (await browser.get(f"/runs/{run}")).text
    found = re.search(r"\?state=(\w+)&amp;facts=(\w+)", text)
    assert found is not None
    async with _watching(under_test.console.live, f"run:{run}", state=found[1], facts=found[2]) as stream:
        parts = [await anext(stream), await anext(stream)]
    assert b"event: head\n" in parts[1]
    assert not re.search(rb"event: (state|facts)\n", parts[1])


async def test_what_the_page_has_is_not_sent_until_it_is_news_again() -> None:
    hub = LiveHub(_size)
    shown = {"state": "a", "counts": "0"}

    async def render(_: str) -> dict[str, str]:
        return dict(shown)

    hub.renders("run", render)
    async with _watching(hub, "run:r", state="a") as stream:
        assert await _next(stream, "counts") == "0"
        for state in ("b", "a"):
            shown["state"] = state
            hub.hear(["r"])
            assert await _next(stream, "state") == state


async def test_who_comes_later_is_sent_what_stands_and_not_what_the_page_has() -> None:
    hub = LiveHub(_size)

    async def render(_: str) -> dict[str, str | Stamped]:
        return {"state": "a", "facts": Stamped("s1", "<p>x</p>"), "counts": "0"}

    hub.renders("run", render)
    async with _watching(hub, "run:r") as first:
        assert await _next(first, "facts") == "<p>x</p>"
        async with _watching(hub, "run:r", state="a", facts="s1") as second:
            parts = [await anext(second), await anext(second)]
        assert parts[1] == b"event: counts\ndata: 0\n\n"


async def test_what_bears_a_stamp_is_sent_again_only_when_the_stamp_changes() -> None:
    hub = LiveHub(_size)
    shown: dict[str, str | Stamped] = {"facts": Stamped("1", "five minutes ago"), "counts": "0"}

    async def render(_: str) -> dict[str, str | Stamped]:
        return dict(shown)

    hub.renders("run", render)
    async with _watching(hub, "run:r") as stream:
        assert await _next(stream, "facts") == "five minutes ago"
        shown |= {"facts": Stamped("1", "six minutes ago"), "counts": "1"}
        hub.hear(["r"])
        assert await anext(stream) == b"event: counts\ndata: 1\n\n"
        shown["facts"] = Stamped("2", "seven minutes ago")
        hub.hear(["r"])
        assert await _next(stream, "facts") == "seven minutes ago"


async def test_the_first_change_after_quiet_is_shown_at_once_and_those_that_follow_together() -> None:
    hub = LiveHub(_size)
    rendered: list[float] = []

    async def render(_: str) -> dict[str, str]:
        rendered.append(time.monotonic())
        return {"counts": str(len(rendered))}

    hub.renders("run", render)
    async with _watching(hub, "run:r") as stream:
        await _next(stream, "counts")
        await asyncio.sleep(3 * PAUSE_SECONDS_MIN)
        heard = time.monotonic()
        for _ in range(50):
            hub.hear(["r"])
            await asyncio.sleep(PAUSE_SECONDS_MIN / 50)
        await asyncio.sleep(2 * PAUSE_SECONDS_MIN)
    # The first, what came during its pause, and at most two more where the loop above was slowed down.
    assert rendered[1] - heard < PAUSE_SECONDS_MIN / 2
    assert len(rendered) <= 5


async def test_a_topic_that_is_dear_to_render_rests_longer() -> None:
    hub = LiveHub(_size)
    began: list[float] = []

    async def render(_: str) -> dict[str, str]:
        began.append(time.monotonic())
        await asyncio.sleep(2 * PAUSE_SECONDS_MIN)
        return {"counts": str(len(began))}

    hub.renders("run", render)
    async with _watching(hub, "run:r") as stream:
        await _next(stream, "counts")
        hub.hear(["r"])
        assert await _next(stream, "counts") == "2"
    assert began[1] - began[0] >= (1 + PAUSE_SHARE) * 2 * PAUSE_SECONDS_MIN


async def test_a_stream_ends_when_the_session_does() -> None:
    hub = LiveHub(_size)
    hub.renders("run", _one)

    async def never() -> bool:
        return False

    import services.console.live as module

    before = module.HEARTBEAT_SECONDS
    module.HEARTBEAT_SECONDS = 0.05  # type: ignore[misc]  # a quarter of a minute is too long for a test
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            parts = [part async for part in hub.watch("run:r", may_go_on=never)]
    finally:
        module.HEARTBEAT_SECONDS = before  # type: ignore[misc]
    assert parts[-1].startswith(b"event: ended\n")
    assert hub.watchers == 0


async def test_a_full_house_says_so_before_it_sends_anything(under_test: ConsoleUnderTest) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(500):
            stream = await stack.enter_async_context(_watching(under_test.console.live, "runs"))
            await anext(stream)
        async with under_test.as_person("vera", "viewer") as browser:
            answer = await browser.get("/live/runs")
    assert answer.status_code == 503
    assert "too many live pages" in answer.text


async def test_two_hundred_watchers_of_a_run_are_told_in_time() -> None:
    """From the note to the event in the hands of the last of them, with a page that takes no time to render."""
    hub = LiveHub(_size)
    shown = {"counts": "0"}

    async def render(_: str) -> dict[str, str]:
        return dict(shown)

    hub.renders("run", render)
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(_watching(hub, "run:r")) for _ in range(WATCHERS)]
        await asyncio.gather(*(_next(stream, "counts") for stream in streams))
        assert hub.watchers == WATCHERS
        await asyncio.sleep(2 * PAUSE_SECONDS_MIN)  # past the pause that the hub makes between two renderings
        took = []
        for count in ("1", "2", "3"):
            shown["counts"] = count
            began = time.perf_counter()
            hub.hear(["r"])
            told = await asyncio.gather(*(_next(stream, "counts") for stream in streams))
            took.append(time.perf_counter() - began)
            assert set(told) == {count}
            await asyncio.sleep(2 * PAUSE_SECONDS_MIN)
    assert min(took) < SECONDS_MAX, f"{took} s"


async def _size() -> int:
    return 0


async def _one(_: str) -> dict[str, str]:
    return {"counts": "1"}


async def test_only_an_operators_page_asks_for_its_acts_and_gets_these_alone(
    applying: tuple[ConsoleUnderTest, str, Path],
) -> None:
    under_test, run, _ = applying
    part = {"hx-request": "true", "hx-target": "acts"}
    async with under_test.as_person("olga", "operator") as browser:
        page = (await browser.get(f"/runs/{run}")).text
        acts = (await browser.get(f"/runs/{run}", headers=part)).text
    assert 'hx-trigger="sse:state' in page
    assert acts.startswith('<section id="acts"')
    assert f'formaction="/runs/{run}/pause"' in acts
    assert 'value="token-of-the-session"' in acts
    assert 'hx-trigger="sse:state' in acts  # it asks again the next time
    async with under_test.as_person("vera", "viewer") as browser:
        page = (await browser.get(f"/runs/{run}")).text
        acts = (await browser.get(f"/runs/{run}", headers=part)).text
    assert "sse:state" not in page
    assert "formaction" not in acts


async def test_the_acts_are_those_of_the_state_that_the_page_was_sent(
    applying: tuple[ConsoleUnderTest, str, Path],
) -> None:
    under_test, run, record = applying
    part = {"hx-request": "true", "hx-target": "acts"}
    async with (
        under_test.as_person("olga", "operator") as browser,
        _watching(under_test.console.live, f"run:{run}") as stream,
    ):
        before = await _next(stream, "state")
        alter(record, run, status="paused")
        under_test.console.live.hear([run])
        assert await _next(stream, "state") != before
        assert f'formaction="/runs/{run}/resume"' in (await browser.get(f"/runs/{run}", headers=part)).text
    assert under_test.console.live.kept(f"run:{run}") is None

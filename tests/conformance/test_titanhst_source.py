"""TitanHST as a source: the promises of every source, and one test for each way in which a list can lie."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from shared.errors import NeedsPerson, StopRun, TryLater
from shared.ports.connections import Connection
from shared.ports.surroundings import Surroundings
from shared.ports.system import Page, Source
from shared.secrets import Secret
from tests.conformance.fake_titanhst import HTML, READ_TOKEN, Asked, FakeTitanhst, Fault, Reply, as_json, contact
from tests.conformance.recording_pacer import RecordingPacer
from tests.conformance.source_suite import Bench, SourceSuite
from tests.support.systems import installed_systems

PAGE_LIMIT = 10


@dataclass
class Waits:
    """A clock that stands still and a sleep that only notes."""

    seconds: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return datetime(2026, 11, 22, 8, 0, tzinfo=UTC)

    def monotonic_seconds(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)


@dataclass
class Stage:
    fake: FakeTitanhst
    waits: Waits
    pacer: RecordingPacer = field(default_factory=RecordingPacer)
    sources: list[Source] = field(default_factory=list)

    def source(self, *, url: str = "", token: str = READ_TOKEN, **settings: Any) -> Source:
        surroundings = Surroundings(
            clock=self.waits,
            rng=random.Random(7),
            sleep=self.waits.sleep,
            resolve=lambda _: Secret(token),
            pacer=self.pacer,
        )
        registry = installed_systems(surroundings=surroundings)
        settings = {
            "base_url": url or self.fake.url,
            "token": "env:UNUSED",
            "page_limit": PAGE_LIMIT,
            "pages_in_flight": 1,  # so that the number of a request tells its page
            **settings,
        }
        connection = Connection(name="alerts", system="titanhst", environment="staging", settings=settings)
        self.sources.append(registry.open_source(connection))
        return self.sources[-1]


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    async with FakeTitanhst() as fake:
        stage = Stage(fake, Waits())
        yield stage
        for source in stage.sources:
            await source.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class TestTitanhstIsASource(SourceSuite):
    @pytest.fixture
    def bench(self, stage: Stage) -> Bench:
        async def make_empty() -> None:
            stage.fake.contacts.clear()

        return Bench(
            source=stage.source(),
            entity="contacts",
            rows=25,
            unreachable=stage.source(url=f"http://127.0.0.1:{free_port()}"),
            refused=stage.source(token="stale"),
            make_empty=make_empty,
        )


async def read(stage: Stage, **settings: Any) -> list[Page]:
    return [page async for page in stage.source(**settings).read("contacts")]


def on_request(number: int, reply: Reply) -> Fault:
    return lambda asked, _: reply if asked.number == number else None


def altered(number: int, **changes: Any) -> Fault:
    """The honest list of one request with other items or another total."""

    def fault(asked: Asked, honest: Reply) -> Reply | None:
        return as_json(200, json.loads(honest.content) | changes) if asked.number == number else None

    return fault


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (altered(2, items=[contact(number) for number in range(11, 16)]), "cut short"),
        (altered(2, items=[contact(number) for number in range(1, 11)]), "repeats"),
        (altered(2, items=[contact(number) for number in range(10, 20)]), "twice"),
        (altered(2, items=[contact(number) for number in (11, 13, 12, 14, 15, 16, 17, 18, 19, 20)]), "not in order"),
        (altered(2, items=[]), "cut short"),
        (altered(2, total=24), "moved from 25 to 24"),
        (altered(3, total=26), "moved from 25 to 26"),
    ],
    ids=[
        "torn page",
        "repeated page",
        "overlapping page",
        "out of order",
        "empty page",
        "shrinking total",
        "growing total",
    ],
)
async def test_list_that_does_not_stand_still_is_never_complete(stage: Stage, fault: Fault, words: str) -> None:
    stage.fake.fault = fault
    source = stage.source()
    reading = source.read("contacts")
    with pytest.raises(StopRun, match=words) as caught:
        assert [page async for page in reading]
    assert caught.value.code == "SRC_UNSTABLE"
    assert reading.expected is None


async def test_total_that_is_too_low_on_every_page_is_noticed(stage: Stage) -> None:
    def fault(asked: Asked, honest: Reply) -> Reply:
        return as_json(200, json.loads(honest.content) | {"total": 20})

    stage.fake.fault = fault
    with pytest.raises(StopRun, match="the total is 20") as caught:
        await read(stage)
    assert caught.value.code == "SRC_UNSTABLE"


async def test_list_without_end_stops_at_the_page_bound(stage: Stage) -> None:
    with pytest.raises(StopRun, match="2 pages") as caught:
        await read(stage, pages_max=2)
    assert caught.value.code == "SRC_INCOMPLETE"


@pytest.mark.parametrize(
    "reply",
    [
        HTML,
        Reply(200, b"{not json"),
        Reply(302, headers={"Location": "https://elsewhere.example/login"}),
        as_json(200, {"total": 25}),
        as_json(200, {"items": [], "total": "25"}),
        as_json(200, []),
        as_json(400, {"message": "limit"}),
        as_json(404, {"message": "unknown path"}),
        as_json(200, {"total": 1, "items": [contact(1, active="yes")]}),
        as_json(200, {"total": 1, "items": [contact(1, lastName=None)]}),
        Reply(200, b" " * 5000 + b"{}"),
    ],
    ids=["html", "no json", "redirect", "no items", "total as text", "list", "400", "404", "type", "null", "too long"],
)
async def test_answer_of_another_shape_ends_the_read(stage: Stage, reply: Reply) -> None:
    stage.fake.fault = on_request(2, reply)
    with pytest.raises(StopRun) as caught:
        await read(stage, body_bytes_max=4096)
    assert caught.value.code == "SRC_WRONG_SHAPE"
    assert len(stage.fake.asked) == 2, "another shape is not asked for again"


async def test_wrong_type_is_named_by_pointer_and_never_by_value(stage: Stage) -> None:
    stage.fake.contacts[3]["email"] = 4_242_424
    with pytest.raises(StopRun, match="/items/3/email: is no text but a int") as caught:
        await read(stage)
    assert "4242424" not in str(caught.value)
    assert caught.value.facts["pointer"] == "/items/3/email"


async def test_credential_that_expires_half_way_ends_the_read(stage: Stage) -> None:
    stage.fake.fault = on_request(2, as_json(401, {"message": "expired"}))
    with pytest.raises(NeedsPerson) as caught:
        await read(stage)
    assert caught.value.code == "SRC_AUTH"


async def test_throttled_request_waits_as_asked_and_goes_on(stage: Stage) -> None:
    stage.fake.fault = on_request(2, as_json(429, {"message": "slow down"}, Retry_After="7"))
    assert sum(page.rows.height for page in await read(stage)) == 25
    (waited,) = stage.waits.seconds
    assert 7 <= waited <= 8
    assert stage.pacer.refusals == [7.0], "all who share the rate are told"
    assert [asked.query["offset"] for asked in stage.fake.asked] == ["0", "10", "10", "20"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("Sun, 22 Nov 2026 08:00:30 GMT", 30.0), ("86400", 900.0), ("-5", None), ("soon", None)],
)
async def test_retry_after_is_read_as_seconds_or_date_and_capped(
    stage: Stage, text: str, seconds: float | None
) -> None:
    stage.fake.fault = lambda _, __: as_json(429, {"message": "slow down"}, Retry_After=text)
    with pytest.raises(TryLater) as caught:
        await read(stage)
    assert caught.value.code == "SRC_RATE_LIMITED"
    assert caught.value.retry_after_seconds == seconds
    assert len(stage.fake.asked) == 21, "waits are bounded"


@pytest.mark.parametrize(
    "reply",
    [as_json(503, {"message": "busy"}), Reply(502, b"<html>", media_type="text/html"), Reply(is_silent=True)],
    ids=["503", "502 html", "reset"],
)
async def test_broken_server_is_asked_five_times_and_no_more(stage: Stage, reply: Reply) -> None:
    stage.fake.fault = lambda _, __: reply
    with pytest.raises(TryLater) as caught:
        await read(stage)
    assert caught.value.code == "SRC_UNREACHABLE"
    assert len(stage.fake.asked) == 5
    assert len(stage.waits.seconds) == 4


async def test_body_cut_off_on_the_way_is_asked_for_again(stage: Stage) -> None:
    stage.fake.fault = lambda asked, honest: Reply(200, honest.content, cut_after=100) if asked.number == 2 else None
    assert sum(page.rows.height for page in await read(stage)) == 25


async def test_silence_is_no_answer(stage: Stage) -> None:
    stage.fake.fault = lambda asked, honest: Reply(200, honest.content, wait_seconds=2.5) if asked.number == 1 else None
    assert sum(page.rows.height for page in await read(stage, timeout_seconds=1.0)) == 25
    assert len(stage.fake.asked) == 4


async def test_pages_asked_for_ahead_come_in_order_and_never_beyond_the_total(stage: Stage) -> None:
    one_by_one = await read(stage)
    asked_before = len(stage.fake.asked)
    ahead = await read(stage, pages_in_flight=4)
    assert [page.sha256 for page in ahead] == [page.sha256 for page in one_by_one]
    assert [page.first_cursor for page in ahead] == [page.first_cursor for page in one_by_one]
    offsets = sorted(int(asked.query["offset"]) for asked in stage.fake.asked[asked_before:])
    assert offsets == sorted(int(asked.query["offset"]) for asked in stage.fake.asked[:asked_before])


async def test_fault_of_a_page_asked_for_ahead_ends_the_read_at_its_turn(stage: Stage) -> None:
    def torn(asked: Asked, honest: Reply) -> Reply | None:
        return as_json(200, {"total": 25}) if asked.query["offset"] == "20" else None

    stage.fake.fault = torn
    pages: list[Page] = []
    with pytest.raises(StopRun) as caught:
        async for page in stage.source(pages_in_flight=4).read("contacts"):
            pages.append(page)
    assert (len(pages), caught.value.code) == (2, "SRC_WRONG_SHAPE")


async def test_unknown_fields_are_counted_and_not_refused(stage: Stage) -> None:
    for each in stage.fake.contacts[:3]:
        each["nickname"] = "x"
    reading: Any = stage.source().read("contacts")
    assert sum([page.rows.height async for page in reading]) == 25
    assert reading.unknown_fields == {"nickname": 3}


async def test_ids_in_number_order_are_in_order_too(stage: Stage) -> None:
    ids = [f"c-{number}" for number in range(1, 12)]
    items = [contact(number, id=each) for number, each in enumerate(ids, start=1)]
    stage.fake.fault = lambda _, __: as_json(200, {"total": 11, "items": items})
    (page,) = await read(stage, page_limit=50)
    assert page.rows["target_id"].to_list() == ids


async def test_exactly_full_last_page_is_followed_by_one_more_question(stage: Stage) -> None:
    del stage.fake.contacts[20:]
    pages = await read(stage)
    assert [page.rows.height for page in pages] == [10, 10]
    assert [asked.query["offset"] for asked in stage.fake.asked] == ["0", "10", "20"]


async def test_every_request_waits_for_its_turn(stage: Stage) -> None:
    pages = [page async for page in stage.source().read("contacts")]
    assert len(stage.pacer.turns) == len(stage.fake.asked) >= len(pages)
    assert set(stage.pacer.turns) == {"SRC"}


async def test_request_that_is_repeated_takes_another_turn(stage: Stage) -> None:
    stage.fake.fault = on_request(2, as_json(503, {"message": "later"}))
    await read(stage)
    assert len(stage.pacer.turns) == len(stage.fake.asked)


async def test_nothing_is_sent_without_a_turn(stage: Stage) -> None:
    stage.pacer.refuses = True
    with pytest.raises(TryLater) as caught:
        await read(stage)
    assert caught.value.code == "SRC_RATE_LIMITED"
    assert stage.fake.asked == []


async def test_token_with_a_line_break_is_refused_before_anything_is_sent(stage: Stage) -> None:
    with pytest.raises(NeedsPerson) as caught:
        stage.source(token="abc\r\nX-Other: 1")
    assert caught.value.code == "SYS_SECRET"
    assert "abc" not in str(caught.value)
    assert stage.fake.asked == []

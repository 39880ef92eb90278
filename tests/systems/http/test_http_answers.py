"""What answers mean to a system without code: reasons before statuses, bodies before both; lists that lead astray."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from shared.errors import (
    AetherError,
    NeedsPerson,
    OutcomeUnknown,
    RecordRefused,
    StopRun,
    TargetMoved,
    TryLater,
)
from shared.ports.wire import ChangeVerb
from tests.conformance.fake_titanhst import Asked, FakeTitanhst, Reply, as_json
from tests.systems.http.klaxon import contact, ends, read
from tests.systems.http.test_http_reading import FORMS
from tests.systems.http.test_http_writing import BATCH, IN_BATCHES, POLL

REASONED = {
    "auth": {"kind": "none"},
    "error": {"message": "/message", "reason": "/error/code"},
    "reasons": {
        "rate": ["SLOW", 17],
        "not_done": ["MAINTENANCE"],
        "auth": ["NO_SESSION"],
        "permission": ["NO_RIGHT"],
        "missing": ["NOT_FOUND"],
        "moved": ["VERSION"],
        "refused": ["BAD_FIELD"],
        "capacity": ["SEATS"],
    },
    "quota": None,
}


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeTitanhst]:
    async with FakeTitanhst() as fake:
        yield fake


def reason(status: int, code: Any) -> Reply:
    return as_json(status, {"message": "Wilhelmina was refused", "error": {"code": code}})


def item(number: int) -> dict[str, Any]:
    return {
        "id": number, "externalId": f"E{number}", "firstName": "A", "lastName": "B", "recordTypeId": 1,
        "jobTitle": None, "status": "A", "paths": [], "updatedAt": "2026-11-22T08:00:00Z",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("reply", "verb", "kind", "code"),
    [
        (reason(500, "BAD_FIELD"), "update", RecordRefused, "APL_REFUSED_RECORD"),
        (reason(200, "BAD_FIELD"), "update", RecordRefused, "APL_REFUSED_RECORD"),
        (reason(403, "SLOW"), "update", TryLater, "APL_RATE_LIMITED"),
        (reason(400, 17), "update", TryLater, "APL_RATE_LIMITED"),
        (reason(400, "17"), "update", RecordRefused, "APL_REFUSED_RECORD"),
        (reason(500, "MAINTENANCE"), "update", TryLater, "APL_UNREACHABLE"),
        (reason(200, "NO_SESSION"), "update", NeedsPerson, "APL_AUTH"),
        (reason(400, "NO_RIGHT"), "update", NeedsPerson, "APL_AUTH"),
        (reason(400, "NOT_FOUND"), "update", TargetMoved, "APL_CONFLICT"),
        (reason(400, "NOT_FOUND"), "create", StopRun, "APL_WRONG_SHAPE"),
        (reason(400, "VERSION"), "update", TargetMoved, "APL_CONFLICT"),
        (reason(400, "SEATS"), "create", RecordRefused, "APL_CAPACITY"),
        (reason(500, "UNHEARD_OF"), "update", OutcomeUnknown, "APL_UNKNOWN_OUTCOME"),
        (reason(503, "UNHEARD_OF"), "update", OutcomeUnknown, "APL_UNKNOWN_OUTCOME"),
        (reason(429, "UNHEARD_OF"), "update", TryLater, "APL_RATE_LIMITED"),
        # A stranger's page that happens to say the word is believed in nothing.
        (Reply(500, b'{"error": {"code": "BAD_FIELD"}}'), "update", OutcomeUnknown, "APL_UNKNOWN_OUTCOME"),
        (Reply(500, reason(500, "BAD_FIELD").content, "text/html"), "update", OutcomeUnknown, "APL_UNKNOWN_OUTCOME"),
        (Reply(is_silent=True), "update", OutcomeUnknown, "APL_UNKNOWN_OUTCOME"),
        (as_json(200, {"message": "OK", "id": "x"}), "create", OutcomeUnknown, "APL_UNKNOWN_OUTCOME"),
        (as_json(200, {"message": "OK", "id": 78}), "update", OutcomeUnknown, "APL_UNKNOWN_OUTCOME"),
        (as_json(200, {"message": "OK"}), "update", OutcomeUnknown, "APL_UNKNOWN_OUTCOME"),
        (as_json(200, None), "update", OutcomeUnknown, "APL_UNKNOWN_OUTCOME"),
    ],
)
async def test_a_reason_counts_before_the_status_and_only_in_their_own_words(
    fake: FakeTitanhst, tmp_path: Path, reply: Reply, verb: ChangeVerb, kind: type[AetherError], code: str
) -> None:
    fake.fault = lambda _, __: reply
    async with ends(fake.url, tmp_path, interface=REASONED) as house:
        target_id, values = (None, contact(1)) if verb == "create" else ("77", {"first_name": "Zora"})
        with pytest.raises(AetherError) as caught:
            await house.written(house.target(proof={}), verb, target_id, **values)
        assert (type(caught.value), caught.value.code) == (kind, code)
        assert "Wilhelmina" not in f"{caught.value} {dict(caught.value.facts)}"
        assert len(fake.asked) == 1, "a write is sent once, whatever comes back"


@pytest.mark.parametrize(
    ("reply", "kind", "code"),
    [
        (reason(200, "NO_SESSION"), NeedsPerson, "SRC_AUTH"),
        (reason(400, "NO_RIGHT"), NeedsPerson, "SRC_AUTH"),
        (reason(200, "MAINTENANCE"), TryLater, "SRC_UNREACHABLE"),
        (reason(400, "SLOW"), TryLater, "SRC_RATE_LIMITED"),
        (reason(200, "VERSION"), StopRun, "SRC_WRONG_SHAPE"),
        (reason(400, "NOT_FOUND"), StopRun, "SRC_WRONG_SHAPE"),
    ],
)
async def test_a_reason_tells_a_read_too(
    fake: FakeTitanhst, tmp_path: Path, reply: Reply, kind: type[AetherError], code: str
) -> None:
    fake.fault = lambda _, __: reply
    async with ends(fake.url, tmp_path, interface=REASONED) as house:
        with pytest.raises(AetherError) as caught:
            await read(house.source(proof={}))
        assert (type(caught.value), caught.value.code) == (kind, code)


async def test_a_cursor_that_leads_back_ends_the_reading(fake: FakeTitanhst, tmp_path: Path) -> None:
    def loop(asked: Asked, _: Reply) -> Reply:
        page = {"data": [item(asked.number)], "totalCount": 99, "nextCursor": "again"}
        return as_json(200, {"page": page})

    fake.fault = loop
    interface = {"auth": {"kind": "none"}, "paging": FORMS["cursor"]}
    async with ends(fake.url, tmp_path, interface=interface) as house:
        with pytest.raises(StopRun, match="leads back") as caught:
            await read(house.source(proof={}))
        assert caught.value.code == "SRC_UNSTABLE"
        assert len(fake.asked) == 2


async def test_a_link_never_leads_to_another_host_path_or_organization(fake: FakeTitanhst, tmp_path: Path) -> None:
    def astray(asked: Asked, _: Reply) -> Reply:
        link = '<https://elsewhere.example/v1/admin?page=2&organizationId=1>; rel="next"'
        page = {"page": {"data": [item(asked.number)], "totalCount": 2}}
        return as_json(200, page, **({"Link": link} if asked.number == 1 else {}))

    fake.fault = astray
    interface = {"auth": {"kind": "none"}, "paging": FORMS["link_header"]}
    async with ends(fake.url, tmp_path, interface=interface) as house:
        assert len((await read(house.source(proof={})))[0]) == 2
    assert [(asked.path, asked.query.get("page")) for asked in fake.asked] == [
        ("/v1/contacts", None),
        ("/v1/contacts", "2"),
    ]
    assert {asked.query["organizationId"] for asked in fake.asked} == {"9001"}


@pytest.mark.parametrize("told", ["", "many", "-1"])
async def test_a_number_of_pages_that_is_none_ends_the_reading(fake: FakeTitanhst, tmp_path: Path, told: str) -> None:
    fake.fault = lambda _, __: as_json(200, {"page": {"data": [item(1)], "totalCount": 1}}, total_pages=told)
    interface = {"auth": {"kind": "none"}, "paging": FORMS["page_header"]}
    async with ends(fake.url, tmp_path, interface=interface) as house:
        with pytest.raises(StopRun) as caught:
            await read(house.source(proof={}))
        assert caught.value.code == "SRC_WRONG_SHAPE"


@pytest.mark.parametrize(
    ("results", "kinds"),
    [
        ([{"status": 201, "id": 5}, {"status": 409}], [None, TargetMoved]),
        ([{"status": 201, "id": 5}, {"status": 402}], [None, RecordRefused]),
        ([{"status": 201, "id": 5}, {"status": 500}], [None, OutcomeUnknown]),
        ([{"status": 201, "id": 5}, {"status": "201"}], [None, OutcomeUnknown]),
        ([{"status": 201, "id": 5}, {"status": 201}], [None, OutcomeUnknown]),
        ([{"status": 201, "id": 5}], [OutcomeUnknown, OutcomeUnknown]),
        ("done", [OutcomeUnknown, OutcomeUnknown]),
    ],
)
async def test_a_batch_is_believed_item_by_item(
    fake: FakeTitanhst, tmp_path: Path, results: Any, kinds: list[type[AetherError] | None]
) -> None:
    fake.fault = lambda _, __: as_json(200, {"message": "OK", "results": results})
    interface = {"auth": {"kind": "none"}, "statuses": {"capacity": [402]}}
    async with ends(fake.url, tmp_path, interface=interface, contacts={"batch": BATCH}, companions=IN_BATCHES) as house:
        target = house.target(proof={})
        ended = await _both(house.wire, target)
        assert [type(one) if isinstance(one, AetherError) else None for one in ended] == kinds
        assert len(fake.asked) == 1


@pytest.mark.parametrize(
    "told",
    [
        as_json(200, {"state": "broken"}),
        as_json(404, {"message": "no such batch"}),
        as_json(403, {"message": "no"}),
        Reply(200, b"<html>", "text/html"),
    ],
)
async def test_a_batch_that_cannot_be_asked_about_is_unknown(fake: FakeTitanhst, tmp_path: Path, told: Reply) -> None:
    fake.fault = lambda asked, _: as_json(202, {"message": "OK", "batchId": 7}) if asked.method == "POST" else told
    batch = {**BATCH, "poll": {**POLL, "failed": ["broken"]}}
    async with ends(
        fake.url, tmp_path, interface={"auth": {"kind": "none"}}, contacts={"batch": batch}, companions=IN_BATCHES
    ) as house:
        ended = await _both(house.wire, house.target(proof={}))
        assert [type(one) for one in ended] == [OutcomeUnknown] * 2


async def test_a_batch_that_is_turned_away_whole_has_done_nothing_for_any(fake: FakeTitanhst, tmp_path: Path) -> None:
    fake.fault = lambda _, __: as_json(429, {"message": "slow"})
    async with ends(
        fake.url, tmp_path, interface={"auth": {"kind": "none"}}, contacts={"batch": BATCH}, companions=IN_BATCHES
    ) as house:
        ended = await _both(house.wire, house.target(proof={}))
        assert [type(one) for one in ended] == [TryLater] * 2


async def test_an_error_of_a_media_type_of_its_own_is_their_own_word(fake: FakeTitanhst, tmp_path: Path) -> None:
    problem = Reply(422, b'{"title": "not so"}', "application/problem+json; charset=utf-8")
    fake.fault = lambda _, __: problem
    interface = {
        "auth": {"kind": "none"},
        "media_type": "application/vnd.klaxon+json",
        "error": {"message": "/title", "media_type": "application/problem+json"},
        "statuses": {"refused": [422]},
    }
    async with ends(fake.url, tmp_path, interface=interface) as house:
        with pytest.raises(RecordRefused):
            await house.written(house.target(proof={}), "update", "77", first_name="Zora")
    assert fake.asked[0].headers["content-type"] == fake.asked[0].headers["accept"] == "application/vnd.klaxon+json"


@pytest.mark.parametrize(("at_once", "most"), [(1, 1), (None, 3)])
async def test_no_more_requests_are_under_way_than_the_description_allows(
    fake: FakeTitanhst, tmp_path: Path, at_once: int | None, most: int
) -> None:
    fake.fault = lambda _, __: as_json(404, {"message": "no such contact"})
    under_way: list[int] = [0]
    serve = fake._serve

    async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        under_way.append(under_way[-1] + 1)
        await asyncio.sleep(0.05)
        await serve(reader, writer)
        under_way.append(under_way[-1] - 1)

    server = await asyncio.start_server(counted, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    interface = {"auth": {"kind": "none"}, "requests_at_once": at_once}
    async with server, ends(url, tmp_path, interface=interface) as house:
        target = house.target(proof={})
        found = await asyncio.gather(*(target.fetch("contacts", target_id=None, key=f"E{n}") for n in range(3)))
        assert found == [None, None, None]
    assert max(under_way) == most


async def _both(wire: Any, target: Any) -> list[Any]:
    """Two creates at the same moment."""
    writes = [wire.write_for("contacts", verb="create", target_id=None, values=contact(n)) for n in (1, 2)]
    return await asyncio.gather(*(target.write(one, idempotency_key="k") for one in writes), return_exceptions=True)

"""The family of systems over HTTP meets every nastiness of simulators/hostile: refused, or read exactly.

Whoever is refused is told so by an error of the house, in bounded time; nothing of what came passes for a whole list;
no stranger is asked; no secret shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from shared.errors import AetherError
from shared.ports.surroundings import Surroundings
from shared.secrets import Secret
from simulators.hostile.menu import NASTINESSES
from simulators.hostile.script import Nastiness
from simulators.hostile.server import HostileServer, serving_hostile
from systems.http.family import family_of

TOKEN = "token-that-nobody-may-see"
TIMEOUT_SECONDS = 3.0
HASTY_SECONDS = 0.4
NEVER_ENDING = {"slow_drip_body", "slow_drip_head", "silence", "silence_after_head", "interim_answers_without_end"}
"""What only a deadline ends; it is waited for in each try of a request."""
SECONDS_MAX = 25.0
"""For one nastiness, with all tries of a request that finds a broken server."""
ENDS_BY_ABSENCE = {"cursor_missing"}
PAGINGS: dict[str, dict[str, Any]] = {
    "items": {
        "kind": "offset_limit", "offset": "offset", "limit": "limit", "limit_max": 3, "items": "/items",
        "total": "/total", "ordered_by": "first_field",
    },
    "feed": {
        "kind": "cursor", "cursor": "cursor", "next": "/next", "limit": "limit", "limit_max": 3, "items": "/items",
    },
    "linked": {"kind": "link_header", "limit": "limit", "limit_max": 3, "items": ""},
}  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[HostileServer]:
    with serving_hostile() as running:
        yield running


async def read(resource: str, base: str, timeout_seconds: float = TIMEOUT_SECONDS) -> tuple[list[dict[str, Any]], bool]:
    """What our client makes of a list at that address, and whether it says that this is all of it."""

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.01))

    document = {
        "auth": {"kind": "bearer"},
        "paging": PAGINGS[resource],
        "error": {"message": "/message"},
        "entities": {
            "things": {
                "list": f"/{resource}",
                "fields": {"id": {"wire": "id", "kind": "integer"}, "name": {"wire": "name", "kind": "text"}},
            }
        },
    }
    family = family_of(document, name="hostile")
    settings = {
        "base_url": base, "token": "env:TOKEN", "page_limit": 2, "timeout_seconds": timeout_seconds,
        "body_bytes_max": 1_000_000, "pages_max": 50,
    }  # fmt: skip
    surroundings = Surroundings(rng=Random(7), sleep=sleep, resolve=lambda reference: Secret(TOKEN))
    source = family.build_source(family.settings().model_validate(settings), surroundings)
    try:
        reading = source.read("things")
        pages = [page async for page in reading]
    finally:
        await source.close()
    return [row for page in pages for row in page.rows.iter_rows(named=True)], reading.expected is not None


@pytest.mark.parametrize("resource", PAGINGS)
async def test_an_agreeable_server_is_read_whole(server: HostileServer, resource: str) -> None:
    rows, is_proven = await read(resource, server.url)
    assert len(rows) == 6
    assert is_proven is (resource == "items"), "a walk without a total proves nothing"


@pytest.mark.parametrize("nasty", NASTINESSES, ids=lambda nasty: nasty.name)
async def test_a_nasty_answer_is_refused_or_read_exactly(server: HostileServer, nasty: Nastiness) -> None:
    before = len(server.seen())
    delivered: list[dict[str, Any]] | None
    told, is_proven = "", False
    seconds = HASTY_SECONDS if nasty.name in NEVER_ENDING else TIMEOUT_SECONDS
    async with asyncio.timeout(SECONDS_MAX):
        try:
            delivered, is_proven = await read(nasty.resource, f"{server.url}/hostile/{nasty.name}", seconds)
        except AetherError as error:
            delivered, told = None, f"{error} {dict(error.facts)}"
    wanted = [dict(item) for item in nasty.items]
    match nasty.expect:
        case "refuse":
            # Where an end is told by nothing but an absence, what came is delivered without any proof: nothing is ever
            # removed by it.
            is_an_end = nasty.name in ENDS_BY_ABSENCE and not is_proven
            assert delivered is None or is_an_end, f"{len(delivered)} records passed for the whole: {nasty.why}"
        case "accept":
            assert delivered == wanted, f"{told}: {nasty.why}"
        case "either":
            assert delivered in (None, wanted), nasty.why
    assert TOKEN not in told
    seen = server.seen()[before:]
    assert not [one for one in seen if one["listener"] == "stranger"], "a stranger was asked"
    assert not [one for one in seen if one["has_cookie"]], "a cookie came back"

"""Systems with clients of their own meet every nastiness of simulators/hostile, done to their vendor's own answers.

A gateway stands before each system's simulator and spoils what it answers: to the requests of a list, to the request
for a token, to a write. A list is refused by an error of the house or read exactly as the vendor holds it; a write that
took place is never said to be undone, nor done on the word of an answer that cannot be relied upon. All in bounded
time; no stranger is asked, no cookie goes back, and no error shows a secret or what a person is called.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from shared.errors import AetherError, NeedsPerson, OutcomeUnknown, TryLater
from shared.http import exchange, patience
from simulators.hostile.gateway import rows_after
from simulators.hostile.menu import NASTINESSES, named
from simulators.hostile.script import Ask, Nastiness, Steps, message
from tests.systems.hostile_vendors import (
    LISTINGS,
    TIMEOUT_SECONDS,
    TOKENS,
    WRITINGS,
    Listing,
    Vendor,
    Writing,
    read,
    running_vendors,
)

HASTY_SECONDS = 0.3
"""For a whole request."""
NEVER_ENDING = {"slow_drip_body", "slow_drip_head", "silence", "silence_after_head", "interim_answers_without_end"}
"""What only a deadline ends."""
SECONDS_MAX = 15.0
"""For one nastiness, with all tries of a request that finds a broken server."""
TRIES = 2
"""That a broken server is asked so many times more is shown elsewhere; here it would only cost time."""
EVERYWHERE = [nasty for nasty in NASTINESSES if nasty.is_everywhere]


@pytest.fixture(scope="module")
def vendors() -> Iterator[dict[str, Vendor]]:
    with running_vendors() as running:
        yield running


@pytest.fixture(autouse=True)
def few_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "TRIES_MAX", TRIES)
    monkeypatch.setattr(patience, "RATE_WAITS_MAX", TRIES)


@pytest.fixture
def timeout_seconds(nasty: Nastiness, monkeypatch: pytest.MonkeyPatch) -> float:
    """A short one, and once only, where nothing else ends the answer."""
    if nasty.name not in NEVER_ENDING:
        return TIMEOUT_SECONDS
    monkeypatch.setattr(exchange, "TIMEOUTS_PER_REQUEST_MAX", 1)
    monkeypatch.setattr(patience, "TRIES_MAX", 1)
    return HASTY_SECONDS


def is_for(nasty: Nastiness, listing: Listing) -> bool:
    form = listing.form
    if nasty.name in listing.beyond_proof:
        return False
    match nasty.reach:
        case "own":
            return False
        case "list":
            return not nasty.is_everywhere
        case "wrapped":
            return form.items is not None
        case "total":
            # In a header every number is a text.
            return form.total is not None or (form.total_header is not None and nasty.name != "total_as_text")
        case "cursor":
            return form.cursor is not None


def of_lists() -> list[Any]:
    """Each system's first list meets everything, its others what is done to lists."""
    cases, seen = [], set()
    for listing in LISTINGS:
        everywhere = [] if listing.system in seen else EVERYWHERE
        seen.add(listing.system)
        cases += [(listing, nasty) for nasty in [*everywhere, *(each for each in NASTINESSES if is_for(each, listing))]]
    return [pytest.param(listing, nasty, id=f"{listing}-{nasty.name}") for listing, nasty in cases]


def assert_shows_nothing(told: str, vendor: Vendor, rows: list[dict[str, Any]], nasty: Nastiness) -> None:
    personal = {str(row[name]) for row in rows for name in row if name.endswith(("name", "email")) and row[name]}
    personal |= {nasty.renames or "Mallory", "Mallory", "Writtena", "Written-Grove", "written"}
    shown = [text for text in personal | vendor.secret_texts() if len(text) > 3 and text in told]
    assert not shown, f"{shown} in: {told}"


def assert_nobody_else_was_asked(vendor: Vendor, *, after_seq: int) -> None:
    seen = vendor.gateway.seen(after_seq=after_seq)
    assert not [one for one in seen if one["listener"] == "stranger"], "a stranger was asked"
    assert not [one for one in seen if one["has_cookie"]], "a cookie came back"


@pytest.mark.parametrize("listing", LISTINGS, ids=str)
async def test_an_honest_gateway_changes_nothing(vendors: dict[str, Vendor], listing: Listing) -> None:
    vendor = vendors[listing.system]
    vendor.gateway.spoil(None)
    rows, is_proven = await read(vendor.source(), listing.entity)
    assert rows == await vendor.rows_of(listing.entity)
    assert len(rows) >= 2
    assert is_proven


@pytest.mark.parametrize(("listing", "nasty"), of_lists())
async def test_a_spoiled_list_is_refused_or_read_exactly(
    vendors: dict[str, Vendor], listing: Listing, nasty: Nastiness, timeout_seconds: float
) -> None:
    vendor = vendors[listing.system]
    await judge_reading(vendor, listing, nasty, where=listing.path, is_list=True, timeout_seconds=timeout_seconds)


@pytest.mark.parametrize(
    ("system", "status"),
    [
        ("aeries_api", "200 OK"),
        ("aeries_api", "404 Not Found"),
        ("apex", "200 OK"),
        ("apex", "400 Bad Request"),
        ("apex", "404 Not Found"),
    ],
)
async def test_a_page_behind_the_last_one_may_be_refused(vendors: dict[str, Vendor], system: str, status: str) -> None:
    asked_behind: list[str] = []

    def act(ask: Ask) -> Steps:
        if ask.items():
            return iter((ask.honest(),))
        asked_behind.append(status)
        refusal = message(b'{"Message": "There is no such page"}', status=status)
        return iter((ask.honest() if status == "200 OK" else refusal,))

    # Of Apex a list whose one page is full: it tells how many pages there are, and nothing else.
    entity, where = ("staff", "^GET /staff$") if system == "apex" else ("students", LISTINGS[0].path)
    form = next(each.form for each in LISTINGS if each.system == system)
    wanted, vendor = await vendors[system].rows_of(entity), vendors[system]
    vendor.gateway.spoil(Nastiness(name="behind", expect="accept", why="", act=act), where=where, form=form)
    rows, is_proven = await read(vendor.source(), entity)
    vendor.gateway.spoil(None)
    assert (rows, is_proven) == (wanted, True)
    assert asked_behind


@pytest.mark.parametrize("nasty", EVERYWHERE, ids=lambda nasty: nasty.name)
@pytest.mark.parametrize("system", TOKENS)
async def test_a_spoiled_token_is_refused_or_serves(
    vendors: dict[str, Vendor], system: str, nasty: Nastiness, timeout_seconds: float
) -> None:
    listing, where = next(each for each in LISTINGS if each.system == system), TOKENS[system]
    await judge_reading(vendors[system], listing, nasty, where=where, is_list=False, timeout_seconds=timeout_seconds)


async def judge_reading(
    vendor: Vendor, listing: Listing, nasty: Nastiness, *, where: str, is_list: bool, timeout_seconds: float
) -> None:
    rows = await vendor.rows_of(listing.entity)
    wanted = rows_after(nasty, rows, name=listing.name) if is_list else rows
    before, struck = vendor.gateway.last_seq(), vendor.gateway.struck
    vendor.gateway.spoil(nasty, where=where, form=listing.form if is_list else None)
    delivered: list[dict[str, Any]] | None
    told, is_proven = "", False
    async with asyncio.timeout(SECONDS_MAX):
        try:
            delivered, is_proven = await read(vendor.source(timeout_seconds=timeout_seconds), listing.entity)
        except AetherError as error:
            delivered, told = None, f"{error} {dict(error.facts)}"
    vendor.gateway.spoil(None)
    assert vendor.gateway.struck > struck, "the gateway spoiled nothing"
    match nasty.expect:
        case "refuse":
            # What is done to later pages is nothing to a list of one page; and without a total nothing is proven.
            is_harmless = delivered == rows and not (is_proven and listing.is_paged)
            assert delivered is None or is_harmless, f"{len(delivered)} records: {nasty.why}"
        case "accept":
            assert delivered == wanted, f"{told}: {nasty.why}"
        case "either":
            assert delivered in (None, wanted), nasty.why
    assert_shows_nothing(told, vendor, rows, nasty)
    assert_nobody_else_was_asked(vendor, after_seq=before)


@pytest.mark.parametrize("nasty", EVERYWHERE, ids=lambda nasty: nasty.name)
@pytest.mark.parametrize("writing", WRITINGS, ids=str)
async def test_a_write_with_a_spoiled_answer_is_never_taken_for_done(
    vendors: dict[str, Vendor], writing: Writing, nasty: Nastiness, timeout_seconds: float
) -> None:
    vendor = vendors[writing.system]
    before, struck = vendor.gateway.last_seq(), vendor.gateway.struck
    vendor.made += 1
    values = writing.values(vendor.made)
    write = vendor.wire().write_for(writing.entity, verb=writing.verb, target_id=writing.target_id, values=values)
    vendor.gateway.spoil(nasty, where=writing.path)
    target, error, receipt = vendor.target(timeout_seconds=timeout_seconds), None, None
    try:
        async with asyncio.timeout(SECONDS_MAX):
            receipt = await target.write(write, idempotency_key="any")
    except AetherError as raised:
        error = raised
    finally:
        await target.close()
    vendor.gateway.spoil(None)
    assert vendor.gateway.struck > struck, "the gateway spoiled nothing"
    if receipt is not None:
        assert nasty.expect != "refuse", f"said to be done: {nasty.why}"
    else:
        assert nasty.expect != "accept", f"{error}: {nasty.why}"
        assert error is not None
        assert_is_no_denial(error, nasty)
        assert_shows_nothing(f"{error} {dict(error.facts)}", vendor, [], nasty)
    assert_nobody_else_was_asked(vendor, after_seq=before)


@pytest.mark.parametrize("writing", WRITINGS, ids=str)
async def test_what_was_answered_badly_has_taken_place(vendors: dict[str, Vendor], writing: Writing) -> None:
    vendor, nasty = vendors[writing.system], named("cut_before_any_byte")
    vendor.made += 1
    values = writing.values(vendor.made)
    write = vendor.wire().write_for(writing.entity, verb=writing.verb, target_id=writing.target_id, values=values)
    vendor.gateway.spoil(nasty, where=writing.path)
    target = vendor.target()
    try:
        with pytest.raises(OutcomeUnknown):
            await target.write(write, idempotency_key="any")
        vendor.gateway.spoil(None)
        key = None if writing.target_id is not None else str(values[writing.key])
        shown = await target.fetch(writing.entity, target_id=writing.target_id, key=key)
    finally:
        await target.close()
    assert shown is not None
    assert {name: shown[name] for name in values} == dict(values)


def assert_is_no_denial(error: AetherError, nasty: Nastiness) -> None:
    """The vendor has carried it out: nobody may say that it is not done, but for who is told so in plain HTTP."""
    match nasty.name:
        case "challenge_for_credentials":
            assert isinstance(error, NeedsPerson), error
        case name if name.startswith("retry_after"):
            assert isinstance(error, TryLater), error
            assert error.failure.category == "rate_limited"
        case _:
            assert isinstance(error, OutcomeUnknown), f"{error}: {nasty.why}"

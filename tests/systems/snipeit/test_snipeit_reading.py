"""Reading Snipe-IT: its escaped texts, its hidden assets, its limits and its many ways to say no."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.errors import NeedsPerson, StopRun, TryLater
from shared.ports.system import Source
from simulators.snipeit.access import Rights
from tests.simulators.running_snipeit import Snipe, small_seed
from tests.systems.snipeit.conftest import Opened


def assets(number: int, **fields: Any) -> list[dict[str, Any]]:
    return [{"id": n, "asset_tag": f"T{n}", "model_id": 1, "status_id": 1, **fields} for n in range(1, number + 1)]


def people(number: int) -> list[dict[str, Any]]:
    return [
        {"id": n, "first_name": "Ann", "username": f"u{n}", "employee_num": f"E{n}", "activated": True}
        for n in range(1, number + 1)
    ]


def replace_state(snipe: Snipe, **tables: list[dict[str, Any]]) -> None:
    assert snipe.control.put("/state", json=small_seed(**tables)).status_code == 204


# --- what records look like -----------------------------------------------------------------------------------------


async def test_escaped_text_is_read_as_it_was_written(system: Opened) -> None:
    by_id = {row["target_id"]: row for row in await system.rows("users")}
    assert by_id["1"]["last_name"] == "O'Brien"
    assert by_id["2"]["manager"] == "Ada O'Brien"
    assert (by_id["2"]["location_id"], by_id["2"]["location"]) == ("1", "North")


@pytest.mark.parametrize("release", ["8.1.4", "8.6"])
async def test_both_releases_give_the_same_columns(system: Opened, release: str) -> None:
    system.snipe.switch(release=release)
    rows = {row["asset_tag"]: row for row in await system.rows("hardware")}
    assert {tag: row["status"] for tag, row in rows.items()} == {"T1": "Ready", "T2": "Ready", "T3": "Retired"}
    assert rows["T1"]["holder_employee_num"] == "E2"
    users = await system.rows("users")
    assert [row["mobile"] for row in users] == [None] * 3


async def test_deleted_users_are_in_no_reading_and_not_shown(system: Opened) -> None:
    system.snipe.done("DELETE", "/users/3")
    assert [row["target_id"] for row in await system.rows("users")] == ["1", "2"]
    assert await system.target().fetch("users", target_id="3", key=None) is None
    assert await system.target().fetch("users", target_id=None, key="E3") is None


async def test_custom_fields_are_read_by_their_database_column(system: Opened) -> None:
    replace_state(system.snipe, hardware=assets(1, _snipeit_mac_address_1="aa:bb"))
    rows = await system.rows("hardware", custom_fields={"custom_1": "_snipeit_mac_address_1"})
    assert (rows[0]["custom_1"], rows[0]["custom_2"]) == ("aa:bb", None)
    assert (await system.rows("hardware"))[0]["custom_1"] is None


async def test_what_is_only_read_has_its_rows_too(system: Opened) -> None:
    assert [row["type"] for row in await system.rows("statuslabels")] == [
        "deployable",
        "pending",
        "archived",
        "undeployable",
    ]
    for entity, name in {
        "categories": "Laptops",
        "companies": "Bristlecone USD",
        "departments": "Instruction",
        "manufacturers": "Acme",
        "models": "Chromebook",
    }.items():
        (row,) = await system.rows(entity)
        assert (row["target_id"], row["name"]) == ("1", name)
    assert [row["parent"] for row in await system.rows("locations")] == [None, "North", None]


# --- whole lists ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shows_archived", [False, True])
async def test_archived_assets_are_read_once_whether_lists_hide_them_or_not(
    system: Opened, shows_archived: bool
) -> None:
    system.snipe.switch(shows_archived=shows_archived)
    reading = system.source(page_limit=2).read("hardware")
    ids = [row for page in [page async for page in reading] for row in page.rows["target_id"].to_list()]
    assert sorted(ids) == ["1", "2", "3"]
    assert reading.expected is not None
    assert reading.expected.rows == 3


@pytest.mark.parametrize(("before", "after", "others", "last"), [(3, 1, 3, "3"), (1, 3, 2, "9")])
async def test_an_asset_that_is_archived_or_brought_back_between_the_two_lists_is_never_lost_or_doubled(
    system: Opened, before: int, after: int, others: int, last: str
) -> None:
    """Behind the last page of the first list, one asset changes sides."""
    moving = {"id": 9, "asset_tag": "T9", "model_id": 1, "status_id": before}
    replace_state(system.snipe, hardware=[*assets(others), moving])
    has_moved = False
    with pytest.raises(StopRun) as caught:
        async for page in system.source(page_limit=2).read("hardware"):
            if page.rows["target_id"].to_list() == [last] and not has_moved:
                system.snipe.done("PATCH", "/hardware/9", {"status_id": after})
                has_moved = True
    assert has_moved
    assert caught.value.code == "SRC_UNSTABLE"


async def test_checkouts_are_what_people_have_and_the_proof_speaks_of_all_assets(system: Opened) -> None:
    lent = {1: ("user", 2), 2: ("location", 1), 3: ("asset", 1), 4: ("user", 3), 5: (None, None)}
    replace_state(
        system.snipe,
        hardware=[
            {**asset, "assigned_type": kind, "assigned_to": holder}
            for asset, (kind, holder) in zip(assets(5), lent.values(), strict=True)
        ],
    )
    reading = system.source(page_limit=2).read("checkouts")
    keys = [key for page in [page async for page in reading] for key in page.rows["checkout_key"].to_list()]
    assert keys == ["T1/E2", "T4/E3"]
    assert reading.expected is not None
    assert reading.expected.rows == 2
    assert "among 5 assets" in reading.expected.origin


async def test_a_user_added_while_the_list_is_read_makes_the_reading_void(system: Opened) -> None:
    replace_state(system.snipe, users=people(30))
    with pytest.raises(StopRun) as caught:
        async for page in system.source(pages_in_flight=1).read("users"):
            if page.number == 1:
                system.snipe.done("POST", "/users", {"first_name": "Dee", "username": "dee", "ldap_import": True})
    assert caught.value.code == "SRC_UNSTABLE"


async def test_a_server_that_gives_shorter_pages_says_which_setting_to_change(system: Opened) -> None:
    replace_state(system.snipe, users=people(30))
    system.snipe.switch(max_results=4)
    with pytest.raises(StopRun, match="set page_limit to 4"):
        await system.rows("users")
    findings = await system.source().check()
    assert [finding.text for finding in findings if not finding.is_good and "page_limit" in finding.text]
    assert len(await system.rows("users", page_limit=4)) == 30
    assert set(system.snipe.violations()) == {"L2"}, "what this test is about, and nothing else"
    system.snipe.begin_anew()


# --- too many requests ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("switches", "told"),
    [
        ({"release": "8.1.4"}, None),
        ({"release": "8.6"}, 60.0),
        ({"release": "8.6", "has_absurd_retry": True}, 60.0),
        ({"release": "8.6", "has_numeric_throttle_message": True}, None),
    ],
)
async def test_a_throttled_reading_waits_and_ends_whole(
    system: Opened, switches: dict[str, Any], told: float | None
) -> None:
    replace_state(system.snipe, users=people(30))
    system.snipe.switch(throttle_per_minute=2, **switches)
    assert len(await system.rows("users", pages_in_flight=1)) == 30
    assert system.observed.slowed, "those who share the rate were not told"
    assert set(system.observed.slowed) == {told}
    assert max(system.waits) <= 120, "no wait is longer than the vendor's window asks for"


async def test_a_limit_that_never_opens_ends_in_words_and_not_in_waiting_for_ever(system: Opened) -> None:
    system.snipe.switch(throttle_per_minute=1)
    await system.rows("companies")

    source = system.source()
    system.snipe.clock.monotonic_seconds -= 1e6  # its minute does not end
    with pytest.raises(TryLater) as caught:
        await system.rows("users", source)
    assert caught.value.code == "SRC_RATE_LIMITED"


# --- causes ---------------------------------------------------------------------------------------------------------


async def failed(source: Source) -> tuple[str, str]:
    """Code and text of what a reading of users ends with."""
    with pytest.raises((NeedsPerson, StopRun, TryLater)) as caught:
        async for _ in source.read("users"):
            pass
    return caught.value.code, caught.value.message


async def test_a_token_that_nobody_knows_a_right_that_lacks_and_a_wrong_address_are_told_apart(system: Opened) -> None:
    code, text = await failed(system.source(token="env:OTHER"))
    assert (code, "make a new one" in text) == ("SRC_AUTH", True)
    code, text = await failed(system.source(base_url=f"{system.snipe.url}/assets"))
    assert (code, "check base_url" in text) == ("SRC_CONFIG", True)
    findings = await system.source(base_url=f"{system.snipe.url}/assets").check()
    assert [(finding.subject, finding.is_good) for finding in findings] == [("settings", False)]


def test_an_address_with_the_interfaces_own_path_is_refused_with_the_setting_named(system: Opened) -> None:
    for path in ("/api/v1", "/api/v1/", "/api"):
        with pytest.raises(NeedsPerson, match=r"settings\.base_url.*leave that out"):
            system.source(base_url=system.snipe.url + path)


def test_a_custom_field_without_a_column_for_it_is_refused(system: Opened) -> None:
    with pytest.raises(NeedsPerson, match="custom_11 is no column"):
        system.source(custom_fields={"custom_11": "_snipeit_mac_1"})


async def test_the_token_of_a_deleted_user_is_refused_from_then_on(system: Opened) -> None:
    source = system.source(Rights.SUPERUSER)
    state = system.snipe.state()
    assert await system.rows("companies", source)
    for user in state["users"]:
        user["deleted_at"] = "2026-11-22 08:00:00" if user["id"] == 1 else None
    seed = {name: rows for name, rows in state.items() if name in small_seed()}
    assert system.snipe.control.put("/state", json=seed).status_code == 204
    assert (await failed(source))[0] == "SRC_AUTH"


async def answering(status: int, head: str, body: str) -> tuple[asyncio.Server, str]:
    """A server that gives one answer to whatever it is asked."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} X\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    ("status", "head", "body", "code", "named"),
    [
        (302, "Location: https://assets.example/login\r\n", "", "SRC_AUTH", "login page"),
        (302, "Location: https://assets.example/\r\n", "", "SRC_WRONG_SHAPE", "sends us elsewhere"),
        (200, "Content-Type: text/html\r\n", "<html>", "SRC_WRONG_SHAPE", "text/html"),
        (403, "Content-Type: text/html\r\n", "<html>", "SRC_CONFIG", "not from Snipe-IT"),
        (403, "Content-Type: application/json\r\n", '{"message": "no"}', "SRC_AUTH", "give that user the right"),
        (404, "Content-Type: text/html\r\n", "<html>", "SRC_CONFIG", "check base_url"),
        (405, "Content-Type: application/json\r\n", '{"messages": "no"}', "SRC_CONFIG", "no such path or verb"),
        (500, "Content-Type: application/json\r\n", '{"message": "Server Error"}', "SRC_UNREACHABLE", "500"),
        (200, "Content-Type: application/json\r\n", '{"total": 0', "SRC_WRONG_SHAPE", "application/json"),
        (200, "Content-Type: application/json\r\n", '{"total": 1, "rows": [{}]}', "SRC_WRONG_SHAPE", "/rows/0/id"),
        (
            200,
            "Content-Type: application/json\r\n",
            '{"status": "error", "messages": "Non disponible"}',
            "SRC_WRONG_SHAPE",
            "language",
        ),
    ],
)
async def test_every_other_answer_is_told_by_its_cause(
    system: Opened, status: int, head: str, body: str, code: str, named: str
) -> None:
    server, url = await answering(status, head, body)
    async with server:
        found, text = await failed(system.source(base_url=url))
    assert (found, named in text) == (code, True), text


async def test_a_right_that_lacks_for_one_list_is_told_and_the_others_are_looked_at(system: Opened) -> None:
    paths: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            path = line.split()[1].decode().partition("?")[0]
            paths.append(path)
            while (await reader.readline()).strip():
                pass
            body, status = '{"total": 0, "rows": []}', 200
            if path.endswith("/companies"):
                body, status = '{"message": "This action is unauthorized."}', 403
            head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body.encode())
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        source = system.source(base_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        findings = await source.check()
        await source.close()
    assert [finding.subject for finding in findings if not finding.is_good] == ["permission"]
    assert "companies" in next(finding.text for finding in findings if not finding.is_good)
    assert len(paths) == len(set(paths)) == 9

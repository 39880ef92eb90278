"""What is particular to OneRoster, against its simulator over a real socket and against bundles that it wrote."""

from __future__ import annotations

import asyncio
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shared.errors import AetherError, NeedsPerson, StopRun
from shared.ports.connections import Connection
from shared.ports.surroundings import Surroundings
from shared.ports.system import Reading, Source
from shared.secrets import Secret
from simulators.oneroster.bundle import Bundle, write_bundle
from simulators.oneroster.store import Roster
from tests.simulators.running_oneroster import CLIENT_ID, CLIENT_SECRET, RunningRoster, running_oneroster, seed, user
from tests.support.systems import installed_systems

ENTITIES = ("orgs", "academic_sessions", "courses", "classes", "users", "enrollments")


@pytest.fixture(scope="module")
def served() -> Iterator[RunningRoster]:
    with running_oneroster() as roster:
        yield roster


@pytest.fixture
def roster(served: RunningRoster) -> RunningRoster:
    served.reset()
    return served


async def hurry(seconds: float) -> None:
    await asyncio.sleep(min(seconds, 0.01))


@asynccontextmanager
async def opened(url: str | None, **settings: Any) -> AsyncIterator[Source]:
    service = {"base_url": url, "client_id": CLIENT_ID, "client_secret": "env:SECRET", "timeout_seconds": 5}
    told = (service if url is not None else {}) | settings
    registry = installed_systems(surroundings=Surroundings(sleep=hurry, resolve=lambda _: Secret(CLIENT_SECRET)))
    source = registry.open_source(Connection(name="roster", system="oneroster", environment="staging", settings=told))
    try:
        yield source
    finally:
        await source.close()


async def rows_in(reading: Reading) -> list[dict[str, Any]]:
    return [row async for page in reading for row in page.rows.iter_rows(named=True)]


def bundled(folder: Path, *, version: str = "1.1", since: str | None = None) -> tuple[Path, Path]:
    """The zip and the folder of a bundle of the small district."""
    write_bundle(
        Roster.from_document(seed(), now=datetime(2026, 11, 22, 8, tzinfo=UTC)),
        folder,
        Bundle(version=version, since=since),  # type: ignore[arg-type] # one of the two
    )
    (packed,) = folder.glob("*.zip")
    return packed, packed.with_suffix("") if packed.with_suffix("").is_dir() else folder / packed.stem


# --- service ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.1", "1.2"])
async def test_every_entity_is_read_whole_under_both_versions(roster: RunningRoster, version: str) -> None:
    async with opened(roster.url, version=version, page_limit=2) as source:
        for entity in ENTITIES:
            reading = source.read(entity)
            rows = await rows_in(reading)
            assert reading.expected is not None
            assert reading.expected.rows == len(rows) > 0, entity
        findings = await source.check()
        assert all(finding.is_good for finding in findings)
    assert roster.violations() == []


async def test_both_versions_tell_the_same_of_a_user(roster: RunningRoster) -> None:
    found = []
    for version in ("1.1", "1.2"):
        async with opened(roster.url, version=version) as source:
            found.append({row["sourced_id"]: row for row in await rows_in(source.read("users"))})
    old, new = found
    assert old["P1"] == new["P1"]
    assert (old["P1"]["role"], old["P1"]["org_id"], old["P1"]["roles"]) == ("student", "S1", "student@S1")
    assert (old["K1"]["role"], new["K1"]["role"]) == ("aide", "counselor"), "1.1 has no word for counselors"


async def test_what_was_removed_comes_with_its_status(roster: RunningRoster) -> None:
    async with opened(roster.url) as source:
        status = {row["sourced_id"]: row["status"] for row in await rows_in(source.read("users"))}
    assert (status["P1"], status["P3"]) == ("active", "tobedeleted")


async def test_a_list_that_turns_without_an_order_is_asked_for_in_order(roster: RunningRoster) -> None:
    roster.switch(unstable_order=True)
    async with opened(roster.url, page_limit=2) as source:
        keys = [row["sourced_id"] for row in await rows_in(source.read("users"))]
    assert keys == sorted(keys)
    assert len(keys) == 6


async def test_a_total_that_moves_ends_the_reading(roster: RunningRoster) -> None:
    async with opened(roster.url, page_limit=2, pages_in_flight=1) as source:
        reading = aiter(source.read("users"))
        await anext(reading)
        document = seed()
        document["users"].append(user("Z9"))
        assert roster.control.put("/state", json=document).status_code == 204
        with pytest.raises(StopRun) as caught:
            [page async for page in reading]
    assert caught.value.code == "SRC_UNSTABLE"
    assert "total moved from 6 to 7" in str(caught.value)


async def test_without_a_total_nothing_is_proven(roster: RunningRoster) -> None:
    roster.switch(shows_totals=False)
    async with opened(roster.url, page_limit=4) as source:
        reading = source.read("users")
        assert len(await rows_in(reading)) == 6
        assert reading.expected is None
        assert any("nothing will ever be removed" in finding.text for finding in await source.check())


async def test_a_page_that_is_silently_capped_is_never_taken_for_the_end(roster: RunningRoster) -> None:
    roster.switch(limit_max=4, over_limit="cap")
    async with opened(roster.url, page_limit=5) as source:
        with pytest.raises(StopRun, match="page_limit") as caught:
            await rows_in(source.read("users"))
    assert caught.value.code == "SRC_UNSTABLE"


@pytest.mark.parametrize("error_body", ["flat", "wrapped"])
async def test_a_page_limit_that_is_refused_is_a_setting_to_correct(roster: RunningRoster, error_body: str) -> None:
    roster.switch(limit_max=4, error_body=error_body)
    async with opened(roster.url, page_limit=5) as source:
        with pytest.raises(NeedsPerson, match=r"page_limit \(5\)") as caught:
            await rows_in(source.read("users"))
    assert caught.value.code == "SRC_CONFIG"


async def test_json_booleans_are_read_too(roster: RunningRoster) -> None:
    roster.switch(json_booleans=True)
    async with opened(roster.url) as source:
        enabled = {row["sourced_id"]: row["enabled"] for row in await rows_in(source.read("users"))}
    assert (enabled["T1"], enabled["T2"]) == (True, False)


@pytest.mark.parametrize("where", ["basic", "form"])
async def test_the_credentials_stand_where_the_service_wants_them(roster: RunningRoster, where: str) -> None:
    roster.switch(client_auth={"basic": "basic", "form": "body"}[where])
    async with opened(roster.url, version="1.2", client_auth=where) as source:
        assert len(await rows_in(source.read("orgs"))) == 3
    assert roster.violations() == []


async def test_scopes_that_do_not_open_the_roster_are_told_as_a_permission(roster: RunningRoster) -> None:
    scope = "https://purl.imsglobal.org/spec/or/v1p2/scope/roster-demographics.readonly"
    async with opened(roster.url, version="1.2", scope=scope) as source:
        findings = await source.check()
    assert [(finding.subject, finding.is_good) for finding in findings] == [("permission", False)]
    assert "scopes" in findings[0].text


async def test_a_token_that_ends_between_two_pages_is_renewed(roster: RunningRoster) -> None:
    async with opened(roster.url, page_limit=2, pages_in_flight=1) as source:
        reading = aiter(source.read("users"))
        first = await anext(reading)
        roster.clock.now = datetime(2026, 11, 23, 8, 0, 0, tzinfo=UTC)
        rest = [page async for page in reading]
    assert first.rows.height + sum(page.rows.height for page in rest) == 6


async def test_another_path_and_prefix_can_be_set_and_a_wrong_one_is_told() -> None:
    with running_oneroster(settings={"path_prefix": "district"}) as behind:
        async with opened(f"{behind.url}/district") as source:
            assert len(await rows_in(source.read("orgs"))) == 3
    with running_oneroster() as plain:
        async with opened(plain.url, base_path="/elsewhere", token_path="/ims/oneroster/v1p1/token") as source:
            findings = await source.check()
    assert [(finding.subject, finding.is_good) for finding in findings] == [("settings", False)]
    assert "base_path" in findings[0].text


# --- bundles ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.1", "1.2"])
async def test_a_zip_holds_what_the_service_shows_but_for_what_was_removed(
    roster: RunningRoster, tmp_path: Path, version: str
) -> None:
    packed, _ = bundled(tmp_path, version=version)
    async with opened(None, bundle=str(packed)) as files, opened(roster.url, version=version) as service:
        for entity in ENTITIES:
            shown = [
                row | {"status": None, "modified_at": None}
                for row in await rows_in(service.read(entity))
                if row["status"] == "active"
            ]
            reading = files.read(entity)
            assert await rows_in(reading) == shown, entity
            assert reading.expected is not None
            assert reading.expected.rows == len(shown)
        assert all(finding.is_good for finding in await files.check())


async def test_a_folder_is_read_and_proves_nothing(tmp_path: Path) -> None:
    _, loose = bundled(tmp_path)
    async with opened(None, bundle=str(loose)) as source:
        reading = source.read("users")
        assert len(await rows_in(reading)) == 5
        assert reading.expected is None


async def test_a_bundle_of_changes_is_refused(tmp_path: Path) -> None:
    packed, _ = bundled(tmp_path, since="2026-11-15T00:00:00.000Z")
    async with opened(None, bundle=str(packed)) as source:
        with pytest.raises(StopRun, match="is delta and must be bulk") as caught:
            await rows_in(source.read("users"))
        assert caught.value.code == "SRC_INCOMPLETE"
        assert not all(finding.is_good for finding in await source.check())


def altered(folder: Path, name: str, change: Any) -> Path:
    """A folder like the bundle's in which one file was changed."""
    _, loose = bundled(folder)
    file = loose / f"{name}.csv"
    file.write_bytes(change(file.read_bytes()))
    return loose


@pytest.mark.parametrize(
    ("name", "change", "code"),
    [
        ("users", lambda text: text[: len(text) - 12], "SRC_WRONG_SHAPE"),
        ("users", lambda text: text.replace(b"sourcedId", b"id", 1), "SRC_WRONG_SHAPE"),
        ("users", lambda text: text.replace(b"Ada", b"\xff", 1), "SRC_WRONG_SHAPE"),
        ("users", lambda text: text.replace(b"P2", b"P1", 1), "SRC_UNSTABLE"),
        ("users", lambda text: b"", "SRC_WRONG_SHAPE"),
        ("manifest", lambda text: text.replace(b"oneroster.version,1.1", b"oneroster.version,2.0"), "SRC_WRONG_SHAPE"),
        ("manifest", lambda text: text.replace(b"file.users,bulk", b"file.users,absent"), "SRC_INCOMPLETE"),
    ],
)
async def test_a_file_that_is_cut_or_of_another_shape_is_never_read_as_a_roster(
    tmp_path: Path, name: str, change: Any, code: str
) -> None:
    async with opened(None, bundle=str(altered(tmp_path, name, change))) as source:
        with pytest.raises(AetherError) as caught:
            await rows_in(source.read("users"))
    assert caught.value.code == code
    assert "Sample" not in str(caught.value)


async def test_a_zip_that_is_damaged_or_too_long_is_not_read(tmp_path: Path) -> None:
    packed, _ = bundled(tmp_path)
    big = tmp_path / "big.zip"
    with zipfile.ZipFile(packed) as old, zipfile.ZipFile(big, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) + (b"\n" * 5_000 if name == "users.csv" else b""))
    async with opened(None, bundle=str(big), file_bytes_max=2_048) as source:
        with pytest.raises(StopRun, match="file_bytes_max"):
            await rows_in(source.read("users"))
    broken = tmp_path / "broken.zip"
    content = packed.read_bytes()
    broken.write_bytes(content[: len(content) // 2])
    for path in (broken, tmp_path / "nothing.zip"):
        async with opened(None, bundle=str(path)) as source:
            with pytest.raises(NeedsPerson) as caught:
                await rows_in(source.read("users"))
            assert caught.value.code == "SRC_CONFIG"
            assert [finding.subject for finding in await source.check()] == ["settings"]


async def test_a_damaged_file_within_a_zip_is_noticed_by_its_checksum(tmp_path: Path) -> None:
    packed, _ = bundled(tmp_path)
    damaged = tmp_path / "damaged.zip"
    with zipfile.ZipFile(packed) as old, zipfile.ZipFile(damaged, "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    damaged.write_bytes(damaged.read_bytes().replace(b"Sample P1", b"Sample P7", 1))
    async with opened(None, bundle=str(damaged)) as source:
        with pytest.raises(StopRun) as caught:
            await rows_in(source.read("users"))
    assert caught.value.code == "SRC_INCOMPLETE"


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, "base_url, client_id, client_secret"),
        ({"bundle": "/roster.zip", "base_url": "https://roster.example"}, "leave out base_url"),
        ({"base_url": "https://roster.example", "client_id": "x"}, "give client_secret"),
    ],
)
async def test_settings_name_a_service_or_a_bundle(settings: dict[str, str], text: str) -> None:
    with pytest.raises(NeedsPerson, match=text):
        async with opened(None, **settings):
            pass

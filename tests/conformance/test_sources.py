"""Every system that has a bench, held to what every source promises."""

from __future__ import annotations

import asyncio
import logging

import pytest
import structlog
from structlog.testing import capture_logs

from shared.errors import AetherError, NeedsPerson
from shared.ports.system import Page
from tests.conformance.bench import Bench, Vendor
from tests.conformance.rules import REGISTRY, bench_module, cases, shows
from tests.conformance.source_suite import SourceSuite, pages_of

UNSTEADY = {"SRC_UNSTABLE", "SRC_INCOMPLETE", "SRC_WRONG_SHAPE"}
ONCE_MORE_SECONDS_MAX = 60.0


async def read_or_error(bench: Bench) -> list[Page] | AetherError:
    try:
        async with asyncio.timeout(ONCE_MORE_SECONDS_MAX):
            return await pages_of(bench.source, bench.entity)
    except AetherError as error:
        return error


def rows_of(pages: list[Page]) -> int:
    return sum(page.rows.height for page in pages)


@pytest.mark.parametrize("case", cases("source"), ids="-".join)
class TestSources(SourceSuite):
    @shows("matches_its_manifest")
    async def test_manifest_names_the_key_among_the_columns(self, bench: Bench, case: tuple[str, str]) -> None:
        entity = REGISTRY.manifest(case[0]).entities[case[1]]
        assert entity.key in {column.name for column in bench.source.columns(bench.entity)}
        pages = await pages_of(bench.source, bench.entity)
        keys = [key for page in pages for key in page.rows[entity.key].to_list()]
        assert len(set(keys)) == len(keys) == bench.rows

    @shows("judged_by_a_simulator")
    async def test_nothing_is_asked_that_the_documents_forbid(self, bench: Bench, vendor: Vendor) -> None:
        await bench.source.check()
        await pages_of(bench.source, bench.entity)
        assert await vendor.journal(), "nothing was asked of the simulator"
        assert await vendor.violations() == []

    # --- lists that do not stand still ------------------------------------------------------------------------------

    @shows("unsteady_lists_are_noticed")
    @pytest.mark.parametrize("fault", ["short_page", "repeated_page"])
    async def test_a_page_cut_short_or_repeated_never_passes_for_a_whole(
        self, bench: Bench, vendor: Vendor, fault: str
    ) -> None:
        if not bench.is_paged:
            pytest.skip("this entity comes in one piece")
        await vendor.arm(fault, method="GET", path_pattern=bench.list_path, after=1)
        read = await read_or_error(bench)
        assert await vendor.disarm() == 1, "the fault has not struck"
        assert isinstance(read, AetherError), f"{rows_of(read)} rows of {bench.rows} passed for a whole"
        assert read.code in UNSTEADY

    @shows("complete_reads_only")
    @pytest.mark.parametrize("fault", ["torn_body", "html_page"])
    async def test_a_body_that_is_torn_or_of_another_program_ends_the_reading_or_is_asked_for_again(
        self, bench: Bench, vendor: Vendor, fault: str
    ) -> None:
        await vendor.arm(fault, method="GET", path_pattern=bench.list_path)
        read = await read_or_error(bench)
        assert await vendor.disarm() == 1, "the fault has not struck"
        if isinstance(read, AetherError):
            assert read.code in {*UNSTEADY, "SRC_UNREACHABLE", "SRC_CONFIG"}
        else:
            assert rows_of(read) == bench.rows

    # --- busy and broken --------------------------------------------------------------------------------------------

    @shows("throttling_is_heeded")
    async def test_too_many_requests_are_waited_out(self, bench: Bench, vendor: Vendor) -> None:
        await vendor.arm("too_many_requests", method="GET", path_pattern=bench.list_path, times=2)
        read = await read_or_error(bench)
        assert await vendor.disarm() == 2
        assert not isinstance(read, AetherError), read
        assert rows_of(read) == bench.rows
        assert bench.surroundings is not None
        assert len(bench.surroundings.slowed) == 2, "those who share the rate were not told"

    @shows("empty_is_not_failed")
    @pytest.mark.parametrize("fault", ["server_error", "reset_before_effect"])
    async def test_a_system_that_fails_on_is_an_error_and_never_an_empty_list(
        self, bench: Bench, vendor: Vendor, fault: str
    ) -> None:
        await vendor.arm(fault, method="GET", path_pattern=bench.list_path, times=1_000)
        read = await read_or_error(bench)
        assert isinstance(read, AetherError), f"{rows_of(read)} rows came from a system that only fails"
        assert read.code in {"SRC_UNREACHABLE", "SRC_WRONG_SHAPE"}

    @shows("everything_is_bounded")
    async def test_tries_have_an_end(self, bench: Bench, vendor: Vendor) -> None:
        await vendor.arm("server_error", method="GET", path_pattern=bench.list_path, times=1_000)
        before = len(await vendor.journal())
        read = await read_or_error(bench)
        assert isinstance(read, AetherError)
        asked = [entry for entry in (await vendor.journal())[before:] if entry["fault"] == "server_error"]
        assert 2 <= len(asked) <= 40, f"{len(asked)} requests went to a system that only fails"

    @shows("empty_is_not_failed")
    async def test_one_failure_in_between_is_asked_again(self, bench: Bench, vendor: Vendor) -> None:
        await vendor.arm("server_error", method="GET", path_pattern=bench.list_path, after=1)
        read = await read_or_error(bench)
        assert not isinstance(read, AetherError), read
        assert rows_of(read) == bench.rows

    @shows("expired_credentials_are_noticed")
    async def test_a_credential_that_ends_half_way_is_renewed_or_told(self, bench: Bench) -> None:
        if bench.refused is None:
            pytest.skip("this system has no credentials")
        reading = aiter(bench.source.read(bench.entity))
        first = await anext(reading)
        if bench.expire_token is not None:
            await bench.expire_token()
        elif bench.vendor is not None:
            await bench.vendor.arm("unauthorized", times=1_000)
        else:
            pytest.skip("a database asks for its credential once")
        try:
            rest = [page async for page in reading]
        except NeedsPerson as error:
            assert error.code == "SRC_AUTH"
        else:
            assert first.rows.height + rows_of(rest) == bench.rows

    # --- leaving, telling and counting ------------------------------------------------------------------------------

    @shows("abandoned_without_trace")
    async def test_a_reading_cancelled_within_a_page_ends_at_once(self, bench: Bench, vendor: Vendor) -> None:
        await vendor.arm("slow", method="GET", path_pattern=bench.list_path, seconds=20)
        reading = asyncio.create_task(pages_of(bench.source, bench.entity))
        async with asyncio.timeout(10):
            while (await vendor.struck()) == 0:
                await asyncio.sleep(0.02)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        await vendor.disarm()
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task() and not task.done()]
        assert not [task for task in left if "read" in task.get_name() or "page" in task.get_name()]
        assert rows_of(await pages_of(bench.source, bench.entity)) == bench.rows

    @shows("no_personal_values_told")
    async def test_no_log_line_and_no_error_holds_a_personal_value_or_a_secret(
        self, bench: Bench, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert len(bench.sensitive) >= 3, "the bench must name what it holds"
        told: list[str] = []
        structlog.reset_defaults()
        with caplog.at_level(logging.DEBUG), capture_logs() as lines:
            await pages_of(bench.source, bench.entity)
            for finding in await bench.source.check():
                told.append(finding.text)
            for fault in ("html_page", "server_error", "torn_body", "unauthorized") if bench.vendor else ():
                assert bench.vendor is not None
                await bench.vendor.arm(fault, method="GET", path_pattern=bench.list_path, times=1_000)
                read = await read_or_error(bench)
                await bench.vendor.disarm()
                told.append(str(read) if isinstance(read, AetherError) else "")
                told.append(repr(dict(read.facts)) if isinstance(read, AetherError) else "")
            if bench.refused is not None:
                try:
                    await pages_of(bench.refused, bench.entity)
                except AetherError as error:
                    told += [str(error), repr(dict(error.facts))]
        everything = "\n".join([*told, *map(repr, lines), caplog.text, repr(bench.source)])
        assert [value for value in bench.sensitive if value in everything] == []

    @shows("requests_are_measured")
    async def test_every_request_takes_its_turn_and_is_counted(self, bench: Bench) -> None:
        before = bench.counted()
        await pages_of(bench.source, bench.entity)
        turns, seen = (after - earlier for after, earlier in zip(bench.counted(), before, strict=True))
        assert turns >= 1
        assert seen == turns
        if bench.vendor is not None:
            assert len(await bench.vendor.journal()) >= seen > 0


def test_every_system_has_a_bench() -> None:
    assert [system for system in REGISTRY.names() if bench_module(system) is None] == []

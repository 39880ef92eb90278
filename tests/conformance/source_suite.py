"""What every source promises, whatever system it reads: run by each system's own test file.

A file subclasses `SourceSuite` and gives the fixture `bench`; `test_sources.py` does so for every system with a bench.
"""

from __future__ import annotations

import polars as pl
import pytest

from shared.errors import AetherError, NeedsPerson, StopRun
from shared.ports.system import RESUME_POINT_CHARACTERS_MAX, Page, Resumable, Source
from tests.conformance.bench import Bench
from tests.conformance.rules import shows

TEXT: set[pl.DataType] = {pl.String()}
__all__ = ["Bench", "SourceSuite", "pages_of"]

DTYPES: dict[str, set[pl.DataType]] = {
    "integer": {pl.Int64()},
    "boolean": {pl.Boolean()},
    "decimal": {pl.Float64(), pl.String()},
}
"""Decimals come as exact text where the other side is exact; everything else is text."""


async def pages_of(source: Source, entity: str) -> list[Page]:
    """Every page of one new reading."""
    return [page async for page in source.read(entity)]


class SourceSuite:
    @shows("complete_reads_only")
    async def test_complete_read_delivers_every_expected_row(self, bench: Bench) -> None:
        reading = bench.source.read(bench.entity)
        before = reading.expected
        assert before is None
        pages = [page async for page in reading]
        assert len(pages) > 1 or not bench.is_paged, "the bench must cut its entity into several pages"
        assert reading.expected is not None
        assert reading.expected.rows == bench.rows == sum(page.rows.height for page in pages)
        assert reading.expected.origin

    @shows("complete_reads_only")
    async def test_pages_are_numbered_and_have_cursors_and_digests_of_their_own(self, bench: Bench) -> None:
        pages = await pages_of(bench.source, bench.entity)
        assert [page.number for page in pages] == list(range(1, len(pages) + 1))
        assert len({page.sha256 for page in pages}) == len(pages)
        assert all(len(page.sha256) == 64 and page.first_cursor and page.last_cursor for page in pages)

    @shows("matches_its_manifest")
    async def test_every_page_has_exactly_the_declared_columns_and_types(self, bench: Bench) -> None:
        columns = bench.source.columns(bench.entity)
        for page in await pages_of(bench.source, bench.entity):
            assert all(page.rows.schema[one.name] in DTYPES.get(one.kind, TEXT) for one in columns)
            assert list(page.rows.columns) == [column.name for column in columns]

    @shows("complete_reads_only")
    async def test_same_data_is_read_twice_to_same_digests(self, bench: Bench) -> None:
        if not bench.has_order:
            pytest.skip("this system gives its lists no order")
        first = await pages_of(bench.source, bench.entity)
        second = await pages_of(bench.source, bench.entity)
        assert [page.sha256 for page in first] == [page.sha256 for page in second]

    @shows("complete_reads_only")
    async def test_reading_is_iterated_only_once(self, bench: Bench) -> None:
        reading = bench.source.read(bench.entity)
        assert [page async for page in reading]
        with pytest.raises(RuntimeError, match="once"):
            aiter(reading)

    @shows("abandoned_without_trace")
    async def test_abandoned_reading_leaves_source_usable(self, bench: Bench) -> None:
        async for _ in bench.source.read(bench.entity):
            break
        assert await pages_of(bench.source, bench.entity)

    @shows("empty_is_not_failed")
    async def test_empty_entity_is_one_empty_page_with_columns(self, bench: Bench) -> None:
        await bench.make_empty()
        reading = bench.source.read(bench.entity)
        (page,) = [page async for page in reading]
        assert (page.number, page.rows.height, page.first_cursor, page.last_cursor) == (1, 0, "", "")
        assert list(page.rows.columns) == [column.name for column in bench.source.columns(bench.entity)]
        assert reading.expected is not None
        assert reading.expected.rows == 0

    @shows("complete_reads_only")
    async def test_reading_taken_up_behind_any_page_delivers_exactly_the_rest(self, bench: Bench) -> None:
        if not isinstance(bench.source, Resumable):
            pytest.skip("this system's readings cannot be taken up")
        whole = await pages_of(bench.source, bench.entity)
        for page in whole:
            assert page.resume_point is not None
            reading = bench.source.resume(bench.entity, after=page.resume_point)
            rest = [one async for one in reading]
            assert [(one.number, one.sha256, one.resume_point) for one in rest] == [
                (one.number, one.sha256, one.resume_point) for one in whole[page.number :]
            ]
            assert reading.expected is not None
            assert reading.expected.rows == bench.rows

    @shows("no_personal_values_told")
    async def test_resume_points_are_short_and_hold_no_value_of_a_record(self, bench: Bench) -> None:
        for page in await pages_of(bench.source, bench.entity):
            if not isinstance(bench.source, Resumable):
                assert page.resume_point is None, "nobody could take this reading up"
                continue
            assert page.resume_point is not None
            assert len(page.resume_point) <= RESUME_POINT_CHARACTERS_MAX
            texts = {text for row in page.rows.iter_rows() for text in row if isinstance(text, str) and len(text) > 3}
            assert texts and not any(text in page.resume_point for text in texts)

    @shows("unsteady_lists_are_noticed")
    async def test_reading_is_not_taken_up_once_its_last_page_is_another(self, bench: Bench) -> None:
        if not isinstance(bench.source, Resumable):
            pytest.skip("this system's readings cannot be taken up")
        first = (await pages_of(bench.source, bench.entity))[0]
        await bench.make_empty()
        for point in (first.resume_point or "", "no point of any source"):
            with pytest.raises(StopRun) as caught:
                assert [page async for page in bench.source.resume(bench.entity, after=point)]
            assert caught.value.code == "SRC_UNSTABLE"

    @shows("matches_its_manifest")
    async def test_unknown_entity_is_refused_by_name(self, bench: Bench) -> None:
        with pytest.raises(StopRun, match="no_such_entity"):
            bench.source.columns("no_such_entity")
        with pytest.raises(StopRun, match="no_such_entity"):
            bench.source.read("no_such_entity")

    @shows("causes_are_told_apart")
    async def test_check_finds_nothing_wrong_with_a_sound_system(self, bench: Bench) -> None:
        findings = await bench.source.check()
        assert {"network", "authentication", "shape"} <= {finding.subject for finding in findings}
        assert all(finding.is_good for finding in findings), findings

    @shows("causes_are_told_apart")
    async def test_nobody_at_the_address_is_told_from_a_refusal(self, bench: Bench) -> None:
        with pytest.raises(AetherError) as caught:
            await pages_of(bench.unreachable, bench.entity)
        assert caught.value.code in ("SRC_UNREACHABLE", "SRC_CONFIG")
        findings = await bench.unreachable.check()
        assert [finding.is_good for finding in findings] == [False]
        assert findings[0].subject in ("network", "settings")

    @shows("causes_are_told_apart")
    async def test_refused_credential_needs_a_person(self, bench: Bench) -> None:
        if bench.refused is None:
            pytest.skip("this system has no credentials")
        with pytest.raises(NeedsPerson) as caught:
            await pages_of(bench.refused, bench.entity)
        assert caught.value.code == "SRC_AUTH"
        findings = await bench.refused.check()
        assert [(finding.subject, finding.is_good) for finding in findings] == [("authentication", False)]

    @shows("abandoned_without_trace")
    async def test_closing_twice_is_harmless(self, bench: Bench) -> None:
        assert await pages_of(bench.source, bench.entity)
        await bench.source.close()
        await bench.source.close()

"""Lists without code: every form of paging is read whole, or is not called whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shared.errors import AetherError, StopRun, TryLater
from shared.ports.system import Resumable
from tests.conformance.bench import Vendor
from tests.simulators.alerts.running_alerts import KEY, Klaxon
from tests.systems.http.klaxon import PAGE_LIMIT, ends, read

ROWS = 25
TOTAL = "total of the last page"
WHERE = {"items": "/page/data", "total": "/page/totalCount"}
CUT = {**WHERE, "limit": "limit", "limit_max": 1000}
FORMS: dict[str, dict[str, Any]] = {
    "none": {"kind": "none", **WHERE},
    "offset_limit": {"kind": "offset_limit", "offset": "offset", **CUT},
    "page_number": {"kind": "page_number", "page": "pageNumber", **CUT, "limit": "pageSize"},
    "cursor": {"kind": "cursor", "cursor": "cursor", "next": "/page/nextCursor", **CUT},
    "link_header": {"kind": "link_header", **CUT, "limit": "perPage"},
    "page_header": {
        "kind": "page_header", "page_header": "page", "pages_header": "total-pages", **CUT, "limit": "pageSize",
    },
}  # fmt: skip
PROOF_WITHOUT_TOTAL = {
    "none": "one answer with the whole list",
    "offset_limit": "overlapping pages up to an empty one",
}
"""The forms that prove a list whole without being told how long it is."""


def without_total(form: str) -> dict[str, Any]:
    return {name: value for name, value in FORMS[form].items() if name != "total"}


@pytest.mark.parametrize("form", FORMS)
async def test_every_form_of_paging_is_read_whole_and_proven_by_its_total(
    klaxon: Klaxon, tmp_path: Path, form: str
) -> None:
    klaxon.switch(paging=form)
    async with ends(klaxon.url, tmp_path, interface={"paging": FORMS[form]}) as house:
        rows, expected, pages = await read(house.source())
        assert [row["external_id"] for row in rows] == [f"E{number}" for number in range(1, ROWS + 1)]
        assert expected is not None
        assert (expected.rows, expected.origin) == (ROWS, TOTAL)
        assert len(pages) == (1 if form == "none" else 3)
        assert rows[0]["email"] == "ada1@example.org"
        assert (rows[0]["record_type"], rows[0]["active"], rows[0]["mobile"]) == ("STAFF", True, None)
        assert str(rows[0]["target_id"]).isdigit()
        assert house.observed.turns == house.observed.measured > 0


@pytest.mark.parametrize("form", FORMS)
async def test_without_a_total_only_a_real_proof_is_called_one(klaxon: Klaxon, tmp_path: Path, form: str) -> None:
    klaxon.switch(paging=form, total_pointer="")
    async with ends(klaxon.url, tmp_path, interface={"paging": without_total(form)}) as house:
        rows, expected, _ = await read(house.source())
        assert len(rows) == ROWS
        assert (expected.origin if expected is not None else None) == PROOF_WITHOUT_TOTAL.get(form)
        assert expected is None or expected.rows == ROWS


@pytest.mark.parametrize("form", FORMS)
async def test_an_empty_list_is_one_empty_page(klaxon: Klaxon, tmp_path: Path, form: str) -> None:
    klaxon.switch(paging=form)
    state = klaxon.control.get("/state").json()
    assert klaxon.control.put("/state", json={**state, "contacts": []}).is_success
    async with ends(klaxon.url, tmp_path, interface={"paging": FORMS[form]}) as house:
        rows, expected, pages = await read(house.source())
        assert (rows, len(pages)) == ([], 1)
        assert expected is not None
        assert expected.rows == 0


@pytest.mark.parametrize("fault", ["short_page", "repeated_page"])
@pytest.mark.parametrize("form", [form for form in FORMS if form != "none"])
async def test_a_page_cut_short_or_repeated_never_passes_for_a_whole(
    klaxon: Klaxon, tmp_path: Path, form: str, fault: str
) -> None:
    klaxon.switch(paging=form)
    async with (
        ends(klaxon.url, tmp_path, interface={"paging": FORMS[form]}) as house,
        Vendor(klaxon.url) as vendor,
    ):
        before = await vendor.struck()
        await vendor.arm(fault, method="GET", path_pattern="/v1/contacts$", after=1)
        with pytest.raises(StopRun) as caught:
            await read(house.source())
        assert await vendor.disarm() == before + 1
        assert caught.value.code == "SRC_UNSTABLE"


async def test_a_list_that_shifts_under_an_overlapping_walk_is_noticed(klaxon: Klaxon, tmp_path: Path) -> None:
    klaxon.switch(paging="offset_limit", total_pointer="")
    async with ends(klaxon.url, tmp_path, interface={"paging": without_total("offset_limit")}) as house:
        pages = aiter(house.source().read("contacts"))
        first = await anext(pages)
        gone = klaxon.client.delete(f"/contacts/{first.rows['target_id'][0]}")
        assert gone.is_success
        with pytest.raises(StopRun, match="is another one than it was") as caught:
            await anext(pages)
        assert caught.value.code == "SRC_UNSTABLE"


async def test_a_list_in_order_with_a_total_can_be_taken_up_where_it_was_left(klaxon: Klaxon, tmp_path: Path) -> None:
    async with ends(klaxon.url, tmp_path) as house:
        source = house.source()
        assert isinstance(source, Resumable)
        _, _, whole = await read(source)
        reading = source.resume("contacts", after=str(whole[0].resume_point))
        rest = [page async for page in reading]
        assert [page.sha256 for page in rest] == [page.sha256 for page in whole[1:]]
        assert reading.expected is not None
        assert reading.expected.rows == ROWS


@pytest.mark.parametrize("form", ["cursor", "link_header", "page_header", "none"])
async def test_lists_that_cannot_be_taken_up_say_so(klaxon: Klaxon, tmp_path: Path, form: str) -> None:
    klaxon.switch(paging=form)
    async with ends(klaxon.url, tmp_path, interface={"paging": FORMS[form]}) as house:
        source = house.source()
        assert not isinstance(source, Resumable)
        assert all(page.resume_point is None for page in (await read(source))[2])


async def test_the_list_itself_as_the_answer_with_its_total_in_a_header(klaxon: Klaxon, tmp_path: Path) -> None:
    klaxon.switch(paging="link_header", items_pointer="", total_pointer="", is_total_in_header=True)
    paging = {
        "kind": "link_header", "limit": "perPage", "limit_max": 1000, "items": "", "total_header": "X-Total-Count",
    }  # fmt: skip
    async with ends(klaxon.url, tmp_path, interface={"paging": paging}) as house:
        rows, expected, _ = await read(house.source())
        assert expected is not None
        assert (len(rows), expected.rows) == (ROWS, ROWS)


async def test_a_list_of_its_own_form_beside_the_others(klaxon: Klaxon, tmp_path: Path) -> None:
    async with ends(klaxon.url, tmp_path) as house:
        rows, expected, _ = await read(house.source(), "record_types")
        assert rows == [{"code": "1", "name": "Staff"}, {"code": "2", "name": "Visitor"}]
        assert expected is not None


async def test_more_pages_than_allowed_end_the_reading(klaxon: Klaxon, tmp_path: Path) -> None:
    for number, form in enumerate(("cursor", "page_number")):
        klaxon.switch(paging=form)
        folder = tmp_path / str(number)
        folder.mkdir()
        async with ends(klaxon.url, folder, interface={"paging": FORMS[form]}) as house:
            with pytest.raises(StopRun, match="pages_max") as caught:
                await read(house.source(pages_max=2))
            assert caught.value.code == "SRC_INCOMPLETE"


async def test_an_abandoned_reading_leaves_the_source_usable(klaxon: Klaxon, tmp_path: Path) -> None:
    async with ends(klaxon.url, tmp_path) as house:
        source = house.source()
        async for _ in source.read("contacts"):
            break
        assert len((await read(source))[0]) == ROWS


@pytest.mark.parametrize("fault", ["torn_body", "html_page"])
async def test_an_answer_that_is_no_page_ends_the_reading(klaxon: Klaxon, tmp_path: Path, fault: str) -> None:
    async with ends(klaxon.url, tmp_path) as house, Vendor(klaxon.url) as vendor:
        await vendor.arm(fault, method="GET", path_pattern="/v1/contacts$", after=1)
        with pytest.raises(AetherError) as caught:
            await read(house.source())
        assert caught.value.code == "SRC_WRONG_SHAPE"


async def test_throttling_is_waited_out_and_told_to_all(klaxon: Klaxon, tmp_path: Path) -> None:
    async with ends(klaxon.url, tmp_path) as house, Vendor(klaxon.url) as vendor:
        await vendor.arm(
            "too_many_requests", method="GET", path_pattern="/v1/contacts$", after=1, retry_after_seconds=3
        )
        assert len((await read(house.source()))[0]) == ROWS
        assert house.observed.slowed == [3.0]


async def test_a_server_that_stays_broken_is_asked_five_times(klaxon: Klaxon, tmp_path: Path) -> None:
    async with ends(klaxon.url, tmp_path) as house, Vendor(klaxon.url) as vendor:
        before = await vendor.struck()
        await vendor.arm("server_error", method="GET", path_pattern="/v1/contacts$", times=100, status=503)
        with pytest.raises(TryLater):
            await read(house.source())
        assert await vendor.struck() == before + 5


async def test_another_organization_is_told_from_another_credential(klaxon: Klaxon, tmp_path: Path) -> None:
    async with ends(klaxon.url, tmp_path) as house:
        findings = await house.source(parameters={"organization_id": "9002"}).check()
        assert [(finding.subject, finding.is_good) for finding in findings] == [("permission", False)]
        findings = await house.source(parameters={"organization_id": "77"}).check()
        assert {finding.subject for finding in findings} == {"shape"}
        assert all("parameters" in finding.text for finding in findings)


async def test_a_sound_connection_has_nothing_but_good_findings(klaxon: Klaxon, tmp_path: Path) -> None:
    async with ends(klaxon.url, tmp_path) as house:
        findings = await house.source().check()
        assert all(finding.is_good for finding in findings)
        assert [finding.subject for finding in findings] == ["network", "authentication", "shape", "shape"]


async def test_pages_are_no_larger_than_asked_for(klaxon: Klaxon, tmp_path: Path) -> None:
    async with ends(klaxon.url, tmp_path) as house:
        assert max(page.rows.height for page in (await read(house.source()))[2]) == PAGE_LIMIT


async def test_a_key_header_reads_too(klaxon: Klaxon, tmp_path: Path) -> None:
    auth = {"kind": "header", "name": "x-api-key"}
    async with ends(klaxon.url, tmp_path, interface={"auth": auth}) as house:
        assert len((await read(house.source(proof={"key": "env:KEY"})))[0]) == ROWS
    assert KEY not in str(house.connection(proof={"key": "env:KEY"}))

"""The pages about connectors, asked as a browser would ask them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.console.definitions import Definitions
from services.console.pages.connectors_view import freshness
from shared.asking.problem import CommandFailed
from shared.clock import to_text
from shared.events.commands import DeclareDelta, RequestRun, WithdrawDelta
from shared.events.queries import DeclaredAnswer, DeclaredView
from shared.policy.declared import Declaration
from tests.console.harness import CSRF, ROOT, ConsoleUnderTest

CONNECTOR = "titanhst-staff"
HOSTILE = "<script>alert(1)</script>"
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
DELTA = {
    "entity": "contacts", "change_class": "suspend", "field": "location", "values": "HS1, HS2", "expected": "40",
    "tolerance_percent": "5", "valid_from": "2026-06-12T00:00", "valid_until": "2026-06-30T00:00",
    "reason": "the school closes", "csrf": CSRF,
}  # fmt: skip


@pytest.fixture
def own_definitions(under_test: ConsoleUnderTest, tmp_path: Path, house_data: Path) -> Iterator[Path]:
    """A folder of definitions that the test may spoil; the console reads it."""
    folder = tmp_path / "connectors"
    shutil.copytree(ROOT / "connectors" / CONNECTOR, folder / CONNECTOR)
    under_test.console.definitions = Definitions(
        connectors=folder, systems=ROOT / "systems", connections=house_data / "connections.demo.yaml"
    )
    yield folder / CONNECTOR


async def test_list_shows_each_connector_with_freshness_last_run_and_quarantine(under_test: ConsoleUnderTest) -> None:
    async with under_test.as_person("vera", "viewer") as browser:
        text = (await browser.get("/connectors")).text
        rows = {row["name"]: row for row in (await browser.get("/api/v1/connectors")).json()["connectors"]}
    assert set(rows) == {each.parent.name for each in (ROOT / "connectors").glob("*/connector.yaml")}
    row = rows[CONNECTOR]
    assert (row["lifecycle"], row["is_released"]) == ("active", True)
    assert row["fresh"]["last_success"] is not None
    assert row["quarantined"] == 29
    assert f'href="/quarantine/{row["quarantine_run"]}">29</a>' in text
    assert all(each["title"] in text.replace("&#39;", "'") for each in rows.values())
    assert rows["local-apex"]["fresh"]["state"] == "never"


async def test_connector_page_tells_the_contract_in_words(under_test: ConsoleUnderTest) -> None:
    async with under_test.as_person("vera", "viewer") as browser:
        text = (await browser.get(f"/connectors/{CONNECTOR}")).text
    for said in (
        "Only records count for which person.status_code is A or L.",
        "person.preferred_first, else person.first",
        "looked up in the table locations",
        "A record counts as gone when 2 certified reads, at least 24 h apart did not find it",
        "Then it is suspended: active = false.",
        "It is never deleted.",
        "allowed 100 or 5 %, and 5 always",
        "personal: identifier",
        'href="/connectors/titanhst-staff/tables/roles"',
    ):
        assert said in text
    assert "Request dry-run" not in text
    assert "Declare a change" not in text


async def test_ids_without_a_mapping_are_listed_from_the_newest_run(under_test: ConsoleUnderTest) -> None:
    async with under_test.as_person("vera", "viewer") as browser:
        model = (await browser.get(f"/api/v1/connectors/{CONNECTOR}")).json()
    newest = model["runs"][0]["run"]
    assert {one["run"] for one in model["unmapped"]} == {newest}
    assert sum(one["rows"] for one in model["unmapped"]) == 11


async def test_mapping_table_finds_ids_and_codes_and_says_when_nothing_is_found(under_test: ConsoleUnderTest) -> None:
    async with under_test.as_person("vera", "viewer") as browser:
        every = (await browser.get(f"/api/v1/connectors/{CONNECTOR}/tables/locations")).json()
        raw_id, code = every["lines"][0]
        found = (await browser.get(f"/api/v1/connectors/{CONNECTOR}/tables/locations", params={"q": raw_id})).json()
        nothing = await browser.get(f"/connectors/{CONNECTOR}/tables/locations", params={"q": HOSTILE})
        second = (await browser.get(f"/api/v1/connectors/{CONNECTOR}/tables/locations", params={"offset": 1})).json()
        missing = await browser.get(f"/connectors/{CONNECTOR}/tables/nonsense")
    assert [raw_id, code] in found["lines"]
    assert found["total"] <= every["total"]
    assert second["lines"][0] == every["lines"][1]
    assert HOSTILE not in nothing.text
    assert "No id or code holds this text." in nothing.text
    assert missing.status_code == 404


async def test_invalid_definition_is_listed_with_the_place_of_each_problem(
    under_test: ConsoleUnderTest, own_definitions: Path
) -> None:
    async with under_test.as_person("olga", "operator", "viewer") as browser:
        before = (await browser.get("/api/v1/connectors")).json()["connectors"][0]
        file = own_definitions / "connector.yaml"
        file.write_text(file.read_text().replace("format: email", f"format: '{HOSTILE}'"))
        row = (await browser.get("/api/v1/connectors")).json()["connectors"][0]
        pages = [(await browser.get(path)).text for path in ("/connectors", f"/connectors/{CONNECTOR}")]
    assert before["problems"] == []
    assert row["lifecycle"] is None
    assert row["problems"][0]["place"].startswith(f"{CONNECTOR}/connector.yaml:")
    for text in pages:
        assert row["problems"][0]["place"] in text
        assert HOSTILE not in text
        assert "Request dry-run" not in text


async def test_title_with_markup_is_shown_as_text(under_test: ConsoleUnderTest, own_definitions: Path) -> None:
    file = own_definitions / "connector.yaml"
    text = file.read_text().replace("title: Staff to TitanHST contacts", f"title: '{HOSTILE}'")
    file.write_text(text.replace("version: 1.0.0", "version: 1.0.1"))
    async with under_test.as_person("vera", "viewer") as browser:
        for path in ("/connectors", f"/connectors/{CONNECTOR}", "/schedules"):
            shown = (await browser.get(path)).text
            assert HOSTILE not in shown
            assert "&lt;script&gt;" in shown


async def test_release_page_tells_what_changed_since(under_test: ConsoleUnderTest, own_definitions: Path) -> None:
    async with under_test.as_person("vera", "viewer") as browser:
        same = (await browser.get(f"/connectors/{CONNECTOR}/releases/1.0.0")).text
        file = own_definitions / "connector.yaml"
        file.write_text(file.read_text().replace("version: 1.0.0", "version: 1.1.0").replace("[email]", "[]"))
        changed = (await browser.get(f"/connectors/{CONNECTOR}/releases/1.0.0")).text
        unknown = await browser.get(f"/connectors/{CONNECTOR}/releases/9.9.9")
    assert "They mean the same." in same
    assert "version: 1.0.0 → 1.1.0" in changed
    assert "contacts: correlate" in changed
    assert unknown.status_code == 404


async def test_definitions_are_read_again_only_when_a_file_changes(
    under_test: ConsoleUnderTest, own_definitions: Path
) -> None:
    definitions = under_test.console.definitions
    first = await definitions.known()
    assert await definitions.known() is first
    os.utime(own_definitions / "connector.yaml", (1, 1))
    assert await definitions.known() is not first


@pytest.mark.parametrize("name", ["nonsense", "..", "%2e%2e", "a b", "x" * 300])
async def test_unknown_connector_is_no_page(under_test: ConsoleUnderTest, name: str) -> None:
    async with under_test.as_person("vera", "viewer") as browser:
        assert (await browser.get(f"/connectors/{name}/tables/roles")).status_code == 404


async def test_dry_run_is_requested_as_the_operator_with_version_and_rows(under_test: ConsoleUnderTest) -> None:
    form = {"csrf": CSRF, "version": "1.0.0", "rows_of": "20260101T000000-abcdef"}
    async with under_test.as_person("olga", "operator") as browser:
        answer = await browser.post(f"/connectors/{CONNECTOR}/dry-run", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs/20260101T000000-abcdef?done=requested")
    wanted = RequestRun(connector=CONNECTOR, mode="dry-run", version="1.0.0", replay_of="20260101T000000-abcdef")
    assert under_test.acting.asked == [("olga", "request_run", wanted)]


async def test_declaring_and_withdrawing_ask_as_the_steward(under_test: ConsoleUnderTest) -> None:
    async with under_test.as_person("sam", "steward") as browser:
        declared = await browser.post(f"/connectors/{CONNECTOR}/declare", data=DELTA)
        withdrawn = await browser.post(
            f"/connectors/{CONNECTOR}/withdraw", data={"csrf": CSRF, "declaration": "d-1", "reason": "not now"}
        )
    assert (declared.status_code, withdrawn.status_code) == (303, 303)
    delta = DeclareDelta(
        connector=CONNECTOR, entity="contacts", change_class="suspend", where={"location": ("HS1", "HS2")}, expected=40,
        tolerance_percent=5.0, valid_from="2026-06-12T07:00:00.000Z", valid_until="2026-06-30T07:00:00.000Z",
        reason="the school closes",
    )  # fmt: skip
    assert under_test.acting.asked == [
        ("sam", "declare", delta),
        ("sam", "withdraw", WithdrawDelta(declaration="d-1", reason="not now")),
    ]


@pytest.mark.parametrize(("field", "value"), [("valid_from", "soon"), ("expected", "0"), ("tolerance_percent", "101")])
async def test_declaration_that_cannot_be_read_names_the_field_and_asks_nothing(
    under_test: ConsoleUnderTest, field: str, value: str
) -> None:
    async with under_test.as_person("sam", "steward") as browser:
        answer = await browser.post(f"/connectors/{CONNECTOR}/declare", data={**DELTA, field: value})
    assert answer.status_code == 422
    assert field.removeprefix("valid_") in answer.text
    assert under_test.acting.asked == []


@pytest.mark.parametrize(
    ("path", "form", "role"),
    [("dry-run", {}, "operator"), ("declare", DELTA, "steward"), ("withdraw", {"declaration": "d-1"}, "steward")],
)
async def test_acts_need_the_role_and_a_form_of_ours(
    under_test: ConsoleUnderTest, path: str, form: dict[str, str], role: str
) -> None:
    others = {"viewer", "operator", "approver", "steward", "auditor", "admin"} - {role}
    async with under_test.as_person("eve", *others) as browser:
        lacking = await browser.post(f"/connectors/{CONNECTOR}/{path}", data={**form, "csrf": CSRF})
    async with under_test.as_person("rita", role) as browser:
        forged = await browser.post(f"/connectors/{CONNECTOR}/{path}", data={**form, "csrf": "another"})
    assert (lacking.status_code, forged.status_code) == (403, 403)
    assert under_test.acting.asked == []


async def test_declarations_are_shown_as_text_and_can_be_withdrawn_by_a_steward(under_test: ConsoleUnderTest) -> None:
    declaration = Declaration(
        id="d-1", connector=CONNECTOR, entity="contacts", change_class="suspend", where={"location": (HOSTILE,)},
        expected=40, tolerance_percent=5, valid_from="2026-06-12T00:00:00Z", valid_until="2026-06-30T00:00:00Z",
        reason=HOSTILE, declared_by="sam", at="2026-06-01T00:00:00Z",
    )  # fmt: skip
    answer = DeclaredAnswer(declared=(DeclaredView(declaration=declaration, state="to come"),))
    under_test.acting.answers["declared"] = lambda _: answer
    async with under_test.as_person("sam", "steward") as browser:
        steward = (await browser.get(f"/connectors/{CONNECTOR}")).text
    async with under_test.as_person("vera", "viewer") as browser:
        viewer = (await browser.get(f"/connectors/{CONNECTOR}")).text
    assert HOSTILE not in steward + viewer
    assert 'name="declaration" value="d-1"' in steward
    assert 'name="declaration"' not in viewer
    assert "40 ± 5 %" in viewer


async def test_page_is_shown_when_nobody_answers_about_declarations(under_test: ConsoleUnderTest) -> None:
    under_test.acting.answers["declared"] = lambda _: CommandFailed("nobody answers", action="Start the differ.")
    async with under_test.as_person("vera", "viewer") as browser:
        answer = await browser.get(f"/connectors/{CONNECTOR}")
    assert answer.status_code == 200
    assert "The declarations cannot be shown now: nobody answers. Start the differ." in answer.text


# --- how fresh ------------------------------------------------------------------------------------------------------


def _ago(*hours: float) -> list[str]:
    return [to_text(NOW - timedelta(hours=each)) for each in hours]


def test_connector_is_late_by_its_own_habit() -> None:
    assert freshness(_ago(49, 73, 97, 121), NOW).state == "late"
    assert freshness(_ago(47, 71, 95, 119), NOW).state == "fresh"
    assert freshness(_ago(49, 73, 97, 121), NOW).usual_seconds == 24 * 3600


def test_nothing_is_late_without_a_habit() -> None:
    assert freshness(_ago(1000, 1001, 1002), NOW).state == "unknown"
    assert freshness([], NOW).state == "never"


def test_runs_asked_for_within_minutes_make_no_connector_late() -> None:
    assert freshness(_ago(0.9, 0.92, 0.94, 0.96), NOW).state == "fresh"

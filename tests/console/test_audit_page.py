"""The pages of the audit log: search, proof, verification, export; and that an altered log is told as altered."""

from __future__ import annotations

import html
import json
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from services.console.log.days import EntryDays
from services.console.log.proof import steps_of
from services.console.log.verifying import BATCH, Verifying
from services.console.pages.audit_view import type_words
from shared.asking.problem import NoAnswer
from shared.asking.profiles import load_profile
from shared.audit.bundle import verify_bundle
from shared.audit.entries import AuditEntry
from shared.clock import SystemClock
from shared.events.queries import HealthAnswer
from shared.hashing.merkle import inclusion_proof, leaf_hash, root_of
from tests.console.harness import CSRF, ConsoleUnderTest, console_under_test

AUDITOR = ("audra", "auditor")
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def verifier_key(house_data: Path) -> str:
    key = load_profile(house_data, "auditor").verifier_key
    assert key is not None
    return key


@pytest.fixture
async def keyed(under_test: ConsoleUnderTest, verifier_key: str) -> ConsoleUnderTest:
    """A console that was handed the log's key."""
    under_test.acting.keys["verifier"] = verifier_key
    return under_test


@pytest.fixture
async def altered(house_data: Path, own_record: Path, verifier_key: str) -> AsyncIterator[ConsoleUnderTest]:
    """A console over a record of which somebody changed one entry behind the auditor's back."""
    with sqlite3.connect(own_record) as record:
        for (trigger,) in record.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            record.execute(f"DROP TRIGGER {trigger}")
        record.execute("""UPDATE entry SET body = replace(body, '"actor":"operator"', '"actor":"nobody"')""")
        record.execute("UPDATE entry SET actor = ? WHERE entry_index = 3", (HOSTILE,))
    console = console_under_test(house_data, audit_database=own_record)
    console.acting.keys["verifier"] = verifier_key
    yield console
    await console.console.records.close()


def _size(house_data: Path) -> int:
    with sqlite3.connect(f"file:{house_data / 'auditor.db'}?mode=ro", uri=True) as record:
        return int(record.execute("SELECT count(*) FROM entry").fetchone()[0])


async def test_the_newest_entries_come_first_and_paging_meets_each_once(
    under_test: ConsoleUnderTest, house_data: Path
) -> None:
    met: list[int] = []
    async with under_test.as_person("vera", "viewer") as browser:
        before: int | None = None
        while True:
            params = {} if before is None else {"before": before}
            part = (await browser.get("/api/v1/audit/entries", params=params)).json()
            met += [entry["index"] for entry in part["entries"]]
            before = part["goes_on"]
            if before is None:
                break
        page = await browser.get("/audit")
    assert met == list(range(_size(house_data) - 1, -1, -1))
    assert page.status_code == 200
    assert "Older" in page.text
    assert "Entries per day" in page.text


@pytest.mark.parametrize(
    ("params", "field", "expected"),
    [
        ({"type": "aether.run.sealed.v1"}, "name", "run sealed"),
        ({"actor": "approver"}, "actor", "approver"),
        ({"text": "APV_WRONG_STATE"}, "name", "command refused"),
    ],
)
async def test_a_search_finds_what_was_asked_for_and_nothing_else(
    under_test: ConsoleUnderTest, params: dict[str, str], field: str, expected: str
) -> None:
    async with under_test.as_person(*AUDITOR) as browser:
        found = (await browser.get("/api/v1/audit/entries", params=params)).json()["entries"]
        page = await browser.get("/audit", params=params)
    assert found
    assert {entry[field] for entry in found} == {expected}
    assert f"/audit/{found[0]['index']}" in page.text


async def test_days_are_those_of_the_district_and_the_last_one_counts(under_test: ConsoleUnderTest) -> None:
    zone = ZoneInfo("America/Los_Angeles")
    async with under_test.as_person(*AUDITOR) as browser:
        newest = (await browser.get("/api/v1/audit/entries")).json()["entries"][0]["recorded_at"]
        day = datetime.fromisoformat(newest).astimezone(zone).date()
        following, earlier = str(day + timedelta(days=1)), str(day - timedelta(days=1))
        on_it = (await browser.get("/api/v1/audit/entries", params={"since": str(day), "until": str(day)})).json()[
            "entries"
        ]
        after = (await browser.get("/api/v1/audit/entries", params={"since": following})).json()["entries"]
        turned = await browser.get("/audit", params={"since": str(day), "until": earlier})
        no_day = await browser.get("/audit", params={"since": "31.12.2026"})
    assert on_it
    assert after == []
    assert turned.status_code == no_day.status_code == 422
    assert "since: &#39;31.12.2026&#39; is no day" in no_day.text


async def test_a_search_that_finds_nothing_says_what_to_do_and_shows_hostile_text_as_text(
    under_test: ConsoleUnderTest,
) -> None:
    async with under_test.as_person(*AUDITOR) as browser:
        params = {"text": HOSTILE, "run": HOSTILE, "actor": HOSTILE, "type": HOSTILE}
        page = await browser.get("/audit", params=params)
    assert page.status_code == 200
    assert "Nothing was found" in page.text
    assert HOSTILE not in page.text
    assert html.escape(HOSTILE) in page.text


async def test_an_entry_is_shown_with_its_leaf_and_a_proof_that_holds(keyed: ConsoleUnderTest) -> None:
    async with keyed.as_person("vera", "viewer") as browser:
        entry = AuditEntry.model_validate((await browser.get("/api/v1/audit/entries/165")).json())
        page = await browser.get("/audit/165")
    assert page.status_code == 200
    assert entry.leaf_hash().hex() in page.text
    assert "✓ Proven" in page.text
    assert "signs the same root" in page.text


async def test_without_a_key_nothing_is_called_proven(under_test: ConsoleUnderTest) -> None:
    async with under_test.as_person(*AUDITOR) as browser:
        page = await browser.get("/audit/1")
        verify = await browser.post("/audit/verify", data={"csrf": CSRF})
    assert "No verifier key was handed over" in page.text
    assert "✓ Proven" not in page.text
    assert verify.status_code == 409


async def test_a_downloaded_proof_verifies_with_the_key_alone_and_is_recorded(
    keyed: ConsoleUnderTest, verifier_key: str
) -> None:
    async with keyed.as_person(*AUDITOR) as browser:
        file = await browser.post("/audit/165/proof", data={"csrf": CSRF})
        told = await browser.get("/api/v1/audit/entries/165/proof")
    assert file.headers["content-disposition"] == 'attachment; filename="audit-entry-165.json"'
    assert verify_bundle(file.content, verifier_key).is_valid
    assert verify_bundle(told.content, verifier_key).is_valid
    assert [(fact["what"], fact["detail"]["entry"]) for fact in keyed.told] == [("exported", "165")] * 2


async def test_an_altered_entry_is_not_proven_anywhere(altered: ConsoleUnderTest, verifier_key: str) -> None:
    async with altered.as_person(*AUDITOR) as browser:
        [found, *_] = (await browser.get("/api/v1/audit/entries", params={"type": "aether.run.requested.v1"})).json()[
            "entries"
        ]
        assert found["actor"] == "nobody"
        page = await browser.get(f"/audit/{found['index']}")
        proof = await browser.post(f"/audit/{found['index']}/proof", data={"csrf": CSRF})
        started = await browser.post("/audit/verify", data={"csrf": CSRF})
        report = (await altered.console.verifying.ended()).report
        verdict = await browser.get("/audit/verification")
    assert "The proof fails" in page.text
    assert proof.status_code == 409
    assert altered.told == []
    assert started.status_code == 303
    assert report is not None
    assert not report.is_valid
    assert "The log does not hold" in verdict.text
    assert "altered" in verdict.text


async def test_verifying_the_whole_log_proves_every_entry_and_says_what_it_does_not(
    keyed: ConsoleUnderTest, house_data: Path
) -> None:
    async with keyed.as_person(*AUDITOR) as browser:
        started = await browser.post("/audit/verify", data={"csrf": CSRF})
        done = await keyed.console.verifying.ended()
        page = await browser.get("/audit/verification")
        told = (await browser.get("/api/v1/audit/verification")).json()
    assert started.headers["location"] == "/audit/verification"
    assert done.report is not None
    assert done.report.is_valid
    assert done.report.entries == done.read == _size(house_data)
    # The newest entries may wait for their signature.
    assert done.report.entries_proven == await keyed.console.records.lookups.signed_size() > 0
    assert "The log holds" in page.text
    assert "What was not" in page.text
    assert (told["state"], told["asked_by"]) == ("done", "audra")


async def test_one_verification_runs_at_a_time(keyed: ConsoleUnderTest, verifier_key: str) -> None:
    verifying = Verifying(keyed.console.records.lookups, clock=SystemClock())
    assert verifying.start(verifier_key=verifier_key, asked_by="first")
    assert not verifying.start(verifier_key=verifier_key, asked_by="second")
    assert (await verifying.ended()).asked_by == "first"
    assert verifying.start(verifier_key=verifier_key, asked_by="second")
    await verifying.ended()


async def test_a_key_that_is_none_and_a_record_that_is_gone_are_told_and_not_called_a_faulty_log(
    keyed: ConsoleUnderTest, tmp_path: Path, house_data: Path, verifier_key: str
) -> None:
    verifying = Verifying(keyed.console.records.lookups, clock=SystemClock())
    verifying.start(verifier_key="no key", asked_by="audra")
    assert (await verifying.ended()).state == "failed"
    gone = console_under_test(house_data, audit_database=tmp_path / "gone.db")
    gone.console.verifying.start(verifier_key=verifier_key, asked_by="audra")
    ended = await gone.console.verifying.ended()
    await gone.console.records.close()
    assert (ended.state, ended.report) == ("failed", None)
    assert ended.fault is not None
    assert "could not be read" in ended.fault


async def test_an_export_is_exactly_the_lines_of_the_run_and_recorded_first(
    under_test: ConsoleUnderTest, house_data: Path
) -> None:
    with sqlite3.connect(f"file:{house_data / 'auditor.db'}?mode=ro", uri=True) as record:
        run = record.execute("SELECT run FROM change_outcome LIMIT 1").fetchone()[0]
        bodies = [row[0] for row in record.execute("SELECT body FROM entry WHERE run = ? ORDER BY entry_index", (run,))]
    async with under_test.as_person(*AUDITOR) as browser:
        answer = await browser.post("/audit/export", data={"csrf": CSRF, "run": run})
    assert answer.text.splitlines() == bodies
    assert under_test.told[0]["what"] == "exported"
    assert under_test.told[0]["subject"] == run


async def test_an_export_of_days_holds_every_entry_of_them(under_test: ConsoleUnderTest, house_data: Path) -> None:
    async with under_test.as_person(*AUDITOR) as browser:
        all_of_it = await browser.post("/audit/export", data={"csrf": CSRF, "since": "2020-01-01"})
        nothing = await browser.post("/audit/export", data={"csrf": CSRF, "until": "2020-01-01"})
    indexes = [json.loads(line)["index"] for line in all_of_it.text.splitlines()]
    assert indexes == list(range(_size(house_data)))
    assert nothing.text == ""


async def test_nothing_is_exported_when_the_fact_cannot_be_stored(
    under_test: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise NoAnswer("cannot be recorded", action="try again")

    monkeypatch.setattr(under_test.console.telling, "tell", refuse)
    async with under_test.as_person(*AUDITOR) as browser:
        answer = await browser.post("/audit/export", data={"csrf": CSRF, "since": "2020-01-01"})
    assert answer.status_code == 503
    assert "payload_sha256" not in answer.text


@pytest.mark.parametrize("form", [{}, {"run": "../etc"}, {"since": "x"}])
async def test_an_export_of_nothing_named_is_refused(under_test: ConsoleUnderTest, form: dict[str, str]) -> None:
    async with under_test.as_person(*AUDITOR) as browser:
        answer = await browser.post("/audit/export", data={"csrf": CSRF, **form})
    assert answer.status_code == 422
    assert under_test.told == []


@pytest.mark.parametrize("path", ["/audit/verify", "/audit/export", "/api/v1/audit/verify"])
async def test_only_auditors_verify_and_export_and_only_from_our_own_pages(keyed: ConsoleUnderTest, path: str) -> None:
    headers = {"x-csrf-token": CSRF}
    async with keyed.as_person("olga", "operator") as browser:
        assert (await browser.post(path, data={"since": "2020-01-01"}, headers=headers)).status_code == 403
    async with keyed.as_person(*AUDITOR) as browser:
        assert (await browser.post(path, data={"since": "2020-01-01"})).status_code == 403
    assert keyed.told == []
    assert keyed.console.verifying.now.state == "never"


async def test_the_lag_is_asked_of_the_auditor_as_the_visitor(under_test: ConsoleUnderTest) -> None:
    under_test.acting.answers["health"] = lambda _: HealthAnswer(
        entries=1, checkpoints=1, lag={"CORE": 7, "LEDGER": 0}, dead_letters=(), dead_letters_total=0
    )
    async with under_test.as_person(*AUDITOR) as browser:
        page = await browser.get("/audit/lag")
        told = (await browser.get("/api/v1/audit/health")).json()
    assert "Messages wait to be recorded" in page.text
    assert told["lag"] == {"CORE": 7, "LEDGER": 0}
    assert {user for user, _, _ in under_test.acting.asked} == {"audra"}


@pytest.mark.parametrize("path", ["/audit/99999999", "/api/v1/audit/entries/99999999", "/audit/no-number"])
async def test_an_entry_that_there_is_not_is_told_plainly(under_test: ConsoleUnderTest, path: str) -> None:
    async with under_test.as_person(*AUDITOR) as browser:
        assert (await browser.get(path)).status_code in {404, 422}


async def test_entries_by_day_add_up_to_the_log_and_stay_so_when_asked_again(
    under_test: ConsoleUnderTest, house_data: Path
) -> None:
    days = EntryDays(under_test.console.records.engine, ZoneInfo("America/Los_Angeles"))
    now = datetime.now(UTC)
    first = await days.newest(30, now=now)
    assert sum(day.entries for day in first) == _size(house_data)
    assert await days.newest(30, now=now) == first
    assert len(first) == 30


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 13])
def test_the_steps_of_every_proof_lead_to_the_root(size: int) -> None:
    leaves = [leaf_hash(bytes([number])) for number in range(size)]
    for index in range(size):
        steps = steps_of(leaves[index], index=index, size=size, proof=inclusion_proof(leaves, index=index))
        assert (steps[-1].result if steps else leaves[index].hex()) == root_of(leaves).hex()


def test_types_read_as_words() -> None:
    assert type_words("aether.run.sealed.v1") == "run sealed"
    assert type_words("other") == "other"


def test_a_batch_holds_the_loop_for_moments_only() -> None:
    assert BATCH <= 1_000  # the loop is held by one batch at a time

"""Quarantine and shadow: what is asked of the services, what is said of the answers, and what is exited with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.main import exit_code
from shared.events.commands import Reply, RequestRun
from shared.events.documents import FailureNote
from shared.events.model import Document
from shared.events.queries import (
    ChangeView,
    PlanAnswer,
    PlanQuery,
    QuarantineAnswer,
    QuarantineItem,
    QuarantineQuery,
    RunAnswer,
    RunQuery,
    RunsAnswer,
    RunView,
    SnapshotView,
)
from tests.unit.cli.answering import FakeBus, answering
from tests.unit.cli.documents import RUN, change_view, plan_summary, run_view

OLD, NEW = "20261122T081000-old234", "20261122T082000-new234"
NAME = "titanhst-staff"


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeBus:
    return answering(tmp_path, monkeypatch)


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def item(key: str | None, code: str = "NRM_UNMAPPED") -> QuarantineItem:
    return QuarantineItem(
        side="source", entity="contacts", key=key, source="job", field="role", code=code, value_class="text(4)",
        rule="map: roles",
    )  # fmt: skip


def snapshot(*, is_certified: bool = True) -> SnapshotView:
    return SnapshotView(
        side="source", entity="contacts", is_certified=is_certified, rows={"person": 4}, records=4, quarantined=0,
        quarantined_by_code={}, unmapped=(), incomplete=None, seconds=0.1, memory_peak_mb=50,
    )  # fmt: skip


def quarantines(bus: FakeBus, **items: list[QuarantineItem]) -> None:
    """Have these items by run, two an answer."""
    by_run = {RUN: items["before"], OLD: items.get("after", [])}

    def answer(question: Document) -> Document:
        assert isinstance(question, QuarantineQuery)
        found = by_run[question.run]
        page = found[question.offset : question.offset + min(question.limit, 2)]
        codes = sorted({one.code for one in found})
        by_code = {code: sum(one.code == code for one in found) for code in codes}
        return QuarantineAnswer(run=question.run, total=len(found), by_code=by_code, items=tuple(page))

    bus.answers["aether.quarantine.items"] = answer


def runs(bus: FakeBus, *views: RunView, certified: tuple[str, ...] = ()) -> None:
    by_id = {view.run: view for view in views}

    def answer(question: Document) -> Document:
        assert isinstance(question, RunQuery)
        return RunAnswer(run=by_id.get(question.run), snapshots=(snapshot(is_certified=question.run in certified),))

    bus.answers["aether.query.run"] = answer
    bus.answers["aether.query.runs"] = lambda _: RunsAnswer(runs=views)


def test_quarantine_is_listed_page_by_page_with_counts(bus: FakeBus, capsys: pytest.CaptureFixture[str]) -> None:
    quarantines(bus, before=[item("E1"), item("E2"), item(None, "NRM_MISSING_KEY")])
    assert exit_code(["quarantine", "list", RUN, "--all", *bus.options, "--json"]) == 0
    found = document(capsys)
    assert [one["key"] for one in found["items"]] == ["E1", "E2", None]
    assert found["by_code"] == {"NRM_MISSING_KEY": 1, "NRM_UNMAPPED": 2}
    assert exit_code(["quarantine", "list", RUN, "--limit", "1", *bus.options]) == 0
    shown = capsys.readouterr().out
    assert "1 of 3 shown" in shown and "E1" in shown and "E2" not in shown
    assert f"aether quarantine replay {RUN} --data" in shown


def test_empty_quarantine_is_said(bus: FakeBus, capsys: pytest.CaptureFixture[str]) -> None:
    quarantines(bus, before=[])
    assert exit_code(["quarantine", "list", RUN, *bus.options]) == 0
    assert "Nothing is in quarantine" in capsys.readouterr().out


def test_replay_says_whose_quarantine_has_ended(bus: FakeBus, capsys: pytest.CaptureFixture[str]) -> None:
    quarantines(
        bus, before=[item("E1"), item("E2"), item("E2", "NRM_BAD_FORMAT"), item(None)], after=[item("E2"), item("E9")]
    )
    runs(bus, run_view("planned"), run_view("planned", run=OLD, connector_version="1.1.0"))
    bus.answers["aether.run.request"] = lambda _: Reply(is_accepted=True, run=OLD, status="queued")
    assert exit_code(["quarantine", "replay", RUN, *bus.options, "--json"]) == 2
    found = document(capsys)
    assert found["now_sound"] == [["source", "contacts", "E1"]]
    assert found["still_quarantined"] == [["source", "contacts", "E2"]]
    assert found["newly_quarantined"] == [["source", "contacts", "E9"]]
    assert (found["without_key_before"], found["without_key_now"]) == (1, 0)
    (request,) = [one for one in bus.asked if isinstance(one, RequestRun)]
    assert request == RequestRun(connector=NAME, mode="dry-run", replay_of=RUN)


def test_replay_that_comes_to_no_plan_is_an_error_with_its_reason(
    bus: FakeBus, capsys: pytest.CaptureFixture[str]
) -> None:
    quarantines(bus, before=[item("E1")])
    failure = FailureNote(code="DIF_SNAPSHOT_GONE", text="the rows are gone")
    runs(bus, run_view("planned"), run_view("failed", run=OLD, plan=None, failure=failure))
    bus.answers["aether.run.request"] = lambda _: Reply(is_accepted=True, run=OLD, status="queued")
    assert exit_code(["quarantine", "replay", RUN, *bus.options, "--json"]) == 1
    error = document(capsys)["error"]
    assert (error["code"], "the rows are gone" in error["text"]) == ("DIF_SNAPSHOT_GONE", True)


def test_quarantine_of_an_unknown_run_is_an_error(bus: FakeBus, capsys: pytest.CaptureFixture[str]) -> None:
    runs(bus)
    assert exit_code(["quarantine", "replay", RUN, *bus.options, "--json"]) == 1
    assert document(capsys)["error"]["code"] == "APV_UNKNOWN_RUN"


# --- shadow ---------------------------------------------------------------------------------------------------------


def shadowed(bus: FakeBus, old: list[ChangeView], new: list[ChangeView], *, new_level: str = "PASS") -> None:
    views = [
        run_view("planned", run="20261122T090000-rep234", replay_of=RUN),
        run_view("planned", run="20261122T080500-bad234"),
        run_view("planned"),
        run_view("planned", run=OLD),
        run_view("planned", run=NEW, connector_version="2.0.0", plan=plan_summary(verdict_level=new_level)),
    ]
    runs(bus, *views, certified=("20261122T090000-rep234", RUN))
    bus.answers["aether.query.runs"] = lambda _: RunsAnswer(runs=tuple(views[:3]))
    changes = {OLD: old, NEW: new}

    def request(body: Document) -> Document:
        assert isinstance(body, RequestRun)
        return Reply(is_accepted=True, run=NEW if body.version is None else OLD, status="queued")

    def plan(question: Document) -> Document:
        assert isinstance(question, PlanQuery)
        found = changes[question.run]
        return PlanAnswer(run=question.run, plan=plan_summary(), changes=tuple(found), total=len(found))

    bus.answers |= {"aether.run.request": request, "aether.query.plan": plan}


def test_equal_plans_are_a_clean_end_and_both_took_the_rows_of_the_last_certified_run(
    bus: FakeBus, capsys: pytest.CaptureFixture[str]
) -> None:
    same = [change_view("E1", role=("a", "b"))]
    shadowed(bus, same, same)
    assert exit_code(["connector", "shadow", NAME, "--against", "1.0.0", *bus.options, "--json"]) == 0
    found = document(capsys)
    assert (found["rows_of"], found["differences"]) == (RUN, [])
    assert [one for one in bus.asked if isinstance(one, RequestRun)] == [
        RequestRun(connector=NAME, mode="dry-run", version="1.0.0", replay_of=RUN),
        RequestRun(connector=NAME, mode="dry-run", replay_of=RUN),
    ]


def test_plans_that_differ_are_told_by_record(bus: FakeBus, capsys: pytest.CaptureFixture[str]) -> None:
    shadowed(bus, [change_view("E1", role=("a", "b"))], [change_view("E2", role=("a", "b"))])
    arguments = ["connector", "shadow", NAME, "--against", "1.0.0", *bus.options]
    assert exit_code([*arguments, "--json"]) == 2
    kinds = [(one["kind"], one["key"]) for one in document(capsys)["differences"]]
    assert kinds == [("only in old", "E1"), ("only in new", "E2")]
    assert exit_code(arguments) == 2
    assert "1 only in old, 1 only in new" in capsys.readouterr().out


def test_other_verdict_over_the_same_changes_is_a_difference(bus: FakeBus, capsys: pytest.CaptureFixture[str]) -> None:
    same = [change_view("E1", role=("a", "b"))]
    shadowed(bus, same, same, new_level="HOLD")
    assert exit_code(["connector", "shadow", NAME, "--against", "1.0.0", *bus.options, "--json"]) == 2
    assert document(capsys)["differences"] == []


def test_without_a_certified_run_it_says_how_to_make_one(bus: FakeBus, capsys: pytest.CaptureFixture[str]) -> None:
    runs(bus, run_view("planned"))
    assert exit_code(["connector", "shadow", NAME, "--against", "1.0.0", *bus.options, "--json"]) == 1
    assert f"aether run {NAME} --dry-run" in document(capsys)["error"]["action"]

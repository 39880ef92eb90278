"""The verbs of the guard: what they ask, what they show, and what they exit with."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.definitions import installed_connectors_folder
from cli.main import exit_code
from cli.verbs import guard
from shared.clock import from_text
from shared.events.commands import DeclareDelta, Reply, WithdrawDelta
from shared.events.model import Document
from shared.events.queries import DeclaredAnswer, DeclaredView, HistoryAnswer, HistoryQuery
from shared.policy.backtest import StoredRun
from shared.policy.declared import Declaration
from shared.policy.figures import EntityFigures, GuardFigures, SourceFigures
from shared.policy.verdict import Level
from tests.unit.cli.answering import FakeBus, answering

NAME = "titanhst-staff"
AT = "2026-11-22T08:00:00.000Z"


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeBus:
    return answering(tmp_path, monkeypatch)


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_limits_in_force_are_those_of_the_house_and_the_connector(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["guard", "show", NAME, "--json"]) == 0
    found = document(capsys)
    limits = {one["check"]: one for one in found["limits"]}
    assert (limits["suspend"]["count"], limits["suspend"]["percent"], limits["suspend"]["floor"]) == (100, 5.0, 5)
    assert limits["delete"]["is_off"] is True
    assert exit_code(["guard", "show", NAME]) == 0
    assert "allowed 100 or 5 %" in capsys.readouterr().out


def test_own_limit_of_a_connector_is_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = copied(tmp_path, "guard:\n  suspend: {count: 40}\n")
    assert exit_code(["guard", "show", NAME, "--connectors", str(folder), "--json"]) == 0
    limits = {one["check"]: one for one in document(capsys)["limits"]}
    assert (limits["suspend"]["count"], limits["suspend"]["percent"], limits["suspend"]["is_own"]) == (40, 5.0, True)
    assert limits["create"]["is_own"] is False


def copied(tmp_path: Path, more: str) -> Path:
    home = tmp_path / "connectors"
    shutil.copytree(installed_connectors_folder() / NAME, home / NAME, ignore=shutil.ignore_patterns("releases"))
    path = home / NAME / "connector.yaml"
    path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")
    return home


def stored(run: str, *, suspend: int, level: Level = Level.PASS) -> StoredRun:
    entity = EntityFigures(
        entity="contacts",
        sources=(SourceFigures(source="person", rows=2000, rows_accepted_last=2000, is_certified=True),),
        is_target_certified=True,
        live_managed=2000,
        desired=2000,
        changes={"suspend": suspend},
        certified_runs=9,
    )
    return StoredRun(run=run, at=AT, figures=GuardFigures(entities=(entity,)), level=level)


def test_backtest_reads_the_whole_history_and_names_the_runs_that_would_have_been_held(
    bus: FakeBus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = [stored("r1", suspend=3), stored("r2", suspend=60), stored("r3", suspend=9)]
    asked: list[HistoryQuery] = []

    def answer(question: Document) -> Document:
        assert isinstance(question, HistoryQuery)
        asked.append(question)
        return HistoryAnswer(runs=tuple(history[question.offset : question.offset + 2]), total=len(history))

    bus.answers["aether.guard.history"] = answer
    policy = tmp_path / "policy.yaml"
    policy.write_text("schema_version: 1\nlimits:\n  suspend: {count: 10}\n", encoding="utf-8")
    arguments = ["guard", "backtest", "--policy", str(policy), "--connector", NAME, *bus.options]
    assert exit_code([*arguments, "--json"]) == 2
    report = document(capsys)["connectors"][NAME]
    assert [one["run"] for one in report["runs"]] == ["r1", "r2", "r3"]
    assert (report["would_have_stopped"], report["would_have_passed"]) == (1, 0)
    assert [one.offset for one in asked] == [0, 2]
    assert exit_code(arguments) == 2
    assert "r2" in capsys.readouterr().out
    policy.write_text("schema_version: 1\nlimits:\n  suspend: {count: 70}\n", encoding="utf-8")
    assert exit_code(arguments) == 0


def test_faulty_policy_is_told_by_its_place(bus: FakeBus, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("schema_version: 1\nlimits:\n  vanish: {count: 10}\n", encoding="utf-8")
    arguments = ["guard", "backtest", "--connector", NAME, *bus.options, "--json", "--policy"]
    assert exit_code([*arguments, str(policy)]) == 1
    error = document(capsys)["error"]
    assert (error["code"], "policy.yaml:3:3" in error["text"]) == ("GRD_POLICY", True)
    assert exit_code([*arguments, str(tmp_path / "absent.yaml")]) == 1
    assert "No such file" in document(capsys)["error"]["text"]


DECLARE = [
    *("guard", "declare", NAME, "--class", "suspend", "--where", "role=TEACHER", "--where", "role=AIDE"),
    *("--where", "location=TL-010", "--count", "1400", "--tolerance", "5", "--reason", "grade 12 leaves"),
]
DAYS = ["--from", "2026-06-12", "--until", "2026-06-30"]


def test_declaration_is_sent_as_typed_with_whole_days(bus: FakeBus, capsys: pytest.CaptureFixture[str]) -> None:
    bus.answers["aether.guard.declare"] = lambda _: Reply(is_accepted=True, declaration=f"{NAME}.abc123")
    assert exit_code([*DECLARE, *DAYS, *bus.options, "--json"]) == 0
    assert document(capsys)["declaration"] == f"{NAME}.abc123"
    (command,) = bus.asked
    assert isinstance(command, DeclareDelta)
    assert command.where == {"role": ("TEACHER", "AIDE"), "location": ("TL-010",)}
    assert (command.change_class, command.expected, command.tolerance_percent) == ("suspend", 1400, 5.0)
    # The last day belongs to it whole: 19 days, whatever the zone of this machine.
    assert from_text(command.valid_until) - from_text(command.valid_from) == timedelta(days=19)


def test_moments_with_a_zone_are_taken_as_they_are() -> None:
    assert guard.moment_of("2026-06-12T08:00:00-07:00", option="--from", is_last=True) == "2026-06-12T15:00:00.000Z"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([*DECLARE, "--from", "June", "--until", "2026-06-30"], "--from: 'June' is neither a day nor a moment"),
        ([*DECLARE, "--from", "2026-06-12", "--until", "2026-06-30T08:00:00"], "has no zone"),
        ([*DECLARE, *DAYS, "--where", "role"], "'role' is not of the form FIELD=VALUE"),
        ([*DECLARE, *DAYS, "--where", "=12"], "'=12' is not of the form FIELD=VALUE"),
    ],
)
def test_mistyped_declaration_is_a_usage_error_and_asks_nobody(
    bus: FakeBus, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert exit_code([*arguments, *bus.options, "--json"]) == 64
    assert told in document(capsys)["error"]["text"]
    assert bus.asked == []


def test_refusal_is_told_with_its_reason(bus: FakeBus, capsys: pytest.CaptureFixture[str]) -> None:
    bus.refuse("aether.guard.declare", "APV_MALFORMED", "field email of contacts is personal")
    assert exit_code([*DECLARE, *DAYS, *bus.options]) == 1
    assert "APV_MALFORMED: field email of contacts is personal" in capsys.readouterr().err


def test_declared_deltas_are_listed_and_withdrawn(bus: FakeBus, capsys: pytest.CaptureFixture[str]) -> None:
    one = Declaration(
        id=f"{NAME}.abc123", connector=NAME, entity="contacts", change_class="suspend", where={"role": ("TEACHER",)},
        expected=1400, tolerance_percent=5, valid_from=AT, valid_until="2026-12-22T08:00:00.000Z",
        reason="grade [12] leaves", declared_by="otto", at=AT,
    )  # fmt: skip
    bus.answers["aether.guard.declared"] = lambda _: DeclaredAnswer(
        declared=(DeclaredView(declaration=one, state="in force"),)
    )
    assert exit_code(["guard", "declared", NAME, *bus.options]) == 0
    shown = capsys.readouterr().out
    assert "in force" in shown and one.id in shown and "grade [12] leaves" in shown
    bus.answers["aether.guard.declared"] = lambda _: DeclaredAnswer(declared=())
    assert exit_code(["guard", "declared", *bus.options]) == 0
    assert "Nothing is declared." in capsys.readouterr().out
    bus.answers["aether.guard.withdraw"] = lambda _: Reply(is_accepted=True, declaration=one.id)
    assert exit_code(["guard", "withdraw", one.id, "--reason", "no", *bus.options, "--json"]) == 0
    assert document(capsys)["declaration"] == one.id
    assert bus.asked[-1] == WithdrawDelta(declaration=one.id, reason="no")

"""With --json, stdout is one JSON document whatever happens; messages go to stderr."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.main import exit_code

VERBS = [
    ["run", "titanhst-staff", "--dry-run"],
    ["runs"],
    ["show", "R"],
    ["plan", "R"],
    ["approve", "R", "--digest", "ab12ab12ab12", "--reason", "x"],
    ["reject", "R", "--digest", "ab12ab12ab12", "--reason", "x"],
    ["cancel", "R", "--reason", "x"],
    ["pause", "R", "--reason", "x"],
    ["resume", "R", "--reason", "x"],
    ["retry", "R", "--reason", "x"],
    ["audit", "verify"],
    ["audit", "export", "--out", "log.jsonl"],
    ["connector", "shadow", "titanhst-staff", "--against", "1.0.0"],
    ["guard", "declared"],
    ["guard", "withdraw", "titanhst-staff.abc123", "--reason", "x"],
    ["quarantine", "list", "R"],
    ["quarantine", "replay", "R"],
]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: " ".join(verb[:2]))
def test_failure_of_every_verb_is_one_document_and_a_message(
    verb: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code([*verb, "--data", str(tmp_path), "--json"]) == 1
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert "there is no profile operator" in document["error"]["text"]
    assert document["error"]["action"]
    assert document["error"]["text"] in captured.err
    assert document["error"]["action"] in captured.err


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: " ".join(verb[:2]))
def test_without_json_a_failure_leaves_stdout_empty(
    verb: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code([*verb, "--data", str(tmp_path)]) == 1
    assert capsys.readouterr().out == ""


def test_usage_error_is_one_document_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["runs", "--nope", "--json"]) == 64
    assert json.loads(capsys.readouterr().out)["exit_code"] == 64


def test_doctor_without_a_house_reports_its_faults_as_one_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["doctor", "--data", str(tmp_path / "absent"), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["is_sound"] is False
    assert {"data folder", "bus"} <= {each["name"] for each in document["checks"] if each["state"] == "fault"}


def test_options_may_stand_before_or_after_the_verb_and_what_was_typed_wins_over_the_environment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AETHER_PROFILE", "from-environment")
    monkeypatch.setenv("AETHER_DATA", str(tmp_path))
    for arguments, profile in [
        (["runs"], "from-environment"),
        (["--profile", "before", "runs"], "before"),
        (["--profile", "before", "runs", "--profile", "after"], "after"),
        (["--json", "--profile", "before", "runs"], "before"),
    ]:
        assert exit_code(arguments) == 1
        captured = capsys.readouterr()
        assert f"there is no profile {profile}" in captured.err
        assert bool(captured.out) is ("--json" in arguments)


def test_connector_with_a_fault_is_told_by_file_line_and_column(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "connector.yaml").write_text("schema_version: 1\nname: broken\nnonsense: 1\n")
    assert exit_code(["connector", "validate", str(folder)]) == 1
    assert f"{folder}/connector.yaml:3:1: " in capsys.readouterr().out
    assert exit_code(["connector", "validate", str(folder), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["is_valid"] is False
    assert (3, 1) in {(each["line"], each["column"]) for each in document["problems"]}


def test_released_connectors_are_valid_by_name_and_by_path(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["connector", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    names = [each["name"] for each in listed["connectors"]]
    assert "titanhst-staff" in names
    for which in (names[0], str(Path(listed["folder"]) / names[0] / "connector.yaml")):
        assert exit_code(["connector", "validate", which, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["is_valid"] is True

"""What the command line exits with, and that a script can rely on it."""

from __future__ import annotations

import pytest

from cli.main import exit_code
from cli.outcome import exit_code_of, is_at_rest, progress_of
from shared.run.counts import NineCounts
from shared.run.states import EXIT_CODES, WAITING_FOR_A_PERSON, RunStatus, is_terminal
from tests.unit.cli.documents import run_view


@pytest.mark.parametrize("status", sorted(RunStatus))
def test_every_state_at_rest_has_the_exit_code_of_the_table(status: RunStatus) -> None:
    if is_at_rest(status):
        assert exit_code_of(status) == EXIT_CODES[status]
    else:
        assert exit_code_of(status) == 0


@pytest.mark.parametrize(("level", "code"), [("PASS", 2), ("WARN", 2), ("HOLD", 4), ("BLOCK", 4)])
def test_dry_run_that_would_be_held_is_never_mere_changes_pending(level: str, code: int) -> None:
    assert exit_code_of("planned", verdict_level=level) == code


def test_watching_ends_where_a_run_ended_or_waits_for_a_person_and_nowhere_else() -> None:
    at_rest = {status for status in RunStatus if is_at_rest(status)}
    assert at_rest == {s for s in RunStatus if is_terminal(s)} | set(WAITING_FOR_A_PERSON) | {RunStatus.PAUSED}


@pytest.mark.parametrize(
    "arguments",
    [
        ["runs", "--nope"],
        ["nosuchverb"],
        ["run", "titanhst-staff"],
        ["run", "titanhst-staff", "--dry-run", "--apply"],
        ["approve", "R", "--reason", "x"],
        ["runs", "--limit", "0"],
    ],
)
def test_mistyped_command_line_is_never_taken_for_changes_pending(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(arguments) == 64
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err != ""


def test_help_is_a_clean_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["--help"]) == 0
    assert "64" in capsys.readouterr().out


def test_progress_names_the_state_and_what_was_done() -> None:
    counts = NineCounts(planned=4, applied=3, failed=1)
    assert progress_of(run_view("applying", counts=counts)) == "applying · of 4 changes: 3 applied, 1 failed"

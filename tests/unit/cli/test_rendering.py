"""What people see: worst first, never read as markup, and the very command that comes next."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, RenderableType

from cli.rendering import changes_table, next_steps, plan_lines, run_lines, runs_table
from shared.events.documents import FailureNote
from shared.policy.guard import Level
from shared.run.counts import NineCounts
from tests.unit.cli.documents import (
    DIGEST,
    RUN,
    change_view,
    plan_answer,
    plan_summary,
    run_answer,
    run_view,
    verdict_line,
)


def _text(*lines: RenderableType) -> str:
    buffer = io.StringIO()
    target = Console(file=buffer, width=200, highlight=False, emoji=False)
    for line in lines:
        target.print(line, markup=False, soft_wrap=isinstance(line, str))
    return buffer.getvalue()


def test_value_with_brackets_is_shown_and_not_taken_for_markup() -> None:
    change = change_view("E1", last_name=("[bold red]x[/]", "[link=http://x]y"))
    shown = _text(changes_table([change]))
    assert "[bold red]x[/]" in shown
    assert "[link=http://x]y" in shown


def test_field_shows_was_and_now_and_emptiness_is_said() -> None:
    shown = _text(changes_table([change_view("E1", email=(None, "a…(9)"), role=("AIDE", "NURSE"))]))
    assert "(empty)" in shown
    assert shown.index("AIDE") < shown.index("NURSE")


def test_only_lines_of_the_guard_that_did_not_pass_are_shown() -> None:
    answer = run_answer("held").model_copy(
        update={"verdict": (verdict_line(Level.PASS, "all well"), verdict_line(Level.HOLD, "suspend: 143 of 2,100"))}
    )
    shown = _text(*run_lines(answer))
    assert "HOLD  suspend: 143 of 2,100" in shown
    assert "all well" not in shown


def test_waiting_run_prints_the_command_that_approves_it_on_one_line() -> None:
    shown = _text(*run_lines(run_answer("awaiting_approval"), options=" --data d"))
    command = f"aether approve {RUN} --digest {DIGEST} --reason '…' --profile approver --data d"
    assert command in shown
    assert "--override" not in shown


def test_held_run_prints_the_override_and_how_many_must_approve() -> None:
    view = run_view("held", plan=plan_summary(verdict_level="HOLD", approvals_needed=2))
    text = "\n".join(next_steps(view))
    assert "--override" in text
    assert "2 approvers, not operator" in text


@pytest.mark.parametrize("status", ["succeeded", "no_changes", "extracting", "rejected", "cancelled"])
def test_run_that_needs_nobody_prints_no_command(status: str) -> None:
    assert next_steps(run_view(status)) == []


def test_failure_is_shown_with_what_to_do() -> None:
    note = FailureNote(code="SRC_AUTH", text="connection hr: refused")
    shown = _text(*run_lines(run_answer("failed", failure=note)))
    assert "SRC_AUTH: connection hr: refused" in shown
    assert "what to do: Renew the credential" in shown


def test_counts_that_are_not_zero_are_all_shown() -> None:
    counts = NineCounts(planned=5, applied=2, noop_already=1, failed=1, unknown=1)
    shown = _text(*run_lines(run_answer("partial", counts=counts)))
    assert "of 5 planned: applied 2, noop_already 1, failed 1, unknown 1" in shown


def test_part_of_a_plan_says_that_it_is_a_part() -> None:
    assert "1 of 9 shown" in _text(*plan_lines(plan_answer(change_view("E1", role=("A", "B")), total=9)))


def test_no_run_yet_says_how_to_get_one() -> None:
    assert "aether run CONNECTOR --dry-run" in _text(runs_table([]))

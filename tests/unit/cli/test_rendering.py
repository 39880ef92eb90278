"""What people see: worst first, never read as markup, and the very command that comes next."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, RenderableType

from cli.rendering import changes_table, next_steps, plan_lines, run_lines, runs_table, verification_lines
from shared.audit.verify import verify_log
from shared.events.documents import FailureNote
from shared.events.queries import DecisionView, RefusalView, SnapshotView
from shared.policy.guard import Level
from shared.run.counts import NineCounts
from tests.unit.auditor.log_builder import VERIFIER_KEY
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


def test_decisions_are_shown_with_who_when_and_why_and_steer_no_terminal() -> None:
    told = DecisionView(
        decision="approve", person="anna", at="2026-11-22T09:00:00.000Z", is_override=True, reason="seen\x1b[2J\nfine"
    )
    refused = RefusalView(
        what="aether.run.approve", person="otto", at="2026-11-22T08:59:00.000Z", code="APV_OWN_REQUEST", text="own"
    )
    shown = _text(*run_lines(run_answer("succeeded").model_copy(update={"decisions": (told,), "refusals": (refused,)})))
    assert "approved by anna at 2026-11-22T09:00:00.000Z, with override: seen [2J fine" in shown
    assert "refused aether.run.approve to otto at 2026-11-22T08:59:00.000Z: APV_OWN_REQUEST: own" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("records", "by_code", "expected"),
    [
        (29, {"NRM_A": 20, "NRM_B": 13}, "29 records in quarantine for 33 reasons (NRM_A 20, NRM_B 13)"),
        (1, {"NRM_A": 1}, "1 record in quarantine for 1 reason (NRM_A 1)"),
        (2, {}, "2 records in quarantine;"),
    ],
)
def test_records_in_quarantine_and_their_reasons_are_counted_apart(
    records: int, by_code: dict[str, int], expected: str
) -> None:
    snapshot = SnapshotView(
        side="source", entity="contacts", is_certified=True, rows={"person": 40}, records=40, quarantined=records,
        quarantined_by_code=by_code, unmapped=(), incomplete=None, seconds=1.0, memory_peak_mb=9,
    )  # fmt: skip
    shown = _text(*run_lines(run_answer("planned").model_copy(update={"snapshots": (snapshot,)})))
    assert expected in shown


def test_log_that_does_not_hold_says_how_many_faults_are_not_shown() -> None:
    report = verify_log([f"nonsense {number}" for number in range(12)], (), VERIFIER_KEY)
    text = "\n".join(verification_lines(report))
    assert "THE LOG DOES NOT HOLD: 13 fault(s)" in text
    assert "… and 8 more that are not shown" in text
    assert "proven       nothing" in text


def test_part_of_a_plan_says_that_it_is_a_part() -> None:
    assert "1 of 9 shown" in _text(*plan_lines(plan_answer(change_view("E1", role=("A", "B")), total=9)))


def test_no_run_yet_says_how_to_get_one() -> None:
    assert "aether run CONNECTOR --dry-run" in _text(runs_table([]))

"""Approving a part of a plan from the command line: what is asked, what is signed, and what a person is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.main import exit_code
from cli.rendering import plan_lines, run_lines
from shared.asking.profiles import Profile, save_profile
from shared.events.commands import DecideRun, Reply
from shared.events.model import Document
from shared.events.queries import ChangeView, DecisionView, PlanAnswer, PlanQuery, SubsetAnswer, SubsetQuery
from shared.hashing.signing import generate, private_key_pem
from shared.plan.subset import left_out_root
from tests.unit.cli.answering import FakeBus, answering
from tests.unit.cli.documents import DIGEST, RUN, plan_summary, run_answer

ONE, OTHER, LAST = (number * 64 for number in "1ab")
ROOT = "sha256:" + "7" * 64
APPROVE = ["approve", RUN, "--digest", DIGEST, "--reason", "reviewed", "--profile", "anna"]


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeBus:
    made = answering(tmp_path, monkeypatch)
    secret, key = tmp_path / "anna", tmp_path / "anna.pem"
    secret.write_text("not used", encoding="utf-8")
    key.write_text(private_key_pem(generate()), encoding="utf-8")
    profile = Profile(nats_url="nats://127.0.0.1:1", user="anna", password=f"file:{secret}", approval_key=f"file:{key}")
    save_profile(tmp_path / "data", "anna", profile)
    made.answers["aether.query.run"] = lambda _: run_answer("awaiting_approval")
    made.answers["aether.query.plan"] = lambda _: PlanAnswer(run=RUN, plan=plan_summary(), total=4)
    made.answers["aether.run.approve"] = lambda _: Reply(is_accepted=True, run=RUN, status="approved")
    made.answers["aether.plan.subset"] = lambda _: part()
    return made


def part(**changed: Any) -> SubsetAnswer:
    values: dict[str, Any] = {
        "run": RUN,
        "plan_digest": DIGEST,
        "subset_root": ROOT,
        "approved": 2,
        "left_out": (ONE, OTHER),
        "because": {OTHER: ONE},
    }
    return SubsetAnswer(**(values | changed))


def decided(bus: FakeBus) -> DecideRun:
    (found,) = [one for one in bus.asked if isinstance(one, DecideRun)]
    return found


def test_part_is_asked_for_signed_and_sent_with_what_it_leaves_out(
    bus: FakeBus, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code([*APPROVE, "--except", f"{ONE[:12]}, {OTHER[:16].upper()}", *bus.options]) == 0
    assert SubsetQuery(run=RUN, left_out=(ONE[:12], OTHER[:16].upper())) in bus.asked
    sent = decided(bus)
    assert (sent.signed.approval.subset, sent.deferred) == (ROOT, (ONE, OTHER))
    assert sent.signed.approval.left_out_root == left_out_root((OTHER, ONE))
    told = capsys.readouterr().err
    assert "2 changes are approved, 2 are left out; the next plan shows these again." in told
    assert f"{OTHER[:12]} builds on {ONE[:12]}" in told


def view(change_id: str, change_class: str, **more: Any) -> ChangeView:
    return ChangeView(change_id=change_id, entity="contacts", key="E1", change_class=change_class, fields=(), **more)


def test_classes_that_are_not_named_are_left_out_by_the_ids_that_the_auditor_shows(bus: FakeBus) -> None:
    suspends = {"create": (), "suspend": (view(ONE, "suspend"), view(OTHER, "suspend"))}
    summary = plan_summary(changes_by_class={"create": 2, "suspend": 2})

    def plan(question: Document) -> PlanAnswer:
        assert isinstance(question, PlanQuery)
        found = suspends.get(question.change_class or "", ())
        return PlanAnswer(run=RUN, plan=summary, total=len(found), changes=found)

    bus.answers["aether.query.plan"] = plan
    assert exit_code([*APPROVE, "--only-class", "create,update", *bus.options]) == 0
    assert SubsetQuery(run=RUN, left_out=(ONE, OTHER)) in bus.asked
    assert decided(bus).deferred == (ONE, OTHER)


def test_word_that_is_no_class_is_a_usage_error(bus: FakeBus, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code([*APPROVE, "--only-class", "kreate", *bus.options]) == 64
    assert "there is no such class of change" in capsys.readouterr().err


def test_more_than_may_be_left_out_is_refused_before_the_plan_is_read(
    bus: FakeBus, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = plan_summary(changes=2002, changes_by_class={"create": 1, "suspend": 2001})
    bus.answers["aether.query.plan"] = lambda _: PlanAnswer(run=RUN, plan=summary, total=2002)
    assert exit_code([*APPROVE, "--only-class", "create", "--json", *bus.options]) == 1
    told = json.loads(capsys.readouterr().out)["error"]["text"]
    assert "2,001 changes would be left out, allowed 2,000; reject the plan, or narrow the connector" in told
    assert not [one for one in bus.asked if isinstance(one, SubsetQuery | DecideRun)]


@pytest.mark.parametrize(
    "lie",
    [
        {"plan_digest": "sha256:" + "9" * 64},
        {"left_out": (OTHER, LAST)},
        {"subset_root": "ALL"},
        {"left_out": ()},
        {"approved": 3},
    ],
    ids=["of another plan", "not what was named", "root of all", "nothing left out", "too many"],
)
def test_what_a_captured_differ_might_answer_is_not_signed(
    bus: FakeBus, lie: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    bus.answers["aether.plan.subset"] = lambda _: part(**lie)
    assert exit_code([*APPROVE, "--except", ONE, "--json", *bus.options]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "APV_WRONG_DIGEST"
    assert not [one for one in bus.asked if isinstance(one, DecideRun)]


def test_what_the_plan_set_aside_need_not_be_left_out(bus: FakeBus) -> None:
    bus.answers["aether.query.plan"] = lambda _: PlanAnswer(run=RUN, plan=plan_summary(), total=4, excluded=1)
    assert exit_code([*APPROVE, "--except", f"{ONE},{LAST}", *bus.options]) == 0


def test_same_part_as_before_is_asked_for(bus: FakeBus) -> None:
    assert exit_code([*APPROVE, "--as-before", *bus.options]) == 0
    assert SubsetQuery(run=RUN, is_as_before=True) in bus.asked


def test_whole_plan_is_approved_without_a_question_about_parts(bus: FakeBus) -> None:
    assert exit_code([*APPROVE, *bus.options]) == 0
    assert not [one for one in bus.asked if isinstance(one, SubsetQuery)]
    assert (decided(bus).signed.approval.subset, decided(bus).deferred) == ("ALL", ())


def test_part_that_cannot_be_approved_is_not_signed(bus: FakeBus, capsys: pytest.CaptureFixture[str]) -> None:
    problem = f"run {RUN}: 2,001 changes would be left out, allowed 2,000; reject the plan, or narrow the connector"
    bus.answers["aether.plan.subset"] = lambda _: SubsetAnswer(run=RUN, problem=problem)
    assert exit_code([*APPROVE, "--except", ONE, "--json", *bus.options]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["error"]["text"] == problem
    assert not [one for one in bus.asked if isinstance(one, DecideRun)]


def test_second_person_is_shown_how_to_approve_the_same_part(bus: FakeBus, capsys: pytest.CaptureFixture[str]) -> None:
    bus.answers["aether.query.plan"] = lambda _: PlanAnswer(run=RUN, plan=plan_summary(approvals_needed=2), total=4)
    bus.answers["aether.run.approve"] = lambda _: Reply(is_accepted=True, run=RUN, status="awaiting_approval")
    assert exit_code([*APPROVE, "--except", ONE, *bus.options]) == 2
    assert f"aether approve {RUN} --digest {DIGEST} --as-before --reason" in capsys.readouterr().out
    assert exit_code([*APPROVE, "--except", ONE, "--json", *bus.options]) == 2
    assert json.loads(capsys.readouterr().out)["left_out"] == 2


def test_run_tells_how_many_an_approval_left_out() -> None:
    decision = DecisionView(decision="approve", person="anna", at="2026-11-22T09:00:00Z", reason="fine", left_out=1200)
    answer = run_answer("approved").model_copy(update={"decisions": (decision,)})
    assert "approved by anna at 2026-11-22T09:00:00Z, all but 1,200: fine" in run_lines(answer)


def test_plan_names_each_change_and_tells_what_was_left_out_before() -> None:
    from rich.console import Console

    change = view(LAST, "delete", marks=("deferred",))
    answer = PlanAnswer(run=RUN, plan=plan_summary(), total=1, changes=(change,))
    console = Console(width=200, record=True)
    for line in plan_lines(answer):
        console.print(line)
    shown = console.export_text()
    assert LAST[:12] in shown
    assert "deferred before" in shown

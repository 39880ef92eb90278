"""What a command says when it is done: whether more people are needed, what it ended, what goes on without us."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from cli import superseding, watching
from cli.main import exit_code
from cli.options import Session, program
from cli.problem import CommandFailed, NoAnswer
from cli.superseding import superseded_by, waiting_runs
from cli.verbs.approvals import check_class, show_counted
from cli.verbs.runs import finish
from cli.verbs.steering import show_asked
from shared.asking.client import PersonClient
from shared.events.commands import Reply
from shared.events.documents import FailureNote
from shared.events.queries import RunAnswer, RunsAnswer, RunsQuery
from tests.unit.cli.documents import DIGEST, RUN, plan_summary, run_answer, run_view

SESSION = Session(data=Path("d x"), profile="operator", is_json=False)
JSON = Session(data=Path("d x"), profile="operator", is_json=True)
OTHER = "20261122T070000-abc234"


class _Clock:
    """Each look takes a tenth of a second."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 11, 22, tzinfo=UTC)

    def monotonic_seconds(self) -> float:
        self.seconds += 0.1
        return self.seconds


class _Auditor:
    """Gives one prepared answer about any run after the other, the last one for ever."""

    def __init__(self, *answers: RunAnswer, listed: RunsAnswer | NoAnswer | None = None) -> None:
        self.answers = list(answers)
        self.listed = listed
        self.asked = 0

    async def run(self, run: str) -> RunAnswer:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def runs(self, question: RunsQuery) -> RunsAnswer:
        assert self.listed is not None
        if isinstance(self.listed, NoAnswer):
            raise self.listed
        return self.listed


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "POLL_SECONDS", 0)
    monkeypatch.setattr(superseding, "POLL_SECONDS", 0)


def _client(auditor: _Auditor) -> PersonClient:
    return cast(PersonClient, auditor)


# --- the first of two approvals -------------------------------------------------------------------------------------


def test_first_of_two_approvals_says_that_it_counts_and_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    plan = plan_summary(verdict_level="HOLD", approvals_needed=2)
    reply = Reply(is_accepted=True, run=RUN, status="held")
    assert show_counted(SESSION, reply, plan, run=RUN, approvers={"anna"}) == 2
    shown = capsys.readouterr().out
    assert "Your approval counts: 1 of 2 (anna)" in shown
    assert f"must approve until {plan.expires_at}" in shown
    assert f"aether approve {RUN} --digest {DIGEST} --override" in shown
    show_counted(JSON, reply, plan, run=RUN, approvers={"anna"})
    document = json.loads(capsys.readouterr().out)
    assert (document["approvals"], document["approvals_needed"], document["exit_code"]) == (1, 2, 2)


# --- cancel ---------------------------------------------------------------------------------------------------------


async def test_watch_of_a_cancelled_run_goes_on_until_it_has_ended(capsys: pytest.CaptureFixture[str]) -> None:
    applying = run_answer("applying")
    auditor = _Auditor(applying, applying, run_answer("partial"))
    reply = Reply(is_accepted=True, run=RUN, status="applying")
    code = await finish(_client(auditor), SESSION, reply, run=RUN, before=applying, seconds_max=60)
    assert (code, auditor.asked) == (3, 3)
    assert "partial" in capsys.readouterr().out


def test_cancel_without_watch_says_that_the_run_ends_at_its_next_change(capsys: pytest.CaptureFixture[str]) -> None:
    reply = Reply(is_accepted=True, run=RUN, status="applying")
    assert show_asked(SESSION, reply, run=RUN, verb="cancel") == 0
    shown = capsys.readouterr().out
    assert f"run {RUN} is applying and was asked to end at its next change" in shown
    assert f"aether show {RUN} --data 'd x'" in shown


# --- Ctrl-C ---------------------------------------------------------------------------------------------------------


async def test_interrupted_watch_says_that_the_run_goes_on_and_names_it() -> None:
    reply = Reply(is_accepted=True, run=RUN, status="queued")
    auditor = _client(_Auditor(run_answer("diffing")))
    watch = asyncio.create_task(finish(auditor, SESSION, reply, run=RUN, before=None, seconds_max=3600))
    await asyncio.sleep(0.01)
    watch.cancel()
    with pytest.raises(CommandFailed, match=f"run {RUN} goes on by itself") as caught:
        await watch
    assert caught.value.exit_code == 130
    assert f"aether show {RUN} --data 'd x'" in caught.value.action


def test_interruption_anywhere_else_is_said_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("cli.verbs.runs._runs", interrupted)
    assert exit_code(["runs"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_help_lists_the_exit_code_of_an_interruption(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code(["--help"])
    assert "130 interrupted" in capsys.readouterr().out


# --- what a request supersedes --------------------------------------------------------------------------------------


async def test_request_that_supersedes_a_waiting_run_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    ended = run_answer("superseded", failure=FailureNote(code="APV_SUPERSEDED", text=f"superseded by run {RUN}"))
    auditor = _Auditor(run_answer("awaiting_approval"), ended)
    reply = Reply(is_accepted=True, run=RUN, status="queued")
    await finish(_client(auditor), SESSION, reply, run=RUN, before=None, seconds_max=None, waited=(OTHER,))
    assert f"It supersedes run {OTHER}" in capsys.readouterr().out


async def test_run_that_another_request_superseded_is_not_claimed() -> None:
    ended = run_answer("superseded", failure=FailureNote(code="APV_SUPERSEDED", text="superseded by run somebody-else"))
    assert await superseded_by(_client(_Auditor(ended)), RUN, [OTHER], clock=_Clock()) == ()
    assert await superseded_by(_client(_Auditor(run_answer("held"))), RUN, [OTHER], clock=_Clock()) == ()


async def test_silent_auditor_never_stands_in_the_way_of_a_request() -> None:
    listed = RunsAnswer(runs=(run_view("succeeded"), run_view("held", run=OTHER)))
    assert await waiting_runs(_client(_Auditor(run_answer("held"), listed=listed)), "c") == (OTHER,)
    silent = NoAnswer("nobody answers", action="start it")
    assert await waiting_runs(_client(_Auditor(run_answer("held"), listed=silent)), "c") == ()


# --- words of the command line --------------------------------------------------------------------------------------


def test_mistyped_class_is_a_usage_error_that_lists_what_the_plan_has() -> None:
    with pytest.raises(CommandFailed) as caught:
        check_class("renam", {"rename": 6, "create": 38, "delete": 0}, run=RUN)
    assert caught.value.exit_code == 64
    assert "create (38), rename (6)." in caught.value.action


def test_class_that_this_plan_lacks_is_a_fair_question() -> None:
    check_class("delete", {"create": 3}, run=RUN)


def test_printed_program_is_found_by_the_shell_or_given_by_its_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "env" / "bin"
    folder.mkdir(parents=True)
    (folder / "aether").touch(mode=0o755)
    monkeypatch.setattr("sys.executable", str(folder / "python"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    assert program() == "env/bin/aether"
    monkeypatch.setenv("PATH", str(folder))
    assert program() == "aether"

"""Pause and retry: what is asked, what is printed, what a script can read and exit by; and what `show` adds to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.checkup import _connections
from cli.main import exit_code
from cli.outcome import progress_of
from cli.rendering import next_steps, run_lines
from shared.events.commands import NameRun, Reply
from shared.events.documents import FailureNote
from shared.events.queries import DecisionView, HealthAnswer, QuarantinedConnection, RunQuery
from shared.run.counts import NineCounts
from tests.unit.cli.answering import FakeBus, answering
from tests.unit.cli.documents import RUN, run_answer, run_view

NEW = "20261122T090000-def567"
PARTIAL = NineCounts(planned=4, applied=3, failed=1)
UNKNOWN = NineCounts(planned=4, applied=1, unknown=3)


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeBus:
    return answering(tmp_path, monkeypatch)


# --- pause ----------------------------------------------------------------------------------------------------------


def test_pause_says_that_the_run_pauses_at_its_next_change(bus: FakeBus, capsys: pytest.CaptureFixture[str]) -> None:
    bus.answers["aether.query.run"] = lambda _: run_answer("applying")
    bus.answers["aether.run.pause"] = lambda _: Reply(is_accepted=True, run=RUN, status="applying")
    assert exit_code(["pause", RUN, "--reason", "office hours", *bus.options]) == 0
    assert f"run {RUN} is applying and was asked to pause at its next change" in capsys.readouterr().out
    assert bus.asked == [RunQuery(run=RUN), NameRun(run=RUN, reason="office hours")]


def test_watched_pause_stays_until_the_run_has_paused(bus: FakeBus, capsys: pytest.CaptureFixture[str]) -> None:
    states = iter(["applying", "applying", "throttled", "applying", "paused"])
    bus.answers["aether.query.run"] = lambda _: run_answer(next(states))
    bus.answers["aether.run.pause"] = lambda _: Reply(is_accepted=True, run=RUN, status="applying")
    assert exit_code(["pause", RUN, "--reason", "x", "--watch", "--json", *bus.options]) == 3
    assert json.loads(capsys.readouterr().out)["run"]["status"] == "paused"


def test_refused_pause_is_an_error_with_what_to_do(bus: FakeBus, capsys: pytest.CaptureFixture[str]) -> None:
    bus.answers["aether.query.run"] = lambda _: run_answer("approved")
    bus.refuse("aether.run.pause", "APV_WRONG_STATE", "it writes nothing; cancel it to stop it")
    assert exit_code(["pause", RUN, "--reason", "x", "--json", *bus.options]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["error"]["code"] == "APV_WRONG_STATE"
    assert "cancel it" in document["error"]["text"]


# --- retry ----------------------------------------------------------------------------------------------------------


def test_retry_names_the_new_run_and_the_one_it_retries(bus: FakeBus, capsys: pytest.CaptureFixture[str]) -> None:
    bus.answers["aether.query.run"] = lambda _: run_answer("partial", counts=PARTIAL)
    bus.answers["aether.run.retry"] = lambda _: Reply(is_accepted=True, run=NEW, status="approved")
    assert exit_code(["retry", RUN, "--reason", "mended", *bus.options]) == 0
    shown = capsys.readouterr().out
    assert f"run {NEW} is approved" in shown
    assert f"what failed in run {RUN}" in shown
    assert f"aether show {NEW}" in shown
    assert exit_code(["retry", RUN, "--reason", "mended", "--json", *bus.options]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["run"], document["retry_of"], document["exit_code"]) == (NEW, RUN, 0)


@pytest.mark.parametrize(("end", "code"), [("succeeded", 0), ("partial", 3), ("stale", 5)])
def test_watched_retry_exits_by_the_end_of_the_new_run(bus: FakeBus, end: str, code: int) -> None:
    bus.answers["aether.query.run"] = lambda question: (
        run_answer("partial")
        if question == RunQuery(run=RUN)
        else run_answer(end, run=NEW, retry_of=RUN, changed_at="2026-11-22T09:00:00.000Z")
    )
    bus.answers["aether.run.retry"] = lambda _: Reply(is_accepted=True, run=NEW, status="approved")
    assert exit_code(["retry", RUN, "--reason", "mended", "--watch", *bus.options]) == code


# --- show -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["partial", "failed"])
def test_run_in_which_something_failed_shows_how_to_try_again(status: str) -> None:
    assert f'aether retry {RUN} --reason "…"' in "\n".join(next_steps(run_view(status, counts=PARTIAL)))
    nothing = NineCounts(planned=4, applied=3, stale_skipped=1)
    assert next_steps(run_view(status, counts=nothing)) == []


def test_retry_shows_what_it_is_a_retry_of_and_who_asked() -> None:
    asked = DecisionView(decision="retry", person="olga", at="2026-11-22T09:00:00.000Z", reason="mended")
    lines = run_lines(run_answer("succeeded", retry_of=RUN, run=NEW).model_copy(update={"decisions": (asked,)}))
    assert any("retry asked by olga" in str(line) for line in lines)
    facts = lines[0]
    assert RUN in [str(cell) for column in facts.columns for cell in column._cells]  # type: ignore[union-attr]  # a table


@pytest.mark.parametrize(("wish", "what"), [("asked_to_end_by", "end"), ("asked_to_pause_by", "pause")])
def test_run_that_was_asked_to_stop_says_so(wish: str, what: str) -> None:
    assert next_steps(run_view("applying", **{wish: "otto"})) == [f"It was asked by otto to {what} at its next change."]


def test_paused_run_that_cannot_end_says_what_is_missing_why_and_who_acts() -> None:
    unreachable = FailureNote(code="APL_UNREACHABLE", text="no connection")
    told = "\n".join(next_steps(run_view("paused", counts=UNKNOWN, failure=unreachable, asked_to_end_by="otto")))
    assert "Asked to end by otto; it cannot end while 3 outcomes are unknown" in told
    assert "Who acts: vendor" in told
    assert f"Look again:  aether resume {RUN}" in told
    gone = FailureNote(code="APL_PLAN_ALTERED", text="there is no plan on the bus")
    told = "\n".join(next_steps(run_view("paused", counts=UNKNOWN, failure=gone, asked_to_end_by="otto")))
    assert "plan cannot be verified any more" in told
    assert "Who acts: platform" in told


def test_throttled_run_says_what_it_waits_for() -> None:
    note = FailureNote(code="APL_RATE_LIMITED", text="titan asks to wait 30 s")
    counts = NineCounts(planned=2, applied=1, not_attempted=1)
    assert progress_of(run_view("throttled", counts=counts, failure=note)).endswith("· titan asks to wait 30 s")


# --- doctor ---------------------------------------------------------------------------------------------------------


def test_doctor_names_each_quarantined_connection_since_when_and_why() -> None:
    note = FailureNote(code="APL_AUTH", text="401")
    sick = QuarantinedConnection(connection="titan", since="2026-11-22T08:00:00.000Z", reason=note, run=RUN, probes=4)
    plain = HealthAnswer(entries=1, checkpoints=1, lag={}, dead_letters=(), dead_letters_total=0)
    (check,) = _connections(plain.model_copy(update={"quarantined": (sick,)}))
    assert (check.name, check.state) == ("connection titan", "fault")
    assert all(word in check.found for word in ("2026-11-22T08:00:00.000Z", "4 times", "APL_AUTH", "Renew"))
    assert [check.state for check in _connections(plain)] == ["ok"]

"""Watching ends when the run does, not before and not because the record lags."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import cast

import pytest

from cli import watching
from cli.problem import CommandFailed, NoAnswer
from cli.watching import follow
from shared.asking.client import PersonClient
from shared.events.queries import RunAnswer
from tests.unit.cli.documents import RUN, run_answer, run_view


class _StepClock:
    """Each look takes a second."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 11, 22, tzinfo=UTC)

    def monotonic_seconds(self) -> float:
        self.seconds += 1.0
        return self.seconds


class _Auditor:
    """Gives one prepared answer after the other, the last one for ever."""

    def __init__(self, *answers: RunAnswer | NoAnswer) -> None:
        self._answers: Iterator[RunAnswer | NoAnswer] = iter(answers)
        self._last = answers[-1]

    async def run(self, run: str) -> RunAnswer:
        answer = next(self._answers, self._last)
        if isinstance(answer, NoAnswer):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "POLL_SECONDS", 0)


async def _follow(auditor: _Auditor, *, before: RunAnswer | None = None, seconds_max: float = 60) -> RunAnswer:
    return await follow(
        cast(PersonClient, auditor),
        RUN,
        clock=_StepClock(),
        seconds_max=seconds_max,
        before=before.run if before is not None else None,
    )


async def test_run_that_the_record_does_not_know_yet_is_waited_for() -> None:
    answer = await _follow(_Auditor(RunAnswer(run=None), run_answer("extracting"), run_answer("planned")))
    assert answer.run is not None
    assert answer.run.status == "planned"


async def test_state_from_before_the_command_is_not_taken_for_its_result() -> None:
    before = run_answer("awaiting_approval")
    answer = await _follow(_Auditor(before, before, run_answer("applying"), run_answer("succeeded")), before=before)
    assert answer.run is not None
    assert answer.run.status == "succeeded"


async def test_run_that_pauses_again_after_a_resume_is_at_rest_again() -> None:
    again = RunAnswer(run=run_view("paused", changed_at="2026-11-22T08:09:00.000Z"))
    assert await _follow(_Auditor(run_answer("paused"), again), before=run_answer("paused")) == again


async def test_auditor_that_is_away_for_a_while_does_not_end_the_watch() -> None:
    away = NoAnswer("nobody answers", action="wait")
    answer = await _follow(_Auditor(away, away, run_answer("no_changes")))
    assert answer.run is not None
    assert answer.run.status == "no_changes"


async def test_watch_is_bounded_and_says_where_the_run_is() -> None:
    with pytest.raises(CommandFailed, match="still under way after 5 s: diffing"):
        await _follow(_Auditor(run_answer("diffing")), seconds_max=5)

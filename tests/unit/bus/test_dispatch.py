"""What a person is answered."""

from __future__ import annotations

from shared.bus.dispatch import _status_in
from shared.run.moves import Decision, state_message
from shared.run.state import RunState
from shared.run.states import RunStatus


def _state(run: str, status: RunStatus) -> RunState:
    return RunState(
        run=run,
        connector="c",
        connector_version="1.0.0",
        release_digest="sha256:0",
        mode="apply",
        requester="otto",
        status=status,
        changed_at="2026-11-22T08:00:00.000Z",
        work=(),
        partitions=1,
        target="t",
    )


def test_reply_names_the_state_of_the_run_it_names() -> None:
    old, new = "20261122T080000-aaaaaa", "20261122T090000-bbbbbb"
    decision = Decision(
        (state_message(_state(old, RunStatus.SUPERSEDED)), state_message(_state(new, RunStatus.QUEUED)))
    )
    assert _status_in(decision, new) == "queued"

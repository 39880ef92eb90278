"""Children of the embedded stack: ready when they say so, gone when told, brought back a bounded number of times."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from cli import processes
from cli.processes import RESTART_PAUSES_SECONDS, RESTARTS_MAX, Child, ChildFailed

READY = "import json,os,sys,time; json.dump({'pid': os.getpid()}, open(sys.argv[1],'w')); time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + READY


def _child(folder: Path, program: str) -> Child:
    ready = folder / "ready.json"
    return Child(
        name="child",
        arguments=[sys.executable, "-c", program, str(ready)],
        environment=dict(os.environ),
        log=folder / "child.log",
        ready_file=ready,
    )


async def test_child_is_ready_by_its_own_word_and_gone_after_stop(tmp_path: Path) -> None:
    child = _child(tmp_path, READY)
    child.start()
    ready = await child.wait_ready(seconds_max=20)
    assert ready["pid"] == child.pid
    await child.stop()
    assert child.pid is None
    assert not child.ready_file.exists()


async def test_word_of_an_earlier_child_is_not_taken(tmp_path: Path) -> None:
    child = _child(tmp_path, "import time; time.sleep(60)")
    child.start()
    child.ready_file.write_text('{"pid": 1}')
    try:
        assert child.ready() is None
    finally:
        child.kill(stays_down=True)


async def test_child_that_dies_while_starting_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    child = _child(tmp_path, "raise SystemExit('no bus here')")
    child.start()
    with pytest.raises(ChildFailed, match="no bus here"):
        await child.wait_ready(seconds_max=20)


async def test_child_that_will_not_stop_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STOP_SECONDS_MAX", 0.2)
    child = _child(tmp_path, STUBBORN)
    child.start()
    await child.wait_ready(seconds_max=20)
    await child.stop()
    assert child.pid is None


def test_restarts_wait_longer_each_time_and_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "SETTLED_SECONDS", float("inf"))
    child = _child(tmp_path, READY)
    pauses = [child.pause_before_restart() for _ in range(RESTARTS_MAX + 1)]
    assert pauses[: len(RESTART_PAUSES_SECONDS)] == list(RESTART_PAUSES_SECONDS)
    assert set(pauses[len(RESTART_PAUSES_SECONDS) : -1]) == {RESTART_PAUSES_SECONDS[-1]}
    assert pauses[-1] is None


def test_child_that_ran_for_long_starts_again_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "SETTLED_SECONDS", -1.0)
    child = _child(tmp_path, READY)
    assert {child.pause_before_restart() for _ in range(RESTARTS_MAX + 1)} == {RESTART_PAUSES_SECONDS[0]}


async def test_child_is_out_of_reach_of_the_terminals_interrupt(tmp_path: Path) -> None:
    child = _child(tmp_path, READY)
    child.start()
    try:
        await child.wait_ready(seconds_max=20)
        assert child.pid is not None
        assert os.getpgid(child.pid) != os.getpgid(0)
    finally:
        child.kill(stays_down=True)

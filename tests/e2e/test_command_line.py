"""The command line against the whole house: every verb, its exit code, and a stack that outlives what dies in it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from cli.problem import CommandFailed
from cli.stack import ROOT, Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CONNECTOR = "titanhst-staff"
STAFF = 1200
VERB_SECONDS_MAX = 120


@dataclass(frozen=True)
class Said:
    """What one call of the command line left."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        found: dict[str, Any] = json.loads(self.out)
        return found


class House:
    """A running stack and the command line on it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    async def aether(self, *arguments: str) -> Said:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AETHER_")}
        environment["AETHER_DATA"] = str(self.stack.layout.data)
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "cli.main", *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=VERB_SECONDS_MAX,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    async def waiting_run(self) -> tuple[str, str]:
        """A run that waits for approval: its id and the digest of its plan."""
        said = await self.aether("run", CONNECTOR, "--apply", "--json")
        assert said.code in (2, 4), said
        run = said.document["run"]
        return run["run"], run["plan"]["plan_digest"]


@pytest_asyncio.fixture(loop_scope="function")
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with Stack(tmp_path / "data", is_demo=True, staff=STAFF, differs=2) as stack:
        yield House(stack)


async def test_operator_asks_approver_approves_auditor_proves(house: House) -> None:
    dry = await house.aether("run", CONNECTOR, "--dry-run", "--json")
    assert dry.code == dry.document["exit_code"] in (2, 4)
    run, digest = await house.waiting_run()

    shown = await house.aether("plan", run, "--all", "--json")
    assert len(shown.document["changes"]) == shown.document["total"] == shown.document["plan"]["changes"]

    override = ["--override"] if (await house.aether("show", run, "--json")).document["run"]["status"] == "held" else []
    decision = [run, "--digest", digest[:19], "--reason", "reviewed", *override]
    own = await house.aether("approve", *decision)
    assert own.code == 1
    assert "no approval key" in own.err

    wrong = await house.aether("approve", run, "--digest", "0" * 64, "--reason", "x", "--profile", "approver")
    assert wrong.code == 1
    assert "APV_WRONG_DIGEST" in wrong.err

    for profile in ("approver", "approver2")[: shown.document["plan"]["approvals_needed"]]:
        approved = await house.aether("approve", *decision, "--profile", profile, "--watch", "--json")
    assert approved.code == 0, approved
    assert approved.document["run"]["status"] == "succeeded"
    assert approved.document["run"]["counts"]["applied"] == shown.document["plan"]["changes"]

    again = await house.aether("run", CONNECTOR, "--apply", "--json")
    assert (again.code, again.document["run"]["status"]) == (0, "no_changes")

    verified = await house.aether("audit", "verify", "--profile", "auditor", "--json")
    assert verified.code == 0, verified
    assert verified.document["runs_sealed"] >= 2
    assert (await house.aether("doctor", "--json")).document["is_sound"] is True


async def test_rejected_and_cancelled_runs_end_with_their_own_exit_code(house: House) -> None:
    run, digest = await house.waiting_run()
    rejected = await house.aether(
        "reject", run, "--digest", digest, "--reason", "no", "--profile", "approver", "--json"
    )
    assert (rejected.code, rejected.document["status"]) == (6, "rejected")
    run, _ = await house.waiting_run()
    cancelled = await house.aether("cancel", run, "--reason", "no longer wanted", "--watch", "--json")
    assert (cancelled.code, cancelled.document["run"]["status"]) == (6, "cancelled")
    listed = (await house.aether("runs", "--json")).document["runs"]
    assert [each["status"] for each in listed] == ["cancelled", "rejected"]


async def test_second_stack_on_the_same_folder_is_refused_and_harms_nothing(house: House) -> None:
    with pytest.raises(CommandFailed, match=f"held by process {os.getpid()}"):
        await Stack(house.stack.layout.data, is_demo=True).start()
    assert (await house.aether("runs", "--json")).code == 0


async def test_whatever_is_killed_comes_back_and_takes_work(house: House) -> None:
    stack = house.stack
    for name in stack.names():
        before = stack.pid(name)
        stack.kill(name)
        await stack.wait_ready(name)
        assert stack.pid(name) not in (None, before)
    said = await house.aether("run", CONNECTOR, "--dry-run", "--json")
    assert said.code in (2, 4), said


async def test_what_is_to_stay_down_stays_down_until_it_is_restarted(house: House) -> None:
    stack = house.stack
    stack.kill("auditor", stays_down=True)
    silent = await house.aether("runs")
    assert silent.code == 1
    assert "auditor" in silent.err
    assert stack.pid("auditor") is None
    await stack.restart("auditor")
    assert (await house.aether("runs")).code == 0

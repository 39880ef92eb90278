"""The command line against the whole house: every verb, its exit code, and a stack that outlives what dies in it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from cli.problem import CommandFailed
from cli.stack import ROOT, Stack
from shared.asking.profiles import load_profile
from shared.events.commands import Reply
from shared.hashing.canonical import canonical_json
from shared.run.states import EXIT_CODES
from shared.secrets import resolve
from tests.support.figures import faults_of, value_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CONNECTOR = "titanhst-staff"
STAFF = 1200
VERB_SECONDS_MAX = 120
FIGURES_SECONDS_MAX = 30


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

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AETHER_")}
        return kept | {"AETHER_DATA": str(self.stack.layout.data)}

    async def aether(self, *arguments: str) -> Said:
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "cli.main", *arguments],
            cwd=ROOT,
            env=self.environment(),
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
async def house(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """A house; a whole one also has what stands beside the road."""
    is_whole = getattr(request, "param", None) == "whole"
    async with Stack(
        tmp_path / "data",
        is_demo=True,
        staff=STAFF,
        differs=2,
        has_console=is_whole,
        has_monitor=is_whole,
    ) as stack:
        yield House(stack)


async def _export_is_proven_elsewhere(house: House, folder: Path) -> None:
    """By the printed key alone, from a folder without profiles."""
    log = folder / "log.jsonl"
    exported = await house.aether("audit", "export", "--out", str(log), "--profile", "auditor", "--json")
    key = exported.document["verifier_key"]
    elsewhere = ["--file", str(log), "--verifier-key", key, "--data", str(folder / "nowhere"), "--json"]
    assert (await house.aether("audit", "verify", *elsewhere)).code == 0
    with log.open("ab") as file:  # an entry that nobody signed, behind all that is signed
        last = json.loads(log.read_bytes().splitlines()[-1])
        file.write(canonical_json(last | {"index": last["index"] + 1}) + b"\n")
    added = await house.aether("audit", "verify", *elsewhere)
    assert (added.code, added.document["is_valid"], added.document["is_proven"]) == (1, True, False)


@pytest.mark.parametrize("house", ["whole"], indirect=True)
async def test_operator_asks_approver_approves_auditor_proves(house: House, tmp_path: Path) -> None:
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
    told = approved.document["decisions"][0]
    assert (told["decision"], told["person"], told["reason"]) == ("approve", "approver", "reviewed")
    assert told["at"] >= approved.document["run"]["requested_at"]

    again = await house.aether("run", CONNECTOR, "--apply", "--json")
    assert (again.code, again.document["run"]["status"]) == (0, "no_changes")

    verified = await house.aether("audit", "verify", "--profile", "auditor", "--json")
    assert verified.code == 0, verified
    assert verified.document["runs_sealed"] >= 2
    assert verified.document["entries_proven"] == verified.document["entries"]
    await _export_is_proven_elsewhere(house, tmp_path)
    sound = (await house.aether("doctor", "--json")).document
    assert sound["is_sound"] is True
    assert {"service console", "service monitor"} <= {check["name"] for check in sound["checks"]}
    await _every_figure_is_of_the_table(house)


async def _every_figure_is_of_the_table(house: House) -> None:
    """Of each of these programs, after it has worked."""
    async with httpx.AsyncClient() as asking:

        async def told_by(name: str) -> str:
            return (await asking.get(f"{house.stack.admin_url(name)}/metrics")).raise_for_status().text

        ended = {"connector": CONNECTOR, "mode": "apply", "status": "no_changes"}
        async with asyncio.timeout(FIGURES_SECONDS_MAX):
            while value_of(await told_by("monitor"), "aether_runs_ended_total", **ended) != 1:
                await asyncio.sleep(0.2)
        programs = {"extractor": "extractor", "differ": "differ-1", "applier": "applier", "auditor": "auditor",
                    "console": "console", "monitor": "monitor"}  # fmt: skip
        told = {service: await told_by(name) for service, name in programs.items()}
    assert [fault for service, text in told.items() for fault in faults_of(text, service)] == []
    assert value_of(told["monitor"], "aether_bus_server_up", server="aether") == 1
    assert value_of(told["monitor"], "aether_guard_level", connector=CONNECTOR) is not None
    assert (value_of(told["extractor"], "aether_bus_wait_seconds_count", consumer="extractor") or 0) > 0
    assert (value_of(told["auditor"], "aether_disk_free_bytes", place="data") or 0) > 0
    written = house.stack.layout.read_token.stat().st_mtime
    changed = "aether_credential_changed_timestamp_seconds"
    assert value_of(told["extractor"], changed, connection="titanhst", setting="token") == pytest.approx(written)


async def test_rejected_and_cancelled_runs_end_with_their_own_exit_code(house: House) -> None:
    first, _ = await house.waiting_run()
    said = await house.aether("run", CONNECTOR, "--apply", "--json")
    assert said.document["supersedes"] == [first]
    run, digest = said.document["run"]["run"], said.document["run"]["plan"]["plan_digest"]
    rejected = await house.aether(
        "reject", run, "--digest", digest, "--reason", "no", "--profile", "approver", "--json"
    )
    assert (rejected.code, rejected.document["status"]) == (6, "rejected")
    run, _ = await house.waiting_run()
    cancelled = await house.aether("cancel", run, "--reason", "no longer wanted", "--watch", "--json")
    assert (cancelled.code, cancelled.document["run"]["status"]) == (6, "cancelled")
    listed = (await house.aether("runs", "--json")).document["runs"]
    assert [each["status"] for each in listed] == ["cancelled", "rejected", "superseded"]
    await _cancel_of_an_applying_run_is_followed_to_its_end(house)


async def _cancel_of_an_applying_run_is_followed_to_its_end(house: House) -> None:
    run, digest = await house.waiting_run()
    async with httpx.AsyncClient() as vendor:
        fault = {"kind": "slow", "method": "PATCH", "times": 500, "seconds": 1.5}
        (await vendor.post(f"{house.stack.vendor_url}/_sim/faults", json=fault)).raise_for_status()
    await house.aether("approve", run, "--digest", digest, "--reason", "yes", "--profile", "approver")
    async with house.stack.client("viewer") as viewer, asyncio.timeout(VERB_SECONDS_MAX):
        while (view := (await viewer.run(run)).run) is None or view.status != "applying":
            await asyncio.sleep(0.05)
    cancelled = await house.aether("cancel", run, "--reason", "wrong night", "--watch", "--json")
    assert cancelled.document["run"]["status"] in ("partial", "cancelled")
    assert cancelled.code == cancelled.document["exit_code"] == EXIT_CODES[cancelled.document["run"]["status"]]
    assert cancelled.document["decisions"][-1]["reason"] == "wrong night"


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
    await _interrupted_watch_names_the_run_that_goes_on(house)


async def _interrupted_watch_names_the_run_that_goes_on(house: House) -> None:
    # Slow to read, so that the run is surely under way when it is interrupted.
    async with httpx.AsyncClient() as vendor:
        fault = {"kind": "slow", "method": "GET", "times": 1, "seconds": 8}
        (await vendor.post(f"{house.stack.vendor_url}/_sim/faults", json=fault)).raise_for_status()
    done = await asyncio.to_thread(_interrupt_a_run, house)
    assert done.code == 130
    run = (await house.aether("runs", "--json")).document["runs"][0]["run"]
    assert f"run {run} goes on by itself" in done.err
    await _documented_request_is_answered(house, run)


def _interrupt_a_run(house: House) -> Said:
    # A suite in the background of a shell ignores the interruption, and passes that on to whatever it starts.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "cli.main", "run", CONNECTOR, "--dry-run"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=house.environment(), stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stderr is not None
        process.stderr.readline()  # the first state of the run
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=VERB_SECONDS_MAX)
    return Said(process.returncode, out, err)


async def _documented_request_is_answered(house: House, run: str) -> None:
    """The example of docs/requests.md, as it stands there."""
    example = (ROOT / "docs/requests.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    profile = load_profile(house.stack.layout.data, "operator")
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", example],
        env={**os.environ, "NATS_URL": profile.nats_url, "NATS_PASSWORD": str(resolve(profile.password))},
        capture_output=True,
        text=True,
        timeout=VERB_SECONDS_MAX,
        check=True,
    )
    reply = Reply.model_validate_json(done.stdout)
    # Whichever was quicker: the run that was not watched any more has ended, or stands in the way.
    assert (reply.is_accepted and reply.status == "queued") or (
        reply.refusal is not None and reply.refusal.code == "APV_OVERLAP" and run in reply.refusal.text
    )

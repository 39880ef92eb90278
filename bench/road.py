"""One run over a large sample district, on the real road: seconds of each phase and the largest memory of each process.

`python -m bench.road [--staff 50000] [--extractors 2] [--differs 2] [--repeat 1] [--json FILE]` makes the district (not
measured), starts the embedded stack with the simulated vendor and a ledger that knows every contact, and runs the
TitanHST staff connector: dry as often as `--repeat` says, then applied with the approval of others, who release it
where so large a plan is held. Of the dry runs the first finds cold services; the median of the others is told as well.
Everything is real but the vendor and the district. Beside the seconds stand the processor seconds of each process,
which tell more where other work shares the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from bench.large_district import ORIGINAL_STAFF, make_large
from cli.demo_past import past_of
from cli.embedded_setup import Layout
from cli.stack import Stack
from shared.asking.client import PersonClient
from shared.asking.deciding import signed_decision
from shared.events.commands import DecideRun, RequestRun
from shared.events.queries import RunAnswer
from shared.ids import RandomIds
from shared.run.state import PlanSummary
from shared.run.states import RunStatus, is_terminal

WAIT_SECONDS_MAX = 900.0
LOOK_SECONDS = 0.05
APPROVERS = ("approver", "approver2")
WAITING = (RunStatus.AWAITING_APPROVAL, RunStatus.HELD)
"""For a person; that time is not measured."""


@dataclass
class Measured:
    """What one run took."""

    mode: str
    status: str
    changes: int
    seconds: float
    """From the request to the state in which the run ended or began to wait, as its own document tells."""
    phases: dict[str, float] = field(default_factory=dict)
    """Seconds in each state, without waiting for a person."""
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    """Processor time of each process meanwhile."""


async def main() -> None:
    """Measure and print."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="aether-road-") as folder:
        stack = Stack(
            Path(folder), is_demo=True, staff=options.staff, extractors=options.extractors, differs=options.differs
        )
        began = time.monotonic()
        make_large(stack.layout.district, staff=options.staff)
        if options.staff > ORIGINAL_STAFF:
            _write_past(stack.layout)
        async with stack:
            print(f"district of {options.staff:,} staff made and stack started in {time.monotonic() - began:.1f} s")
            measured = [await _dry_run(stack) for _ in range(options.repeat)]
            measured.append(await _applied(stack))
            memory = _memory(stack)
    warm = [one.seconds for one in measured[1:-1]]
    _print(measured, memory)
    if warm:
        print(f"\nwarm dry runs, request to plan: median {statistics.median(warm):.2f} s of {len(warm)}")
    print(f"load of the last minute: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    if options.json:
        document = {"staff": options.staff, "runs": [asdict(one) for one in measured], "peak_mb": memory}
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _write_past(layout: Layout) -> None:
    """A past that fits the copies: the truth tells rows and leavers of the original alone."""
    truth = json.loads((layout.district / "truth.json").read_bytes())
    contacts = json.loads((layout.district / "titanhst.json").read_bytes())["contacts"]
    past = past_of(truth, contacts, now=datetime.now(UTC))
    del past["entities"]["contacts"]["rows_accepted"]
    layout.past.write_text(json.dumps(past), encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--staff", type=int, default=50_000)
    parser.add_argument("--extractors", type=int, default=2)
    parser.add_argument("--differs", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=1, help="dry runs before the applied one")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.repeat < 1:
        parser.error("--repeat: at least 1")
    return options


async def _dry_run(stack: Stack) -> Measured:
    async with stack.client("operator") as operator:
        before = _cpu_seconds(stack)
        run = await _request(operator, "dry-run")
        measured = _measured("dry-run", await _until_it_rests(operator, run))
        measured.cpu_seconds = _spent(before, _cpu_seconds(stack))
        return measured


async def _applied(stack: Stack) -> Measured:
    async with stack.client("operator") as operator:
        before = _cpu_seconds(stack)
        run = await _request(operator, "apply")
        waiting = await _until_it_rests(operator, run)
        view = waiting.run
        if view is None or view.plan is None or view.status not in WAITING:
            raise SystemExit(f"the run is {view.status if view else 'unknown'}, expected {' or '.join(WAITING)}")
        for approver in APPROVERS[: view.plan.approvals_needed]:
            await _approve(stack, view.plan, run, approver=approver, is_override=view.status == RunStatus.HELD)
        measured = _measured("apply", await _until_it_rests(operator, run, is_approved=True))
        measured.cpu_seconds = _spent(before, _cpu_seconds(stack))
        return measured


async def _approve(stack: Stack, plan: PlanSummary, run: str, *, approver: str, is_override: bool) -> None:
    signed = signed_decision(
        plan,
        run=run,
        decision="approve",
        approver=approver,
        reason="measurement",
        is_override=is_override,
        key_text=stack.layout.approval_key(approver).read_text(encoding="utf-8"),
        now=datetime.now(UTC),
        ids=RandomIds(),
    )
    async with stack.client(approver) as person:
        reply = await person.approve(DecideRun(signed=signed))
    if not reply.is_accepted:
        raise SystemExit(f"the approval of {approver} was refused: {reply.refusal}")


async def _request(operator: PersonClient, mode: str) -> str:
    reply = await operator.request_run(RequestRun.model_validate({"connector": "titanhst-staff", "mode": mode}))
    if reply.run is None:
        raise SystemExit(f"the request was refused: {reply.refusal}")
    return reply.run


async def _until_it_rests(operator: PersonClient, run: str, *, is_approved: bool = False) -> RunAnswer:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while time.monotonic() < deadline:
        answer = await operator.run(run)
        if answer.run is not None:
            status = RunStatus(answer.run.status)
            waits = status in WAITING and not is_approved
            if is_terminal(status) or waits or status is RunStatus.PAUSED:
                return answer
        await asyncio.sleep(LOOK_SECONDS)
    raise SystemExit(f"run {run} did not come to rest in {WAIT_SECONDS_MAX:g} s")


def _measured(mode: str, answer: RunAnswer) -> Measured:
    view = answer.run
    if view is None:
        raise SystemExit("the run is not known")
    phases: dict[str, float] = {}
    for phase, following in pairwise(answer.phases):
        if phase.status in WAITING:
            continue
        seconds = (datetime.fromisoformat(following.at) - datetime.fromisoformat(phase.at)).total_seconds()
        phases[phase.status.value] = round(phases.get(phase.status.value, 0.0) + seconds, 3)
    return Measured(
        mode=mode,
        status=view.status,
        changes=view.plan.changes if view.plan else 0,
        seconds=round(sum(phases.values()), 3),
        phases=phases,
    )


def _memory(stack: Stack) -> dict[str, int]:
    """The largest resident size of each process, in MB, as the kernel tells."""
    peaks: dict[str, int] = {}
    for name in stack.names():
        pid = stack.pid(name)
        status = Path(f"/proc/{pid}/status")
        if pid is None or not status.exists():
            continue
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                peaks[name] = int(line.split()[1]) // 1024
    return peaks


def _cpu_seconds(stack: Stack) -> dict[str, float]:
    """What each process has used of the processors so far, as the kernel tells."""
    spent: dict[str, float] = {}
    for name in stack.names():
        place = Path(f"/proc/{stack.pid(name)}/stat")
        if place.exists():
            # Behind the name of the program, which may hold blanks: state, then numbers; user and system are 12 and 13.
            words = place.read_text(encoding="ascii").rpartition(")")[2].split()
            spent[name] = (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    return spent


def _spent(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    return {name: round(seconds - before.get(name, 0.0), 2) for name, seconds in after.items()}


def _print(measured: list[Measured], memory: dict[str, int]) -> None:
    for one in measured:
        print(f"\n{one.mode}: {one.status}, {one.changes} changes, {one.seconds:.2f} s")
        for phase, seconds in one.phases.items():
            print(f"  {phase:<20}{seconds:>9.2f} s")
        print("  processor: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in one.cpu_seconds.items()))
    print("\nlargest memory of each process")
    for name, peak in memory.items():
        print(f"  {name:<20}{peak:>9} MB")


if __name__ == "__main__":
    asyncio.run(main())

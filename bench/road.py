"""One run over a large sample district, on the real road: seconds of each phase and the largest memory of each process.

`python -m bench.road [--staff 50000] [--extractors 2] [--differs 2] [--json FILE]` makes the district (not measured),
starts the embedded stack with the simulated vendor, and runs the TitanHST staff connector twice: dry, then applied
with an approval by a second person. Everything is real but the vendor and the district.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from cli.client import PersonClient
from cli.decisions import signed_decision
from cli.stack import Stack
from shared.events.commands import DecideRun, RequestRun
from shared.events.queries import RunAnswer
from shared.ids import RandomIds
from shared.run.states import RunStatus, is_terminal

WAIT_SECONDS_MAX = 900.0
LOOK_SECONDS = 0.05
PROFILES = ("operator", "approver")


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


async def main() -> None:
    """Measure and print."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="aether-road-") as folder:
        stack = Stack(
            Path(folder), is_demo=True, staff=options.staff, extractors=options.extractors, differs=options.differs
        )
        began = time.monotonic()
        async with stack:
            print(f"district of {options.staff:,} staff made and stack started in {time.monotonic() - began:.1f} s")
            measured = [await _dry_run(stack), await _applied(stack)]
            memory = _memory(stack)
    _print(measured, memory)
    if options.json:
        document = {"staff": options.staff, "runs": [asdict(one) for one in measured], "peak_mb": memory}
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--staff", type=int, default=50_000)
    parser.add_argument("--extractors", type=int, default=2)
    parser.add_argument("--differs", type=int, default=2)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


async def _dry_run(stack: Stack) -> Measured:
    async with stack.client("operator") as operator:
        run = await _request(operator, "dry-run")
        return _measured("dry-run", await _until_it_rests(operator, run))


async def _applied(stack: Stack) -> Measured:
    async with stack.client("operator") as operator, stack.client("approver") as approver:
        run = await _request(operator, "apply")
        waiting = await _until_it_rests(operator, run)
        view = waiting.run
        if view is None or view.plan is None or view.status != RunStatus.AWAITING_APPROVAL:
            raise SystemExit(f"the run is {view.status if view else 'unknown'}, expected awaiting_approval")
        signed = signed_decision(
            view.plan,
            run=run,
            decision="approve",
            approver="approver",
            reason="measurement",
            is_override=False,
            key_text=stack.layout.approval_key("approver").read_text(encoding="utf-8"),
            now=datetime.now(UTC),
            ids=RandomIds(),
        )
        reply = await approver.approve(DecideRun(signed=signed))
        if not reply.is_accepted:
            raise SystemExit(f"the approval was refused: {reply.refusal}")
        return _measured("apply", await _until_it_rests(operator, run, is_approved=True))


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
            waits = status in {RunStatus.AWAITING_APPROVAL, RunStatus.HELD} and not is_approved
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
        if phase.status in {RunStatus.AWAITING_APPROVAL, RunStatus.HELD}:
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


def _print(measured: list[Measured], memory: dict[str, int]) -> None:
    for one in measured:
        print(f"\n{one.mode}: {one.status}, {one.changes} changes, {one.seconds:.2f} s")
        for phase, seconds in one.phases.items():
            print(f"  {phase:<20}{seconds:>9.2f} s")
    print("\nlargest memory of each process")
    for name, peak in memory.items():
        print(f"  {name:<20}{peak:>9} MB")


if __name__ == "__main__":
    asyncio.run(main())

"""One connector on its stage, `python -m cli.trial CONNECTOR [--size N]`: from an empty house to a proven log.

It starts the simulators that the connector speaks with and an embedded house, publishes the connector with tables that
fit the sample, asks for a run, approves it as two other people, lets it be applied, asks again until nothing is found
and verifies the audit log. Exit code 0 when all of it held. The connector's own folder is not touched.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ruamel.yaml import YAML

from cli.audit_log import verify
from cli.processes import Child
from cli.stack import Stack
from cli.watching import follow
from shared.asking.client import PersonClient
from shared.asking.deciding import signed_decision
from shared.asking.profiles import load_profile
from shared.clock import SystemClock
from shared.events.commands import DecideRun, RequestRun
from shared.events.queries import RunAnswer, RunView
from shared.ids import RandomIds
from shared.secrets import resolve

if TYPE_CHECKING:  # the stages make databases, whose engine no other verb needs
    from simulators.stages.stage import Program, Stage

ROOT: Final = Path(__file__).resolve().parents[1]
START_SECONDS_MAX: Final = 120.0
"""A simulator with a hundred thousand people takes a while to load them."""
RUN_SECONDS_MAX: Final = 3_600.0
"""From approval to end: a hundred thousand records with groups are two hundred thousand changes."""
SIZE_DEFAULT: Final = 400
SETTLED: Final = ("no_changes",)
"""Besides a plan without changes that somebody had to approve, because too much is in quarantine."""
AGAIN_MAX: Final = 3
"""Runs until nothing is found any more: what depends on a record that had to be made first may need another one."""


class Mismatch(Exception):
    """Something was not as it must be."""


@dataclass(frozen=True)
class Trial:
    """What a trial came to."""

    connector: str
    changes: Mapping[str, int]
    """Of the first run, by class."""
    applied: int
    """Of all runs."""
    runs: int
    seconds: float
    """Of the first run, from its request to its end."""
    entries: int
    """Of the audit log, all proven."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Try one connector, or all; 0 when all held."""
    from simulators.stages.catalogue import STAGES

    parser = argparse.ArgumentParser(prog="python -m cli.trial", description=__doc__)
    parser.add_argument("connector", choices=[*STAGES, "all"])
    parser.add_argument("--size", type=int, default=SIZE_DEFAULT, help="students, or what the connector moves")
    options = parser.parse_args(arguments)
    names = list(STAGES) if options.connector == "all" else [options.connector]
    is_sound = True
    for name in names:
        try:
            trial = asyncio.run(tried(name, size=options.size))
        except Mismatch as mismatch:
            is_sound = False
            sys.stdout.write(f"{name}: DID NOT HOLD: {mismatch}\n")
        else:
            changes = ", ".join(f"{kind} {number}" for kind, number in trial.changes.items())
            sys.stdout.write(
                f"{name}: held; {changes}; {trial.applied} applied in {trial.runs} runs, {trial.seconds:.1f} s for the "
                f"first; {trial.entries} audit entries proven\n"
            )
        sys.stdout.flush()
    return 0 if is_sound else 1


async def tried(name: str, *, size: int = SIZE_DEFAULT) -> Trial:
    """One trial; `Mismatch` says what did not hold."""
    from simulators.stages.catalogue import STAGES

    async with AsyncExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="aether-trial-")))
        (folder / "stage").mkdir()
        stage = await asyncio.to_thread(STAGES[name], folder / "stage", size)
        urls = await _started(stage.programs, folder / "stage", held)
        data = folder / "house"
        data.mkdir()
        connections = json.loads(_with_urls(json.dumps(stage.connections), urls))
        with (data / "connections.yaml").open("w", encoding="utf-8") as file:
            YAML().dump({"connections": connections}, file)
        stack = await held.enter_async_context(Stack(data, connectors=_published(stage, folder / "connectors")))
        return await _played(stack, stage)


async def _played(stack: Stack, stage: Stage) -> Trial:
    clock = SystemClock()
    runs = applied = 0
    for connector in stage.connectors:
        first: RunView | None = None
        began = clock.monotonic_seconds()
        seconds = 0.0
        for _ in range(1 + AGAIN_MAX):
            view = await _run(stack, connector)
            runs += 1
            if view.status in SETTLED or (view.plan is not None and not view.plan.changes_by_class):
                break
            applied += view.counts.applied if view.counts is not None else 0
            if first is None:
                first, seconds = view, clock.monotonic_seconds() - began
        else:
            found = view.plan.changes_by_class if view.plan is not None else {}
            raise Mismatch(f"{connector} still finds changes after {AGAIN_MAX} applied runs: {found}")
    if first is None or first.plan is None:
        raise Mismatch(f"{stage.connectors[-1]} found nothing at all")
    changes = dict(first.plan.changes_by_class)
    if sum(changes.values()) < stage.changes_min:
        raise Mismatch(f"{stage.connectors[-1]} found {changes}, at least {stage.changes_min} were due")
    async with stack.client("auditor") as auditor:
        report, _ = await verify(auditor, load_profile(stack.layout.data, "auditor").verifier_key or "")
    if not report.is_valid:
        raise Mismatch(f"the audit log: {report.first_failure}")
    return Trial(stage.connectors[-1], changes, applied, runs, seconds, report.entries)


async def _run(stack: Stack, connector: str) -> RunView:
    """One run to its end, approved by whoever it takes."""
    clock = SystemClock()
    async with stack.client("operator") as operator:
        reply = await operator.request_run(RequestRun(connector=connector, mode="apply"))
        if reply.run is None:
            raise Mismatch(f"{connector}: {reply.refusal}")
        answer = await follow(operator, reply.run, clock=clock, seconds_max=RUN_SECONDS_MAX)
    for profile in ("approver", "approver2"):
        view = _view(answer)
        if view.status not in {"awaiting_approval", "held"}:
            break
        async with stack.client(profile) as person:
            reply = await person.approve(_decision(stack, view, profile))
            if reply.status == "approved":
                answer = await follow(person, view.run, clock=clock, seconds_max=RUN_SECONDS_MAX, before=view)
            else:
                answer = await _seen(person, view)
    view = _view(answer)
    if view.status not in {"succeeded", *SETTLED}:
        verdict = "; ".join(f"{line.check}: {line.level}" for line in answer.verdict if line.level != "pass")
        raise Mismatch(f"{connector}: run {view.run} is {view.status}: {view.failure} {view.counts} {verdict}")
    return view


async def _seen(person: PersonClient, before: RunView) -> RunAnswer:
    """The run once the auditor shows the first of two approvals."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        answer = await person.run(before.run)
        if answer.run is not None and answer.run.approvers != before.approvers:
            return answer
        await asyncio.sleep(0.1)
    raise Mismatch(f"run {before.run}: an approval was accepted and is not shown")


def _view(answer: RunAnswer) -> RunView:
    if answer.run is None:
        raise Mismatch("the run is not in the audit log")
    return answer.run


def _decision(stack: Stack, view: RunView, person: str) -> DecideRun:
    profile = load_profile(stack.layout.data, person)
    if view.plan is None or profile.approval_key is None:
        raise Mismatch(f"run {view.run} shows no plan, or {person} has no key")
    signed = signed_decision(
        view.plan,
        run=view.run,
        decision="approve",
        approver=profile.user,
        reason="a trial",
        is_override=view.status == "held",
        key_text=resolve(profile.approval_key),
        now=datetime.now(UTC),
        ids=RandomIds(),
    )
    return DecideRun(signed=signed)


# --- making ready ---------------------------------------------------------------------------------------------------


async def _started(programs: Sequence[Program], folder: Path, held: AsyncExitStack) -> dict[str, str]:
    """Start the simulators; their addresses by name."""
    urls: dict[str, str] = {}
    for program in programs:
        ready = folder / f"{program.name}.ready"
        child = Child(
            name=program.name,
            arguments=[sys.executable, "-m", program.module, *program.arguments, "--ready-file", str(ready)],
            environment={"PYTHONPATH": str(ROOT)},
            log=folder / f"{program.name}.log",
            ready_file=ready,
        )
        child.start()
        held.push_async_callback(child.stop)
        urls[program.name] = str((await child.wait_ready(seconds_max=START_SECONDS_MAX))["url"])
    return urls


def _with_urls(text: str, urls: Mapping[str, str]) -> str:
    for name, url in urls.items():
        text = text.replace(f"{{url:{name}}}", url)
    return text


def _published(stage: Stage, folder: Path) -> Path:
    """Copies of the stage's connectors with tables that fit, released."""
    from shared.contract.loading import load_connector
    from shared.contract.releases import publish

    for name in stage.connectors:
        place = folder / name
        shutil.copytree(ROOT / "connectors" / name, place)
        shutil.rmtree(place / "releases", ignore_errors=True)
        shutil.rmtree(place / "examples", ignore_errors=True)  # they are about the tables as the folder has them
        for file, text in stage.tables.get(name, {}).items():
            (place / "tables" / file).write_text(text, encoding="utf-8")
        definition = place / "connector.yaml"
        text = definition.read_text(encoding="utf-8").replace("lifecycle: draft", "lifecycle: active")
        for word, instead in stage.words.get(name, {}).items():
            text = text.replace(word, instead)
        definition.write_text(text, encoding="utf-8")
        publish(place, load_connector(place), at=datetime.now(UTC), by="trial")
    return folder


if __name__ == "__main__":
    sys.exit(main())

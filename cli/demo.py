"""The demonstration, `python -m cli.demo [--once]`: a whole run from dry-run to proof, checked at every step.

It starts the embedded stack with a sample district and a simulated vendor, does what an operator and an approver
would do, and compares each step with the district's truth and with the vendor's own journal. With `--once` it ends
with exit code 0 when all held and 1 when anything did not; without, it stays up.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from cli import demo_checks
from cli.audit_log import verify
from cli.embedded_setup import PEOPLE, PersonSpec
from cli.options import Session
from cli.output import console
from cli.ports import usual_port
from cli.problem import CommandFailed
from cli.processes import asked_to_stop
from cli.rendering import changes_table, plain_table, run_lines, verification_lines
from cli.stack import Stack, folder_held
from cli.verbs.approvals import read_plan
from cli.verbs.house import what_to_try
from cli.watching import follow_visibly
from shared.asking.client import PersonClient
from shared.asking.deciding import signed_decision
from shared.asking.profiles import load_profile
from shared.clock import Clock, SystemClock
from shared.events.commands import DecideRun, RequestRun
from shared.events.queries import RunAnswer, RunView
from shared.hashing.signing import generate, private_key_pem
from shared.ids import RandomIds
from shared.run.state import PlanSummary
from shared.secrets import resolve

CONNECTOR = "titanhst-staff"
BOTH = PersonSpec("both", "both", ("operator", "approver"))
"""Somebody with every right but one: to approve what they asked for themselves."""
RUN_SECONDS_MAX = 300.0
SEAL_SECONDS_MAX = 30.0
SHOWN_CHANGES = 6
PENDING_CHANGES = 5
"""Left for who tries it: few enough that no limit of the guard is near."""
VENDOR_TIMEOUT_SECONDS = 30
FOLDER = Path(".aether/demo")
JOURNAL = Path("titanhst/journal.jsonl")


class Mismatch(Exception):
    """Something was not as it must be."""


class Demo:
    """One demonstration on one running stack."""

    def __init__(self, stack: Stack, *, session: Session, out: Console, clock: Clock) -> None:
        self._stack = stack
        self._session = session
        self._out = out
        self._clock = clock
        self._step_began = clock.monotonic_seconds()
        self._number = 0
        self.truth: Mapping[str, Any] = json.loads((stack.layout.district / "truth.json").read_bytes())

    async def play(self) -> None:
        """Every step in order; `Mismatch` at the first that does not hold."""
        before = self.contacts()
        await self._dry_run()
        self._expect(self._vendor("/_sim/effects")["effects"] == {}, "a dry-run changed something at the vendor")
        replaced = await self._own_request_is_refused()
        run = await self._apply_run(replaced)
        await self._bus_refuses_operator(run)
        finished = await self._approve_and_apply(run)
        self._vendor_holds(before)
        await self._second_run_finds_nothing()
        await self._log_is_proven(finished.run)

    # -- steps -------------------------------------------------------------------------------------------------------

    async def _dry_run(self) -> None:
        self._step("A dry-run: read both sides, compare, judge; nothing is written")
        async with self._stack.client("operator") as operator:
            answer = await self._request(operator, "dry-run")
            view = self._view(answer, "planned")
            plan = await read_plan(operator, view.run, self._session, change_class=None, limit=None)
        self._print(*run_lines(answer))
        self._out.print(changes_table(plan.changes[:SHOWN_CHANGES]))
        counts = _plan_of(view).changes_by_class
        rows = [(name, str(counts.get(name, 0)), str(number)) for name, number in self.truth["counts"].items()]
        self._out.print(plain_table("class", "planned", "true", rows=rows))
        self._none(demo_checks.counts_differ(counts, truth=self.truth))
        changes = [
            (each.change_class, each.key, [(field.name, field.cause) for field in each.fields]) for each in plan.changes
        ]
        self._none(demo_checks.changes_differ(changes, truth=self.truth))
        source = sum(snapshot.quarantined for snapshot in answer.snapshots if snapshot.side == "source")
        ambiguous = sum(line.number or 0 for line in answer.verdict if line.check == "ambiguous")
        self._none(demo_checks.quarantine_differs(source=source, ambiguous=ambiguous, truth=self.truth))
        self._held("the plan is the district's truth, class by class, record by record, field by field, cause by cause")

    async def _own_request_is_refused(self) -> RunView:
        self._step("Somebody who may request and approve asks for a run, and tries to approve it too")
        async with self._stack.client(BOTH.profile) as both:
            view = self._view(await self._request(both, "apply"), "awaiting_approval", "held")
            await self._refused(both, view, person=BOTH.profile, code="APV_OWN_REQUEST")
        return view

    async def _apply_run(self, replaced: RunView) -> RunView:
        self._step("The operator asks for a run that shall be applied; it replaces the one before")
        async with self._stack.client("operator") as operator:
            answer = await self._request(operator, "apply")
            self._view(await operator.run(replaced.run), "superseded")
        self._print(*run_lines(answer))
        view = self._view(answer, "awaiting_approval", "held")
        same = "content digest of two plans over the same data"
        self._compare(same, _plan_of(view).content_digest, _plan_of(replaced).content_digest)
        self._none(demo_checks.counts_differ(_plan_of(view).changes_by_class, truth=self.truth))
        self._held("the plan waits for a second person")
        return view

    async def _bus_refuses_operator(self, view: RunView) -> None:
        self._step("The operator, who is no approver, sends an approval")
        async with self._stack.client("operator") as operator:
            await self._refused(operator, view, person="operator", code="APV_NOT_AUTHORISED")

    async def _approve_and_apply(self, view: RunView) -> RunAnswer:
        self._step("Others approve the digest; the plan is carried out")
        plan = _plan_of(view)
        approvers = ("approver", "approver2")[: plan.approvals_needed]
        self._expect(len(approvers) == plan.approvals_needed, f"{plan.approvals_needed} approvals needed")
        answer: RunAnswer | None = None
        for number, profile in enumerate(approvers, start=1):
            async with self._stack.client(profile) as approver:
                reply = await approver.approve(self._decision(view, person=profile))
                self._print(f"{profile} approved {plan.plan_digest}: run is {reply.status}")
                if number == len(approvers):
                    answer = await self._follow(approver, view.run, before=view)
        if answer is None:
            raise Mismatch("the plan needs no approval, so nobody was asked")
        self._print(*run_lines(answer))
        done = self._view(answer, "succeeded")
        if done.counts is None:
            raise Mismatch("the run ended without counts")
        self._compare("planned", done.counts.planned, sum(self.truth["counts"].values()))
        self._compare("applied", done.counts.applied, done.counts.planned)
        self._held("the nine counts add up, and all of it is applied")
        return answer

    def _vendor_holds(self, before: list[Mapping[str, Any]]) -> None:
        self._step("What the vendor itself says was done")
        state = self._vendor("/_sim/state")
        self._none(demo_checks.state_differs(before, state["contacts"], truth=self.truth))
        effects = self._vendor("/_sim/effects")
        faults = demo_checks.effects_differ(effects["effects"], dropped=effects["dropped"], truth=self.truth)
        self._none(faults)
        done = sum(len(each) for each in effects["effects"].values())
        self._held(f"{done} effects, each change exactly once, every contact as it should be, nothing else touched")

    async def _second_run_finds_nothing(self) -> None:
        self._step("A second run over the same sources")
        async with self._stack.client("operator") as operator:
            self._view(await self._request(operator, "apply"), "no_changes")
        self._held("no changes")

    async def _log_is_proven(self, view: RunView | None) -> None:
        self._step("The audit log, fetched by the auditor's profile and verified here")
        if view is None:
            raise Mismatch("the applied run is not in the audit log")
        key = load_profile(self._stack.layout.data, "auditor").verifier_key or ""
        async with self._stack.client("auditor") as auditor:
            await self._sealed(auditor, view.run)
            report, _ = await verify(auditor, key)
        self._print(*verification_lines(report))
        self._expect(report.is_valid, "the audit log does not hold")
        self._expect(report.runs_sealed >= 3, f"{report.runs_sealed} runs are sealed, at least 3 have ended")
        self._held("every entry is in a tree whose root the auditor signed")

    def contacts(self) -> list[Mapping[str, Any]]:
        """The vendor's contacts now."""
        found: list[Mapping[str, Any]] = self._vendor("/_sim/state")["contacts"]
        return found

    # -- means -------------------------------------------------------------------------------------------------------

    async def _request(self, client: PersonClient, mode: Literal["dry-run", "apply"]) -> RunAnswer:
        reply = await client.request_run(RequestRun(connector=CONNECTOR, mode=mode))
        if reply.run is None:
            raise Mismatch("the request was accepted without a run id")
        return await self._follow(client, reply.run, before=None)

    async def _follow(self, client: PersonClient, run: str, *, before: RunView | None) -> RunAnswer:
        return await follow_visibly(client, run, clock=self._clock, seconds_max=RUN_SECONDS_MAX, before=before)

    async def _sealed(self, client: PersonClient, run: str) -> None:
        deadline = self._clock.monotonic_seconds() + SEAL_SECONDS_MAX
        while self._clock.monotonic_seconds() < deadline:
            view = (await client.run(run)).run
            if view is not None and view.is_sealed:
                return
            await asyncio.sleep(0.1)
        raise Mismatch(f"run {run} was not sealed within {SEAL_SECONDS_MAX:g} s")

    def _decision(self, view: RunView, *, person: str) -> DecideRun:
        profile = load_profile(self._stack.layout.data, person)
        # Without a key of their own a person can still send something; it must not help.
        key = resolve(profile.approval_key) if profile.approval_key is not None else private_key_pem(generate())
        signed = signed_decision(
            _plan_of(view),
            run=view.run,
            decision="approve",
            approver=profile.user,
            reason="demonstration",
            is_override=view.status == "held",
            key_text=key,
            now=self._clock.now(),
            ids=RandomIds(),
        )
        return DecideRun(signed=signed)

    async def _refused(self, client: PersonClient, view: RunView, *, person: str, code: str) -> None:
        try:
            await client.approve(self._decision(view, person=person))
        except CommandFailed as refused:
            self._print(f"refused: {refused.code}: {refused.text}")
            self._compare("code of the refusal", refused.code, code)
            self._held("refused")
            return
        raise Mismatch(f"the approval of {person} was accepted")

    def _vendor(self, path: str) -> dict[str, Any]:
        url = self._stack.vendor_url + path
        with urllib.request.urlopen(url, timeout=VENDOR_TIMEOUT_SECONDS) as answer:  # noqa: S310 - our own simulator
            document: dict[str, Any] = json.load(answer)
        return document

    def _view(self, answer: RunAnswer, *statuses: str) -> RunView:
        view = answer.run
        if view is None or view.status not in statuses:
            self._print(*run_lines(answer))
            found = "not in the audit log" if view is None else f"{view.run} is {view.status}"
            raise Mismatch(f"the run {found}, should be {' or '.join(statuses)}")
        return view

    def _step(self, text: str) -> None:
        self._number += 1
        self._step_began = self._clock.monotonic_seconds()
        self._out.print(f"\n{self._number}. {text}", style="bold", markup=False)

    def _held(self, text: str) -> None:
        seconds = self._clock.monotonic_seconds() - self._step_began
        self._out.print(f"   held: {text} ({seconds:.1f} s)", style="green", markup=False, soft_wrap=True)

    def _print(self, *lines: Any) -> None:
        for line in lines:
            self._out.print(line, markup=False, soft_wrap=isinstance(line, str))

    def _expect(self, fact: bool, otherwise: str) -> None:
        if not fact:
            raise Mismatch(otherwise)

    def _compare(self, what: str, found: object, wanted: object) -> None:
        self._expect(found == wanted, f"{what}: {found}, should be {wanted}")

    def _none(self, faults: list[str]) -> None:
        if faults:
            raise Mismatch("\n".join(faults))


def main(arguments: list[str] | None = None) -> int:
    """Play the demonstration; 0 when all held."""
    parser = argparse.ArgumentParser(prog="python -m cli.demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="in a temporary folder; end when done")
    parser.add_argument("--data", type=Path, help=f"data folder; default {FOLDER}, or a temporary one with --once")
    parser.add_argument("--staff", type=int, help="size of the district, when it has yet to be made")
    options = parser.parse_args(arguments)
    with ExitStack() as cleanup:
        if options.once and options.data is None:
            data = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="aether-demo-")))
        else:
            data = options.data or FOLDER
        try:
            begin_anew(data, is_own=options.data is None)
            return asyncio.run(_main(data, is_once=options.once, staff=options.staff))
        except Mismatch as failed:
            sys.stderr.write(f"\nDID NOT HOLD: {failed}\n")
            return 1
        except CommandFailed as failed:  # nothing was played, so nothing was shown to be wrong
            sys.stderr.write(f"\nthe demonstration cannot start: {failed}\n  what to do: {failed.action}\n")
            return 1


def begin_anew(data: Path, *, is_own: bool) -> None:
    """Clear away an earlier demonstration: the truth holds for a vendor that no run has changed yet.

    Only the demonstration's own folder is cleared; a folder that somebody named is theirs.
    """
    if not (data / JOURNAL).exists():
        return
    if not is_own:
        raise CommandFailed(
            f"{data} holds an earlier demonstration, whose vendor is changed already",
            action="Name an empty folder, or use `aether up --demo --data` to go on with this one.",
        )
    with folder_held(data):
        shutil.rmtree(data)


async def _played(demo: Demo) -> None:
    """Play; a command that fails on the way is a step that did not hold."""
    try:
        await demo.play()
    except CommandFailed as failed:
        raise Mismatch(f"{failed}\n{failed.action}") from failed


def leave_changes_pending(district: Path, contacts: Sequence[Mapping[str, Any]], truth: Mapping[str, Any]) -> int:
    """Give a few people another first name in the HR database, and say how many: the vendor is in step before.

    Taken are people who have an active contact and of whom the truth says nothing, so that what comes is plain.
    """
    from simulators.district.later import touch_people  # loads a database library that no other verb needs

    told = {*truth["fields"], *truth["quarantined"]}
    among = {str(contact["externalId"]) for contact in contacts if contact["active"]} - told
    return len(touch_people(f"sqlite:///{district.resolve() / 'hr.db'}", PENDING_CHANGES, among=among))


async def _main(data: Path, *, is_once: bool, staff: int | None) -> int:
    clock, out = SystemClock(), console()
    began = clock.monotonic_seconds()
    out.print("Starting bus, services, a sample district and a simulated vendor …")

    def say(text: str) -> None:
        out.print(text, markup=False, soft_wrap=True)

    stack = Stack(
        data,
        is_demo=True,
        people=(*PEOPLE, BOTH),
        staff=staff,
        has_console=True,
        console_port=usual_port(),
        has_monitor=True,
        on_notice=say,
    )
    async with asked_to_stop() as stop, stack:
        rows = [(each.name, each.address) for each in stack.addresses()]
        out.print(plain_table("what", "where", rows=rows))
        started = clock.monotonic_seconds() - began
        session = Session(data=data, profile="operator", is_json=False)
        demo = Demo(stack, session=session, out=out, clock=clock)
        playing = asyncio.create_task(_played(demo))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({playing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not playing.done():
            playing.cancel()
            return 1
        playing.result()
        seconds = clock.monotonic_seconds() - began
        out.print(f"\nall held, in {seconds:.1f} s ({started:.1f} s of it to start)", style="bold green")
        if not is_once:
            pending = leave_changes_pending(stack.layout.district, demo.contacts(), demo.truth)
            say(f"Since then, {pending} people of the district have another first name: a run has something to do.")
            for line in what_to_try(session, is_demo=True, connections=str(stack.layout.connections)):
                say(line)
            say(f"The console: {stack.console_url}, as operator, approver or another profile;")
            say(f"  passwords: {stack.layout.secrets}/console-*.password")
            say("It stays up; Ctrl-C ends it.")
            await stop.wait()
    return 0


def _plan_of(view: RunView) -> PlanSummary:
    if view.plan is None:
        raise Mismatch(f"run {view.run} has no plan")
    return view.plan


if __name__ == "__main__":
    sys.exit(main())

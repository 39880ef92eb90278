"""Plays a house for the tests of pages, with real services: what the record then holds is what a district's would."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path

from cli.stack import Stack
from cli.watching import follow
from shared.asking.client import PersonClient
from shared.asking.deciding import signed_decision
from shared.asking.problem import CommandFailed
from shared.asking.profiles import load_profile
from shared.clock import SystemClock
from shared.events.commands import DecideRun, NameRun, RequestRun
from shared.events.queries import RunView
from shared.ids import RandomIds
from shared.secrets import resolve
from simulators.district.later import touch_people

CONNECTOR = "titanhst-staff"
RUN_SECONDS_MAX = 120.0
STAFF_HELD = 400
"""So few that the guard holds what it would pass of a whole district."""
PENDING = 12
"""Changes that wait in the end."""


async def play(data: Path, *, staff: int | None = None) -> None:
    """Play a house on that folder and stop it; `staff` people, or as many as the demonstration has."""
    async with Stack(data, is_demo=True, staff=staff) as stack:
        await played_runs(stack)
    with sqlite3.connect(stack.layout.data / "auditor.db") as record:
        record.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def played_runs(stack: Stack) -> dict[str, str]:
    """Run ids by state: `planned`, `rejected`, `superseded`, `succeeded`, `no_changes` and `waiting`.

    Before the last, some people of the district get another first name, so that there is something to approve. A
    command is refused on the way.
    """
    async with stack.client("operator") as operator, stack.client("approver") as approver:
        planned = await _asked(operator, "dry-run")
        rejected = await _asked(operator, "apply")
        await approver.reject(_decision(stack, rejected, "approver", "reject"))
        superseded = await _asked(operator, "apply")
        applied = await _asked(operator, "apply")
        for profile in ("approver", "approver2"):
            async with stack.client(profile) as person:
                reply = await person.approve(_decision(stack, applied, profile, "approve"))
            if reply.status == "approved":
                break
        await follow(operator, applied.run, clock=SystemClock(), seconds_max=RUN_SECONDS_MAX, before=applied)
        no_changes = await _asked(operator, "apply")
        with contextlib.suppress(CommandFailed):
            await operator.cancel(NameRun(run=applied.run, reason="too late on purpose"))
        await asyncio.to_thread(_give_other_names, stack)
        waiting = await _asked(operator, "apply")
    await _all_recorded(stack)
    return {
        "planned": planned.run,
        "rejected": rejected.run,
        "superseded": superseded.run,
        "succeeded": applied.run,
        "no_changes": no_changes.run,
        "waiting": waiting.run,
    }


def _give_other_names(stack: Stack) -> None:
    district = stack.layout.district
    truth = json.loads((district / "truth.json").read_bytes())
    contacts = json.loads((district / "titanhst.json").read_bytes())["contacts"]
    told = {*truth["fields"], *truth["quarantined"]}
    among = {str(contact["externalId"]) for contact in contacts if contact["active"]} - told
    touch_people(f"sqlite:///{(district / 'hr.db').resolve()}", PENDING, among=among)


async def _asked(operator: PersonClient, mode: str) -> RunView:
    reply = await operator.request_run(RequestRun.model_validate({"connector": CONNECTOR, "mode": mode}))
    assert reply.run is not None
    answer = await follow(operator, reply.run, clock=SystemClock(), seconds_max=RUN_SECONDS_MAX)
    assert answer.run is not None
    return answer.run


def _decision(stack: Stack, view: RunView, profile: str, decision: str) -> DecideRun:
    person = load_profile(stack.layout.data, profile)
    assert view.plan is not None
    assert person.approval_key is not None
    signed = signed_decision(
        view.plan,
        run=view.run,
        decision="approve" if decision == "approve" else "reject",
        approver=person.user,
        reason="played for the pages",
        is_override=view.status == "held" and decision == "approve",
        key_text=resolve(person.approval_key),
        now=datetime.now(UTC),
        ids=RandomIds(),
    )
    return DecideRun(signed=signed)


async def _is_signed(auditor: PersonClient, entries: int, checkpoints: int) -> bool:
    """Whether the newest checkpoint covers every entry; its second line says how many it covers."""
    newest = (await auditor.checkpoints(first=max(checkpoints - 1, 0))).checkpoints
    return bool(newest) and int(newest[-1].splitlines()[1]) >= entries


async def _all_recorded(stack: Stack) -> None:
    deadline = time.monotonic() + 30
    async with stack.client("auditor") as auditor:
        while time.monotonic() < deadline:
            health = await auditor.health()
            if not any(health.lag.values()) and await _is_signed(auditor, health.entries, health.checkpoints):
                return
            await asyncio.sleep(0.1)
    raise AssertionError("the record is not up to date after 30 s")

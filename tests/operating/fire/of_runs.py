"""Faults of runs: nobody decides, a source is gone, a vendor refuses, a schedule's time passes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from shared.bus.publishing import Outgoing, publish_batch
from shared.bus.reading import last
from shared.events.commands import ApplyPlan, NameRun, apply_plan_subject
from shared.events.envelope import body_of, decode, headers_of
from shared.events.queries import RunAnswer
from shared.events.schedules import NameSchedule
from shared.run.moves import state_message
from shared.run.state import RunState, state_subject
from shared.run.states import RunStatus
from tests.operating.fire.fault import asking, reloaded
from tests.operating.fire.house import DUE, FAILING, RESTING, STUCK, WAITING, House

SPOILT_ROWS: Final = 45
"""More than the rule lets come in a day, and too few for the guard to stop the run."""
KNOWN_SECONDS_MAX: Final = 60.0
APPROVERS: Final = ("approver", "approver2")


@asynccontextmanager
async def from_the_beginning(house: House) -> AsyncIterator[None]:
    """What `house` made wrong; the old secret is written anew in the end, and the schedule resumed."""
    yield
    os.utime(house.road.stack.layout.read_token)
    async with house.road.stack.client("operator") as operator:
        await operator.resume_schedule(NameSchedule(connector=RESTING, reason="seen"))


@asynccontextmanager
async def nobody_decides(house: House) -> AsyncIterator[None]:
    """A run waits for a decision."""
    run = await house.request(WAITING, "apply")
    await house.road.until_status(run, "held", "awaiting_approval")
    yield
    async with house.road.stack.client("operator") as operator:
        await operator.cancel(NameRun(run=run, reason="seen"))


@asynccontextmanager
async def credential_is_refused(house: House) -> AsyncIterator[None]:
    """The vendor refuses the credential in the middle of a run, which pauses."""
    road = house.road
    run, waiting = await road.planned()
    await road.vendor(
        "POST",
        "faults",
        {"kind": "unauthorized", "method": "PATCH", "times": 1000, "after": 20},
    )
    await road.approve(waiting)
    await road.until_status(run, "paused")
    yield
    await road.vendor("DELETE", "faults")
    await road.vendor(
        "POST",
        "faults",
        {"kind": "slow", "method": "PATCH", "times": 4000, "seconds": 1.0},
    )
    async with road.stack.client("operator") as operator:
        await operator.resume(NameRun(run=run, reason="credential renewed"))
    # What was on its way when it paused is unknown until now; the fault that comes next shall begin without.
    async with asyncio.timeout(KNOWN_SECONDS_MAX):
        while any(one["labels"]["alertname"] == "UnknownEffects" for one in await house.prometheus.alerts()):
            await asyncio.sleep(1)


@asynccontextmanager
async def applier_dies_at_work(house: House) -> AsyncIterator[None]:
    """In the middle of what the fault before this one left to be written, with a vendor that answers late."""
    seen = len(await house.road.effects())
    async with asyncio.timeout(60):
        while len(await house.road.effects()) < seen + 3:
            await asyncio.sleep(0.1)
    house.road.stack.kill("applier", stays_down=True)
    yield
    await house.road.vendor("DELETE", "faults")
    await house.road.stack.restart("applier")


@asynccontextmanager
async def source_is_gone(house: House) -> AsyncIterator[None]:
    """Two runs cannot read their source."""
    database = house.road.stack.layout.district / "hr.db"
    kept = database.with_suffix(".kept")
    database.rename(kept)
    try:
        for _ in range(2):
            run = await house.request(FAILING, "dry-run")
            await house.road.until_status(run, "blocked", "failed")
    finally:
        database.unlink(missing_ok=True)
        kept.rename(database)
    yield


@asynccontextmanager
async def rows_cannot_be_mapped(house: House) -> AsyncIterator[None]:
    """People lose their names in the source, and a run reads it meanwhile; the next by schedule finds them again."""
    database = house.road.stack.layout.district / "hr.db"
    kept = database.with_suffix(".kept")
    shutil.copyfile(database, kept)
    try:
        with contextlib.closing(sqlite3.connect(database)) as source, source:
            source.execute(
                "UPDATE hr_person SET \"last\" = '' WHERE person_id IN (SELECT person_id FROM hr_person"
                " WHERE trim(status_code) = 'A' AND trim(\"last\") != '' ORDER BY edited_at DESC LIMIT ?)",
                (SPOILT_ROWS,),
            )
        run = await house.request(DUE, "dry-run")
        await house.road.until(run, _has_ended, "ended")
    finally:
        shutil.copyfile(kept, database)
    yield


@asynccontextmanager
async def success_grows_old(house: House) -> AsyncIterator[None]:
    """A connector whose schedule is paused succeeds once more by hand, and then never again."""
    road = house.road
    run = await house.request(RESTING, "apply")
    answer = await road.until(run, _waits_or_ended, "waiting for a person, or over")
    if answer.run is not None and answer.run.status in ("held", "awaiting_approval"):
        for approver in APPROVERS:
            reply = await road.approve(answer, approver=approver, is_override=answer.run.status == "held")
            if reply.status == "approved":
                break
        await road.until_status(run, "succeeded", "no_changes")
    yield


@asynccontextmanager
async def approval_is_forged(house: House) -> AsyncIterator[None]:
    """A captured differ says that an approver approved, with a signature that is none."""
    road = house.road
    run = await house.request(FAILING, "apply")
    waiting = await road.until_status(run, "awaiting_approval", "held")
    signed = road.signed(waiting, "approver")
    signed = signed.model_copy(update={"approval": signed.approval.model_copy(update={"reason": "altered"})})
    async with road.bus_as("differ") as js:
        stored = await last(js, "CORE", state_subject(run))
        if stored is None:
            raise RuntimeError(f"run {run} has no state")
        state = decode(RunState, data=stored.data, headers=stored.headers, subject=stored.subject)
        approved = state.model_copy(update={"approvals": (signed,)}).moved(RunStatus.APPROVED, at=state.changed_at)
        named = (
            (state_subject(run), approved, state_message(approved).message_id),
            (apply_plan_subject(run), ApplyPlan(run=run, ordinal=1), f"{run}.apply.1"),
        )
        await publish_batch(
            js,
            [
                Outgoing(
                    subject=subject,
                    body=body_of(event),
                    message_id=name,
                    headers=headers_of(
                        event,
                        message_id=name,
                        source="/services/differ",
                        subject=run,
                        time=stored.time,
                    ),
                )
                for subject, event, name in named
            ],
        )
    await road.until_status(run, "failed")
    yield


@asynccontextmanager
async def rights_are_taken_away(house: House) -> AsyncIterator[None]:
    """The extractor may store no run any more; a time of a schedule passes meanwhile."""
    config = house.road.stack.layout.bus / "nats-server.conf"
    text = config.read_text(encoding="utf-8")
    before, extractor, after = text.partition('user: "extractor"')
    config.write_text(before + extractor + after.replace('"run.*.state", ', "", 1), encoding="utf-8")
    reloaded(house)
    try:
        async with asking(house):
            yield
    finally:
        config.write_text(text, encoding="utf-8")
        reloaded(house)


@asynccontextmanager
async def run_without_a_differ(house: House) -> AsyncIterator[None]:
    """A run is asked for while nobody can compare."""
    house.road.stack.kill("differ", stays_down=True)
    try:
        await house.request(STUCK, "dry-run")
        yield
    finally:
        await house.road.stack.restart("differ")


def _has_ended(answer: RunAnswer) -> bool:
    return answer.run is not None and RunStatus(answer.run.status) in _RESTS


def _waits_or_ended(answer: RunAnswer) -> bool:
    return answer.run is not None and (answer.run.status in ("held", "awaiting_approval") or _has_ended(answer))


_RESTS: Final = (RunStatus.PLANNED, RunStatus.NO_CHANGES, RunStatus.SUCCEEDED, RunStatus.BLOCKED, RunStatus.FAILED)

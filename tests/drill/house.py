"""The house of the drill: where its parts lie, and what a person asks of it.

The auditor and the console keep their tables in PostgreSQL, the differ in SQLite: both ways of saving a database are
used. What a backup does not hold because it is kept elsewhere (keys, people, the systems outside) is `carry_over`.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from cli.audit_log import verify
from cli.embedded_setup import Layout
from cli.stack import Stack
from cli.watching import follow
from deploy.backup.settings import BackupSettings
from shared.asking.client import PersonClient
from shared.asking.deciding import signed_decision
from shared.asking.profiles import load_profile
from shared.audit.verify import VerificationReport
from shared.bus.topology import PROVISIONER
from shared.clock import SystemClock
from shared.events.commands import DecideRun, RequestRun
from shared.events.queries import RunView
from shared.ids import RandomIds
from shared.secrets import resolve
from tests.support.postgres import PostgresServer

CONNECTOR = "titanhst-staff"
RUN_SECONDS_MAX = 120.0
SEAL_SECONDS_MAX = 30.0
IN_POSTGRES = ("auditor", "console")
APPROVERS = ("approver", "approver2")


class DidNotHold(Exception):
    """The drill found something that must not be."""


def stack_on(data: Path, postgres: PostgresServer) -> Stack:
    """A house on this folder, with its databases on this server."""
    auditor, console = (postgres.url_for(name) for name in IN_POSTGRES)
    return Stack(
        data,
        is_demo=True,
        has_console=True,
        settings={
            "auditor": {"AETHER_DATABASE_URL": auditor},
            "console": {"AETHER_DATABASE_URL": console, "AETHER_AUDIT_DATABASE_URL": auditor},
        },
    )


def backup_settings(
    layout: Layout, postgres: PostgresServer, bus_url: str, keys: Path, recipient: str
) -> BackupSettings:
    """What `python -m deploy.backup` would be told of this house."""
    databases = {name: postgres.url_for(name) for name in IN_POSTGRES}
    return BackupSettings(
        nats_url=bus_url,
        nats_password=f"file:{layout.bus / 'secrets' / PROVISIONER}",
        backup_databases={**databases, "differ": f"sqlite+aiosqlite:///{layout.database('differ')}"},
        backup_recipients=(recipient,),
        backup_identity=f"file:{keys}",
    )


def carry_over(old: Layout, new: Layout) -> None:
    """Bring what no backup of a house holds: its keys, who may do what, and the district and the vendor outside."""
    new.data.mkdir(mode=0o700)
    for folder in (old.secrets, old.district, old.simulator):
        shutil.copytree(folder, new.data / folder.name)
    shutil.copy2(old.identities, new.identities)


class Person:
    """What people ask of the house, by their profiles."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._clock = SystemClock()

    async def run(self, mode: str) -> RunView:
        """Ask for a run and wait until it is at rest."""
        async with self._stack.client("operator") as operator:
            reply = await operator.request_run(
                RequestRun(connector=CONNECTOR, mode="apply" if mode == "apply" else "dry-run")
            )
            if reply.run is None:
                raise DidNotHold("the request was accepted without a run id")
            return await self._at_rest(operator, reply.run, before=None)

    async def approve(self, view: RunView) -> RunView:
        """Approve as often as is needed and wait until the run has ended and is sealed."""
        if view.plan is None:
            raise DidNotHold(f"run {view.run} has no plan")
        done = view
        for profile in APPROVERS[: view.plan.approvals_needed]:
            async with self._stack.client(profile) as approver:
                await approver.approve(self._decision(view, profile))
        async with self._stack.client("operator") as operator:
            done = await self._at_rest(operator, view.run, before=view)
            await self._sealed(operator, view.run)
        return done

    async def proven(self, key: str) -> tuple[VerificationReport, tuple[str, ...]]:
        """Fetch the whole log and verify it under this key; with it, the checkpoints."""
        async with self._stack.client("auditor") as auditor:
            report, fetched = await verify(auditor, key)
        if not report.is_proven:
            raise DidNotHold(f"the audit log is not proven: {report.first_failure or 'entries without signature'}")
        return report, fetched.checkpoints

    async def _at_rest(self, client: PersonClient, run: str, *, before: RunView | None) -> RunView:
        answer = await follow(client, run, clock=self._clock, seconds_max=RUN_SECONDS_MAX, before=before)
        if answer.run is None:
            raise DidNotHold(f"run {run} is not in the audit log")
        return answer.run

    async def _sealed(self, client: PersonClient, run: str) -> None:
        deadline = self._clock.monotonic_seconds() + SEAL_SECONDS_MAX
        while self._clock.monotonic_seconds() < deadline:
            view = (await client.run(run)).run
            if view is not None and view.is_sealed:
                return
            await asyncio.sleep(0.1)
        raise DidNotHold(f"run {run} was not sealed within {SEAL_SECONDS_MAX:g} s")

    def _decision(self, view: RunView, person: str) -> DecideRun:
        profile = load_profile(self._stack.layout.data, person)
        if profile.approval_key is None or view.plan is None:
            raise DidNotHold(f"{person} cannot approve run {view.run}")
        signed = signed_decision(
            view.plan, run=view.run, decision="approve", approver=profile.user, reason="drill",
            is_override=view.status == "held", key_text=resolve(profile.approval_key), now=self._clock.now(),
            ids=RandomIds(),
        )  # fmt: skip
        return DecideRun(signed=signed)

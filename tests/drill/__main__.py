"""`python -m tests.drill [--damage flip|drop]`: back a house up, destroy it, restore it, and make it prove itself.

A house on this machine plays a run to its end and is backed up while it runs. Then all of it is deleted. From the
backup and the keys alone a house is made anew on other ports, folders and servers; its log is verified from the first
entry, and its next runs must find exactly what is left to do. Each step says how long it took; exit code 1 when one
does not hold. `--damage` harms the backup after it was made: the drill must then fail, and name the file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pyrage
import structlog

from cli.audit_log import checkpoints_beside, export, verify_files
from cli.demo import leave_changes_pending
from cli.embedded_setup import Layout
from cli.problem import CommandFailed
from cli.stack import Stack
from deploy.backup.house import make, restore, verify
from deploy.backup.problem import BackupFailed
from shared.asking.profiles import load_profile
from shared.bus.embedded import EmbeddedServer
from shared.clock import SystemClock
from tests.drill.house import IN_POSTGRES, DidNotHold, Person, backup_settings, carry_over, stack_on
from tests.support.postgres import PostgresServer, PostgresUnavailableError, start_postgres

SHOWN_ROOT: Final = 16
VENDOR_TIMEOUT_SECONDS: Final = 30


def flip(path: Path) -> None:
    """One bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def drop(path: Path) -> None:
    """The last kilobyte, as a copy that was broken off."""
    path.write_bytes(path.read_bytes()[:-1024])


DAMAGES: Final[dict[str, Callable[[Path], None]]] = {"flip": flip, "drop": drop}


class Drill:
    """One drill in one folder."""

    def __init__(self, place: Path, damage: str | None) -> None:
        self._place = place
        self._damage = damage
        self._clock = SystemClock()
        self._began = time.monotonic()
        identity = pyrage.x25519.Identity.generate()
        self._recipient = str(identity.to_public())
        self._key_file = place / "backup-identity"
        self._key_file.write_text(f"{identity}\n")
        self._backup = place / "backup"

    async def run(self) -> None:
        """Every step in order; `DidNotHold` or `BackupFailed` at the first that does not hold."""
        old, new = self._place / "old", self._place / "new"
        (self._place / "one").mkdir()
        (self._place / "two").mkdir()
        with start_postgres(self._place / "one") as postgres:
            for name in IN_POSTGRES:
                postgres.create_database(name)
            async with stack_on(old, postgres) as stack:
                self._told("a house runs, its auditor and console on PostgreSQL, its differ on SQLite")
                before = await self._lived(stack)
                await self._backed_up(stack, postgres)
                effects = self._effects(stack)
            carry_over(stack.layout, Layout(new, is_demo=True))
        shutil.rmtree(old)
        self._told("the house is destroyed: bus, databases and server; left are the backup, the keys, and the vendor")
        await self._damage_is_refused()
        with start_postgres(self._place / "two") as postgres:
            stack = stack_on(new, postgres)
            await self._restored(stack.layout, postgres)
            async with stack:
                self._told("the services run again, on other ports, folders and servers")
                await self._proves_itself(stack, before)
                await self._goes_on(stack, before, effects)

    # -- before ------------------------------------------------------------------------------------------------------

    async def _lived(self, stack: Stack) -> dict[str, Any]:
        person = Person(stack)
        planned = await person.run("dry-run")
        self._expect(planned.status, "planned")
        done = await person.approve(await person.run("apply"))
        self._expect(done.status, "succeeded")
        applied = done.counts.applied if done.counts is not None else 0
        self._told(f"a dry-run, and a run that was approved and wrote {applied} changes")
        key = load_profile(stack.layout.data, "auditor").verifier_key or ""
        report, checkpoints = await person.proven(key)
        self._told(f"its log is proven: {report.entries} entries, root {(report.root or '')[:SHOWN_ROOT]}…")
        return {"key": key, "entries": report.entries, "root": report.root, "checkpoints": checkpoints, "run": done.run}

    async def _backed_up(self, stack: Stack, postgres: PostgresServer) -> None:
        settings = backup_settings(stack.layout, postgres, stack.bus_url, self._key_file, self._recipient)
        made = await make(self._backup, settings, clock=self._clock)
        self._told(
            f"backed up while it ran: {len(made.manifest.streams)} streams, {len(made.manifest.databases)} databases, "
            f"{made.size:,} bytes, encrypted"
        )

    def _effects(self, stack: Stack) -> int:
        """How many writes the vendor itself has counted."""
        return sum(len(each) for each in self._vendor(stack, "effects")["effects"].values())

    def _vendor(self, stack: Stack, what: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{stack.vendor_url}/_sim/{what}", timeout=VENDOR_TIMEOUT_SECONDS) as answer:
            document: dict[str, Any] = json.load(answer)
        return document

    # -- between -----------------------------------------------------------------------------------------------------

    async def _damage_is_refused(self) -> None:
        if self._damage is not None:
            DAMAGES[self._damage](next(self._backup.glob("streams/CORE/stream.tar.s2*")))
        for name, harm in DAMAGES.items():
            copy = self._place / f"damaged-{name}"
            shutil.copytree(self._backup, copy)
            harmed = next(copy.glob("streams/LEDGER/stream.tar.s2*"))
            harm(harmed)
            try:
                await verify(copy)
            except BackupFailed as refused:
                if str(harmed.relative_to(copy)) not in str(refused):
                    raise DidNotHold(f"the damage was not named: {refused}") from None
            else:
                raise DidNotHold(f"a backup with damage ({name}) was taken for a whole one")
        self._told("a copy with one bit flipped and one with its end missing are refused by the file's name")

    async def _restored(self, layout: Layout, postgres: PostgresServer) -> None:
        for name in IN_POSTGRES:
            postgres.create_database(name)
        async with EmbeddedServer(layout.bus) as server:
            settings = backup_settings(layout, postgres, server.url, self._key_file, self._recipient)
            restored = await restore(self._backup, settings)
            messages = sum(stream.messages for stream in restored.streams)
            if restored.differences:
                raise DidNotHold(f"the restored bus differs from the table: {'; '.join(restored.differences)}")
        self._told(f"restored into an empty place: {messages} messages, {len(restored.databases)} databases")

    # -- after -------------------------------------------------------------------------------------------------------

    async def _proves_itself(self, stack: Stack, before: dict[str, Any]) -> None:
        person = Person(stack)
        report, checkpoints = await person.proven(before["key"])
        if report.entries < before["entries"] or checkpoints[: len(before["checkpoints"])] != before["checkpoints"]:
            raise DidNotHold(f"the log had {before['entries']} entries, and has {report.entries} or other checkpoints")
        self._told(
            f"the log is proven from its first entry, with the key alone: {report.entries} entries, and each of the "
            f"{len(before['checkpoints'])} roots signed before stands, the last of them {before['root'][:SHOWN_ROOT]}…"
        )
        bundle = self._place / "log.jsonl"
        async with stack.client("auditor") as auditor:
            await export(auditor, bundle)
        offline = verify_files(bundle, checkpoints_beside(bundle), before["key"])
        if not offline.is_proven or offline.entries < before["entries"]:
            raise DidNotHold(f"the exported log does not hold: {offline.first_failure}")
        self._told("the exported log is proven too, with no server at all")

    async def _goes_on(self, stack: Stack, before: dict[str, Any], effects: int) -> None:
        person = Person(stack)
        for mode in ("dry-run", "apply"):
            self._expect((await person.run(mode)).status, "no_changes")
        if (now := self._effects(stack)) != effects:
            raise DidNotHold(f"the vendor had counted {effects} writes and counts {now}: something was written again")
        self._told("a dry-run and an apply over the unchanged district: 0 changes, nothing is written a second time")
        district = stack.layout.district
        truth = json.loads((district / "truth.json").read_bytes())
        pending = leave_changes_pending(district, self._vendor(stack, "state")["contacts"], truth)
        done = await person.approve(await person.run("apply"))
        self._expect(done.status, "succeeded")
        applied = done.counts.applied if done.counts is not None else 0
        if applied != pending or self._effects(stack) != effects + pending:
            raise DidNotHold(f"{pending} people changed, {applied} changes were applied")
        report, _ = await person.proven(before["key"])
        self._told(
            f"{pending} people changed since: planned, approved, applied; the log holds {report.entries} entries"
        )

    # -- means -------------------------------------------------------------------------------------------------------

    def _expect(self, found: str, wanted: str) -> None:
        if found == wanted:
            return
        raise DidNotHold(f"the run is {found}, should be {wanted}")

    def _told(self, text: str) -> None:
        now = time.monotonic()
        sys.stdout.write(f"{now - self._began:6.1f} s  {text}\n")
        sys.stdout.flush()
        self._began = now


def main(arguments: Sequence[str] | None = None) -> int:
    """Hold the drill; 0 when all of it held."""
    parser = argparse.ArgumentParser(prog="python -m tests.drill", description=__doc__)
    parser.add_argument("--damage", choices=sorted(DAMAGES), help="harm the backup: the drill must fail")
    options = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="aether-drill-") as place:
        try:
            asyncio.run(Drill(Path(place), options.damage).run())
        except (DidNotHold, BackupFailed, CommandFailed, PostgresUnavailableError) as failed:
            sys.stdout.write(f"\nTHE DRILL DID NOT HOLD: {failed}\n")
            return 1
    sys.stdout.write(f"\nthe drill held, in {time.monotonic() - began:.0f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

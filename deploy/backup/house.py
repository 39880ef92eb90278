"""A whole house into a folder and back: what is taken in which order, and when it is refused.

The auditor's database is taken before the streams and the others after them. The auditor reads on from wherever it
stands, so what it lacks it finds in the streams; the differ and the console must lack nothing that a stream has already
counted as done. A folder becomes a backup by one renaming, at the end.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nats.aio.client import Client

from deploy.backup.databases import Database, require_empty, restore_database, save_database
from deploy.backup.files import FILE_MODE, FOLDER_MODE, Identity, Recipients, identity_of, recipients_of
from deploy.backup.manifest import MANIFEST, DatabaseFacts, Manifest, StreamFacts, read_manifest, verify_files
from deploy.backup.problem import BackupFailed
from deploy.backup.settings import BackupSettings
from deploy.backup.streams import (
    ORDER,
    RestoredStream,
    bus_version,
    entered,
    names_on,
    restore_stream,
    save_stream,
)
from shared.bus.connect import BusSettings
from shared.bus.provision import differences
from shared.bus.topology import PROVISIONER
from shared.clock import Clock, to_text
from shared.errors import NeedsPerson
from shared.secrets import resolve

BEFORE_THE_STREAMS: Final = ("auditor",)
PARTIAL_SUFFIX: Final = ".partial"
PACKAGE: Final = "aether-integrator"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was made or verified."""

    folder: Path
    manifest: Manifest
    manifest_sha256: str
    """To be written down elsewhere: it stands for every byte of the backup."""
    size: int
    """Bytes of all files."""


@dataclass(frozen=True, slots=True)
class Restored:
    """A house that came back."""

    manifest: Manifest
    streams: tuple[RestoredStream, ...]
    databases: tuple[str, ...]
    differences: tuple[str, ...]
    """What this release's table has otherwise; provisioning brings it in line."""


async def make(folder: Path, settings: BackupSettings, *, clock: Clock, say: Say = lambda text: None) -> Made:
    """Take a backup of the running house into a new folder."""
    databases, recipients = _databases(settings), recipients_of(settings.backup_recipients)
    bus = _bus(settings)
    if await asyncio.to_thread(folder.exists):
        raise BackupFailed(f"{folder} exists", action="Name a new folder: a backup is never overwritten.")
    partial = folder.with_name(folder.name + PARTIAL_SUFFIX)
    try:
        partial.mkdir(mode=FOLDER_MODE, parents=True)
    except FileExistsError:
        raise BackupFailed(
            f"{partial} exists: another backup is on its way, or one was broken off",
            action="Wait for it, or delete that folder.",
        ) from None
    try:
        manifest = await _take(partial, bus, databases, recipients, settings, clock, say)
        _write_manifest(partial, manifest)
        partial.rename(folder)
        _flush_folder(folder.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return await verify(folder)


async def verify(folder: Path) -> Made:
    """Read a whole backup and compare it with its manifest; no bus and no key is needed."""
    manifest, digest = read_manifest(folder)
    size = await asyncio.to_thread(verify_files, folder, manifest)
    return Made(folder, manifest, digest, size)


async def restore(
    folder: Path,
    settings: BackupSettings,
    *,
    replicas: int | None = None,
    without: Sequence[str] = (),
    say: Say = lambda text: None,
) -> Restored:
    """Bring a verified backup back into an empty bus and empty databases.

    `replicas` is the number of copies of each stream in the new place (None: as it was), `without` names databases
    of the backup that are left out. Services must not run. Everything is looked at before anything is written.
    """
    checked = await verify(folder)
    manifest = checked.manifest
    say(f"verified {len(manifest.files())} files, {checked.size:,} bytes, made {manifest.began_at}")
    if manifest.environment != settings.environment:
        raise BackupFailed(
            f"the backup is of {manifest.environment}, this place is {settings.environment}",
            action="Restore it into its own environment: its runs would write to the other's systems.",
        )
    identity = _identity(settings, manifest)
    wanted = _wanted(manifest, _databases(settings), without)
    for database, _ in wanted:
        await asyncio.to_thread(require_empty, database)
    async with entered(_bus(settings), settings.environment) as client:
        taken = sorted({stream.name for stream in manifest.streams}.intersection(await names_on(client)))
        if taken:
            raise BackupFailed(
                f"the bus has the streams {', '.join(taken)} already",
                action="Restore into an empty bus, before it is provisioned; nothing is ever overwritten.",
            )
        for database, facts in wanted:
            await asyncio.to_thread(restore_database, database, facts, folder, identity, settings.postgres_programs)
            say(f"database {database.name}: restored to {database.shown}")
        streams = []
        for each in manifest.streams:
            found = await restore_stream(client, each, folder, identity, replicas=replicas)
            streams.append(found)
            say(f"stream {found.name}: {found.messages} messages, up to sequence {found.last_seq}")
        copies = replicas or int((await client.jetstream().stream_info(ORDER[0])).config.num_replicas or 1)
        others = await differences(client.jetstream(), replicas=copies)
    return Restored(
        manifest, tuple(streams), tuple(database.name for database, _ in wanted), tuple(str(one) for one in others)
    )


# -- how ---------------------------------------------------------------------------------------------------------------


async def _take(
    partial: Path,
    bus: BusSettings,
    databases: Sequence[Database],
    recipients: Recipients,
    settings: BackupSettings,
    clock: Clock,
    say: Say,
) -> Manifest:
    began = to_text(clock.now())
    stored: list[DatabaseFacts] = []

    async def take(some: Sequence[Database]) -> None:
        for database in some:
            facts = await asyncio.to_thread(save_database, database, partial, recipients, settings.postgres_programs)
            stored.append(facts)
            say(f"database {database.name}: {facts.content.size:,} bytes")

    await take([database for database in databases if database.name in BEFORE_THE_STREAMS])
    async with entered(bus, settings.environment) as client:
        streams = await _take_streams(client, partial, recipients, say)
        version = bus_version(client)
    await take([database for database in databases if database.name not in BEFORE_THE_STREAMS])
    return Manifest(
        environment=settings.environment,
        release=_release(),
        bus_version=version,
        began_at=began,
        ended_at=to_text(clock.now()),
        recipients=settings.backup_recipients,
        streams=tuple(streams),
        databases=tuple(stored),
    )


async def _take_streams(client: Client, partial: Path, recipients: Recipients, say: Say) -> list[StreamFacts]:
    present = await names_on(client)
    missing = [name for name in ORDER if name not in present]
    if missing:
        raise BackupFailed(
            f"the bus lacks the streams {', '.join(missing)}", action="Is this the right bus, and is it provisioned?"
        )
    streams = []
    for name in ORDER:
        facts = await save_stream(client, name, partial, recipients)
        streams.append(facts)
        say(f"stream {name}: {facts.messages} messages up to {facts.last_seq}, {facts.content.size:,} bytes")
    return streams


def _databases(settings: BackupSettings) -> list[Database]:
    strangers = set(settings.backup_database_passwords).difference(settings.backup_databases)
    if strangers:
        raise BackupFailed(
            f"AETHER_BACKUP_DATABASE_PASSWORDS names {', '.join(sorted(strangers))}, AETHER_BACKUP_DATABASES does not",
            action="Use the same names in both.",
        )
    return [
        Database.at(name, address, _secret(settings.backup_database_passwords.get(name)))
        for name, address in settings.backup_databases.items()
    ]


def _bus(settings: BackupSettings) -> BusSettings:
    password = _secret(settings.nats_password)
    if settings.nats_url is None or password is None:
        raise BackupFailed(
            "the bus is not named",
            action=f"Set AETHER_NATS_URL, and AETHER_NATS_PASSWORD to a reference to the password of {PROVISIONER}.",
        )
    return BusSettings(settings.nats_url, PROVISIONER, password, settings.nats_ca)


def _identity(settings: BackupSettings, manifest: Manifest) -> Identity | None:
    if not manifest.is_encrypted:
        return None
    key = _secret(settings.backup_identity)
    if key is None:
        raise BackupFailed(
            f"the backup is encrypted for {', '.join(manifest.recipients)} and no secret key is given",
            action="Set AETHER_BACKUP_IDENTITY to a reference to one of these keys.",
        )
    identity = identity_of(key)
    if identity.public not in manifest.recipients:
        raise BackupFailed(
            f"the given key belongs to {identity.public}; the backup is for {', '.join(manifest.recipients)}",
            action="Set AETHER_BACKUP_IDENTITY to a reference to one of these keys.",
        )
    return identity


def _secret(reference: str | None) -> str | None:
    if reference is None:
        return None
    try:
        return resolve(reference)
    except NeedsPerson as problem:
        raise BackupFailed(problem.message, action="Put the secret where the reference says.") from None


def _wanted(
    manifest: Manifest, databases: Sequence[Database], without: Sequence[str]
) -> list[tuple[Database, DatabaseFacts]]:
    """Where each database of the backup goes; every one must be told, or be left out on purpose."""
    given = {database.name: database for database in databases}
    in_backup = {facts.name for facts in manifest.databases}
    if strangers := sorted({*given, *without} - in_backup):
        raise BackupFailed(
            f"the backup has no database {', '.join(strangers)}; it has: {', '.join(sorted(in_backup)) or 'none'}",
            action="Correct AETHER_BACKUP_DATABASES or --without.",
        )
    if untold := sorted(in_backup - set(given) - set(without)):
        raise BackupFailed(
            f"the backup has the databases {', '.join(untold)}, and nobody said where they go",
            action="Name them in AETHER_BACKUP_DATABASES, or leave them out with --without NAME.",
        )
    return [(given[facts.name], facts) for facts in manifest.databases if facts.name not in without]


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    path = folder / MANIFEST
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "w", encoding="utf-8") as file:
        file.write(manifest.model_dump_json(indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    _flush_folder(folder)


def _flush_folder(folder: Path) -> None:
    """A renaming is durable when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _release() -> str:
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return "unreleased"

"""`python -m deploy.backup make|verify|restore`: the backup of a house, driven by settings (`AETHER_…`).

Exit codes: 0 done, 1 not done (and says why and what to do), 2 wrong use.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from deploy.backup.house import Made, Restored, make, restore, verify
from deploy.backup.problem import BackupFailed
from deploy.backup.settings import BackupSettings
from shared.clock import SystemClock
from shared.telemetry.logs import configure_logs

EXIT_DONE, EXIT_NOT_DONE, EXIT_USAGE = 0, 1, 2
REPLICAS = (1, 3, 5)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        document, lines = asyncio.run(_run(options))
    except BackupFailed as failed:
        return _failed(str(failed), failed.action, is_json=options.is_json)
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False)[0]
        place = "AETHER_" + ".".join(str(part) for part in first["loc"]).upper()
        return _failed(f"{place}: {first['msg']}", "Correct the setting.", is_json=options.is_json)
    except OSError as problem:
        place = problem.filename or "the disk"
        return _failed(
            f"{place}: {problem.strerror}", "Name a folder that can be written, with room.", is_json=options.is_json
        )
    sys.stdout.write(json.dumps(document, indent=2) + "\n" if options.is_json else "\n".join(lines) + "\n")
    return EXIT_DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.backup", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    making = verbs.add_parser("make", help="take a backup of the running house into a new folder")
    making.add_argument("--to", type=Path, required=True, metavar="FOLDER")
    verifying = verbs.add_parser("verify", help="read a whole backup and compare it with its manifest")
    restoring = verbs.add_parser("restore", help="bring a backup back into an empty bus and empty databases")
    for each in (verifying, restoring):
        each.add_argument("--from", type=Path, required=True, metavar="FOLDER", dest="folder")
    restoring.add_argument(
        "--replicas", type=int, choices=REPLICAS, help="copies of each stream in the new place; default: as it was"
    )
    restoring.add_argument("--without", action="append", default=[], metavar="NAME", help="leave a database out")
    for each in (making, verifying, restoring):
        each.add_argument("--json", action="store_true", dest="is_json", help="one JSON document on stdout")
    return parser


async def _run(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    def say(text: str) -> None:
        sys.stderr.write(text + "\n")

    if options.verb == "verify":
        return _made(await verify(options.folder), "verified")
    settings = BackupSettings()
    if options.verb == "make":
        return _made(await make(options.to, settings, clock=SystemClock(), say=say), "made")
    restored = await restore(
        options.folder, settings, replicas=options.replicas, without=tuple(options.without), say=say
    )
    return _restored(restored)


def _made(made: Made, word: str) -> tuple[dict[str, Any], list[str]]:
    manifest = made.manifest
    document = {
        "folder": str(made.folder),
        "manifest_sha256": made.manifest_sha256,
        "size": made.size,
        **manifest.model_dump(mode="json"),
        "exit_code": EXIT_DONE,
    }
    width = max(len(one) for one in ("database", *(stream.name for stream in manifest.streams)))
    lines = [
        *(
            f"stream    {one.name:<{width}}  {one.messages} messages, {one.first_seq} to {one.last_seq}, "
            f"{one.consumers} consumers"
            for one in manifest.streams
        ),
        *(f"database  {one.name:<{width}}  {one.kind} {one.version}" for one in manifest.databases),
        f"{word}: {made.folder}, {len(manifest.files())} files, {made.size:,} bytes, "
        + ("encrypted" if manifest.is_encrypted else "NOT encrypted: it holds personal data, keep it as such"),
        f"manifest  {made.manifest_sha256}  (write it down elsewhere: it stands for every byte)",
    ]
    return document, lines


def _restored(restored: Restored) -> tuple[dict[str, Any], list[str]]:
    document = {
        "streams": [
            {"name": one.name, "first_seq": one.first_seq, "last_seq": one.last_seq, "messages": one.messages}
            for one in restored.streams
        ],
        "databases": list(restored.databases),
        "differences": list(restored.differences),
        "exit_code": EXIT_DONE,
    }
    lines = [
        f"restored: {len(restored.streams)} streams, {len(restored.databases)} databases, "
        f"as of {restored.manifest.began_at}",
        *(f"differs from this release's table: {one}" for one in restored.differences),
        "Next: restart each server of the bus once (only then it knows which messages it has seen); provision;",
        "start the auditor and wait until `aether audit verify` proves the log; then start the others.",
    ]
    return document, lines


def _failed(text: str, action: str, *, is_json: bool) -> int:
    if is_json:
        document = {"error": text, "action": action, "exit_code": EXIT_NOT_DONE}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        sys.stderr.write(f"NOT DONE: {text}\n  what to do: {action}\n")
    return EXIT_NOT_DONE


if __name__ == "__main__":
    configure_logs("backup", "warning")  # on stderr: stdout is the document's
    sys.exit(main())

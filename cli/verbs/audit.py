"""Verbs about the audit log: audit verify, audit export."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import DataOption, JsonOption, ProfileOption, Session, program, session_of

if TYPE_CHECKING:
    from shared.audit.verify import VerificationReport

KeyOption = Annotated[
    str | None, typer.Option("--verifier-key", help="The log's key; default: the profile's. Never the server's word.")
]


def add_to(app: typer.Typer) -> None:
    """Add these verbs."""
    group = typer.Typer(help="The audit log: prove it, take it away.", no_args_is_help=True, rich_markup_mode=None)
    group.command("verify")(verify)
    group.command("export")(export)
    app.add_typer(group, name="audit")


def verify(
    context: typer.Context,
    verifier_key: KeyOption = None,
    file: Annotated[Path | None, typer.Option("--file", help="Verify an export instead, without any server.")] = None,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """Fetch the whole log and verify every entry, root and signature here; exits 0 when all of it is proven, else 1."""
    session = session_of(context, data=data, profile=profile, is_json=is_json)
    if file is None:
        return asyncio.run(_verify(session, verifier_key))
    from cli.audit_log import checkpoints_beside, verify_files
    from shared.asking.profiles import load_profile

    key = verifier_key or load_profile(session.data, session.profile).verifier_key
    return _show(verify_files(file, checkpoints_beside(file), key or ""), session, remarks=[])


async def _verify(session: Session, verifier_key: str | None) -> int:
    from cli.audit_log import required_key, verify
    from shared.asking.client import connected
    from shared.asking.profiles import load_profile

    profile = load_profile(session.data, session.profile)
    key = required_key(verifier_key or profile.verifier_key)
    async with connected(profile) as client:
        report, fetched = await verify(client, key)
    remarks = []
    if fetched.stated_key != key:
        remarks.append(f"The server states another key than the one used here: {fetched.stated_key}")
    return _show(report, session, remarks=remarks)


def _show(report: VerificationReport, session: Session, *, remarks: list[str]) -> int:
    from cli.output import show
    from cli.rendering import verification_lines

    code = 0 if report.is_proven else 1
    document = {**report.model_dump(mode="json"), "remarks": remarks, "exit_code": code}
    show(document, [*verification_lines(report), *remarks], is_json=session.is_json)
    return code


def export(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", help="File for the entries; the checkpoints go to FILE.checkpoints.")],
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """Write the whole log to files that `aether audit verify --file` proves anywhere."""
    return asyncio.run(_export(session_of(context, data=data, profile=profile, is_json=is_json), out))


async def _export(session: Session, out: Path) -> int:
    from cli.audit_log import checkpoints_beside
    from cli.audit_log import export as export_log
    from cli.output import show
    from shared.asking.client import connected
    from shared.asking.profiles import load_profile

    profile = load_profile(session.data, session.profile)
    async with connected(profile) as client:
        fetched = await export_log(client, out)
    beside = checkpoints_beside(out)
    # The profile's key was handed over apart from the log; the server's word stands in only where there is none.
    key, is_own = profile.verifier_key or fetched.stated_key, profile.verifier_key is not None
    document = {
        "entries": fetched.entries,
        "checkpoints": len(fetched.checkpoints),
        "entries_file": str(out),
        "checkpoints_file": str(beside),
        "verifier_key": key,
        "exit_code": 0,
    }
    lines = [
        f"{fetched.entries} entries in {out}",
        f"{len(fetched.checkpoints)} checkpoints in {beside}",
        f"verifier key  {key}" + ("" if is_own else "  (the server's word: compare it with its owner's)"),
        "Verify it anywhere, both files in one folder; hand the key over another way than the files:",
        f"  {program()} audit verify --file {shlex.quote(str(out))} --verifier-key {shlex.quote(key)}",
    ]
    show(document, lines, is_json=session.is_json)
    return 0

"""Verbs about outside systems: system list, system check, system new."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import DataOption, JsonOption, ProfileOption, Session, session_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from shared.events.queries import ConnectionAnswer


def add_to(app: typer.Typer) -> None:
    """Add these verbs."""
    group = typer.Typer(
        help="Outside systems: what is installed, how a connection stands, and a new one.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("list")(list_systems)
    group.command("check")(check)
    group.command("new")(new)
    app.add_typer(group, name="system")


def list_systems(is_json: JsonOption = False) -> int:
    """List the systems that are installed: their entities, what can be done with them and how far they are trusted."""
    from cli.output import show
    from cli.rendering import plain_table
    from cli.systems import overview

    found = overview()
    rows = [
        (one.system, one.entity, ", ".join(one.roles), one.key, one.read_tier, one.write_tier or "-") for one in found
    ]
    document = {"systems": [one.document() for one in found], "exit_code": 0}
    lines = [plain_table("system", "entity", "roles", "key", "reading", "writing", rows=rows)]
    show(document, lines, is_json=is_json)
    return 0


def check(
    context: typer.Context,
    connection: Annotated[str, typer.Argument(help="Name of the connection, as in connections.yaml.")],
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """Have the extractor try a connection: network, credential, permission, shape; reads a little, writes nothing."""
    session = session_of(context, data=data, profile=profile, is_json=is_json)
    return asyncio.run(_check(session, connection))


async def _check(session: Session, name: str) -> int:
    from cli.output import show
    from shared.asking.client import connected
    from shared.asking.profiles import load_profile

    async with connected(load_profile(session.data, session.profile)) as client:
        answer = await client.check_connection(name)
    exit_code = 0 if answer.findings and all(one.is_good for one in answer.findings) else 1
    document = {**answer.model_dump(mode="json"), "exit_code": exit_code}
    show(document, finding_lines(answer), is_json=session.is_json)
    return exit_code


def finding_lines(answer: ConnectionAnswer) -> list[RenderableType]:
    """What was found, a line for each thing that was tried."""
    from cli.rendering import plain_table

    rows = [("ok" if one.is_good else "FAULT", one.subject, one.text) for one in answer.findings]
    head = f"connection {answer.connection}: system {answer.system}, {answer.environment}, tier {answer.tier}"
    return [head, plain_table("state", "what", "found", rows=rows)]


def new(
    name: Annotated[str, typer.Argument(help="Name of the system: a to z, digits and _.")],
    auth: Annotated[str, typer.Option("--auth", help="none, basic, header, bearer or oauth2.")] = "bearer",
    paging: Annotated[
        str, typer.Option("--paging", help="none, offset_limit, page_number, cursor, link or page_header.")
    ] = ("offset_limit"),
    is_target: Annotated[bool, typer.Option("--target", help="Records are written too.")] = False,
    folder: Annotated[Path, typer.Option("--folder", help="Where the new folder is made.")] = Path("vendors"),
    is_json: JsonOption = False,
) -> int:
    """Make the folder of a new system over HTTP, which needs no code; check it, and say what is left to do."""
    from cli.output import show
    from cli.scaffolding import Answers, scaffolded

    answers = Answers(name=name, auth=auth, paging=paging, is_target=is_target)
    made = scaffolded(answers, folder)
    lines: list[RenderableType] = [f"made   {path}" for path in made.files]
    lines += [f"red    {one}" for one in made.red]
    lines.append(
        f"It loads, and its tier is {made.tier}: {len(made.red)} rules are to be shown. Its README.md says how."
    )
    show({**made.document(), "exit_code": 0}, lines, is_json=is_json)
    return 0

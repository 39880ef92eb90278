"""Verbs about the house itself: up, doctor."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import DataOption, JsonOption, ProfileOption, Session, program, session_of
from cli.ports import usual_port
from cli.problem import EXIT_USAGE, CommandFailed

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cli.stack import Stack
    from shared.bus.topology import Environment

REPLICAS_MAX = 16
WORDS_OF_STATE = {"ok": "ok", "fault": "FAULT", "unknown": "unknown"}


def add_to(app: typer.Typer) -> None:
    """Add these verbs."""
    app.command("up")(up)
    app.command("doctor")(doctor)


def doctor(
    context: typer.Context, data: DataOption = None, profile: ProfileOption = None, is_json: JsonOption = False
) -> int:
    """Look whether everything stands: bus, services, audit log, dead letters, folder; exits 1 on a fault."""
    from cli.checkup import examine
    from cli.output import show
    from cli.rendering import plain_table

    session = session_of(context, data=data, profile=profile, is_json=is_json)
    checks = asyncio.run(examine(session.data, session.profile))
    is_sound = all(check.state != "fault" for check in checks)
    rows = [(WORDS_OF_STATE[check.state], check.name, check.found) for check in checks]
    document = {"is_sound": is_sound, "checks": [check.document() for check in checks]}
    show(document, [plain_table("state", "what", "found", rows=rows)], is_json=session.is_json)
    return 0 if is_sound else 1


def up(
    context: typer.Context,
    demo: Annotated[bool, typer.Option("--demo", help="With a sample district and a simulated vendor.")] = False,
    extractors: Annotated[int, typer.Option("--extractors", min=1, max=REPLICAS_MAX)] = 1,
    differs: Annotated[int, typer.Option("--differs", min=1, max=REPLICAS_MAX)] = 1,
    environment: Annotated[
        str, typer.Option("--environment", help="staging, which opens no connection to production; or production.")
    ] = "staging",
    port: Annotated[int, typer.Option("--port", min=-1, max=65535, help="Of the bus; -1 takes a free one.")] = -1,
    console_port: Annotated[
        int, typer.Option("--console-port", min=0, max=65535, help="Of the console; 0 takes 8080, or a free one.")
    ] = 0,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """Run the whole house on this machine until Ctrl-C: bus, services and, with --demo, sample systems."""
    from cli.output import console
    from cli.stack import Stack

    session = session_of(context, data=data, profile=profile, is_json=is_json)
    notices = console(is_error=True)
    stack = Stack(
        session.data,
        is_demo=demo,
        extractors=extractors,
        differs=differs,
        environment=environment_of(environment),
        port=port,
        has_console=True,
        has_monitor=True,
        console_port=console_port or usual_port(),
        on_notice=lambda text: notices.print(text, markup=False, soft_wrap=True),
    )
    asyncio.run(_stay_up(stack, session))
    return 0


def environment_of(text: str) -> Environment:
    """The environment that an option names."""
    from shared.bus.topology import ENVIRONMENTS

    for known in ENVIRONMENTS:
        if text == known:
            return known
    raise CommandFailed(
        f"--environment {text!r} is none", action=f"Write {' or '.join(ENVIRONMENTS)}.", exit_code=EXIT_USAGE
    )


async def _stay_up(stack: Stack, session: Session) -> None:
    from cli.output import show
    from cli.processes import asked_to_stop
    from cli.rendering import plain_table

    async with asked_to_stop() as stop, stack:
        rows = [(each.name, each.address, each.log) for each in stack.addresses()]
        document = {
            "data": str(stack.layout.data),
            "addresses": [{"name": name, "address": address, "log": log} for name, address, log in rows],
            "connections": str(stack.layout.connections),
            "console": stack.console_url,
            "profiles": list(stack.profiles()),
        }
        lines: list[RenderableType] = [
            plain_table("what", "where", "log", rows=rows),
            f"profiles: {', '.join(stack.profiles())}",
            f"console: {stack.console_url}; each profile's password: {stack.layout.secrets}/console-PROFILE.password",
            *what_to_try(session, is_demo=stack.is_demo, connections=str(stack.layout.connections)),
            "Ctrl-C ends it.",
        ]
        show(document, lines, is_json=session.is_json)
        await stop.wait()


def what_to_try(session: Session, *, is_demo: bool, connections: str) -> list[str]:
    """The first commands for somebody who has just started the house."""
    options, aether = session.as_options, program()
    if not is_demo:
        return [
            f"No system is connected until {connections} names one; it holds examples. Restart after editing it.",
            "Look, in another terminal:",
            f"  {aether} doctor{options}",
            f"  {aether} connector list",
        ]
    return [
        "Try, in another terminal and in this folder:",
        f"  {aether} run titanhst-staff --dry-run{options}",
        f"  {aether} run titanhst-staff --apply{options}      (prints the run, its digest, and the commands to go on)",
        f"  {aether} audit verify --profile auditor{options}",
        f"  {aether} doctor{options}",
    ]

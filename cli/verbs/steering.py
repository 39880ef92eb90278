"""Verbs that steer a run that was asked for: cancel, pause, resume, retry.

All four name a run and say why, so they are one request with one way to end; what differs stands in a table.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.options import (
    WATCH_SECONDS_DEFAULT,
    DataOption,
    JsonOption,
    ProfileOption,
    ReasonOption,
    RunArgument,
    Session,
    TimeoutOption,
    session_of,
)
from cli.verbs.runs import finish

if TYPE_CHECKING:
    from shared.asking.client import PersonClient
    from shared.events.commands import NameRun, Reply

Verb = Literal["cancel", "pause", "resume", "retry"]

AT_NEXT_CHANGE: dict[Verb, tuple[str, str]] = {
    "cancel": ("end", "it has ended"),
    "pause": ("pause", "it has paused or ended"),
}
"""Verbs that a run follows at its next change only: what it was asked to do, and how long --watch stays."""


def add_to(app: typer.Typer) -> None:
    """Add these verbs."""
    app.command("cancel")(cancel)
    app.command("pause")(pause)
    app.command("resume")(resume)
    app.command("retry")(retry)


def cancel(
    context: typer.Context,
    run_id: RunArgument,
    reason: ReasonOption,
    watch: Annotated[bool, typer.Option("--watch", help="Stay until it has ended.")] = False,
    timeout: TimeoutOption = WATCH_SECONDS_DEFAULT,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """End a run at its next change; a run that has written something ends partial."""
    session = session_of(context, data=data, profile=profile, is_json=is_json)
    return asyncio.run(steer(session, run_id, reason, verb="cancel", seconds_max=timeout if watch else None))


def pause(
    context: typer.Context,
    run_id: RunArgument,
    reason: ReasonOption,
    watch: Annotated[bool, typer.Option("--watch", help="Stay until it has paused or ended.")] = False,
    timeout: TimeoutOption = WATCH_SECONDS_DEFAULT,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """Have a run that is applying stop at its next change and wait for `aether resume`."""
    session = session_of(context, data=data, profile=profile, is_json=is_json)
    return asyncio.run(steer(session, run_id, reason, verb="pause", seconds_max=timeout if watch else None))


def resume(
    context: typer.Context,
    run_id: RunArgument,
    reason: ReasonOption,
    watch: Annotated[bool, typer.Option("--watch", help="Stay until it ends or pauses again.")] = False,
    timeout: TimeoutOption = WATCH_SECONDS_DEFAULT,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """Let a paused run go on, under the same plan and approval."""
    session = session_of(context, data=data, profile=profile, is_json=is_json)
    return asyncio.run(steer(session, run_id, reason, verb="resume", seconds_max=timeout if watch else None))


def retry(
    context: typer.Context,
    run_id: RunArgument,
    reason: ReasonOption,
    watch: Annotated[bool, typer.Option("--watch", help="Stay until the new run ends or pauses.")] = False,
    timeout: TimeoutOption = WATCH_SECONDS_DEFAULT,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """Try again, as a new run, only what failed in a run that ended; the same plan and approval must still stand."""
    session = session_of(context, data=data, profile=profile, is_json=is_json)
    return asyncio.run(steer(session, run_id, reason, verb="retry", seconds_max=timeout if watch else None))


async def steer(session: Session, run_id: str, reason: str, *, verb: Verb, seconds_max: float | None) -> int:
    """Give the command, and end as every command on a run does; without watching, one that waits says so."""
    from cli.outcome import is_at_rest
    from shared.asking.client import connected
    from shared.asking.profiles import load_profile
    from shared.events.commands import NameRun

    async with connected(load_profile(session.data, session.profile)) as client:
        before = await client.run(run_id)
        reply = await _asked(client, verb, NameRun(run=run_id, reason=reason))
        is_to_come = reply.status is not None and not is_at_rest(reply.status)
        # A paused run that was cancelled ends only once its unknown outcomes are looked up.
        is_to_come = is_to_come or (verb == "cancel" and reply.status == "paused")
        if verb in AT_NEXT_CHANGE and seconds_max is None and is_to_come:
            return show_asked(session, reply, run=run_id, verb=verb)
        if verb != "retry":
            return await finish(client, session, reply, run=run_id, before=before, seconds_max=seconds_max)
        run = reply.run or run_id
        return await finish(client, session, reply, run=run, before=None, seconds_max=seconds_max, retry_of=run_id)


async def _asked(client: PersonClient, verb: Verb, command: NameRun) -> Reply:
    match verb:
        case "cancel":
            return await client.cancel(command)
        case "pause":
            return await client.pause(command)
        case "resume":
            return await client.resume(command)
        case "retry":
            return await client.retry(command)


def show_asked(session: Session, reply: Reply, *, run: str, verb: Verb) -> int:
    """Say that a run does not follow at once: its applier first concludes the change at hand."""
    from cli.output import show

    what, stays_until = AT_NEXT_CHANGE[verb]
    lines = [
        f"run {run} is {reply.status} and was asked to {what} at its next change",
        f"Follow it:  aether show {run}{session.as_options}   ({verb} with --watch stays until {stays_until})",
    ]
    show({**reply.model_dump(mode="json"), "exit_code": 0}, lines, is_json=session.is_json)
    return 0

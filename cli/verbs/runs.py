"""Verbs about runs: run, runs, show; and what every verb that acts on a run ends with."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.options import (
    WATCH_SECONDS_DEFAULT,
    DataOption,
    JsonOption,
    ProfileOption,
    RunArgument,
    Session,
    TimeoutOption,
    session_of,
)
from cli.problem import EXIT_INTERRUPTED, CommandFailed

if TYPE_CHECKING:
    from rich.console import RenderableType

    from shared.asking.client import PersonClient
    from shared.events.commands import Reply
    from shared.events.queries import RunAnswer


def add_to(app: typer.Typer) -> None:
    """Add these verbs."""
    app.command("run")(run)
    app.command("runs")(runs)
    app.command("show")(show_run)


def run(
    context: typer.Context,
    connector: Annotated[str, typer.Argument(metavar="CONNECTOR", help="Name, as `aether connector list` prints it.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Make the plan and stop.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Make the plan and, once approved, carry it out.")] = False,
    watch: Annotated[bool, typer.Option("--watch/--no-watch", help="Stay until it ends or waits for a person.")] = True,
    timeout: TimeoutOption = WATCH_SECONDS_DEFAULT,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """Ask for a run of a connector; give exactly one of --dry-run and --apply."""
    if dry_run == apply:
        raise typer.BadParameter("give exactly one of --dry-run and --apply")
    session = session_of(context, data=data, profile=profile, is_json=is_json)
    return asyncio.run(
        _run(session, connector, mode="apply" if apply else "dry-run", seconds_max=timeout if watch else None)
    )


async def _run(
    session: Session, connector: str, *, mode: Literal["dry-run", "apply"], seconds_max: float | None
) -> int:
    from cli.superseding import waiting_runs
    from shared.asking.client import connected
    from shared.asking.profiles import load_profile
    from shared.events.commands import RequestRun

    async with connected(load_profile(session.data, session.profile)) as client:
        waiting = await waiting_runs(client, connector) if mode == "apply" else ()
        reply = await client.request_run(RequestRun(connector=connector, mode=mode))
        if reply.run is None:
            raise CommandFailed(
                "the request was accepted without a run id", action=f"Look with `aether runs{session.as_options}`."
            )
        return await finish(client, session, reply, run=reply.run, before=None, seconds_max=seconds_max, waited=waiting)


def runs(
    context: typer.Context,
    connector: Annotated[str | None, typer.Option("--connector", help="Only runs of this connector.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=200)] = 20,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """List the newest runs."""
    return asyncio.run(
        _runs(session_of(context, data=data, profile=profile, is_json=is_json), connector=connector, limit=limit)
    )


async def _runs(session: Session, *, connector: str | None, limit: int) -> int:
    from cli.output import show
    from cli.rendering import runs_table
    from shared.asking.client import connected
    from shared.asking.profiles import load_profile
    from shared.events.queries import RUNS_MAX, RunsQuery

    async with connected(load_profile(session.data, session.profile)) as client:
        answer = await client.runs(RunsQuery(connector=connector, limit=limit))
        newest = () if answer.runs or connector is None else (await client.runs(RunsQuery(limit=RUNS_MAX))).runs
    lines: list[RenderableType] = [runs_table(answer.runs, options=session.as_options)]
    if connector is not None and not answer.runs:
        others = ", ".join(sorted({run.connector for run in newest}))
        lines = [f"There is no run of {connector}. " + (f"There are runs of: {others}" if others else "There is none.")]
    show(answer.model_dump(mode="json"), lines, is_json=session.is_json)
    return 0


def show_run(
    context: typer.Context,
    run_id: RunArgument,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """Show one run: where it is, what was read, what the guard said, what became of the changes."""
    return asyncio.run(_show(session_of(context, data=data, profile=profile, is_json=is_json), run_id))


async def _show(session: Session, run_id: str) -> int:
    from shared.asking.client import connected
    from shared.asking.profiles import load_profile

    async with connected(load_profile(session.data, session.profile)) as client:
        show_answer(known(await client.run(run_id), run_id, session), session)
    return 0


async def finish(
    client: PersonClient,
    session: Session,
    reply: Reply,
    *,
    run: str,
    before: RunAnswer | None,
    seconds_max: float | None,
    waited: Sequence[str] = (),
    retry_of: str | None = None,
) -> int:
    """Print what a command led to, after watching if asked (`seconds_max`), and return the exit code.

    `waited` names runs that waited for approval before the command, and that it may have superseded; `retry_of` the
    run whose failed changes are tried again.
    """
    from cli.outcome import exit_code_of, exit_code_of_view
    from cli.output import show
    from cli.superseding import superseded_by
    from cli.watching import follow_visibly
    from shared.clock import SystemClock

    clock = SystemClock()
    if seconds_max is None:
        supersedes = await superseded_by(client, run, waited, clock=clock)
        code = exit_code_of(reply.status) if reply.status is not None else 0
        document = {
            **reply.model_dump(mode="json"),
            "supersedes": list(supersedes),
            "retry_of": retry_of,
            "exit_code": code,
        }
        lines = [f"run {run} is {reply.status}", *_superseded_lines(supersedes)]
        if retry_of is not None:
            lines.append(f"It tries again what failed in run {retry_of}, under the same plan and approval.")
        show(document, [*lines, *_how_to_follow(reply, session, run=run)], is_json=session.is_json)
        return code
    seen = before.run if before is not None else None
    try:
        answer = await follow_visibly(
            client, run, clock=clock, seconds_max=seconds_max, before=seen, options=session.as_options
        )
        supersedes = await superseded_by(client, run, waited, clock=clock)
    except asyncio.CancelledError:  # which is how Ctrl-C arrives here
        raise CommandFailed(
            f"interrupted; run {run} goes on by itself",
            action=f"Look:  aether show {run}{session.as_options}",
            exit_code=EXIT_INTERRUPTED,
        ) from None
    show_answer(answer, session, supersedes=supersedes)
    return exit_code_of_view(answer.run) if answer.run is not None else 1


def show_answer(answer: RunAnswer, session: Session, *, supersedes: Sequence[str] = ()) -> None:
    """Print one run."""
    from cli.outcome import exit_code_of_view
    from cli.output import show
    from cli.rendering import run_lines

    code = exit_code_of_view(answer.run) if answer.run is not None else 1
    document = {**answer.model_dump(mode="json"), "supersedes": list(supersedes), "exit_code": code}
    lines = [*run_lines(answer, options=session.as_options), *_superseded_lines(supersedes)]
    show(document, lines, is_json=session.is_json)


def _superseded_lines(runs: Sequence[str]) -> list[str]:
    return [f"It supersedes run {each}, which waited for approval and has ended." for each in runs]


def _how_to_follow(reply: Reply, session: Session, *, run: str) -> list[str]:
    """What becomes of a run that is still under way."""
    from cli.outcome import is_at_rest

    if reply.status is None or is_at_rest(reply.status):
        return []
    return [f"It goes on by itself; look:  aether show {run}{session.as_options}"]


def known(answer: RunAnswer, run_id: str, session: Session) -> RunAnswer:
    """The answer; `CommandFailed` when there is no such run."""
    if answer.run is None:
        raise CommandFailed(
            f"there is no run {run_id} in the audit log",
            action=f"Use an id that `aether runs{session.as_options}` prints.",
            code="APV_UNKNOWN_RUN",
        )
    return answer

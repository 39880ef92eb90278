"""The verbs of `schedule`: list, next, pause, resume."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import DataOption, JsonOption, ProfileOption, session_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cli.options import Session
    from shared.events.documents import FailureNote
    from shared.events.schedules import ScheduleList, ScheduleView

TIMES_DEFAULT = 5
TIMES_MAX = 50
ConnectorArgument = Annotated[str, typer.Argument(metavar="CONNECTOR", help="The connector's name.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it is shown to others and kept in the audit log.")]


def add_to(app: typer.Typer) -> None:
    """Add these verbs."""
    group = typer.Typer(help="Runs by schedule.", no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(list_schedules)
    group.command("next")(next_times)
    group.command("pause")(pause)
    group.command("resume")(resume)
    app.add_typer(group, name="schedule")


def list_schedules(
    context: typer.Context, data: DataOption = None, profile: ProfileOption = None, is_json: JsonOption = False
) -> int:
    """List what runs by itself: when next, what became of the last time, and what is paused."""
    return asyncio.run(_list(session_of(context, data=data, profile=profile, is_json=is_json)))


async def _list(session: Session) -> int:
    from cli.output import show
    from cli.rendering import plain_table
    from shared.schedule.times import in_words

    answer = await _asked(session, None, times=1)
    rows = [
        (each.connector, in_words(each.cron), each.time_zone, each.mode, _next_in_words(each), _last_in_words(each))
        for each in answer.schedules
    ]
    lines: list[RenderableType] = [plain_table("connector", "when", "zone", "mode", "next", "last", rows=rows)]
    if not rows:
        lines = ["No connector has a schedule; write `schedule:` into its definition and publish a release."]
    if answer.problem is not None:
        lines.append(f"Nothing runs by schedule: {answer.problem.code}: {answer.problem.text}")
    show({**answer.model_dump(mode="json"), "exit_code": 0}, lines, is_json=session.is_json)
    return 0


def next_times(
    context: typer.Context,
    connector: ConnectorArgument,
    count: Annotated[int, typer.Option("--count", min=1, max=TIMES_MAX, help="How many times.")] = TIMES_DEFAULT,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """Show the next times of a connector, in its zone and in UTC, and which would be left out and why."""
    return asyncio.run(_next(session_of(context, data=data, profile=profile, is_json=is_json), connector, count))


async def _next(session: Session, connector: str, count: int) -> int:
    from zoneinfo import ZoneInfo

    from cli.output import show
    from cli.rendering import plain_table
    from shared.clock import from_text

    answer = await _asked(session, connector, times=count)
    (view,) = answer.schedules
    zone = ZoneInfo(view.time_zone)
    rows = [
        (
            from_text(each.at).astimezone(zone).strftime("%a %Y-%m-%d %H:%M %Z"),
            each.at,
            _reason_in_words(each.left_out),
        )
        for each in view.next
    ]
    lines: list[RenderableType] = [plain_table("local", "UTC", "left out", rows=rows)]
    if view.problem is not None:
        lines = [f"Nothing runs by schedule: {view.problem.code}: {view.problem.text}"]
    show({**view.model_dump(mode="json"), "exit_code": 0}, lines, is_json=session.is_json)
    return 0


def pause(
    context: typer.Context,
    connector: ConnectorArgument,
    reason: ReasonOption,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """Let a connector run by itself no more, until it is resumed; runs under way go on."""
    session = session_of(context, data=data, profile=profile, is_json=is_json)
    return asyncio.run(_steer(session, connector, reason, is_pause=True))


def resume(
    context: typer.Context,
    connector: ConnectorArgument,
    reason: ReasonOption,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """Let a connector run by itself again; times that passed meanwhile are not made up for."""
    session = session_of(context, data=data, profile=profile, is_json=is_json)
    return asyncio.run(_steer(session, connector, reason, is_pause=False))


async def _steer(session: Session, connector: str, reason: str, *, is_pause: bool) -> int:
    from cli.output import show
    from shared.asking.client import connected
    from shared.asking.profiles import load_profile
    from shared.events.schedules import NameSchedule

    command = NameSchedule(connector=connector, reason=reason)
    async with connected(load_profile(session.data, session.profile)) as client:
        reply = await (client.pause_schedule(command) if is_pause else client.resume_schedule(command))
    done = "is paused" if is_pause else "runs again"
    lines = [
        f"the schedule of {connector} {done}",
        f"Look:  aether schedule next {connector}{session.as_options}",
    ]
    show({**reply.model_dump(mode="json"), "exit_code": 0}, lines, is_json=session.is_json)
    return 0


async def _asked(session: Session, connector: str | None, *, times: int) -> ScheduleList:
    from shared.asking.client import connected
    from shared.asking.profiles import load_profile
    from shared.events.schedules import ScheduleQuery

    async with connected(load_profile(session.data, session.profile)) as client:
        return await client.schedules(ScheduleQuery(connector=connector, times=times))


def _next_in_words(view: ScheduleView) -> str:
    if view.problem is not None:
        return f"never: {view.problem.code}"
    if view.paused is not None:
        return f"paused by {view.paused.by}: {view.paused.reason}"
    if not view.next:
        return "never"
    left_out = view.next[0].left_out
    return view.next[0].at if left_out is None else f"{view.next[0].at}, left out: {left_out.text}"


def _last_in_words(view: ScheduleView) -> str:
    if view.settled is None:
        return "none yet"
    if view.last_code is not None:
        return f"{view.settled}: {view.last_code}"
    return f"{view.settled}: {view.last_run} {view.last_status or ''}".rstrip()


def _reason_in_words(note: FailureNote | None) -> str:
    return "" if note is None else f"{note.code}: {note.text}"

"""Follows a run until it has ended or waits for a person, showing where it is.

It only asks the auditor; a run goes on whether it is watched or not. A service that does not answer for a while is
no reason to stop watching.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

from cli.outcome import is_at_rest, progress_of
from cli.output import console
from cli.problem import CommandFailed, NoAnswer
from shared.asking.client import PersonClient
from shared.clock import Clock
from shared.events.queries import RunAnswer, RunView

POLL_SECONDS = 0.25


async def follow(
    client: PersonClient,
    run: str,
    *,
    clock: Clock,
    seconds_max: float,
    before: RunView | None = None,
    options: str = "",
    on_view: Callable[[RunView], None] = lambda view: None,
) -> RunAnswer:
    """The run once it is at rest; `CommandFailed` when it is not within `seconds_max`.

    `before` is the run as it was when a command was given: that very state is not an end, the auditor only lags.
    `options` is what a printed command needs.
    """
    deadline = clock.monotonic_seconds() + seconds_max
    where = "not in the audit log yet"
    while clock.monotonic_seconds() < deadline:
        try:
            answer = await client.run(run)
        except NoAnswer as silent:
            where = silent.text
        else:
            view = answer.run
            if view is not None:
                where = view.status
                on_view(view)
                is_moved = before is None or (view.status, view.changed_at) != (before.status, before.changed_at)
                if is_moved and is_at_rest(view.status):
                    return answer
        await asyncio.sleep(POLL_SECONDS)
    raise CommandFailed(
        f"run {run} is still under way after {seconds_max:g} s: {where}",
        action=f"It goes on by itself; look with `aether show {run}{options}`.",
    )


async def follow_visibly(
    client: PersonClient,
    run: str,
    *,
    clock: Clock,
    seconds_max: float,
    before: RunView | None = None,
    options: str = "",
) -> RunAnswer:
    """`follow`, with the run's progress on stderr: one live line on a terminal, a line per state elsewhere."""
    if sys.stderr.isatty():
        with console(is_error=True).status(f"run {run}") as status:
            return await follow(
                client,
                run,
                clock=clock,
                seconds_max=seconds_max,
                before=before,
                options=options,
                on_view=lambda view: status.update(f"run {run} · {progress_of(view)}"),
            )
    said: list[str] = []

    def say(view: RunView) -> None:
        if not said or said[-1] != view.status:
            said[:] = [view.status]
            sys.stderr.write(f"run {run} · {progress_of(view)}\n")

    return await follow(client, run, clock=clock, seconds_max=seconds_max, before=before, options=options, on_view=say)

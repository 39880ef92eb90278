"""Which waiting runs a new request ended: a plan that waits for approval is superseded when the next apply is admitted.

The reply to a request does not say it, so the auditor is asked before and after. A request never fails for this: when
the auditor is silent, nothing is said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from cli.problem import CommandFailed
from shared.asking.client import PersonClient
from shared.clock import Clock
from shared.events.queries import RunsQuery
from shared.run.states import WAITING_FOR_A_PERSON, RunStatus

LOOKED_AT_MAX = 20
"""Newest runs among which one may wait; a connector has at most two that have not ended."""
LAG_SECONDS_MAX = 2.0
"""How long the auditor may be behind the request."""
POLL_SECONDS = 0.1


async def waiting_runs(client: PersonClient, connector: str) -> tuple[str, ...]:
    """The runs of a connector that wait for a person; none when the auditor does not answer."""
    try:
        answer = await client.runs(RunsQuery(connector=connector, limit=LOOKED_AT_MAX))
    except CommandFailed:
        return ()
    return tuple(view.run for view in answer.runs if RunStatus(view.status) in WAITING_FOR_A_PERSON)


async def superseded_by(client: PersonClient, run: str, waiting: Sequence[str], *, clock: Clock) -> tuple[str, ...]:
    """Those of the waiting runs that ended because `run` was admitted, as their own failure says."""
    found: list[str] = []
    deadline = clock.monotonic_seconds() + LAG_SECONDS_MAX
    for each in waiting:
        while clock.monotonic_seconds() < deadline:
            try:
                view = (await client.run(each)).run
            except CommandFailed:
                return tuple(found)
            if view is None or RunStatus(view.status) not in WAITING_FOR_A_PERSON:
                if view is not None and view.failure is not None and run in view.failure.text.split():
                    found.append(each)
                break
            await asyncio.sleep(POLL_SECONDS)
    return tuple(found)

"""The verb connector shadow: a draft beside a published release, over the same rows, and what they plan differently."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import (
    WATCH_SECONDS_DEFAULT,
    ConnectorArgument,
    DataOption,
    JsonOption,
    ProfileOption,
    Session,
    TimeoutOption,
    session_of,
)
from cli.problem import CommandFailed

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cli.comparing import Difference
    from shared.asking.client import PersonClient
    from shared.events.queries import PlanAnswer, RunView

EXIT_DIFFERENT = 2
LOOKED_AT_MAX = 50
"""Newest runs among which a certified one is looked for."""
DIFFERENCES_SHOWN_MAX = 50


def add_to(group: typer.Typer) -> None:
    """Add this verb."""
    group.command("shadow")(shadow)


def shadow(
    context: typer.Context,
    connector: ConnectorArgument,
    against: Annotated[str, typer.Option("--against", metavar="VERSION", help="A published release.")],
    run: Annotated[str | None, typer.Option("--run", help="Whose rows; default: the last certified run.")] = None,
    timeout: TimeoutOption = WATCH_SECONDS_DEFAULT,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """Plan the same rows, dry, with a release and with the connector as it is now; exits 2 when the plans differ."""
    session = session_of(context, data=data, profile=profile, is_json=is_json)
    return asyncio.run(_shadow(session, connector, against, run=run, seconds_max=timeout))


async def _shadow(session: Session, connector: str, against: str, *, run: str | None, seconds_max: float) -> int:
    from cli.comparing import differences
    from cli.output import show
    from cli.verbs.approvals import read_plan
    from cli.verbs.quarantine import replayed_run
    from shared.asking.client import connected
    from shared.asking.profiles import load_profile

    async with connected(load_profile(session.data, session.profile)) as client:
        original = run or await last_certified_run(client, session, connector)
        views: list[RunView] = []
        plans: list[PlanAnswer] = []
        # One after the other: a connector has one run under way.
        for version in (against, None):
            view = await replayed_run(
                client, session, connector=connector, version=version, run=original, seconds_max=seconds_max
            )
            views.append(view)
            plans.append(await read_plan(client, view.run, session, change_class=None, limit=None))
    found = differences(plans[0].changes, plans[1].changes)
    levels = [view.plan.verdict_level if view.plan is not None else None for view in views]
    is_different = bool(found) or levels[0] != levels[1]
    code = EXIT_DIFFERENT if is_different else 0
    document = {
        "rows_of": original,
        "old": views[0].model_dump(mode="json"),
        "new": views[1].model_dump(mode="json"),
        "old_verdict": [line.model_dump(mode="json") for line in plans[0].verdict],
        "new_verdict": [line.model_dump(mode="json") for line in plans[1].verdict],
        "differences": [one.document() for one in found],
        "exit_code": code,
    }
    show(document, shadow_lines(original, views, plans, found), is_json=session.is_json)
    return code


def shadow_lines(
    original: str, views: list[RunView], plans: list[PlanAnswer], found: list[Difference]
) -> list[RenderableType]:
    """Both verdicts, and the records on which the plans differ."""
    from cli.comparing import KINDS
    from cli.rendering import plain_table
    from shared.policy.verdict import Level

    lines: list[RenderableType] = [f"Both plans are made of the rows that run {original} read."]
    for name, view, plan in zip(("old", "new"), views, plans, strict=True):
        summary = view.plan
        changes = "no plan" if summary is None else f"{summary.verdict_level}, {summary.changes} changes"
        lines.append(f"{name}  {view.connector_version}  run {view.run}: {changes}")
        lines += [f"     {line.level.value:<5} {line.text}" for line in plan.verdict if line.level is not Level.PASS]
    if not found:
        lines.append("The plans hold the same changes.")
        return lines
    counts = Counter(one.kind for one in found)
    lines.append(", ".join(f"{counts[kind]} {kind}" for kind in KINDS if counts[kind]))
    rows = [
        (one.kind, f"{one.entity}/{one.key}", one.old or "-", one.new or "-") for one in found[:DIFFERENCES_SHOWN_MAX]
    ]
    lines.append(plain_table("what", "record", "old", "new", rows=rows))
    if len(found) > DIFFERENCES_SHOWN_MAX:
        lines.append(f"… and {len(found) - DIFFERENCES_SHOWN_MAX} more; --json prints all")
    return lines


async def last_certified_run(client: PersonClient, session: Session, connector: str) -> str:
    """The newest run that read every side whole, and read the systems itself."""
    from shared.events.queries import RunsQuery

    answer = await client.runs(RunsQuery(connector=connector, limit=LOOKED_AT_MAX))
    for view in answer.runs:
        if view.replay_of is not None or view.plan is None:
            continue
        snapshots = (await client.run(view.run)).snapshots
        if snapshots and all(one.is_certified for one in snapshots):
            return view.run
    raise CommandFailed(
        f"none of the last {len(answer.runs)} runs of {connector} read every side whole",
        action=f"Make one:  aether run {connector} --dry-run{session.as_options}",
    )

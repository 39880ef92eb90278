"""Verbs about what is in quarantine: quarantine list, quarantine replay."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Annotated

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
from cli.problem import CommandFailed
from cli.verbs.runs import known

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType

    from shared.asking.client import PersonClient
    from shared.events.queries import QuarantineAnswer, QuarantineItem, RunView

ITEMS_SHOWN_DEFAULT = 50
KEYS_SHOWN_MAX = 20
RecordKey = tuple[str, str, str]
"""Side, entity and key."""


def add_to(app: typer.Typer) -> None:
    """Add these verbs."""
    group = typer.Typer(
        help="Records that could not be normalised, and what became of them.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("list")(list_items)
    group.command("replay")(replay)
    app.add_typer(group, name="quarantine")


def list_items(
    context: typer.Context,
    run_id: RunArgument,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Items to show.")] = ITEMS_SHOWN_DEFAULT,
    is_all: Annotated[bool, typer.Option("--all", help="Show every item.")] = False,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """List what stands in a run's quarantine and why, without the values; some days after the run it is gone."""
    session = session_of(context, data=data, profile=profile, is_json=is_json)
    return asyncio.run(_list(session, run_id, limit=None if is_all else limit))


async def _list(session: Session, run_id: str, *, limit: int | None) -> int:
    from cli.output import show
    from shared.asking.client import connected
    from shared.asking.profiles import load_profile

    async with connected(load_profile(session.data, session.profile)) as client:
        answer = await read_items(client, run_id, limit=limit)
    lines = item_lines(answer, replay=f"aether quarantine replay {run_id}{session.as_options}")
    show({**answer.model_dump(mode="json"), "exit_code": 0}, lines, is_json=session.is_json)
    return 0


async def read_items(client: PersonClient, run_id: str, *, limit: int | None) -> QuarantineAnswer:
    """The run's items up to the limit (None: all), read page by page."""
    from shared.events.queries import ITEMS_MAX, QuarantineQuery

    items: list[QuarantineItem] = []
    while True:  # bounded by the total that each answer states
        wanted = ITEMS_MAX if limit is None else min(ITEMS_MAX, limit - len(items))
        answer = await client.quarantine(QuarantineQuery(run=run_id, offset=len(items), limit=wanted))
        items += answer.items
        is_enough = limit is not None and len(items) >= limit
        if not answer.items or len(items) >= answer.total or is_enough:
            return answer.model_copy(update={"items": tuple(items)})


def item_lines(answer: QuarantineAnswer, *, replay: str) -> list[RenderableType]:
    """The items as a table, with counts by code before them."""
    from cli.rendering import plain_table

    if not answer.total:
        return [f"Nothing is in quarantine in run {answer.run}."]
    by_code = ", ".join(f"{code} {number}" for code, number in answer.by_code.items())
    rows = [
        (f"{one.side} {one.entity}", one.key or "(none)", f"{one.source}: {one.field}", one.code, one.value_class,
         one.rule)
        for one in answer.items
    ]  # fmt: skip
    lines: list[RenderableType] = [
        f"{answer.total} reasons in run {answer.run}: {by_code}",
        plain_table("where", "key", "field", "code", "value", "rule", rows=rows),
    ]
    if len(answer.items) < answer.total:
        lines.append(f"{len(answer.items)} of {answer.total} shown; --limit N or --all shows more")
    lines.append(f"After correcting the contract or a table:  {replay}")
    return lines


# --- replay ---------------------------------------------------------------------------------------------------------


def replay(
    context: typer.Context,
    run_id: RunArgument,
    timeout: TimeoutOption = WATCH_SECONDS_DEFAULT,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """Run the connector as it is now, dry, over the rows that run read; says whose quarantine has ended."""
    session = session_of(context, data=data, profile=profile, is_json=is_json)
    return asyncio.run(_replay(session, run_id, seconds_max=timeout))


async def _replay(session: Session, run_id: str, *, seconds_max: float) -> int:
    from cli.outcome import exit_code_of_view
    from cli.output import show
    from shared.asking.client import connected
    from shared.asking.profiles import load_profile

    async with connected(load_profile(session.data, session.profile)) as client:
        original = known(await client.run(run_id), run_id, session).run
        if original is None:  # `known` has raised already
            raise CommandFailed(f"there is no run {run_id}", action="Look with `aether runs`.", code="APV_UNKNOWN_RUN")
        before = await read_items(client, run_id, limit=None)
        view = await replayed_run(
            client, session, connector=original.connector, version=None, run=run_id, seconds_max=seconds_max
        )
        after = await read_items(client, view.run, limit=None)
    was, now = keys_of(before.items), keys_of(after.items)
    sound, still, new = sorted(was - now), sorted(was & now), sorted(now - was)
    code = exit_code_of_view(view)
    document = {
        "run": run_id,
        "replay": view.model_dump(mode="json"),
        "now_sound": [list(one) for one in sound],
        "still_quarantined": [list(one) for one in still],
        "newly_quarantined": [list(one) for one in new],
        "by_code_before": before.by_code,
        "by_code_now": after.by_code,
        "without_key_before": without_key(before.items),
        "without_key_now": without_key(after.items),
        "exit_code": code,
    }
    lines = [
        f"Run {view.run} took the rows of {run_id} under {view.connector} {view.connector_version}: {view.status}",
        key_line("now sound", sound),
        key_line("still in quarantine", still),
        key_line("newly in quarantine", new),
        f"without a key: {without_key(before.items)} before, {without_key(after.items)} now",
        f"Look:  aether plan {view.run}{session.as_options}",
    ]
    show(document, lines, is_json=session.is_json)
    return code


async def replayed_run(
    client: PersonClient, session: Session, *, connector: str, version: str | None, run: str, seconds_max: float
) -> RunView:
    """A dry-run over the rows of another, followed to its end; `CommandFailed` when it comes to no plan."""
    from cli.watching import follow_visibly
    from shared.clock import SystemClock
    from shared.events.commands import RequestRun
    from shared.run.states import RunStatus

    request = RequestRun(connector=connector, mode="dry-run", version=version, replay_of=run)
    reply = await client.request_run(request)
    if reply.run is None:
        raise CommandFailed("the request was accepted without a run id", action="Look with `aether runs`.")
    answer = await follow_visibly(
        client, reply.run, clock=SystemClock(), seconds_max=seconds_max, options=session.as_options
    )
    view = answer.run
    if view is None or view.plan is None or RunStatus(view.status) in (RunStatus.FAILED, RunStatus.CANCELLED):
        failure = None if view is None else view.failure
        raise CommandFailed(
            f"the replay {reply.run} came to no plan: {failure.text if failure is not None else 'no reason is known'}",
            action=f"Look:  aether show {reply.run}{session.as_options}",
            code=None if failure is None else failure.code,
        )
    return view


def keys_of(items: Iterable[QuarantineItem]) -> set[RecordKey]:
    """The records that the items are about; those without a key are nobody's."""
    return {(one.side, one.entity, one.key) for one in items if one.key is not None}


def without_key(items: Iterable[QuarantineItem]) -> int:
    """Items that have no key."""
    return sum(one.key is None for one in items)


def key_line(title: str, keys: list[RecordKey]) -> str:
    """How many records, by code of entity, and the first of them."""
    counts = Counter(entity for _, entity, _ in keys)
    names = ", ".join(f"{entity}/{key}" for _, entity, key in keys[:KEYS_SHOWN_MAX])
    more = f" … and {len(keys) - KEYS_SHOWN_MAX} more" if len(keys) > KEYS_SHOWN_MAX else ""
    by_entity = ", ".join(f"{number} {entity}" for entity, number in sorted(counts.items())) or "none"
    return f"{title}: {by_entity}" + (f": {names}{more}" if names else "")

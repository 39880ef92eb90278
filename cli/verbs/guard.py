"""Verbs about the guard: guard show, backtest, declare, declared, withdraw."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.definitions import existing, folder_of, installed_connectors_folder, loaded
from cli.options import (
    ConnectorArgument,
    ConnectorsOption,
    DataOption,
    JsonOption,
    ProfileOption,
    ReasonOption,
    Session,
    session_of,
)
from cli.problem import EXIT_USAGE, CommandFailed

if TYPE_CHECKING:
    from rich.console import RenderableType

    from shared.asking.client import PersonClient
    from shared.events.commands import DeclareDelta
    from shared.policy.backtest import StoredRun
    from shared.policy.limits import Policy

EXIT_DIFFERENT = 2
ANSWERS_MAX = 1_000
"""Answers over which the history of one connector may be spread; each holds at least one run."""
DAYS_DEFAULT = 400


def add_to(app: typer.Typer) -> None:
    """Add these verbs."""
    group = typer.Typer(
        help="The guard: its limits, what others would have said, and changes declared in advance.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("show")(show_limits)
    group.command("backtest")(backtest)
    group.command("declare")(declare)
    group.command("declared")(declared)
    group.command("withdraw")(withdraw)
    app.add_typer(group, name="guard")


def show_limits(
    context: typer.Context,
    connector: ConnectorArgument,
    connectors: ConnectorsOption = None,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """Show the limits that are in force for a connector, as its definition and the house have them."""
    from cli.guard_rendering import limits_document, limits_table
    from cli.output import show
    from shared.policy.connector_policy import policy_of

    session = session_of(context, data=data, profile=profile, is_json=is_json)
    definition = loaded(folder_of(connector, connectors or installed_connectors_folder())).definition
    policy = policy_of(definition)
    document = {
        "connector": definition.name,
        "version": definition.version,
        "policy_digest": policy.digest,
        "limits": limits_document(policy, definition.guard),
        "cohort_records_min": policy.cohort_records_min,
        "group_members_min": policy.group_members_min,
        "exit_code": 0,
    }
    lines: list[RenderableType] = [
        f"{definition.name} {definition.version}, policy {policy.digest}",
        limits_table(policy, definition.guard),
        f"Cohorts are measured from {policy.cohort_records_min} records on, groups from {policy.group_members_min} "
        "members on. In 24 h the limit of a run is allowed once, in 7 d twice.",
    ]
    show(document, lines, is_json=session.is_json)
    return 0


# --- backtest -------------------------------------------------------------------------------------------------------


def backtest(
    context: typer.Context,
    policy: Annotated[Path, typer.Option("--policy", help="File of the policy; what it leaves out stays as it is.")],
    connector: Annotated[str | None, typer.Option("--connector", help="Only this one; else all in the folder.")] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=DAYS_DEFAULT, help="How far back.")] = DAYS_DEFAULT,
    connectors: ConnectorsOption = None,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """Judge the plans of earlier runs by another policy; exits 2 when a run would have gone another way."""
    session = session_of(context, data=data, profile=profile, is_json=is_json)
    home = existing(connectors or installed_connectors_folder())
    names = [connector] if connector is not None else sorted(each.parent.name for each in home.glob("*/connector.yaml"))
    policies = {name: policy_in(policy, folder_of(name, home)) for name in names}
    return asyncio.run(_backtest(session, policies, days=days))


def policy_in(file: Path, folder: Path) -> Policy:
    """The policy of a file over the limits of a connector."""
    from shared.policy.connector_policy import policy_of
    from shared.policy.policy_document import policy_from_document

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise CommandFailed(
            f"{file}: {getattr(problem, 'strerror', None) or 'it is no UTF-8 text'}", action="Correct the path."
        ) from None
    return policy_from_document(text, file=str(file), base=policy_of(loaded(folder).definition))


async def _backtest(session: Session, policies: dict[str, Policy], *, days: int) -> int:
    from cli.guard_rendering import backtest_lines
    from cli.output import show
    from shared.asking.client import connected
    from shared.asking.profiles import load_profile
    from shared.policy.backtest import backtest as judged

    async with connected(load_profile(session.data, session.profile)) as client:
        reports = {name: judged(await read_history(client, name, days=days), one) for name, one in policies.items()}
    differs = any(run.level_then is not run.level_now for report in reports.values() for run in report.runs)
    code = EXIT_DIFFERENT if differs else 0
    document = {
        "days": days,
        "connectors": {name: report.model_dump(mode="json") for name, report in reports.items()},
        "exit_code": code,
    }
    lines = [line for name, report in reports.items() for line in backtest_lines(name, report)]
    show(document, lines, is_json=session.is_json)
    return code


async def read_history(client: PersonClient, connector: str, *, days: int) -> list[StoredRun]:
    """All that the differ keeps of a connector's runs, the newest first."""
    from shared.events.queries import HistoryQuery

    runs: dict[str, StoredRun] = {}
    offset = 0
    for _ in range(ANSWERS_MAX):
        answer = await client.history(HistoryQuery(connector=connector, days=days, offset=offset))
        # A run that ends meanwhile moves the others by one: what comes twice is taken once.
        runs |= {one.run: one for one in answer.runs}
        offset += len(answer.runs)
        if not answer.runs or offset >= answer.total:
            break
    return list(runs.values())


# --- declared deltas ------------------------------------------------------------------------------------------------


def declare(
    context: typer.Context,
    connector: ConnectorArgument,
    change_class: Annotated[str, typer.Option("--class", help="Class of change, such as suspend.")],
    where: Annotated[list[str], typer.Option("--where", metavar="FIELD=VALUE", help="Repeat for more values.")],
    count: Annotated[int, typer.Option("--count", min=1, help="How many are expected.")],
    first: Annotated[str, typer.Option("--from", metavar="DAY|TIME", help="First day, or moment with a zone.")],
    until: Annotated[str, typer.Option("--until", metavar="DAY|TIME", help="Last day, or the moment after.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it is shown with the verdict and kept.")],
    tolerance: Annotated[float, typer.Option("--tolerance", min=0, max=100, help="Percent.")] = 0.0,
    entity: Annotated[str | None, typer.Option("--entity", help="Where the connector has several.")] = None,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """Declare a change of many records in advance, so that the guard takes what matches out of its numbers."""
    from shared.events.commands import DeclareDelta

    session = session_of(context, data=data, profile=profile, is_json=is_json)
    command = DeclareDelta(
        connector=connector,
        entity=entity,
        change_class=change_class,
        where=conditions_of(where),
        expected=count,
        tolerance_percent=tolerance,
        valid_from=moment_of(first, option="--from", is_last=False),
        valid_until=moment_of(until, option="--until", is_last=True),
        reason=reason,
    )
    return asyncio.run(_declare(session, command))


async def _declare(session: Session, command: DeclareDelta) -> int:
    from cli.output import show
    from shared.asking.client import connected
    from shared.asking.profiles import load_profile

    async with connected(load_profile(session.data, session.profile)) as client:
        reply = await client.declare(command)
    lines = [
        f"declared {reply.declaration}: {command.expected:,} ± {command.tolerance_percent:g} % {command.change_class}, "
        f"{command.valid_from} to {command.valid_until}",
        "It counts for runs whose source is read from now on.",
        f"Take it back:  aether guard withdraw {reply.declaration} --reason '…'{session.as_options}",
    ]
    show({**reply.model_dump(mode="json"), "exit_code": 0}, lines, is_json=session.is_json)
    return 0


def declared(
    context: typer.Context,
    connector: Annotated[str | None, typer.Argument(metavar="[CONNECTOR]", help="All when left out.")] = None,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """List the declared deltas: to come, in force, and ended or withdrawn a short while ago."""
    return asyncio.run(_declared(session_of(context, data=data, profile=profile, is_json=is_json), connector))


async def _declared(session: Session, connector: str | None) -> int:
    from cli.guard_rendering import declared_table
    from cli.output import show
    from shared.asking.client import connected
    from shared.asking.profiles import load_profile
    from shared.events.queries import DeclaredQuery

    async with connected(load_profile(session.data, session.profile)) as client:
        answer = await client.declared(DeclaredQuery(connector=connector))
    show({**answer.model_dump(mode="json"), "exit_code": 0}, [declared_table(answer.declared)], is_json=session.is_json)
    return 0


def withdraw(
    context: typer.Context,
    declaration: Annotated[str, typer.Argument(metavar="ID", help="As `aether guard declared` prints it.")],
    reason: ReasonOption,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """Take a declared delta back; runs whose source was read before still count it."""
    session = session_of(context, data=data, profile=profile, is_json=is_json)
    return asyncio.run(_withdraw(session, declaration, reason))


async def _withdraw(session: Session, declaration: str, reason: str) -> int:
    from cli.output import show
    from shared.asking.client import connected
    from shared.asking.profiles import load_profile
    from shared.events.commands import WithdrawDelta

    async with connected(load_profile(session.data, session.profile)) as client:
        reply = await client.withdraw(WithdrawDelta(declaration=declaration, reason=reason))
    show(
        {**reply.model_dump(mode="json"), "exit_code": 0},
        [f"{reply.declaration} is withdrawn; it counts for no run whose source is read from now on"],
        is_json=session.is_json,
    )
    return 0


def conditions_of(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The conditions by field, from `field=value`; the same field twice means either value."""
    found: dict[str, list[str]] = {}
    for text in texts:
        field, separator, value = text.partition("=")
        if not separator or not field or not value:
            raise CommandFailed(
                f"--where: {text!r} is not of the form FIELD=VALUE", action="Such as grade=12.", exit_code=EXIT_USAGE
            )
        found.setdefault(field, []).append(value)
    return {field: tuple(dict.fromkeys(values)) for field, values in found.items()}


def moment_of(text: str, *, option: str, is_last: bool) -> str:
    """A day, in this machine's zone, or a moment with a zone, as RFC 3339 in UTC.

    A first day counts from its beginning, a last one to its end.
    """
    from shared.clock import from_text, to_text

    try:
        day = date.fromisoformat(text)
    except ValueError:
        try:
            return to_text(from_text(text))
        except ValueError as error:
            raise CommandFailed(
                f"{option}: {text!r} is neither a day nor a moment: {error}",
                action="Write 2026-06-12, or 2026-06-12T08:00:00-07:00.",
                exit_code=EXIT_USAGE,
            ) from None
    whole = datetime.combine(day + timedelta(days=1 if is_last else 0), time.min)
    return to_text(whole.astimezone())

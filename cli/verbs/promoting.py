"""The verb `connector promote`: a release that was tried in staging may be applied in production from now on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import DataOption, JsonOption, ProfileOption, session_of

if TYPE_CHECKING:
    from cli.options import Session
    from shared.events.commands import PromoteConnector


def add_to(group: typer.Typer) -> None:
    """Add this verb."""
    group.command("promote")(promote)


def promote(
    context: typer.Context,
    connector: Annotated[str, typer.Argument(metavar="CONNECTOR", help="The connector's name.")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="A published release, as 1.2.0.")],
    digest: Annotated[str, typer.Option("--digest", help="Of the release that was tried; `connector list` shows it.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept in the audit log.")],
    tried_in: Annotated[str | None, typer.Option("--tried-in", metavar="RUN", help="The run in staging.")] = None,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """Let a release be applied in the house of production; asked there, as a steward (--profile steward)."""
    from shared.events.commands import PromoteConnector

    session = session_of(context, data=data, profile=profile, is_json=is_json)
    command = PromoteConnector(connector=connector, version=version, digest=digest, reason=reason, tried_in=tried_in)
    return asyncio.run(_promote(session, command))


async def _promote(session: Session, command: PromoteConnector) -> int:
    from cli.output import show
    from shared.asking.client import connected
    from shared.asking.profiles import load_profile

    async with connected(load_profile(session.data, session.profile)) as client:
        reply = await client.promote(command)
    lines = [f"promoted {command.connector} {command.version}; it may be applied in production from now on"]
    show({**reply.model_dump(mode="json"), "exit_code": 0}, lines, is_json=session.is_json)
    return 0

"""`python -m services.console.accounts reset USER`: a new first password, for when nobody can sign in to give one.

It needs the environment of the console itself, and tells the audit log before it changes anything. Sessions and the
second factor of the person end; a console that runs knows within seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from services.console.accounts.opening import open_accounts
from services.console.facts import SERVICE, storing_over
from services.console.settings import ConsoleSettings
from services.console.telling import Telling
from shared.asking.problem import CommandFailed
from shared.bus.wiring import connected
from shared.errors import AetherError


async def reset(user: str) -> str:
    """The new first password of a person of the house."""
    settings = ConsoleSettings()
    service = await connected(SERVICE, settings)
    try:
        accounts = await open_accounts(
            settings, telling=Telling(storing_over(service)), clock=service.clock, ids=service.ids
        )
        try:
            return await accounts.invite(None, user)
        finally:
            await accounts.close()
    finally:
        await service.broker.stop()


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m services.console.accounts", description=__doc__)
    verbs = parser.add_subparsers(required=True)
    verb = verbs.add_parser("reset", help="give a person a new first password; sessions and second factor end")
    verb.add_argument("user", help="the person's name in the identities file")
    given = parser.parse_args()
    try:
        password = asyncio.run(reset(given.user))
    except CommandFailed as failed:
        sys.exit(f"{failed.text}\n{failed.action}")
    except AetherError as error:
        sys.exit(str(error))
    sys.stdout.write(f"{given.user} has a new first password, shown this once: {password}\n")


if __name__ == "__main__":
    main()

"""Whether this bus is of the environment that a program was told: staging and production never meet by mistake.

The server knows in which account a user is, and an account bears the name of its environment; so a program asks the
server and not its own settings. It is asked before anything is taken, and as often as a bus that comes and goes needs.
"""

from __future__ import annotations

import asyncio
import json

import structlog
from nats.aio.client import Client
from nats.errors import Error

from shared.bus.connect import raise_if_refused
from shared.bus.topology import USER_INFO, Environment, house_account
from shared.errors import NeedsPerson

ANSWER_SECONDS_MAX = 5.0
PAUSE_SECONDS = 1.0

log = structlog.get_logger(__name__)


async def require_environment(client: Client, environment: Environment) -> None:
    """Return when the bus is of this environment; `NeedsPerson` (SYS_ENVIRONMENT) when it is of another.

    Waits for a bus that does not answer, as connecting does; `PermissionRefused` when it may not be asked.
    """
    wanted = house_account(environment)
    found = await _account_of(client)
    if found != wanted:
        raise NeedsPerson(
            "SYS_ENVIRONMENT",
            f"this program was told that it is of {environment} (AETHER_ENVIRONMENT), and its account on the bus is "
            f"{found[:60]}, not {wanted}",
        )


async def _account_of(client: Client) -> str:
    """The user's own account, as the server tells it."""
    while True:  # as long as the bus is away; the connection itself waits no shorter
        try:
            answer = await client.request(USER_INFO, timeout=ANSWER_SECONDS_MAX)
        except (Error, TimeoutError) as error:
            raise_if_refused(client, USER_INFO)
            if client.is_closed:
                raise
            log.warning("bus_tells_no_account", error=type(error).__name__)
            await asyncio.sleep(PAUSE_SECONDS)
            continue
        try:
            return str(json.loads(answer.data)["data"]["account"])
        except (ValueError, KeyError, TypeError):
            raise NeedsPerson(
                "SYS_ENVIRONMENT", "the bus answers something else than this program's account; is it a NATS server?"
            ) from None

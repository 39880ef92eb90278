"""Whether this bus is of the environment that a program was told: staging and production never meet by mistake.

The server knows in which account a user is, and an account bears the name of its environment; so a program asks the
server and not its own settings. It is asked once, before anything is taken.
"""

from __future__ import annotations

import json

from nats.aio.client import Client
from nats.errors import Error

from shared.bus.topology import USER_INFO, Environment, house_account
from shared.errors import NeedsPerson

ANSWER_SECONDS_MAX = 10.0


async def require_environment(client: Client, environment: Environment) -> None:
    """Return when the bus is of this environment; `NeedsPerson` (SYS_ENVIRONMENT) when it is of another."""
    wanted = house_account(environment)
    try:
        answer = await client.request(USER_INFO, timeout=ANSWER_SECONDS_MAX)
        found = json.loads(answer.data)["data"]["account"]
    except (Error, TimeoutError, ValueError, KeyError, TypeError) as error:
        raise NeedsPerson(
            "SYS_ENVIRONMENT",
            f"the bus does not tell this program its account within {ANSWER_SECONDS_MAX:g} s ({type(error).__name__}); "
            "render the server's configuration again",
        ) from None
    if found != wanted:
        raise NeedsPerson(
            "SYS_ENVIRONMENT",
            f"this program was told that it is of {environment} (AETHER_ENVIRONMENT), and its account on the bus is "
            f"{str(found)[:60]}, not {wanted}",
        )

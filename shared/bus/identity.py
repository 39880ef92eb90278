"""Who asks: the user that the server itself wrote into a request from the people's account.

The server replaces whatever the asker put there, so the name is asserted, not claimed; what that user may do is
decided by the roles in the server's permissions and, above them, by whoever answers.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.bus.topology import ENVIRONMENTS, people_account

REQUEST_INFO: Final = "Nats-Request-Info"
_ACCOUNTS: Final = tuple(people_account(environment) for environment in ENVIRONMENTS)
"""One of them sends requests to this bus; the server knows which."""


class NotIdentified(Exception):
    """A request that does not say who asks, or comes from elsewhere than the people's account."""


@dataclass(frozen=True, slots=True)
class Requester:
    """The user who asks."""

    user: str


def requester_of(headers: Mapping[str, str] | None) -> Requester:
    """Return the asking user as the server asserts it; NotIdentified when it asserts none."""
    text = (headers or {}).get(REQUEST_INFO)
    if text is None:
        raise NotIdentified(f"the request has no {REQUEST_INFO} header; it did not come through the people's account")
    try:
        info = json.loads(text)
        account, user = info["acc"], info["user"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise NotIdentified(f"the header {REQUEST_INFO} cannot be read: {type(error).__name__}") from None
    if account not in _ACCOUNTS or not isinstance(user, str) or not user:
        raise NotIdentified(f"the request comes from the account {account!r}; only {' or '.join(_ACCOUNTS)} may ask")
    return Requester(user)

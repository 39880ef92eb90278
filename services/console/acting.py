"""Acting for a person: every command and question goes out over a connection of that person's own.

The console has no right of its own on the bus. It enters as the person, with the person's credentials, so that the bus
asserts who asked and permits what that person may do and nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from opentelemetry.trace import TracerProvider

from services.console.visiting import Visitor
from shared.asking.client import PersonClient, connected
from shared.asking.problem import CommandFailed
from shared.asking.profiles import Profile, load_profile, profile_names
from shared.secrets import resolve


class Acting:
    """The people on whose behalf this console may act."""

    def __init__(self, profiles: Path, *, traces: TracerProvider | None = None) -> None:
        """`profiles` is the folder that holds one profile a person; `traces` makes the spans of their commands."""
        self._data = profiles.parent
        self._traces = traces

    @asynccontextmanager
    async def as_person(self, visitor: Visitor) -> AsyncIterator[PersonClient]:
        """A connection as the visitor, for the time of one act; `CommandFailed` when there can be none."""
        async with connected(self.profile_of(visitor.user), program="console", traces=self._traces) as client:
            yield client

    def profile_of(self, user: str) -> Profile:
        """The profile of the person of this name on the bus; `CommandFailed` when the console was given none."""
        # Few and small, and read anew each time: a credential that was changed counts from the next act on.
        for name in profile_names(self._data):
            profile = load_profile(self._data, name)
            if profile.user == user:
                return profile
        raise CommandFailed(
            f"the console was given no credential for {user}, so nothing can be done in that name here",
            action="Put the person's profile into the console's folder of profiles, or use the command line.",
            code="APV_NOT_AUTHORISED",
        )

    def approval_key_of(self, user: str) -> str | None:
        """The text of the key that a person signs with; None for who has none."""
        reference = self.profile_of(user).approval_key
        return None if reference is None else resolve(reference)

    def verifier_key(self) -> str | None:
        """The key of the audit log as it was handed over with the profiles; None when no profile has it."""
        for name in profile_names(self._data):
            if (key := load_profile(self._data, name).verifier_key) is not None:
                return key
        return None

"""What may stand in a label: words of our own definitions, and of names only so many.

Pure. A state, mode, outcome or code that the house does not define becomes `other`, and so does a name that has not
the form of a name in a definition: an address, a sentence or a person's name with its capitals cannot pass. Whatever
comes after the two-hundredth value of a label is `other` too, so that nothing makes series without end.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final, get_args

from shared.failures import CATALOGUE
from shared.run.counts import NineCounts
from shared.run.state import Mode
from shared.run.states import RunStatus

OTHER: Final = "other"
NAMES_MAX: Final = 200
"""Different values of one label in one program."""

NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
"""As the contract language, the connections and the folders of connectors spell names."""

STATUSES: Final = frozenset(status.value for status in RunStatus)
MODES: Final = frozenset(get_args(Mode))
CODES: Final = frozenset(CATALOGUE)
OUTCOMES: Final = tuple(name for name in NineCounts.model_fields if name != "planned")


def known(value: str | None, words: Collection[str]) -> str:
    """The word if it is one of these."""
    return value if value is not None and value in words else OTHER


class Names:
    """The values that one label has had so far."""

    def __init__(self, *, names_max: int = NAMES_MAX) -> None:
        self._names_max = names_max
        self._seen: set[str] = set()

    def __call__(self, value: str | None) -> str:
        """The name itself, or `other` for what is no name or one too many."""
        if value is None or NAME.fullmatch(value) is None:
            return OTHER
        if value not in self._seen:
            if len(self._seen) >= self._names_max:
                return OTHER
            self._seen.add(value)
        return value

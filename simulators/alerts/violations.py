"""What callers did that the vendor's rules forbid, in a bounded list: the tests of a client ask that it is empty."""

from collections import deque
from typing import Any

VIOLATIONS_MAX = 1_000
_MEMBERS = {"rule", "method", "path", "text"}


class Violations:
    """The last `VIOLATIONS_MAX` breaches; never a personal value, so paths are kept without ids."""

    def __init__(self) -> None:
        self._kept: deque[dict[str, str]] = deque(maxlen=VIOLATIONS_MAX)

    def add(self, rule: str, *, method: str, path: str, text: str) -> None:
        """Note one breach of a rule of README.md."""
        self._kept.append({"rule": rule, "method": method, "path": path, "text": text})

    def document(self) -> list[dict[str, str]]:
        """List them, oldest first."""
        return list(self._kept)

    def replace(self, items: Any) -> None:
        """Take over a saved list; `ValueError` says what is wrong with it."""
        for position, item in enumerate(items if isinstance(items, list) else [None]):
            if not isinstance(item, dict) or item.keys() != _MEMBERS:
                raise ValueError(f"violations[{position}]: an object with {', '.join(sorted(_MEMBERS))}")
        self._kept = deque(items, maxlen=VIOLATIONS_MAX)

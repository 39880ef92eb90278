"""What callers did that a vendor's documents forbid or warn of: a bounded list in its state, for tests to find empty.

It only remembers; whatever is answered is decided where the rule is checked. An entry names a rule of the vendor's
README.md; neither its text nor its path may hold a value of a person.
"""

from collections import deque
from collections.abc import Collection, Sequence
from typing import Any, Self

VIOLATIONS_MAX = 1_000
_MEMBERS = ("rule", "method", "path", "text")


class Violations:
    """The last `VIOLATIONS_MAX` of them."""

    def __init__(self) -> None:
        self._kept: deque[dict[str, str]] = deque(maxlen=VIOLATIONS_MAX)

    def add(self, rule: str, *, method: str, path: str, text: str) -> None:
        """Remember one."""
        self._kept.append({"rule": rule, "method": method, "path": path, "text": text})

    def document(self) -> list[dict[str, str]]:
        """List them, oldest first."""
        return list(self._kept)

    @classmethod
    def from_document(cls, document: Any) -> Self:
        """Read them back from a state; `ValueError` says what is wrong."""
        if not isinstance(document, list) or len(document) > VIOLATIONS_MAX:
            raise ValueError(f"violations: a list of at most {VIOLATIONS_MAX}")
        found = cls()
        for position, entry in enumerate(document):
            is_whole = isinstance(entry, dict) and set(entry) == set(_MEMBERS)
            if not is_whole or not all(isinstance(value, str) for value in entry.values()):
                raise ValueError(f"violations[{position}]: an object with {', '.join(_MEMBERS)}, all of them text")
            found.add(**entry)
        return found


def without_ids(segments: Sequence[str], *, behind: Collection[str], shown: str, words: Collection[str] = ()) -> str:
    """A path in which what stands behind certain resources is replaced, unless it is a word of the interface."""
    parts = list(segments)
    for position in range(1, len(parts)):
        if parts[position - 1] in behind and parts[position] not in words:
            parts[position] = shown
    return "/" + "/".join(parts)

"""What callers did that the vendor's documents forbid or warn of: a bounded list, for tests to find empty.

An entry names a rule of README.md and the request's method and path; its text never holds a value of a person.
"""

from collections import deque
from typing import Any

VIOLATIONS_MAX = 1_000
_KEYS = ("rule", "method", "path", "text")


class Violations:
    """The last violations, and how many there were in all."""

    def __init__(self) -> None:
        self._entries: deque[dict[str, str]] = deque(maxlen=VIOLATIONS_MAX)

    def add(self, rule: str, *, method: str, path: str, text: str) -> None:
        """Remember one."""
        self._entries.append({"rule": rule, "method": method, "path": path, "text": text})

    def document(self) -> list[dict[str, str]]:
        """List them, oldest first."""
        return list(self._entries)

    @classmethod
    def from_document(cls, document: Any) -> "Violations":
        """Read them back from a state; `ValueError` says what is wrong."""
        if not isinstance(document, list) or len(document) > VIOLATIONS_MAX:
            raise ValueError(f"violations: a list of at most {VIOLATIONS_MAX}")
        found = cls()
        for position, entry in enumerate(document):
            if not isinstance(entry, dict) or set(entry) != set(_KEYS):
                raise ValueError(f"violations[{position}]: needs exactly {', '.join(_KEYS)}")
            found.add(str(entry["rule"]), method=str(entry["method"]), path=str(entry["path"]), text=str(entry["text"]))
        return found

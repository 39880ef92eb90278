"""What a client did that the vendor's known rules forbid: counted, kept in a bounded list, shown in the state.

It only remembers; the refusal itself is given where the rule is checked. No personal value is kept: a text names fields
and limits, and the part of a path that holds a person's key is replaced.
"""

from collections import Counter
from typing import Any

VIOLATIONS_MAX = 1_000
_PEOPLE = frozenset({"students", "staff"})


class Violations:
    """The first `VIOLATIONS_MAX` breaches of a rule, and how many there were in all."""

    def __init__(self) -> None:
        self._kept: list[dict[str, str]] = []
        self._counts: Counter[str] = Counter()

    def add(self, rule: str, *, method: str, segments: tuple[str, ...], text: str) -> None:
        """Remember one breach."""
        self._counts[rule] += 1
        if len(self._kept) < VIOLATIONS_MAX:
            self._kept.append({"rule": rule, "method": method, "path": _path_without_people(segments), "text": text})

    def document(self) -> list[dict[str, str]]:
        """List what is kept, oldest first."""
        return list(self._kept)

    def restore(self, document: Any) -> None:
        """Take over a list that `document` gave; `ValueError` when it is none."""
        names = {"rule", "method", "path", "text"}
        if not isinstance(document, list) or len(document) > VIOLATIONS_MAX:
            raise ValueError(f"violations: a list of at most {VIOLATIONS_MAX}")
        for position, item in enumerate(document):
            if not isinstance(item, dict) or item.keys() != names or not all(isinstance(v, str) for v in item.values()):
                raise ValueError(f"violations[{position}]: an object with rule, method, path and text")
        self._kept = list(document)
        self._counts = Counter(item["rule"] for item in document)


def _path_without_people(segments: tuple[str, ...]) -> str:
    parts = list(segments)
    for position in range(1, len(parts)):
        if parts[position - 1] in _PEOPLE and parts[position] != "batch":
            parts[position] = "{ImportUserId}"
    return "/" + "/".join(parts)

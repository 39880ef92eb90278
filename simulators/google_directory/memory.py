"""What the simulator remembers of its callers: broken rules, effects inside batches and, if asked, whole requests.

Bounded, and what fell out is counted. A violation holds no values of the request, only names: the method, the path
with the names of its parameters, and the rule.
"""

from collections import deque
from typing import Any

VIOLATIONS_MAX = 1_000
EFFECTS_MAX = 100_000
REQUESTS_MAX = 20_000
LISTS = ("violations", "batchEffects", "requests")


class CallRecord:
    """Bounded lists, each entry a document."""

    def __init__(self) -> None:
        self.violations: deque[dict[str, str]] = deque(maxlen=VIOLATIONS_MAX)
        self.violations_dropped = 0
        self.batch_effects: deque[dict[str, Any]] = deque(maxlen=EFFECTS_MAX)
        self.requests: deque[dict[str, Any]] = deque(maxlen=REQUESTS_MAX)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "CallRecord":
        """Go on with what a state document remembers."""
        record = cls()
        for name, into in zip(LISTS, (record.violations, record.batch_effects, record.requests), strict=True):
            items = document.get(name, [])
            if not isinstance(items, list):
                raise ValueError(f"{name}: it must be a list")
            into.extend(items)
        return record

    def violated(self, rule: str, *, method: str, path: str, text: str) -> None:
        """Remember a broken rule."""
        if len(self.violations) == VIOLATIONS_MAX:
            self.violations_dropped += 1
        self.violations.append({"rule": rule, "method": method, "path": path, "text": text})

    def document(self) -> dict[str, Any]:
        """Describe everything remembered."""
        return {
            "violations": list(self.violations),
            "violationsDropped": self.violations_dropped,
            "batchEffects": list(self.batch_effects),
            "requests": list(self.requests),
        }

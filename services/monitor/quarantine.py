"""How much stands in quarantine after the last read of an entity, and since when no read of it was without.

Pure. Both sides of an entity are kept apart here and told together: the label does not say which side. A read that was
not whole, and the replay of an older one, say nothing about what stands there now; the caller leaves them out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.monitor.labels import CODES, Names, known


@dataclass(frozen=True, slots=True)
class EntityRead:
    """One whole read of one side of one entity."""

    entity: str
    side: str
    at: float
    """When it began, in seconds since 1970."""
    by_code: Mapping[str, int]

    @property
    def is_clean(self) -> bool:
        """Whether nothing went to quarantine."""
        return not any(self.by_code.values())


@dataclass(frozen=True, slots=True)
class _Standing:
    by_code: Mapping[str, int]
    since: float | None


class Quarantines:
    """What the reads of all connectors left in quarantine."""

    def __init__(self, connectors: Names, entities: Names) -> None:
        self._connectors = connectors
        self._entities = entities
        self._standing: dict[tuple[str, str, str], _Standing] = {}

    def saw(self, connector: str, read: EntityRead) -> None:
        """Take the next read; those of one entity come in their order."""
        key = (self._connectors(connector), self._entities(read.entity), read.side)
        before = self._standing.get(key)
        if read.is_clean:
            since = None
        elif before is not None and before.since is not None:
            since = before.since
        else:
            since = read.at
        self._standing[key] = _Standing(dict(read.by_code), since)

    def records(self) -> dict[tuple[str, str, str], int]:
        """Records in quarantine by connector, entity and code."""
        found: Counter[tuple[str, str, str]] = Counter()
        for (connector, entity, _), standing in self._standing.items():
            for code, number in standing.by_code.items():
                found[connector, entity, known(code, CODES)] += number
        return dict(found)

    def since(self) -> dict[tuple[str, str], float]:
        """Since when, by connector and entity; those without quarantine are not named."""
        found: dict[tuple[str, str], float] = {}
        for (connector, entity, _), standing in self._standing.items():
            if standing.since is not None:
                key = (connector, entity)
                found[key] = min(standing.since, found.get(key, standing.since))
        return found


def has_seen_enough(newest_first: Iterable[EntityRead]) -> bool:
    """Whether older reads would change nothing: every side that is in quarantine now was clean once among these."""
    current: set[tuple[str, str]] = set()
    clean: set[tuple[str, str]] = set()
    for read in newest_first:
        current.add((read.entity, read.side))
        if read.is_clean:
            clean.add((read.entity, read.side))
    return bool(current) and current == clean

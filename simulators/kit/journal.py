"""The journal: every request a simulated vendor saw, what it answered and what it did; the judge of "exactly once".

Entries are appended in the order of their effects, before the answer leaves, so a withheld or cut answer is already
judged. It never holds tokens. Memory is bounded, and what fell out is counted: a verdict over a journal that has
dropped entries must say so.
"""

import json
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import dropwhile
from pathlib import Path
from typing import Any, TypedDict, cast

from simulators.kit.lines import LineFile

ENTRIES_MAX = 100_000
BODY_BYTES_MAX = 4_096
"""A longer request body is kept as its beginning, in text."""

_EFFECTIVE = ("created ", "updated ", "deleted ")


class Entry(TypedDict):
    """One request as the vendor saw it."""

    seq: int
    time: str
    method: str
    path: str
    query: dict[str, str]
    body: Any
    """Parsed JSON, or text when it is not JSON or too long, or null when empty."""
    status: int | None
    """The status of the answer; null when the connection was or will be cut."""
    fault: str | None
    effect: str
    """`created ID`, `updated ID [fields]`, `unchanged ID`, `deleted ID` or `none`."""
    external_id: str | None
    """The external id of the record the effect was on (after it; before it where it was cleared or deleted)."""
    record_id: str | None
    request_id: str | None


class Journal:
    """An append-only, bounded record of requests, optionally mirrored to a JSON-lines file that outlives it."""

    def __init__(
        self, *, clock: Callable[[], datetime], file: Path | None = None, entries_max: int = ENTRIES_MAX
    ) -> None:
        if entries_max < 1:
            raise ValueError(f"entries_max is {entries_max}; a journal keeps at least 1 entry")
        self._clock = clock
        self._entries: deque[Entry] = deque(maxlen=entries_max)
        self._lines = LineFile(file) if file is not None else None
        self.last_seq = 0
        self.dropped = 0
        """Entries no longer in memory; the mirrored file still has them."""
        for line in self._lines.read() if self._lines is not None else ():
            self._keep(cast(Entry, line))  # our own lines, written by record()

    def record(
        self,
        *,
        method: str,
        path: str,
        query: dict[str, str],
        body: bytes,
        status: int | None,
        fault: str | None,
        effect: str,
        external_id: str | None,
        record_id: str | None,
        request_id: str | None,
    ) -> Entry:
        """Append one request and return its entry."""
        entry = Entry(
            seq=self.last_seq + 1,
            time=self._clock().isoformat().replace("+00:00", "Z"),
            method=method,
            path=path,
            query=query,
            body=_body_document(body),
            status=status,
            fault=fault,
            effect=effect,
            external_id=external_id,
            record_id=record_id,
            request_id=request_id,
        )
        self._keep(entry)
        if self._lines is not None:
            self._lines.append(dict(entry))
        return entry

    def entries(self, *, after_seq: int = 0, effects_only: bool = False) -> list[Entry]:
        """List the entries in memory after a sequence number, all or only those that changed something."""
        later = dropwhile(lambda entry: entry["seq"] <= after_seq, self._entries)
        return [entry for entry in later if not effects_only or is_effective(entry)]

    def close(self) -> None:
        """Let go of the mirror file."""
        if self._lines is not None:
            self._lines.close()

    def _keep(self, entry: Entry) -> None:
        if len(self._entries) == self._entries.maxlen:
            self.dropped += 1
        self._entries.append(entry)
        self.last_seq = entry["seq"]


def is_effective(entry: Entry) -> bool:
    """Tell whether the request changed a record."""
    return entry["effect"].startswith(_EFFECTIVE)


def effects_by_external_id(entries: Iterable[Entry]) -> dict[str, list[str]]:
    """List, per external id and in order, what was really done; `none` and `unchanged` are not effects.

    "Exactly once in effect" holds for a record when its list is exactly what was intended, no line twice. A record
    without an external id stands under its own id.
    """
    effects: dict[str, list[str]] = {}
    for entry in entries:
        if is_effective(entry):
            effects.setdefault(entry["external_id"] or entry["record_id"] or "", []).append(entry["effect"])
    return effects


def _body_document(body: bytes) -> Any:
    if not body:
        return None
    if len(body) <= BODY_BYTES_MAX:
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            pass
    return body[:BODY_BYTES_MAX].decode("utf-8", errors="replace")

"""What the pages about quarantine show: runs that set records aside, and the records of one run without their values.

It reads nothing itself. It reads nothing itself. Codes outside the catalogue cannot be raised; one that an older
release knew is shown without words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict

from services.console.pages.connectors_view import Reading
from shared.events.queries import QuarantineAnswer, QuarantinedConnection, QuarantineItem, RunView
from shared.failures import CATALOGUE

ITEMS_READ_MAX: Final = 5_000
"""Items of one run that are read, and searched."""
ITEMS_SHOWN: Final = 100


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class CodeLine(_Model):
    """How many are set aside for one reason, and who does what about it."""

    code: str
    number: int
    owner: str
    text: str
    action: str


class QuarantineRun(_Model):
    """One run that set records aside."""

    run: str
    connector: str
    mode: str
    status: str
    requested_at: str
    records: int
    """Records of the source and of the target."""
    by_code: tuple[CodeLine, ...]
    is_newest: bool
    """Whether it is the newest of its connector that read anything: what counts now."""


class HeldConnection(_Model):
    """A connection over which nothing is sent."""

    connection: str
    since: str
    text: str
    code: str | None
    action: str
    run: str | None
    probes: int


class QuarantinePage(_Model):
    """What is in quarantine."""

    runs: tuple[QuarantineRun, ...]
    """Those that count now first, then the newest."""
    looked_at: int
    """Newest runs that were looked through."""
    connections: tuple[HeldConnection, ...]
    connections_why_not: str | None


class ItemsFilter(_Model):
    """Which items are asked for; what is empty asks for nothing."""

    code: str = ""
    entity: str = ""
    field: str = ""


class RunQuarantine(_Model):
    """The items of one run."""

    run: str
    connector: str
    total: int
    """Items in all; a record may have several."""
    read: int
    """Items that were read and searched; fewer than `total` when there are too many."""
    found: int
    """Items of the kind asked for."""
    by_code: tuple[CodeLine, ...]
    entities: tuple[str, ...]
    fields: tuple[str, ...]
    items: tuple[QuarantineItem, ...]
    """One page of those found."""


def quarantine_page(
    runs: Sequence[tuple[RunView, Reading]],
    *,
    connections: Sequence[QuarantinedConnection] | None,
    why_not: str | None,
) -> QuarantinePage:
    """The list, from the newest runs and what they read, newest first."""
    seen: set[str] = set()
    lines = []
    for view, reading in runs:
        if not reading.read:
            continue
        # A replay reads nothing anew, so it says nothing about what stands in quarantine now.
        is_newest = view.replay_of is None and view.connector not in seen
        if is_newest:
            seen.add(view.connector)
        counts: Counter[str] = Counter()
        for read in reading.read:
            counts.update(read.quarantined_by_code)
        records = sum(read.quarantined for read in reading.read)
        if records:
            lines.append(
                QuarantineRun(
                    run=view.run,
                    connector=view.connector,
                    mode=view.mode,
                    status=view.status,
                    requested_at=view.requested_at,
                    records=records,
                    by_code=code_lines(counts),
                    is_newest=is_newest,
                )
            )
    return QuarantinePage(
        runs=tuple(sorted(lines, key=lambda line: not line.is_newest)),
        looked_at=len(runs),
        connections=tuple(_held(one) for one in connections or ()),
        connections_why_not=why_not,
    )


def run_quarantine(
    answer: QuarantineAnswer, *, connector: str, wanted: ItemsFilter, offset: int, limit: int
) -> RunQuarantine:
    """One page of the items that were read."""
    found = [one for one in answer.items if _is_wanted(one, wanted)]
    return RunQuarantine(
        run=answer.run,
        connector=connector,
        total=answer.total,
        read=len(answer.items),
        found=len(found),
        by_code=code_lines(answer.by_code),
        entities=_distinct(one.entity for one in answer.items),
        fields=_distinct(one.field for one in answer.items),
        items=tuple(found[offset : offset + limit]),
    )


def code_lines(counts: Mapping[str, int]) -> tuple[CodeLine, ...]:
    """Reasons, the most frequent first."""
    lines = []
    for code, number in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        known = CATALOGUE.get(code)
        lines.append(
            CodeLine(
                code=code,
                number=number,
                owner="platform" if known is None else known.owner,
                text="This release does not know the code." if known is None else known.text,
                action="Look it up in the release that made the run." if known is None else known.action,
            )
        )
    return tuple(lines)


def _is_wanted(item: QuarantineItem, wanted: ItemsFilter) -> bool:
    return wanted.code in ("", item.code) and wanted.entity in ("", item.entity) and wanted.field in ("", item.field)


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


def _held(one: QuarantinedConnection) -> HeldConnection:
    known = CATALOGUE.get(one.reason.code) if one.reason is not None else None
    return HeldConnection(
        connection=one.connection,
        since=one.since,
        text=one.reason.text if one.reason is not None else "No reason was recorded.",
        code=None if known is None else known.code,
        action="Renew the credential of the connection, then check it." if known is None else known.action,
        run=one.run,
        probes=one.probes,
    )

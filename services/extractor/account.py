"""What normalising found, in numbers: nothing is dropped, defaulted or refused in silence.

Pure. An account holds no rows, so that those of many batches can be put together while their records have gone on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from services.extractor.drift import DriftNote
from shared.errors import StopRun

IDS_SHOWN_MAX = 20
"""Values that a refusal lists; the count says how many there are."""
VALUES_KEPT_MAX = 10_000
"""Distinct values kept for each table and for each refusal; what is beyond is counted."""
OTHERS = "…"
"""Stands for the ids beyond `VALUES_KEPT_MAX`; no text that has taken a step is like it by chance."""


@dataclass(frozen=True)
class Unmapped:
    """An id that a mapping table or a lookup does not answer."""

    table: str
    """Name of the table, or of the target's entity."""
    raw_id: str
    """The id after the field's steps."""
    rows: int
    """Records in scope that have it."""


@dataclass(frozen=True)
class Discarded:
    """Values of one field that were dropped, as the contract asks."""

    field: str
    code: str
    """Why: the code that the record would have been quarantined with."""
    rows: int


@dataclass(frozen=True)
class Blocked:
    """Values of one field that the contract does not let the run go on with."""

    field: str
    code: str
    """`NRM_BLOCKED_UNMAPPED`, or `NRM_SCHEMA_DRIFT` for values outside an enum."""
    place: str
    """Where the values are missing: `table roles`, `entity groups of the target`, `the contract`."""
    remedy: str
    rows: int
    """Records that have one of them."""
    values: tuple[str, ...]
    """The distinct values in order, at most `VALUES_KEPT_MAX`."""
    is_cut: bool = False
    """Whether there are more distinct values than are kept."""


@dataclass(frozen=True)
class Account:
    """What was found in one or more batches of one side."""

    unmapped: tuple[Unmapped, ...] = ()
    """By table, then most rows first; ids with a default are listed too."""
    discarded: tuple[Discarded, ...] = ()
    """By field and code."""
    out_of_scope: int = 0
    """Records that the contract's scope leaves out."""
    rows_read: Mapping[str, int] = field(default_factory=dict)
    """Rows as read, by alias; `target` on the target side. Of several batches the sum."""
    drift: tuple[DriftNote, ...] = ()
    """What is not as agreed and did not stop the run."""
    blocked: tuple[Blocked, ...] = ()
    """What stops the run after the last batch; see `refuse_blocked`."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """The drift in sentences, for people."""
        return tuple(map(_told, self.drift))


def merge_accounts(accounts: Iterable[Account]) -> Account:
    """One account of all; it does not matter how they are grouped, while no table has more ids than are kept."""
    unmapped: Counter[tuple[str, str]] = Counter()
    discarded: Counter[tuple[str, str]] = Counter()
    rows_read: Counter[str] = Counter()
    drift: dict[DriftNote, int] = {}
    blocked: dict[tuple[str, str], Blocked] = {}
    out_of_scope = 0
    for account in accounts:
        unmapped.update({(item.table, item.raw_id): item.rows for item in account.unmapped})
        discarded.update({(item.field, item.code): item.rows for item in account.discarded})
        rows_read.update(account.rows_read)
        out_of_scope += account.out_of_scope
        for note in account.drift:
            kind = replace(note, rows=0)
            drift[kind] = drift.get(kind, 0) + note.rows
        for refused in account.blocked:
            place = (refused.field, refused.code)
            blocked[place] = _both(blocked[place], refused) if place in blocked else refused
    return Account(
        unmapped=ranked(unmapped),
        discarded=tuple(Discarded(name, code, rows) for (name, code), rows in sorted(discarded.items())),
        out_of_scope=out_of_scope,
        rows_read=dict(rows_read),
        drift=tuple(replace(kind, rows=rows) for kind, rows in drift.items()),
        blocked=tuple(blocked.values()),
    )


def ranked(counts: Mapping[tuple[str, str], int]) -> tuple[Unmapped, ...]:
    """Ids by table, then most rows first; those beyond `VALUES_KEPT_MAX` of a table together as `OTHERS`."""
    kept: list[Unmapped] = []
    in_order = sorted(counts.items(), key=lambda entry: (entry[0][0], entry[0][1] == OTHERS, -entry[1], entry[0][1]))
    seen: Counter[str] = Counter()
    for (table, raw_id), rows in in_order:
        seen[table] += 1
        if seen[table] <= VALUES_KEPT_MAX:
            kept.append(Unmapped(table, raw_id, rows))
        elif seen[table] == VALUES_KEPT_MAX + 1:
            kept.append(Unmapped(table, OTHERS, rows))
        else:
            kept[-1] = replace(kept[-1], rows=kept[-1].rows + rows)
    return tuple(kept)


def refuse_blocked(blocked: Sequence[Blocked]) -> None:
    """`StopRun` naming every field with values that the contract does not let the run go on with, with the full counts.

    Drift comes first: `NRM_SCHEMA_DRIFT` when there is any, else `NRM_BLOCKED_UNMAPPED`.
    """
    if not blocked:
        return
    in_order = sorted(blocked, key=lambda one: one.code != "NRM_SCHEMA_DRIFT")
    raise StopRun(
        in_order[0].code,
        "; ".join(map(_refusal, in_order)),
        field=in_order[0].field,
        rows=sum(one.rows for one in in_order),
    )


def _refusal(one: Blocked) -> str:
    shown = ", ".join(one.values[:IDS_SHOWN_MAX]) + (" …" if len(one.values) > IDS_SHOWN_MAX else "")
    count = f"{'more than ' if one.is_cut else ''}{len(one.values)}"
    what = "ids" if one.code == "NRM_BLOCKED_UNMAPPED" else "values"
    found = f"field {one.field}: {one.rows} records have {count} {what} that {one.place}, allowed none: {shown}"
    return f"{found}; {one.remedy}"


def _both(one: Blocked, other: Blocked) -> Blocked:
    values = sorted({*one.values, *other.values})
    return replace(
        one,
        rows=one.rows + other.rows,
        values=tuple(values[:VALUES_KEPT_MAX]),
        is_cut=one.is_cut or other.is_cut or len(values) > VALUES_KEPT_MAX,
    )


def _told(note: DriftNote) -> str:
    place = f"{note.alias}.{note.column}"
    match note.what:
        case "new":
            return f"{place} is new; it is ignored"
        case "missing":
            return f"{place} is missing; {_done(note)}"
        case "type":
            return f"{place} has another type ({note.detail}); {_done(note)}"
        case "value":
            return f"{place} holds values that the contract does not list; {_done(note)}"


def _done(note: DriftNote) -> str:
    done = {
        "evolve": "the value is taken as it comes",
        "discard_value": "the field is left alone",
        "discard_row": "the records are quarantined",
    }
    return f"field {note.field}: {done.get(note.policy, note.policy)} ({note.rows} records)"

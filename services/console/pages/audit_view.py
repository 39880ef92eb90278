"""What the pages of the audit log show: what was searched for, entries as rows, verdicts in words. It reads nothing."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from services.console.log.verifying import Verification
from shared.audit.entries import AuditEntry
from shared.audit.entry_lookups import EntriesFound
from shared.audit.verify import FailureKind, VerificationReport

SHOWN_MAX: Final = 4
"""Facts of an entry that its row in the list shows."""
SHOWN_CHARACTERS_MAX: Final = 60
_FOR_MACHINES: Final = ("digest", "signature", "nonce", "change_id", "attempt", "memory_peak_mb", "fencing_token")
_PREFIX: Final = "aether."
_KINDS: Final = {
    FailureKind.ENTRY_MALFORMED: "an entry cannot be read as one",
    FailureKind.INDEX_BROKEN: "an entry was removed, repeated or put out of order",
    FailureKind.ENTRIES_MISSING: "entries that were signed are gone",
    FailureKind.ROOT_MISMATCH: "an entry was altered after it was signed",
    FailureKind.CHECKPOINT_MISSING: "nothing is signed",
    FailureKind.CHECKPOINT_MALFORMED: "a checkpoint cannot be read",
    FailureKind.CHECKPOINT_FORGED: "a checkpoint was not signed by the log's key",
    FailureKind.CHECKPOINT_ROLLED_BACK: "checkpoints stand out of order",
    FailureKind.SPLIT_VIEW: "two different logs were signed",
    FailureKind.COUNTS_DO_NOT_ADD_UP: "the counts of a run do not add up",
}


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Wanted(_Model):
    """What is searched for; what is None asks for nothing."""

    type: str | None = None
    run: str | None = None
    actor: str | None = None
    since: date | None = None
    until: date | None = None
    """The last day that counts."""
    text: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether every entry is asked for."""
        return self == Wanted()


class EntryRow(_Model):
    """One entry in a list."""

    index: int
    recorded_at: str
    type: str
    name: str
    """The type in words."""
    run: str | None
    actor: str | None
    facts: tuple[str, ...]
    """The first facts of its summary."""


class EntriesPage(_Model):
    """A part of what was found, newest first."""

    entries: tuple[EntryRow, ...]
    goes_on: int | None
    """Ask with this as `before` for what follows; with a text, entries may follow even where none is shown."""


class LogHealth(_Model):
    """How the log stands."""

    entries: int
    signed: int
    """Entries that the last checkpoint covers."""
    checkpoints: int
    signed_up_to: str | None
    """When the last entry under a signature was recorded."""
    newest_at: str | None
    lag: dict[str, int] | None = None
    """Messages of each stream that are not in the log yet; None where it was not asked for."""


class Verdict(_Model):
    """What a verification came to, in words."""

    kind: Literal["ok", "warn", "bad"]
    title: str
    proven: tuple[str, ...]
    not_proven: tuple[str, ...]


def entries_page(found: EntriesFound) -> EntriesPage:
    """The rows of a list."""
    return EntriesPage(entries=tuple(_row(entry) for entry in found.entries), goes_on=found.goes_on)


def _row(entry: AuditEntry) -> EntryRow:
    said = [(name, value) for name, value in entry.summary.items() if value not in (None, 0, "") and not _is_hash(name)]
    return EntryRow(
        index=entry.index,
        recorded_at=entry.recorded_at,
        type=entry.type,
        name=type_words(entry.type),
        run=entry.run,
        actor=entry.actor,
        facts=tuple(_short(f"{name.replace('_', ' ')} {value_words(value)}") for name, value in said[:SHOWN_MAX]),
    )


def _is_hash(name: str) -> bool:
    """Whether a fact is for machines; the page of the entry has it."""
    return name.endswith(_FOR_MACHINES)


def type_words(name: str) -> str:
    """A type as words: `aether.run.sealed.v1` is `run sealed`."""
    parts = name.removeprefix(_PREFIX).split(".")
    if len(parts) > 1 and parts[-1][:1] == "v" and parts[-1][1:].isdigit():
        parts.pop()
    return " ".join(parts).replace("_", " ")


def value_words(value: str | int | bool | None) -> str:
    """A value of a summary."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case _:
            return value


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS_MAX else f"{text[: SHOWN_CHARACTERS_MAX - 1]}…"


def moments_of(wanted: Wanted, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
    """From when and before when: whole days of the district."""
    since = None if wanted.since is None else datetime.combine(wanted.since, time(), zone)
    until = None if wanted.until is None else datetime.combine(wanted.until + timedelta(days=1), time(), zone)
    return since, until


def verdict_of(now: Verification) -> Verdict | None:
    """What the last verification came to; None while there is none."""
    if now.state == "failed":
        return Verdict(
            kind="warn",
            title="The verification could not be carried through",
            proven=(),
            not_proven=(f"Nothing is said of the log: {now.fault}.",),
        )
    return _verdict(now.report) if now.report is not None else None


def _verdict(report: VerificationReport) -> Verdict:
    proven, not_proven = [], []
    if report.entries_proven:
        proven.append(
            f"The first {report.entries_proven:,} of {report.entries:,} entries are exactly those that were signed: "
            "none was altered, removed, added or moved since."
        )
    if report.is_valid:
        proven.append(
            f"All {report.checkpoints:,} checkpoints carry the signature of the log's key and fit one another: "
            "nobody was shown another log under this key than the one here."
        )
        proven.append(
            f"The counts of all {report.runs_sealed:,} sealed runs add up: every planned change has one outcome."
        )
    behind = report.entries - report.entries_proven
    if behind > 0 and report.is_valid:
        not_proven.append(
            f"The last {behind:,} entries are not under a signature yet; the next checkpoint covers them."
        )
    for kind in dict.fromkeys(failure.kind for failure in report.failures):
        first = next(failure for failure in report.failures if failure.kind == kind)
        not_proven.append(f"{_KINDS[kind].capitalize()}: {first.reason}.")
    not_proven.append(
        "That the key is the log's own: compare it with the one that was handed over when the log was set up. "
        "Whether what was recorded is what happened is not a question of signatures either."
    )
    if not report.is_valid:
        title, colour = f"The log does not hold: {report.failures_total:,} faults were found", "bad"
    elif report.is_proven:
        title, colour = f"The log holds: all {report.entries:,} entries are proven", "ok"
    else:
        title, colour = f"The log holds as far as it is signed: {report.entries_proven:,} entries are proven", "warn"
    return Verdict.model_validate(
        {"kind": colour, "title": title, "proven": tuple(proven), "not_proven": tuple(not_proven)}
    )

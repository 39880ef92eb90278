"""The guard: whether a plan is safe enough to be shown for approval, and to be applied.

A pure function of figures, policy and history; the differ runs it before a plan is shown and the applier again before
the first write, and both must come to the same bytes. An exception inside it is a BLOCK. Every check gives a line
that holds number, limit, denominator and name, whether it trips or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from pydantic import Field

from shared.events.model import Document
from shared.hashing.canonical import digest_of
from shared.policy.limits import Limit, Policy


class Level(StrEnum):
    """How bad it is, in rising order: pass, warn, hold (an override approval can release it), block (nothing can)."""

    PASS = "PASS"  # noqa: S105 -- a level, not a password
    WARN = "WARN"
    HOLD = "HOLD"
    BLOCK = "BLOCK"


_ORDER = (Level.PASS, Level.WARN, Level.HOLD, Level.BLOCK)


class SourceFigures(Document):
    """What was read from one source, and what the last accepted run read from it."""

    source: str
    rows: int | None = Field(default=None, ge=0)
    """Rows read; None when the read failed before a number was known."""
    rows_accepted_last: int | None = Field(default=None, ge=0)
    """Rows of the last run whose plan was accepted; None when there was none."""
    is_certified: bool


class EntityFigures(Document):
    """The numbers of one entity of a plan."""

    entity: str
    sources: tuple[SourceFigures, ...]
    is_target_certified: bool
    live_managed: int | None = Field(default=None, ge=0)
    """Live, managed, in-scope target records before the plan: the denominator. None when the target is not known."""
    desired: int = Field(ge=0)
    changes: dict[str, int]
    """Planned changes by class."""
    null_outs: int = Field(default=0, ge=0)
    """Changes in which at least one value becomes empty, whatever their class."""
    quarantined: int = Field(default=0, ge=0)
    ambiguous: int = Field(default=0, ge=0)
    """Records set aside because they match several target records, or several claim one key."""
    removals_suppressed: int = Field(default=0, ge=0)
    """Removals that would have been planned, had every source been certified."""


class GuardFigures(Document):
    """All that the guard looks at."""

    entities: tuple[EntityFigures, ...]


class VerdictLine(Document):
    """One check and what it found."""

    check: str
    scope: str
    """The entity, or entity and source, the line speaks of."""
    level: Level
    number: int | None
    limit_count: int | None
    limit_percent: float | None
    denominator: int | None
    code: str | None
    """Code of the catalogue when the line is not PASS."""
    text: str


class Verdict(Document):
    """The guard's answer."""

    level: Level
    lines: tuple[VerdictLine, ...]
    policy_digest: str

    @property
    def digest(self) -> str:
        """Digest of the whole verdict; approvals are bound to it."""
        return digest_of(self.model_dump(mode="json"))

    @property
    def worst_lines(self) -> tuple[VerdictLine, ...]:
        """The lines that made the level what it is; none for PASS."""
        return tuple(line for line in self.lines if line.level == self.level and self.level is not Level.PASS)


def guard(figures: GuardFigures, policy: Policy) -> Verdict:
    """The verdict over a plan's figures."""
    try:
        lines = tuple(line for entity in figures.entities for line in _lines_of(entity, policy))
    except Exception as error:  # noqa: BLE001 -- whatever fails in here must block, not pass
        lines = (
            VerdictLine(
                check="guard",
                scope="run",
                level=Level.BLOCK,
                number=None,
                limit_count=None,
                limit_percent=None,
                denominator=None,
                code="GRD_FAILED",
                text=f"the guard failed with {type(error).__name__}; nothing may be applied",
            ),
        )
    level = max((line.level for line in lines), key=_ORDER.index, default=Level.PASS)
    return Verdict(level=level, lines=lines, policy_digest=policy.digest)


def _lines_of(entity: EntityFigures, policy: Policy) -> list[VerdictLine]:
    lines = [line for source in entity.sources for line in _source_lines(entity.entity, source, policy)]
    lines.append(_target_line(entity))
    for change_class, limit in policy.classes.items():
        number = entity.changes.get(change_class, 0)
        lines.append(_limit_line(change_class, entity.entity, number, entity.live_managed, limit))
    uncovered = sorted(set(entity.changes) - set(policy.classes))
    if uncovered:
        raise ValueError(f"no limit covers changes of class {', '.join(uncovered)}")
    lines.append(_limit_line("value_emptied", entity.entity, entity.null_outs, entity.live_managed, policy.null_out))
    read = entity.desired + entity.quarantined
    lines.append(
        _limit_line("quarantined", entity.entity, entity.quarantined, read, policy.quarantine, code="GRD_QUARANTINE")
    )
    lines.append(
        _limit_line("ambiguous", entity.entity, entity.ambiguous, read, policy.ambiguous, code="GRD_QUARANTINE")
    )
    return lines


def _source_lines(entity: str, source: SourceFigures, policy: Policy) -> list[VerdictLine]:
    scope = f"{entity} from {source.source}"
    lines = []
    if not source.is_certified:
        lines.append(
            _line(
                "certificate",
                scope,
                Level.WARN,
                code="GRD_NO_CERTIFICATE",
                text=f"{scope}: the read has no certificate; removals are left out of this plan",
            )
        )
    else:
        lines.append(_line("certificate", scope, Level.PASS, text=f"{scope}: the read is certified complete"))
    rows, last = source.rows, source.rows_accepted_last
    if rows is None:
        return lines
    if rows == 0 and (last is None or last > 0):
        before = "no run was accepted before" if last is None else f"the last accepted run read {last}"
        lines.append(
            _line(
                "source_zero",
                scope,
                Level.BLOCK,
                number=0,
                denominator=last,
                code="GRD_SOURCE_ZERO",
                text=f"{scope}: 0 rows; {before}",
            )
        )
        return lines
    if last is None or last == 0:
        lines.append(
            _line("source_fell", scope, Level.PASS, number=rows, text=f"{scope}: {rows} rows; nothing to compare")
        )
        return lines
    fell = max(0, last - rows)
    lines.append(_limit_line("source_fell", scope, fell, last, policy.source_fell, code="GRD_SOURCE_FELL"))
    grew = max(0, rows - last)
    lines.append(_limit_line("source_grew", scope, grew, last, policy.source_grew, code="GRD_SOURCE_GREW"))
    return lines


def _target_line(entity: EntityFigures) -> VerdictLine:
    if entity.live_managed is None or not entity.is_target_certified:
        return _line(
            "target",
            entity.entity,
            Level.BLOCK,
            code="GRD_TARGET_UNKNOWN",
            text=f"{entity.entity}: the target's present state is not certified, so no limit can be measured",
        )
    return _line(
        "target",
        entity.entity,
        Level.PASS,
        number=entity.live_managed,
        text=f"{entity.entity}: {entity.live_managed} live managed records in the target",
    )


def _limit_line(
    check: str, scope: str, number: int, denominator: int | None, limit: Limit, *, code: str = "GRD_LIMIT"
) -> VerdictLine:
    level = Level.PASS
    if denominator is None:
        if number > 0:
            level = Level.BLOCK
    elif limit.is_tripped(number, denominator):
        level = Level.HOLD
    elif limit.is_warned(number, denominator):
        level = Level.WARN
    of_text = "of an unknown number of" if denominator is None else f"of {denominator:,}"
    percent = number * 100 / denominator if denominator else 0.0
    share = f" ({percent:.1f} %)" if percent >= 0.05 else ""
    return _line(
        check,
        scope,
        level,
        number=number,
        denominator=denominator,
        limit=limit,
        code=None if level is Level.PASS else code,
        text=f"{check}: {number:,} {of_text} {scope}{share}, {limit.in_words()}",
    )


def _line(
    check: str,
    scope: str,
    level: Level,
    *,
    text: str,
    number: int | None = None,
    denominator: int | None = None,
    limit: Limit | None = None,
    code: str | None = None,
) -> VerdictLine:
    return VerdictLine(
        check=check,
        scope=scope,
        level=level,
        number=number,
        limit_count=limit.count if limit else None,
        limit_percent=limit.percent if limit else None,
        denominator=denominator,
        code=code,
        text=text,
    )


def changes_by_class(changes: Mapping[str, int]) -> dict[str, int]:
    """The counts without the classes that did not occur, in name order."""
    return {name: changes[name] for name in sorted(changes) if changes[name] > 0}

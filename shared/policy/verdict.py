"""What the guard says: a level, and a line for each check with number, limit, denominator and name.

Pure data and the making of lines. What is measured is decided in `shared.policy.guard` and `shared.policy.scopes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from shared.events.model import Document, FailureCode
from shared.hashing.canonical import digest_of
from shared.policy.figures import UsualFigures
from shared.policy.limits import Limit

LINES_SHOWN_MAX = 50
"""Lines that are not PASS, of one entity and one kind of scope; the summary tells how many more there are."""


class Level(StrEnum):
    """How bad it is, in rising order: pass, warn, hold (an override approval can release it), block (nothing can)."""

    PASS = "PASS"  # noqa: S105 -- a level, not a password
    WARN = "WARN"
    HOLD = "HOLD"
    BLOCK = "BLOCK"

    @property
    def rank(self) -> int:
        """0 for PASS, rising."""
        return _ORDER.index(self)


_ORDER = (Level.PASS, Level.WARN, Level.HOLD, Level.BLOCK)


class VerdictLine(Document):
    """One check and what it found."""

    check: str
    scope: str
    """What the line speaks of: the run, an entity, or an entity and its source, cohort, group, field or window."""
    level: Level
    number: int | None
    limit_count: int | None
    limit_percent: float | None
    denominator: int | None
    code: FailureCode | None
    """Code of the catalogue when the line is not PASS."""
    text: str
    measured: str | None = None
    """Name of the cohort, group, field, window or declaration that was measured; None for the whole entity or run."""
    usual: UsualFigures | None = None
    """What the runs before brought."""


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


@dataclass(frozen=True)
class Scope:
    """What a line speaks of."""

    name: str
    """In words, such as `staff` or `staff, cohort location=TL-010`."""
    measured: str | None = None
    note: str = ""
    """Said at the end of a line, such as how much was applied before."""
    usual: UsualFigures | None = None


def worst(levels: Iterable[Level]) -> Level:
    """The highest of the levels; PASS for none."""
    return max(levels, key=lambda level: level.rank, default=Level.PASS)


def level_of(number: int, denominator: int | None, limit: Limit) -> Level:
    """The level of one number against its limit; with an unknown denominator any number above 0 is a BLOCK."""
    if denominator is None:
        return Level.BLOCK if number > 0 else Level.PASS
    if limit.is_tripped(number, denominator):
        return Level.HOLD
    return Level.WARN if limit.is_warned(number, denominator) else Level.PASS


def limit_line(
    check: str, scope: Scope, *, number: int, denominator: int | None, limit: Limit, code: str = "GRD_LIMIT"
) -> VerdictLine:
    """The line of one number against its limit."""
    level = level_of(number, denominator, limit)
    of_text = "of an unknown number of" if denominator is None else f"of {denominator:,}"
    percent = number * 100 / denominator if denominator else 0.0
    share = f" ({percent:.1f} %)" if percent >= 0.05 else ""
    text = f"{check}: {number:,} {of_text} {scope.name}{share}, {limit.in_words()}"
    if scope.usual is not None:
        runs = "1 run" if scope.usual.runs == 1 else f"{scope.usual.runs:,} runs"
        text += f"; usual {scope.usual.low:,}\N{EN DASH}{scope.usual.high:,} in {runs}"
    if scope.note:
        text += f"; {scope.note}"
    return plain_line(
        check,
        scope,
        level,
        number=number,
        denominator=denominator,
        limit=limit,
        code=None if level is Level.PASS else code,
        text=text,
    )


def plain_line(
    check: str,
    scope: Scope,
    level: Level,
    *,
    text: str,
    number: int | None = None,
    denominator: int | None = None,
    limit: Limit | None = None,
    code: str | None = None,
) -> VerdictLine:
    """A line whose level was decided elsewhere."""
    shown = Limit(count=0) if limit is not None and limit.is_off else limit
    return VerdictLine(
        check=check,
        scope=scope.name,
        level=level,
        number=number,
        limit_count=None if shown is None else shown.count,
        limit_percent=None if shown is None else shown.percent,
        denominator=denominator,
        code=code,
        text=text,
        measured=scope.measured,
        usual=scope.usual,
    )


def summarised(check: str, scope: str, *, lines: Sequence[VerdictLine], said: str) -> list[VerdictLine]:
    """The lines that are not PASS, worst first up to the bound, and one that says how many things were measured.

    What is beyond the bound is not forgotten: the summary then carries the worst level that is not shown.
    """
    found = [line for line in lines if line.level is not Level.PASS]
    ranked = sorted(found, key=lambda line: -line.level.rank)
    shown, left = ranked[:LINES_SHOWN_MAX], ranked[LINES_SHOWN_MAX:]
    level = worst(line.level for line in left)
    text = f"{scope}: {said}; {len(found):,} beyond their limits"
    if left:
        text += f", {len(left):,} of them not listed"
    code = left[0].code if left else None
    return [*shown, plain_line(check, Scope(scope), level, number=len(found), code=code, text=text)]

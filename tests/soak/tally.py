"""What a soak came to: rounds by part, faults by kind, runs, changes, and every violation with what repeats it.

It counts and prints; it runs nothing. A part that did not run is not passed over: the soak has then not held.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

VIOLATIONS_SHOWN_MAX = 50
TEXT_CHARACTERS_MAX = 600


@dataclass(frozen=True)
class Round:
    """One round of one part."""

    part: str
    repeat: str
    """The command that does the same again."""
    faults: Mapping[str, int] = field(default_factory=dict)
    runs: int = 0
    changes: int = 0
    violations: Sequence[str] = ()
    missed: int = 0
    """Points that were armed and never come by: no fault, and no failure."""


@dataclass
class Tally:
    """All rounds so far."""

    seed: int
    rounds: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    faults: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    missed: int = 0
    violations: list[tuple[str, str]] = field(default_factory=list)
    """What was violated, and what repeats it."""
    absent: dict[str, str] = field(default_factory=dict)
    """Why a part cannot run."""

    def take(self, one: Round) -> None:
        """Add a round."""
        self.rounds[one.part] += 1
        self.runs[one.part] += one.runs
        self.changes[one.part] += one.changes
        self.faults[one.part].update(one.faults)
        self.missed += one.missed
        self.violations += [(text[:TEXT_CHARACTERS_MAX], one.repeat) for text in one.violations]

    def idle(self, parts: Sequence[str]) -> list[str]:
        """The parts that have not completed a round."""
        return [part for part in parts if not self.rounds[part]]

    def has_held(self, parts: Sequence[str]) -> bool:
        """Whether every part ran and nothing was violated."""
        return not self.violations and not self.absent and not self.idle(parts)

    def line(self, minutes: float) -> str:
        """How it stands, in one line."""
        rounds = ", ".join(f"{part} {number}" for part, number in sorted(self.rounds.items()))
        faults = sum(counter.total() for counter in self.faults.values())
        return (
            f"{minutes:6.1f} min  rounds: {rounds or 'none yet'}; faults {faults}, runs {self.runs.total()}, "
            f"changes {self.changes.total()}, violations {len(self.violations)}"
        )

    def table(self, parts: Sequence[str], minutes: float) -> str:
        """The whole account."""
        lines = [f"soak of {minutes:.1f} min, seed {self.seed}", ""]
        lines.append(f"{'part':<14}{'rounds':>9}{'runs':>9}{'changes':>11}{'faults':>9}")
        for part in parts:
            faults = self.faults[part].total()
            lines.append(f"{part:<14}{self.rounds[part]:>9}{self.runs[part]:>9}{self.changes[part]:>11}{faults:>9}")
        lines += ["", "faults by kind:"]
        for part in parts:
            lines += [f"  {part:<12} {kind:<52}{number:>8}" for kind, number in sorted(self.faults[part].items())]
        if self.missed:
            lines.append(f"  {self.missed} armed points were never come by: no call of that number came in the run")
        for part, why in self.absent.items():
            lines.append(f"NOT RUN: {part}: {why}")
        for part in self.idle(parts):
            if part not in self.absent:
                lines.append(f"NOT RUN: {part}: no round was completed")
        lines += ["", f"violations: {len(self.violations)}"]
        for text, repeat in self.violations[:VIOLATIONS_SHOWN_MAX]:
            lines += [f"  {text}", f"    again: {repeat}"]
        lines.append("held" if self.has_held(parts) else "DID NOT HOLD")
        return "\n".join(lines) + "\n"

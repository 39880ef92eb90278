"""What became of each poisoned input: counted by kind and refusal, printed as a table, with whatever must not be.

A crash, a hang or a leaked value is a violation; it is written down with the seed and the input's number, so that it
can be had again.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from tests.poison.mutations import CANARY

ITEM_SECONDS_MAX: Final = 30.0
"""An input that takes longer is a hang. Far above what the slowest needs, for a machine that does other things."""
VIOLATIONS_KEPT_MAX: Final = 50


@dataclass
class Tally:
    """The counts of one pass."""

    seed: int
    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """By class of input, way it was spoilt, and what became of it."""
    violations: list[str] = field(default_factory=list)
    slowest_seconds: float = 0.0
    slowest: str = ""

    @property
    def total(self) -> int:
        """Inputs so far."""
        return sum(self.counts.values())

    def of_class(self, name: str) -> int:
        """Inputs of one class."""
        return sum(count for (found, _, _), count in self.counts.items() if found == name)

    def endings(self) -> set[str]:
        """Everything that became of any input."""
        return {ending for _, _, ending in self.counts}

    def ways(self, name: str) -> set[str]:
        """The ways in which inputs of a class were spoilt."""
        return {way for found, way, _ in self.counts if found == name}

    def add(self, name: str, way: str, ending: str) -> None:
        """Count one input."""
        self.counts[name, way, ending] += 1

    def violation(self, name: str, way: str, text: str) -> None:
        """Write down what must not be; the input's number and the seed give it again."""
        if len(self.violations) < VIOLATIONS_KEPT_MAX:
            self.violations.append(f"seed {self.seed}, input {self.total + 1} ({name}/{way}): {text[:400]}")

    def crash(self, name: str, way: str, error: BaseException) -> None:
        """An exception that is no refusal."""
        trace, where = error.__traceback__, []
        while trace is not None:
            where.append(f"{trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}")
            trace = trace.tb_next
        self.violation(name, way, f"{type(error).__name__}: {str(error)[:150]!r} at {' > '.join(where[-6:])}")
        self.add(name, way, "crash")

    def check_secrecy(self, name: str, way: str, *texts: str) -> None:
        """A refusal must not repeat a value that it refuses."""
        for text in texts:
            if CANARY in text:
                self.violation(name, way, f"the refusal repeats a value of the input: {text[:160]}")

    @contextmanager
    def timed(self, name: str, way: str) -> Iterator[None]:
        """Measure one input; too long a time is a violation although it ended."""
        began = time.monotonic()
        yield
        seconds = time.monotonic() - began
        if seconds > self.slowest_seconds:
            self.slowest_seconds, self.slowest = seconds, f"{name}/{way}"
        if seconds > ITEM_SECONDS_MAX:
            self.violation(name, way, f"took {seconds:.1f} s, allowed {ITEM_SECONDS_MAX:.0f}")

    def table(self) -> str:
        """The counts for people."""
        lines = [f"{'class':<12} {'spoilt':<18} {'ended as':<44} {'inputs':>7}"]
        lines += [
            f"{name:<12} {way:<18} {ending:<44} {count:>7}"
            for (name, way, ending), count in sorted(self.counts.items())
        ]
        lines.append(
            f"{self.total} inputs, seed {self.seed}, {len(self.violations)} violations, "
            f"slowest {self.slowest_seconds * 1000:.0f} ms ({self.slowest})"
        )
        return "\n".join([*lines, *self.violations])


async def bounded(work: Awaitable[None]) -> None:
    """Await one input's work; TimeoutError when it hangs."""
    async with asyncio.timeout(ITEM_SECONDS_MAX):
        await work

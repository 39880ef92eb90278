"""What is wrong with a connector's files: each problem with its place and its remedy, all of them in one error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.errors import NeedsPerson
from shared.failures import failure_of

PROBLEMS_SHOWN_MAX = 50
"""Problems that the message spells out; `ContractInvalid.problems` holds all."""


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong with a connector's files."""

    file: str
    """Relative to the folder of connectors, e.g. `titanhst-staff/connector.yaml`."""
    line: int
    """From 1."""
    column: int
    """From 1."""
    text: str
    """What is wrong, with the value and the limit."""
    fix: str
    """What to do."""
    code: str = "CTR_INVALID"
    """Of the catalogue of failures."""

    def __post_init__(self) -> None:
        failure_of(self.code)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.text}; {self.fix}"


class ContractInvalid(NeedsPerson):
    """A connector's files cannot be used as they are; its code is that of its problems when they share one."""

    def __init__(self, connector: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        shown = [str(problem) for problem in self.problems[:PROBLEMS_SHOWN_MAX]]
        if len(self.problems) > PROBLEMS_SHOWN_MAX:
            shown.append(f"… and {len(self.problems) - PROBLEMS_SHOWN_MAX} more")
        codes = {problem.code for problem in self.problems}
        super().__init__(
            codes.pop() if len(codes) == 1 else "CTR_INVALID",
            "\n".join([f"connector {connector} has {len(self.problems)} problems:", *shown]),
            connector=connector,
            problems=len(self.problems),
        )

"""Prints the catalogue of failures as a document, for the person who meets a code.

`python -m shared.failures_document > docs/failures.md`; a test keeps the file equal to the catalogue.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from shared.failures import CATALOGUE, Failure

PHASES = {
    "SRC": "Reading a system",
    "CTR": "Connector definitions",
    "NRM": "Normalising, one record at a time",
    "MAT": "Matching records of the two sides",
    "DIF": "Comparing and planning",
    "GRD": "The guard",
    "APV": "Commands and approvals",
    "APL": "Applying",
    "VER": "Verifying what was applied",
    "AUD": "The audit log",
    "SCH": "Schedules",
    "SYS": "The house itself",
}
"""What the first part of a code says: where on the road it happened."""
RUNBOOKS = {
    "SRC": "reading",
    "CTR": "contract",
    "NRM": "normalising",
    "MAT": "matching",
    "DIF": "diff",
    "GRD": "guard",
    "APV": "approval",
    "APL": "applying",
    "VER": "verifying",
    "AUD": "audit",
    "SCH": "schedules",
    "SYS": "house",
}
"""The page of docs/runbooks/ for a phase; each of its codes has a section there."""


def render_markdown() -> str:
    """Return docs/failures.md."""
    parts = [
        "# Failures",
        "Printed from `shared/failures.py` by `python -m shared.failures_document > docs/failures.md`; do not edit.",
        "Every failure that the house reports carries one of these codes. The first part of the code says where it "
        "happened. *Again* says whether the same step may succeed later without anybody doing anything. Each code "
        "leads to its section in the [runbooks](runbooks/README.md): what is seen, what to do, and what not.",
    ]
    for phase, title in PHASES.items():
        entries = [entry for entry in CATALOGUE.values() if entry.code.startswith(f"{phase}_")]
        if entries:
            parts += [f"## {phase}: {title}", _table(entries)]
    return "\n\n".join(parts) + "\n"


def _table(entries: Iterable[Failure]) -> str:
    rows = [
        (
            _linked(entry.code),
            entry.severity,
            entry.category.replace("_", " "),
            "yes" if entry.is_retryable else "no",
            entry.owner,
            entry.text,
            entry.action,
        )
        for entry in entries
    ]
    head = ("code", "severity", "category", "again", "who acts", "what it means", "what to do")
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, tuple("---" for _ in head), *rows])


def _linked(code: str) -> str:
    """The code, leading to its section in the runbook of its phase."""
    return f"[`{code}`](runbooks/{RUNBOOKS[code.partition('_')[0]]}.md#{code.lower()})"


if __name__ == "__main__":
    sys.stdout.write(render_markdown())

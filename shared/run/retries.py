"""Which changes of an ended run are tried again when a person asks for it.

Pure, and the one place that says so: the applier carries out what this names, the auditor shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shared.run.counts import NineCounts

RETRIES_MAX: Final = 50
"""Retries of one plan, each of the one before; a plan expires long before."""
_TRIED: Final = frozenset({"failed", "dependency_skipped"})
_REFUSED: Final = "quarantined"
_BY_THE_TARGET: Final = "APL_"
"""What the plan set aside itself is quarantined under a code of another phase; that stays aside."""


def is_tried_again(result: str | None, code: str | None) -> bool:
    """Whether a change with this outcome is tried again; None for a change that has none."""
    return result in _TRIED or (result == _REFUSED and code is not None and code.startswith(_BY_THE_TARGET))


def may_hold_retries(counts: NineCounts | None, by_code: Mapping[str, int] | None = None) -> bool:
    """Whether a run with these counts may have changes to try again; without codes a refused one counts as such."""
    if counts is None:
        return False
    refused = counts.quarantined
    if by_code is not None:
        refused = min(refused, sum(number for code, number in by_code.items() if code.startswith(_BY_THE_TARGET)))
    return counts.failed + counts.dependency_skipped + refused > 0

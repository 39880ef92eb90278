"""The house lives through fixed seeds without ever doing what it must not.

Longer soaks live other seeds: `python -m tests.simulation`. A seed that fails here fails there again, with its trace.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

import pytest

from tests.simulation.seeds import SeedReport, run_seed

SEEDS = range(1, 41)


@lru_cache(maxsize=len(SEEDS))
def lived(seed: int) -> SeedReport:
    return run_seed(seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_and_nothing_happens_twice(seed: int) -> None:
    report = lived(seed)
    assert not report.violations, "\n".join(
        [f"python -m tests.simulation --seeds 1 --from {seed}", *report.violations, *report.trace]
    )


def test_the_seeds_meet_what_they_are_meant_to() -> None:
    """A simulation that never hits anything proves nothing: what it is about must have happened in these seeds."""
    reports = [lived(seed) for seed in SEEDS]
    faults, runs, changes = Counter[str](), Counter[str](), Counter[str]()
    for report in reports:
        faults += report.faults
        runs += report.runs
        changes += report.changes
    for wanted in (
        "kill",
        "kill at a step",
        "kill when its record was stored",
        "freeze",
        "freeze when its record was stored",
        "cut",
        "restart of the bus",
        "clock",
        "credential refused",
        "request lost",
        "answer lost",
        "acknowledgement lost",
        "acknowledgement forgotten",
        "forged message",
        "vendor: lost before",
        "vendor: lost after",
        "vendor: 429",
    ):
        assert faults[wanted], f"no {wanted!r} in {len(SEEDS)} seeds: {faults}"
    assert runs["succeeded"] >= len(SEEDS) // 2
    assert runs["partial"]
    assert changes["applied"] > 5 * len(SEEDS)
    assert changes["quarantined"]
    assert changes["deferred"]
    assert sum(report.effects for report in reports) > 5 * len(SEEDS)


def test_a_seed_is_the_same_whenever_it_is_lived() -> None:
    again = run_seed(7)
    assert (again.fingerprint, again.faults, again.virtual_seconds) == (
        lived(7).fingerprint,
        lived(7).faults,
        lived(7).virtual_seconds,
    )
    assert lived(8).fingerprint != again.fingerprint

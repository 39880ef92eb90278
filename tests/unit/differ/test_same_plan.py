"""The same plan from the same snapshots and memory, whatever the partitions and the order of rows."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from services.differ.planning import (
    Draft,
    plan_of,
)
from services.differ.tally import frame_of, tally_from, tally_of
from shared.contract.model import EntityContract
from shared.ports.wire import Value
from tests.unit.differ.drafts import brought, connector, draft
from tests.unit.differ.frames import Outcome, contract, missed_before, run, want
from tests.unit.plan.plan_builder import (
    ENTITY,
    record,
)


def _people() -> tuple[list[dict[str, Value]], list[dict[str, Value]]]:
    """Some of everything: new, changed, gone, re-keyed, renamed, and most of them as they should be."""
    live = [record(n, role=("TEACHER", "AIDE")[n % 2]) for n in range(60)]
    wanted = [want(n, role=("TEACHER", "AIDE")[n % 2]) for n in range(70)]
    for n in (3, 14, 25):
        wanted[n]["first_name"] = f"Other{n}"
    wanted[8]["role"] = "PRINCIPAL"
    wanted[30]["external_id"] = "E930"  # found again by its mail address
    gone = {5, 11, 17, 23}
    return [one for n, one in enumerate(wanted) if n not in gone], live


def _drafted(outcome: Outcome, partitions: int, under: EntityContract) -> Draft:
    told = [
        brought(pairs, number, compared=compared)
        for number, (pairs, compared) in enumerate(zip(outcome.pairs, outcome.compared, strict=True))
    ]
    told.append(brought(outcome.settled, partitions))
    tally = tally_of(outcome.settled)
    for pairs, compared in zip(outcome.pairs, outcome.compared, strict=True):
        # As it travels on the bus.
        tally += tally_from([frame_of(tally_of(pairs, compared))])
    whole = draft([])
    (entity,) = whole.entities
    entity = replace(
        entity,
        parts=[fact for fact, _ in reversed(told)],
        index=[part for _, parts in reversed(told) for part in parts],
        tally=tally,
        asides=outcome.aside,
    )
    return replace(whole, connector=connector(entities={ENTITY: under}), entities=[entity])


@pytest.mark.parametrize("partitions", [1, 3, 8])
@pytest.mark.parametrize("seed", [1, 2])
def test_plan_is_the_same_for_any_order_of_rows_and_number_of_partitions(partitions: int, seed: int) -> None:
    wanted, live = _people()
    under = contract(cohort=("role",))
    recall = missed_before(5, 11, 17)
    first = plan_of(_drafted(run(wanted, live, under=under, recall=recall), 1, under))
    rng = Random(seed)
    rng.shuffle(wanted)
    rng.shuffle(live)
    again = plan_of(_drafted(run(wanted, live, under=under, recall=recall, partitions=partitions), partitions, under))
    (figures,) = again.header.figures.entities
    assert figures.changes == {"create": 10, "rename": 1, "role_change": 1, "suspend": 3, "update": 3}
    assert figures.aside == {"DIF_FIRST_MISS": 1}
    assert again.header.model_dump(exclude={"figures": {"entities": {"__all__": {"sources"}}}}) == (
        first.header.model_dump(exclude={"figures": {"entities": {"__all__": {"sources"}}}})
    )
    assert (again.plan_digest, again.content_digest) == (first.plan_digest, first.content_digest)


def test_another_memory_of_misses_gives_another_plan() -> None:
    wanted, live = _people()
    under = contract()
    digests = {
        plan_of(_drafted(run(wanted, live, under=under, recall=recall), 1, under)).content_digest
        for recall in (missed_before(5), missed_before(5, 11), {})
    }
    assert len(digests) == 3

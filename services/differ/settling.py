"""Stage two: the residue of all partitions of one entity becomes creates, renames, adoptions and removals.

Pure. It is looked at in one piece because who is who cannot be told within a partition: a record whose key changed lies
in another one. Matching is in `services.differ.matching`, the ladder in `services.differ.removals`; the same residue
gives the same changes in whatever parts and order it came.
"""

from __future__ import annotations

from datetime import datetime

import polars as pl

from services.differ.comparing import Elsewhere, Entity, Linked, Memory, Recall, Settled
from services.differ.making import Maker
from services.differ.matching import Known, Matched, Residue, doubts_of, match
from services.differ.removals import Fate, Reads, fate_of, is_suspended, removal_class
from shared.plan.change import ChangeClass

_SUSPENDED = "is suspended"


def doubts(
    *, unmatched: pl.DataFrame, absent: pl.DataFrame, unkeyed: pl.DataFrame, recall: Recall, linked: Linked
) -> Elsewhere:
    """What `settle` must be told of the snapshots beyond the residue; nearly always nothing.

    Hand it back to `settle` with those target ids that exist in the target's snapshot, and those keys that are desired
    in the source's.
    """
    return doubts_of(Residue(unmatched, absent, unkeyed), recall=recall, linked=linked)


def settle(
    entity: Entity,
    *,
    unmatched: pl.DataFrame,
    absent: pl.DataFrame,
    unkeyed: pl.DataFrame,
    outside_keys: frozenset[str],
    quarantined_keys: frozenset[str],
    recall: Recall,
    linked: Linked,
    elsewhere: Elsewhere,
    may_remove: bool,
    certified_runs: int,
    now: datetime,
) -> Settled:
    """Everything that the residue brings.

    `unmatched` and `absent` are those of `residue_of` over all partitions; `unkeyed` are the target records without our
    key. `recall` knows the keys of both, `linked` all target ids in them and in what is recalled. `certified_runs` are
    those before this one.
    """
    settled = Settled()
    known = Known(
        recall=recall,
        linked=linked,
        elsewhere=elsewhere,
        quarantined_keys=quarantined_keys,
        is_complete=may_remove,
    )
    matched = match(entity.contract, Residue(unmatched, absent, unkeyed), known)
    maker = Maker(entity, recall, settled)
    maker.pairs(matched.pairs)
    maker.creates(matched.fresh)
    reads = Reads(may_remove=may_remove, certified_runs=certified_runs, now=now)
    _remove(entity, matched, maker, settled, reads, recall=recall, outside_keys=outside_keys)
    _tell_unclear(entity, matched, maker, absent)
    settled.ambiguous_keys = sorted(matched.unclear_desired)
    settled.removals_suppressed = sum(one.code == "DIF_NOT_CERTIFIED" for one in settled.aside)
    settled.put_in_order()
    return settled


def _remove(
    entity: Entity,
    matched: Matched,
    maker: Maker,
    settled: Settled,
    reads: Reads,
    *,
    recall: Recall,
    outside_keys: frozenset[str],
) -> None:
    contract = entity.contract
    rows = matched.absent.select("key", is_suspended(contract).alias(_SUSPENDED)).sort("key").rows()
    fates: dict[str, Fate] = {}
    for key, suspended in rows:
        memory = recall.get(key) or Memory(key)
        fate = fate_of(contract, memory, is_suspended=suspended, reads=reads)
        if fate is not None:
            fates[key] = fate
        settled.preserved += contract.removal.ladder == "preserve"
    if reads.may_remove:
        settled.missed = [key for key, _ in rows]
        settled.suspended_seen = [key for key, suspended in rows if suspended]
    maker.removals(matched.absent.filter(pl.col("key").is_in(list(fates))), fates, outside_keys)


def _tell_unclear(entity: Entity, matched: Matched, maker: Maker, absent: pl.DataFrame) -> None:
    """Records that are left for a person: whoever looks for a change of theirs finds why there is none."""
    contract = entity.contract
    made = ChangeClass.CREATE if contract.membership is None else ChangeClass.MEMBER_ADD
    for key, code in matched.unclear_desired.items():
        maker.leave_out(
            key=key, target_id=None, change_class=made if code == "MAT_AMBIGUOUS" else ChangeClass.UPDATE, code=code
        )
    if contract.removal.ladder == "preserve":
        return
    # Would be removed, were it clear who it is; what is suspended already would stay.
    live = absent.filter(pl.col("key").is_in(list(matched.unclear_existing)) & ~is_suspended(contract))
    for key, target_id in live.select("key", "target_id").iter_rows():
        if key not in matched.unclear_desired:
            maker.leave_out(
                key=key,
                target_id=target_id,
                change_class=removal_class(contract),
                code=matched.unclear_existing[key],
            )

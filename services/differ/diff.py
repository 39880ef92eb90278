"""Stage one, one partition of one entity: records are paired by key, and pairs that differ become changes.

Pure. What is in quarantine is unknown: it is neither changed nor removed. What finds no partner of its key is the
residue, for stage two (`services.differ.settling`) to look at together with that of the other partitions; so is a pair
of which the ledger says that one of the two belongs to another. Any replica can take any partition in any order.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import polars as pl

from services.differ.cells import differs, looked_at
from services.differ.comparing import EXISTING, Compared, DraftedPairs, Entity, Linked, Recall, cohort_of
from services.differ.engine import Paired, pair
from services.differ.making import Maker
from services.differ.removals import is_suspended
from shared.contract.model import EntityContract
from shared.records.hashes import HASH_COLUMNS, compared_fields, with_hashes

_IS_LIVE = "is live"


def compare(
    entity: Entity,
    *,
    desired: pl.DataFrame,
    existing: pl.DataFrame,
    quarantined_keys: frozenset[str],
    hashes_agree: bool = True,
) -> Compared:
    """Pair one partition of both sides; both frames hold keyed records, each key once.

    `quarantined_keys` are those of either side: of the source, rows that cannot be read; of the target, keys that
    several records claim. Hashes are made here where a frame lacks them, or where `hashes_agree` is false because the
    sides carry them in different versions.
    """
    contract = entity.contract
    if not hashes_agree or not {*HASH_COLUMNS} <= {*desired.columns} & {*existing.columns}:
        fields = compared_fields(contract)
        desired, existing = with_hashes(desired, fields), with_hashes(existing, fields)
    # A sound record whose key is in quarantine: several target records have it. Taken for new, it would be one more.
    contested = _among(desired, quarantined_keys)
    kept = _among(existing, quarantined_keys)
    paired = pair(desired, existing)
    is_live = existing.select("key", (~is_suspended(contract)).alias(_IS_LIVE)).get_column(_IS_LIVE)
    return Compared(
        pairs=_that_differ(contract, desired, existing, paired, unknown={*contested, *kept}),
        unmatched=_without(desired[paired.unmatched], contested).drop(HASH_COLUMNS),
        absent=_without(existing[paired.absent], kept).drop(HASH_COLUMNS),
        desired=desired.height,
        live_managed=int(is_live.sum()),
        quarantined_kept=len(kept),
        cohorts=_cohorts(contract, existing, is_live),
        groups=_groups(contract, existing, is_live),
        contested=sorted(contested),
    )


def changes_of_pairs(entity: Entity, pairs: pl.DataFrame, *, recall: Recall, linked: Linked) -> DraftedPairs:
    """The changes of the pairs of one partition; `pairs` is that of `compare`.

    `recall` knows their keys and `linked` their target ids. A pair of which either says that it belongs to another
    record becomes no change here.
    """
    doubts = [
        _is_doubtful(key, target_id, recall, linked)
        for key, target_id in pairs.select("key", EXISTING + "target_id").iter_rows()
    ]
    doubtful = pl.Series(doubts, dtype=pl.Boolean)
    drafted = DraftedPairs(doubtful=pairs.filter(doubtful))
    Maker(entity, recall, drafted).pairs(pairs.filter(~doubtful))
    drafted.put_in_order()
    return drafted


def residue_of(compared: Compared, doubtful: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What stage two has to look at of one partition: desired records, and target records that have a key."""
    desired = doubtful.select(name for name in doubtful.columns if not name.startswith(EXISTING))
    existing = doubtful.select(
        pl.col(name).alias(name.removeprefix(EXISTING)) for name in doubtful.columns if name.startswith(EXISTING)
    )
    return (
        pl.concat([compared.unmatched, desired.select(compared.unmatched.columns)]),
        pl.concat([compared.absent, existing.select(compared.absent.columns)]),
    )


def _is_doubtful(key: str, target_id: str, recall: Recall, linked: Linked) -> bool:
    if linked.get(target_id, key) != key:
        return True
    memory = recall.get(key)
    if memory is None or memory.target_id is None:
        return False
    # A link whose target record was linked to another key since is no link any more.
    return memory.target_id != target_id and linked.get(memory.target_id, key) == key


def _among(frame: pl.DataFrame, keys: Collection[str]) -> list[str]:
    if not keys:
        return []
    return frame.get_column("key").filter(frame.get_column("key").is_in(list(keys))).to_list()


def _without(frame: pl.DataFrame, keys: Collection[str]) -> pl.DataFrame:
    return frame.filter(~pl.col("key").is_in(list(keys))) if keys else frame


def _that_differ(
    contract: EntityContract, desired: pl.DataFrame, existing: pl.DataFrame, paired: Paired, *, unknown: Collection[str]
) -> pl.DataFrame:
    """The pairs with a difference that is one: unequal fingerprints are looked at in full, equal ones not at all."""
    look = paired.unequal
    for name, field in contract.fields.items():
        if field.protected:  # no part of the fingerprint, and still told of when it differs
            ours = desired.get_column(name).gather(paired.desired)
            look = look | ours.ne_missing(existing.get_column(name).gather(paired.existing)).to_numpy()
    ours_looked = desired[paired.desired[look]].drop(HASH_COLUMNS)
    theirs_looked = existing[paired.existing[look]].drop(HASH_COLUMNS)
    pairs = ours_looked.hstack(theirs_looked.rename(lambda name: EXISTING + name))
    unequal = [differs(contract, ours_looked, name) for name in looked_at(contract)]
    return _without(pairs.filter(pl.any_horizontal(unequal)) if unequal else pairs.clear(), unknown)


def _cohorts(contract: EntityContract, existing: pl.DataFrame, is_live: pl.Series) -> Mapping[str, int]:
    if not contract.cohort:
        return {}
    counted: dict[str, int] = {}
    # Null and the empty text are different values and one cohort, so names are added up.
    for *values, number in existing.select(contract.cohort).filter(is_live).group_by(contract.cohort).len().iter_rows():
        name = cohort_of(contract, dict(zip(contract.cohort, values, strict=True)))
        counted[name] = counted.get(name, 0) + number
    return {name: counted[name] for name in sorted(counted)}


def _groups(contract: EntityContract, existing: pl.DataFrame, is_live: pl.Series) -> Mapping[str, int]:
    if contract.membership is None:
        return {}
    counted = existing.select(contract.membership.group).filter(is_live).to_series().value_counts().iter_rows()
    return dict(sorted((str(group), number) for group, number in counted))

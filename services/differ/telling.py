"""What a comparison brought, as the fact that is told of it: counts and references, and no value of a record.

Pure. Both stages are told in the same words, so that the plan's figures are sums over all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.differ.comparing import Compared, Drafted, Settled
from shared.events.documents import PageReference, PartitionManifest
from shared.events.facts import PartitionDiffed


@dataclass(frozen=True)
class Work:
    """What was done, and what it took."""

    run: str
    entity: str
    partition: int
    pages: tuple[PageReference, ...]
    index: tuple[PageReference, ...]
    seconds: float
    memory_peak_mb: int


def partition_told(
    work: Work, compared: Compared, drafted: Drafted, *, attempt: str, residue: tuple[PartitionManifest, ...]
) -> PartitionDiffed:
    """The first stage: one partition."""
    return _told(work, drafted).model_copy(
        update={
            "ambiguous": len(compared.contested),
            "desired": compared.desired,
            "live_managed": compared.live_managed,
            "quarantined_kept": compared.quarantined_kept,
            "attempt": attempt,
            "residue": residue,
        }
    )


def settling_told(work: Work, settled: Settled) -> PartitionDiffed:
    """The second stage: the residue of all partitions; records were counted with their partitions."""
    return _told(work, settled).model_copy(
        update={"ambiguous": len(settled.ambiguous_keys), "removals_suppressed": settled.removals_suppressed}
    )


def _told(work: Work, drafted: Drafted) -> PartitionDiffed:
    return PartitionDiffed(
        run=work.run,
        partition=work.partition,
        entity=work.entity,
        changes=len(drafted.changes),
        changes_by_class=drafted.by_class,
        null_outs=drafted.null_outs,
        ambiguous=0,
        removals_suppressed=0,
        desired=0,
        live_managed=0,
        quarantined_kept=0,
        pages=work.pages,
        seconds=round(work.seconds, 3),
        memory_peak_mb=work.memory_peak_mb,
        index=work.index,
        aside=drafted.aside_by_code,
        field_changes=drafted.field_changes,
    )

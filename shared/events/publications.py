"""Who publishes which event type, and where: the one table of it.

The permissions of the bus (`shared.bus.topology`) say where a service may write; these rows say what it writes there.
The published description of the house is made from them, and tests hold them against the permissions and against
what a real run leaves on the bus. Pure data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from shared.records.subjects import BATCH_TYPE

_PARAMETER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Publication:
    """One event type at one address."""

    event_type: str
    address: str
    """The subject, with each varying token as `{name}`."""
    services: tuple[str, ...]
    """Who publishes it there."""

    @property
    def pattern(self) -> str:
        """The address as a subject pattern of the bus."""
        return _PARAMETER.sub("*", self.address)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the varying tokens, in order."""
        return tuple(_PARAMETER.findall(self.address))


PUBLISHES: tuple[Publication, ...] = (
    # The run's document and what people asked.
    Publication("aether.run.state.v1", "run.{run}.state", ("extractor", "differ", "applier")),
    Publication("aether.connector.active.v1", "connector.{connector}.active", ("extractor", "applier")),
    Publication("aether.connector.declared.v1", "connector.{connector}.declared", ("differ",)),
    Publication("aether.schedule.state.v1", "connector.{connector}.schedule", ("extractor",)),
    Publication("aether.schedule.fired.v1", "evt.extractor.schedule_fired.{connector}", ("extractor",)),
    Publication("aether.schedule.skipped.v1", "evt.extractor.schedule_skipped.{connector}", ("extractor",)),
    Publication("aether.schedule.paused.v1", "evt.extractor.schedule_paused.{connector}", ("extractor",)),
    Publication("aether.schedule.resumed.v1", "evt.extractor.schedule_resumed.{connector}", ("extractor",)),
    Publication("aether.connector.promotions.v1", "connector.{connector}.promoted", ("extractor",)),
    Publication("aether.connector.promoted.v1", "evt.extractor.connector_promoted.{connector}", ("extractor",)),
    Publication("aether.delta.declared.v1", "evt.differ.delta_declared.{connector}", ("differ",)),
    Publication("aether.delta.withdrawn.v1", "evt.differ.delta_withdrawn.{connector}", ("differ",)),
    Publication("aether.run.requested.v1", "evt.extractor.run_requested.{run}", ("extractor",)),
    Publication("aether.run.cancelled.v1", "evt.extractor.run_cancelled.{run}", ("extractor",)),
    Publication("aether.command.refused.v1", "audit.extractor.refused", ("extractor",)),
    Publication("aether.command.refused.v1", "audit.differ.refused", ("differ",)),
    Publication("aether.command.refused.v1", "audit.applier.refused", ("applier",)),
    Publication("aether.command.refused.v1", "audit.auditor.refused", ("auditor",)),
    # What should not happen.
    Publication("aether.alarm.raised.v1", "audit.extractor.alarm", ("extractor",)),
    Publication("aether.alarm.raised.v1", "audit.differ.alarm", ("differ",)),
    Publication("aether.alarm.raised.v1", "audit.applier.alarm", ("applier",)),
    # Extract.
    Publication("aether.extract.read.v1", "cmd.extract.{run}.{side}.{entity}", ("extractor",)),
    Publication(BATCH_TYPE, "snap.{run}.{side}.{entity}.{attempt}.{partition}", ("extractor",)),
    Publication("aether.snapshot.read.v1", "evt.extractor.snapshot_read.{run}.{side}.{entity}", ("extractor",)),
    # Diff and plan.
    Publication("aether.diff.partition.v1", "cmd.diff.{run}.{partition}", ("extractor",)),
    Publication("aether.partition.diffed.v1", "evt.differ.partition_diffed.{run}.{entity}.{partition}", ("differ",)),
    Publication(BATCH_TYPE, "snap.{run}.residue.{entity}.{attempt}.{partition}", ("differ",)),
    Publication("aether.plan.page.v1", "plan.{run}.page.{entity}.{partition}.{number}", ("differ",)),
    Publication("aether.plan.index.v1", "plan.{run}.index.{entity}.{partition}.{number}", ("differ",)),
    Publication("aether.plan.draft.v1", "cmd.plan.{run}", ("differ",)),
    Publication("aether.plan.v1", "plan.{run}.header", ("differ",)),
    Publication("aether.plan.drafted.v1", "evt.differ.plan_drafted.{run}", ("differ",)),
    Publication("aether.plan.decided.v1", "evt.differ.plan_decided.{run}", ("differ",)),
    Publication("aether.plan.expire.v1", "cmd.expire.{run}", ("differ",)),
    Publication("aether.run.expired.v1", "evt.differ.run_expired.{run}", ("differ",)),
    # Apply.
    Publication("aether.apply.plan.v1", "cmd.apply.{run}", ("differ", "applier")),
    Publication("aether.target.fenced.v1", "led.fence.{target}", ("applier",)),
    Publication("aether.change.intended.v1", "led.{run}.change.{change_id}", ("applier",)),
    Publication("aether.change.concluded.v1", "led.{run}.change.{change_id}", ("applier",)),
    Publication("aether.apply.refused.v1", "evt.applier.apply_refused.{run}", ("applier",)),
    Publication("aether.apply.started.v1", "evt.applier.apply_started.{target}", ("applier",)),
    Publication("aether.apply.paused.v1", "evt.applier.apply_paused.{run}", ("applier",)),
    Publication("aether.run.pause_requested.v1", "evt.applier.pause_requested.{run}", ("applier",)),
    Publication("aether.run.retry_requested.v1", "evt.applier.retry_requested.{run}", ("applier",)),
    Publication("aether.connection.health.v1", "connection.{connection}.health", ("applier",)),
    Publication("aether.run.resumed.v1", "evt.applier.run_resumed.{run}", ("applier",)),
    Publication("aether.apply.finished.v1", "evt.applier.apply_finished.{run}", ("applier",)),
    # Audit.
    Publication("aether.run.sealed.v1", "evt.auditor.run_sealed.{run}", ("auditor",)),
    Publication("aether.audit.mismatch.v1", "audit.auditor.mismatch", ("auditor",)),
    Publication("aether.audit.messages_lost.v1", "audit.auditor.messages_lost", ("auditor",)),
    Publication("aether.audit.change_revealed.v1", "audit.auditor.change_revealed", ("auditor",)),
    Publication("aether.console.acted.v1", "audit.console.acted", ("console",)),
    # Notices to people.
    Publication("aether.notice.sent.v1", "audit.monitor.notice_sent", ("monitor",)),
    Publication("aether.notice.taken_over.v1", "audit.monitor.notices_taken_over", ("monitor",)),
)

"""Every event type there is, by its name; from it the schemas, the documents and the decoding of mixed streams."""

from __future__ import annotations

from shared.events import commands, facts, operating, schedules
from shared.events.model import Event
from shared.plan.document import Plan, PlanIndexPart, PlanPage
from shared.run.active import ConnectorActive
from shared.run.declared import DeclaredDeltas
from shared.run.promoted import ConnectorPromotions
from shared.run.state import RunState
from shared.schedule.state import ScheduleState

EVENTS: dict[str, type[Event]] = {
    event.event_type: event
    for event in (
        RunState,
        ConnectorActive,
        DeclaredDeltas,
        ConnectorPromotions,
        operating.ConnectorPromoted,
        ScheduleState,
        schedules.ScheduleFired,
        schedules.ScheduleSkipped,
        schedules.SchedulePaused,
        schedules.ScheduleResumed,
        operating.NoticeSent,
        operating.NoticesTakenOver,
        Plan,
        PlanPage,
        PlanIndexPart,
        commands.ReadSide,
        commands.DiffPartition,
        commands.DraftPlan,
        commands.ApplyPlan,
        commands.ExpirePlan,
        facts.RunRequested,
        facts.CommandRefused,
        facts.SnapshotRead,
        facts.PartitionDiffed,
        facts.PlanDrafted,
        facts.PlanDecided,
        facts.RunCancelled,
        facts.RunResumed,
        facts.PauseRequested,
        facts.RetryRequested,
        facts.RunExpired,
        facts.ConnectionHealth,
        facts.AlarmRaised,
        facts.ApplyRefused,
        facts.ApplyStarted,
        facts.ApplyPaused,
        facts.ApplyFinished,
        facts.IntentRecorded,
        facts.OutcomeRecorded,
        facts.RunSealed,
        facts.TargetFenced,
        facts.RecordMismatch,
        facts.MessagesLost,
        facts.DeltaDeclared,
        facts.DeltaWithdrawn,
        facts.ChangeRevealed,
        facts.ConsoleActed,
    )
}

"""Every decision about a run is told with who, when and why, and every refusal with who, when and which code."""

from __future__ import annotations

from datetime import UTC, datetime

from services.auditor.merging import Arrived
from services.auditor.recording import Projected, project, record
from shared.audit.run_events import REASON_CHARACTERS_MAX, decisions_in, refusals_in
from shared.audit.stored import StoredEvent
from shared.events import facts
from shared.events.documents import FailureNote
from shared.events.envelope import body_of
from shared.events.model import Event
from shared.policy.approval import Approval, SignedApproval

RUN = "20260131T080000-4k7zq2"
DIGEST = "sha256:" + "0" * 64


def _decided(decision: str, *, approver: str = "anna", is_override: bool = False) -> facts.PlanDecided:
    approval = Approval.model_validate(
        {
            "run": RUN, "plan_digest": DIGEST, "verdict_digest": DIGEST, "decision": decision,
            "is_override": is_override, "approver": approver, "reason": f"{approver} says {decision}", "nonce": "n",
            "signed_at": "2026-01-31T07:00:00.000Z", "expires_at": "2026-02-01T07:00:00.000Z",
        }
    )  # fmt: skip
    return facts.PlanDecided(run=RUN, signed=SignedApproval(approval=approval, signature="s"), is_final=True)


def _stored(*events: Event) -> list[StoredEvent]:
    """The events as the auditor records and then finds them, newest first, one a minute from 08:01 on."""
    found: list[StoredEvent] = []
    for minute, event in enumerate(events, start=1):
        arrived = Arrived(
            stream="CORE",
            seq=minute,
            subject=f"evt.test.{RUN}",
            headers={"ce-type": event.event_type},
            data=body_of(event),
            time_us=int(datetime(2026, 1, 31, 8, minute, tzinfo=UTC).timestamp()) * 1_000_000,
        )
        recorded, into = record(arrived, minute), Projected()
        project(recorded, arrived, into)
        found += [StoredEvent(row["type"], row["body"], recorded.body.decode()) for row in into.run_events]
    return found[::-1]


def test_every_decision_is_told_with_who_when_and_why_oldest_first() -> None:
    views = decisions_in(
        _stored(
            _decided("approve", is_override=True),
            _decided("reject", approver="berta"),
            facts.RunResumed(run=RUN, actor="otto", reason="credential renewed"),
            facts.RunCancelled(run=RUN, actor="otto", reason="wrong night"),
            facts.PauseRequested(run=RUN, actor="olga", reason="office hours"),
            facts.RetryRequested(
                run=RUN, retry_of="20260130T080000-4k7zq2", connector="c", actor="olga", reason="mended", changes=2
            ),
        )
    )
    assert [(view.decision, view.person, view.is_override, view.reason) for view in views] == [
        ("approve", "anna", True, "anna says approve"),
        ("reject", "berta", False, "berta says reject"),
        ("resume", "otto", False, "credential renewed"),
        ("cancel", "otto", False, "wrong night"),
        ("pause", "olga", False, "office hours"),
        ("retry", "olga", False, "mended"),
    ]
    assert [view.at for view in views] == [f"2026-01-31T08:0{minute}:00.000Z" for minute in range(1, 7)]


def test_alarm_expiry_and_quarantine_are_told_among_the_refusals_and_a_probe_is_not() -> None:
    note = FailureNote(code="APL_AUTH", text="401")
    sick = facts.ConnectionHealth(connection="titan", status="quarantined", since="s", reason=note, run=RUN)
    forged = FailureNote(code="APL_PLAN_ALTERED", text="another digest")
    views = refusals_in(
        _stored(
            facts.RunExpired(run=RUN, plan_digest=DIGEST, expired_at="2026-02-01T07:00:00.000Z"),
            facts.AlarmRaised(service="applier", run=RUN, reason=forged),
            sick,
            sick.model_copy(update={"probes": 1}),
            sick.model_copy(update={"status": "healthy", "reason": None}),
        )
    )
    assert [(view.what, view.code, view.text) for view in views] == [
        ("plan", "APV_EXPIRED", "nobody decided upon the plan until 2026-02-01T07:00:00.000Z"),
        ("with an alarm by the applier", "APL_PLAN_ALTERED", "another digest"),
        ("connection titan, now in quarantine", "APL_AUTH", "401"),
    ]


def test_every_refusal_is_told_with_who_when_and_code() -> None:
    own = FailureNote(code="APV_OWN_REQUEST", text="otto requested the run")
    stale = FailureNote(code="APL_STALE", text="the target moved")
    views = refusals_in(
        _stored(
            facts.CommandRefused(command="aether.run.approve", run=RUN, actor="otto", refusal=own),
            facts.ApplyRefused(run=RUN, refusal=stale),
        )
    )
    assert [(view.what, view.person, view.at, view.code) for view in views] == [
        ("aether.run.approve", "otto", "2026-01-31T08:01:00.000Z", "APV_OWN_REQUEST"),
        ("apply", None, "2026-01-31T08:02:00.000Z", "APL_STALE"),
    ]


def test_reason_of_a_decision_stands_in_the_answer_and_never_in_the_audit_log() -> None:
    (stored,) = _stored(_decided("reject"))
    assert "anna says reject" not in stored.entry
    assert decisions_in([stored])[0].reason == "anna says reject"


def test_reason_without_end_is_cut() -> None:
    (view,) = decisions_in(_stored(facts.RunCancelled(run=RUN, actor=None, reason="x" * 100_000)))
    assert len(view.reason) == REASON_CHARACTERS_MAX
    assert view.person == "nobody known"

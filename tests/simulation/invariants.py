"""What must never happen, checked from outside the house: while it works, and when it has come to rest.

Nothing here asks the house whether it did right: intents, outcomes, fences and states are read from what lies on the
bus, effects from the vendor's journal; approvals are verified under the approvers' public keys, and counts are counted
again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from shared.events.facts import IntentRecorded, OutcomeRecorded, TargetFenced
from shared.hashing.merkle import leaf_hash, root_of
from shared.hashing.signing import verify
from shared.plan.change import Change, leaf_of
from shared.plan.document import Plan, PlanPage, header_subject, leaves_of, plan_digest_of
from shared.policy.approval import SIGNATURE_DOMAIN, payload_of
from shared.ports.wire import Value, WireWrite
from shared.run.state import RunState
from shared.run.states import MOVES, RunStatus
from tests.simulation.bus import Bus
from tests.simulation.client import SimClient
from tests.simulation.loop import PROCESS, Process
from tests.simulation.streams import Kept, Stream, matches
from tests.simulation.vendor import Vendor
from tests.unit.plan.plan_builder import IDENTITIES

AT_WORK = frozenset({RunStatus.APPLYING, RunStatus.THROTTLED})


@dataclass(frozen=True)
class Intent:
    """An intent as it was stored."""

    run: str
    token: int


@dataclass
class Watch:
    """Sees everything that is stored and sent; `violations` says what should not have been."""

    bus: Bus
    vendor: Vendor
    violations: list[str] = field(default_factory=list)
    states: dict[str, RunState] = field(default_factory=dict)
    """Each run's last document."""
    fence: TargetFenced | None = None
    fenced_by: str = ""
    """The process that planted it."""
    intents: dict[str, list[Intent]] = field(default_factory=lambda: defaultdict(list))
    """By change."""
    outcomes: dict[tuple[str, str], OutcomeRecorded] = field(default_factory=dict)
    """The last one by run and change; removed by a later intent, when a change is tried again."""
    all_outcomes: list[OutcomeRecorded] = field(default_factory=list)
    intended: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Changes that ever had an intent, by run."""
    forgers: set[str] = field(default_factory=set)
    """Connections whose messages nobody may believe."""
    genuine: dict[str, Kept] = field(default_factory=dict)
    """What the differ itself stored on PLAN, by subject."""
    _plans: dict[str, tuple[Plan, dict[str, Change]]] = field(default_factory=dict)

    def violated(self, what: str) -> None:
        """Note what must not happen."""
        self.violations.append(f"{self.bus.loop.time():.3f} s: {what}")

    # --- while it works ---------------------------------------------------------------------------------------------

    def stored(self, stream: Stream, one: Kept, sender: SimClient | None) -> None:
        """Something was stored."""
        if sender is not None and sender.name in self.forgers:
            return
        by = "" if sender is None else _process_of(sender)
        if stream.spec.name == "CORE" and matches("run.*.state", one.subject):
            self._state_stored(RunState.model_validate_json(one.data))
        elif stream.spec.name == "PLAN":
            self.genuine.setdefault(one.subject, one)
        elif stream.spec.name == "LEDGER":
            self._ledger_stored(one, by)

    def _state_stored(self, state: RunState) -> None:
        before = self.states.get(state.run)
        self.states[state.run] = state
        if before is None:
            return
        if not MOVES[before.status]:
            self.violated(
                f"run {state.run} was {before.status}, which is an end, and has another document: {state.status}"
            )
        elif state.status is not before.status and state.status not in MOVES[before.status]:
            self.violated(f"run {state.run} went from {before.status} to {state.status}")

    def _ledger_stored(self, one: Kept, by: str) -> None:
        if matches("led.fence.*", one.subject):
            fence = TargetFenced.model_validate_json(one.data)
            if self.fence is not None and fence.fencing_token < self.fence.fencing_token:
                self.violated(f"fence {fence.fencing_token} was planted after {self.fence.fencing_token}")
            self.fence, self.fenced_by = fence, by
            return
        kind = OutcomeRecorded if one.headers["ce-type"] == OutcomeRecorded.event_type else IntentRecorded
        record = kind.model_validate_json(one.data)
        if self.fence is None or record.fencing_token != self.fence.fencing_token:
            self.violated(
                f"a message of token {record.fencing_token} was stored on LEDGER under fence "
                f"{self.fence and self.fence.fencing_token}: {one.subject}"
            )
        if not MOVES[self.states[record.run].status]:
            self.violated(f"{one.subject} was stored although the run had ended as {self.states[record.run].status}")
        if isinstance(record, IntentRecorded):
            self.intents[record.change_id].append(Intent(record.run, record.fencing_token))
            self.intended[record.run].add(record.change_id)
            if self.outcomes.pop((record.run, record.change_id), None) is not None:
                self.violated(f"change {record.change_id[:12]} of run {record.run} was intended after its outcome")
        else:
            self.outcomes[record.run, record.change_id] = record
            self.all_outcomes.append(record)

    def sent(self, change_id: str, write: WireWrite, process: Process) -> None:
        """A write has left a process for the vendor."""
        name = f"{process.name} sent change {change_id[:12]}"
        intents = self.intents.get(change_id)
        if not intents:
            self.violated(f"{name} without an intent")
            return
        intent = intents[-1]
        if self.fence is None or intent.token != self.fence.fencing_token:
            self.violated(f"{name} under an intent of token {intent.token}, fenced is {self.fence}")
        if self.fenced_by != process.name:
            self.violated(f"{name} although {self.fenced_by} had planted the fence")
        if (intent.run, change_id) in self.outcomes:
            self.violated(f"{name} after its outcome")
        state = self.states[intent.run]
        if state.status not in AT_WORK:
            self.violated(f"{name} of run {intent.run}, which is {state.status}")
        self._require_approved(state, change_id, write, name)

    def _require_approved(self, state: RunState, change_id: str, write: WireWrite, name: str) -> None:
        plan, changes = self.plan_of(state.plan_run)
        change = changes.get(change_id)
        if change is None:
            self.violated(f"{name}, which the plan does not hold")
        elif (write.method, write.path, write.body) != (change.write.method, change.write.path, change.write.body):
            self.violated(f"{name} with another content than planned")
        approvers: set[str] = set()
        for signed in self.states[state.plan_run].approvals:
            approval = signed.approval
            person = IDENTITIES.people.get(approval.approver)
            if person is None or person.approval_key is None or "approver" not in person.roles:
                continue
            is_good = verify(
                person.approval_key, domain=SIGNATURE_DOMAIN, payload=payload_of(approval), signature=signed.signature
            )
            is_of_this = approval.plan_digest == plan.plan_digest and approval.subset == self._part_with(
                change_id, plan, changes
            )
            if is_good and approval.decision == "approve" and is_of_this:
                approvers.add(approval.approver)
        approvers.discard(plan.header.requester or "")
        if len(approvers) < plan.header.approvals_needed:
            self.violated(f"{name} with approvals of {sorted(approvers)}, needed are {plan.header.approvals_needed}")

    def _part_with(self, change_id: str, plan: Plan, changes: dict[str, Change]) -> str:
        """What an approval must be of for this change to be written; nothing can be when it was left out."""
        left_out = set(self.states[plan.header.run].deferred)
        if not left_out:
            return "ALL"
        if change_id in left_out:
            return "none: it was left out"
        kept = [leaf_hash(leaf_of(changes[one])) for one in sorted(changes) if one not in left_out]
        return "sha256:" + root_of(kept).hex()

    def plan_of(self, run: str) -> tuple[Plan, dict[str, Change]]:
        """The plan as the differ stored it, with a digest of our own reckoning."""
        if run not in self._plans:
            plan = Plan.model_validate_json(self.genuine[header_subject(run)].data)
            pages = [PlanPage.model_validate_json(self.genuine[page.subject].data) for page in plan.pages]
            changes = [change for page in pages for change in page.changes]
            digest = plan_digest_of(plan.header, leaves_of(changes))
            self._plans[run] = plan.model_copy(update={"plan_digest": digest}), {one.change_id: one for one in changes}
        return self._plans[run]

    # --- at rest ----------------------------------------------------------------------------------------------------

    def at_rest(self, beginning: dict[str, dict[str, Value]]) -> None:
        """Everything has ended; `beginning` are the vendor's records at the start, by key."""
        for refused in self.bus.refused:
            self.violated(f"permission: {refused}")
        for run, state in self.states.items():
            if state.has_ended:
                self._require_counted(run, state)
            else:
                self.violated(f"run {run} is stuck: {state.status}")
        self._require_effects_once()
        self._require_records_as_told(beginning)

    def _require_counted(self, run: str, state: RunState) -> None:
        if state.counts is None:
            if self.intended[run]:
                self.violated(f"run {run} ended as {state.status} without counts and has intents")
            return
        told = {name: number for name, number in state.counts.model_dump().items() if number and name != "planned"}
        found = Counter(outcome.result for (of, _), outcome in self.outcomes.items() if of == run)
        concluded = {change for of, change in self.outcomes if of == run}
        unknown = len(self.intended[run] - concluded)
        planned = state.plan.changes if state.plan is not None else 0
        counted: Counter[str] = Counter(found)
        counted["unknown"] += unknown
        counted["not_attempted"] += planned - len(concluded) - unknown
        if told != {name: number for name, number in counted.items() if number} or unknown:
            self.violated(f"run {run} ended as {state.status} with {told}, the ledger shows {dict(counted)}")
        is_clean = set(told) <= {"applied", "noop_already"}
        if (state.status is RunStatus.SUCCEEDED) != is_clean and state.status is RunStatus.SUCCEEDED:
            self.violated(f"run {run} is told to have succeeded with {told}")

    def _require_effects_once(self) -> None:
        effects = Counter(effect.change_id for effect in self.vendor.effects)
        for change_id, number in effects.items():
            if number > 1:
                self.violated(f"change {change_id[:12]} took effect {number} times")
        created = Counter(effect.key for effect in self.vendor.effects if effect.method == "POST")
        for key, number in created.items():
            if number > 1:
                self.violated(f"{key} was created {number} times")
        told = {one.change_id for one in self.all_outcomes if one.result == "applied"}
        for effect in self.vendor.effects:
            if effect.change_id not in told and effect.key not in self.vendor.touched:
                results = [(one.result, one.code) for one in self.all_outcomes if one.change_id == effect.change_id]
                self.violated(f"change {effect.change_id[:12]} took effect, and is told as {results}")
        for change_id in told - set(effects) - self.vendor.lied:
            if self._key_of(change_id) not in self.vendor.touched:
                self.violated(f"change {change_id[:12]} is told as applied and never took effect")

    def _key_of(self, change_id: str) -> str:
        return next((one[change_id].key for _, one in self._plans.values() if change_id in one), "")

    def _require_records_as_told(self, beginning: dict[str, dict[str, Value]]) -> None:
        """The vendor's records are those of the beginning with what was told as applied, and nothing else."""
        expected = {key: dict(record) for key, record in beginning.items()}
        never_done = self.vendor.lied - {effect.change_id for effect in self.vendor.effects}
        for outcome in self.all_outcomes:
            if outcome.result != "applied" or outcome.change_id in never_done:
                continue
            _, changes = self.plan_of(self.states[outcome.run].plan_run)
            change = changes[outcome.change_id]
            expected.setdefault(change.key, {}).update({one.name: one.after for one in change.fields})
        found = {str(record["external_id"]): record for record in self.vendor.records.values()}
        for key in sorted(set(expected) | set(found)):
            if key in self.vendor.touched:
                continue
            mine, theirs = expected.get(key, {}), found.get(key, {})
            names = (set(mine) | set(theirs)) - {"target_id"}
            if any(mine.get(name) != theirs.get(name) for name in names):
                self.violated(f"record {key} at the vendor is not what the outcomes say")


def _process_of(sender: SimClient) -> str:
    process: Process | None = sender.context.get(PROCESS)
    return "" if process is None else process.name

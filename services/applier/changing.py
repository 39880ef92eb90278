"""One change: look at its record, send its write, find out what became of it.

What is written stands in the plan; this file compares the live record with what the plan saw (`preconditions`) before
a write, and with what the write should have made of it wherever the answer does not tell. A target may show a write
late, so a look that does not find it is repeated before it is believed. It records nothing: intents and outcomes are
made durable by the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import structlog

from services.applier.outcomes import Known
from services.applier.preconditions import Standing, standing
from services.applier.requests import TRIES_MAX, Defect, Exhausted, Heeds, Requests, Tries
from services.applier.stopping import Stopped, Stopping
from shared.errors import OutcomeUnknown, TargetMoved
from shared.events.documents import FailureNote
from shared.events.facts import OutcomeRecorded, Result
from shared.plan.change import Change
from shared.plan.document import EntityPlan, PlanHeader
from shared.ports.system import Receipt
from shared.ports.wire import Record

log = structlog.get_logger(__name__)

LOOKS_MAX: Final = 3
"""How often a record is looked at before it is believed that it does not show a write."""
LOOK_WAIT_SECONDS: Final = (0.2, 1.0)
"""Before the second look and before the third."""
INTERNAL_ERRORS_MAX: Final = 3


class Changing:
    """What is done with one change after the other."""

    def __init__(self, *, header: PlanHeader, token: int, requests: Requests, stopping: Stopping, known: Known) -> None:
        self._run = header.run
        self._token = token
        self._requests = requests
        self._stopping = stopping
        self._known = known
        self._plans: Mapping[str, EntityPlan] = {one.entity: one for one in header.entities}
        self._internal_errors = 0
        self.in_doubt: set[str] = set()
        """Changes whose write went out here and was not answered; the target may yet show it."""

    # --- look -------------------------------------------------------------------------------------------------------

    async def look(self, change: Change) -> OutcomeRecorded | None:
        """The outcome of a change that needs no write, or must not be written; None when its write may go out."""
        # A write of ours that was not answered may show late: it is not sent again upon a single look.
        was_intended = change.change_id in self._known.attempts
        found, live = await self._looked(change, looks=LOOKS_MAX if was_intended else 1, is_in_doubt=was_intended)
        match found:
            case Standing.AS_PLANNED:
                return None
            case Standing.ALREADY:
                # With an intent of ours on record it was our write that made it so.
                result: Result = "applied" if was_intended else "noop_already"
                return self.outcome(change, result, target_id=id_of(live), is_read_back=True)
            case Standing.MOVED:
                return self.stale(change)

    def standing(self, change: Change, live: Record | None) -> Standing:
        """How the live record stands to the change."""
        plan = self._plans[change.entity]
        return standing(
            change, live, compared_fields=plan.compared_fields, unmanaged_fields=frozenset(plan.unmanaged_fields)
        )

    # --- write ------------------------------------------------------------------------------------------------------

    async def write(self, change: Change, *, reads_back: bool) -> OutcomeRecorded | None:
        """Send the write of a change whose intent is durable; None when its outcome is left to a later look."""
        tries = Tries()
        # A person who wants a pause lets what is under way end; whoever wants the run to end does not.
        heeds: Heeds = "an end"
        while True:  # bounded by TRIES_MAX, counted in `tries`
            try:
                receipt = await self._requests.write(change, tries, heeds=heeds)
            except Stopped:
                is_done_with = self._stopping.is_ending and change.change_id not in self.in_doubt
                return self.outcome(change, "not_attempted", tries=tries.used) if is_done_with else None
            except OutcomeUnknown as error:
                self.in_doubt.add(change.change_id)
                outcome = await self._found(change, tries)
                if outcome is not None:
                    return outcome
                if tries.used >= TRIES_MAX:
                    # An answer that is an error, and a record that does not show the write: it was not done.
                    is_in_doubt = "status" not in error.facts
                    raise Exhausted(error, kind="write", tries=tries, is_in_doubt=is_in_doubt) from error
            except TargetMoved:
                return await self._found(change, tries) or self.stale(change, tries=tries.used)
            except Defect as error:
                self.in_doubt.add(change.change_id)
                return await self._found(change, tries) or self.defect(change, error)
            else:
                return await self._accepted(change, receipt, tries, reads_back=reads_back)
            heeds = "every stop"

    async def _found(self, change: Change, tries: Tries) -> OutcomeRecorded | None:
        """What became of a write whose answer does not tell, by reading the target; None when it was not done."""
        is_ours = change.change_id in self.in_doubt or self._known.attempts.get(change.change_id, 0) > 1
        found, live = await self._looked(change, looks=LOOKS_MAX if is_ours else 1, is_in_doubt=True, heeds="no stop")
        match found:
            case Standing.ALREADY:
                result: Result = "applied" if is_ours else "noop_already"
                return self.outcome(change, result, target_id=id_of(live), is_read_back=True, tries=tries.used)
            case Standing.AS_PLANNED:
                return None
            case Standing.MOVED:
                return self.stale(change, tries=tries.used)

    async def _accepted(self, change: Change, receipt: Receipt, tries: Tries, *, reads_back: bool) -> OutcomeRecorded:
        """The outcome of a write that was accepted: as the answer says, or as the record shows it."""
        target_id = receipt.target_id
        if reads_back:
            self.in_doubt.add(change.change_id)
            if not await self.is_shown(change, target_id=target_id):
                return self.not_kept(change, target_id=target_id, tries=tries.used)
        return self.outcome(change, "applied", target_id=target_id, is_read_back=reads_back, tries=tries.used)

    async def is_shown(self, change: Change, *, target_id: str | None) -> bool:
        """Whether the target shows what was written."""
        found, _ = await self._looked(change, target_id=target_id, looks=LOOKS_MAX, is_in_doubt=True, heeds="no stop")
        return found is Standing.ALREADY

    async def _looked(
        self,
        change: Change,
        *,
        looks: int,
        is_in_doubt: bool,
        target_id: str | None = None,
        heeds: Heeds = "every stop",
    ) -> tuple[Standing, Record | None]:
        """How the record stands to the change when it has been looked at so often, or shows what was written."""
        tries = Tries()
        number = 0
        while True:
            try:
                live = await self._requests.fetch(change, tries, target_id=target_id, heeds=heeds)
            except Exhausted as exhausted:
                exhausted.is_in_doubt = is_in_doubt
                raise
            found = self.standing(change, live)
            number += 1
            if found is Standing.ALREADY or number >= looks:
                return found, live
            await self._stopping.sleep(LOOK_WAIT_SECONDS[min(number, len(LOOK_WAIT_SECONDS)) - 1])

    # --- outcomes ---------------------------------------------------------------------------------------------------

    def not_kept(self, change: Change, *, target_id: str | None, tries: int) -> OutcomeRecorded:
        """The outcome of a write that the target accepted and does not show."""
        return self.outcome(change, "failed", code="VER_NOT_KEPT", target_id=target_id, is_read_back=True, tries=tries)

    def stale(self, change: Change, *, tries: int = 0) -> OutcomeRecorded:
        """The outcome of a change whose record is not what the plan saw."""
        return self.outcome(change, "stale_skipped", code="APL_CONFLICT", is_read_back=True, tries=tries)

    def defect(self, change: Change, error: BaseException) -> OutcomeRecorded:
        """The outcome of a change that met a defect of ours; a few of them pause the run."""
        log.error("change_failed", run=self._run, change=change.change_id, exc_info=error)
        self._internal_errors += 1
        if self._internal_errors >= INTERNAL_ERRORS_MAX:
            text = f"{self._internal_errors} changes met a defect of ours, allowed {INTERNAL_ERRORS_MAX - 1}"
            self._stopping.pause(FailureNote(code="APL_INTERNAL", text=text))
        return self.outcome(change, "failed", code="APL_INTERNAL")

    def outcome(
        self,
        change: Change,
        result: Result,
        *,
        code: str | None = None,
        target_id: str | None = None,
        is_read_back: bool = False,
        tries: int = 1,
    ) -> OutcomeRecorded:
        """The outcome of a change as it is recorded."""
        return OutcomeRecorded(
            run=self._run,
            change_id=change.change_id,
            fencing_token=self._token,
            result=result,
            code=code,
            target_id=target_id,
            is_read_back=is_read_back,
            tries=tries,
        )


def id_of(live: Record | None) -> str | None:
    """The target's own id in a live record."""
    target_id = None if live is None else live.get("target_id")
    return target_id if isinstance(target_id, str) else None

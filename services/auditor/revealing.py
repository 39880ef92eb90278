"""Shows the personal values of one change to a person who says why, after that was recorded.

First the fact lies on CORE (who, which change, which fields, why; no value), then the answer goes out; when the fact
cannot be stored there is no answer. The values come from the plan's own page, checked against its header. Who may ask
at all is decided by the bus.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import nats.errors
import structlog
from nats.js import JetStreamContext
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from services.auditor.masking import shown
from services.auditor.plans import not_as_listed, page_in, pages_of, plan_on_bus
from shared.audit.lookups import Lookups
from shared.audit.plan_lookups import PlanLookups
from shared.bus.identity import NotIdentified, requester_of
from shared.bus.publishing import Conflict, Outgoing, PublishFailed, PublishRefused, publish_one
from shared.bus.reading import StreamUnavailable, last
from shared.clock import Clock
from shared.errors import AetherError, NeedsPerson, StopRun, TryLater
from shared.events import facts, queries
from shared.events.documents import FailureNote
from shared.events.envelope import body_of, headers_of, what_is_wrong
from shared.events.model import Event
from shared.ids import Ids, is_run_id
from shared.plan.change import Change
from shared.plan.document import Plan
from shared.run.state import RunState

SUBJECT: Final = "aether.reveal.change"
REVEALED_SUBJECT: Final = "audit.auditor.change_revealed"
REFUSED_SUBJECT: Final = "audit.auditor.refused"
QUESTION_BYTES_MAX: Final = 8_192
TOKEN_CHARACTERS: Final = 20

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Revealing:
    """The auditor's answers to who wants to see personal values."""

    js: JetStreamContext
    lookups: Lookups
    clock: Clock
    ids: Ids

    async def answer(self, headers: Mapping[str, str] | None, data: bytes) -> bytes:
        """The change as it is; a `QueryRefused` when it is not shown, which is recorded as well."""
        actor: str | None = None
        asked: queries.RevealChange | None = None
        try:
            actor = _actor(headers)
            asked = _asked(data)
            return (await self._reveal(asked, actor)).model_dump_json().encode()
        except AetherError as error:
            refusal = FailureNote.of(error)
        except (SQLAlchemyError, StreamUnavailable, PublishFailed, PublishRefused, nats.errors.Error) as error:
            log.error("reveal_failed", error=type(error).__name__)
            text = "the values are not shown, because it cannot be recorded at the moment; ask again shortly"
            refusal = FailureNote(code="AUD_UNAVAILABLE", text=text)
        run = asked.run if asked is not None and is_run_id(asked.run) else None
        await self._tell_refused(run, actor, refusal)
        return queries.QueryRefused(refusal=refusal).model_dump_json().encode()

    async def _reveal(self, asked: queries.RevealChange, actor: str) -> queries.RevealedChange:
        plan = await self._plan(asked.run)
        change = await self._change(plan, asked)
        fact = facts.ChangeRevealed(
            run=asked.run,
            change_id=change.change_id,
            entity=change.entity,
            fields=tuple(field.name for field in change.fields),
            actor=actor,
            reason=asked.reason,
        )
        await self._publish(fact, REVEALED_SUBJECT, about=asked.run)
        personal = {one.entity: frozenset(one.personal_fields) for one in plan.header.entities}.get(change.entity)
        return queries.RevealedChange(
            run=asked.run,
            change_id=change.change_id,
            entity=change.entity,
            change_class=change.change_class.value,
            key=change.key,
            fields=tuple(
                queries.RevealedField(
                    name=field.name,
                    before=shown(field.before),
                    after=shown(field.after),
                    is_personal=personal is None or field.name in personal,
                )
                for field in change.fields
            ),
        )

    async def _plan(self, run: str) -> Plan:
        """The plan that the run's own document names."""
        stored = await self.lookups.run(run) if is_run_id(run) else None
        if stored is None:
            raise NeedsPerson("APV_UNKNOWN_RUN", f"there is no run {run[:60]!r}")
        state = RunState.model_validate_json(stored.state)
        if state.plan is None:
            raise NeedsPerson("APV_WRONG_STATE", f"run {run} is {state.status} and has no plan", run=run)
        plan = await plan_on_bus(self.js, state.plan_run)
        if plan is None:
            raise NeedsPerson("APV_EXPIRED", f"run {run}: the pages of its plan are gone because of their age", run=run)
        if plan.plan_digest != state.plan.plan_digest:
            raise StopRun("APL_PLAN_ALTERED", f"run {run}: the plan on the bus is not the run's plan", run=run)
        return plan

    async def _change(self, plan: Plan, asked: queries.RevealChange) -> Change:
        """The change, from its page."""
        subject = await PlanLookups(self.lookups.engine).page_of(asked.run, asked.change_id)
        if subject is not None:
            listed = {page.subject: page.sha256 for page in plan.pages}
            stored = await last(self.js, "PLAN", subject)
            if stored is None or listed.get(subject) != sha256(stored.data).hexdigest():
                raise not_as_listed(plan, 1)
            for change in page_in(stored).changes:
                if change.change_id == asked.change_id:
                    return change
        # Not listed (yet): look through the pages.
        async with aclosing(pages_of(self.js, plan)) as pages:
            async for stored in pages:
                for change in page_in(stored).changes:
                    if change.change_id == asked.change_id:
                        return change
        raise NeedsPerson(
            "APV_MALFORMED", f"the plan of run {asked.run} has no change {asked.change_id}", run=asked.run
        )

    async def _tell_refused(self, run: str | None, actor: str | None, refusal: FailureNote) -> None:
        """Record the refusal; nothing was shown, so an answer need not wait for a bus that takes nothing."""
        fact = facts.CommandRefused(command=SUBJECT, run=run, actor=actor, refusal=refusal)
        log.warning("reveal_refused", run=run, code=refusal.code)
        try:
            await self._publish(fact, REFUSED_SUBJECT, about=run or SUBJECT)
        except (AetherError, StreamUnavailable, PublishFailed, PublishRefused, nats.errors.Error) as error:
            log.error("refusal_not_recorded", error=type(error).__name__)

    async def _publish(self, fact: Event, subject: str, *, about: str) -> None:
        message_id = f"reveal-{self.ids.token(TOKEN_CHARACTERS)}"
        headers = headers_of(
            fact, message_id=message_id, source="/services/auditor", subject=about, time=self.clock.now()
        )
        try:
            await publish_one(self.js, Outgoing(subject, body_of(fact), message_id, headers))
        except Conflict as error:
            raise TryLater("AUD_UNAVAILABLE", f"{subject} was not stored; ask again") from error


def _actor(headers: Mapping[str, str] | None) -> str:
    try:
        return requester_of(headers).user
    except NotIdentified as error:
        raise NeedsPerson("APV_UNATTRIBUTED", f"personal values are shown to nobody unknown: {error}") from error


def _asked(data: bytes) -> queries.RevealChange:
    if len(data) > QUESTION_BYTES_MAX:
        text = f"the question has {len(data):,} bytes, allowed {QUESTION_BYTES_MAX:,}; give a shorter reason"
        raise NeedsPerson("APV_MALFORMED", text)
    try:
        asked = queries.RevealChange.model_validate_json(data)
    except ValidationError as error:
        raise NeedsPerson("APV_MALFORMED", f"{SUBJECT}: {what_is_wrong(error)}") from None
    if len(asked.reason.strip()) < queries.REASON_CHARS_MIN:
        raise NeedsPerson("APV_MALFORMED", f"{SUBJECT}: say in a sentence why")
    return asked

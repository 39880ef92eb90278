"""Answers the questions of `aether.query.`: one body in, one body out, whatever was asked.

A question that cannot be read is refused with what is wrong with it. Answers come from the database and, for a plan
that is not listed there, from its pages; values leave masked. An answer fits in one message: a list that would not is
cut, and who asked goes on behind the last row received. It changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import orjson
import structlog
from nats.js import JetStreamContext
from pydantic import BaseModel, ValidationError
from sqlalchemy.exc import SQLAlchemyError

from services.auditor.plan_rows import left_out_in
from services.auditor.plans import PlanViews, chosen
from shared.audit.lookups import Lookups
from shared.audit.plan_lookups import PlanLookups
from shared.audit.views import DEAD_LETTERS_MAX, filter_of, place_text, plan_answer, run_answer, runs_answer
from shared.bus.connect import client_of
from shared.bus.reading import StreamUnavailable, read_all
from shared.errors import AetherError, TryLater
from shared.events import facts, queries
from shared.events.documents import FailureNote
from shared.events.envelope import decode, what_is_wrong
from shared.events.model import Document
from shared.run.state import RunState

PREFIX: Final = "aether.query."
QUESTION_BYTES_MAX: Final = 65_536
LIST_BYTES_MAX: Final = 800_000
"""Of the rows of one answer, below the server's largest message."""
STREAMS: Final = ("CORE", "LEDGER", "DLQ")

log = structlog.get_logger(__name__)

Question = TypeVar("Question", bound=Document)
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Sources:
    """Where answers come from."""

    lookups: Lookups
    plan_lookups: PlanLookups
    plans: PlanViews
    js: JetStreamContext
    verifier_key: str


async def answer(
    subject: str, body: bytes, *, lookups: Lookups, plans: PlanViews, js: JetStreamContext, verifier_key: str
) -> bytes:
    """The answer to one question, as JSON; a `QueryRefused` when there can be none."""
    sources = Sources(lookups, PlanLookups(lookups.engine), plans, js, verifier_key)
    found = _QUESTIONS.get(subject.removeprefix(PREFIX)) if subject.startswith(PREFIX) else None
    if found is None:
        known = ", ".join(PREFIX + name for name in sorted(_QUESTIONS))
        return _refused("APV_MALFORMED", f"there is no question {subject[:200]!r}; there are: {known}")
    if len(body) > QUESTION_BYTES_MAX:
        return _refused("APV_MALFORMED", f"the question has {len(body)} bytes, allowed are {QUESTION_BYTES_MAX}")
    kind, respond = found
    try:
        question = kind.model_validate_json(body or b"{}")
    except ValidationError as error:
        return _refused("APV_MALFORMED", f"{subject}: {what_is_wrong(error)}")
    try:
        return (await respond(question, sources)).model_dump_json().encode()
    except AetherError as error:
        return _refused(error.code, error.message)
    except (SQLAlchemyError, StreamUnavailable) as error:
        log.error("audit_question_failed", subject=subject, error=type(error).__name__)
        return _refused("AUD_UNAVAILABLE", "the audit log cannot be read at the moment; ask again shortly")


async def _runs(question: queries.RunsQuery, sources: Sources) -> queries.RunsAnswer:
    answer = await runs_answer(sources.lookups, question)
    fitting = _fitting(answer.runs)
    is_cut = 0 < len(fitting) < len(answer.runs)
    return queries.RunsAnswer(runs=fitting, goes_on=place_text(fitting[-1]) if is_cut else answer.goes_on)


async def _run(question: queries.RunQuery, sources: Sources) -> queries.RunAnswer:
    answer = await run_answer(sources.lookups, question.run)
    if answer.run is None or answer.run.plan is None or await sources.lookups.review(question.run) is not None:
        return answer
    state = await _state(question.run, sources)
    viewed = await sources.plans.of_run(question.run if state is None else state.plan_run)
    if viewed is None:
        return answer
    # What was left out is told of the run that planned; a retry is about what failed in it.
    left_out = {} if answer.run.retry_of is not None else left_out_in(viewed.plan.header.figures)
    return answer.model_copy(update={"verdict": viewed.plan.header.verdict.lines, "left_out": left_out})


async def _plan(question: queries.PlanQuery, sources: Sources) -> queries.PlanAnswer:
    answer = await plan_answer(sources.lookups, sources.plan_lookups, question)
    if answer is None:
        answer = await _plan_on_bus(question, sources)
    return answer.model_copy(update={"changes": _fitting(answer.changes)})


async def _plan_on_bus(question: queries.PlanQuery, sources: Sources) -> queries.PlanAnswer:
    """The same for a plan that is not listed, or not yet: read from its pages."""
    state = await _state(question.run, sources)
    viewed = None if state is None else await sources.plans.of_run(state.plan_run)
    if viewed is None or state is None:
        return queries.PlanAnswer(run=question.run, plan=state.plan if state is not None else None)
    if question.result is not None:
        text = f"run {question.run}: its changes cannot be looked through by result, they are not listed (yet)"
        raise TryLater("AUD_UNAVAILABLE", text)
    header = viewed.plan.header
    excluded = {one.change_id: ("quarantined", one.code) for one in header.excluded}
    planned: Iterable[queries.ChangeView] = viewed.changes
    if state.retry_of is not None:
        tried = await sources.lookups.tried_again(state.retry_of) - excluded.keys()
        planned, excluded = [one for one in planned if one.change_id in tried], {}
    asked = chosen(viewed, planned, filter_of(question))
    page = asked[question.offset : question.offset + question.limit]
    outcomes: dict[str, tuple[str, str | None]] = {
        **await sources.lookups.outcomes(question.run, [one.change_id for one in page]),
        **excluded,
    }
    changes = [
        one.model_copy(update=dict(zip(("result", "code"), outcomes.get(one.change_id, (None, None)), strict=True)))
        for one in page
    ]
    return queries.PlanAnswer(
        run=question.run,
        plan=state.plan,
        verdict=header.verdict.lines,
        left_out=left_out_in(header.figures) if state.retry_of is None else {},
        excluded=len(excluded),
        total=len(asked),
        changes=tuple(changes),
    )


async def _state(run: str, sources: Sources) -> RunState | None:
    stored = await sources.lookups.run(run)
    return None if stored is None else RunState.model_validate_json(stored.state)


async def _entries(question: queries.EntriesQuery, sources: Sources) -> queries.EntriesAnswer:
    bodies = _fitting(await sources.lookups.entries(first=question.first, limit=question.limit))
    return queries.EntriesAnswer(
        entries=tuple(orjson.loads(body) for body in bodies), size=await sources.lookups.size()
    )


async def _checkpoints(question: queries.CheckpointsQuery, sources: Sources) -> queries.CheckpointsAnswer:
    texts = await sources.lookups.checkpoints(first=question.first, limit=question.limit)
    return queries.CheckpointsAnswer(
        checkpoints=_fitting(texts),
        total=await sources.lookups.checkpoints_total(),
        verifier_key=sources.verifier_key,
    )


async def _health(_: queries.HealthQuery, sources: Sources) -> queries.HealthAnswer:
    lookups = sources.lookups
    progress = await lookups.progress()
    ends = await asyncio.gather(*(_last_seq(sources.js, stream) for stream in STREAMS))
    read = {stream: progress[stream].last_seq if stream in progress else 0 for stream in STREAMS}
    return queries.HealthAnswer(
        entries=await lookups.size(),
        checkpoints=await lookups.checkpoints_total(),
        lag={stream: max(end - read[stream], 0) for stream, end in zip(STREAMS, ends, strict=True)},
        dead_letters=tuple(await lookups.dead_letters(run=None, limit=DEAD_LETTERS_MAX)),
        dead_letters_total=await lookups.dead_letters_total(),
        quarantined=await _quarantined(sources.js),
    )


async def _quarantined(js: JetStreamContext) -> tuple[queries.QuarantinedConnection, ...]:
    """The connections in quarantine now, by name; the last document of each counts."""
    newest: dict[str, facts.ConnectionHealth] = {}
    async for stored in read_all(js, "CORE", facts.connection_health_subject("*")):
        health = decode(facts.ConnectionHealth, data=stored.data, headers=stored.headers, subject=stored.subject)
        newest[health.connection] = health
    return tuple(
        queries.QuarantinedConnection(
            connection=name, since=health.since, reason=health.reason, run=health.run, probes=health.probes
        )
        for name, health in sorted(newest.items())
        if health.status == "quarantined"
    )


_QUESTIONS: Final[dict[str, tuple[type[Document], Callable[[Any, Sources], Awaitable[Document]]]]] = {
    "runs": (queries.RunsQuery, _runs),
    "run": (queries.RunQuery, _run),
    "plan": (queries.PlanQuery, _plan),
    "entries": (queries.EntriesQuery, _entries),
    "checkpoints": (queries.CheckpointsQuery, _checkpoints),
    "health": (queries.HealthQuery, _health),
}


async def _last_seq(js: JetStreamContext, stream: str) -> int:
    try:
        reply = await client_of(js).request(f"$JS.API.STREAM.INFO.{stream}", b"", timeout=5)
    except Exception as error:
        raise StreamUnavailable(f"stream {stream}: no information") from error
    state = orjson.loads(reply.data).get("state", {})
    return int(state.get("last_seq", 0))


def _fitting(rows: Iterable[Row]) -> tuple[Row, ...]:
    """As many rows from the first on as fit in one answer; one always does."""
    fitting: list[Row] = []
    room = LIST_BYTES_MAX
    for row in rows:
        room -= len(row.model_dump_json() if isinstance(row, BaseModel) else str(row)) + 1
        if room < 0 and fitting:
            break
        fitting.append(row)
    return tuple(fitting)


def _refused(code: str, text: str) -> bytes:
    return queries.QueryRefused(refusal=FailureNote(code=code, text=text)).model_dump_json().encode()

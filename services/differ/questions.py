"""What the differ tells people who ask: the declared deltas, and what the guard was shown of earlier runs.

It changes nothing and shows no value of a record: declarations name none, figures are counts.
"""

from __future__ import annotations

from datetime import timedelta

from services.differ.context import Context, declared_in
from shared.bus.questions import fitting
from shared.bus.reading import last, read_all
from shared.clock import from_text
from shared.events.queries import DeclaredAnswer, DeclaredQuery, DeclaredView, HistoryAnswer, HistoryQuery
from shared.ids import is_name
from shared.run.declared import DeclaredDeltas, declared_subject


async def declared(question: DeclaredQuery, context: Context) -> DeclaredAnswer:
    """The declared deltas that count, will count or have counted a short while ago."""
    now = context.clock.now()
    views = []
    for document in await _documents(question.connector, context):
        for one in document.declarations:
            views.append(
                DeclaredView(
                    declaration=one,
                    state="withdrawn"
                    if document.is_withdrawn(one.id, at=now)
                    else "to come"
                    if now < from_text(one.valid_from)
                    else "in force"
                    if now < from_text(one.valid_until)
                    else "ended",
                )
            )
    return DeclaredAnswer(declared=fitting(views))


async def history(question: HistoryQuery, context: Context) -> HistoryAnswer:
    """The figures of earlier runs, the newest first."""
    since = context.clock.now() - timedelta(days=question.days)
    runs = await context.ledger.plans(question.connector, since=since)
    return HistoryAnswer(runs=fitting(runs[question.offset :]), total=len(runs))


async def _documents(connector: str | None, context: Context) -> list[DeclaredDeltas]:
    if connector is not None:
        if not is_name(connector):
            return []
        found = declared_in(await last(context.js, "CORE", declared_subject(connector)))
        return [] if found is None else [found]
    documents: dict[str, DeclaredDeltas] = {}
    async for stored in read_all(context.js, "CORE", declared_subject("*")):
        found = declared_in(stored)
        if found is not None:
            documents[found.connector] = found
    return [documents[name] for name in sorted(documents)]

"""Person: why, or why not, across systems. The key is sent by a form and stands in no address and in no log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Form, HTTPException, Request, Response
from pydantic import BaseModel, ConfigDict, StringConstraints

from services.console.local.reading import ROW_ID, TableMissing
from services.console.pages.answers import errors
from services.console.pages.person_view import LocalRow, PersonAnswer, Told, key_problem, told_of
from services.console.rendering import page
from services.console.visiting import Revealer, Visitor, console_of
from shared.asking.client import PersonClient
from shared.asking.problem import CommandFailed
from shared.audit.plan_lookups import AsideView, RecordChange
from shared.events.queries import ITEMS_MAX, QuarantineItem, QuarantineQuery
from shared.run.state import RunState

if TYPE_CHECKING:
    from services.console.site import Console

router = APIRouter()
api = APIRouter(prefix="/api/v1", tags=["person"])

CHANGES_MAX: Final = 60
"""Newest changes of one key, over all connectors; asides alike."""
CONNECTORS_MAX: Final = 50
QUARANTINE_PAGES_MAX: Final = 10
"""Pages of quarantined items that are looked through for one run."""

Key = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class PersonQuestion(BaseModel):
    """Whom to look for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: Key
    """An employee or student id, or the key that plans show."""


@router.get("/person")
async def form(request: Request, visitor: Revealer) -> Response:
    """The form."""
    return page(request, "person.html", visitor=visitor, answer=None, problem=None, key="")


@router.post("/person")
async def result(request: Request, visitor: Revealer, key: Annotated[str, Form(max_length=400)] = "") -> Response:
    """What is known of the key, or why it cannot be looked for."""
    key = key.strip()
    problem = key_problem(key) if key else "Give a key: the id of an employee or student, or the key that a plan shows."
    if problem is None and len(key) > 200:
        problem = f"The key has {len(key)} signs; keys have at most 200."
    if problem is not None:
        return page(request, "person.html", visitor=visitor, status=422, answer=None, problem=problem, key="")
    answer = await _answer(console_of(request), key, visitor)
    return page(request, "person.html", visitor=visitor, answer=answer, problem=None, key=key)


@api.post("/person", responses=errors(403, 422))
async def as_json(request: Request, visitor: Revealer, question: PersonQuestion) -> PersonAnswer:
    """Why, or why not, across systems."""
    if (problem := key_problem(question.key)) is not None:
        raise HTTPException(422, problem)
    return await _answer(console_of(request), question.key, visitor)


async def _answer(console: Console, key: str, visitor: Visitor) -> PersonAnswer:
    plans = console.records.plans
    changes = await plans.changes_of_key(key, limit=CHANGES_MAX)
    asides = await plans.asides_of_key(key, limit=CHANGES_MAX)
    states = await _states(console, {each.run for each in changes} | {each.run for each in asides})
    involved = {state.connector for state, _ in states.values()}
    newest = {name: await _newest(console, name) for name in _names(console, involved)}
    quarantined, asks_failed = await _quarantined(console, visitor, key, newest)
    told = [
        await _told(console, name, newest[name], states, changes, asides, quarantined.get(name))
        for name in newest
        if newest[name] is not None
    ]
    # First what has something to say of the key.
    told.sort(key=lambda one: (not (one.changes or one.left_out or one.quarantined), one.connector))
    return PersonAnswer(
        key=key,
        connectors=tuple(told),
        local=await _local(console, key),
        has_local=console.local.data is not None,
        asks_failed=asks_failed,
        untouched=tuple(name for name, found in newest.items() if found is None),
    )


async def _told(
    console: Console,
    name: str,
    newest: tuple[RunState, str] | None,
    states: dict[str, tuple[RunState, str]],
    changes: tuple[RecordChange, ...],
    asides: tuple[AsideView, ...],
    quarantined: list[QuarantineItem] | None,
) -> Told:
    review = None if newest is None else await console.records.lookups.review(newest[0].run)
    return told_of(
        name,
        None if newest is None else newest[0],
        requested_at=None if newest is None else newest[1],
        states=states,
        changes=[each for each in changes if each.run in states and states[each.run][0].connector == name],
        asides=[each for each in asides if each.run in states and states[each.run][0].connector == name],
        quarantined=quarantined,
        verdict=() if review is None else review.verdict,
    )


def _names(console: Console, involved: set[str]) -> list[str]:
    """The connectors to look at: first those that had to do with the key, then the house's others."""
    others = [name for name in console.definitions.names() if name not in involved]
    return [*sorted(involved), *others][:CONNECTORS_MAX]


async def _states(console: Console, runs: set[str]) -> dict[str, tuple[RunState, str]]:
    found: dict[str, tuple[RunState, str]] = {}
    for run in sorted(runs):
        stored = await console.records.lookups.run(run)
        if stored is not None:
            found[run] = (RunState.model_validate_json(stored.state), stored.requested_at)
    return found


async def _newest(console: Console, connector: str) -> tuple[RunState, str] | None:
    stored = await console.records.lookups.runs(connector=connector, limit=1)
    return (RunState.model_validate_json(stored[0].state), stored[0].requested_at) if stored else None


async def _quarantined(
    console: Console, visitor: Visitor, key: str, newest: dict[str, tuple[RunState, str] | None]
) -> tuple[dict[str, list[QuarantineItem]], str | None]:
    """The items of the key in the newest run of each connector, and why they could not be asked for."""
    found: dict[str, list[QuarantineItem]] = {}
    wanted = {name: state[0].run for name, state in newest.items() if state is not None}
    if not wanted:
        return found, None
    try:
        async with console.acting.as_person(visitor) as person:
            for name, run in wanted.items():
                found[name] = await _items_of(person, run, key)
    except CommandFailed as error:
        return found, error.text
    return found, None


async def _items_of(person: PersonClient, run: str, key: str) -> list[QuarantineItem]:
    items: list[QuarantineItem] = []
    for number in range(QUARANTINE_PAGES_MAX):
        answer = await person.quarantine(QuarantineQuery(run=run, offset=number * ITEMS_MAX, limit=ITEMS_MAX))
        items += [item for item in answer.items if item.key == key]
        if (number + 1) * ITEMS_MAX >= answer.total:
            break
    return items


async def _local(console: Console, key: str) -> tuple[LocalRow, ...]:
    data = console.local.data
    found: list[LocalRow] = []
    for table, column in console.local.keys().items() if data is not None else ():
        try:
            row = await data.row(table, column=column, value=key) if data is not None else None
        except TableMissing:
            continue
        if row is not None and row.get(ROW_ID) is not None:
            active = row.get("active")
            found.append(
                LocalRow(
                    table=table,
                    row_id=row[ROW_ID] or "",
                    is_active=None if active is None else active in {"true", "1"},
                    written_at=row.get("written_at"),
                )
            )
    return tuple(found)

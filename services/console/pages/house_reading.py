"""Reads for the pages about connectors, systems and quarantine: definitions, the record, and what the house answers.

It decides nothing. What is asked over the bus is asked as the visitor; a page that can be shown without the answer is
told why there is none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from services.console.definitions import Known
from services.console.pages.connectors_view import (
    SUCCESSES,
    SUCCESSES_LOOKED_AT,
    ConnectorPage,
    ConnectorRow,
    Reading,
    connector_page,
    connector_row,
)
from services.console.visiting import Visitor
from shared.asking.client import PersonClient
from shared.asking.problem import CommandFailed
from shared.audit.lookups import Lookups
from shared.audit.views import run_view
from shared.events.facts import SnapshotRead
from shared.events.queries import RunView

if TYPE_CHECKING:
    from services.console.site import Console

RUNS_OF_A_PAGE: Final = 40
"""Newest runs of one connector that its page knows."""
READINGS_OF_A_ROW: Final = 3
"""Newest runs among which a list looks for one that read anything."""
READINGS_OF_A_PAGE: Final = 5
SNAPSHOT_EVENTS_MAX: Final = 80
ANSWER_SECONDS_MAX: Final = 2.0
"""How long a page waits for an answer without which it can be shown."""

Answer = TypeVar("Answer")


async def connector_rows(console: Console) -> tuple[ConnectorRow, ...]:
    """The list of connectors; `NeedsPerson` when their folder cannot be used."""
    titles = system_titles(console)
    return tuple([await _row(console, known, titles) for known in await console.definitions.known()])


async def whole_connector(console: Console, known: Known) -> ConnectorPage:
    """One connector with its runs."""
    lookups = console.records.lookups
    runs = await runs_of(lookups, known.name, limit=RUNS_OF_A_PAGE)
    readings = await readings_of(lookups, runs, wanted=READINGS_OF_A_PAGE)
    row = connector_row(
        known,
        system_titles(console),
        runs=runs,
        successes=await _successes(lookups, known.name),
        readings=readings,
        now=console.clock.now(),
    )
    return connector_page(known, row, runs=runs, readings=readings)


async def runs_of(lookups: Lookups, connector: str | None, *, limit: int) -> list[RunView]:
    """The newest runs, of one connector or of all."""
    # Whether a run is sealed is shown on its own page only.
    return [await run_view(one, lookups, 0) for one in await lookups.runs(connector=connector, limit=limit)]


async def readings_of(lookups: Lookups, runs: Sequence[RunView], *, wanted: int) -> list[Reading]:
    """What the newest runs read, as many as are wanted that read anything."""
    found: list[Reading] = []
    for view in runs[: wanted * 2]:
        reading = await reading_of(lookups, view)
        if reading.read:
            found.append(reading)
        if len(found) == wanted:
            break
    return found


async def reading_of(lookups: Lookups, view: RunView) -> Reading:
    """What one run read, the newest of each side of each entity."""
    events = await lookups.run_events(view.run, limit=SNAPSHOT_EVENTS_MAX, types=(SnapshotRead.event_type,))
    newest: dict[tuple[str, str], SnapshotRead] = {}
    for stored in events:
        read = SnapshotRead.model_validate_json(stored.body)
        newest.setdefault((read.side, read.entity), read)
    return Reading(at=view.requested_at, read=tuple(newest[place] for place in sorted(newest)))


async def answered(
    console: Console, visitor: Visitor, ask: Callable[[PersonClient], Awaitable[Answer]]
) -> tuple[Answer | None, str | None]:
    """What the house answers the visitor, or why there is no answer."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX), console.acting.as_person(visitor) as person:
            return await ask(person), None
    except CommandFailed as failed:
        return None, f"{failed.text}. {failed.action}"
    except TimeoutError:
        return None, f"No answer came within {ANSWER_SECONDS_MAX:g} s. Load the page again shortly."


def system_titles(console: Console) -> Mapping[str, str]:
    """The names of systems for people."""
    registry = console.definitions.registry
    return {name: registry.manifest(name).title for name in registry.names()}


async def _row(console: Console, known: Known, titles: Mapping[str, str]) -> ConnectorRow:
    lookups = console.records.lookups
    views = await runs_of(lookups, known.name, limit=READINGS_OF_A_ROW * 2)
    return connector_row(
        known,
        titles,
        runs=views,
        successes=await _successes(lookups, known.name),
        readings=await readings_of(lookups, views, wanted=1),
        now=console.clock.now(),
    )


async def _successes(lookups: Lookups, connector: str) -> list[str]:
    found = await lookups.runs(connector=connector, status=SUCCESSES, limit=SUCCESSES_LOOKED_AT)
    return [one.requested_at for one in found]

"""Tries whether Aeries can be read, area by area: network, directory and year, certificate, then each permission."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from shared.errors import AetherError, StopRun
from shared.http.reading import finding_of
from shared.ports.system import Finding
from systems.aeries_api import entities, wire
from systems.aeries_api.asking import Asker
from systems.aeries_api.entities import AeriesEntity
from systems.aeries_api.year import YearGuard

NOBODY = 999_999_999
"""A number that no student has: a question about nobody shows all the same whether its area is granted."""


async def findings(asker: Asker, year: YearGuard) -> Sequence[Finding]:
    """What was tried and what came of it; raises nothing for what it finds."""
    try:
        info = await year.require(use="SRC")
        schools = asker.codes((await asker.schools())[0])
    except AetherError as error:
        found = finding_of(error)
        return [replace(found, subject="year") if error.facts.get("is_year") else found]
    told = [
        Finding("network", True, f"Aeries {info.version} answers"),
        Finding("year", True, f"it answers for {asker.config.database_year}, which is the wanted year"),
        Finding("authentication", True, "the certificate is accepted for reading"),
        Finding("shape", True, f"entity schools: can be read, {len(schools)} schools"),
    ]
    for entity, try_it in _trials(asker, schools[0] if schools else None):
        try:
            await try_it()
        except AetherError as error:
            told.append(finding_of(error, entity=entity.name))
            if not isinstance(error, StopRun) and not error.facts.get("is_permission"):
                break  # the next area would meet the same wall
        else:
            told.append(Finding("shape", True, f"entity {entity.name}: can be read"))
    return told


def _trials(asker: Asker, school: int | None) -> list[tuple[AeriesEntity, Callable[[], Awaitable[None]]]]:
    """The smallest question to each further area; those below a school where there is one."""

    def at(path: str, entity: AeriesEntity, **query: str | int) -> tuple[AeriesEntity, Callable[[], Awaitable[None]]]:
        async def try_it() -> None:
            answer = await asker.once(path, entity, query=query)
            asker.rows([] if answer is None else wire.records_in(answer.body), entity, path)

        return entity, try_it

    async def rosters() -> None:
        path = f"/schools/{school}/sections"
        answer = await asker.once(path, entities.SECTIONS)
        rows = asker.rows([] if answer is None else wire.records_in(answer.body), entities.SECTIONS, path)
        if rows.length:
            await at(f"{path}/{rows.columns['number'][0]}/students", entities.ROSTERS)[1]()

    # Any property filters the list of staff, and nobody has the number 0.
    trials = [at("/staff", entities.STAFF, ID=0), at("/courses", entities.COURSES)]
    if school is not None:
        year = asker.config.database_year
        trials += [
            at(f"/schools/{school}/students", entities.STUDENTS, StartingRecord=1, EndingRecord=1),
            at(f"/schools/{school}/sections", entities.SECTIONS),
            (entities.ROSTERS, rosters),
            at(f"/schools/{school}/enrollment/{NOBODY}/year/{year}", entities.ENROLMENTS),
        ]
    return trials

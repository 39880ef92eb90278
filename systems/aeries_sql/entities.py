"""Every entity of an Aeries database, and its columns, known without a connection or the columnar engine."""

from __future__ import annotations

from collections.abc import Sequence

from shared.ports.system import Column
from shared.sql_reading import SqlEntity
from systems.aeries_sql.classes import (
    courses_entity,
    enrolments_entity,
    rosters_entity,
    sections_entity,
    terms_entity,
)
from systems.aeries_sql.people import schools_entity, staff_entity, students_entity


def entities(pseudo_schools: Sequence[int] = ()) -> list[SqlEntity]:
    """All of them."""
    return [
        staff_entity(),
        schools_entity(pseudo_schools),
        students_entity(pseudo_schools),
        courses_entity(),
        terms_entity(),
        sections_entity(),
        rosters_entity(),
        enrolments_entity(),
    ]


def columns_of(entity: str) -> Sequence[Column]:
    """The columns of an entity; `KeyError` for one that there is not."""
    return {each.name: each for each in entities()}[entity].columns

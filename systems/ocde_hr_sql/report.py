"""What `check` tells of the rows in the views before a first run: what is amiss, and codes nobody explained.

It counts and names codes of status and site; it never shows a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from shared.ports.system import Finding
from shared.sql_reading import FoundTable, TableNeed
from shared.sql_reading.shape import find_tables
from systems.ocde_hr_sql.config import OcdeHrSqlConfig
from systems.ocde_hr_sql.entities import spelled

CODES_SHOWN_MAX = 20


def report_of(config: OcdeHrSqlConfig) -> Callable[[Connection], Sequence[Finding]]:
    """Looks at people and sites."""
    needs = (
        TableNeed("people", config.views.people, ("employee_id", "status_code", "last"), may_be_missing=True),
        TableNeed("sites", config.views.sites, ("site_code", "school_code"), may_be_missing=True),
    )

    def look(connection: Connection) -> Sequence[Finding]:
        tables, missing = find_tables(connection, needs, schema_name=config.schema_name)
        findings: list[Finding] = []
        if "people" in tables and not any(config.views.people in each for each in missing):
            findings += _people(connection, tables["people"], config)
        if "sites" in tables and tables["sites"].has("school_code"):
            without = _count(connection, tables["sites"], tables["sites"].column("school_code").is_(None))
            findings.append(Finding("rows", True, f"sites: {without} have no school code; a mapping table must say"))
        return findings

    return look


def _people(connection: Connection, people: FoundTable, config: OcdeHrSqlConfig) -> list[Finding]:
    code, employee = spelled(people.column("status_code")), people.column("employee_id")
    known = list(config.status_codes)
    unknown = connection.execute(
        select(code.label("code"), func.count().label("n"))
        .select_from(people.table)
        .where(_is_filled(people.column("status_code")), code.not_in(known))
        .group_by(code)
        .order_by(code)
    ).fetchmany(CODES_SHOWN_MAX)
    shown = ", ".join(f"{each} ({n})" for each, n in unknown)
    findings = [
        Finding("codes", False, f"people: status codes that status_codes does not explain: {shown}; say what they mean")
        if unknown
        else Finding("codes", True, "people: every status code has a meaning"),
    ]
    twice = (
        select(spelled(employee).label("employee"))
        .select_from(people.table)
        .where(_is_filled(employee))
        .group_by(spelled(employee))
        .having(func.count() > 1)
        .subquery("twice")
    )
    several = connection.execute(select(func.count()).select_from(twice)).scalar_one()
    keyless = _count(connection, people, or_(employee.is_(None), ~_is_filled(employee)))
    blank = _count(connection, people, or_(people.column("last").is_(None), ~_is_filled(people.column("last"))))
    findings.append(
        Finding(
            "rows",
            True,
            f"people: {several} employee ids have several rows, {keyless} rows have no employee id, "
            f"{blank} no last name",
        )
    )
    return findings


def _count(connection: Connection, found: FoundTable, condition: ColumnElement[bool]) -> int:
    count: int = connection.execute(select(func.count()).select_from(found.table).where(and_(condition))).scalar_one()
    return count


def _is_filled(text: ColumnElement[Any]) -> ColumnElement[bool]:
    return func.ltrim(func.rtrim(text)) != ""

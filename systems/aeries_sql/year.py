"""Whether a database is the one of the wanted school year: the trap of every summer, for no query fails on it.

Two witnesses: the database's name, and the terms in it. Without `database_year` nothing is wanted, so the terms are not
looked at, which a login for staff alone may not read; only what the name says is told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime

from sqlalchemy import Connection, func, select

from shared.ports.system import Finding
from shared.sql_reading.shape import TableNeed, find_tables
from systems.aeries_sql.config import AeriesSqlConfig
from systems.aeries_sql.predicates import is_live

FIRST_MONTH = 7
"""A school year begins in July here: no term of the year before begins later, none of this one earlier."""
_TERMS = TableNeed("term", "TRM", ("D1",), ("DEL",))


def year_check(config: AeriesSqlConfig) -> Callable[[Connection], Sequence[Finding]]:
    """What to look at before anything is read."""

    def look(connection: Connection) -> Sequence[Finding]:
        year_in_terms = None if config.database_year is None else _year_in_terms(connection, config)
        return findings_of(config, year_in_terms=year_in_terms)

    return look


def findings_of(config: AeriesSqlConfig, *, year_in_terms: int | None) -> list[Finding]:
    """What the witnesses say of the year."""
    wanted, named = config.database_year, config.year_in_name
    if wanted is None:
        text = f"the name says {named}" if named else "the name tells none"
        return [Finding("year", True, f"database_year is not set, so any school year is read: {text}")]
    findings = []
    for witness, year in (("name", named), ("terms", year_in_terms)):
        if year is not None and year != wanted:
            text = (
                f"school year {year} by the database's {witness}, wanted is {wanted}; "
                "correct `url` (one database a year) or database_year"
            )
            findings.append(Finding("year", False, text))
    if findings:
        return findings
    if named is None and year_in_terms is None:
        return [Finding("year", True, f"nothing tells whether this is school year {wanted}: no name, no terms")]
    return [Finding("year", True, f"the database is of school year {wanted}")]


def _year_in_terms(connection: Connection, config: AeriesSqlConfig) -> int | None:
    """The school year in which the latest term begins; None without terms."""
    tables, missing = find_tables(connection, (_TERMS,), schema_name=config.schema_name)
    if missing:
        return None
    term = tables["term"]
    latest = connection.execute(
        select(func.max(term.column("D1"))).select_from(term.table).where(is_live(term))
    ).scalar_one()
    if isinstance(latest, str):  # SQLite keeps times as text and a function's result loses its type
        latest = datetime.fromisoformat(latest)
    if not isinstance(latest, date):
        return None
    return latest.year if latest.month >= FIRST_MONTH else latest.year - 1

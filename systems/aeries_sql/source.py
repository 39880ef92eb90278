"""What is read from an Aeries database: which tables, which rows, under which names.

Table and column names are those that published district scripts use (README.md); Aeries publishes no dictionary of
its database. A row is live when DEL is 0 or NULL. It decides nothing about scope: inactive staff are delivered too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Integer, and_, case, cast, func, or_, select

from shared.ports.surroundings import Surroundings
from shared.ports.system import Column
from shared.sql_reading import FoundTable, SqlEntity, SqlSource, Statements, TableNeed, Tables, open_engine
from systems.aeries_sql.config import AeriesSqlConfig

_STAFF_COLUMNS = {
    "hr_id": ("HRID", Column("hr_id", "text")),
    "last_name": ("LN", Column("last_name", "text")),
    "first_name": ("FN", Column("first_name", "text")),
    "middle_name": ("MN", Column("middle_name", "text", is_required=False)),
    "alternate_email": ("AEM", Column("alternate_email", "text", is_required=False)),
    "cell": ("CP", Column("cell", "text", is_required=False)),
    "title": ("TI", Column("title", "text", is_required=False)),
    "inactive_code": ("TG", Column("inactive_code", "text")),
    "primary_school": ("PSC", Column("primary_school", "integer", is_required=False)),
    "state_educator_id": ("SID", Column("state_educator_id", "text", is_required=False)),
    "hire_date": ("HD", Column("hire_date", "date", is_required=False)),
    "leave_date": ("LD", Column("leave_date", "date", is_required=False)),
}
_STAFF_ORDER = (
    "hr_id", "last_name", "first_name", "middle_name", "email", "alternate_email", "cell", "title", "inactive_code",
    "primary_school", "state_educator_id", "hire_date", "leave_date",
)  # fmt: skip
_SCHOOL_COLUMNS = {
    "name": ("NM", Column("name", "text")),
    "inactive_code": ("TG", Column("inactive_code", "text", is_required=False)),
    "city": ("CY", Column("city", "text", is_required=False)),
    "principal": ("PR", Column("principal", "text", is_required=False)),
    "low_grade": ("LO", Column("low_grade", "integer", is_required=False)),
    "high_grade": ("HI", Column("high_grade", "integer", is_required=False)),
}


def build_source(config: AeriesSqlConfig, surroundings: Surroundings) -> SqlSource:
    """A source for one Aeries database."""
    password = surroundings.resolve(config.password) if config.password is not None else None
    return SqlSource(
        [staff_entity(), schools_entity(config.pseudo_schools)],
        engine=open_engine(config, password=password),
        settings=config,
    )


def columns_of(entity: str) -> Sequence[Column]:
    """The columns of an entity; `KeyError` for one that there is not."""
    return {"staff": staff_entity(), "schools": schools_entity(())}[entity].columns


def staff_entity() -> SqlEntity:
    """STF, each with the e-mail address of its login (UGN), as Aeries itself shows it."""
    names = _names(_STAFF_COLUMNS, is_required=True)
    return SqlEntity(
        name="staff",
        columns=(
            Column("id", "integer"),
            *(Column("email", "text") if name == "email" else _STAFF_COLUMNS[name][1] for name in _STAFF_ORDER),
        ),
        key=("id",),
        needs=(
            TableNeed("staff", "STF", ("ID", "EM", "DEL", *names), _names(_STAFF_COLUMNS, is_required=False)),
            TableNeed("login", "UGN", ("UID", "SID", "EM", "DEL")),
        ),
        build=_staff_statements,
    )


def schools_entity(pseudo_schools: Sequence[int]) -> SqlEntity:
    """LOC without the codes that are no schools."""

    def build(tables: Tables) -> Statements:
        school = tables["school"]
        code = school.column("CD")
        wanted = code.not_in(list(pseudo_schools))
        is_kept = and_(wanted, _is_live(school)) if school.has("DEL") else wanted
        columns = [school.column(sql_name).label(name) for name, (sql_name, _) in _SCHOOL_COLUMNS.items()]
        return Statements(
            rows=select(code.label("code"), *columns).where(is_kept).order_by(code),
            count=select(func.count()).select_from(school.table).where(is_kept),
        )

    return SqlEntity(
        name="schools",
        columns=(Column("code", "integer"), *(column for _, column in _SCHOOL_COLUMNS.values())),
        key=("code",),
        needs=(
            TableNeed(
                "school",
                "LOC",
                ("CD", *_names(_SCHOOL_COLUMNS, is_required=True)),
                ("DEL", *_names(_SCHOOL_COLUMNS, is_required=False)),
            ),
        ),
        build=build,
    )


def _staff_statements(tables: Tables) -> Statements:
    staff, login = tables["staff"], tables["login"]
    # Several logins may belong to one person; the live one with the lowest number is taken, and where it has no
    # address, or there is no login, STF's own. The inner select gives one row a person, so staff are not multiplied.
    preferred = (
        select(login.column("SID").label("staff_id"), func.min(login.column("UID")).label("login_id"))
        .where(_is_live(login), login.column("SID").is_not(None))
        .group_by(login.column("SID"))
        .subquery("preferred")
    )
    joined = staff.table.outerjoin(preferred, preferred.c.staff_id == staff.column("ID")).outerjoin(
        login.table, login.column("UID") == preferred.c.login_id
    )
    email = case((_is_filled(login.column("EM")), login.column("EM")), else_=staff.column("EM"))
    columns = [
        (email if name == "email" else staff.column(_STAFF_COLUMNS[name][0])).label(name) for name in _STAFF_ORDER
    ]
    return Statements(
        rows=select(staff.column("ID").label("id"), *columns)
        .select_from(joined)
        .where(_is_live(staff))
        .order_by(staff.column("ID")),
        count=select(func.count()).select_from(staff.table).where(_is_live(staff)),
    )


def _names(columns: dict[str, tuple[str, Column]], *, is_required: bool) -> tuple[str, ...]:
    return tuple(sql_name for sql_name, column in columns.values() if column.is_required is is_required)


def _is_live(table: FoundTable) -> ColumnElement[bool]:
    deleted = table.column("DEL")
    # The cast makes one predicate of it for bit, boolean and integer columns.
    return or_(deleted.is_(None), cast(deleted, Integer) == 0)


def _is_filled(text: ColumnElement[Any]) -> ColumnElement[bool]:
    # Trimmed on both sides, because databases disagree on whether '' equals ' '.
    return func.ltrim(func.rtrim(text)) != ""

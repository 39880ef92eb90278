"""Staff, schools and students: which tables, which rows, under which names.

Table and column names are those that published district scripts use (README.md); Aeries publishes no dictionary of
its database. It decides nothing about scope: inactive staff and students are delivered too.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import and_, case, func, select

from shared.ports.system import Column
from shared.sql_reading import SqlEntity, Statements, TableNeed, Tables
from systems.aeries_sql.predicates import flag, is_active, is_filled, is_live

Columns = dict[str, tuple[str, Column]]
"""Our name → the name in the database, and the column."""


def _named(sql_name: str, column: Column) -> tuple[str, tuple[str, Column]]:
    return column.name, (sql_name, column)


_STAFF: Columns = dict((
    _named("HRID", Column("hr_id", "text")),
    _named("LN", Column("last_name", "text")),
    _named("FN", Column("first_name", "text")),
    _named("MN", Column("middle_name", "text", is_required=False)),
    _named("EM", Column("email", "text")),
    _named("AEM", Column("alternate_email", "text", is_required=False)),
    _named("CP", Column("cell", "text", is_required=False)),
    _named("TI", Column("title", "text", is_required=False)),
    _named("TG", Column("inactive_code", "text")),
    _named("PSC", Column("primary_school", "integer", is_required=False)),
    _named("SID", Column("state_educator_id", "text", is_required=False)),
    _named("HD", Column("hire_date", "date", is_required=False)),
    _named("LD", Column("leave_date", "date", is_required=False)),
))  # fmt: skip
_SCHOOLS: Columns = dict((
    _named("NM", Column("name", "text")),
    _named("TG", Column("inactive_code", "text", is_required=False)),
    _named("CY", Column("city", "text", is_required=False)),
    _named("PR", Column("principal", "text", is_required=False)),
    _named("LO", Column("low_grade", "integer", is_required=False)),
    _named("HI", Column("high_grade", "integer", is_required=False)),
))  # fmt: skip
_STUDENTS: Columns = dict((
    _named("SC", Column("school", "integer")),
    _named("SN", Column("number", "integer")),
    _named("ID", Column("person_id", "integer")),
    _named("CID", Column("state_id", "text", is_required=False)),
    _named("LN", Column("last_name", "text")),
    _named("FN", Column("first_name", "text")),
    _named("MN", Column("middle_name", "text", is_required=False)),
    _named("LNA", Column("last_name_alias", "text", is_required=False)),
    _named("FNA", Column("first_name_alias", "text", is_required=False)),
    _named("GR", Column("grade", "integer")),
    _named("BD", Column("birth_date", "date", is_required=False)),
    _named("GN", Column("gender", "text", is_required=False)),
    _named("SEM", Column("email", "text", is_required=False)),
    _named("NID", Column("network_login", "text", is_required=False)),
    _named("CU", Column("homeroom_teacher", "integer", is_required=False)),
    _named("SP", Column("program", "text", is_required=False)),
    _named("ED", Column("enter_date", "date", is_required=False)),
    _named("LD", Column("leave_date", "date", is_required=False)),
    _named("TG", Column("inactive_code", "text")),
))  # fmt: skip
_GENDER_OF_OLD = "SX"
"""What GN was called before."""


def staff_entity() -> SqlEntity:
    """STF, each with the e-mail address of its login (UGN), as Aeries itself shows it."""
    return SqlEntity(
        name="staff",
        columns=(Column("id", "integer"), *(column for _, column in _STAFF.values())),
        key=("id",),
        needs=(
            TableNeed(
                "staff", "STF", ("ID", "DEL", *names(_STAFF, is_required=True)), names(_STAFF, is_required=False)
            ),
            TableNeed("login", "UGN", ("UID", "SID", "EM", "DEL")),
        ),
        build=_staff_statements,
    )


def _staff_statements(tables: Tables) -> Statements:
    staff, login = tables["staff"], tables["login"]
    # Several logins may belong to one person; the live one with the lowest number is taken, and where it has no
    # address, or there is no login, STF's own. The inner select gives one row a person, so staff are not multiplied.
    preferred = (
        select(login.column("SID").label("staff_id"), func.min(login.column("UID")).label("login_id"))
        .where(is_live(login), login.column("SID").is_not(None))
        .group_by(login.column("SID"))
        .subquery("preferred")
    )
    joined = staff.table.outerjoin(preferred, preferred.c.staff_id == staff.column("ID")).outerjoin(
        login.table, login.column("UID") == preferred.c.login_id
    )
    email = case((is_filled(login.column("EM")), login.column("EM")), else_=staff.column("EM"))
    columns = [
        (email if name == "email" else staff.column(sql_name)).label(name) for name, (sql_name, _) in _STAFF.items()
    ]
    return Statements(
        rows=select(staff.column("ID").label("id"), *columns)
        .select_from(joined)
        .where(is_live(staff))
        .order_by(staff.column("ID")),
        count=select(func.count()).select_from(staff.table).where(is_live(staff)),
    )


def schools_entity(pseudo_schools: Sequence[int]) -> SqlEntity:
    """LOC without the codes that are no schools."""

    def build(tables: Tables) -> Statements:
        school = tables["school"]
        code = school.column("CD")
        is_kept = and_(code.not_in(list(pseudo_schools)), is_live(school))
        columns = [school.column(sql_name).label(name) for name, (sql_name, _) in _SCHOOLS.items()]
        return Statements(
            rows=select(code.label("code"), *columns).select_from(school.table).where(is_kept).order_by(code),
            count=select(func.count()).select_from(school.table).where(is_kept),
        )

    return SqlEntity(
        name="schools",
        columns=(Column("code", "integer"), *(column for _, column in _SCHOOLS.values())),
        key=("code",),
        needs=(
            TableNeed(
                "school",
                "LOC",
                ("CD", *names(_SCHOOLS, is_required=True)),
                ("DEL", *names(_SCHOOLS, is_required=False)),
            ),
        ),
        build=build,
    )


def students_entity(pseudo_schools: Sequence[int]) -> SqlEntity:
    """STU: one row for each student at each school, so several for some persons; every live row, active or not."""

    def build(tables: Tables) -> Statements:
        student = tables["student"]
        school, number = student.column("SC"), student.column("SN")
        columns = [
            student.column(_GENDER_OF_OLD if name == "gender" and not student.has(sql_name) else sql_name).label(name)
            for name, (sql_name, _) in _STUDENTS.items()
        ]
        return Statements(
            rows=select(
                *columns,
                is_active(student).label("is_active"),
                flag(school.in_(list(pseudo_schools))).label("is_pseudo_school"),
            )
            .select_from(student.table)
            .where(is_live(student))
            .order_by(school, number),
            count=select(func.count()).select_from(student.table).where(is_live(student)),
        )

    return SqlEntity(
        name="students",
        columns=(
            Column("key", "text"),
            *(column for _, column in _STUDENTS.values()),
            Column("is_active", "boolean"),
            Column("is_pseudo_school", "boolean"),
        ),
        key=("school", "number"),
        joined={"key": ("school", "number")},
        needs=(
            TableNeed(
                "student",
                "STU",
                ("DEL", *names(_STUDENTS, is_required=True)),
                (_GENDER_OF_OLD, *names(_STUDENTS, is_required=False)),
            ),
        ),
        build=build,
    )


def names(columns: Columns, *, is_required: bool) -> tuple[str, ...]:
    """The names in the database of the columns that must be there, or of those that need not."""
    return tuple(sql_name for sql_name, column in columns.values() if column.is_required is is_required)

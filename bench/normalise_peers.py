"""Other ways to normalise the same people: what each makes of the batches, in one process each.

Every peer carries out the same contract and keeps the rows that cannot go on apart. What a peer gives back is how many
records it made and how many codes it found, so that nobody is quick by leaving work out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Annotated, Any

import msgspec
import polars as pl
import pydantic

from bench.normalise_rules import (
    CONTRACT,
    GRADES,
    PLAIN,
    RULES,
    plain_row,
)
from bench.people import GENDERS, ROLES, SITES
from services.extractor.normalise import Account, merge_accounts, normalise_desired, settle_duplicates

Counts = tuple[int, int]
"""Records made, and codes of those kept back."""
_MAIL = r"^[^\s@]+@(?:[^\s@.]+\.)+[^\s@.]{2,}$"


def ours(batches: Sequence[pl.DataFrame]) -> Counts:
    """The normaliser, batch by batch; no two people have one key, so that each batch can be settled by itself."""
    records = items = 0
    account = Account()
    for batch in batches:
        result = normalise_desired(CONTRACT, RULES, {"person": batch})
        sound, quarantined = settle_duplicates(result.records, result.quarantined, contract=CONTRACT)
        records, items = records + sound.height, items + quarantined.height
        account = merge_accounts([account, result.account])
    return records, items


def plain_loop(batches: Sequence[pl.DataFrame]) -> Counts:
    """Plain functions, row by row."""
    made = [plain_row(row) for batch in batches for row in batch.iter_rows(named=True)]
    return sum(record is not None for record, _ in made), sum(len(codes) for _, codes in made)


def msgspec_rows(batches: Sequence[pl.DataFrame]) -> Counts:
    """Each row typed by msgspec, then plain functions."""
    raw = msgspec.defstruct("Raw", [(column, str | None) for column in batches[0].columns])
    made = []
    for batch in batches:
        for row in batch.iter_rows(named=True):
            typed = msgspec.convert(row, raw)
            made.append(plain_row({column: getattr(typed, column) for column in raw.__struct_fields__}))
    return sum(record is not None for record, _ in made), sum(len(codes) for _, codes in made)


def pydantic_rows(batches: Sequence[pl.DataFrame]) -> Counts:
    """A pydantic model with a validator on each field, row by row."""

    def before(function: Callable[[Mapping[str, Any]], Any]) -> Any:
        return Annotated[str | bool | None, pydantic.BeforeValidator(function)]

    fields: dict[str, Any] = {name: (before(function), ...) for name, function in PLAIN.items()}
    model = pydantic.create_model("Person", **fields)
    records, codes = [], 0
    for batch in batches:
        for row in batch.iter_rows(named=True):
            try:
                records.append(model.model_validate(dict.fromkeys(PLAIN, row)))
            except pydantic.ValidationError as error:
                codes += error.error_count()
    return len(records), codes


def polars_plain(batches: Sequence[pl.DataFrame]) -> Counts:
    """Plain polars expressions over all rows at once."""
    rows = pl.concat(batches)

    def blank(text: pl.Expr) -> pl.Expr:
        return pl.when(text != "").then(text)

    def name(column: str) -> pl.Expr:
        return blank(pl.col(column).str.strip_chars().str.replace_all(r"\s+", " ").str.normalize("NFC"))

    def upper(column: str) -> pl.Expr:
        return blank(pl.col(column).str.strip_chars().str.to_uppercase())

    def lower(column: str) -> pl.Expr:
        return blank(pl.col(column).str.strip_chars().str.to_lowercase())

    def mail(column: str) -> pl.Expr:
        return pl.when(lower(column).str.contains(_MAIL)).then(lower(column))

    def phone(column: str) -> pl.Expr:
        digits = pl.col(column).str.replace_all("[^0-9]", "").str.replace("^1([0-9]{10})$", "$1")
        return pl.when(digits.str.contains("^[0-9]{10}$")).then(pl.lit("+1") + digits)

    def date(column: str) -> pl.Expr:
        text = pl.col(column).str.strip_chars()
        days = [text.str.to_date(one, strict=False) for one in ("%m/%d/%Y", "%Y-%m-%d")]
        return pl.coalesce(days).dt.strftime("%Y-%m-%d")

    def mapped(column: str, table: Mapping[str, str]) -> pl.Expr:
        return upper(column).replace_strict(table, default=None, return_dtype=pl.String)

    word = pl.col("is_primary").str.strip_chars().str.to_lowercase()
    values = {
        "external_id": upper("employee_id"),
        "last_name": name("last"),
        "first_name": pl.coalesce(name("preferred_first"), name("first")),
        "middle_name": name("middle"),
        "suffix": upper("suffix"),
        "email": mail("work_email"),
        "personal_email": mail("personal_email"),
        "mobile": phone("mobile"),
        "home_phone": phone("home_phone"),
        "birth_date": date("birth_date"),
        "hire_date": date("hire_date"),
        "leave_date": date("leave_date"),
        "site": mapped("site_code", SITES),
        "role": mapped("job_code", ROLES),
        "status": upper("status"),
        "grade": lower("grade").replace_strict(GRADES, default=None, return_dtype=pl.String),
        "gender": mapped("gender", GENDERS).fill_null("unknown"),
        "street": blank(pl.col("street").str.strip_chars().str.replace_all(r"\s+", " ")),
        "city": blank(pl.col("city").str.strip_chars().str.replace_all(r"\s+", " ").str.to_uppercase()),
        "state": upper("state"),
        "zip": pl.col("zip").str.replace_all("[^0-9]", ""),
        "is_primary": pl.when(word.is_in(["y", "yes", "true"])).then(True).when(word.is_in(["n", "0"])).then(False),
        "seq": pl.col("seq").str.strip_chars().str.to_integer(strict=False).cast(pl.String),
        "title": name("title"),
        "full_name": pl.concat_str(name("last"), name("first"), separator=", ", ignore_nulls=True),
    }
    made = rows.lazy().with_columns(**{f"value {name}": value for name, value in values.items()})
    faults = {
        **{one: pl.col(f"value {one}").is_null() for one in ("external_id", "last_name", "first_name", "site", "role")},
        "email": pl.col("work_email").is_not_null() & pl.col("value email").is_null(),
        "birth_date": pl.col("birth_date").is_not_null() & pl.col("value birth_date").is_null(),
        "hire_date": pl.col("hire_date").is_not_null() & pl.col("value hire_date").is_null(),
        "status": ~pl.col("value status").is_in(["A", "L"]),
        "is_primary": pl.col("value is_primary").is_null(),
        "seq": pl.col("value seq").is_null(),
    }
    judged = made.with_columns(**{f"fault {name}": fault for name, fault in faults.items()}).collect()
    masks = [f"fault {name}" for name in faults]
    records = judged.filter(~pl.any_horizontal(masks)).select(f"value {name}" for name in values)
    return records.height, int(judged.select(pl.sum_horizontal(pl.col(masks).sum())).item())


def duckdb_sql(batches: Sequence[pl.DataFrame]) -> Counts:
    """One SQL statement of duckdb, on as many threads as there are cores."""
    duckdb = import_module("duckdb")
    connection = duckdb.connect()
    connection.register("people", pl.concat(batches).to_arrow())
    for table, entries in (("sites", SITES), ("roles", ROLES), ("genders", GENDERS), ("grades", GRADES)):
        connection.register(table, pl.DataFrame({"id": list(entries), "code": list(entries.values())}).to_arrow())
    # COLUMN stands for the column.
    name = r"nullif(nfc_normalize(regexp_replace(trim(COLUMN), '\s+', ' ', 'g')), '')"
    mail = f"case when regexp_matches(lower(trim(COLUMN)), '{_MAIL}') then lower(trim(COLUMN)) end"
    digits = r"regexp_replace(regexp_replace(COLUMN, '[^0-9]', '', 'g'), '^1([0-9]{10})$', '\1')"
    phone = f"case when length({digits}) = 10 then '+1' || {digits} end"
    date = "strftime(try_strptime(trim(COLUMN), ['%m/%d/%Y', '%Y-%m-%d']), '%Y-%m-%d')"
    upper = "nullif(upper(trim(COLUMN)), '')"
    squeezed = r"nullif(regexp_replace(trim(COLUMN), '\s+', ' ', 'g'), '')"
    word = "lower(trim(is_primary))"

    def on(template: str, column: str) -> str:
        return template.replace("COLUMN", column)

    values = {
        "external_id": on(upper, "employee_id"),
        "last_name": on(name, "last"),
        "first_name": f"coalesce({on(name, 'preferred_first')}, {on(name, 'first')})",
        "middle_name": on(name, "middle"),
        "suffix_": on(upper, "suffix"),
        "email": on(mail, "work_email"),
        "personal_email_": on(mail, "personal_email"),
        "mobile_": on(phone, "mobile"),
        "home_phone_": on(phone, "home_phone"),
        "birth_date_": on(date, "birth_date"),
        "hire_date_": on(date, "hire_date"),
        "leave_date_": on(date, "leave_date"),
        "site": "sites.code",
        "role": "roles.code",
        "status_": on(upper, "status"),
        "grade_": "grades.code",
        "gender_": "coalesce(genders.code, 'unknown')",
        "street_": on(squeezed, "street"),
        "city_": f"upper({on(squeezed, 'city')})",
        "state_": on(upper, "state"),
        "zip_": "regexp_replace(zip, '[^0-9]', '', 'g')",
        "is_primary_": f"case when {word} in ('y', 'yes', 'true') then true when {word} in ('n', '0') then false end",
        "seq_": "cast(try_cast(trim(seq) as bigint) as varchar)",
        "title_": on(name, "title"),
        "full_name": f"concat_ws(', ', {on(name, 'last')}, {on(name, 'first')})",
    }
    faults = (
        [f"{one} is null" for one in ("external_id", "last_name", "first_name", "site", "role", "is_primary_", "seq_")]
        + ["work_email is not null and email is null", "birth_date is not null and birth_date_ is null"]
        + ["hire_date is not null and hire_date_ is null", "status_ not in ('A', 'L')"]
    )
    connection.execute(
        "create table judged as select *, "
        + " + ".join(f"cast(({fault}) as integer)" for fault in faults)
        + " as faults from (select work_email, birth_date, hire_date, "
        + ", ".join(f"{value} as {column}" for column, value in values.items())
        + " from people left join sites on sites.id = upper(trim(site_code)) left join roles on roles.id ="
        " upper(trim(job_code)) left join genders on genders.id = upper(trim(gender)) left join grades on grades.id ="
        " lower(trim(grade)))"
    )
    connection.execute(f"create table records as select {', '.join(values)} from judged where faults = 0")
    records = connection.execute("select count(*) from records").fetchone()
    codes = connection.execute("select sum(faults) from judged").fetchone()
    assert records is not None
    assert codes is not None
    return int(records[0]), int(codes[0])


PEERS: Mapping[str, Callable[[Sequence[pl.DataFrame]], Counts]] = {
    "ours": ours,
    "polars plain": polars_plain,
    "duckdb": duckdb_sql,
    "plain loop": plain_loop,
    "msgspec": msgspec_rows,
    "pydantic": pydantic_rows,
}
ROW_BY_ROW = frozenset({"plain loop", "msgspec", "pydantic"})
"""Measured on fewer rows, and said so."""
NEEDED: Mapping[str, tuple[str, ...]] = {"duckdb": ("duckdb", "pyarrow")}
"""Packages of the dependency group `bench`; a way that lacks one is left out, and said so."""

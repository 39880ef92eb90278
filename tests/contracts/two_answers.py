"""The two answers to one question: what a contract makes of some rows, by columns and row by row.

`by_columns` asks the normaliser, `by_rows` the evaluator of `tests.contracts.row_by_row`; both answer in its words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl
import pytest

from services.extractor.normalise import normalise_desired, settle_duplicates
from services.extractor.rules import Rules
from shared.contract.tables import MappingTable
from tests.contracts.contract_strategies import COLUMNS, LOOKED_UP, TABLES, TRANSFORMS, Case
from tests.contracts.row_by_row import Evaluated, Item, Row, RowByRow
from tests.contracts.value_by_value import Raw

Answer = Callable[[Case], Evaluated]
TYPES = {"int": pl.Int64, "number": pl.Int64, "bool": pl.Boolean}
RULES = {
    name: MappingTable(name=name, id_column="id", value_column="code", entries=entries, lines={})
    for name, entries in TABLES.items()
}


def framed(rows: Sequence[Row], kinds: Mapping[str, str]) -> pl.DataFrame:
    """Rows as a reading delivers them: every column of one type, also where no row has a value."""
    schema = {name: TYPES.get(kind, pl.String) for name, kind in kinds.items()}
    return pl.DataFrame([dict(row) for row in rows], schema=schema, orient="row")


def by_columns(case: Case) -> Evaluated:
    """What the normaliser makes of a case, in the words of the evaluator."""
    lookups = {LOOKED_UP: framed(case.lookups[LOOKED_UP], {"target_id": "id", "name": "name", "mail": "email"})}
    rules = Rules(tables=RULES, transforms=TRANSFORMS, lookups=lookups)
    frames = {alias: framed(rows, COLUMNS[alias]) for alias, rows in case.sources.items()}
    normalised = normalise_desired(case.contract, rules, frames)
    records, quarantined = settle_duplicates(normalised.records, normalised.quarantined, contract=case.contract)
    return Evaluated(
        records=[
            row | {"left alone": row["left alone"].split(",") if row["left alone"] else []}
            for row in records.to_dicts()
        ],
        quarantined=[Item(**(row | {"key": row["key"] or ""})) for row in quarantined.to_dicts()],
        unmapped=Counter({(one.table, one.raw_id): one.rows for one in normalised.unmapped}),
        out_of_scope=normalised.out_of_scope,
        blocked={(one.field, one.code) for one in normalised.blocked},
    )


def by_rows(case: Case) -> Evaluated:
    """What the evaluator makes of it."""
    return RowByRow(case.contract, TABLES, TRANSFORMS, case.lookups).evaluate(case.sources)


BOTH = pytest.mark.parametrize("answer", [by_rows, by_columns])


def person(**cells: Raw) -> Row:
    return dict.fromkeys(COLUMNS["person"]) | {"id": "K1"} | cells


def case_of(
    field: dict[str, Any],
    *people: Row,
    lookups: Sequence[Row] = (),
    sources: Mapping[str, list[Row]] | None = None,
    **clauses: Any,
) -> Case:
    """A contract of a key and one field, over the people given."""
    origin = {"source": "person"} | clauses.pop("origin", {})
    fields = {"key_field": {"from": ["person.id"], "steps": ["trim"]}, "alpha": field}
    document = {"from": origin, "key": "key_field", "fields": fields} | clauses
    return Case(document, {"person": list(people)} | dict(sources or {}), {LOOKED_UP: list(lookups)})


def job(**cells: Raw) -> Row:
    return dict.fromkeys(COLUMNS["job"]) | cells


def joined_case(
    order: list[dict[str, Any]],
    left: str,
    people: list[Row],
    jobs: list[Row],
    *,
    steps: Sequence[str] = (),
    where: Sequence[dict[str, Any]] = (),
) -> Case:
    """A contract whose field shows the title of the job that was joined."""
    on = {"left": {"column": left, "steps": list(steps)}, "right": {"column": "person", "steps": list(steps)}}
    join = {"source": "job", "on": on, "where": list(where), "order": order}
    return case_of({"from": ["job.title"]}, *people, sources={"job": jobs}, joins=[join])


def value(answer: Answer, field: dict[str, Any], raw: Raw) -> Any:
    """The value of one field that is taken from one text, or the codes of what is wrong with it."""
    found = answer(case_of({"from": ["person.name"]} | field, person(name=raw)))
    assert found.out_of_scope == 0
    return found.records[0]["alpha"] if found.records else [item.code for item in found.quarantined]


def compared(found: Evaluated) -> dict[str, Any]:
    """What must be the same, in an order of its own."""
    return {
        "blocked": found.blocked,
        "records": sorted(repr(record) for record in found.records),
        "quarantined": sorted(found.quarantined),
        "unmapped": found.unmapped,
        "out of scope": found.out_of_scope,
    }

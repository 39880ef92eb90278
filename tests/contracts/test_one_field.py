"""The walk-through of one field (docs/one-field.md) shows what the code does: its blocks are computed anew here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from services.differ.comparing import Entity, Memory, Waves
from services.differ.diff import changes_of_pairs, compare
from services.extractor.normalise import Rules, normalise_desired, normalise_existing
from shared.contract.examples import columns_used
from shared.contract.loading import Connector, load_connector
from shared.contract.ordering import clause_digests
from shared.hashing.canonical import digest_of
from shared.hashing.commitment import commit, subject_key
from shared.plan.change import Change, leaf_of
from shared.plan.index import index_of
from shared.policy.figures import EntityFigures, GuardFigures, SourceFigures
from shared.policy.guard import guard
from shared.policy.limits import DEFAULT_POLICY
from shared.records.hashes import compared_fields, with_hashes
from shared.records.live import live_column
from tests.support.systems import installed_systems

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "one-field.md"
KEY = "C000120"
MASTER = bytes(range(32))
READ_AT = datetime(2026, 11, 22, 3, tzinfo=UTC)

SOURCES: Mapping[str, list[dict[str, Any]]] = {
    "person": [
        {"person_id": 1001, "employee_id": " c000120", "last": "  de la   Cruz ", "first": "Tomas",
         "preferred_first": "Tom", "work_email": "tdelacruz@old.bristlecone-usd.example", "mobile": "(916) 555-0152",
         "status_code": "a", "edited_at": "2026-08-16T07:13:43"},
    ],
    "job": [
        {"employee_id": "C000120", "seq": 5, "site_code": "010", "job_class_code": "0101", "is_primary": True,
         "start_date": "2016-02-19", "end_date": None},
    ],
    "aeries": [
        {"id": 100001, "hr_id": "C000120", "email": "TdelaCruz@bristlecone-usd.example", "cell": "9165550199",
         "inactive_code": " "},
    ],
}  # fmt: skip
CONTACT: Mapping[str, Any] = {
    "target_id": "c-000421", "external_id": "C000120", "first_name": "Tom", "last_name": "de la Cruz",
    "email": "tdelacruz@bristlecone-usd.example", "mobile": "+1 916 555 0199", "role": "TEACHER",
    "location": "TL-010", "active": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def connector() -> Connector:
    return load_connector(ROOT / "connectors" / "titanhst-staff")


@pytest.fixture(scope="module")
def desired(connector: Connector) -> pl.DataFrame:
    contract = connector.definition.entities["contacts"]
    used = columns_used(contract)
    frames = {
        alias: pl.DataFrame([{name: row.get(name) for name in used[alias]} for row in rows])
        for alias, rows in SOURCES.items()
    }
    found = normalise_desired(contract, Rules(tables=connector.tables), frames)
    assert found.quarantined.filter(pl.col("code").is_not_null()).is_empty()
    return found.records


@pytest.fixture(scope="module")
def existing(connector: Connector) -> pl.DataFrame:
    contract = connector.definition.entities["contacts"]
    frame = pl.DataFrame([CONTACT])
    live = frame.select("target_id", *(pl.col(name).alias(live_column(name)) for name in contract.fields))
    return normalise_existing(contract, frame).records.join(live, on="target_id")


@pytest.fixture(scope="module")
def change(connector: Connector, desired: pl.DataFrame, existing: pl.DataFrame) -> Change:
    contract = connector.definition.entities["contacts"]
    clauses = clause_digests(connector, "contacts")
    entity = Entity(
        target="titanhst",
        name="contacts",
        contract=contract,
        waves=Waves(constructive=1, destructive=2),
        wire=installed_systems().wire("titanhst"),
        commitment_master=MASTER,
        clause_digests=clauses,
    )
    compared = compare(
        entity,
        desired=with_hashes(desired, compared_fields(contract)),
        existing=with_hashes(existing, compared_fields(contract)),
        quarantined_keys=frozenset(),
    )
    # Last week another number was written; nobody touched the contact since.
    key = subject_key(MASTER, f"titanhst/contacts/{KEY}")
    memory = Memory(
        key=KEY, target_id="c-000421", written={"mobile": commit(key, "+19165550199")}, clauses=dict(clauses)
    )
    (made,) = changes_of_pairs(entity, compared.pairs, recall={KEY: memory}, linked={"c-000421": KEY}).changes
    return made


def block(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def shown() -> str:
    return DOCUMENT.read_text(encoding="utf-8")


def test_rows_are_those_that_are_read_here() -> None:
    for alias, rows in SOURCES.items():
        for row in rows:
            assert all(str(value) in shown() for value in row.values() if value is not None), alias


def test_canonical_record(desired: pl.DataFrame) -> None:
    assert block({name: value for name, value in desired.row(0, named=True).items() if value is not None}) in shown()


def test_contact_as_read_and_as_compared(existing: pl.DataFrame) -> None:
    row = existing.row(0, named=True)
    assert block({"mobile": row["mobile"], live_column("mobile"): row[live_column("mobile")]}) in shown()


def test_change(change: Change) -> None:
    written = change.model_dump(
        mode="json", include={"key", "target_id", "change_class", "verb", "fields", "write", "wave", "cohort"}
    )
    assert block(written) in shown()
    assert change.change_id in shown()
    assert change.precondition is not None
    assert change.precondition in shown()


def test_leaf(change: Change) -> None:
    (part,) = index_of([change], run="20261122T030000-abcdef", entity="contacts", partition=0)
    assert part.entries[0].leaf in shown()
    leaf = json.loads(leaf_of(change))
    assert block(leaf["fields"]) in shown()
    assert digest_of(leaf).removeprefix("sha256:") not in shown(), "the leaf's hash has the prefix of RFC 6962"


def test_verdict_line() -> None:
    figures = GuardFigures(
        entities=(
            EntityFigures(
                entity="contacts",
                sources=(SourceFigures(source="person", rows=2400, rows_accepted_last=2398, is_certified=True),),
                is_target_certified=True,
                live_managed=2259,
                desired=2276,
                changes={"update": 1},
                field_changes={"mobile": 1},
                certified_runs=12,
            ),
        )
    )
    lines = [line.text for line in guard(figures, DEFAULT_POLICY).lines]
    for check in ("update", "source_grew"):
        (text,) = [line for line in lines if line.startswith(f"{check}:") and "contacts" in line]
        assert text in shown(), text


def test_memory_tells_why(change: Change) -> None:
    assert [one.cause.value for one in change.fields] == ["source_change"]

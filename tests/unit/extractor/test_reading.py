"""Reading a side: what is kept of it, what is certified, and when the whole of it is of no use."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

import polars as pl
import pytest

import services.extractor.extract as extracting
from services.extractor.one_entity import Systems
from services.extractor.reading import lookup_columns, read_source, read_target
from services.extractor.spill import SpillFile
from shared.clock import SystemClock
from shared.contract.loading import Connector
from shared.contract.model import ConnectorDefinition
from shared.errors import StopRun
from shared.ports.connections import Connection, Connections
from shared.ports.registry import Registry
from shared.ports.system import Column, ExpectedRows, Finding, Page, Source

DEFINITION = ConnectorDefinition.model_validate(
    {
        "schema_version": 1,
        "name": "members",
        "version": "1.0.0",
        "title": "People into groups",
        "lifecycle": "active",
        "target": {"system": "target_system", "connection": "house"},
        "sources": {
            "person": {"system": "people_system", "connection": "hr", "entity": "people"},
            "job": {"system": "people_system", "connection": "hr", "entity": "jobs"},
        },
        "entities": {
            "contacts": {
                "from": {"source": "person"},
                "joins": [
                    {
                        "source": "job",
                        "on": {"left": {"column": "person.id"}, "right": {"column": "who"}},
                        "order": [{"column": "who"}],
                    }
                ],
                "key": "id",
                "fields": {
                    "id": {"from": ["person.id"]},
                    "group": {"from": ["job.site"], "lookup": {"entity": "groups", "by": "name"}},
                    "zone": {"from": ["job.site"], "lookup": {"entity": "groups", "by": "name", "take": "zone"}},
                },
            }
        },
    }
)
CONNECTOR = Connector(definition=DEFINITION, tables={}, digest="sha256:0")
ROWS: dict[str, dict[str, list[str]]] = {
    "people": {"id": ["1", "2"], "secret": ["x", "y"]},
    "jobs": {"who": ["1"], "site": ["North"]},
    "groups": {"target_id": ["g1"], "name": ["North"], "zone": ["Z"], "about": ["x"]},
    "contacts": {"target_id": ["t1"], "id": ["1"], "group": ["g1"], "zone": ["Z"], "hobby": ["chess"]},
}


@dataclass
class Whatever(Registry):
    """Systems that hold `rows`, lack some while counting them, or break off."""

    rows: Mapping[str, Mapping[str, list[str]]]
    lacking: frozenset[str] = frozenset()
    broken: frozenset[str] = frozenset()
    moving: dict[str, int] = field(default_factory=dict)
    """By entity: how many readings find its records moving."""
    pauses: list[float] = field(default_factory=list)
    read_from: list[tuple[str, str]] = field(default_factory=list)
    closed: int = 0

    def open_source(self, connection: Connection) -> Source:
        return _Opened(self, connection.name)


@dataclass
class _Opened:
    systems: Whatever
    connection: str

    def columns(self, entity: str) -> Sequence[Column]:
        return [Column(name, "text") for name in ROWS[entity]]

    def read(self, entity: str) -> _Reading:
        self.systems.read_from.append((self.connection, entity))
        return _Reading(self.systems, entity)

    async def check(self) -> Sequence[Finding]:
        return []

    async def close(self) -> None:
        self.systems.closed += 1


@dataclass
class _Reading:
    systems: Whatever
    entity: str

    async def __aiter__(self) -> AsyncIterator[Page]:
        frame = pl.DataFrame(self.systems.rows[self.entity])
        yield Page(1, frame, "1", "1", hashlib.sha256(self.entity.encode()).hexdigest())
        if self.systems.moving.get(self.entity, 0):
            self.systems.moving[self.entity] -= 1
            raise StopRun("SRC_UNSTABLE", "the total moved from 2 to 3")
        if self.entity in self.systems.broken:
            raise StopRun("SRC_WRONG_SHAPE", "a page of HTML")

    @property
    def expected(self) -> ExpectedRows:
        rows = pl.DataFrame(self.systems.rows[self.entity]).height
        return ExpectedRows(rows + (self.entity in self.systems.lacking), "count")


def systems_of(registry: Whatever) -> Systems:
    names = {"hr": "people_system", "house": "target_system"}
    connections = {name: Connection(name=name, system=system, environment="staging") for name, system in names.items()}

    async def pause(seconds: float) -> None:
        registry.pauses.append(seconds)

    return Systems(Connections(connections=connections), registry, SystemClock(), rng=Random(1), sleep=pause)


async def test_only_the_columns_that_the_contract_uses_are_kept() -> None:
    registry = Whatever(ROWS)
    with SpillFile() as file:
        side = await read_source(CONNECTOR, "contacts", systems_of(registry), file)
        assert {alias: shelves.schema.names() for alias, shelves in side.shelves.items()} == {
            "person": ["id"],
            "job": ["who", "site"],
        }
        assert side.lookups["groups"].take([0]).to_dict(as_series=False) == {
            "name": ["North"],
            "target_id": ["g1"],
            "zone": ["Z"],
        }
    assert side.schemas["person"].names() == ["id", "secret"]
    assert side.declared["person"] == {"id": "text", "secret": "text"}
    assert registry.closed == 3


async def test_a_lookup_is_read_from_the_target_and_certified_like_a_source() -> None:
    registry = Whatever(ROWS)
    with SpillFile() as file:
        side = await read_source(CONNECTOR, "contacts", systems_of(registry), file)
    assert sorted(registry.read_from) == [("house", "groups"), ("hr", "jobs"), ("hr", "people")]
    assert [(one.source, one.rows, one.is_certified) for one in side.proof.figures] == [
        ("person", 2, True),
        ("job", 1, True),
        ("target.groups", 1, True),
    ]
    assert [(one.connection, one.entity) for one in side.proof.certificates] == [
        ("hr", "people"),
        ("hr", "jobs"),
        ("house", "groups"),
    ]
    assert side.proof.incomplete is None


async def test_a_lookup_that_breaks_off_makes_the_side_useless() -> None:
    registry = Whatever(ROWS, broken=frozenset({"groups"}))
    with SpillFile() as file:
        side = await read_source(CONNECTOR, "contacts", systems_of(registry), file)
    assert not side.proof.is_usable
    assert side.proof.incomplete is not None
    assert side.proof.incomplete.text == "house/groups: a page of HTML"


async def test_a_source_short_of_its_count_leaves_the_side_usable_without_its_certificate() -> None:
    registry = Whatever(ROWS, lacking=frozenset({"jobs"}))
    with SpillFile() as file:
        side = await read_source(CONNECTOR, "contacts", systems_of(registry), file)
    assert side.proof.is_usable
    assert [one.is_certified for one in side.proof.figures] == [True, False, True]
    assert side.proof.incomplete is not None
    assert "short of the 2 expected" in side.proof.incomplete.text


async def test_a_connection_that_is_not_set_up_is_named() -> None:
    systems = Systems(Connections(connections={}), Whatever(ROWS), SystemClock())
    with SpillFile() as file:
        side = await read_target(CONNECTOR, "contacts", systems, file)
    assert not side.proof.is_usable
    assert side.proof.incomplete is not None
    assert "house" in side.proof.incomplete.text


async def test_of_the_target_the_id_and_the_fields_are_kept() -> None:
    with SpillFile() as file:
        side = await read_target(CONNECTOR, "contacts", systems_of(Whatever(ROWS)), file)
    assert side.shelves["target"].schema.names() == ["target_id", "id", "group", "zone"]


def test_two_lookups_in_one_entity_are_one_reading() -> None:
    assert lookup_columns(DEFINITION.entities["contacts"]) == {"groups": ["name", "target_id", "zone"]}


@pytest.mark.parametrize("readings", [1, 2])
async def test_records_that_come_to_rest_are_read_anew_and_none_of_before_is_left(
    readings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extracting, "HANDED_ROWS", 1)  # every page is on the shelves before the records move
    registry = Whatever(ROWS, moving={"jobs": readings})
    with SpillFile() as file:
        side = await read_source(CONNECTOR, "contacts", systems_of(registry), file)
        assert side.shelves["job"].rows == 1
        assert side.keepable[1].shelves is side.shelves["job"]
    assert [entity for _, entity in registry.read_from].count("jobs") == 1 + readings
    assert [entity for _, entity in registry.read_from].count("people") == 1, "only what moved is read anew"
    assert side.proof.incomplete is None
    assert side.proof.rereads == readings
    assert all(figures.is_certified for figures in side.proof.figures)
    assert len(registry.pauses) == readings
    assert sorted(registry.pauses) == registry.pauses


@pytest.mark.parametrize("entity", ["people", "groups"], ids=["source", "lookup"])
async def test_records_that_never_stand_still_are_the_reason_after_three_readings(entity: str) -> None:
    registry = Whatever(ROWS, moving={entity: 99})
    with SpillFile() as file:
        side = await read_source(CONNECTOR, "contacts", systems_of(registry), file)
    assert [one for _, one in registry.read_from].count(entity) == 3
    assert not side.proof.is_usable
    assert side.proof.incomplete is not None
    assert side.proof.incomplete.code == "SRC_UNSTABLE"
    assert side.proof.incomplete.text.endswith("the total moved from 2 to 3 (read 3 times)")


async def test_a_moving_target_is_read_anew_like_a_source() -> None:
    registry = Whatever(ROWS, moving={"contacts": 1})
    with SpillFile() as file:
        side = await read_target(CONNECTOR, "contacts", systems_of(registry), file)
        assert side.shelves["target"].rows == 1
    assert side.proof.incomplete is None
    assert len(side.proof.certificates) == 1


async def test_another_shape_is_not_read_anew() -> None:
    registry = Whatever(ROWS, broken=frozenset({"people"}))
    with SpillFile() as file:
        await read_source(CONNECTOR, "contacts", systems_of(registry), file)
    assert [entity for _, entity in registry.read_from].count("people") == 1
    assert registry.pauses == []

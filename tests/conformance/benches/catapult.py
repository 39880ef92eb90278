"""Catapult EMS on the bench: the staff file, in a folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from shared.ports.connections import Connection
from shared.ports.wire import Record
from tests.conformance.bench import Bench, Observed, Writing
from tests.support.systems import installed_systems

ENTITIES = ("staff",)
ROWS = 25
HEADER = "id,school,nameFirst,nameLast,email,mobileNumber,title,role\r\n"


@asynccontextmanager
async def opened(entity: str, folder: Path) -> AsyncIterator[Bench]:
    """The staff file of a folder made for this test."""
    file = folder / "StaffExport.csv"
    row = "E{0},0{1},Wilhelmina,Ash-Grove,w{0}@district.example,+17145550100,Teacher,\r\n"
    file.write_text(HEADER + "".join(row.format(n, 10 + n % 3) for n in range(1, ROWS + 1)), newline="")

    async def make_empty() -> None:
        file.write_text(HEADER, newline="")

    observed = Observed()
    registry = installed_systems(surroundings=observed.surroundings({}))
    source = registry.open_source(_connection(folder))
    unreachable = registry.open_source(_connection(folder / "not-mounted"))
    target = registry.open_target(_connection(folder))
    yield Bench(
        source=source,
        entity=entity,
        rows=ROWS,
        unreachable=unreachable,
        refused=None,
        make_empty=make_empty,
        sensitive=frozenset({"Wilhelmina", "Ash-Grove", "w7@district.example"}),
        surroundings=observed,
        writing=Writing(
            target=target,
            wire=registry.wire("catapult"),
            new=_new,
            change={"first_name": "Changed", "email": "changed@district.example"},
            key="staff_site",
            can=frozenset({"create", "update", "delete"}),
            write_path="/staff",
        ),
    )
    for each in (source, unreachable, target):
        await each.close()


def _connection(folder: Path) -> Connection:
    settings = {"folder": str(folder), "page_rows": 10}
    return Connection(name="ems", system="catapult", environment="staging", settings=settings)


def _new(number: int) -> Record:
    return {
        "staff_site": f"N,{number} ü/010",
        "staff_id": f"N,{number} ü",
        "school_id": "010",
        "first_name": "Zoë",
        "last_name": 'O"Neil\nde Vries',
        "email": None,
        "mobile": "+17145550100",
        "title": "Ms. 'Principal'",
        "access_role": None,
    }

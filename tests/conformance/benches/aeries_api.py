"""Aeries's API on the bench: students in pages, staff that can be written, sections school by school."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from shared.ports.connections import Connection
from shared.ports.wire import Record
from simulators.aeries_api.app import AeriesConfig, create_app
from simulators.aeries_api.certificates import AREAS, Certificate
from simulators.kit.serve import serving
from tests.conformance.bench import Bench, Observed, Vendor, Writing
from tests.conformance.benches.titanhst import nobody
from tests.support.systems import installed_systems

ENTITIES = ("students", "staff", "sections")
ROWS = 25
SCHOOLS = (501, 502, 503)
SECRETS = {
    "env:READ": "Reading0Reading1Reading2Reading3",
    "env:WRITE": "Writing0Writing1Writing2Writing3",
    "env:OLD": "Nobody00Nobody01Nobody02Nobody03",
}
PATHS = {"students": "/schools/501/students$", "staff": "/staff$", "sections": "/schools/502/sections$"}


@asynccontextmanager
async def opened(entity: str, folder: Path) -> AsyncIterator[Bench]:
    """One entity of a simulated district."""
    app = create_app(
        AeriesConfig(
            certificates=(
                Certificate(value=SECRETS["env:READ"], permissions=dict.fromkeys(AREAS, frozenset({"read"}))),
                Certificate(value=SECRETS["env:WRITE"]),
            ),
            seed=_seed(),
        )
    )
    with serving(app) as url, nobody() as nowhere:
        async with Vendor(url) as vendor:
            observed = Observed()
            registry = installed_systems(surroundings=observed.surroundings(SECRETS))
            source = registry.open_source(_connection(url))
            refused = registry.open_source(_connection(url, certificate="env:OLD"))
            unreachable = registry.open_source(_connection(nowhere))
            target = registry.open_target(_connection(url))
            may_only_read = registry.open_target(_connection(url, write_certificate="env:READ"))

            async def make_empty() -> None:
                await vendor.replace_state(_seed(without=entity))

            yield Bench(
                source=source,
                entity=entity,
                rows=ROWS,
                unreachable=unreachable,
                refused=refused,
                make_empty=make_empty,
                is_paged=entity == "students",  # all others come as whole arrays
                vendor=vendor,
                list_path=PATHS[entity],
                sensitive=frozenset({"Wilhelmina", "Ash-Grove", "w7@district.example", *SECRETS.values()}),
                surroundings=observed,
                writing=Writing(
                    target=target,
                    wire=registry.wire("aeries_api"),
                    new=_new,
                    change={"first_name": "Changed", "title": "Changed too", "leave_date": "2026-06-05"},
                    key="hr_id",
                    # Who is to be suspended, and how, is said by the contract; Aeries deletes nobody.
                    can=frozenset({"create", "update"}),
                    write_path="/api/v5/staff(/[0-9]+)?$",
                    may_only_read=may_only_read,
                )
                if entity == "staff"
                else None,
            )
            for each in (source, refused, unreachable, target, may_only_read):
                await each.close()


def _connection(url: str, *, certificate: str = "env:READ", write_certificate: str = "env:WRITE") -> Connection:
    settings = {
        "base_url": f"{url}/aeries",
        "certificate": certificate,
        "write_certificate": write_certificate,
        "database_year": 2026,
        "page_records": 10,
        "timeout_seconds": 5,
    }
    return Connection(name="aeries", system="aeries_api", environment="staging", settings=settings)


def _seed(*, without: str = "") -> dict[str, Any]:
    year = {
        "schools": [{"SchoolCode": code, "Name": f"School {code}"} for code in (0, *SCHOOLS, 999)],
        "students": [_student(number) for number in range(1, ROWS + 1)],
        "staff": [_member(number) for number in range(1, ROWS + 1)],
        "courses": [{"ID": "0726", "Title": "Algebra"}],
        "sections": [
            {
                "SchoolCode": SCHOOLS[number % 3],
                "SectionNumber": number,
                "CourseID": "0726",
                "Semester": "Y",
                "SectionStaffMembers": [{"StaffID": number, "IsPrimaryTeacher": True, "LastName": "Ash-Grove"}],
            }
            for number in range(1, ROWS + 1)
        ],
    }
    if without:
        year[without] = []
    if without == "staff":
        year["sections"] = []
    return {"years": {"2026": year, "2025": {"schools": year["schools"]}}}


def _student(number: int) -> dict[str, Any]:
    return {
        "StudentID": 990_000 + number,
        "SchoolCode": 501,
        "StudentNumber": number,
        "LastName": "Ash-Grove",
        "FirstName": "Wilhelmina",
        "Grade": 9,
        "StudentEmailAddress": f"w{number}@district.example",
    }


def _member(number: int) -> dict[str, Any]:
    return {
        "ID": number,
        "HumanResourcesSystemID": f"E{number:05d}",
        "LastName": "Ash-Grove",
        "FirstName": "Wilhelmina",
        "EmailAddress": f"w{number}@district.example",
        "HireDate": "2020-08-01T00:00:00",
    }


def _new(number: int) -> Record:
    return {
        "id": 5_000 + number,
        "hr_id": f"N/{number} ü",
        "last_name": "O'Neil",
        "first_name": "Zoë",
        "middle_name": None,
        "email": f"n{number}@district.example",
        "cell": "7145550100",
        "inactive_code": None,
        "hire_date": "2026-08-03",
        "leave_date": None,
        "primary_school": 501,
    }

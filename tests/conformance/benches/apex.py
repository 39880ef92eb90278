"""Apex Learning on the bench: students and their enrolments."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from shared.ports.connections import Connection
from shared.ports.registry import Registry
from shared.ports.wire import Record
from simulators.apex.app import ApexConfig, create_app
from simulators.apex.switches import ApexSwitches
from simulators.kit.serve import serving
from tests.conformance.bench import Bench, Observed, Vendor, Writing
from tests.conformance.benches.titanhst import nobody
from tests.support.systems import installed_systems

ENTITIES = ("students", "enrollments")
ROWS = 25
CLIENT = "client-of-the-bench"
SECRETS = {"env:SECRET": "secret-of-the-bench", "env:OLD": "secret-that-nobody-knows"}
LISTS = {"students": "/students$", "enrollments": "/students$"}
WRITES = {"students": "/students", "enrollments": "/classrooms/[^/]+/students"}

SAMPLE_IDS = {"students": "10/w1@district.example", "enrollments": "R2/w1@district.example"}


@asynccontextmanager
async def opened(entity: str, folder: Path) -> AsyncIterator[Bench]:
    """One entity of a simulated Apex."""
    config = ApexConfig(
        client_id=CLIENT, client_secret=SECRETS["env:SECRET"], seed=_seed(), switches=ApexSwitches(page_size=10)
    )
    app = create_app(config)
    with serving(app) as url, nobody() as nowhere:
        async with Vendor(url) as vendor:
            observed = Observed()
            registry = installed_systems(surroundings=observed.surroundings(SECRETS))
            source = registry.open_source(_connection(url))
            refused = registry.open_source(_connection(url, secret="env:OLD"))
            unreachable = registry.open_source(_connection(nowhere))
            target = registry.open_target(_connection(url))

            async def make_empty() -> None:
                await vendor.replace_state(_seed(0))

            async def expire_token() -> None:
                await vendor.arm("unauthorized", times=1)

            yield Bench(
                source=source,
                entity=entity,
                rows=ROWS,
                unreachable=unreachable,
                refused=refused,
                make_empty=make_empty,
                vendor=vendor,
                list_path=LISTS[entity],
                sensitive=frozenset({"Wilhelmina", "Ash-Grove", "w7@district.example", *SECRETS.values()}),
                expire_token=expire_token,
                surroundings=observed,
                writing=_writing(entity, registry, target),
            )
            for each in (source, refused, unreachable, target):
                await each.close()


def _connection(url: str, *, secret: str = "env:SECRET") -> Connection:
    settings = {
        "base_url": url,
        "client_id": CLIENT,
        "client_secret": secret,
        "timeout_seconds": 5,
        "gather_seconds": 0.01,
    }
    return Connection(name="apex", system="apex", environment="staging", settings=settings)


def _writing(entity: str, registry: Registry, target: Any) -> Writing:
    # An enrolment that has ended already ends again with the very answer of the first time, so that the suite's test of
    # deleting cannot hold; tests/systems/apex shows what deleting does.
    is_student = entity == "students"
    return Writing(
        target=target,
        wire=registry.wire("apex"),
        new=_new_student if is_student else _new_enrollment,
        change={"first_name": "Changed", "grade_level": "10"} if is_student else {},
        key="membership_key" if is_student else "enrollment_key",
        can=frozenset({"create", "update", "suspend", "reactivate"} if is_student else {"create"}),
        write_path=WRITES[entity],
        any_target_id=SAMPLE_IDS[entity],
    )


def _seed(students: int = ROWS) -> dict[str, Any]:
    def person(number: int, role: str = "S", **fields: str) -> dict[str, Any]:
        user_id = f"w{number}@district.example"
        return {
            "ImportUserId": user_id,
            "FirstName": "Wilhelmina",
            "LastName": "Ash-Grove",
            "Email": user_id,
            "LoginId": f"w{number}",
            "Organizations": [{"ImportOrgId": "10", "Role": role, "RoleStatus": "Active"}],
            **fields,
        }

    return {
        "organizations": [{"ImportOrgId": "10", "Name": "North"}],
        "products": [{"ProductCode": "ALG-A", "ProgramCode": "ALG", "ProductName": "Algebra A"}],
        "students": [person(number, GradeLevel="9") for number in range(1, students + 1)],
        "staff": [person(900, "T")],
        "classrooms": [
            {
                "ImportClassroomId": room,
                "ClassroomName": "Algebra",
                "ProductCodes": ["ALG-A"],
                "ImportUserId": "w900@district.example",
                "ImportOrgId": "10",
                "ClassroomStartDate": "2026-08-17T08:30:09+00:00",
                "ProgramCode": "ALG",
            }
            for room in ("R1", "R2")
        ],
        "enrollments": [
            {
                "ImportClassroomId": "R1",
                "ImportUserId": f"w{number}@district.example",
                "EnrollmentStatus": "Active",
                "EnrolledAt": "2026-08-17T08:30:09+00:00",
            }
            for number in range(1, students + 1)
        ],
    }


def _new_student(number: int) -> Record:
    user_id = f"n{number}@district.example"
    return {
        "membership_key": f"10/{user_id}",
        "import_user_id": user_id,
        "import_org_id": "10",
        "first_name": "Zoë",
        "middle_name": None,
        "last_name": "O'Neil",
        "email": user_id,
        "grade_level": "9",
        "login_id": f"n{number}",
        "coach_emails": "t1@district.example,t2@district.example",
        "role": "S",
        "active": True,
    }


def _new_enrollment(number: int) -> Record:
    user_id = f"w{number}@district.example"
    return {
        "enrollment_key": f"R2/{user_id}",
        "import_classroom_id": "R2",
        "import_user_id": user_id,
        "import_org_id": "10",
        "status": "Active",
        "completed_date": None,
    }

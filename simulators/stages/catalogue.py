"""The stages there are, by the connector that each is for."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from simulators.aeries_api.world import make_world as aeries_world
from simulators.district import names
from simulators.district.__main__ import make as make_district
from simulators.google_directory import keys as google_keys
from simulators.google_directory.methods import SCOPES as GOOGLE_SCOPES
from simulators.google_directory.world import ADMIN, DOMAIN
from simulators.snipeit.world import world as snipeit_world
from simulators.stages.stage import Maker, Program, Stage, local_connection, secret_file, seed_file

YEAR: Final = 2026
APEX_COURSES: Final = ("0210", "0310")
"""Courses of the sample district that are taught with Apex."""
GOOGLE_SWITCHES: Final = {
    "user_creations_per_second": 100_000,
    "queries_per_minute": 100_000_000,
    "orgunit_writes_per_second": 1_000,
}
"""Quicker than the vendor, so that a trial is no matter of hours."""
GOOGLE_TOKENS: Final = "https://oauth2.googleapis.com/token"
"""As the vendor's own key files say; the connection names the simulator instead."""
STUDENT_DOMAIN: Final = f"student.{names.DOMAIN}"
"""Where the sample's students have their addresses."""


def _database(folder: Path, name: str, *, system: str) -> dict[str, Any]:
    return {
        "system": system,
        "environment": "staging",
        "settings": {"url": f"sqlite:///{folder / 'district' / name}.db"},
    }


def _district(folder: Path, size: int, *, students: bool) -> dict[str, dict[str, Any]]:
    """The sample district's databases, and the connections to them."""
    make_district(out=folder / "district", seed=7, staff=max(400, size // 4), students=size if students else 0)
    return {
        "aeries": _database(folder, "aeries", system="aeries_sql"),
        "hr": _database(folder, "hr", system="ocde_hr_sql"),
        "local": local_connection(folder),
    }


def aeries_sql_local(folder: Path, size: int) -> Stage:
    """Aeries by SQL into the district's own tables."""
    return Stage(("aeries-sql-local",), (), _district(folder, size, students=True), changes_min=size)


def hr_local(folder: Path, size: int) -> Stage:
    """HR by SQL, with Aeries' addresses, into the district's own tables."""
    return Stage(("hr-local",), (), _district(folder, size, students=False), changes_min=300)


def aeries_api_local(folder: Path, size: int) -> Stage:
    """Aeries by its API into the district's own tables."""
    program, connection, _ = _aeries_api(folder, size)
    connections = {"aeries": connection, "local": local_connection(folder)}
    return Stage(("aeries-api-local",), (program,), connections, changes_min=size)


def snipeit_local(folder: Path, size: int) -> Stage:
    """Snipe-IT's assets into the district's own tables."""
    program, connection = _snipeit(folder, users=size // 2, assets=size)
    connections = {"snipeit": connection, "local": local_connection(folder)}
    return Stage(("snipeit-local",), (program,), connections, changes_min=size // 2)


def local_snipeit_users(folder: Path, size: int) -> Stage:
    """Staff of the district's own tables as users of Snipe-IT, once HR has filled the tables."""
    program, connection = _snipeit(folder, users=5, assets=5)
    connections = {**_district(folder, size, students=False), "snipeit": connection}
    tables = {
        "local-snipeit-users": {
            "locations.csv": "school_code,location_id\n" + "".join(f"{code},{1 + code % 2}\n" for code in range(25))
        }
    }
    return Stage(("hr-local", "local-snipeit-users"), (program,), connections, tables, changes_min=100)


def aeries_google_students(folder: Path, size: int) -> Stage:
    """Students of Aeries as users of Google, in units and groups of their schools."""
    aeries, aeries_connection, schools = _aeries_api(folder, size)
    key, account = google_keys.new_key(
        client_email="aether@project.iam.gserviceaccount.com",
        token_uri=GOOGLE_TOKENS,
        scopes=GOOGLE_SCOPES,
    )
    units = ["/Students", *(f"/Students/School {code}" for code in schools)]
    state = seed_file(
        folder,
        "google",
        {
            "domains": [DOMAIN, STUDENT_DOMAIN],
            "orgUnits": [{"orgUnitPath": path} for path in units[:1]],
            "users": [
                {
                    "primaryEmail": ADMIN,
                    "name": {"givenName": "Ada", "familyName": "Admin"},
                    "isAdmin": True,
                    "orgUnitPath": "/",
                }
            ],
            "groups": [],
        },
    )
    google = Program(
        "google",
        "simulators.google_directory",
        (
            *(
                "--state",
                str(state),
                "--account-file",
                str(seed_file(folder, "account", google_keys.account_document(account))),
            ),
            *("--switches", json.dumps(GOOGLE_SWITCHES)),
        ),
    )
    connection = {
        "system": "google_directory",
        "environment": "staging",
        "settings": {
            "base_url": "{url:google}",
            "service_account": f"file:{secret_file(folder, 'service-account', json.dumps(key))}",
            "subject": ADMIN,
            "token_uri": "{url:google}/token",
            "domain": STUDENT_DOMAIN,
            "group_prefix": "students-",
            "user_creations_per_second": 1000,
            "org_unit_writes_per_second": 1000,
        },
        # As if Google had raised the quota; with the usual one a hundred thousand students take an hour.
        "rate_per_second": 1000,
    }
    table = "school,path,meaning\n" + "".join(f"{code},/Students/School {code},\n" for code in schools)
    return Stage(
        ("aeries-google-students",),
        (aeries, google),
        {"aeries-api": aeries_connection, "google-students": connection},
        {"aeries-google-students": {"units.csv": table}},
        {"aeries-google-students": {"students.example.org": STUDENT_DOMAIN}},
        changes_min=size,
    )


def local_apex(folder: Path, size: int) -> Stage:
    """Students, staff, classrooms and enrolments of the district's own tables in Apex, once they are filled."""
    schools = [str(code) for code in range(25)]
    program, connection = _apex(
        folder,
        {
            "organizations": [{"ImportOrgId": code, "Name": f"School {code}"} for code in schools],
            "products": [
                {"ProductCode": f"P-{course}", "ProgramCode": f"G-{course}", "ProductName": f"Course {course}"}
                for course in APEX_COURSES
            ],
            "orders": [
                {"ImportOrgId": code, "ProgramCode": f"G-{course}", "Seats": 100_000}
                for code in schools
                for course in APEX_COURSES
            ],
        },
    )
    tables = {
        "organizations.csv": "school_code,import_org_id,remark\n" + "".join(f"{code},{code},\n" for code in schools),
        "products.csv": "course_code,product_codes,remark\n" + "".join(f"{c},P-{c},\n" for c in APEX_COURSES),
        "programs.csv": "course_code,program_code\n" + "".join(f"{c},G-{c}\n" for c in APEX_COURSES),
    }
    return Stage(
        ("hr-local", "aeries-sql-local", "local-apex"),
        (program,),
        {**_district(folder, size, students=True), "apex": connection},
        {"local-apex": tables},
        changes_min=size // 2,
    )


def apex_local(folder: Path, size: int) -> Stage:
    """Students and enrolments of Apex, in tables beside those of the register."""
    program, connection = _apex(folder, {"generate": {"people": size, "seed": 7}})
    local = local_connection(folder)
    local["settings"]["table_prefix"] = "apex_"
    return Stage(("apex-local",), (program,), {"apex": connection, "local-apex": local}, changes_min=size)


def staff_catapult(folder: Path, size: int) -> Stage:
    """Staff of HR as a file for Catapult's nightly import."""
    (folder / "out").mkdir()
    ems = {
        "system": "catapult",
        "environment": "staging",
        "settings": {"folder": str(folder / "out"), "missing_is_empty": True},
    }
    connections = {"hr": _district(folder, size, students=False)["hr"], "ems": ems}
    return Stage(("staff-catapult",), (), connections, changes_min=100)


def _apex(folder: Path, seed: Mapping[str, Any]) -> tuple[Program, dict[str, Any]]:
    name, secret = secret_file(folder, "apex-id", "reader"), secret_file(folder, "apex")
    program = Program(
        "apex",
        "simulators.apex",
        (
            *("--state", str(seed_file(folder, "apex", seed))),
            *("--client-id-file", str(name), "--client-secret-file", str(secret)),
            *("--switches", '{"lists_classrooms": true}'),
        ),
    )
    connection = {
        "system": "apex",
        "environment": "staging",
        "settings": {
            "base_url": "{url:apex}",
            "client_id": "reader",
            "client_secret": f"file:{secret}",
            "classrooms_are_listed": True,
            "batch_poll_seconds": 0.2,
        },
    }
    return program, connection


def _aeries_api(folder: Path, size: int) -> tuple[Program, dict[str, Any], list[int]]:
    world = aeries_world(7, students=size, staff=max(20, size // 20), schools=max(3, size // 500))
    # 32 letters and digits, as the vendor gives them out.
    certificate = "".join(random.Random(7).choices("abcdefghjkmnpqrstuvwxyz23456789", k=32))
    file = secret_file(folder, "certificate", certificate)
    state = seed_file(folder, "aeries", world.document)
    program = Program("aeries", "simulators.aeries_api", ("--state", str(state), "--certificates-file", str(file)))
    connection = {
        "system": "aeries_api",
        "environment": "staging",
        "settings": {"base_url": "{url:aeries}/aeries", "certificate": f"file:{file}", "database_year": YEAR},
    }
    return program, connection, [int(code) for code in world.truth["schools"]]


def _snipeit(folder: Path, *, users: int, assets: int) -> tuple[Program, dict[str, Any]]:
    read, write = secret_file(folder, "snipeit-read"), secret_file(folder, "snipeit-write")
    state = seed_file(folder, "snipeit", snipeit_world(seed=7, users=users, assets=assets))
    program = Program(
        "snipeit",
        "simulators.snipeit",
        (
            *("--state", str(state), "--token", f"read={read}", "--token", f"superuser={write}"),
            *("--switches", '{"throttle_per_minute": null}'),
        ),
    )
    connection = {
        "system": "snipeit",
        "environment": "staging",
        "settings": {"base_url": "{url:snipeit}", "token": f"file:{read}", "write_token": f"file:{write}"},
    }
    return program, connection


STAGES: Final[Mapping[str, Maker]] = {
    "aeries-api-local": aeries_api_local,
    "aeries-google-students": aeries_google_students,
    "aeries-sql-local": aeries_sql_local,
    "apex-local": apex_local,
    "hr-local": hr_local,
    "local-apex": local_apex,
    "local-snipeit-users": local_snipeit_users,
    "snipeit-local": snipeit_local,
    "staff-catapult": staff_catapult,
}

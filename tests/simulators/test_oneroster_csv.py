"""The CSV bundles of the simulated OneRoster provider, and the program that serves or writes."""

import csv
import io
import json
import signal
import subprocess
import sys
import time
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from simulators.oneroster.__main__ import main
from simulators.oneroster.bundle import Bundle, write_bundle
from simulators.oneroster.store import Roster
from tests.simulators.running_oneroster import seed, user

NOW = datetime(2026, 11, 22, 8, 0, 0, tzinfo=UTC)
HEAD = "sourcedId,status,dateLastModified,"


def tables(archive: Path) -> dict[str, list[dict[str, str]]]:
    with zipfile.ZipFile(archive) as file:
        return {
            name.removesuffix(".csv"): list(csv.DictReader(io.StringIO(file.read(name).decode(), newline="")))
            for name in file.namelist()
        }


def headers(archive: Path) -> dict[str, str]:
    with zipfile.ZipFile(archive) as file:
        return {name: file.read(name).decode().split("\r\n")[0] for name in file.namelist()}


def roster() -> Roster:
    both = [
        {"role": "teacher", "roleType": "primary", "orgSourcedId": "S1"},
        {"role": "principal", "roleType": "secondary", "orgSourcedId": "S2"},
    ]
    document = seed()
    document["users"].append(user("T3", "teacher", roles=both, familyName='O"Neil, Jr'))
    return Roster.from_document(document, now=NOW)


def test_a_bulk_bundle_of_1p1_has_the_documented_headers(tmp_path: Path) -> None:
    assert headers(write_bundle(roster(), tmp_path, Bundle(version="1.1"))) == {
        "manifest.csv": "propertyName,value",
        "orgs.csv": HEAD + "name,type,identifier,parentSourcedId",
        "academicSessions.csv": HEAD + "title,type,startDate,endDate,parentSourcedId,schoolYear",
        "courses.csv": HEAD + "schoolYearSourcedId,title,courseCode,grades,orgSourcedId,subjects,subjectCodes",
        "classes.csv": HEAD + "title,grades,courseSourcedId,classCode,classType,location,schoolSourcedId,"
        "termSourcedIds,subjects,subjectCodes,periods",
        "enrollments.csv": HEAD + "classSourcedId,schoolSourcedId,userSourcedId,role,primary,beginDate,endDate",
        "users.csv": HEAD + "enabledUser,orgSourcedIds,role,username,userIds,givenName,familyName,middleName,"
        "identifier,email,sms,phone,agentSourcedIds,grades,password",
        "demographics.csv": HEAD + "birthDate,sex,americanIndianOrAlaskaNative,asian,blackOrAfricanAmerican,"
        "nativeHawaiianOrOtherPacificIslander,white,demographicRaceTwoOrMoreRaces,hispanicOrLatinoEthnicity,"
        "countryOfBirthCode,stateOfBirthAbbreviation,cityOfBirth,publicSchoolResidenceStatus",
    }


def test_bulk_leaves_status_and_date_blank_and_the_removed_out(tmp_path: Path) -> None:
    found = tables(write_bundle(roster(), tmp_path, Bundle(version="1.1")))
    manifest = {row["propertyName"]: row["value"] for row in found["manifest"]}
    assert (manifest["manifest.version"], manifest["oneroster.version"]) == ("1.0", "1.1")
    assert (manifest["file.users"], manifest["file.lineItems"]) == ("bulk", "absent")
    assert [row["sourcedId"] for row in found["users"]] == ["K1", "P1", "P2", "T1", "T2", "T3"]
    assert {
        (row["status"], row["dateLastModified"]) for table in found if table != "manifest" for row in found[table]
    } == {("", "")}
    last = found["users"][-1]
    assert (last["orgSourcedIds"], last["role"], last["familyName"]) == ("S1,S2", "teacher", 'O"Neil, Jr')
    assert (last["userIds"], last["enabledUser"], last["password"]) == ("{SIS:T3}", "true", "")
    assert found["classes"][0]["periods"] == "1,2"


def test_a_delta_has_what_changed_and_what_was_removed(tmp_path: Path) -> None:
    bundle = Bundle(version="1.1", since="2026-11-15T00:00:00.000Z")
    found = tables(write_bundle(roster(), tmp_path, bundle))
    assert [(row["sourcedId"], row["status"], row["dateLastModified"]) for row in found["users"]] == [
        ("P2", "active", "2026-11-20T08:00:00.000Z"),
        ("P3", "tobedeleted", "2026-11-21T08:00:00.000Z"),
    ]
    assert {row["propertyName"]: row["value"] for row in found["manifest"]}["file.users"] == "delta"


def test_1p2_moves_roles_and_profiles_into_files_of_their_own(tmp_path: Path) -> None:
    archive = write_bundle(roster(), tmp_path, Bundle(version="1.2"))
    found = tables(archive)
    assert {row["propertyName"]: row["value"] for row in found["manifest"]}["oneroster.version"] == "1.2"
    assert not {"role", "orgSourcedIds"} & set(headers(archive)["users.csv"].split(","))
    mine = [row for row in found["roles"] if row["userSourcedId"] == "T3"]
    assert [(row["role"], row["roleType"], row["orgSourcedId"]) for row in mine] == [
        ("teacher", "primary", "S1"),
        ("principal", "secondary", "S2"),
    ]
    assert [(row["sourcedId"], row["userSourcedId"]) for row in found["userProfiles"]] == [("K1-a", "K1")]


def test_the_same_roster_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (write_bundle(roster(), tmp_path / name, Bundle(version="1.2")).read_bytes() for name in "ab")
    assert first == second


def test_the_program_writes_a_bundle_and_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "seed.json").write_text('{"generate": {"people": 500, "seed": 3}}')
    options = ["--state", str(tmp_path / "seed.json"), "--write-csv", str(tmp_path / "out")]
    assert main([*options, "--csv-version", "1.2"]) == 0
    found = tables(tmp_path / "out" / "oneroster-1.2-bulk.zip")
    assert len(found["users"]) == len(found["roles"]) == 500
    loose = (tmp_path / "out" / "oneroster-1.2-bulk" / "users.csv").read_bytes()
    assert loose.count(b"\r\n") == 501
    assert main([*options, "--csv-since", "yesterday"]) == 1
    assert "--csv-since 'yesterday'" in capsys.readouterr().err


def test_the_program_serves_and_ends_cleanly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "seed.json").write_text(json.dumps(seed()))
    (tmp_path / "id").write_text("roster-client\n")
    (tmp_path / "secret").write_text("roster-secret\n")
    ready = tmp_path / "ready.json"
    options = ["--state", str(tmp_path / "seed.json"), "--ready-file", str(ready)]
    assert main(options) == 1
    assert "--client-id-file" in capsys.readouterr().err
    options += ["--client-id-file", str(tmp_path / "id"), "--client-secret-file", str(tmp_path / "secret")]
    command = [sys.executable, "-m", "simulators.oneroster", *options]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2]) as process:
        try:
            deadline = time.monotonic() + 20
            while not ready.exists():
                assert process.poll() is None and time.monotonic() < deadline, "not ready"
                time.sleep(0.02)
            url = json.loads(ready.read_text())["url"]
            assert httpx.get(f"{url}/_sim/health", trust_env=False).json()["simulator"] == "oneroster"
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            process.kill()

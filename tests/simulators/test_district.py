"""The sample district: the same every time, truly messy, and its truth is what its databases say.

`derive` below is a small reading of the rules straight from the two databases and the vendor's seed. It shares nothing
with the generator, which made the truth the other way round: clean first, mess afterwards.
"""

from __future__ import annotations

import csv
import json
import re
import time
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from simulators.district import catalogue, later
from simulators.district.__main__ import main, make
from simulators.district.databases import sqlite_url, write_aeries, write_hr
from simulators.district.vendor import ChangeCounts, leave_behind
from simulators.district.world import generate
from tests.support.postgres import start_postgres

ROOT = Path(__file__).resolve().parents[2]
TABLES = ROOT / "connectors" / "titanhst-staff" / "tables"
FILES = ("aeries.db", "hr.db", "titanhst.json", "truth.json")
STAFF_PER_SECOND_MIN = 850
"""Of a district with both databases, in a second of this process; about 5,000 on a quiet machine."""
STAFF_WRITTEN_PER_SECOND_MIN = 2_500
"""Of them, those written to the two SQLite databases."""

Row = dict[str, Any]


def rows_of(url: str, statement: str) -> list[Row]:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(statement)).mappings()]
    finally:
        engine.dispose()


def count(url: str, condition: str) -> int:
    found: int = rows_of(url, f"SELECT count(*) AS n FROM {condition}")[0]["n"]
    return found


def table(file: str) -> list[list[str]]:
    with (TABLES / file).open(encoding="utf-8", newline="") as lines:
        return list(csv.reader(lines))


def plain(value: str | None) -> str | None:
    return (value or "").strip() or None


def key(value: str | None) -> str | None:
    text_value = plain(value)
    return text_value.upper() if text_value else None


def name(value: str | None) -> str | None:
    return unicodedata.normalize("NFC", " ".join((value or "").split())) or None


def phone(value: str | None) -> str | None:
    digits = re.sub("[^0-9]", "", value or "")
    if len(digits) == 11 and digits[0] == "1":
        digits = digits[1:]
    return f"+1{digits}" if len(digits) == 10 else None


def derive(*, aeries_url: str, hr_url: str, seed: dict[str, Any]) -> dict[str, Any]:
    """Read the databases by the rules: desired records, quarantine, and the changes against the vendor's contacts."""
    roles, locations = dict(table("roles.csv")[1:]), dict(table("locations.csv")[1:])
    quarantined: dict[str, str] = {}
    person_of: dict[str, Row] = {}
    for row in rows_of(hr_url, "SELECT * FROM hr_person ORDER BY edited_at DESC, person_id"):
        employee = key(row["employee_id"])
        if employee is None:
            quarantined[f"hr_person:{row['person_id']}"] = "missing_key"
        else:
            person_of.setdefault(employee, row)
    job_of: dict[str, Row] = {}
    for row in rows_of(
        hr_url,
        "SELECT * FROM hr_assignment WHERE end_date IS NULL ORDER BY is_primary DESC, start_date DESC, seq",
    ):
        job_of.setdefault(key(row["employee_id"]) or "", row)
    staff_of: dict[str, Row] = {}
    live = """(t."DEL" = 0 OR t."DEL" IS NULL)"""
    for row in rows_of(aeries_url, f'SELECT * FROM "STF" t WHERE {live} ORDER BY "ID"'):
        if plain(row["TG"]) is None and (hrid := key(row["HRID"])):
            staff_of.setdefault(hrid, row)
    user_of: dict[int, Row] = {}
    for row in rows_of(aeries_url, f'SELECT * FROM "UGN" t WHERE {live} AND "SID" IS NOT NULL ORDER BY "UID"'):
        user_of.setdefault(row["SID"], row)

    in_scope = [employee for employee, row in person_of.items() if key(row["status_code"]) in ("A", "L")]
    desired: dict[str, dict[str, Any]] = {}
    for employee in in_scope:
        row, job, staff = person_of[employee], job_of.get(employee), staff_of.get(employee, {})
        user = user_of.get(staff.get("ID", -1), {})
        email = plain(user.get("EM")) or plain(staff.get("EM")) or plain(row["work_email"])
        record = {
            "first_name": name(row["preferred_first"]) or name(row["first"]),
            "last_name": name(row["last"]),
            "email": email.lower() if email else None,
            "mobile": phone(plain(row["mobile"]) or plain(staff.get("CP"))),
            "role": roles.get(key(job["job_class_code"]) or "") if job else None,
            "location": locations.get(key(job["site_code"]) or "") if job else None,
            "active": True,
        }
        reasons = []
        if not record["first_name"] or not record["last_name"] or job is None:
            reasons.append("missing_required")
        if email and re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s.]+", email) is None:
            reasons.append("bad_format")
        if job is not None and record["role"] is None:
            reasons.append("unmapped_role")
        if job is not None and record["location"] is None:
            reasons.append("unmapped_location")
        if reasons:
            assert len(reasons) == 1, (employee, reasons)
            quarantined[employee] = reasons[0]
        else:
            desired[employee] = record
    found = len(desired)
    changes, fields, adopted = _compare(desired, quarantined, seed["contacts"])
    return {
        "in_scope": len(in_scope),
        "desired": found,
        "changes": changes,
        "fields": fields,
        "quarantined": quarantined,
        "adopted": adopted,
        "left_scope": [employee for employee in changes["suspend"] if employee in person_of],
    }


def _compare(
    desired: dict[str, dict[str, Any]], quarantined: dict[str, str], contacts: list[dict[str, Any]]
) -> tuple[dict[str, list[str]], dict[str, dict[str, list[Any]]], list[str]]:
    at_vendor = {
        "external_id": "externalId", "first_name": "firstName", "last_name": "lastName", "email": "email",
        "mobile": "mobilePhone", "role": "role", "location": "locationCode", "active": "active",
    }  # fmt: skip
    managed = {contact["externalId"]: contact for contact in contacts if contact["externalId"]}
    unmanaged = defaultdict(list)
    for contact in contacts:
        if not contact["externalId"] and contact["email"]:
            unmanaged[contact["email"].lower()].append(contact)
    changes: dict[str, list[str]] = {
        kind: [] for kind in ("create", "update", "rename", "role_change", "suspend", "reactivate")
    }
    fields: dict[str, dict[str, list[Any]]] = {}
    adopted = []
    for employee, record in desired.items():
        existing = managed.get(employee)
        if existing is None:
            candidates = unmanaged[record["email"]] if record["email"] else []
            if len(candidates) > 1:
                quarantined[employee] = "ambiguous_match"
                continue
            if candidates:
                existing = candidates[0]
                adopted.append(employee)
        differing = {}
        for each, after in {"external_id": employee, **record}.items():
            before = existing[at_vendor[each]] if existing else None
            if after is not None and after != before:
                differing[each] = [before, after]
        if not differing:
            continue
        if existing is None:
            kind = "create"
        elif "role" in differing:
            kind = "role_change"
        elif any(each in differing and differing[each][0] is not None for each in ("email", "last_name")):
            kind = "rename"
        elif "active" in differing:
            kind = "reactivate"
        else:
            kind = "update"
        changes[kind].append(employee)
        fields[employee] = differing
    for employee, contact in managed.items():
        if contact["active"] and employee not in desired and employee not in quarantined:
            changes["suspend"].append(employee)
            fields[employee] = {"active": [True, False]}
    return {kind: sorted(ids) for kind, ids in changes.items()}, fields, sorted(adopted)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("district")
    make(out=made)
    return made


def read(folder: Path, file: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / file).read_text(encoding="utf-8"))
    return document


def assert_truth_holds(truth: dict[str, Any], derived: dict[str, Any]) -> None:
    for each, value in derived.items():
        assert truth[each] == value, each


def test_equal_arguments_give_equal_bytes(folder: Path, tmp_path: Path) -> None:
    make(out=tmp_path)
    make(out=tmp_path)  # over the files of the first time
    for file in FILES:
        assert (tmp_path / file).read_bytes() == (folder / file).read_bytes(), file


def test_another_seed_gives_another_district(folder: Path, tmp_path: Path) -> None:
    make(out=tmp_path, seed=8)
    for file in FILES:
        assert (tmp_path / file).read_bytes() != (folder / file).read_bytes(), file


@pytest.mark.parametrize(("seed", "staff"), [(7, 2_400), (1, 400), (20_261_120, 6_000)])
def test_truth_is_what_the_databases_say(seed: int, staff: int, tmp_path: Path) -> None:
    truth = make(out=tmp_path, seed=seed, staff=staff)
    derived = derive(
        aeries_url=sqlite_url(tmp_path / "aeries.db"),
        hr_url=sqlite_url(tmp_path / "hr.db"),
        seed=read(tmp_path, "titanhst.json"),
    )
    assert_truth_holds(truth, derived)
    assert truth["staff"] == staff and 0.90 <= derived["in_scope"] / staff <= 0.94


def test_truth_and_counts_are_as_asked(folder: Path) -> None:
    truth, contacts = read(folder, "truth.json"), read(folder, "titanhst.json")["contacts"]
    assert truth["counts"] == {
        "create": 38, "update": 57, "rename": 6, "role_change": 14, "suspend": 21, "reactivate": 3,
    }  # fmt: skip
    assert truth["counts"] == {kind: len(ids) for kind, ids in truth["changes"].items()}
    assert len(truth["adopted"]) == 5 and set(truth["adopted"]) <= set(truth["changes"]["update"])
    assert Counter(truth["quarantined"].values()) == truth["quarantine_counts"]
    assert truth["quarantine_counts"]["ambiguous_match"] == 2
    assert set(truth["quarantine_counts"]) == {
        "missing_key", "missing_required", "bad_format", "unmapped_role", "unmapped_location", "ambiguous_match",
    }  # fmt: skip
    assert set(truth["fields"]) == {each for ids in truth["changes"].values() for each in ids}
    assert not set(truth["fields"]) & set(truth["quarantined"])
    changed = sum(truth["counts"].values()) - truth["counts"]["suspend"]
    assert truth["desired"] == truth["unchanged"] + changed + 2
    nobody = [contact for contact in contacts if contact["externalId"] is None]
    assert len(nobody) == truth["unmanaged"] + truth["ambiguous_contacts"] + len(truth["adopted"]) == 12 + 4 + 5
    assert truth["target_contacts"] == len(contacts)
    assert truth["managed_active"] == sum(bool(each["active"] and each["externalId"]) for each in contacts)
    managed = {contact["externalId"] for contact in contacts}
    unsound = {each for each, why in truth["quarantined"].items() if why not in ("missing_key", "ambiguous_match")}
    assert unsound & managed and unsound - managed, "quarantined people with and without a contact"


def test_other_counts_can_be_asked_for(tmp_path: Path) -> None:
    counts = ChangeCounts(create=0, update=1, rename=0, role_change=40, suspend=0, reactivate=0, adopted=0, ambiguous=0)
    truth = make(out=tmp_path, staff=500, counts=counts)
    assert truth["counts"] == {
        "create": 0, "update": 1, "rename": 0, "role_change": 40, "suspend": 0, "reactivate": 0,
    }  # fmt: skip
    world = generate(staff=400)
    with pytest.raises(ValueError, match="ask for fewer changes or a larger district"):
        leave_behind(world, ChangeCounts(create=400))
    with pytest.raises(ValueError, match="former employees"):
        leave_behind(world, ChangeCounts(suspend=100))
    with pytest.raises(ValueError, match="adopted: 5, allowed at most update"):
        ChangeCounts(update=4)
    with pytest.raises(ValueError, match="staff: 10, allowed 400"):
        generate(staff=10)


HR_MESS = {
    "padded text": "hr_person WHERE last <> rtrim(last)",
    "no employee id": "hr_person WHERE trim(coalesce(employee_id, '')) = ''",
    "leading blank in an id": "hr_person WHERE employee_id LIKE ' %' AND trim(employee_id) <> ''",
    "small letters in an id": "hr_person WHERE employee_id <> upper(employee_id)",
    "leading blank in a name": "hr_person WHERE last LIKE ' %' AND trim(last) <> ''",
    "double inner blank": "hr_person WHERE trim(last) LIKE '%  %' OR trim(first) LIKE '%  %'",
    "apostrophe": "hr_person WHERE last LIKE '%''%'",
    "typographic apostrophe": "hr_person WHERE last LIKE '%\u2019%'",
    "particle": "hr_person WHERE trim(last) LIKE 'de la %' OR trim(last) LIKE 'van der %'",
    "decomposed letters": "hr_person WHERE last LIKE '%\u0301%'",
    "no-break blank": "hr_person WHERE last LIKE '%\u00a0%' OR first LIKE '%\u00a0%'",
    "preferred name": "hr_person WHERE trim(preferred_first) <> ''",
    "blank preferred name": "hr_person WHERE preferred_first IS NOT NULL AND trim(preferred_first) = ''",
    "no preferred name": "hr_person WHERE preferred_first IS NULL",
    "leave": "hr_person WHERE trim(upper(status_code)) = 'L'",
    "substitute": "hr_person WHERE trim(upper(status_code)) = 'S'",
    "terminated": "hr_person WHERE trim(upper(status_code)) = 'T'",
    "no status": "hr_person WHERE trim(status_code) = ''",
    "status in small letters": "hr_person WHERE status_code <> upper(status_code)",
    "future hire": "hr_person WHERE hire_date > '2026-11-20' AND trim(employee_id) <> ''",
    "future last day": "hr_person WHERE last_day > '2026-11-20'",
    "rehire": "(SELECT 1 FROM hr_person GROUP BY upper(trim(employee_id)) HAVING count(*) = 2 "
    "AND min(edited_at) < max(edited_at) AND min(upper(trim(status_code))) = 'A') x",
    "edited at the same time": "(SELECT 1 FROM hr_person GROUP BY upper(trim(employee_id)) HAVING count(*) = 2 "
    "AND min(edited_at) = max(edited_at)) x",
    "phone with brackets": "hr_person WHERE mobile LIKE '(%'",
    "phone with dots": "hr_person WHERE mobile LIKE '%.%.%'",
    "phone with country": "hr_person WHERE mobile LIKE '+1%'",
    "phone of another country": "hr_person WHERE mobile LIKE '+44%'",
    "phone that is none": "hr_person WHERE mobile IN ('N/A', 'none', 'ask office')",
    "phone with extension": "hr_person WHERE mobile LIKE '%x22'",
    "address in capitals": "hr_person WHERE work_email = upper(work_email) AND trim(work_email) <> ''",
    "address without form": "hr_person WHERE trim(work_email) <> '' AND work_email NOT LIKE '%_@_%._%'",
    "closed assignment": "hr_assignment WHERE end_date <= '2026-11-20'",
    "assignment with a future end": "hr_assignment WHERE end_date > '2026-11-20'",
    "assignment with a future start": "hr_assignment WHERE start_date > '2026-11-20' AND end_date IS NULL",
    "several open assignments": "(SELECT 1 FROM hr_assignment WHERE end_date IS NULL "
    "GROUP BY upper(trim(employee_id)) HAVING count(*) > 1) x",
    "primary and start tied": "(SELECT 1 FROM hr_assignment WHERE end_date IS NULL AND is_primary = 1 "
    "GROUP BY upper(trim(employee_id)), start_date HAVING count(*) > 1) x",
    "no primary": "(SELECT 1 FROM hr_assignment WHERE end_date IS NULL "
    "GROUP BY upper(trim(employee_id)) HAVING max(is_primary) = 0) x",
    "unmapped job class 1": "hr_assignment WHERE upper(trim(job_class_code)) = 'X995' AND end_date IS NULL",
    "unmapped job class 2": "hr_assignment WHERE upper(trim(job_class_code)) = 'C999' AND end_date IS NULL",
    "unmapped site": "hr_assignment WHERE trim(site_code) = '250' AND end_date IS NULL",
    "job class in small letters": "hr_assignment WHERE job_class_code <> upper(job_class_code)",
    "assignment of nobody": "hr_assignment WHERE upper(trim(employee_id)) NOT IN "
    "(SELECT upper(trim(employee_id)) FROM hr_person WHERE employee_id IS NOT NULL)",
    "no open assignment": "hr_person WHERE trim(upper(status_code)) = 'A' AND trim(employee_id) <> '' "
    "AND upper(trim(employee_id)) NOT IN (SELECT upper(trim(employee_id)) FROM hr_assignment WHERE end_date IS NULL)",
}
AERIES_MESS = {
    "padded names": "STF WHERE LN <> rtrim(LN)",
    "deleted staff": "STF WHERE DEL = 1",
    "staff with unknown deletion": "STF WHERE DEL IS NULL",
    "inactive staff": "STF WHERE TG = 'I'",
    "inactive twin": "STF a JOIN STF b ON upper(trim(a.HRID)) = upper(trim(b.HRID)) "
    "WHERE a.TG = 'I' AND coalesce(b.TG, '') <> 'I' AND a.ID < b.ID",
    "live twin": "STF a JOIN STF b ON upper(trim(a.HRID)) = upper(trim(b.HRID)) "
    "WHERE trim(coalesce(a.TG, '')) = '' AND trim(coalesce(b.TG, '')) = '' AND coalesce(a.DEL, 0) = 0 "
    "AND coalesce(b.DEL, 0) = 0 AND a.ID < b.ID",
    "no HRID": "STF WHERE trim(coalesce(HRID, '')) = ''",
    "HRID in other spelling": "STF WHERE HRID <> trim(HRID) OR HRID <> upper(HRID)",
    "no address in STF": "STF WHERE trim(coalesce(EM, '')) = ''",
    "deleted user before a live one": "UGN a JOIN UGN b ON a.SID = b.SID WHERE a.DEL = 1 AND coalesce(b.DEL, 0) = 0 "
    "AND a.UID < b.UID",
    "two live users": "UGN a JOIN UGN b ON a.SID = b.SID WHERE coalesce(a.DEL, 0) = 0 AND coalesce(b.DEL, 0) = 0 "
    "AND a.UID < b.UID",
    "live user without address": "UGN WHERE TY = 1 AND trim(coalesce(EM, '')) = ''",
    "group": "UGN WHERE TY = 2",
    "expired user": "UGN WHERE XD IS NOT NULL",
    "stale teacher address": "TCH t JOIN STF s ON t.ID = s.ID WHERE t.EM <> coalesce(s.EM, '')",
    "pseudo schools": "LOC WHERE CD IN (0, 999)",
    "short cell phone": "STF WHERE length(trim(CP)) = 7",
    "school access": "USR WHERE SC = 0",
}


@pytest.mark.parametrize("kind", HR_MESS)
def test_hr_mess_is_really_there(kind: str, folder: Path) -> None:
    assert count(sqlite_url(folder / "hr.db"), HR_MESS[kind]) > 0


@pytest.mark.parametrize("kind", AERIES_MESS)
def test_aeries_mess_is_really_there(kind: str, folder: Path) -> None:
    assert count(sqlite_url(folder / "aeries.db"), AERIES_MESS[kind]) > 0


def test_vendor_keeps_values_that_the_sources_do_not_know(folder: Path) -> None:
    world = generate()
    contacts = {each["externalId"]: each for each in read(folder, "titanhst.json")["contacts"]}
    unknown = [key for key, wanted in world.desired.items() if wanted.mobile is None and key in contacts]
    assert any(contacts[each]["mobilePhone"] for each in unknown)
    changed = read(folder, "truth.json")["fields"]
    assert not any("mobile" in changed.get(each, {}) for each in unknown)


def test_vendor_seed_is_taken_by_its_simulator(folder: Path) -> None:
    document = read(folder, "titanhst.json")
    assert set(document) == {"roles", "locations", "contacts"}
    assert [each["code"] for each in document["roles"]] == sorted(catalogue.VENDOR_ROLES)
    assert len(document["locations"]) == 34
    roles, places = ({each["code"] for each in document[name]} for name in ("roles", "locations"))
    for contact in document["contacts"]:
        assert re.fullmatch(r"c-[0-9]{6}", contact["id"]) and contact["role"] in roles
        assert contact["locationCode"] in places and contact["firstName"] and contact["lastName"]
        assert contact["mobilePhone"] is None or re.fullmatch(r"\+1[0-9]{10}", contact["mobilePhone"])
        assert contact["email"] is None or re.fullmatch(r"[^@\s]+@[^@\s]+\.[a-z]+", contact["email"], re.IGNORECASE)


def test_mapping_tables_are_those_of_the_catalogue() -> None:
    roles, locations = table("roles.csv"), table("locations.csv")
    assert roles == [["job_class_code", "role"], *([job.code, job.role] for job in catalogue.MAPPED_JOB_CLASSES)]
    assert locations == [["site_code", "location"], *([site.code, site.location] for site in catalogue.MAPPED_SITES)]
    assert len(locations) == 1 + 34 and {row[1] for row in roles[1:]} == set(catalogue.VENDOR_ROLES)


@pytest.mark.parametrize("staff", [10_000, pytest.param(50_000, marks=pytest.mark.whole)])
def test_a_large_district_is_made_in_time(tmp_path: Path, staff: int) -> None:
    began = time.process_time()
    world = generate(staff=staff)
    leave_behind(world)
    made = time.process_time()
    write_aeries(world, sqlite_url(tmp_path / "aeries.db"))
    write_hr(world, sqlite_url(tmp_path / "hr.db"))
    ended = time.process_time()
    assert count(sqlite_url(tmp_path / "hr.db"), "hr_person") > staff
    assert ended - made < staff / STAFF_WRITTEN_PER_SECOND_MIN
    assert ended - began < staff / STAFF_PER_SECOND_MIN


def test_tables_that_are_there_are_not_written_over(tmp_path: Path) -> None:
    world, url = generate(staff=400), sqlite_url(tmp_path / "precious.db")
    write_hr(world, url)
    with pytest.raises(ValueError, match="already has hr_assignment, hr_person"):
        write_hr(world, url)
    write_hr(world, url, replace=True)
    assert count(url, "hr_person") == len(world.tables["hr_person"])


def test_command_line_makes_a_district_and_says_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--out", str(tmp_path), "--staff", "600", "--seed", "3", "--create", "9"]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert re.search(r"staff +600\n", shown) and re.search(r"create +9\n", shown)
    assert main([*arguments, "--hr-url", sqlite_url(tmp_path / "hr.db")]) == 1
    assert "already has" in capsys.readouterr().err
    assert main([*arguments, "--adopted", "99"]) == 1


@pytest.fixture
def hr_url(tmp_path: Path) -> Iterator[str]:
    make(out=tmp_path, staff=500)
    yield sqlite_url(tmp_path / "hr.db")


def test_later_half_of_the_source_is_gone(hr_url: str) -> None:
    before = count(hr_url, "hr_person")
    assert later.half_of_source_gone(hr_url) == before - before // 2
    assert count(hr_url, "hr_person") == before // 2


def test_later_the_source_is_empty(hr_url: str) -> None:
    before = count(hr_url, "hr_person")
    assert later.source_empty(hr_url) == before
    assert count(hr_url, "hr_person") == 0
    assert later.source_empty(hr_url) == 0


def test_touched_people_are_exactly_so_many_first_name_updates_more(hr_url: str, tmp_path: Path) -> None:
    truth, seed = read(tmp_path, "truth.json"), read(tmp_path, "titanhst.json")
    known = {contact["externalId"] for contact in seed["contacts"]}
    sound = sorted(known - set(truth["fields"]) - set(truth["quarantined"]) - {None})
    touched = later.touch_people(hr_url, 30, among=sound)
    after = derive(aeries_url=sqlite_url(tmp_path / "aeries.db"), hr_url=hr_url, seed=seed)
    assert len(touched) == 30
    assert set(after["changes"]["update"]) - set(truth["changes"]["update"]) == set(touched)
    assert all(after["fields"][each].keys() == {"first_name"} for each in touched)
    assert all(after["fields"][each]["first_name"][1] == new for each, new in touched.items())
    with pytest.raises(ValueError, match="5000 asked for"):
        later.touch_people(hr_url, 5_000)


def test_reference_date_moves_the_district(tmp_path: Path) -> None:
    truth = make(out=tmp_path, staff=400, reference=date(2030, 1, 15))
    assert truth["reference_date"] == "2030-01-15"
    assert count(sqlite_url(tmp_path / "hr.db"), "hr_person WHERE hire_date > '2030-01-15'") > 0
    assert count(sqlite_url(tmp_path / "hr.db"), "hr_person WHERE edited_at > '2030-01-15'") == 0


def test_truth_holds_on_postgresql_too(tmp_path: Path) -> None:
    with start_postgres(tmp_path) as server:
        aeries_url, hr_url = server.create_database("aeries"), server.create_database("hr")
        truth = make(out=tmp_path, staff=1_000, seed=5, aeries_url=aeries_url, hr_url=hr_url)
        derived = derive(aeries_url=aeries_url, hr_url=hr_url, seed=read(tmp_path, "titanhst.json"))
        assert_truth_holds(truth, derived)
        touched = later.touch_people(hr_url, 3)
        assert len(touched) == 3 and count(hr_url, "hr_person WHERE preferred_first LIKE 'Touched%'") == 3
        with pytest.raises(ValueError, match="already has") as refused:
            write_hr(generate(staff=400), hr_url)
        assert "postgresql+psycopg://postgres@127.0.0.1" in str(refused.value)
    assert not (tmp_path / "hr.db").exists()

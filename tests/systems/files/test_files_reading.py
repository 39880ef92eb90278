"""Files that are read: only whole ones, each way of writing them down, and no value in any complaint (catapult too)."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import pytest_asyncio

from shared.errors import AetherError, NeedsPerson, StopRun
from tests.systems.files.district import CATAPULT_HEADER, House, rows_of

NAME = "Wilhelmina"


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House({"folder": str(tmp_path)})
    yield house
    await house.close()


def put(folder: Path, file: str, content: str | bytes) -> Path:
    path = folder / file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


async def refusal(house: House, entity: str, **settings: Any) -> AetherError:
    with pytest.raises(AetherError) as caught:
        await rows_of(house.source(**settings), entity)
    assert NAME not in str(caught.value)
    assert NAME not in repr(dict(caught.value.facts))
    return caught.value


# --- ways of writing a file down ------------------------------------------------------------------------------------


async def test_an_old_programs_days_numbers_and_words_are_understood(house: House, tmp_path: Path) -> None:
    text = "ID;Nachname;Geboren;Edited;Aktiv;Etage;Anteil;Extra\r\n007;Müller;13.08.1970;8/13/2026 14:05;J;-1;0.5;x\r\n"
    content = f"{text}8;;;;;;;\r\n".encode("cp1252")
    put(tmp_path, "hr/people.txt", content)
    put(tmp_path, "hr/people.txt.sha256", hashlib.sha256(content).hexdigest() + "  people.txt\n")
    reading = house.source().read("people")
    (page,) = [page async for page in reading]
    assert page.rows.to_dicts() == [
        {
            "person_id": "007",
            "last_name": "Müller",
            "born": "1970-08-13",
            "edited": "2026-08-13T14:05:00",
            "is_active": True,
            "floor": -1,
            "share": 0.5,
        },
        {"person_id": "8"} | dict.fromkeys(["last_name", "born", "edited", "is_active", "floor", "share"]),
    ]
    assert reading.expected is not None
    assert reading.expected.origin == "rows of the file whose SHA-256 hr/people.txt.sha256 holds"
    assert getattr(reading, "unknown_fields") == {"Extra": 1}  # noqa: B009 - only readings of this family have it


async def test_tabs_in_utf_16_and_line_breaks_within_quotes_are_read(house: House, tmp_path: Path) -> None:
    put(tmp_path, "notes.txt", 'note_id\ttext\r\nA\t"one\r\ntwo ""three"""\r\nB\tü\r\n'.encode("utf-16"))
    assert await rows_of(house.source(), "notes") == [
        {"note_id": "A", "text": 'one\r\ntwo "three"'},
        {"note_id": "B", "text": "ü"},
    ]


async def test_json_lines_lead_into_nested_objects(house: House, tmp_path: Path) -> None:
    lines = '{"id":"T1","owner":{"name":"Zoë"},"weight":1,"count":3,"open":true,"due":"2026-08-13","new":1}\n'
    lines += '{"id":"T2","owner":{"name":null},"weight":0.5,"open":false,"due":null}\n'
    put(tmp_path, "tickets.jsonl", lines)
    rows = await rows_of(house.source(), "tickets")
    assert rows[0] == {
        "target_id": "T1", "ticket_id": "T1", "owner": "Zoë", "weight": 1.0, "count": 3, "is_open": True,
        "due": "2026-08-13",
    }  # fmt: skip
    assert (rows[1]["owner"], rows[1]["count"], rows[1]["is_open"]) == (None, None, False)


async def test_parquet_is_read_by_kinds_and_its_footer_counts(house: House, tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "Tag": [f"A{n}" for n in range(25)],
            "Bought": [date(2026, 8, 13)] * 25,
            "Price": [1] * 25,
            "Lent": [None] * 25,
        }
    )
    frame.write_parquet(tmp_path / "devices.parquet")
    reading = house.source().read("devices")
    pages = [page async for page in reading]
    assert [page.rows.height for page in pages] == [10, 10, 5]
    assert pages[0].rows.row(0, named=True) == {
        "tag": "A0", "bought": "2026-08-13", "price": 1.0, "is_lent": None, "seats": None,
    }  # fmt: skip
    assert reading.expected is not None
    assert reading.expected.rows == 25


async def test_parquet_that_is_torn_or_of_other_kinds_is_refused(house: House, tmp_path: Path) -> None:
    path = tmp_path / "devices.parquet"
    frame = pl.DataFrame({"Tag": [NAME], "Bought": [date(2026, 8, 13)], "Price": ["much"], "Lent": [True]})
    frame.write_parquet(path)
    error = await refusal(house, "devices")
    assert (error.code, "column Price is no decimal" in error.message) == ("SRC_WRONG_SHAPE", True)
    path.write_bytes(path.read_bytes()[:-20])
    assert (await refusal(house, "devices")).code == "SRC_INCOMPLETE"
    path.write_bytes(b"PAR1" + os.urandom(200) + b"PAR1")
    assert (await refusal(house, "devices")).code == "SRC_WRONG_SHAPE"


async def test_either_spelling_of_the_catapult_headers_is_a_setting(tmp_path: Path) -> None:
    house = House({"folder": str(tmp_path)}, system="catapult")
    put(
        tmp_path,
        "StaffExport.csv",
        f"id,school,name.first,name.last,email,mobile_number,title\r\nE1,010,{NAME},A,,,\r\n",
    )
    error = await refusal(house, "staff")
    assert (error.code, "nameFirst is missing" in error.message) == ("SRC_WRONG_SHAPE", True)
    (row,) = await rows_of(house.source(spelling="dotted"), "staff")
    assert (row["staff_site"], row["target_id"], row["first_name"]) == ("E1/010", "E1/010", NAME)
    put(tmp_path, "Staff.csv", f"id,SITE,nameFirst,nameLast,email,mobileNumber,title\r\nE1,010,{NAME},A,,,\r\n")
    own = {"staff": {"file": "Staff.csv", "headers": {"school_id": "SITE"}}}
    assert (await rows_of(house.source(entities=own), "staff"))[0]["school_id"] == "010"
    wrongs: list[dict[str, Any]] = [
        {"spelling": "none_such"}, {"entities": {"pupils": {}}}, {"entities": {"staff": {"file": "../x"}}},
    ]  # fmt: skip
    for wrong in wrongs:
        with pytest.raises(NeedsPerson) as caught:
            house.source(**wrong)
        assert caught.value.code == "SRC_CONFIG"
    await house.close()


# --- whole or not at all --------------------------------------------------------------------------------------------

GOOD = CATAPULT_HEADER + f"E1,010,{NAME},A,,,,\r\nE2,010,{NAME},B,,,,\r\n"


@pytest.mark.parametrize(
    ("tear", "code", "line"),
    [
        (lambda text: text[:-2], "SRC_INCOMPLETE", "line 3"),
        (lambda text: text[:-5], "SRC_INCOMPLETE", "line 3"),
        (lambda text: text[: len(CATAPULT_HEADER) + 4], "SRC_INCOMPLETE", "line 2"),
        (lambda text: CATAPULT_HEADER[:-2], "SRC_INCOMPLETE", "line 1"),
        (lambda text: "", "SRC_INCOMPLETE", "empty"),
        (lambda text: text + 'E3,010,"' + NAME, "SRC_INCOMPLETE", "line 4"),
        (lambda text: text.replace("E1,010", "E1"), "SRC_WRONG_SHAPE", "line 2"),
        (lambda text: text.replace("E1,", '"E1"x,'), "SRC_WRONG_SHAPE", "line 2"),
        (lambda text: text.replace("E2,", "E1,"), "SRC_WRONG_SHAPE", "line 3"),
        (lambda text: text.replace("\r\nE2", "\r\n\r\nE2"), "SRC_WRONG_SHAPE", "line 3"),
        (lambda text: text.replace("E2", "E\0"), "SRC_WRONG_SHAPE", "line 3"),
        (lambda text: text.replace("school", "id"), "SRC_WRONG_SHAPE", "line 1"),
        (lambda text: f"<html><body>{NAME}, sign in</body></html>\n", "SRC_WRONG_SHAPE", "line 1"),
    ],
)  # fmt: skip
async def test_a_torn_or_wrong_file_is_refused_with_its_line_and_never_a_value(
    tmp_path: Path, tear: Callable[[str], str], code: str, line: str
) -> None:
    house = House({"folder": str(tmp_path)}, system="catapult")
    put(tmp_path, "StaffExport.csv", GOOD)
    assert len(await rows_of(house.source(), "staff")) == 2
    put(tmp_path, "StaffExport.csv", tear(GOOD))
    error = await refusal(house, "staff")
    assert (error.code, line in error.message) == (code, True), error
    await house.close()


async def test_no_shortened_file_ever_passes_for_a_whole(tmp_path: Path) -> None:
    """But for one that ends exactly behind a row, which a file that stands still cannot tell: see the README."""
    house = House({"folder": str(tmp_path)}, system="catapult")
    source = house.source()
    ends = {len(part) for part in (CATAPULT_HEADER, GOOD[: GOOD.index("E2")], GOOD)}
    for length in range(len(GOOD)):
        put(tmp_path, "StaffExport.csv", GOOD[:length])
        if length in ends:
            continue
        with pytest.raises(StopRun):
            await rows_of(source, "staff")
    await house.close()


async def test_bytes_of_another_encoding_are_refused_with_their_line(tmp_path: Path) -> None:
    house = House({"folder": str(tmp_path)}, system="catapult")
    put(tmp_path, "StaffExport.csv", GOOD.replace("A", "Ä").encode("latin-1"))
    error = await refusal(house, "staff")
    assert (error.code, "line 2: is no text in utf-8" in error.message) == ("SRC_WRONG_SHAPE", True)
    await house.close()


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        ("1;M;1970-08-13;;;;", "column Geboren is no date"),
        ("1;M;;13.08.2026;;;", "column Edited is no datetime"),
        ("1;M;;;X;;", "column Aktiv is none of N, 0, J, 1"),
        ("1;M;;;;007;", "column Etage is no integer"),
        ("1;M;;;;9999999999999999999;", "column Etage is no integer"),
        ("1;M;;;;;0,5", "column Anteil is no decimal"),
    ],
)
async def test_a_cell_of_another_kind_is_named_by_line_and_column(
    house: House, tmp_path: Path, cells: str, text: str
) -> None:
    content = f"ID;Nachname;Geboren;Edited;Aktiv;Etage;Anteil\n{cells.replace('M', NAME)}\n".encode()
    put(tmp_path, "hr/people.txt", content)
    put(tmp_path, "hr/people.txt.sha256", hashlib.sha256(content).hexdigest())
    error = await refusal(house, "people")
    assert (error.code, f"line 2: {text}" in error.message) == ("SRC_WRONG_SHAPE", True), error


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('{"id":"T2"', "SRC_INCOMPLETE"),
        ('{"id":\n', "SRC_WRONG_SHAPE"),
        ("[1]\n", "SRC_WRONG_SHAPE"),
        ("\n", "SRC_WRONG_SHAPE"),
        ('{"id":"T2","owner":"Wilhelmina","weight":1,"open":true,"due":null}\n', "SRC_WRONG_SHAPE"),
        ('{"id":"T2","owner":{"name":1},"weight":1,"open":true,"due":null}\n', "SRC_WRONG_SHAPE"),
        ('{"id":"T2","owner":{"name":""},"weight":true,"open":true,"due":null}\n', "SRC_WRONG_SHAPE"),
    ],
)
async def test_a_wrong_line_of_json_is_named(house: House, tmp_path: Path, line: str, code: str) -> None:
    put(tmp_path, "tickets.jsonl", '{"id":"T1","owner":{"name":""},"weight":1,"open":true,"due":null}\n' + line)
    error = await refusal(house, "tickets")
    assert (error.code, "line 2" in error.message) == (code, True), error


async def test_a_second_file_that_is_missing_late_or_says_otherwise_means_incomplete(
    house: House, tmp_path: Path
) -> None:
    put(tmp_path, "jobs.csv", "job_id\nJ1\nJ2\n")
    assert (await refusal(house, "jobs")).code == "SRC_INCOMPLETE"
    put(tmp_path, "jobs.csv.count", "3\n")
    error = await refusal(house, "jobs")
    assert (error.code, "2 rows, but jobs.csv.count tells 3" in error.message) == ("SRC_INCOMPLETE", True)
    put(tmp_path, "jobs.csv.count", "two")
    assert (await refusal(house, "jobs")).code == "SRC_WRONG_SHAPE"
    put(tmp_path, "jobs.csv.count", "2")
    assert await rows_of(house.source(), "jobs") == [{"job_id": "J1", "title": None}, {"job_id": "J2", "title": None}]
    put(tmp_path, "hr/people.txt", "ID;Nachname;Geboren;Edited;Aktiv;Etage;Anteil\n")
    put(tmp_path, "hr/people.txt.sha256", "0" * 64)
    assert (await refusal(house, "people")).code == "SRC_INCOMPLETE"


async def test_a_trailer_must_be_last_and_must_count_right(house: House, tmp_path: Path) -> None:
    put(tmp_path, "counted.csv", "item_id,label\r\nA,x\r\nTRAILER,1\r\n")
    reading = house.source().read("counted")
    assert [page.rows.height async for page in reading] == [1]
    assert reading.expected is not None
    assert reading.expected.origin == "number of rows in the file's last row"
    for text, code in [
        ("A,x\r\n", "SRC_INCOMPLETE"),
        ("A,x\r\nTRAILER,2\r\n", "SRC_INCOMPLETE"),
        ("A,x\r\nTRAILER,\r\n", "SRC_INCOMPLETE"),
        ("TRAILER,0\r\nA,x\r\n", "SRC_WRONG_SHAPE"),
    ]:
        put(tmp_path, "counted.csv", "item_id,label\r\n" + text)
        assert (await refusal(house, "counted")).code == code, text


async def test_a_file_that_nothing_proves_has_no_expected_rows_and_may_repeat_keys(
    house: House, tmp_path: Path
) -> None:
    put(tmp_path, "rooms.csv", "room_id\nA\nA")
    reading = house.source().read("rooms")
    assert [page.rows["room_id"].to_list() async for page in reading] == [["A", "A"]]
    assert reading.expected is None


# --- files that move, age, are missing or grow without end ----------------------------------------------------------


async def test_a_file_that_grows_while_it_is_read_is_read_again_and_then_given_up(tmp_path: Path) -> None:
    house = House({"folder": str(tmp_path)}, system="catapult")
    path = put(tmp_path, "StaffExport.csv", GOOD)
    source, stop = house.source(settle_seconds=1), asyncio.Event()

    async def write_on() -> None:
        number = 3
        while not stop.is_set():
            with path.open("a", newline="") as file:
                file.write(f"E{number},010,{NAME},B,,,,\r\n")
            number += 1
            await asyncio.sleep(0.002)

    writing = asyncio.create_task(write_on())
    with pytest.raises(StopRun) as caught:
        await rows_of(source, "staff")
    assert (caught.value.code, "3 times" in caught.value.message) == ("SRC_UNSTABLE", True)
    stop.set()
    await writing
    assert len(await rows_of(source, "staff")) >= 3
    await house.close()


async def test_a_file_that_is_no_longer_exported_is_not_read(house: House, tmp_path: Path) -> None:
    path = put(tmp_path, "badges.csv", "badge_id\nB1\n")
    assert len(await rows_of(house.source(), "badges")) == 1
    age = path.stat().st_mtime - 30 * 3_600
    os.utime(path, (age, age))
    error = await refusal(house, "badges")
    assert (error.code, "30 hours old, allowed 26" in error.message) == ("SRC_CONFIG", True)
    assert len(await rows_of(house.source(entities={"badges": {"stale_after_hours": 48}}), "badges")) == 1


async def test_a_missing_file_is_never_an_empty_one_unless_that_is_said(house: House, tmp_path: Path) -> None:
    error = await refusal(house, "contacts")
    assert (error.code, "contacts.csv: is not in" in error.message) == ("SRC_CONFIG", True)
    assert await rows_of(house.source(missing_is_empty=True), "contacts") == []
    os.mkfifo(tmp_path / "contacts.csv")
    assert "no plain file" in (await refusal(house, "contacts")).message


async def test_bytes_and_rows_have_an_end(tmp_path: Path) -> None:
    house = House({"folder": str(tmp_path)}, system="parentsquare")
    text = '"school_id","name"\r\n' + "".join(f'"{n}","{NAME}"\r\n' for n in range(200))
    put(tmp_path, "schools.csv", text)
    assert "larger than 1024 bytes (file_bytes_max)" in (await refusal(house, "schools", file_bytes_max=1_024)).message
    assert "more than 150 rows (rows_max)" in (await refusal(house, "schools", rows_max=150)).message
    assert len(await rows_of(house.source(), "schools")) == 200
    await house.close()


async def test_check_tells_each_file_by_itself(tmp_path: Path) -> None:
    house = House({"folder": str(tmp_path)}, system="parentsquare")
    put(tmp_path, "schools.csv", '"school_id","name"\r\n')
    put(tmp_path, "students.csv", "student\r\n")
    findings = await house.source().check()
    assert [(finding.subject, finding.is_good) for finding in findings] == [
        ("network", True), ("authentication", True), ("shape", True), ("shape", False), ("settings", False),
    ]  # fmt: skip
    assert findings[2].text.startswith("schools: 0 rows in schools.csv; rows of the file, which stood unchanged")
    await house.close()

"""Files that are written, in a folder: one new file for many changes, nothing of others lost, nothing half done."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

import systems.files.folder as folder_module
from shared.errors import AetherError, NeedsPerson, OutcomeUnknown, RecordRefused, TargetMoved
from shared.ports.system import Receipt
from tests.systems.files.district import CATAPULT_HEADER, House, contact, rows_of

CONTACTS = '\ufeffcontact_id,name,since,active,colour\nC1, padded ,01/02/2020,Y,red\n"C2",Bo,,N,"blue, dark"\n'


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    tmp_path.joinpath("contacts.csv").write_bytes(CONTACTS.encode())
    house = House({"folder": str(tmp_path)})
    yield house
    await house.close()


def text_of(folder: Path, file: str = "contacts.csv") -> str:
    return folder.joinpath(file).read_bytes().decode()


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


# --- what stays and what changes ------------------------------------------------------------------------------------


async def test_what_no_change_names_stays_byte_for_byte(house: House, tmp_path: Path) -> None:
    target = house.target()
    await house.send(target, "contacts", "update", "C2", name='Zoë, "Zo"')
    assert text_of(tmp_path) == CONTACTS.replace('"C2",Bo,,N,"blue, dark"', 'C2,"Zoë, ""Zo""",,N,"blue, dark"')
    await house.send(target, "contacts", "create", **contact(1))
    await house.send(target, "contacts", "delete", "C2")
    assert (
        text_of(tmp_path)
        == "\ufeffcontact_id,name,since,active,colour\nC1, padded ,01/02/2020,Y,red\nN1,Zoë,08/13/2026,Y,\n"
    )
    assert names_in(tmp_path) == ["contacts.csv"], "nothing may be left beside it"


async def test_suspending_sets_the_flag_in_the_files_own_words(house: House, tmp_path: Path) -> None:
    target = house.target()
    await house.send(target, "contacts", "suspend", "C1")
    assert "C1, padded ,01/02/2020,N,red\n" in text_of(tmp_path)
    await house.send(target, "contacts", "reactivate", "C1")
    assert text_of(tmp_path) == CONTACTS


async def test_a_change_that_changes_nothing_does_not_touch_the_file(house: House, tmp_path: Path) -> None:
    before = tmp_path.joinpath("contacts.csv").stat()
    assert await house.send(house.target(), "contacts", "update", "C2", name="Bo") == Receipt("C2", 0)
    after = tmp_path.joinpath("contacts.csv").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


async def test_a_row_whose_key_changes_keeps_its_place_and_tells_its_new_key(house: House, tmp_path: Path) -> None:
    target = house.target()
    assert await house.send(target, "contacts", "update", "C1", contact_id="C9") == Receipt("C9", 0)
    assert [row["contact_id"] for row in await rows_of(target, "contacts")] == ["C9", "C2"]
    with pytest.raises(TargetMoved):
        await house.send(target, "contacts", "update", "C9", contact_id="C2")


async def test_a_trailer_counts_the_rows_anew(house: House, tmp_path: Path) -> None:
    tmp_path.joinpath("counted.csv").write_text("item_id,label\r\nA,x\r\nTRAILER,1\r\n", newline="")
    target = house.target()
    await house.send(target, "counted", "create", item_id="B", label="y")
    assert text_of(tmp_path, "counted.csv") == "item_id,label\r\nA,x\r\nB,y\r\nTRAILER,2\r\n"
    with pytest.raises(RecordRefused):
        await house.send(target, "counted", "create", item_id="TRAILER", label="y")


async def test_json_lines_keep_what_we_do_not_know(house: House, tmp_path: Path) -> None:
    line = '{"id":"T1","owner":{"name":"Zoë","desk":4},"weight":1,"open":true,"due":null,"x":[1]}\n'
    tmp_path.joinpath("tickets.jsonl").write_text(line)
    target = house.target()
    await house.send(target, "tickets", "update", "T1", owner="Bo", due="2026-08-13")
    await house.send(target, "tickets", "create", ticket_id="T2", owner=None, weight=0.5, is_open=False)
    expected = line.replace("Zoë", "Bo").replace('"due":null', '"due":"2026-08-13"')
    expected += '{"id":"T2","owner":{"name":null},"weight":0.5,"count":null,"open":false,"due":null}\n'
    assert text_of(tmp_path, "tickets.jsonl") == expected
    assert (await target.fetch("tickets", target_id="T2", key=None) or {})["weight"] == 0.5


async def test_a_file_that_is_not_there_is_made_only_when_that_is_said(tmp_path: Path) -> None:
    house = House({"folder": str(tmp_path)})
    with pytest.raises(NeedsPerson) as caught:
        await house.send(house.target(), "contacts", "create", **contact(1))
    assert caught.value.code == "APL_CONFIG"
    target = house.target(missing_is_empty=True)
    assert await target.fetch("contacts", target_id=None, key="N1") is None
    await house.send(target, "contacts", "create", **contact(1))
    assert text_of(tmp_path) == "\ufeffcontact_id,name,since,active\nN1,Zoë,08/13/2026,Y\n"
    await house.close()


# --- many at once ---------------------------------------------------------------------------------------------------


async def test_a_thousand_changes_of_a_large_file_rewrite_it_a_few_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = 20_000
    lines = [f"E{n},010,First,Last,e{n}@district.example,,Teacher,\r\n" for n in range(rows)]
    tmp_path.joinpath("StaffExport.csv").write_text(CATAPULT_HEADER + "".join(lines), newline="")
    house = House({"folder": str(tmp_path)}, system="catapult")
    target, replaced = house.target(), []
    replace = folder_module.FolderStore.replace

    async def counted(self: folder_module.FolderStore, file: str, content: bytes, *, instead_of: str | None) -> None:
        replaced.append(file)
        await replace(self, file, content, instead_of=instead_of)

    monkeypatch.setattr(folder_module.FolderStore, "replace", counted)
    keys = [f"E{n}/010" for n in range(0, rows, rows // 1_000)]
    receipts = await asyncio.gather(*(house.send(target, "staff", "update", key, title="Nurse") for key in keys))
    assert [receipt.target_id for receipt in receipts] == keys
    assert len(replaced) <= 3
    shown = await asyncio.gather(*(target.fetch("staff", target_id=key, key=None) for key in keys))
    assert {record["title"] for record in shown if record is not None} == {"Nurse"}
    assert text_of(tmp_path, "StaffExport.csv").count("Nurse") == 1_000
    await house.close()


async def test_each_of_many_gets_its_own_answer(house: House, tmp_path: Path) -> None:
    target = house.target()
    answers = await asyncio.gather(
        house.send(target, "contacts", "create", **contact(1)),
        house.send(target, "contacts", "create", **contact(1)),
        house.send(target, "contacts", "create", **contact(2, since="yesterday")),
        house.send(target, "contacts", "update", "C7", name="Nobody"),
        house.send(target, "contacts", "delete", "C1"),
        house.send(target, "contacts", "delete", "C1"),
        return_exceptions=True,
    )
    kinds = [type(answer) for answer in answers]
    assert kinds == [Receipt, TargetMoved, RecordRefused, TargetMoved, Receipt, TargetMoved]
    assert "yesterday" not in str(answers[2])
    assert [row["contact_id"] for row in await rows_of(target, "contacts")] == ["C2", "N1"]


WITHOUT_ENGINE = """
import asyncio, sys
from importlib.abc import MetaPathFinder
class Missing(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in ("polars", "numpy", "pyarrow"):
            raise ModuleNotFoundError(name=name)
sys.meta_path.insert(0, Missing())
from shared.ports.connections import Connection
from shared.ports.registry import Registry, installed_systems_folder
async def main():
    registry = Registry(installed_systems_folder())
    settings = {"folder": sys.argv[1]}
    connection = Connection(name="x", system="catapult", environment="staging", settings=settings)
    target = registry.open_target(connection)
    values = {"staff_id": "E1", "school_id": "010", "title": "Nurse"}
    write = registry.wire("catapult").write_for("staff", verb="create", target_id=None, values=values)
    await target.write(write, idempotency_key="change")
    print((await target.fetch("staff", target_id="E1/010", key=None))["title"])
    await target.close()
asyncio.run(main())
"""


async def test_who_applies_needs_no_columnar_engine(tmp_path: Path) -> None:
    tmp_path.joinpath("StaffExport.csv").write_text(CATAPULT_HEADER, newline="")
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WITHOUT_ENGINE, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    told, _ = await program.communicate()
    assert (program.returncode, told.decode()) == (0, "Nurse\n")


# --- others who write -----------------------------------------------------------------------------------------------


async def test_what_others_wrote_meanwhile_is_kept_and_their_row_is_theirs(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = house.target()
    assert await target.fetch("contacts", target_id="C1", key=None) is not None
    theirs = CONTACTS.replace(" padded ", "theirs") + "C3,Cy,,Y,\n"
    real, struck = Path.read_bytes, list[Path]()

    def read_bytes(path: Path) -> bytes:
        if path.name == "contacts.csv" and not struck:  # between the making of ours and its comparing
            struck.append(path)
            path.write_bytes(theirs.encode())
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    answers = await asyncio.gather(
        house.send(target, "contacts", "update", "C1", name="Ours"),
        house.send(target, "contacts", "update", "C2", name="Ours"),
        return_exceptions=True,
    )
    assert struck
    assert [type(answer) for answer in answers] == [TargetMoved, Receipt]
    rows = {row["contact_id"]: row["name"] for row in await rows_of(target, "contacts")}
    assert rows == {"C1": "theirs", "C2": "Ours", "C3": "Cy"}


async def test_a_file_that_never_stands_still_is_not_fought_over(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, number = Path.read_bytes, [0]

    def read_bytes(path: Path) -> bytes:
        if path.name == "contacts.csv":
            number[0] += 1
            path.write_bytes(f"{CONTACTS}X{number[0]},Cy,,Y,\n".encode())
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    with pytest.raises(TargetMoved):
        await house.send(house.target(), "contacts", "update", "C2", name="Ours")
    assert number[0] == 3
    assert "Ours" not in text_of(tmp_path)


async def test_a_torn_or_doubled_file_is_never_rewritten(house: House, tmp_path: Path) -> None:
    for text in (CONTACTS[:-1], CONTACTS + "C1,again,,Y,\n"):
        tmp_path.joinpath("contacts.csv").write_bytes(text.encode())
        with pytest.raises(AetherError) as caught:
            await house.send(house.target(), "contacts", "update", "C2", name="Ours")
        assert caught.value.code == "APL_WRONG_SHAPE"
        assert text_of(tmp_path) == text


# --- disks that fail ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [(28, RecordRefused, "APL_CAPACITY"), (13, NeedsPerson, "APL_AUTH"), (5, AetherError, "APL_UNREACHABLE")],
)
async def test_a_disk_that_refuses_leaves_the_old_file_and_says_why(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[AetherError], code: str
) -> None:
    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(kind) as caught:
        await house.send(house.target(), "contacts", "update", "C2", name="Ours")
    assert caught.value.code == code
    assert text_of(tmp_path) == CONTACTS
    assert names_in(tmp_path) == ["contacts.csv"]


async def test_a_replacing_that_the_disk_does_not_confirm_is_unknown(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.fsync, []

    def second_fails(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 2:
            raise OSError(5, "input/output error")
        real(handle)

    monkeypatch.setattr(os, "fsync", second_fails)
    target = house.target()
    with pytest.raises(OutcomeUnknown):
        await house.send(target, "contacts", "update", "C2", name="Ours")
    assert (await target.fetch("contacts", target_id="C2", key=None) or {})["name"] == "Ours"


# --- formulas -------------------------------------------------------------------------------------------------------


async def test_a_text_that_begins_as_a_formula_is_escaped_and_read_back_as_it_was(house: House, tmp_path: Path) -> None:
    target = house.target()
    names = ["=1+1", "+17145550100", "-5", "@x", "'=x", "''@y", "'plain", "\tx", "a\rb"]
    for number, name in enumerate(names):
        await house.send(target, "contacts", "create", **contact(number, name=name))
    assert [row["name"] for row in await rows_of(target, "contacts")][2:] == names
    assert "N0,'=1+1," in text_of(tmp_path)
    assert "N1,+17145550100," in text_of(tmp_path)


async def test_a_text_that_begins_as_a_formula_is_refused_for_catapult(tmp_path: Path) -> None:
    tmp_path.joinpath("StaffExport.csv").write_text(CATAPULT_HEADER, newline="")
    house = House({"folder": str(tmp_path)}, system="catapult")
    values = {"staff_id": "E1", "school_id": "010", "first_name": "=HYPERLINK(1)", "mobile": "+17145550100"}
    with pytest.raises(RecordRefused) as caught:
        await house.send(house.target(), "staff", "create", **values)
    assert ("field first_name" in caught.value.message, "HYPER" in caught.value.message) == (True, False)
    assert text_of(tmp_path, "StaffExport.csv") == CATAPULT_HEADER
    await house.close()

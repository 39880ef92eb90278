"""Files on a drop box over SFTP: catapult and parentsquare against the simulator, with every fault that it has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncssh
import pytest
import pytest_asyncio

from shared.errors import AetherError, NeedsPerson, OutcomeUnknown, RecordRefused, TryLater
from shared.ports.pacing import Use
from simulators.sftp.server import RunningSftp, SftpConfig, serving_sftp
from tests.systems.files.district import CATAPULT_HEADER, House, rows_of

PATH = "/incoming/StaffExport.csv"
KEY = asyncssh.generate_private_key("ssh-ed25519")
SECRETS = {
    "env:BOX": "drop-box-password-of-the-tests",
    "env:OLD": "password-that-nobody-knows",
    "env:KEY": KEY.export_private_key().decode(),
}
STAFF = CATAPULT_HEADER + "".join(f"E{n},010,Wilhelmina,Ash-Grove,,,Teacher,\r\n" for n in range(1, 26))


@pytest.fixture
def box() -> Iterator[RunningSftp]:
    seed = {"folders": ["/upload"], "files": {PATH: STAFF}}
    config = SftpConfig(
        user="district",
        password=SECRETS["env:BOX"],
        authorized_keys=[KEY.export_public_key().decode()],
        seed=seed,
    )
    with serving_sftp(config) as server:
        yield server


@pytest_asyncio.fixture
async def house(box: RunningSftp) -> AsyncIterator[House]:
    house = House({"sftp": sftp_of(box)}, system="catapult", secrets=SECRETS)
    yield house
    await house.close()


def sftp_of(box: RunningSftp, **settings: Any) -> dict[str, Any]:
    return {
        "host": box.host,
        "port": box.port,
        "known_hosts": [box.known_hosts_line],
        "folder": "/incoming",
        "user": "district",
        "password": "env:BOX",
        "timeout_seconds": 5,
        **settings,
    }  # fmt: skip


def text_of(box: RunningSftp, path: str = PATH) -> str:
    text: str = box.box.read_state()["files"][path]
    return text


def effects(box: RunningSftp) -> list[str]:
    return [entry["effect"] for entry in box.box.entries(effects_only=True)]


async def error_of(house: House, **sftp: Any) -> AetherError:
    source = house.source(sftp={**house.place["sftp"], **sftp})
    with pytest.raises(AetherError) as caught:
        await rows_of(source, "staff")
    assert not any(secret in str(caught.value) for secret in SECRETS.values())
    return caught.value


async def change_title(house: House, **settings: Any) -> None:
    await house.send(house.target(**settings), "staff", "update", "E7/010", title="Nurse")


# --- who is there, and who may enter --------------------------------------------------------------------------------


async def test_a_password_or_a_key_lets_in_and_nothing_is_asked_twice(house: House, box: RunningSftp) -> None:
    assert len(await rows_of(house.source(), "staff")) == 25
    key = sftp_of(box, private_key="env:KEY")
    del key["password"]
    assert len(await rows_of(house.source(sftp=key), "staff")) == 25
    forms = [entry["query"]["form"] for entry in box.box.entries() if entry["method"] == "AUTH"]
    assert (forms[0], set(forms[1:])) == ("password", {"key"})
    assert effects(box) == []


async def test_causes_are_told_apart(house: House, box: RunningSftp) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    stranger = await error_of(house, known_hosts=[f"[{box.host}]:{box.port} {other}"])
    assert (stranger.code, "known_hosts" in stranger.message) == ("SRC_CONFIG", True)
    assert (await error_of(house, password="env:OLD")).code == "SRC_AUTH"
    assert (await error_of(house, port=1)).code == "SRC_UNREACHABLE"
    assert (await error_of(house, folder="/elsewhere")).code == "SRC_CONFIG"
    box.arm("no_permission", operation="open")
    forbidden = await error_of(house)
    assert (forbidden.code, "StaffExport.csv" in forbidden.message) == ("SRC_AUTH", True)


async def test_a_stranger_is_told_no_password(house: House, box: RunningSftp) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    await error_of(house, known_hosts=[f"[{box.host}]:{box.port} {other}"])
    assert [entry for entry in box.box.entries() if entry["method"] == "AUTH"] == []


async def test_a_connection_without_a_known_host_or_a_proof_is_refused_at_once(house: House, box: RunningSftp) -> None:
    wrongs: list[dict[str, Any]] = [
        {"known_hosts": []}, {"password": None}, {"write_user": "other"}, {"upload_folder": "/incoming/"},
    ]  # fmt: skip
    for wrong in wrongs:
        with pytest.raises(NeedsPerson) as caught:
            house.source(sftp=sftp_of(box, **wrong))
        assert caught.value.code == "SRC_CONFIG"
    assert box.box.entries() == []


async def test_a_login_that_ends_half_way_is_told(house: House, box: RunningSftp) -> None:
    source = house.source()
    assert len(await rows_of(source, "staff")) == 25
    box.box.switch(takes_password=False)
    assert len(await rows_of(source, "staff")) == 25, "who is in stays in"
    box.arm("disconnect", operation="stat")
    with pytest.raises(NeedsPerson) as caught:
        await rows_of(source, "staff")
    assert caught.value.code == "SRC_AUTH"


async def test_the_applier_signs_in_with_the_login_that_may_write(house: House, box: RunningSftp) -> None:
    sftp = sftp_of(box, password="env:MISSING", write_password="env:BOX")
    await change_title(house, sftp=sftp)
    assert "E7,010,Wilhelmina,Ash-Grove,,,Nurse,\r\n" in text_of(box)


# --- reading --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"after_bytes": 500}, {"operation": "stat"}, {"operation": "open"}])
async def test_a_lost_connection_is_opened_again_and_the_file_read_whole(
    house: House, box: RunningSftp, options: dict[str, Any]
) -> None:
    box.arm("disconnect", **options)
    assert len(await rows_of(house.source(), "staff")) == 25
    assert sum(box.box.faults.struck.values()) == 1


async def test_a_server_that_fails_on_is_an_error_after_few_tries(house: House, box: RunningSftp) -> None:
    box.arm("disconnect", operation="open", times=100)
    with pytest.raises(TryLater) as caught:
        await rows_of(house.source(), "staff")
    assert caught.value.code == "SRC_UNREACHABLE"
    assert box.box.faults.struck["disconnect"] == 3
    box.box.faults.clear()
    box.arm("slow", operation="open", seconds=30, times=100)
    slow = house.source(sftp=sftp_of(box, timeout_seconds=0.5, transfer_seconds_max=0.5), read_tries=1)
    with pytest.raises(TryLater, match=r"no answer came in 0\.5 s"):
        await rows_of(slow, "staff")


async def test_a_budget_that_is_used_up_sends_nothing(
    house: House, box: RunningSftp, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(use: Use) -> None:
        raise TryLater(f"{use}_RATE_LIMITED", "the budget is used up", retry_after_seconds=60)

    monkeypatch.setattr(house.observed, "turn", refuse)
    with pytest.raises(TryLater) as caught:
        await rows_of(house.source(), "staff")
    assert caught.value.code == "SRC_RATE_LIMITED"
    with pytest.raises(TryLater) as caught:
        await change_title(house)
    assert caught.value.code == "APL_RATE_LIMITED"
    assert box.box.entries() == []


async def test_a_reading_that_is_given_up_leaves_nothing_open(house: House, box: RunningSftp) -> None:
    source = house.source()
    box.arm("slow", operation="open", seconds=20)
    reading = asyncio.create_task(rows_of(source, "staff"))
    async with asyncio.timeout(10):
        while not box.box.faults.struck:
            await asyncio.sleep(0.01)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert len(await rows_of(source, "staff")) == 25
        await source.close()
        while box.box.connections:
            await asyncio.sleep(0.01)


# --- replacing ------------------------------------------------------------------------------------------------------


async def test_the_new_file_takes_the_place_of_the_old_one_in_one_step(house: House, box: RunningSftp) -> None:
    await change_title(house)
    assert text_of(box) == STAFF.replace("E7,010,Wilhelmina,Ash-Grove,,,Teacher", "E7,010,Wilhelmina,Ash-Grove,,,Nurse")
    assert effects(box) == ["created /incoming/.StaffExport.csv.part", f"updated {PATH} [content]"]
    assert list(box.box.read_state()["files"]) == [PATH]


@pytest.mark.parametrize("switches", [{"is_rename_overwriting": True}, {"is_rename_overwriting": False}])
async def test_a_server_without_posix_rename_gets_the_new_file_too(
    house: House, box: RunningSftp, switches: dict[str, bool]
) -> None:
    box.box.switch(has_posix_rename=False, **switches)
    await change_title(house)
    assert text_of(box).count("Nurse") == 1
    assert list(box.box.read_state()["files"]) == [PATH]
    assert (f"deleted {PATH}" in effects(box)) is not switches["is_rename_overwriting"]


async def test_an_import_that_looks_for_exact_names_sees_no_other(house: House, box: RunningSftp) -> None:
    box.box.switch(file_names=("StaffExport.csv",))
    await change_title(house, sftp=sftp_of(box, upload_folder="/upload"))
    assert text_of(box).count("Nurse") == 1
    assert box.box.read_state()["violations"] == []
    await house.send(house.target(), "staff", "update", "E8/010", title="Nurse")
    assert len(box.box.read_state()["violations"]) == 1, "beside the file, an upload has another name"


@pytest.mark.parametrize(
    ("fault", "options", "kind", "code"),
    [
        ("disconnect", {"operation": "write"}, TryLater, "APL_UNREACHABLE"),
        ("disconnect", {"operation": "write", "after_bytes": 100}, TryLater, "APL_UNREACHABLE"),
        ("disconnect_after_effect", {"operation": "close", "path_pattern": "part$"}, TryLater, "APL_UNREACHABLE"),
        ("disk_full", {"after_bytes": 100}, RecordRefused, "APL_CAPACITY"),
        ("silent_truncation", {"after_bytes": 100}, RecordRefused, "APL_CAPACITY"),
        ("no_permission", {"operation": "open", "path_pattern": "part$"}, NeedsPerson, "APL_AUTH"),
        ("no_permission", {"operation": "rename"}, NeedsPerson, "APL_AUTH"),
    ],
)
async def test_what_fails_before_the_step_has_changed_nothing(
    house: House, box: RunningSftp, fault: str, options: dict[str, Any], kind: type[AetherError], code: str
) -> None:
    box.arm(fault, **options)
    with pytest.raises(kind) as caught:
        await change_title(house)
    assert caught.value.code == code, caught.value
    assert "Wilhelmina" not in str(caught.value)
    assert text_of(box) == STAFF
    await change_title(house)
    assert text_of(box).count("Nurse") == 1
    assert list(box.box.read_state()["files"]) == [PATH]


@pytest.mark.parametrize("fault", ["disconnect", "disconnect_after_effect"])
async def test_a_connection_lost_in_the_step_is_unknown_was_tried_once_and_a_look_tells(
    house: House, box: RunningSftp, fault: str
) -> None:
    box.arm(fault, operation="rename", times=100)
    target = house.target()
    with pytest.raises(OutcomeUnknown) as caught:
        await house.send(target, "staff", "update", "E7/010", title="Nurse")
    assert caught.value.code == "APL_UNKNOWN_OUTCOME"
    assert box.box.faults.struck[fault] == 1
    box.box.faults.clear()
    record = await target.fetch("staff", target_id="E7/010", key=None)
    assert (record or {})["title"] == ("Teacher" if fault == "disconnect" else "Nurse")


async def test_the_moment_without_a_file_is_unknown_and_names_the_upload(house: House, box: RunningSftp) -> None:
    box.box.switch(has_posix_rename=False)
    box.arm("no_permission", operation="rename")
    target = house.target()
    with pytest.raises(OutcomeUnknown, match=r"lies whole as /incoming/\.StaffExport\.csv\.part"):
        await house.send(target, "staff", "update", "E7/010", title="Nurse")
    assert text_of(box, "/incoming/.StaffExport.csv.part").count("Nurse") == 1
    with pytest.raises(NeedsPerson) as caught:
        await target.fetch("staff", target_id="E7/010", key=None)
    assert caught.value.code == "APL_CONFIG", "a missing file is never an empty one"


async def test_what_somebody_else_uploads_meanwhile_is_kept(house: House, box: RunningSftp) -> None:
    target = house.target()
    assert await target.fetch("staff", target_id="E7/010", key=None) is not None
    place = box.box.root / PATH.lstrip("/")
    box.arm("slow", operation="close", seconds=0.5)
    writing = asyncio.create_task(house.send(target, "staff", "update", "E7/010", title="Nurse"))
    async with asyncio.timeout(10):
        while not box.box.faults.struck:
            await asyncio.sleep(0.01)
    place.write_text(STAFF + "E99,010,Their,Own,,,Clerk,\r\n", newline="")
    await writing
    assert (text_of(box).count("Nurse"), text_of(box).count("Clerk")) == (1, 1)


async def test_parentsquare_students_go_over_sftp_as_texts_in_quotes(box: RunningSftp) -> None:
    header = '"student_id","school_id","first_name","last_name","grade","homeroom"\r\n'
    path = box.box.root / "incoming/students.csv"
    path.write_text(header + '"007","010","Bo","Li","-1","R2"\r\n', newline="")
    house = House({"sftp": sftp_of(box)}, system="parentsquare", secrets=SECRETS)
    target = house.target()
    await house.send(
        target, "students", "create", student_id="008", school_id="010", first_name="Zoë", last_name="X", grade="0"
    )
    await house.send(target, "students", "update", "007", grade="1")
    assert text_of(box, "/incoming/students.csv") == (
        header + '"007","010","Bo","Li","1","R2"\r\n"008","010","Zoë","X","0",""\r\n'
    )
    await house.close()

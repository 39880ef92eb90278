"""The simulated Snipe-IT as a program, at full size, and whom it imports."""

from __future__ import annotations

import ast
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

import simulators.snipeit
from simulators.kit.gateway import Answer, Call
from simulators.kit.switches import Switchboard
from simulators.snipeit import world as worlds
from simulators.snipeit.access import Rights, Token
from simulators.snipeit.app import SnipeConfig, SnipeIt, create_app
from simulators.snipeit.columns import TABLES
from simulators.snipeit.switches import SnipeSwitches
from tests.simulators.running_snipeit import small_seed

START_SECONDS_MAX = 20.0
USERS = 8_000
FOLDER = Path(simulators.snipeit.__file__).parent


def test_the_program_serves_a_written_world_and_ends_cleanly(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret-of-the-test\n")
    assert worlds.main(["--seed", "3", "--users", "20", "--assets", "5", "--out", str(tmp_path / "seed.json")]) == 0
    ready_file = tmp_path / "ready.json"
    command = [sys.executable, "-m", "simulators.snipeit", "--state", str(tmp_path / "seed.json")]
    command += ["--token", f"superuser={tmp_path / 'token'}@1", "--ready-file", str(ready_file)]
    command += ["--switches", '{"release": "8.1.4"}']
    with subprocess.Popen(command, cwd=FOLDER.parents[1], stderr=subprocess.PIPE) as process:
        try:
            deadline = time.monotonic() + START_SECONDS_MAX
            while not ready_file.exists():
                assert process.poll() is None, process.stderr.read() if process.stderr else ""
                assert time.monotonic() < deadline, "the program was not ready in time"
                time.sleep(0.01)
            url = json.loads(ready_file.read_text())["url"]
            headers = {"Authorization": "Bearer secret-of-the-test", "Accept": "application/json"}
            answer = httpx.get(f"{url}/api/v1/users/me", headers=headers, trust_env=False)
            assert answer.json()["username"] == "user1"
            assert httpx.get(f"{url}/_sim/switches", trust_env=False).json()["release"] == "8.1.4"
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            process.kill()


@pytest.mark.parametrize(
    "tokens",
    [
        (),
        (Token(secret="", rights=Rights.READ),),
        (Token(secret="a", rights=Rights.READ), Token(secret="a", rights=Rights.EDIT)),
        (Token(secret="a", rights=Rights.READ, user_id=99),),
    ],
)
def test_tokens_that_make_no_sense_are_refused(tokens: tuple[Token, ...]) -> None:
    with pytest.raises(ValueError, match="token"):
        create_app(SnipeConfig(tokens=tokens, seed=small_seed()))


ODD: list[object] = [None, "", "x" * 300, 0, -1, 10**30, 1.5, True, [], [[]], {}, {"a": []}, "\x00\ud800", "nan", "٣"]


def asked(vendor: SnipeIt, method: str, path: str, body: object = None, **query: str) -> Answer:
    """One call without a socket, as the gateway makes it."""
    call = Call(
        method=method,
        path=path,
        segments=tuple(path.split("/")[1:]),
        query=query,
        headers={"authorization": "Bearer s", "accept": "application/json", "content-type": "application/json"},
        body=json.dumps(body).encode() if body is not None else b"",
    )
    page = vendor.page(call)
    window = slice(page.offset, page.offset + page.limit) if page is not None else None
    return vendor.answer(call, window=window, pretend=False)


def vendor_of(seed: dict[str, Any]) -> SnipeIt:
    """A vendor without a socket and without a limit of requests."""
    board = Switchboard(SnipeSwitches(throttle_per_minute=None))
    return SnipeIt(SnipeConfig(tokens=(Token(secret="s", rights=Rights.SUPERUSER),), seed=seed), board)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_no_value_of_any_field_or_parameter_is_more_than_it_can_answer(name: str) -> None:
    vendor = vendor_of(small_seed())
    path = f"/api/v1/{name}"
    more = ["password", "assigned_user", "assigned_asset", "checkout_to_type", "_snipeit_mac_address_1"]
    for column in [*TABLES[name].columns, *more]:
        for value in ODD:
            for method, place in (("POST", path), ("PATCH", f"{path}/1"), ("POST", f"{path}/2/checkout")):
                answer = asked(vendor, method, place, {column: value})
                assert answer.status in {200, 404, 405}, (method, column, value)
                assert json.loads(answer.body)["status"] in {"success", "error"}
            answer = asked(vendor, "GET", path, sort=column, order="asc", **{column: str(value)})
            assert json.loads(answer.body)["total"] >= 0
    # What all that left behind is still a state that can be read back.
    state = json.loads(json.dumps(vendor.read_state()))
    vendor.write_state(state)
    assert json.loads(json.dumps(vendor.read_state())) == state


def test_a_page_and_a_single_read_cost_the_same_however_many_users_there_are() -> None:
    vendor = vendor_of(worlds.world(seed=1, users=USERS, assets=USERS))
    rows: list[int] = []
    began = time.process_time()
    for offset in range(0, USERS, 500):
        answer = asked(vendor, "GET", "/api/v1/users", limit="500", offset=str(offset), sort="id", order="asc")
        rows += [row["id"] for row in json.loads(answer.body)["rows"]]
    a_walk = time.process_time() - began
    assert rows == [number for number in range(1, USERS + 1) if not worlds.is_deleted_user(number)]
    began = time.process_time()
    for number in range(5, 505):
        found = json.loads(asked(vendor, "GET", "/api/v1/users", employee_num=f"E{number:06d}").body)["rows"]
        is_found = not worlds.is_deleted_user(number) and number % worlds.NAMELESS_EVERY != 0
        assert [row["id"] for row in found] == ([number] if is_found else [])
    by_key = time.process_time() - began
    # Generous for a busy machine; a scan of the table per page or per key would need many times as much.
    assert a_walk < 4.0
    assert by_key < 2.0


def test_it_imports_nothing_of_the_product() -> None:
    imported = set()
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module or "")
    ours = {name for name in imported if name.split(".")[0] in {"cli", "connectors", "services", "shared", "systems"}}
    assert ours == set()

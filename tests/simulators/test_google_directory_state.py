"""Seeds, the state document, the made-up district and the program of the simulated Google account."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from simulators import google_directory
from simulators.google_directory.keys import account_document
from simulators.google_directory.keys import main as write_key
from simulators.google_directory.seed import directory_of, document_of
from simulators.google_directory.switches import GoogleSwitches
from simulators.google_directory.world import ADMIN, make_world
from simulators.google_directory.world import main as write_world
from tests.simulators.running_google_directory import new_person, person, running_google, seed, service_key


@pytest.mark.parametrize(
    ("members", "complaint"),
    [
        ({"people": []}, "seed: ['people']"),
        ({"domains": []}, "domains: []"),
        ({"users": [person(1), person(1, primaryEmail="x@school.example")]}, r"users[1]: id '000000000000000000001'"),
        ({"users": [person(1), person(2, primaryEmail="P1@school.example")]}, "users[1]: 'P1@school.example' is taken"),
        ({"users": [person(1, primaryEmail="x@foreign.example")]}, "users[0]: 'x@foreign.example'"),
        ({"users": [person(1, orgUnitPath="/Nowhere")]}, "users[0]: orgUnitPath '/Nowhere'"),
        ({"users": [person(1, shoeSize=44)]}, "users[0]: Unknown name"),
        ({"users": [person(1, suspended="yes")]}, "users[0]: Invalid value at suspended"),
        ({"users": [person(1, creationTime="yesterday")]}, "users[0]: creationTime"),
        ({"users": [person(1, customSchemas={"X": {"a": "b"}})]}, "users[0]: customSchemas: ['X']"),
        ({"orgUnits": [{"orgUnitPath": "/A/B"}]}, "orgUnits[0]: orgUnitPath '/A/B'"),
        ({"orgUnits": [{"orgUnitPath": "/A"}, {"orgUnitPath": "/a"}]}, "orgUnits[1]: 409 duplicate"),
        (
            {"groups": [{"email": "g@school.example", "members": [{"email": "no@school.example"}]}]},
            "groups[0]: members[0]",
        ),
        ({"groups": [{"name": "x"}]}, "groups[0]: email"),
        ({"deletedUsers": [person(9)]}, "deletedUsers[0]: deletionTime"),
        ({"adminRoles": [{"user": "a", "resources": ["everything"]}]}, "adminRoles[0]"),
        ({"conflictAccounts": {"a@school.example": "maybe"}}, "conflictAccounts.a@school.example"),
        ({"nextNumber": 0}, "nextNumber: 0"),
    ],
)
def test_a_seed_that_breaks_a_rule_is_refused_with_its_place(members: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError) as refused:
        directory_of({**seed(0, groups=[]), **members})
    assert complaint in str(refused.value)


def test_the_state_that_is_read_can_be_written_and_is_the_same_then() -> None:
    with running_google() as google:
        google.api.put("/users/p1@school.example", json={"primaryEmail": "q1@school.example", "archived": True})
        own = [{"address": "p3@school.example"}]
        google.api.put("/users/p3@school.example", json={"emails": own, "changePasswordAtNextLogin": False})
        google.api.delete("/users/p2@school.example")
        google.api.post("/groups/g2/members", json={"email": "out@side.example", "role": "OWNER"})
        google.api.post("/groups/g2/members", json={"email": "all@school.example"})
        google.api.post("/customer/my_customer/orgunits", json={"name": "X", "parentOrgUnitPath": "/Staff"})
        google.api.get("/users")
        state = google.state()
        assert [violation["rule"] for violation in state["violations"]] == ["P1"]
        shown = [google.api.get("/users/q1@school.example").json(), google.api.get("/groups/g2/members").json()]
        assert google.control.put("/state", json=state).status_code == 204
        assert google.state() == state
        again = [google.api.get("/users/q1@school.example").json(), google.api.get("/groups/g2/members").json()]
        assert again == shown
        assert google.api.post("/users", json=new_person()).status_code == 200


def test_a_state_that_is_refused_changes_nothing() -> None:
    with running_google() as google:
        before = google.state()
        answer = google.control.put("/state", json=seed(users=[person(1, orgUnitPath="/Nowhere")]))
        assert answer.status_code == 422
        assert "users[0]" in answer.json()["message"]
        assert google.state() == before


def test_a_world_is_the_same_for_the_same_number_and_is_a_good_seed() -> None:
    world = make_world(users=2_000, groups=50, members_per_group=10, seed=7)
    assert world == make_world(users=2_000, groups=50, members_per_group=10, seed=7)
    assert world != make_world(users=2_000, groups=50, members_per_group=10, seed=8)
    directory = directory_of(world)
    assert (len(directory.users), len(directory.groups)) == (2_000, 50)
    assert all(len(members) == 10 for members in directory.members.values())
    assert document_of(directory_of(document_of(directory))) == document_of(directory)


def test_a_large_account_is_paged_and_searched_by_key_quickly() -> None:
    with running_google(make_world(users=10_000), subject=ADMIN, queries_per_minute=None) as google:
        # The client that checks every answer would take longer than the simulator.
        google.api.event_hooks = {}
        began = time.process_time()
        pages = google.walk("/users", "users", customer="my_customer", maxResults="500")
        walked = time.process_time() - began
        assert sum(map(len, pages)) == len({user for page in pages for user in page}) == 10_000
        began = time.process_time()
        for user_id in pages[-1][:100]:
            assert google.api.get(f"/users/{user_id}").status_code == 200
        # Generous: what is guarded against is a scan of all users for each.
        assert (walked < 10.0, time.process_time() - began < 5.0) == (True, True)


def test_the_program_serves_what_its_files_say_and_ends_cleanly(tmp_path: Path) -> None:
    state, account, ready = tmp_path / "state.json", tmp_path / "account.json", tmp_path / "ready.json"
    account.write_text(json.dumps(account_document(service_key()[1])))
    assert write_world(["--users", "10", "--out", str(state)]) == 0
    files = ["--state", str(state), "--account-file", str(account), "--ready-file", str(ready)]
    switches = ["--switches", '{"empty_list_has_key": true}']
    command = [sys.executable, "-m", "simulators.google_directory", *files, *switches]
    with subprocess.Popen(command) as process:
        for _ in range(200):
            if ready.exists():
                break
            time.sleep(0.05)
        url = json.loads(ready.read_text())["url"]
        health = httpx.get(f"{url}/_sim/health", trust_env=False).json()
        switched = httpx.get(f"{url}/_sim/switches", trust_env=False).json()
        assert (health["simulator"], switched["empty_list_has_key"]) == ("google_directory", True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_the_program_refuses_a_bad_account_file(tmp_path: Path) -> None:
    state, account = tmp_path / "state.json", tmp_path / "account.json"
    state.write_text(json.dumps(seed()))
    account.write_text('{"clientEmail": "a@b.example"}')
    command = [
        sys.executable,
        "-m",
        "simulators.google_directory",
        "--state",
        str(state),
        "--account-file",
        str(account),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert "an account needs clientEmail" in ended.stderr


def test_a_key_file_and_an_account_file_are_written_together(tmp_path: Path) -> None:
    key, account = tmp_path / "key.json", tmp_path / "account.json"
    arguments = ["--email", "s@p.example", "--token-uri", "http://127.0.0.1:1/token"]
    assert write_key([*arguments, "--key-file", str(key), "--account-file", str(account)]) == 0
    assert (
        json.loads(key.read_text())["client_email"] == json.loads(account.read_text())["clientEmail"] == "s@p.example"
    )
    assert key.stat().st_mode & 0o077 == 0


def test_every_rule_that_the_code_names_is_in_the_readme() -> None:
    folder = Path(google_directory.__file__).parent
    described = re.findall(r"^\| ([A-Z][0-9]+) \|", (folder / "README.md").read_text(), re.MULTILINE)
    assert len(described) == len(set(described))
    code = "".join(file.read_text() for file in folder.glob("*.py"))
    named = set(re.findall(r"\b([ABCGMOPQSUV][0-9]{1,2})\b", code))
    assert named <= set(described)
    for switch in GoogleSwitches.model_fields:
        assert f"`{switch}`" in (folder / "README.md").read_text(), switch

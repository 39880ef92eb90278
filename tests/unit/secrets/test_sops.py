"""Values come out of files of SOPS only when file, place and digest agree; what is wrong is said without a value."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyrage
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import NeedsPerson
from shared.secrets import resolve
from tests.support.sops_files import SopsFile

TOKEN = "tok-5f1d6a"
TREE: dict[str, Any] = {
    "aeries": {"token": TOKEN, "tries": 3, "rate": 2.5, "is_on": True, "none": None, "blank": ""},
    "list": ["one", {"deep": "two"}, ["three"]],
    "plain_unencrypted": {"note": "in the clear", "number": 7, "share": 0.25, "is_on": False},
}


@pytest.fixture
def identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An identity that this program holds."""
    made = pyrage.x25519.Identity.generate()
    hold(tmp_path / "keys.txt", made)
    monkeypatch.setenv("AETHER_SOPS_AGE_KEY_FILE", str(tmp_path / "keys.txt"))
    monkeypatch.delenv("SOPS_AGE_KEY_FILE", raising=False)
    return made


def hold(path: Path, *identities: Any) -> None:
    lines = [f"# public key: {each.to_public()}\n{each}\n" for each in identities]
    path.write_text("# created: 2026-11-22T09:00:00Z\n" + "".join(lines))


def at(path: Path, content: bytes, keys: str | None) -> str:
    path.write_bytes(content)
    return str(resolve(f"sops:{path}" + ("" if keys is None else f"#{keys}")))


def refusal(path: Path, content: bytes, keys: str | None = "aeries.token") -> str:
    with pytest.raises(NeedsPerson) as caught:
        at(path, content, keys)
    assert caught.value.code == "SYS_SECRET"
    assert caught.value.message.startswith(f"sops:{path}")
    assert TOKEN not in caught.value.message
    assert "AGE-SECRET-KEY" not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize("form", ["yaml", "json"])
@pytest.mark.parametrize(
    ("keys", "value"),
    [
        ("aeries.token", TOKEN),
        ("aeries.tries", "3"),
        ("aeries.rate", "2.5"),
        ("aeries.is_on", "True"),
        ("list.0", "one"),
        ("list.1.deep", "two"),
        ("list.2.0", "three"),
        ("plain_unencrypted.note", "in the clear"),
    ],
)
def test_a_value_is_found_by_its_path(identity: Any, tmp_path: Path, form: str, keys: str, value: str) -> None:
    made = SopsFile({**TREE, "plain_unencrypted": {"note": "in the clear", "number": 7}}, [identity.to_public()])
    assert at(tmp_path / f"s.{form}", getattr(made, form)(), keys) == value


def test_numbers_in_the_clear_count_in_the_digest_as_sops_writes_them(identity: Any, tmp_path: Path) -> None:
    """SOPS writes 1e21 and 0.25 without an exponent; the maker of the file is told so by text."""
    made = SopsFile({"token": TOKEN, "a_unencrypted": "1000000000000000000000", "b_unencrypted": "0.25"},
                    [identity.to_public()])  # fmt: skip
    content = made.json().replace(b'"1000000000000000000000"', b"1e21").replace(b'"0.25"', b"0.250")
    assert at(tmp_path / "s.json", content, "token") == TOKEN


def test_dotenv_and_whole_files_are_read(identity: Any, tmp_path: Path) -> None:
    flat = SopsFile({"TOKEN": TOKEN, "OTHER": "two"}, [identity.to_public()])
    assert at(tmp_path / "s.env", flat.dotenv(), "TOKEN") == TOKEN
    whole = SopsFile({"data": f"-----BEGIN-----\n{TOKEN}\n"}, [identity.to_public()])
    assert at(tmp_path / "key.pem", whole.json(), None) == f"-----BEGIN-----\n{TOKEN}"


@pytest.mark.parametrize(
    ("rule", "is_encrypted"),
    [
        ({"encrypted_regex": "^(token|pass)"}, lambda name: name.startswith(("token", "pass"))),
        ({"encrypted_suffix": "_secret"}, lambda name: name.endswith("_secret")),
        ({"unencrypted_regex": "note"}, lambda name: "note" not in name),
    ],
)
@pytest.mark.parametrize("only", [False, True])
def test_each_rule_for_what_is_encrypted_is_followed(
    identity: Any, tmp_path: Path, rule: dict[str, Any], is_encrypted: Any, only: bool
) -> None:
    tree = {"token_secret": TOKEN, "note": {"inner": "open"}, "other": "x"}
    made = SopsFile(tree, [identity.to_public()], is_encrypted, rule, is_mac_of_encrypted=only)
    assert at(tmp_path / "s.yaml", made.yaml(), "token_secret") == TOKEN
    assert at(tmp_path / "s.yaml", made.yaml(), "note.inner") == "open"


def test_a_value_in_another_place_is_refused(identity: Any, tmp_path: Path) -> None:
    made = SopsFile(TREE, [identity.to_public()])
    made.values["list"][0] = made.values["aeries"]["token"]
    assert "does not fit the key and its place" in refusal(tmp_path / "s.json", made.json(), "list.0")


def test_a_value_that_was_taken_away_added_or_changed_in_the_clear_is_noticed(identity: Any, tmp_path: Path) -> None:
    spoils: tuple[Callable[[dict[str, Any]], object], ...] = (
        lambda values: values.pop("list"),
        lambda values: values["aeries"].pop("tries"),
        lambda values: values["plain_unencrypted"].update(note="another"),
        lambda values: values["plain_unencrypted"].update(more="another"),
        lambda values: values["list"].reverse(),
    )
    for spoil in spoils:
        made = SopsFile({**TREE, "list": ["one", "two"]}, [identity.to_public()])
        spoil(made.values)
        assert "is not whole" in refusal(tmp_path / "s.json", made.json())


def test_a_file_without_a_digest_or_with_that_of_another_time_is_refused(identity: Any, tmp_path: Path) -> None:
    made = SopsFile(TREE, [identity.to_public()])
    made.metadata["lastmodified"] = "2026-11-23T09:30:00Z"
    assert "sops.mac does not fit" in refusal(tmp_path / "s.json", made.json())
    del made.metadata["mac"]
    assert "no digest" in refusal(tmp_path / "s.json", made.json())


def test_a_value_in_the_clear_where_an_encrypted_one_belongs_is_refused(identity: Any, tmp_path: Path) -> None:
    made = SopsFile(TREE, [identity.to_public()])
    made.values["aeries"]["token"] = "put here by hand"
    assert "aeries.token should be encrypted and is not" in refusal(tmp_path / "s.json", made.json())


def test_the_recipients_of_the_file_and_our_own_are_named(identity: Any, tmp_path: Path) -> None:
    other = pyrage.x25519.Identity.generate()
    said = refusal(tmp_path / "s.yaml", SopsFile(TREE, [other.to_public()]).yaml())
    assert f"is encrypted for {other.to_public()}" in said
    assert f"holds the identity of {identity.to_public()}" in said


def test_one_of_several_recipients_and_of_several_identities_is_enough(
    identity: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, third = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    hold(tmp_path / "two.txt", other, identity)
    monkeypatch.setenv("AETHER_SOPS_AGE_KEY_FILE", f"file:{tmp_path}/two.txt")
    made = SopsFile(TREE, [third.to_public(), identity.to_public()])
    assert at(tmp_path / "s.yaml", made.yaml(), "aeries.token") == TOKEN


def test_a_file_of_identities_is_asked_for_by_the_name_of_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = SopsFile(TREE, [pyrage.x25519.Identity.generate().to_public()]).json()
    for variable in ("AETHER_SOPS_AGE_KEY_FILE", "SOPS_AGE_KEY_FILE"):
        monkeypatch.delenv(variable, raising=False)
    assert "AETHER_SOPS_AGE_KEY_FILE names no file" in refusal(tmp_path / "s.json", made)
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(tmp_path / "none"))
    assert "SOPS_AGE_KEY_FILE" in refusal(tmp_path / "s.json", made)
    (tmp_path / "none").write_text("AGE-SECRET-KEY-1DAMAGED")
    assert "identity 1 of" in refusal(tmp_path / "s.json", made)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"age": [], "pgp": [{"fp": "x", "enc": "y"}]}, "not encrypted for age (PGP)"),
        ({"age": None, "kms": [{"arn": "x"}]}, "not encrypted for age (AWS KMS)"),
        ({"age": None, "hc_vault": [{"enc": "x"}]}, "Vault Transit"),
        ({"age": None, "key_groups": [{"age": []}]}, "key groups"),
        ({"encrypted_comment_regex": "secret"}, "by comments"),
        ({"encrypted_suffix": "_x"}, "more than one rule"),
        ({"unencrypted_suffix": None, "encrypted_regex": "("}, "cannot be understood"),
    ],
)
def test_what_is_not_read_here_is_named(identity: Any, tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    made = SopsFile(TREE, [identity.to_public()])
    made.metadata |= changes
    assert said in refusal(tmp_path / "s.json", made.json())


def test_a_file_that_is_no_file_of_sops_is_named_as_what_it_is(identity: Any, tmp_path: Path) -> None:
    assert "not encrypted by SOPS" in refusal(tmp_path / "s.yaml", b"aeries: {token: x}\n")
    assert "is no YAML" in refusal(tmp_path / "s.yaml", b"a: [")
    assert "brackets" in refusal(tmp_path / "s.yaml", b"a: " + b"[" * 200)
    assert "is no JSON" in refusal(tmp_path / "s.json", b"{")
    assert "NAME=value" in refusal(tmp_path / "s.env", b"what is this\n")
    assert "INI" in refusal(tmp_path / "s.ini", b"[a]\n")
    assert "is larger than" in refusal(tmp_path / "s.json", b" " * (1024 * 1024 + 1))
    with pytest.raises(NeedsPerson, match="No such file"):
        resolve(f"sops:{tmp_path}/none.yaml#a")


def test_a_place_that_holds_no_single_value_is_refused(identity: Any, tmp_path: Path) -> None:
    made = SopsFile(TREE, [identity.to_public()]).json()
    assert "has no value at aeries.tokens" in refusal(tmp_path / "s.json", made, "aeries.tokens")
    assert "no single value" in refusal(tmp_path / "s.json", made, "aeries")
    assert "no single value" in refusal(tmp_path / "s.json", made, "aeries.none")
    assert "has no value at list.9" in refusal(tmp_path / "s.json", made, "list.9")
    assert "write #path.to.key" in refusal(tmp_path / "s.json", made, None)
    assert "is empty" in refusal(tmp_path / "s.json", made, "aeries.blank")


def test_a_bomb_of_aliases_is_walked_no_further_than_the_bound(identity: Any, tmp_path: Path) -> None:
    made = SopsFile({"a": "x"}, [identity.to_public()])
    bomb = "a_unencrypted: &a [1,1,1,1,1,1,1,1,1,1]\n"
    bomb += "".join(
        f"{after}_unencrypted: &{after} [{','.join([f'*{name}'] * 10)}]\n"
        for name, after in zip("abcdef", "bcdefg", strict=True)
    )
    text = bomb + "sops: " + json.dumps(made.metadata) + "\n"
    assert "more than 10000 values" in refusal(tmp_path / "s.yaml", text.encode(), "a")


def test_a_changed_file_is_read_anew(identity: Any, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    assert at(path, SopsFile({"token": "first"}, [identity.to_public()]).yaml(), "token") == "first"
    assert at(path, SopsFile({"token": "second"}, [identity.to_public()]).yaml(), "token") == "second"


_NAMES = st.text("abcdefgh_", min_size=1, max_size=6)
_LEAVES = st.one_of(st.text(max_size=20), st.integers(-(2**53), 2**53), st.booleans(), st.none())
_NODES = st.recursive(_LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3))
_TREES = st.dictionaries(_NAMES, _NODES, max_size=4)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=_TREES)
def test_any_tree_is_read_in_both_forms(identity: Any, tmp_path: Path, tree: dict[str, Any]) -> None:
    made = SopsFile({**tree, "the_token": TOKEN}, [identity.to_public()])
    assert at(tmp_path / "s.json", made.json(), "the_token") == TOKEN
    assert at(tmp_path / "s.yaml", made.yaml(), "the_token") == TOKEN


_JUDGE = """
import { decryptSops } from "sops-age";
import fs from "fs";
const [,, file, secretKey, fileType] = process.argv;
console.log(JSON.stringify(await decryptSops(fs.readFileSync(file, "utf8"), { secretKey, fileType })));
"""


@pytest.mark.skipif("AETHER_NODE_PROJECT" not in os.environ, reason="AETHER_NODE_PROJECT names no folder with sops-age")
@pytest.mark.parametrize("form", ["json", "yaml", "env"])
def test_other_peoples_reader_reads_the_files_of_these_tests(identity: Any, tmp_path: Path, form: str) -> None:
    """`npm install sops-age` in a folder of its own; what it reads, and we read, is what SOPS writes."""
    tree = {"TOKEN": TOKEN, "OTHER": "two"} if form == "env" else {**TREE, "plain_unencrypted": "open"}
    made = SopsFile(tree, [identity.to_public()])
    file = tmp_path / f"s.{form}"
    file.write_bytes({"json": made.json, "yaml": made.yaml, "env": made.dotenv}[form]())
    project = Path(os.environ["AETHER_NODE_PROJECT"])
    (project / "aether-judge.mjs").write_text(_JUDGE)
    command = ["node", "aether-judge.mjs", str(file), str(identity), form]
    said = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
    assert json.loads(said.stdout) == tree

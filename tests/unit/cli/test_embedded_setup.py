"""The data folder of an embedded stack: private, complete, and the same at the second start."""

from __future__ import annotations

import stat
from pathlib import Path

from cli.embedded_setup import (
    LOG_ORIGIN,
    PEOPLE,
    Layout,
    prepare,
    verifier_key,
    write_demo_connections,
    write_profiles,
)
from shared.asking.profiles import load_profile
from shared.audit.checkpoint import parse_verifier_key, verifier_key_of
from shared.bus.topology import HOUSE_USERS
from shared.hashing.signing import generate, load_private_key, public_key_b64, public_key_bytes
from shared.policy.approval import Identities
from shared.ports.connections import load_connections
from shared.secrets import resolve


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_everything_secret_is_for_its_owner_only(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "data", is_demo=True)
    prepare(layout, PEOPLE)
    assert _mode(layout.data) == _mode(layout.secrets) == 0o700
    files = list(layout.secrets.iterdir())
    assert len(files) == 6 + len({"console-session.key"}) + len(PEOPLE)
    assert {_mode(path) for path in files} == {0o600}


def test_second_start_finds_the_same_keys(tmp_path: Path) -> None:
    layout = Layout(tmp_path, is_demo=True)
    prepare(layout, PEOPLE)
    before = {path.name: path.read_bytes() for path in layout.secrets.iterdir()}
    identities = layout.identities.read_bytes()
    prepare(layout, PEOPLE)
    assert {path.name: path.read_bytes() for path in layout.secrets.iterdir()} == before
    assert layout.identities.read_bytes() == identities


def test_approvers_are_known_by_the_public_half_of_the_key_they_sign_with(tmp_path: Path) -> None:
    layout = Layout(tmp_path, is_demo=False)
    prepare(layout, PEOPLE)
    people = Identities.model_validate_json(layout.identities.read_bytes()).people
    assert people["operator"].approval_key is None
    for name in ("approver", "approver2"):
        key = load_private_key(layout.approval_key(name).read_text())
        assert people[name].approval_key == public_key_b64(key)
    assert people["approver"].approval_key != people["approver2"].approval_key


def test_nobody_can_both_request_and_approve_and_no_person_is_named_like_a_service() -> None:
    for person in PEOPLE:
        assert not {"operator", "approver"} <= set(person.roles)
        assert person.user not in HOUSE_USERS


def test_profiles_point_to_secrets_that_can_be_read(tmp_path: Path) -> None:
    layout = Layout(tmp_path, is_demo=False)
    prepare(layout, PEOPLE)
    passwords = tmp_path / "passwords"
    passwords.mkdir()
    for person in PEOPLE:
        (passwords / person.user).write_text(f"password of {person.user}")
    write_profiles(layout, PEOPLE, nats_url="nats://127.0.0.1:1", passwords=passwords)
    for person in PEOPLE:
        profile = load_profile(tmp_path, person.profile)
        assert resolve(profile.password) == f"password of {person.user}"
        assert (profile.approval_key is not None) is ("approver" in person.roles)
        assert profile.verifier_key is not None
        assert parse_verifier_key(profile.verifier_key).name == LOG_ORIGIN


def test_verifier_key_made_here_is_the_one_the_auditor_would_state() -> None:
    key = generate()
    assert verifier_key(public_key_bytes(key), origin=LOG_ORIGIN) == verifier_key_of(key, origin=LOG_ORIGIN)


def test_connections_of_the_demonstration_can_be_loaded_and_hold_no_token(tmp_path: Path) -> None:
    layout = Layout(tmp_path, is_demo=True)
    prepare(layout, PEOPLE)
    write_demo_connections(layout, vendor_url="http://127.0.0.1:1")
    assert load_connections(layout.connections).names() == ["aeries", "hr", "titanhst"]
    text = layout.connections.read_text()
    assert layout.read_token.read_text().strip() not in text
    assert layout.write_token.read_text().strip() not in text


def test_districts_own_connections_are_an_empty_example_and_never_overwritten(tmp_path: Path) -> None:
    layout = Layout(tmp_path, is_demo=False)
    prepare(layout, PEOPLE)
    assert load_connections(layout.connections).names() == []
    layout.connections.write_text("connections: {}  # mine\n")
    prepare(layout, PEOPLE)
    prepare(Layout(tmp_path, is_demo=True), PEOPLE)
    write_demo_connections(Layout(tmp_path, is_demo=True), vendor_url="http://127.0.0.1:1")
    assert layout.connections.read_text() == "connections: {}  # mine\n"

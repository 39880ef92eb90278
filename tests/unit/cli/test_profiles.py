"""Profiles: who one is to which bus; errors name the file and never a secret."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from cli.problem import CommandFailed
from shared.asking.profiles import PROFILE_BYTES_MAX, Profile, load_profile, profile_path, save_profile

PROFILE = Profile(nats_url="nats://127.0.0.1:4222", user="anna", password="file:/run/secrets/anna")


def test_saved_profile_is_read_back_and_is_for_its_owner_only(tmp_path: Path) -> None:
    save_profile(tmp_path, "approver", PROFILE)
    assert load_profile(tmp_path, "approver") == PROFILE
    assert stat.S_IMODE(profile_path(tmp_path, "approver").stat().st_mode) == 0o600


def test_unknown_profile_names_those_there_are(tmp_path: Path) -> None:
    save_profile(tmp_path, "approver", PROFILE)
    with pytest.raises(CommandFailed, match="there are: approver"):
        load_profile(tmp_path, "operator")


@pytest.mark.parametrize("name", ["../operator", "a/b", "", "Operator", "."])
def test_name_that_could_leave_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CommandFailed, match="is no name"):
        load_profile(tmp_path, name)


def test_secret_put_in_place_of_its_reference_is_refused_and_not_repeated(tmp_path: Path) -> None:
    path = profile_path(tmp_path, "operator")
    path.parent.mkdir()
    path.write_text('{"nats_url": "nats://x", "user": "otto", "password": "hunter2-hunter2"}')
    with pytest.raises(CommandFailed) as caught:
        load_profile(tmp_path, "operator")
    assert "password" in caught.value.text
    assert "hunter2" not in caught.value.text


@pytest.mark.parametrize("content", ["{", "[]", '{"user": "otto"}', " " * (PROFILE_BYTES_MAX + 1)])
def test_broken_profile_is_named_by_its_path(tmp_path: Path, content: str) -> None:
    path = profile_path(tmp_path, "operator")
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(CommandFailed, match=r"operator\.json"):
        load_profile(tmp_path, "operator")

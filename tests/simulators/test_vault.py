"""The Vault in miniature is Vault to other people's client."""

from __future__ import annotations

from collections.abc import Iterator

import hvac
import pytest
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest, VaultDown

from simulators.vault.server import serving
from simulators.vault.state import Token, Vault


@pytest.fixture
def vault() -> Vault:
    made = Vault(now=lambda: 0.0)
    made.give("root", "")
    made.give("reader", "kv/data/aeries")
    made.put("aeries/read", token="first")
    made.put("aeries/read", token="second")
    return made


@pytest.fixture
def address(vault: Vault) -> Iterator[str]:
    with serving(vault) as found:
        yield found


def test_the_newest_version_and_a_named_one_are_read(address: str) -> None:
    engine = hvac.Client(url=address, token="reader").secrets.kv.v2
    newest = engine.read_secret_version("aeries/read", mount_point="kv", raise_on_deleted_version=True)
    assert (newest["data"]["data"], newest["data"]["metadata"]["version"]) == ({"token": "second"}, 2)
    first = engine.read_secret_version("aeries/read", mount_point="kv", version=1, raise_on_deleted_version=True)
    assert first["data"]["data"] == {"token": "first"}


def test_a_deleted_version_is_told_from_one_that_never_was(vault: Vault, address: str) -> None:
    engine = hvac.Client(url=address, token="reader").secrets.kv.v2
    vault.versions("aeries/read")[-1].deletion_time = "2026-11-22T10:00:00Z"
    told = engine.read_secret_version("aeries/read", mount_point="kv", raise_on_deleted_version=False)
    assert told["data"]["metadata"]["deletion_time"] == "2026-11-22T10:00:00Z"
    with pytest.raises(InvalidPath):
        engine.read_secret_version("aeries/other", mount_point="kv", raise_on_deleted_version=False)


def test_who_may_not_is_refused_whether_something_is_there_or_not(address: str) -> None:
    engine = hvac.Client(url=address, token="reader").secrets.kv.v2
    for path in ("hr/read", "none"):
        with pytest.raises(Forbidden):
            engine.read_secret_version(path, mount_point="kv", raise_on_deleted_version=True)
    with pytest.raises(InvalidPath, match="no handler for route"):
        hvac.Client(url=address, token="root").secrets.kv.v2.read_secret_version(
            "x", mount_point="elsewhere", raise_on_deleted_version=True
        )


def test_a_login_gives_a_token_that_reads_and_is_renewed(vault: Vault, address: str) -> None:
    vault.roles["role", "secret"] = Token("app", ("kv/data/",), renewable=True, lives=60)
    client = hvac.Client(url=address, token="")
    with pytest.raises(InvalidRequest):
        client.auth.approle.login(role_id="role", secret_id="wrong")
    client.auth.approle.login(role_id="role", secret_id="secret")
    client.secrets.kv.v2.read_secret_version("aeries/read", mount_point="kv", raise_on_deleted_version=True)
    assert client.auth.token.renew_self()["auth"]["lease_duration"] == 60


def test_a_sealed_server_says_so(vault: Vault, address: str) -> None:
    vault.sealed = True
    with pytest.raises(VaultDown, match="sealed"):
        hvac.Client(url=address, token="root").secrets.kv.v2.read_secret_version(
            "aeries/read", mount_point="kv", raise_on_deleted_version=True
        )

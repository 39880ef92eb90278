"""A secret of Vault is seen anew within half a minute; each thing that is wrong has a sentence of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from shared.errors import AetherError, NeedsPerson, TryLater
from shared.secrets import SecretReference, forget_kept, resolve
from shared.secrets.vault import KEPT_SECONDS, KEPT_WHILE_AWAY_SECONDS, TRIES_MAX, VaultReader
from shared.secrets.vault_settings import Place, VaultSettings, place_in, vault_settings
from simulators.vault.server import serving
from simulators.vault.state import Token, Vault

REFERENCE = "vault:kv/aeries/read#token"
OURS = {"env:T": "our-token", "file:/secret-id": "sid", "file:/jwt": "jwt"}


@dataclass
class Bench:
    """A server, a reader of it and their common clock."""

    seconds: float = 1_000.0
    slept: list[float] = field(default_factory=list)
    held: dict[str, str] = field(default_factory=lambda: dict(OURS))

    def __post_init__(self) -> None:
        self.vault = Vault(now=lambda: self.seconds)
        self.vault.give("our-token", "kv/data/aeries", "other/data/", "gone/")
        self.vault.put("aeries/read", token="tok-one")

    def reader(self, **settings: object) -> VaultReader:
        told = settings or {"token": "env:T"}
        return VaultReader(
            VaultSettings.model_validate({"addr": self.address, **told}),
            resolve=lambda reference: self.held[reference],
            monotonic_seconds=lambda: self.seconds,
            sleep=self.slept.append,
        )

    address: str = ""


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    with serving(made.vault) as made.address:
        yield made


def read(reader: VaultReader, reference: str = REFERENCE) -> str:
    return reader.read(reference, place_in(reference.removeprefix("vault:")))


def refusal(reader: VaultReader, reference: str = REFERENCE, kind: type[AetherError] = NeedsPerson) -> str:
    with pytest.raises(kind) as caught:
        read(reader, reference)
    assert caught.value.code == "SYS_SECRET"
    assert caught.value.message.startswith(reference)
    for value in ("tok-one", "tok-two", "our-token"):
        assert value not in caught.value.message.removeprefix(reference)
    return caught.value.message


# --- references -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rest", "place"),
    [
        ("kv/aeries#token", Place("kv", "aeries", "token")),
        ("kv/aeries/read#token@3", Place("kv", "aeries/read", "token", 3)),
        ("team/kv//aeries/read#token", Place("team/kv", "aeries/read", "token")),
    ],
)
def test_a_reference_names_mount_path_field_and_version(rest: str, place: Place) -> None:
    assert place_in(rest) == place


@pytest.mark.parametrize(
    "rest", ["kv", "kv/aeries", "kv#token", "kv/a#", "kv/a#t@0", "kv/../sys#t", "/kv/a#t", "kv/a?b#t", "a//b//c#t"]
)
def test_a_reference_of_another_form_is_refused_at_load(rest: str) -> None:
    class Settings(BaseModel):
        token: SecretReference

    with pytest.raises(ValidationError, match="names no place in Vault"):
        Settings(token=f"vault:{rest}")


# --- reading ----------------------------------------------------------------------------------------------------------


def test_a_changed_secret_is_seen_once_it_has_been_kept_for_its_time(bench: Bench) -> None:
    reader = bench.reader()
    assert read(reader) == "tok-one"
    bench.vault.put("aeries/read", token="tok-two")
    bench.seconds += KEPT_SECONDS - 1
    assert read(reader) == "tok-one"
    bench.seconds += 1
    assert read(reader) == "tok-two"


def test_a_refused_secret_is_read_anew_at_once(bench: Bench) -> None:
    reader = bench.reader()
    read(reader)
    bench.vault.put("aeries/read", token="tok-two")
    reader.forget()
    assert read(reader) == "tok-two"


def test_a_version_that_is_pinned_stays(bench: Bench) -> None:
    bench.vault.put("aeries/read", token="tok-two")
    assert read(bench.reader(), f"{REFERENCE}@1") == "tok-one"


def test_while_the_server_is_away_what_was_read_last_serves_for_a_bounded_time(bench: Bench) -> None:
    reader = bench.reader()
    read(reader)
    bench.vault.sealed = True
    bench.seconds += KEPT_WHILE_AWAY_SECONDS - 1
    assert read(reader) == "tok-one"
    bench.seconds += 1
    assert "is sealed; unseal it" in refusal(reader, kind=TryLater)
    bench.vault.sealed = False
    assert read(reader) == "tok-one"


def test_what_was_refused_does_not_serve_while_the_server_is_away(bench: Bench) -> None:
    reader = bench.reader()
    read(reader)
    reader.forget()
    bench.vault.sealed = True
    refusal(reader, kind=TryLater)


def test_a_moment_of_trouble_is_waited_out_and_a_long_one_is_not(bench: Bench) -> None:
    bench.vault.down = TRIES_MAX - 1
    assert read(bench.reader()) == "tok-one"
    assert bench.slept == [0.25, 0.5]
    bench.vault.down = TRIES_MAX
    assert "InternalServerError" in refusal(bench.reader(), kind=TryLater)


def test_a_server_that_is_not_there_is_asked_a_few_times_only(bench: Bench) -> None:
    bench.address = "http://127.0.0.1:9"
    assert "does not answer (ConnectionError)" in refusal(bench.reader(), kind=TryLater)
    assert len(bench.slept) == TRIES_MAX - 1


def test_each_thing_that_is_wrong_has_its_own_sentence(bench: Bench) -> None:
    reader = bench.reader()
    assert "has nothing at aeries/none in kv" in refusal(reader, "vault:kv/aeries/none#token")
    assert "in version 7 in kv" in refusal(reader, f"{REFERENCE}@7")
    assert "has no engine at gone" in refusal(reader, "vault:gone/x#token")
    assert "has no field tokens" in refusal(reader, "vault:kv/aeries/read#tokens")
    assert "give its policy `read` on kv/data/hr" in refusal(reader, "vault:kv/hr#token")
    bench.vault.put("aeries/number", token=7)
    assert "is no text" in refusal(reader, "vault:kv/aeries/number#token")
    bench.vault.versions("aeries/read")[0].deletion_time = "2026-11-22T10:00:00Z"
    assert "version 1 was deleted; undelete it" in refusal(reader)
    bench.vault.versions("aeries/read")[0].destroyed = True
    assert "version 1 was destroyed" in refusal(reader)
    bench.vault.initialised = False
    assert "never been initialised" in refusal(reader, kind=TryLater)


def test_a_namespace_is_another_world(bench: Bench) -> None:
    bench.vault.put("aeries/read", namespace="district", token="tok-two")
    assert read(bench.reader(token="env:T", namespace="district")) == "tok-two"


# --- proving who asks -------------------------------------------------------------------------------------------------


def test_a_token_that_was_changed_by_its_keeper_is_taken_once_the_old_one_is_refused(bench: Bench) -> None:
    reader = bench.reader()
    read(reader)
    del bench.vault.tokens["our-token"]
    bench.vault.give("a-newer-token", "kv/data/aeries")
    bench.held["env:T"] = "a-newer-token"
    bench.seconds += KEPT_SECONDS
    bench.vault.put("aeries/read", token="tok-two")
    assert read(reader) == "tok-two"


def test_a_refused_token_that_has_no_successor_is_not_tried_twice(bench: Bench) -> None:
    bench.vault.tokens.clear()
    refusal(bench.reader())
    assert bench.vault.journal == [("GET", "kv/data/aeries/read")]


@pytest.mark.parametrize(
    ("settings", "role"),
    [
        ({"role_id": "aether", "secret_id": "file:/secret-id"}, ("aether", "sid")),
        ({"kubernetes_role": "aether", "jwt_file": "/jwt"}, ("aether", "jwt")),
    ],
)
def test_a_login_is_renewed_before_its_token_ends_and_done_anew_when_it_was_revoked(
    bench: Bench, settings: dict[str, object], role: tuple[str, str]
) -> None:
    bench.vault.roles[role] = Token("login", ("kv/data/",), renewable=True, lives=90, longest_until=200)
    reader = bench.reader(**settings)
    assert read(reader) == "tok-one"
    bench.seconds += 61
    assert read(reader) == "tok-one"
    logins = [path for _, path in bench.vault.journal if path.endswith("/login")]
    renewals = [path for _, path in bench.vault.journal if path.endswith("renew-self")]
    assert (len(logins), len(renewals)) == (1, 1)
    bench.vault.tokens.clear()  # revoked
    bench.seconds += KEPT_SECONDS
    bench.vault.put("aeries/read", token="tok-two")
    assert read(reader) == "tok-two"


def test_a_login_at_the_end_of_its_longest_life_is_done_anew(bench: Bench) -> None:
    bench.vault.roles["aether", "sid"] = Token("login", ("kv/data/",), renewable=True, lives=90, longest_until=100)
    reader = bench.reader(role_id="aether", secret_id="file:/secret-id")
    for _ in range(20):
        assert read(reader) == "tok-one"
        bench.seconds += KEPT_SECONDS
    assert len([path for _, path in bench.vault.journal if path.endswith("/login")]) > 3


def test_a_login_that_is_refused_names_what_it_was_done_with(bench: Bench) -> None:
    said = refusal(bench.reader(role_id="aether", secret_id="file:/secret-id"))
    assert "AETHER_VAULT_ROLE_ID" in said


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({}, "AETHER_VAULT_ADDR: Field required"),
        ({"ADDR": "vault.example.org", "TOKEN": "env:T"}, "AETHER_VAULT_ADDR"),
        ({"ADDR": "https://user:word@vault", "TOKEN": "env:T"}, "AETHER_VAULT_ADDR"),
        ({"ADDR": "https://vault"}, "name one way"),
        ({"ADDR": "https://vault", "TOKEN": "env:T", "KUBERNETES_ROLE": "x"}, "name one way"),
        ({"ADDR": "https://vault", "SECRET_ID": "env:T"}, "name one way"),
        ({"ADDR": "https://vault", "TOKEN": "hvs.s3cr3t"}, "AETHER_VAULT_TOKEN"),
        ({"ADDR": "https://vault", "TOKEN": "vault:kv/x#y"}, "AETHER_VAULT_TOKEN"),
    ],
)
def test_settings_that_are_wrong_are_named_without_their_value(told: dict[str, str], said: str) -> None:
    environment = {f"AETHER_VAULT_{name}": text for name, text in told.items()}
    with pytest.raises(NeedsPerson) as caught:
        vault_settings(environment, reference=REFERENCE)
    assert said in caught.value.message
    assert "s3cr3t" not in caught.value.message
    assert "word" not in caught.value.message


def test_a_program_reads_by_its_environment_and_forgets_when_it_is_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("our-token\n")
    monkeypatch.setenv("AETHER_VAULT_ADDR", bench.address)
    monkeypatch.setenv("AETHER_VAULT_TOKEN", f"file:{tmp_path}/token")
    assert resolve(REFERENCE) == "tok-one"
    bench.vault.put("aeries/read", token="tok-two")
    assert resolve(REFERENCE) == "tok-one"
    forget_kept()
    assert resolve(REFERENCE) == "tok-two"


_LOADED = """
import os, sys
os.environ["A"] = "x"
from shared.secrets import forget_kept, resolve
resolve("env:A")
forget_kept()
print(sorted({"hvac", "requests", "pyrage", "shared.secrets.vault"} & set(sys.modules)))
"""


def test_a_program_without_such_references_loads_no_library_for_them() -> None:
    said = subprocess.run([sys.executable, "-c", _LOADED], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"

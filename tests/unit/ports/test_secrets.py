"""Secrets: read by reference, hidden when shown, never named by value."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from shared.errors import NeedsPerson
from shared.secrets import Secret, SecretReference, resolve
from shared.secrets.references import SECRET_BYTES_MAX


class Settings(BaseModel):
    token: SecretReference


def refusal(reference: str) -> str:
    with pytest.raises(NeedsPerson) as caught:
        resolve(reference)
    assert caught.value.code == "SYS_SECRET"
    return caught.value.message


def test_environment_variable_is_read_at_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "first")
    assert resolve("env:A_TOKEN") == "first"
    monkeypatch.setenv("A_TOKEN", "second")
    assert resolve("env:A_TOKEN") == "second"


@pytest.mark.parametrize(("content", "secret"), [("s\n", "s"), ("s\r\n", "s"), ("s\n\n", "s\n"), (" s ", " s ")])
def test_file_loses_one_newline_at_its_end_and_nothing_else(tmp_path: Path, content: str, secret: str) -> None:
    (tmp_path / "token").write_bytes(content.encode())
    assert resolve(f"file:{tmp_path}/token") == secret


def test_secret_hides_when_it_is_shown_and_is_text_when_used() -> None:
    secret = Secret("open sesame")
    assert "sesame" not in repr(secret)
    assert "sesame" not in repr({"token": secret})
    assert f"Bearer {secret}" == "Bearer open sesame"


def test_missing_blank_large_and_binary_secrets_are_refused_by_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_SUCH", raising=False)
    monkeypatch.setenv("BLANK", "\n")
    (tmp_path / "large").write_bytes(b"x" * (SECRET_BYTES_MAX + 1))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert refusal("env:NO_SUCH").startswith("env:NO_SUCH: the environment has no variable")
    assert refusal("env:BLANK").startswith("env:BLANK: is empty")
    assert "No such file" in refusal(f"file:{tmp_path}/none")
    assert str(SECRET_BYTES_MAX) in refusal(f"file:{tmp_path}/large")
    assert "UTF-8" in refusal(f"file:{tmp_path}/binary")


@pytest.mark.parametrize("reference", ["sops:secrets.yaml#token", "sops:/a#", "vault:kv/titan", "vault:kv#token"])
def test_a_reference_that_names_no_whole_place_is_refused_with_the_settings(reference: str) -> None:
    with pytest.raises(ValidationError, match=r"write (sops|vault):"):
        Settings(token=reference)
    assert refusal(reference).startswith("a secret's setting n")


@pytest.mark.parametrize("reference", ["sops:/etc/a.yaml#a.b", "sops:/etc/key.pem", "vault:kv/a/b#c", "vault:kv/a#c@2"])
def test_a_reference_is_not_read_with_the_settings(reference: str) -> None:
    assert Settings(token=reference).token == reference


@pytest.mark.parametrize("text", ["hunter2", "env:", "env:A-B", "file:relative/path", "https://x/hunter2"])
def test_secret_in_place_of_its_reference_is_never_echoed(text: str) -> None:
    with pytest.raises(ValidationError) as invalid:
        Settings(token=text)
    assert "hunter2" not in str(invalid.value.errors(include_input=False))
    with pytest.raises(NeedsPerson) as caught:
        resolve(text)
    assert "hunter2" not in "".join(traceback.format_exception_only(caught.value))

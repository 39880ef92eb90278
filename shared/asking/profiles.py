"""Profiles: which bus, and as whom; one JSON file each in the data folder's `profiles/`.

A profile holds references to secrets, never a secret. The embedded stack writes them; in production they are given
out with a person's credentials.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.asking.problem import CommandFailed
from shared.ids import is_name
from shared.secrets import SecretReference

PROFILE_BYTES_MAX = 16_384
PRIVATE_FILE_MODE = 0o600


class Profile(BaseModel):
    """How one person reaches one bus."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    nats_url: str = Field(min_length=1)
    """Without user and password; `tls://` encrypts, several addresses are separated by commas."""
    nats_ca: Path | None = None
    """PEM file of the authorities that the bus is believed by; None: those that this machine knows."""
    user: str = Field(min_length=1)
    """The name that the bus asserts."""
    password: SecretReference
    approval_key: SecretReference | None = None
    """Ed25519 private key of an approver."""
    verifier_key: str | None = None
    """Of the audit log, as handed over apart from the log: what `aether audit verify` trusts."""


def profile_path(data: Path, name: str) -> Path:
    """Where a profile lies."""
    return data / "profiles" / f"{name}.json"


def load_profile(data: Path, name: str) -> Profile:
    """The profile of that name; `CommandFailed` says which there are, or what is wrong with it."""
    if not is_name(name):
        raise CommandFailed(
            f"profile {name!r} is no name", action="Use small letters, digits and dashes, at most 63, such as operator."
        )
    path = profile_path(data, name)
    try:
        with path.open("rb") as file:
            content = file.read(PROFILE_BYTES_MAX + 1)
    except FileNotFoundError:
        known = profile_names(data)
        if not known:
            raise CommandFailed(
                f"there is no profile {name}: {path} does not exist, and the folder holds no other",
                action="Start the embedded stack with `aether up`, or name the data folder with --data.",
            ) from None
        raise CommandFailed(
            f"there is no profile {name} in {path.parent}; there are: {', '.join(known)}",
            action="Choose one of them with --profile.",
        ) from None
    except OSError as problem:
        raise CommandFailed(
            f"{path}: {problem.strerror}", action="Let this user read the file, or choose another profile."
        ) from None
    if len(content) > PROFILE_BYTES_MAX:
        raise CommandFailed(
            f"{path}: larger than {PROFILE_BYTES_MAX} bytes, so it is no profile", action="Correct the path."
        )
    try:
        return Profile.model_validate_json(content)
    except ValidationError as invalid:
        # Without the values: somebody may have put a secret where its reference belongs.
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']) or 'file'}: {fault['msg']}"
            for fault in invalid.errors(include_input=False, include_url=False)
        )
        raise CommandFailed(f"{path}: {faults}", action="Correct the profile.") from None


def profile_names(data: Path) -> list[str]:
    """The profiles of a data folder, sorted."""
    return sorted(path.stem for path in (data / "profiles").glob("*.json"))


def save_profile(data: Path, name: str, profile: Profile) -> None:
    """Write a profile that only its owner can read."""
    path = profile_path(data, name)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(path, profile.model_dump_json(indent=2) + "\n")


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read from its first byte on, whole or not at all."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE_MODE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)

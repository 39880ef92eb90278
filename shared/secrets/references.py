"""Turns a secret's reference into the secret.

A reference is `env:NAME` (an environment variable), `file:/absolute/path` (one file, one secret),
`sops:/absolute/file.yaml#path.to.key` (one value of a file that SOPS has encrypted for age) or
`vault:MOUNT/PATH#FIELD` (one field of a secret in Vault or OpenBao). References stand in connections, events may name
them, logs may show them; the secret itself appears in none of these. Nothing but what Vault said is kept, and that for
half a minute: a secret that was renewed is read anew at the next opening of a connection.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from shared.errors import NeedsPerson
from shared.secrets.vault_settings import place_in

SECRET_BYTES_MAX = 64 * 1024
"""A longer file is no secret but a wrong path."""

_FORM = re.compile(r"(?P<scheme>env|file|sops|vault):(?P<rest>.+)", re.DOTALL)
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SOPS = re.compile(r"/[^#]+(?:#[^#]+)?")


class Secret(str):
    """Text that hides in `repr`, and so in tracebacks, dataclasses and models that show their fields.

    It is text everywhere else: formatting it into a header reveals it, as it must.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret('…')"


def _checked(text: str) -> str:
    match = _FORM.fullmatch(text)
    if match is None:
        # Never echo the text: somebody may have put the secret itself where its reference belongs.
        raise ValueError(
            "is no reference to a secret; write env:NAME, file:/absolute/path, sops:/absolute/file#path.to.key or "
            "vault:MOUNT/PATH#FIELD, never the secret itself"
        )
    if match["scheme"] == "env" and _ENV_NAME.fullmatch(match["rest"]) is None:
        raise ValueError("names no environment variable; write env:NAME with letters, digits and _")
    if match["scheme"] == "file" and not match["rest"].startswith("/"):
        raise ValueError("needs an absolute path; write file:/absolute/path")
    if match["scheme"] == "sops" and _SOPS.fullmatch(match["rest"]) is None:
        raise ValueError("needs an absolute path and a name in the file; write sops:/absolute/file.yaml#path.to.key")
    if match["scheme"] == "vault":
        place_in(match["rest"])
    return text


SecretReference = Annotated[str, AfterValidator(_checked)]
"""Type of a setting that names a secret: its form is checked with the connection, the secret read at its opening."""


def resolve(reference: str) -> Secret:
    """The secret that a reference names; one newline at its end is no part of it.

    Raises `NeedsPerson`, and `TryLater` while Vault cannot be reached, both with SYS_SECRET; they name the reference,
    never a value. Reading from Vault may take some seconds.
    """
    try:
        scheme, _, rest = _checked(reference).partition(":")
    except ValueError as problem:
        raise NeedsPerson("SYS_SECRET", f"a secret's setting {problem}") from None
    if scheme == "env":
        found = _from_environment(reference, name=rest)
    elif scheme == "file":
        found = _from_file(reference, path=Path(rest))
    elif scheme == "sops":
        from shared.secrets.sops import from_sops  # with a library that programs without such references need not hold

        found = from_sops(reference, rest)
    else:
        from shared.secrets.vault import from_vault

        found = from_vault(reference, place_in(rest), resolve=resolve)
    found = found[:-2] if found.endswith("\r\n") else found.removesuffix("\n")
    if not found:
        raise NeedsPerson("SYS_SECRET", f"{reference}: is empty; put the secret there", reference=reference)
    return Secret(found)


def forget_kept() -> None:
    """Nothing that was read before is used again, because something was refused with it; the next reading asks anew."""
    if (vault := sys.modules.get("shared.secrets.vault")) is not None:  # not loaded: nothing was kept
        vault.forget_vault()


def _from_environment(reference: str, *, name: str) -> str:
    try:
        return os.environ[name]
    except KeyError:
        raise NeedsPerson(
            "SYS_SECRET",
            f"{reference}: the environment has no variable {name}; set it for this program",
            reference=reference,
        ) from None


def _from_file(reference: str, *, path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(SECRET_BYTES_MAX + 1)
    except OSError as problem:
        reason = problem.strerror or type(problem).__name__
        raise NeedsPerson(
            "SYS_SECRET",
            f"{reference}: {reason}; put the file there and let this program read it",
            reference=reference,
        ) from None
    if len(content) > SECRET_BYTES_MAX:
        raise NeedsPerson(
            "SYS_SECRET",
            f"{reference}: is larger than {SECRET_BYTES_MAX} bytes, so it is no secret; correct the path",
            reference=reference,
        )
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise NeedsPerson(
            "SYS_SECRET", f"{reference}: is not UTF-8 text; store the secret as text", reference=reference
        ) from None

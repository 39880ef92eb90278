"""Where Vault or OpenBao is and how this program proves itself there, and what a reference into it looks like.

The settings come from the environment of each program, under `AETHER_VAULT_…`. They hold references and no secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from shared.errors import NeedsPerson

PREFIX: Final = "AETHER_VAULT_"
SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
"""Where Kubernetes puts the token of a pod's service account."""
_PLACE: Final = re.compile(
    r"(?P<mount>[\w.-]+(?:/[\w.-]+)*?)(?P<between>//|/)(?P<path>[\w.-]+(?:/[\w.-]+)*)"
    r"#(?P<field>[^#@\s]{1,200})(?:@(?P<version>[1-9]\d{0,8}))?"
)
_ELSEWHERE: Final = ("env:", "file:", "sops:")


@dataclass(frozen=True)
class Place:
    """One field of one secret."""

    mount: str
    path: str
    field: str
    version: int | None = None
    """None: the newest."""


def place_in(rest: str) -> Place:
    """The place that a reference names behind `vault:`; ValueError says how one is written."""
    # With // the mount is all that stands before it, otherwise it is the first part.
    match = _PLACE.fullmatch(rest)
    if match is not None and "//" in rest and match["between"] != "//":
        match = None
    parts = () if match is None else (*match["mount"].split("/"), *match["path"].split("/"))
    if match is None or not {".", ".."}.isdisjoint(parts):
        raise ValueError("names no place in Vault; write vault:MOUNT/PATH#FIELD, or vault:MOUNT/PATH#FIELD@VERSION")
    version = match["version"]
    return Place(match["mount"], match["path"], match["field"], None if version is None else int(version))


class VaultSettings(BaseModel):
    """The server, and one way to prove ourselves."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    addr: str = Field(pattern=r"^https?://[^/?#\s@]+/?$")
    """Address of the server, e.g. `https://vault.example.org:8200`."""
    ca: Path | None = None
    """PEM file of the authority of the server's certificate; None: those that this machine knows."""
    namespace: str | None = None
    """The namespace that everything lies in, where the server has namespaces."""
    token: str | None = None
    """Reference to a token that somebody else renews, for example an agent that keeps it in a file."""
    role_id: str | None = None
    """AppRole: which role this program has."""
    secret_id: str | None = None
    """AppRole: reference to the secret id."""
    kubernetes_role: str | None = None
    """Kubernetes: which role the pod's service account has."""
    jwt_file: Path = SERVICE_ACCOUNT
    """Kubernetes: file with the service account's token."""
    auth_mount: str | None = Field(default=None, pattern=r"^[\w./-]+$")
    """Where AppRole or Kubernetes is mounted; None: under its own name."""

    @field_validator("token", "secret_id")
    @classmethod
    def _lies_elsewhere(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(_ELSEWHERE):
            # Never echo the text: it may be the secret itself.
            raise ValueError("is no reference; write env:NAME, file:/absolute/path or sops:/absolute/file#path")
        return value

    @model_validator(mode="after")
    def _proves_one_way(self) -> VaultSettings:
        ways = [self.token is not None, self.secret_id is not None, self.kubernetes_role is not None]
        if sum(ways) != 1 or (self.secret_id is None) != (self.role_id is None):
            raise ValueError(
                "name one way to prove this program: AETHER_VAULT_TOKEN; or AETHER_VAULT_ROLE_ID and "
                "AETHER_VAULT_SECRET_ID; or AETHER_VAULT_KUBERNETES_ROLE"
            )
        return self


def vault_settings(environment: Mapping[str, str], *, reference: str) -> VaultSettings:
    """The settings that an environment holds; `NeedsPerson` (SYS_SECRET) names the variables that are wrong."""
    told = {
        name: text for name in VaultSettings.model_fields if (text := environment.get(f"{PREFIX}{name.upper()}", ""))
    }
    try:
        return VaultSettings.model_validate(told)
    except ValidationError as invalid:
        faults = "; ".join(
            f"{PREFIX}{'_'.join(map(str, fault['loc'])).upper()}: {fault['msg']}".removeprefix(f"{PREFIX}: ")
            for fault in invalid.errors(include_url=False, include_context=False, include_input=False)
        )
        raise NeedsPerson("SYS_SECRET", f"{reference}: {faults}", reference=reference) from None

"""Settings of a connection to a roster: a service to ask, or a bundle of CSV files to read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from shared.http.settings import HttpSettings, WebAddress
from shared.secrets import SecretReference

LIMIT_MAX: Final = 5_000
BASE_PATHS: Final = {"1.1": "/ims/oneroster/v1p1", "1.2": "/ims/oneroster/rostering/v1p2"}
SCOPES_1P2: Final = (
    "https://purl.imsglobal.org/spec/or/v1p2/scope/roster-core.readonly "
    "https://purl.imsglobal.org/spec/or/v1p2/scope/roster.readonly"
)

UrlPath = Annotated[str, StringConstraints(pattern=r"^(?:/[A-Za-z0-9._~-]+)*$", max_length=300)]


class OneRosterConfig(BaseModel):
    """How to come by one roster."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: Path | None = None
    """A zip of CSV files, or a folder that holds them; then nothing of what is about a service is given."""
    base_url: WebAddress | None = None
    """`https://host[:port]`, and what stands before the path of OneRoster itself."""
    version: Literal["1.1", "1.2"] = "1.1"
    """The version that the service speaks; a bundle says its own."""
    base_path: UrlPath | None = None
    """The path of OneRoster, where the service has another than the specification says."""
    token_path: UrlPath | None = None
    """Where tokens are given, behind `base_url`; the base path and `/token` when left out."""
    client_id: str | None = Field(default=None, min_length=1, max_length=500)
    client_secret: SecretReference | None = None
    """Where the client's secret lies."""
    client_auth: Literal["basic", "form"] = "basic"
    """Where the client's credentials stand in a request for a token."""
    scope: str | None = Field(default=None, max_length=2_000)
    """What a token is asked for; those of the specification for reading rosters under 1.2, none under 1.1."""
    page_limit: int = Field(default=100, ge=1, le=LIMIT_MAX)
    """Records of one page; more than the service allows ends the reading."""
    pages_in_flight: int = Field(default=4, ge=1, le=16)
    """Pages that are asked for before the first of them has come."""
    pages_max: int = Field(default=100_000, ge=1, le=1_000_000)
    """Pages of one reading."""
    timeout_seconds: float = Field(default=60.0, gt=0, le=300)
    """For connecting, for sending and for each silence while an answer arrives."""
    body_bytes_max: int = Field(default=32 * 1024 * 1024, ge=1024, le=1024 * 1024 * 1024)
    """A longer answer is not read to its end."""
    file_bytes_max: int = Field(default=1024 * 1024 * 1024, ge=1024, le=16 * 1024 * 1024 * 1024)
    """A longer file of a bundle, unpacked, is not read."""

    @model_validator(mode="after")
    def _is_a_service_or_a_bundle(self) -> OneRosterConfig:
        service = {name: getattr(self, name) for name in ("base_url", "client_id", "client_secret")}
        if self.bundle is not None:
            given = [name for name, value in service.items() if value is not None]
            if given:
                raise ValueError(f"a bundle needs no service; leave out {', '.join(given)}")
        else:
            missing = [name for name, value in service.items() if value is None]
            if missing:
                raise ValueError(f"give {', '.join(missing)}, or bundle in their place")
        return self

    def http(self) -> HttpSettings:
        """What is needed to speak with the service."""
        return HttpSettings(
            base_url=self.base_url or "", timeout_seconds=self.timeout_seconds, body_bytes_max=self.body_bytes_max
        )

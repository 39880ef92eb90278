"""What the console is told by its environment, under `AETHER_…`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator

from shared.secrets import SecretReference
from shared.settings import ServiceSettings, sqlite_folder

_DATABASE = r"^(sqlite\+aiosqlite|postgresql\+psycopg)://"


class ConsoleSettings(ServiceSettings):
    """Settings of the console."""

    database_url: str = Field(pattern=_DATABASE)
    """The console's own database: accounts and sessions."""
    database_password: SecretReference | None = None
    """Reference to the password of the user that `database_url` names; it is read anew for each connection."""
    audit_database_url: str = Field(pattern=_DATABASE)
    """The auditor's database, with a login that can only read."""
    audit_database_password: SecretReference | None = None
    """Reference to the password of the user that `audit_database_url` names; it is read anew for each connection."""
    local_database_url: str | None = Field(default=None, pattern=_DATABASE)
    """The district's local tables, with a login that can only read; without it the page of data says so."""
    local_database_password: SecretReference | None = None
    """Reference to the password of the user that `local_database_url` names; it is read anew for each connection."""
    local_database_schema: str | None = None
    """The schema that holds the local tables, where the database has schemas."""
    local_table_prefix: str = Field(default="", pattern=r"^[a-z0-9_]{0,40}$")
    """What the names of the local tables begin with."""
    connectors: Path
    """Folder of connector definitions."""
    systems: Path
    """Folder of systems."""
    connections: Path
    """The connections file; secrets in it are references and are never resolved here."""
    identities: Path
    """Who may do what, by the name on the bus."""
    profiles: Path
    """Folder with one profile a person: as whom the console enters the bus when that person acts."""
    console_host: str = "127.0.0.1"
    """Where the pages listen."""
    console_port: int = Field(default=0, ge=0, le=65535)
    """Port of the pages; 0 takes a free one."""
    public_url: str | None = Field(default=None, pattern=r"^https?://[^/\s]+$")
    """How browsers reach the console, e.g. `https://aether.example.org`; without it, host and port."""
    trace_url: str | None = Field(default=None, pattern=r"^https?://[^\s{}<>\"'\\]+\{trace_id\}[^\s{}<>\"'\\]*$")
    """Where a run's trace can be looked at, with `{trace_id}` once, e.g. `https://tempo.example.org/trace/{trace_id}`;
    what is no sign of an address stands percent-encoded. Without it, pages name the trace and no more."""
    time_zone: str = "America/Los_Angeles"
    """The district's zone, in which times are shown."""
    session_idle_minutes: int = Field(default=30, ge=1, le=720)
    """A session ends when nothing is asked for so long."""
    session_hours: int = Field(default=10, ge=1, le=24)
    """A session ends so long after it began, whatever is asked."""
    step_up_minutes: int = Field(default=5, ge=1, le=60)
    """How long a person who proved again who they are may decide upon destructive plans."""
    oidc_issuer: str | None = None
    """Issuer of an OpenID provider; with it people sign in there."""
    oidc_client_id: str | None = None
    """As whom the console is known to the provider."""
    oidc_client_secret: SecretReference | None = None
    """Reference to the secret that the provider knows the console by; None for a public client."""
    oidc_user_claim: str = "preferred_username"
    """The claim that holds the name that the person has on the bus."""
    oidc_insecure_http: bool = False
    """Whether the provider may be reached without TLS: for tests on one machine."""
    local_accounts: bool = True
    """Whether people may sign in with a password kept here."""
    require_second_factor: bool = True
    """Whether the roles of approvers, stewards and admins count only once a local account has a second factor."""
    session_key: SecretReference
    """Reference to a text of at least 32 random characters, under which second factors are kept."""
    first_accounts: Path | None = None
    """JSON file that maps names to references of passwords: accounts that are made at start when they do not exist."""
    change_first_passwords: bool = True
    """Whether a first password must be changed at the first sign-in."""

    def places(self) -> Mapping[str, Path]:
        """The folder of the database, where it is a file."""
        return sqlite_folder(self.database_url)

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{value!r} is no time zone of the IANA database, e.g. America/Los_Angeles") from error
        return value

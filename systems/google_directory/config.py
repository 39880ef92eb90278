"""Settings of a connection to a Google Workspace account."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from shared.http import HttpSettings, WebAddress
from shared.secrets import SecretReference

USERS_PAGE_MAX = 500
"""Users of one page that the interface allows."""

Subject = Annotated[str, StringConstraints(pattern=r"^[^@\s]{1,64}@[^@\s]{1,255}$")]
"""An address of an account, never an alias."""
Domain = Annotated[str, StringConstraints(pattern=r"^[a-z0-9.-]{1,255}$")]


class GoogleDirectoryConfig(HttpSettings):
    """One account: the one that `subject` belongs to. No setting names another one, for reads and writes alike."""

    base_url: WebAddress = "https://admin.googleapis.com"
    """Where the interface is; another one only for a proxy or a test."""
    service_account: SecretReference
    """Where the key file of the service account lies (the JSON as the console gives it) that may read. The directory's
    administrator must have delegated the scopes to it; README.md lists them."""
    write_service_account: SecretReference | None = None
    """The key file of the one that may write; `service_account` serves for both when left out. Only the applier can
    resolve it."""
    subject: Subject
    """The administrator for whom the service account acts. Its role decides what may be seen and changed."""
    token_uri: WebAddress | None = None
    """Where tokens are given; the address in the key file when left out."""
    domain: Domain | None = None
    """Only users and groups with addresses in this domain, and the memberships of these groups; those of all domains of
    the account when left out. Organisational units have no domain."""
    group_prefix: Annotated[str, StringConstraints(pattern=r"^[a-z0-9._-]{1,60}$")] | None = None
    """Only groups whose addresses begin so, and their memberships. Without it a connector that takes memberships away
    takes them from every group there is."""
    page_size: int = Field(default=USERS_PAGE_MAX, ge=1, le=USERS_PAGE_MAX)
    """Users of one page; groups and members come at most 200 at a time."""
    pages_max: int = Field(default=20_000, ge=1, le=100_000)
    """Pages of one reading."""
    groups_in_flight: int = Field(default=4, ge=1, le=16)
    """Groups whose members are listed at the same time."""
    member_counts: Literal["must_agree", "ignored"] = "must_agree"
    """Whether the members listed for a group must be as many as the group itself says. `ignored` is for accounts where
    the two differ for good; what is read then counts as uncertain, and no membership is ever taken away."""
    user_creations_per_second: float = Field(default=10.0, gt=0, le=1_000)
    """The vendor's limit for a domain; we stay below it by ourselves, for what comes faster is answered with 503."""
    org_unit_writes_per_second: float = Field(default=1.0, gt=0, le=1_000)
    """The vendor's limit for an account."""
    body_bytes_max: int = Field(default=16 * 1024 * 1024, ge=1024, le=1024 * 1024 * 1024)
    """A longer answer is not read to its end. All organisational units come in one."""

"""Settings of a connection to TitanHST, and the model of `http.yaml`, which describes the interface.

The settings are the district's; the description is the same for every district and ships with the system.
"""

from __future__ import annotations

from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from shared.ports.yaml_document import read_yaml
from shared.secrets import SecretReference

DESCRIPTION_FILE = Path(__file__).with_name("http.yaml")
LIMIT_MAX = 500
"""Records of one page that the interface allows."""


def _checked_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is no web address; write https://host or https://host:port")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("holds more than an address; leave out user, query and fragment")
    return text.rstrip("/")


class TitanhstConfig(BaseModel):
    """How to reach one TitanHST account."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: Annotated[str, AfterValidator(_checked_url)]
    """`https://host[:port]`, without the interface's own path."""
    token: SecretReference
    """Where the token lies that may read."""
    write_token: SecretReference | None = None
    """Where the token lies that may write; `token` serves for both when left out. Only the applier can resolve it."""
    page_limit: int = Field(default=LIMIT_MAX, ge=1, le=LIMIT_MAX)
    """Records of one page."""
    timeout_seconds: float = Field(default=30.0, gt=0, le=300)
    """For connecting, for sending and for each silence while an answer arrives."""
    body_bytes_max: int = Field(default=4 * 1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    """A longer answer is not read to its end."""
    pages_in_flight: int = Field(default=4, ge=1, le=16)
    """Pages of one reading that are asked for before the first of them has come."""
    pages_max: int = Field(default=20_000, ge=1, le=100_000)
    """Pages of one reading."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FieldDescription(_Part):
    """One field of an entity: its name there and its type."""

    wire: str
    """The name in the other side's JSON."""
    kind: Literal["text", "boolean", "integer"]
    nullable: bool = False
    """Whether null is a value that it may have."""
    read_only: bool = False
    """Given by the other side; never sent."""


class UpdateDescription(_Part):
    """How a record is changed: only the fields sent change."""

    method: Literal["PATCH", "PUT"]
    path: str


class EntityDescription(_Part):
    """One kind of record and its paths; `{id}` and `{key}` stand for escaped values."""

    list: str
    by_id: str | None = None
    by_key: str | None = None
    create: str | None = None
    update: UpdateDescription | None = None
    delete: str | None = None
    suspend: dict[str, bool] = {}
    """Canonical fields that take a record out of use."""
    reactivate: dict[str, bool] = {}
    """Canonical fields that bring it back."""
    key: str | None = None
    """The canonical field that holds our key."""
    id: str | None = None
    """The canonical field that holds the other side's id."""
    fields: dict[str, FieldDescription]
    """By canonical name; the first one orders the list."""
    ignored: tuple[str, ...] = ()
    """Names in their JSON that are known and not read."""

    @cached_property
    def known_names(self) -> frozenset[str]:
        """Names in the other side's JSON that are read or known to be of no use."""
        return frozenset((*(field.wire for field in self.fields.values()), *self.ignored))

    @model_validator(mode="after")
    def _names_are_fields(self) -> EntityDescription:
        for name in (self.key, self.id, *self.suspend, *self.reactivate):
            if name is not None and name not in self.fields:
                raise ValueError(f"{name} is not among the fields; add it there")
        return self


class PagingDescription(_Part):
    """How a list is cut into pages."""

    kind: Literal["offset-limit"]
    offset: str
    limit: str
    limit_max: int = Field(ge=1, le=LIMIT_MAX)
    items: str
    """JSON pointer to the records."""
    total: str
    """JSON pointer to the number of all records."""
    ordered_by: Literal["first_field"]


class SuccessDescription(_Part):
    """The statuses that mean done."""

    read: tuple[int, ...]
    create: tuple[int, ...]
    update: tuple[int, ...]
    delete: tuple[int, ...]


class ErrorDescription(_Part):
    """Where an answer says what is wrong."""

    message: str
    fields: str
    """JSON pointer to an object whose names are the refused fields."""


class StatusDescription(_Part):
    """What a status says about what happened."""

    not_done: tuple[int, ...]
    retry_read: tuple[int, ...]
    moved: tuple[int, ...]
    refused: tuple[int, ...]
    capacity: tuple[int, ...]


class QuotaDescription(_Part):
    """How a refusal for too many requests looks that does not bear the status for it."""

    status: int
    reason: str
    """JSON pointer to the reason."""
    values: tuple[str, ...]
    """Reasons that mean it."""


class AllowanceDescription(_Part):
    """Names of the two headers that tell what is left of the rate."""

    remaining: str
    reset: str


class AuthDescription(_Part):
    """How a request proves itself."""

    kind: Literal["bearer"]


class HttpDescription(_Part):
    """The whole interface."""

    base_path: str
    auth: AuthDescription
    media_type: str
    idempotency_header: str
    paging: PagingDescription
    success: SuccessDescription
    error: ErrorDescription
    statuses: StatusDescription
    quota: QuotaDescription
    allowance: tuple[AllowanceDescription, ...]
    entities: dict[str, EntityDescription]


@cache
def description() -> HttpDescription:
    """The interface as `http.yaml` describes it; the file ships with the system, so it is read once."""
    document: dict[str, Any] = dict(read_yaml(DESCRIPTION_FILE))
    return HttpDescription.model_validate(document)

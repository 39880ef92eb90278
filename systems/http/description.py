"""The interface document: everything that is known of a system's HTTP interface, as data.

A clause that is not here cannot be said, and a system that needs it needs code of its own. Pure: reading the file is
the registry's work, and what the clauses lead to is that of `wire`, `client`, `reading` and `target`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from shared.http.limits import AllowanceHeaders
from systems.http.entities import HttpEntity
from systems.http.fields import Part
from systems.http.paging import Paging, Pointer, QueryName

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$", max_length=100)]
Status = Annotated[int, Field(ge=100, le=599)]
Reason = int | str


class NoAuth(Part):
    """Requests prove nothing."""

    kind: Literal["none"]
    """The word that chooses it."""


class BasicAuth(Part):
    """A user and a password (RFC 7617): settings `user`, `password`, and `write_user`, `write_password`."""

    kind: Literal["basic"]
    """The word that chooses it."""


class HeaderAuth(Part):
    """A key in a header: settings `key` and `write_key`."""

    kind: Literal["header"]
    """The word that chooses it."""
    name: HeaderName
    """The header."""


class BearerAuth(Part):
    """A token that stays: settings `token` and `write_token`."""

    kind: Literal["bearer"]
    """The word that chooses it."""


class OauthAuth(Part):
    """A token that is asked for with the client's credentials (RFC 6749, 4.4) and renewed before it ends.

    Settings `client_id`, `client_secret`, `write_client_id`, `write_client_secret`, and `token_base_url` where tokens
    are given elsewhere.
    """

    kind: Literal["oauth2_client_credentials"]
    """The word that chooses it."""
    token_path: str = Field(pattern=r"^/[^?#\s]*$", max_length=300)
    """Behind `base_url`, without `base_path`."""
    send: Literal["form", "basic", "json"]
    """Where the credentials stand: in a form, in the header of Basic beside a form, or in JSON."""
    scope: str | None = Field(default=None, max_length=500)
    """What the token is to be good for, where the other side asks for that."""
    token: Pointer = Field(default="/access_token")
    """Where the answer holds the token."""
    expires: list[Pointer] = Field(default=["/expires_in"], max_length=5)
    """Where it may tell for how many seconds the token lives; the first that is there counts."""
    lives_seconds: int = Field(default=3_600, ge=60, le=86_400)
    """How long a token counts as good when nothing is told."""


Auth = Annotated[NoAuth | BasicAuth | HeaderAuth | BearerAuth | OauthAuth, Field(discriminator="kind")]


class ParameterClause(Part):
    """A value that every connection has to give, such as the number of a customer."""

    meaning: str = Field(min_length=1, max_length=200)
    """For the operator: what it is and where to find it."""
    pattern: str = Field(default=r"^[A-Za-z0-9._-]+$", max_length=200)
    """What it looks like, as a regular expression."""


class SaysClause(Part):
    """What the body of an answer must say for it to count as done."""

    pointer: Pointer
    """Where it says so."""
    equals: bool | int | str
    """What it says then, of the same type."""


class SuccessClause(Part):
    """The answers that mean done."""

    read: tuple[Status, ...] = (200,)
    """Of lists and single records."""
    create: tuple[Status, ...] = (200, 201)
    """Of a new record."""
    update: tuple[Status, ...] = (200, 204)
    """Of every change, also of a request of its own."""
    delete: tuple[Status, ...] = (200, 204)
    """Of a record that is deleted."""
    says: SaysClause | None = None
    """For interfaces that refuse with a status that means success. An answer without a body says nothing."""


class WrittenClause(Part):
    """What the answer to a write shows."""

    shows: Literal["record", "id", "nothing"] = "record"
    """The whole record, its id alone, or neither; after a delete nothing is looked for."""
    id: Pointer = "/id"
    """Where the id stands, when it shows that alone."""


class ErrorClause(Part):
    """Where an answer says what is wrong. What does not speak so is a stranger: a proxy, a sign-in page."""

    media_type: str | None = Field(default=None, max_length=100)
    """Of such answers, where it is not that of all others; `application/problem+json`, for example."""
    message: Pointer
    """To a text; it is never shown, because it may hold values."""
    fields: Pointer | None = None
    """To an object whose names are the refused fields, or to a list of such names."""
    reason: Pointer | None = None
    """To a word or a number that tells more than the status does; see `reasons`."""


class StatusClause(Part):
    """What a status means that does not mean done."""

    not_done: tuple[Status, ...] = (429, 503)
    """The other side surely did nothing: the same write may go out again."""
    retry_read: tuple[Status, ...] = (408, 500, 502, 503, 504)
    """A read may be asked again."""
    moved: tuple[Status, ...] = (404, 409, 412)
    """The record is not as we saw it, is gone, or is there already."""
    refused: tuple[Status, ...] = (400, 413, 422)
    """The record cannot be taken as it is."""
    capacity: tuple[Status, ...] = (402, 507)
    """Seats, licences or storage are used up."""


class ReasonClause(Part):
    """What a reason means, whatever the status beside it. Reasons that are listed nowhere leave it to the status."""

    rate: tuple[Reason, ...] = ()
    """Too many requests."""
    not_done: tuple[Reason, ...] = ()
    """Not now, and surely nothing was done."""
    auth: tuple[Reason, ...] = ()
    """The credential is not known, or its time is over."""
    permission: tuple[Reason, ...] = ()
    """The credential may not do this."""
    missing: tuple[Reason, ...] = ()
    """There is no such record."""
    moved: tuple[Reason, ...] = ()
    """The record is not as we saw it, or is there already."""
    refused: tuple[Reason, ...] = ()
    """The record cannot be taken as it is."""
    capacity: tuple[Reason, ...] = ()
    """Seats, licences or storage are used up."""

    @model_validator(mode="after")
    def _each_means_one_thing(self) -> ReasonClause:
        seen: dict[tuple[type, Reason], str] = {}
        for meaning in type(self).model_fields:
            for reason in getattr(self, meaning):
                other = seen.setdefault((type(reason), reason), meaning)
                if other != meaning:
                    raise ValueError(f"reason {reason} stands under {other} and under {meaning}; leave one out")
        return self


class QuotaClause(Part):
    """How a refusal for too many requests looks that does not bear the status for it."""

    status: Status
    """The status that it does bear."""
    reason: Pointer
    """To the reason."""
    values: tuple[str, ...]
    """Reasons that mean it."""


class HttpInterface(Part):
    """The whole interface of one system."""

    base_path: str = Field(default="", pattern=r"^(/[^?#\s{}]*[^/?#\s{}])?$", max_length=200)
    """What every path but that of tokens begins with."""
    auth: Auth
    """How a request proves who asks."""
    media_type: str = "application/json"
    """Of bodies, ours and theirs."""
    headers: dict[HeaderName, str] = Field(default={})
    """Sent with every request; never a secret."""
    parameters: dict[Name, ParameterClause] = Field(default={})
    """What a connection has to give under `settings: parameters:`."""
    query: dict[QueryName, str] = Field(default={})
    """Sent with every request but that for a token; `{name}` stands for a parameter."""
    idempotency_header: HeaderName | None = None
    """The header in which a write bears its change's name. Nothing relies on the other side honouring it."""
    requests_at_once: int | None = Field(default=None, ge=1, le=64)
    """Requests of one process that may be under way together; a rate is set in the connection."""
    paging: Paging
    """How lists are cut into pages."""
    record: Pointer = ""
    """Where the answer to a request for one record, and to a write that shows it, holds it."""
    written: WrittenClause = WrittenClause()
    success: SuccessClause = SuccessClause()
    error: ErrorClause
    statuses: StatusClause = StatusClause()
    reasons: ReasonClause = ReasonClause()
    quota: QuotaClause | None = None
    allowance: tuple[AllowanceHeaders, ...] = ()
    """Headers that tell what is left of the rate; the first pair found counts."""
    entities: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)], HttpEntity] = Field(min_length=1)
    """By the names that connectors use."""

    @model_validator(mode="after")
    def _names_are_known(self) -> HttpInterface:
        for name, text in self.query.items():
            for parameter in placeholders(text):
                if parameter not in self.parameters:
                    raise ValueError(f"query: {name}: there is no parameter {parameter}; declare it under parameters")
        if self.reasons != ReasonClause() and self.error.reason is None:
            raise ValueError("reasons need error: reason:, which tells where they stand")
        return self

    @model_validator(mode="after")
    def _writes_are_told_apart(self) -> HttpInterface:
        owners: dict[tuple[str, str], str] = {}
        for name, entity in self.entities.items():
            for method, path in entity.templates():
                if (other := owners.setdefault((method, path), name)) != name:
                    raise ValueError(f"{method} {path} belongs to {other} and to {name}; a write must tell its entity")
        return self

    def paging_of(self, entity: HttpEntity) -> Paging:
        """How the list of an entity is cut."""
        return entity.paging or self.paging

    def record_of(self, entity: HttpEntity) -> str:
        """Where one record of an entity stands in an answer about it alone."""
        return self.record if entity.record is None else entity.record


def placeholders(text: str) -> list[str]:
    """The names in braces in a text."""
    return [part.partition("}")[0] for part in text.split("{")[1:]]

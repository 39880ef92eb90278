"""Settings of a connection, made from an interface document: only what its way of proving who asks needs."""

from __future__ import annotations

from typing import Annotated, Any, cast

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, create_model

from shared.http import HttpSettings, WebAddress
from shared.secrets import SecretReference
from systems.http.description import (
    BasicAuth,
    BearerAuth,
    HeaderAuth,
    HttpInterface,
    NoAuth,
    OauthAuth,
    ParameterClause,
)
from systems.http.paging import LIMIT_MAX, NoPaging

UserText = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^:\x00-\x1f]+$")]


class InterfaceSettings(HttpSettings):
    """What every connection of the family has."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    page_limit: int = Field(default=LIMIT_MAX, ge=1, le=LIMIT_MAX)
    """Records of one page."""
    pages_in_flight: int = Field(default=4, ge=1, le=16)
    """Pages of one reading that are asked for before the first of them has come, where the list can be asked so."""
    pages_max: int = Field(default=20_000, ge=1, le=100_000)
    """Pages of one reading."""

    @property
    def given_parameters(self) -> dict[str, str]:
        """Values of the parameters that the interface declares."""
        given = getattr(self, "parameters", None)
        return cast(BaseModel, given).model_dump() if given is not None else {}


class BasicSettings(InterfaceSettings):
    """User and password."""

    user: UserText
    """Who may read."""
    password: SecretReference
    """Where the password lies."""
    write_user: UserText | None = None
    """Who may write; `user` serves for both when left out."""
    write_password: SecretReference | None = None
    """Only the applier can resolve it; `password` serves for both when left out."""


class HeaderSettings(InterfaceSettings):
    """A key in a header."""

    key: SecretReference
    """Where the key lies that may read."""
    write_key: SecretReference | None = None
    """Where the key lies that may write; `key` serves for both when left out. Only the applier can resolve it."""


class BearerSettings(InterfaceSettings):
    """A token that stays."""

    token: SecretReference
    """Where the token lies that may read."""
    write_token: SecretReference | None = None
    """Where the token lies that may write; `token` serves for both when left out. Only the applier can resolve it."""


class OauthSettings(InterfaceSettings):
    """The credentials for which tokens are given."""

    client_id: UserText
    """The client that may read."""
    client_secret: SecretReference
    """Where its secret lies."""
    write_client_id: UserText | None = None
    """The client that may write; `client_id` serves for both when left out."""
    write_client_secret: SecretReference | None = None
    """Only the applier can resolve it; `client_secret` serves for both when left out."""
    token_base_url: WebAddress | None = None
    """Where tokens are given; `base_url` when left out."""


def settings_of(http: HttpInterface, *, name: str) -> type[InterfaceSettings]:
    """The model of a connection's settings for this interface."""
    limit_max = max(
        [paging.limit_max for paging in _pagings(http) if not isinstance(paging, NoPaging)], default=LIMIT_MAX
    )
    parts: dict[str, Any] = {"page_limit": (Annotated[int, Field(ge=1, le=limit_max)], limit_max)}
    if http.parameters:
        parts["parameters"] = (_parameters(http.parameters, name=name), ...)
    title = f"{name.title().replace('_', '')}Settings"
    made = create_model(title, __base__=_base(http), __doc__="Settings of a connection.", **parts)
    return cast(type[InterfaceSettings], made)


def _base(http: HttpInterface) -> type[InterfaceSettings]:
    match http.auth:
        case NoAuth():
            return InterfaceSettings
        case BasicAuth():
            return BasicSettings
        case HeaderAuth():
            return HeaderSettings
        case BearerAuth():
            return BearerSettings
        case OauthAuth():
            return OauthSettings


def _pagings(http: HttpInterface) -> list[Any]:
    return [http.paging_of(entity) for entity in http.entities.values()]


def _parameters(declared: dict[str, ParameterClause], *, name: str) -> type[BaseModel]:
    parts: dict[str, Any] = {
        one: (
            Annotated[str, StringConstraints(pattern=clause.pattern, max_length=200)],
            Field(..., description=clause.meaning),
        )
        for one, clause in declared.items()
    }
    title = f"{name.title().replace('_', '')}Parameters"
    return create_model(title, __config__=ConfigDict(frozen=True, extra="forbid"), **parts)

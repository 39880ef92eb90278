"""Settings of a connection to Snipe-IT."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator

from shared.http import HttpSettings, WebAddress
from shared.secrets import SecretReference
from systems.snipeit.entities import BASE_PATH, CUSTOM_COLUMNS
from systems.snipeit.records import Dialect

PAGE_LIMIT_MAX = 500
"""Records of one page that a server gives unless its MAX_RESULTS says otherwise."""

CustomField = Annotated[str, StringConstraints(pattern=r"^_snipeit_[a-z0-9_]{1,100}_[0-9]{1,9}$")]
"""The database column of a custom field, as Admin → Custom Fields shows it."""


class SnipeitConfig(HttpSettings):
    """One Snipe-IT, read with one token and written with another."""

    token: SecretReference
    """Where the personal access token lies that may read. It acts with the rights of the user who made it."""
    write_token: SecretReference | None = None
    """Where the token lies that may write; `token` serves for both when left out. Only the applier can resolve it."""
    page_limit: int = Field(default=PAGE_LIMIT_MAX, ge=1, le=PAGE_LIMIT_MAX)
    """Records of one page; not more than the server's MAX_RESULTS."""
    pages_in_flight: int = Field(default=2, ge=1, le=8)
    """Pages of one reading that are asked for before the first of them has come."""
    pages_max: int = Field(default=20_000, ge=1, le=100_000)
    """Pages of one reading."""
    body_bytes_max: int = Field(default=32 * 1024 * 1024, ge=1024, le=1024 * 1024 * 1024)
    """A longer answer is not read to its end. A location shows its manager as a whole user, so pages are large."""
    digit_separator: Literal["1,234.56", "1.234,56"] = "1,234.56"
    """How the server writes amounts, as its setting of that name says."""
    custom_fields: dict[str, CustomField] = Field(default_factory=dict)
    """Which custom field of hardware the columns `custom_1` to `custom_10` show, by the column."""

    @property
    def dialect(self) -> Dialect:
        """How this server's records are read."""
        return Dialect(decimal_comma=self.digit_separator == "1.234,56", custom_fields=self.custom_fields)

    @field_validator("base_url")
    @classmethod
    def _ends_before_the_interface(cls, base_url: WebAddress) -> WebAddress:
        if base_url.endswith((BASE_PATH, "/api")):
            raise ValueError(f"ends with a part of {BASE_PATH}; leave that out, it is put behind the address")
        return base_url

    @field_validator("custom_fields")
    @classmethod
    def _columns_exist(cls, custom_fields: dict[str, CustomField]) -> dict[str, CustomField]:
        for column in custom_fields:
            if column not in CUSTOM_COLUMNS:
                raise ValueError(
                    f"{column[:40]} is no column for a custom field; there are: {', '.join(CUSTOM_COLUMNS)}"
                )
        return custom_fields

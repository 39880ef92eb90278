"""Settings of a connection to an Aeries district over its API."""

from __future__ import annotations

from pydantic import Field

from shared.http import HttpSettings
from shared.secrets import SecretReference

API = "/api/v5"
"""What stands between the virtual directory and every path."""
PSEUDO_SCHOOLS = (0, 999)
"""The district office, and the school of those who left: Aeries lists them as schools, and they are none."""


class AeriesApiConfig(HttpSettings):
    """One district and one school year. `base_url` ends with the virtual directory: `https://host/aeries`."""

    certificate: SecretReference
    """Where the certificate lies that may read: 32 letters and digits, case-sensitive, from Aeries's API Security."""
    write_certificate: SecretReference | None = None
    """The one that may write staff too; `certificate` serves for both when left out."""
    database_year: int = Field(ge=2000, le=2099)
    """The year in which the wanted school year begins (2026 for 2026-27). Required, because Aeries answers from the
    current year, without a word, when it is asked for none or for one that it does not have."""
    excluded_schools: tuple[int, ...] = Field(default=PSEUDO_SCHOOLS, max_length=100)
    """Codes in the list of schools that are none, with all that lies under them; some districts add 100, 200 …"""
    requests_at_once: int = Field(default=3, ge=1, le=8)
    """Requests under way. The vendor documents no limit and asks that large pulls run off-peak."""
    page_records: int = Field(default=500, ge=2, le=5_000)
    """Students asked for at once, one of them for the second time."""
    pages_max: int = Field(default=20_000, ge=1, le=1_000_000)
    """Pages of one reading."""
    timeout_seconds: float = Field(default=120.0, gt=0, le=300)
    """Lists that are not paged come in one answer, which Aeries makes before it sends the first byte."""
    body_bytes_max: int = Field(default=64 * 1024 * 1024, ge=1024, le=1024 * 1024 * 1024)
    """Staff, courses and sections come in one answer each."""

"""Settings of a connection to Apex Learning."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, StringConstraints, model_validator

from shared.http.settings import HttpSettings
from shared.secrets import SecretReference

ITEMS_AT_ONCE_MAX: Final = 50
"""Records of one request that is carried out at once; more go as a batch that is asked for."""

PathPrefix = Annotated[str, StringConstraints(pattern=r"^(?:[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)*)?$", max_length=100)]


class ApexConfig(HttpSettings):
    """How to reach one district's Apex."""

    client_id: str = Field(min_length=1, max_length=200)
    """The client that may read."""
    client_secret: SecretReference
    """Where its secret lies."""
    write_client_id: str | None = Field(default=None, min_length=1, max_length=200)
    """The client that may write; `client_id` serves for both when left out."""
    write_client_secret: SecretReference | None = None
    """Where that client's secret lies; only the applier can resolve it."""
    path_prefix: PathPrefix = ""
    """What stands before `students`, `staff` and `classrooms`, such as `objects`; nothing stands before `token`."""
    classrooms_are_listed: bool = False
    """Whether Apex answers `GET /classrooms` with a list, as it does for people. Published scripts never ask for one:
    ask the vendor. Without a list, classrooms are found through students only; such a reading proves nothing, and the
    guard lets nothing be written to what is not known to be whole."""
    lists_asked_twice: bool = True
    """Every list is walked through twice, and both must hold the same. Lists tell no total, so that a reading without
    this proves nothing: half the requests, and no removals."""
    requests_at_once: int = Field(default=4, ge=1, le=16)
    """Requests of one reading under way at the same time."""
    pages_max: int = Field(default=20_000, ge=1, le=100_000)
    """Pages of one list."""
    items_at_once: int = Field(default=ITEMS_AT_ONCE_MAX, ge=1, le=ITEMS_AT_ONCE_MAX)
    """Creates that go out in one request and are answered in it; more go as a batch."""
    gather_seconds: float = Field(default=0.1, ge=0, le=5)
    """For how long the first create waits for others to go with it."""
    batch_poll_seconds: float = Field(default=2.0, gt=0, le=60)
    """Between two questions about a batch."""
    batch_seconds_max: float = Field(default=300.0, ge=1, le=3_600)
    """A batch that is not done by then has an unknown outcome."""

    @model_validator(mode="after")
    def _writer_is_whole(self) -> ApexConfig:
        if (self.write_client_id is None) != (self.write_client_secret is None):
            raise ValueError("write_client_id and write_client_secret go together; give both or neither")
        return self

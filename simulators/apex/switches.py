"""The switches of a simulated Apex: what is known to differ, or is not known at all.

The vendor publishes no contract, so many defaults are the reading that the field scripts suggest; README.md says which.
"""

from typing import Literal

from pydantic import Field

from simulators.kit.switches import Switches


class ApexSwitches(Switches):
    """How this Apex behaves until told otherwise."""

    token_expiry_key: Literal["expire_in", "expires_in"] = "expire_in"  # noqa: S105 - the name of a field
    """Under which name the token answer says its lifetime (A3)."""
    token_seconds: int = Field(default=3_600, ge=1, le=86_400)
    """Lifetime of a token (A3)."""
    page_size: int = Field(default=100, ge=1, le=10_000)
    """Rows on one page of a list (A6)."""
    list_rows: Literal["membership", "person"] = "membership"
    """One list row for each organisation of a person, or one for each person (A7)."""
    lists_classrooms: bool = False
    """Whether GET /classrooms lists at all (A8)."""
    multi_status: Literal["200", "207", "400"] = "200"
    """Status of an answer in which at least one item was refused (A14)."""
    result_heading: Literal["post", "Users"] = "post"
    """Name of the list of results: that of the posted list, or `Users` (A13)."""
    batch_polls: int = Field(default=1, ge=0, le=1_000)
    """How many polls of a batch say that it is processing before one may say the results (A16)."""
    batch_delay_seconds: float = Field(default=0.0, ge=0.0, le=86_400.0)
    """How long a batch is processing at least, by the simulator's clock (A16)."""
    partial_failure_every: int = Field(default=0, ge=0)
    """Every so many-th item of a create is refused although nothing is wrong with it; 0 for never (A17)."""
    duplicate_users: tuple[str, ...] = Field(default=(), max_length=10_000)
    """ImportUserIds that are refused as duplicates although no list shows them (A18)."""
    orders_exhausted: bool = False
    """No seat is left anywhere, whatever the seed's orders say (A25)."""
    archived_stays_archived: bool = False
    """Naming an archived person's organisation in a create or update does not bring the person back (A20)."""

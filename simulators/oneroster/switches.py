"""The switches of a simulated OneRoster provider: where providers and their versions are known to differ."""

from typing import Literal

from pydantic import Field

from simulators.kit.switches import Switches


class OneRosterSwitches(Switches):
    """How this provider behaves until told otherwise."""

    oauth1: bool = True
    """1.1 takes requests signed with OAuth 1.0a (O4)."""
    oauth2: bool = True
    """1.1 takes OAuth 2 bearer tokens (O2); 1.2 always does and takes nothing else."""
    client_auth: Literal["either", "basic", "body"] = "either"
    """Where the credentials of a token request may stand (O2)."""
    token_seconds: int = Field(default=21_600, ge=1, le=86_400)
    """Lifetime of a token (O2)."""
    limit_max: int = Field(default=5_000, ge=1, le=100_000)
    """Largest `limit` (O10)."""
    over_limit: Literal["refuse", "cap"] = "refuse"
    """What a larger `limit` meets: a refusal, or a page of the largest size without a word (O10)."""
    unstable_order: bool = False
    """Without `sort`, each list request finds the records turned by one place (O24)."""
    lenient_queries: bool = False
    """Unknown fields in `sort`, `fields` or `filter` are passed over without a word instead of refused (O11 to O13)."""
    shows_inactive: bool = False
    """1.1 shows the status `inactive`, as old versions did; otherwise such a record is `tobedeleted` (O15)."""
    forgets_deleted: bool = False
    """Records marked tobedeleted are not there at all: a delta never tells of a removal (O14)."""
    json_booleans: bool = False
    """Booleans are JSON true and false instead of the texts "true" and "false" (O19)."""
    error_body: Literal["flat", "wrapped"] = "flat"
    """An error is the imsx object itself, or stands under `imsx_StatusInfo` (O16)."""
    shows_totals: bool = True
    """Lists carry X-Total-Count (O9)."""

"""The switches of the simulated Directory API; the defaults are what the vendor documents.

Delays are 0 until set: the documents give no least delay, only "up to 10 minutes".
"""

from typing import Literal

from pydantic import Field

from simulators.kit.switches import Switches

SECONDS_MAX = 7 * 86_400.0
DocumentedReason = Literal[
    "userRateLimitExceeded",
    "quotaExceeded",
    "rateLimitExceeded",
    "backendError",
    "forbidden",
    "domainCannotUseApis",
    "accessNotConfigured",
    "conditionNotMet",
]


class GoogleSwitches(Switches):
    """How this Google behaves."""

    user_settling_seconds: float = Field(default=0.0, ge=0.0, le=SECONDS_MAX)
    """V1: how long after its creation every change of a user is refused with "User creation is not complete"."""
    user_settling_code: Literal[400, 403, 409, 412, 503] = 412
    """V1: the code of that refusal; no document states it."""
    group_settling_seconds: float = Field(default=0.0, ge=0.0, le=SECONDS_MAX)
    """V2: how long a new group is not found."""
    rename_settling_seconds: float = Field(default=0.0, ge=0.0, le=SECONDS_MAX)
    """V3: how long reads still show the old primary address and do not know the new one."""
    member_settling_seconds: float = Field(default=0.0, ge=0.0, le=SECONDS_MAX)
    """V4: how long a new member is not listed, not found and not counted."""
    nested_settling_seconds: float = Field(default=0.0, ge=0.0, le=SECONDS_MAX)
    """V5: how long the members of a newly nested group are not members of the outer one."""
    queries_per_minute: int | None = Field(default=2_400, ge=1)
    """Q1: API calls per subject and minute; None takes the limit away (it can be raised)."""
    user_creations_per_second: int | None = Field(default=10, ge=1)
    """Q2: user creations per domain and second; above it 503 backendError."""
    orgunit_writes_per_second: int | None = Field(default=1, ge=1)
    """Q3: creations and changes of organisational units per customer and second; above it 403 quotaExceeded."""
    refuse_with: DocumentedReason | None = None
    """Q4: while set, every `refuse_every`-th API call, also inside a batch, is refused with this reason."""
    refuse_every: int = Field(default=1, ge=1)
    """Q4: 1 refuses all."""
    quota_reason: Literal["userRateLimitExceeded", "quotaExceeded"] = "userRateLimitExceeded"
    """Q5: which reason the fault `quota` gives."""
    user_seats: int | None = Field(default=None, ge=0)
    """U20: how many users there may be; one more is refused with 412 limitExceeded."""
    deleted_address_blocks: bool = True
    """U11: the addresses of a deleted user cannot be given to another one until it is gone for good."""
    empty_list_has_key: bool = False
    """P6: an empty page carries its array."""
    over_limit: Literal["refuse", "clamp"] = "refuse"
    """P2: what a maxResults above the most allowed does."""
    page_token_seconds: float = Field(default=3 * 86_400.0, gt=0.0, le=SECONDS_MAX)
    """P4: how long a page token lives."""
    token_seconds: int = Field(default=3_599, ge=1, le=43_200)
    """A7: how long an access token lives."""
    token_refusal: Literal["access_denied", "admin_policy_enforced", "unauthorized_client", "invalid_grant"] | None = (
        None
    )
    """A11: while set, the token endpoint refuses everybody with this error."""
    if_match: Literal["ignored", "honoured"] = "ignored"
    """C10: whether an If-Match header that does not fit is answered with 412."""
    orgunit_write_code: Literal[200, 201] = 201
    """O2: what a creation or change of an organisational unit answers."""
    orgunit_duplicate: Literal["duplicate", "invalid"] = "duplicate"
    """O4: how a taken name among siblings is refused: 409 duplicate, or 400 "Invalid Ou Id"."""
    keep_requests: bool = False
    """B5: keep every API call with its whole body, the inner calls of batches too, under `requests` in the state."""

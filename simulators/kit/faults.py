"""The fault menu: which misbehaviour strikes which request, decided once per request and in arming order.

It only decides; the gateway does what a fault says. A fault that no request can ever meet, an unknown kind or an option
that the kind does not have is refused when it is armed: a test whose fault silently never fires would prove nothing.
"""

import random
import re
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from simulators.kit.paging import Page

FAULTS_MAX = 1_000
SECONDS_MAX = 600.0
TIMES_MAX = 1_000_000
WRITING_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class FaultKind(StrEnum):
    """Every misbehaviour the kit can act out."""

    TOO_MANY_REQUESTS = "too_many_requests"
    """429 with Retry-After; no effect."""
    SERVER_ERROR = "server_error"
    """500, 502, 503 or 504; no effect."""
    TIMEOUT_AFTER_EFFECT = "timeout_after_effect"
    """The effect happens, the answer is withheld for `seconds`, then the connection is cut."""
    RESET_AFTER_EFFECT = "reset_after_effect"
    """The effect happens and the connection is cut at once."""
    RESET_BEFORE_EFFECT = "reset_before_effect"
    """The connection is cut; no effect."""
    TORN_BODY = "torn_body"
    """The effect happens; the answer is 200 with the first half of the JSON, and Content-Length says the half."""
    SHORT_PAGE = "short_page"
    """A page lacks its last `items_missing` items, and later offsets shift so that nobody ever gets them."""
    HTML_PAGE = "html_page"
    """200 with a login page in HTML; no effect."""
    REPEATED_PAGE = "repeated_page"
    """The page before the one asked for is served again."""
    UNAUTHORIZED = "unauthorized"
    """401 although the token is good; no effect."""
    SLOW = "slow"
    """The effect happens and the honest answer comes `seconds` late."""
    CAPACITY = "capacity"
    """402: no room for more; no effect."""
    QUOTA = "quota"
    """403 with `"reason": "quota"` and Retry-After: too many requests, said in another way; no effect."""
    LYING_SUCCESS = "lying_success"
    """A write gets the very answer an honest success would get, and has no effect."""


_OPTION_OWNERS: dict[str, frozenset[FaultKind]] = {
    "retry_after_seconds": frozenset({FaultKind.TOO_MANY_REQUESTS, FaultKind.QUOTA}),
    "seconds": frozenset({FaultKind.TIMEOUT_AFTER_EFFECT, FaultKind.SLOW}),
    "status": frozenset({FaultKind.SERVER_ERROR}),
    "items_missing": frozenset({FaultKind.SHORT_PAGE}),
}


class Fault(BaseModel):
    """One armed misbehaviour and the requests it is meant for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: FaultKind
    method: Method | None = None
    """Only requests of this method; any method when absent."""
    path_pattern: str | None = None
    """Regular expression searched for in the decoded path, `/api/v1` included; any path when absent."""
    times: int = Field(default=1, ge=1, le=TIMES_MAX)
    """How often it strikes before it is used up."""
    after: int = Field(default=0, ge=0, le=TIMES_MAX)
    """How many matching requests pass unharmed first."""
    probability: float | None = Field(default=None, gt=0.0, le=1.0)
    """Chance to strike at each match after the first `after`; needs a seed."""
    seed: int | None = None
    retry_after_seconds: int = Field(default=1, ge=0, le=86_400)
    seconds: float = Field(default=1.0, ge=0.0, le=SECONDS_MAX)
    status: Literal[500, 502, 503, 504] = 503
    items_missing: int = Field(default=1, ge=1, le=TIMES_MAX)

    @field_validator("path_pattern")
    @classmethod
    def _pattern_compiles(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"path_pattern {value!r} is not a regular expression: {error}") from error
        return value

    @model_validator(mode="after")
    def _options_fit_the_kind(self) -> Self:
        for option, owners in _OPTION_OWNERS.items():
            if option in self.model_fields_set and self.kind not in owners:
                raise ValueError(f"{option} does nothing for {self.kind}; it belongs to {', '.join(sorted(owners))}")
        if (self.probability is None) != (self.seed is None):
            raise ValueError("probability and seed go together: a chance nobody can repeat proves nothing")
        if self.kind is FaultKind.LYING_SUCCESS and self.method == "GET":
            raise ValueError("lying_success is for writes; a GET has no effect to leave out")
        if self.kind in {FaultKind.SHORT_PAGE, FaultKind.REPEATED_PAGE} and self.method not in {None, "GET"}:
            raise ValueError(f"{self.kind} is for lists, and lists are read with GET, not {self.method}")
        return self


@dataclass(slots=True)
class _Armed:
    fault: Fault
    rng: random.Random
    seen: int = 0
    struck: int = 0


class FaultMenu:
    """The queue of armed faults; the first that strikes takes the request, and those behind it do not see it."""

    def __init__(self) -> None:
        self._armed: deque[_Armed] = deque()
        self._struck: Counter[str] = Counter()

    def arm(self, faults: Sequence[Fault]) -> None:
        """Append faults to the queue, all of them or none."""
        if len(self._armed) + len(faults) > FAULTS_MAX:
            raise ValueError(
                f"{len(self._armed)} faults are armed and {len(faults)} more were sent; at most {FAULTS_MAX} fit: "
                "use `times` instead of repeating a fault, or clear the menu first"
            )
        self._armed.extend(_Armed(fault=fault, rng=random.Random(fault.seed)) for fault in faults)

    def take(self, *, method: str, path: str, page: Page | None) -> Fault | None:
        """Say which fault, if any, strikes this request, and count it."""
        for armed in self._armed:
            if not _matches(armed.fault, method=method, path=path, page=page):
                continue
            armed.seen += 1
            if armed.seen <= armed.fault.after:
                continue
            if armed.fault.probability is not None and armed.rng.random() >= armed.fault.probability:
                continue
            armed.struck += 1
            self._struck[armed.fault.kind.value] += 1
            if armed.struck == armed.fault.times:
                self._armed.remove(armed)
            return armed.fault
        return None

    def clear(self) -> int:
        """Disarm everything and say how many faults were still armed."""
        count = len(self._armed)
        self._armed.clear()
        return count

    def document(self) -> dict[str, object]:
        """Describe what is armed, with `seen` and `struck`, and how often each kind has struck since the start."""
        return {
            "armed": [
                armed.fault.model_dump(mode="json", exclude_unset=True) | {"seen": armed.seen, "struck": armed.struck}
                for armed in self._armed
            ],
            "struck": dict(self._struck),
        }


def _matches(fault: Fault, *, method: str, path: str, page: Page | None) -> bool:
    if fault.method is not None and fault.method != method:
        return False
    if fault.path_pattern is not None and re.search(fault.path_pattern, path) is None:
        return False
    # A fault that could not show on this request waits for one where it can.
    match fault.kind:
        case FaultKind.LYING_SUCCESS:
            return method in WRITING_METHODS
        case FaultKind.SHORT_PAGE:
            return page is not None and page.offset < page.total
        case FaultKind.REPEATED_PAGE:
            return page is not None and page.offset > 0
        case _:
            return True

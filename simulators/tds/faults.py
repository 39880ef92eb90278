"""What can go wrong on purpose: which misbehaviour strikes which login or query, decided in the order of arming.

It only decides; the connection does what a fault says. A fault that could never strike is refused when it is armed.
"""

import re
from collections import Counter, deque
from collections.abc import Sequence
from enum import StrEnum
from threading import Lock
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator, model_validator

FAULTS_MAX: Final = 1_000
SECONDS_MAX: Final = 600.0
TIMES_MAX: Final = 1_000_000


class FaultKind(StrEnum):
    """Every misbehaviour this server can act out."""

    REFUSE_CONNECTION = "refuse_connection"
    """The connection is taken and reset at once."""
    REFUSE_LOGIN = "refuse_login"
    """18456 although the password is right."""
    DEADLOCK = "deadlock"
    """1205 after `after_rows` rows; the transaction is rolled back."""
    ERROR = "error"
    """`number`, `severity` and `message` after `after_rows` rows; from severity 20 on the server hangs up."""
    HANG = "hang"
    """After `after_rows` rows nothing comes any more, until the client cancels, leaves or `seconds` are over."""
    RESET = "reset"
    """After `after_rows` rows the connection is reset."""
    CLOSE = "close"
    """After `after_rows` rows the connection ends politely, in the middle of the answer."""
    SLOW = "slow"
    """The honest answer comes `seconds` late."""
    SHORT_RESULT = "short_result"
    """The last `rows_missing` rows are missing and the answer looks whole."""


_LOGINS: Final = frozenset({FaultKind.REFUSE_CONNECTION, FaultKind.REFUSE_LOGIN})
_ROWED: Final = frozenset({FaultKind.DEADLOCK, FaultKind.ERROR, FaultKind.HANG, FaultKind.RESET, FaultKind.CLOSE})
_OPTION_OWNERS: Final = {
    "after_rows": _ROWED,
    "seconds": frozenset({FaultKind.HANG, FaultKind.SLOW}),
    "number": frozenset({FaultKind.ERROR}),
    "severity": frozenset({FaultKind.ERROR}),
    "message": frozenset({FaultKind.ERROR}),
    "rows_missing": frozenset({FaultKind.SHORT_RESULT}),
    "table_pattern": frozenset(FaultKind) - _LOGINS,
}


class Fault(BaseModel):
    """One armed misbehaviour and what it is meant for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: FaultKind
    table_pattern: str | None = None
    """Regular expression searched for in each `database.schema.table` a query reads, in any case; every query when
    absent."""
    times: int = Field(default=1, ge=1, le=TIMES_MAX)
    """How often it strikes before it is used up."""
    after: int = Field(default=0, ge=0, le=TIMES_MAX)
    """How many matching logins or queries pass unharmed first."""
    after_rows: int = Field(default=0, ge=0, le=TIMES_MAX)
    seconds: float = Field(default=1.0, ge=0.0, le=SECONDS_MAX)
    number: int = Field(default=50_000, ge=1, le=2_147_483_647)
    severity: int = Field(default=16, ge=11, le=25)
    message: str = Field(default="An error made on purpose.", max_length=1_000)
    rows_missing: int = Field(default=1, ge=1, le=TIMES_MAX)

    @field_validator("table_pattern")
    @classmethod
    def _pattern_compiles(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"table_pattern {value!r} is not a regular expression: {error}") from error
        return value

    @model_validator(mode="after")
    def _options_fit_the_kind(self) -> Self:
        for option, owners in _OPTION_OWNERS.items():
            if option in self.model_fields_set and self.kind not in owners:
                raise ValueError(f"{option} does nothing for {self.kind}; it belongs to {', '.join(sorted(owners))}")
        return self


FAULTS: Final[TypeAdapter[list[Fault]]] = TypeAdapter(list[Fault])


class _Armed:
    __slots__ = ("fault", "seen", "struck")

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.seen = 0
        self.struck = 0


class Faults:
    """The queue of armed faults; tests arm from their own thread."""

    def __init__(self) -> None:
        self._armed: deque[_Armed] = deque()
        self._struck: Counter[str] = Counter()
        self._lock = Lock()

    def arm(self, *faults: Fault) -> None:
        """Append faults to the queue, all of them or none."""
        with self._lock:
            if len(self._armed) + len(faults) > FAULTS_MAX:
                raise ValueError(
                    f"{len(self._armed)} faults are armed; at most {FAULTS_MAX} fit: use `times`, or clear"
                )
            self._armed.extend(_Armed(fault) for fault in faults)

    def at_connect(self) -> Fault | None:
        """Say whether a fault strikes a new connection."""
        return self._take(lambda fault: fault.kind is FaultKind.REFUSE_CONNECTION)

    def at_login(self) -> Fault | None:
        """Say whether a fault strikes a login that would be let in."""
        return self._take(lambda fault: fault.kind is FaultKind.REFUSE_LOGIN)

    def at_query(self, tables: Sequence[str]) -> Fault | None:
        """Say which fault, if any, strikes a query over these tables."""

        def matches(fault: Fault) -> bool:
            if fault.kind in _LOGINS:
                return False
            pattern = fault.table_pattern
            return pattern is None or any(re.search(pattern, table, re.IGNORECASE) for table in tables)

        return self._take(matches)

    def clear(self) -> int:
        """Disarm everything and say how many faults were still armed."""
        with self._lock:
            count = len(self._armed)
            self._armed.clear()
        return count

    def document(self) -> dict[str, Any]:
        """Describe what is armed, and how often each kind has struck since the start."""
        with self._lock:
            armed = [
                each.fault.model_dump(mode="json", exclude_unset=True) | {"seen": each.seen, "struck": each.struck}
                for each in self._armed
            ]
            return {"armed": armed, "struck": dict(self._struck)}

    def _take(self, matches: Any) -> Fault | None:
        with self._lock:
            for armed in self._armed:
                if not matches(armed.fault):
                    continue
                armed.seen += 1
                if armed.seen <= armed.fault.after:
                    continue
                armed.struck += 1
                self._struck[armed.fault.kind.value] += 1
                if armed.struck == armed.fault.times:
                    self._armed.remove(armed)
                return armed.fault
        return None

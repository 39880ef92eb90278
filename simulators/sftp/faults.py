"""The fault menu of the drop box: which misbehaviour strikes which operation, decided once per operation."""

import re
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

FAULTS_MAX = 1_000
TIMES_MAX = 1_000_000
SECONDS_MAX = 600.0

Operation = Literal[
    "auth", "open", "read", "write", "close", "rename", "remove", "mkdir", "rmdir", "list", "stat", "setstat"
]


class SftpFaultKind(StrEnum):
    """Every misbehaviour of the drop box."""

    AUTH_REFUSED = "auth_refused"
    """A good credential is refused."""
    DISCONNECT = "disconnect"
    """The connection is cut before the operation; a transfer, which is meant unless another is named, is cut once
    `after_bytes` of the file have passed."""
    DISCONNECT_AFTER_EFFECT = "disconnect_after_effect"
    """The operation is done, and the connection is cut instead of saying so."""
    SLOW = "slow"
    """The operation is done `seconds` late."""
    DISK_FULL = "disk_full"
    """Writes fail once `after_bytes` of the file have been taken; what was taken stays."""
    NO_PERMISSION = "no_permission"
    """Permission is denied."""
    UNSUPPORTED = "unsupported"
    """The server does not know the operation."""
    SILENT_TRUNCATION = "silent_truncation"
    """Writes beyond `after_bytes` are acknowledged and not kept."""


_PER_FILE = {SftpFaultKind.DISK_FULL, SftpFaultKind.SILENT_TRUNCATION}
_WITH_BYTES = {*_PER_FILE, SftpFaultKind.DISCONNECT}


class SftpFault(BaseModel):
    """One armed misbehaviour and the operations it is meant for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: SftpFaultKind
    operation: Operation | None = None
    """Only this operation; any that the kind can strike when absent."""
    path_pattern: str | None = None
    """Regular expression searched for in the path; any path when absent."""
    times: int = Field(default=1, ge=1, le=TIMES_MAX)
    after: int = Field(default=0, ge=0, le=TIMES_MAX)
    """How many matching operations pass unharmed first."""
    after_bytes: int = Field(default=0, ge=0)
    seconds: float = Field(default=1.0, ge=0.0, le=SECONDS_MAX)

    @model_validator(mode="after")
    def _options_fit_the_kind(self) -> Self:
        if self.path_pattern is not None:
            try:
                re.compile(self.path_pattern)
            except re.error as error:
                raise ValueError(f"path_pattern {self.path_pattern!r} is not a regular expression: {error}") from error
        if "after_bytes" in self.model_fields_set and self.kind not in _WITH_BYTES:
            raise ValueError(f"after_bytes does nothing for {self.kind}")
        if "seconds" in self.model_fields_set and self.kind is not SftpFaultKind.SLOW:
            raise ValueError(f"seconds does nothing for {self.kind}; it belongs to slow")
        if self.operation is not None and self.operation not in _operations(self.kind):
            raise ValueError(f"{self.kind} never strikes {self.operation}: a fault that cannot strike proves nothing")
        return self


FAULTS: TypeAdapter[list[SftpFault]] = TypeAdapter(list[SftpFault])
"""What `--faults` of the program takes."""


@dataclass(slots=True)
class _Armed:
    fault: SftpFault
    seen: int = 0
    struck: int = 0


class SftpFaultMenu:
    """The queue of armed faults; the first that strikes takes the operation."""

    def __init__(self) -> None:
        self._armed: deque[_Armed] = deque()
        self.struck: Counter[str] = Counter()
        """How often each kind has struck since the start."""

    def arm(self, faults: Sequence[SftpFault]) -> None:
        """Append faults to the queue, all of them or none."""
        if len(self._armed) + len(faults) > FAULTS_MAX:
            raise ValueError(f"{len(self._armed)} faults are armed, {len(faults)} more do not fit: limit {FAULTS_MAX}")
        self._armed.extend(_Armed(fault=fault) for fault in faults)

    def take(self, operation: Operation, path: str, *, file_bytes: int = 0) -> SftpFault | None:
        """Say which fault, if any, strikes; `file_bytes` is where a write or read of the file would end."""
        for armed in self._armed:
            fault = armed.fault
            if operation not in ({fault.operation} if fault.operation is not None else _unasked(fault.kind)):
                continue
            if fault.path_pattern is not None and re.search(fault.path_pattern, path) is None:
                continue
            if fault.kind in _WITH_BYTES and operation in ("write", "read") and file_bytes <= fault.after_bytes:
                continue
            armed.seen += 1
            if armed.seen <= fault.after:
                continue
            armed.struck += 1
            self.struck[fault.kind.value] += 1
            if armed.struck == fault.times:
                self._armed.remove(armed)
            return fault
        return None

    def clear(self) -> int:
        """Disarm everything and say how many faults were still armed."""
        count = len(self._armed)
        self._armed.clear()
        return count


def _operations(kind: SftpFaultKind) -> frozenset[str]:
    match kind:
        case SftpFaultKind.AUTH_REFUSED:
            return frozenset({"auth"})
        case SftpFaultKind.DISK_FULL | SftpFaultKind.SILENT_TRUNCATION:
            return frozenset({"write"})
        case SftpFaultKind.DISCONNECT_AFTER_EFFECT:
            return frozenset({"write", "close", "rename", "remove", "mkdir", "rmdir"})
        case SftpFaultKind.SLOW:
            return _ALL - {"auth"}
        case _:
            return _ALL - {"auth", "close"}  # at the close the bytes are there already


def _unasked(kind: SftpFaultKind) -> frozenset[str]:
    """The operations a fault strikes that names none: a cut is about transfers then."""
    return frozenset({"read", "write"}) if kind is SftpFaultKind.DISCONNECT else _operations(kind)


_ALL: frozenset[str] = frozenset(
    {"auth", "open", "read", "write", "close", "rename", "remove", "mkdir", "rmdir", "list", "stat", "setstat"}
)

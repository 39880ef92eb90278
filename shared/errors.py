"""Every error the house raises on purpose, grouped by what the catcher does about it.

    AetherError
    ├── TryLater           the same request may succeed later: wait (at least `retry_after_seconds`) and send it again
    ├── OutcomeUnknown     a write may or may not have happened: look first, never send again blind
    ├── RecordRefused      this one record cannot go on; the others can
    ├── TargetMoved        the live record is not what the plan saw: read it and decide
    ├── NeedsPerson        nothing goes on until a person acts: a credential, a setting, an approval
    └── StopRun            the run must end here

Each carries a code of the catalogue (`shared.failures`), facts for machines and a sentence for the operator. An
exception that is none of these is a defect of ours: it stops the run and is never retried.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from shared.failures import Failure, failure_of

Fact = str | int | float | bool | None


class AetherError(Exception):
    """An error with a code, facts and a sentence for the operator.

    `message` names the place, the value, the limit and what to do; it never holds a personal value.
    """

    def __init__(self, code: str, message: str, **facts: Fact) -> None:
        self.failure: Failure = failure_of(code)
        self.code = code
        self.message = message
        self.facts: Mapping[str, Fact] = MappingProxyType(dict(facts))
        super().__init__(f"{code}: {message}")


class TryLater(AetherError):
    """The same request may succeed later."""

    def __init__(self, code: str, message: str, *, retry_after_seconds: float | None = None, **facts: Fact) -> None:
        super().__init__(code, message, **facts)
        self.retry_after_seconds = retry_after_seconds
        """What the other side asked us to wait; None when it said nothing."""


class OutcomeUnknown(AetherError):
    """A write may or may not have happened."""


class RecordRefused(AetherError):
    """This one record cannot go on; the others can."""


class TargetMoved(AetherError):
    """The live record is not what the plan saw: it exists already, is gone, or differs."""


class NeedsPerson(AetherError):
    """Nothing goes on until a person acts."""


class StopRun(AetherError):
    """The run must end here."""

"""The nine counts of a run, which always add up."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


class NineCounts(BaseModel):
    """What became of every planned change. The sum of the parts equals `planned`, or the value cannot be built."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    planned: int = Field(ge=0)
    applied: int = Field(default=0, ge=0)
    noop_already: int = Field(default=0, ge=0)
    """The live record was already as wanted."""
    stale_skipped: int = Field(default=0, ge=0)
    """The live record was neither what the plan saw nor what it wanted."""
    dependency_skipped: int = Field(default=0, ge=0)
    deferred: int = Field(default=0, ge=0)
    """Left out of the approval; shown again in the next plan."""
    quarantined: int = Field(default=0, ge=0)
    """The target refused the record, or the plan set it aside."""
    failed: int = Field(default=0, ge=0)
    unknown: int = Field(default=0, ge=0)
    """Intent without outcome. Must be 0 before a run may end."""
    not_attempted: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _adds_up(self) -> NineCounts:
        parts = self.model_dump(exclude={"planned"})
        if sum(parts.values()) != self.planned:
            raise ValueError(
                f"counts do not add up: planned {self.planned}, parts {parts} sum to {sum(parts.values())}"
            )
        return self

    @property
    def is_clean(self) -> bool:
        """Whether every change was applied or was not needed any more."""
        return self.planned == self.applied + self.noop_already

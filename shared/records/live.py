"""The target's own spelling of a field, kept beside its normalised form in a snapshot. Pure."""

from __future__ import annotations

_PREFIX = "live "
"""No field of a contract has a blank in its name."""


def live_column(field: str) -> str:
    """The column that holds the field as the target showed it."""
    return _PREFIX + field

"""What the headers of an answer say about rates: how long to wait, and what is left. It decides from text alone.

Whatever cannot be read counts as not said: a header is advice, and never a reason to fail.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from pydantic import BaseModel, ConfigDict

from shared.ports.pacing import Allowance

RETRY_AFTER_SECONDS_MAX = 900.0
"""Longer waits are for the run to decide, not for one request."""
DIGITS_MAX = 15
HEADER_CHARS_MAX = 500
MOMENT_FROM_SECONDS = 1_000_000_000
"""A reset of this size is a moment since 1970: as a wait it would be thirty years."""


class AllowanceHeaders(BaseModel):
    """Names of the two headers that tell what is left of the rate; where both are one header, it holds both numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    remaining: str
    """The header with the number of requests that are left."""
    reset: str
    """The header that tells when there are more: in seconds from now, or, where that is too large, since 1970."""


_REMAINING = re.compile(r"(?:^|[;,\s])(?:r|remaining)=([0-9]+)")
_RESET = re.compile(r"(?:^|[;,\s])(?:t|reset)=([0-9]+)")


def retry_after_of(text: str | None, *, now: datetime) -> float | None:
    """The seconds that a `Retry-After` asks for, at most `RETRY_AFTER_SECONDS_MAX`; None when it says nothing."""
    if text is None:
        return None
    number = _whole_number(text)
    if number is not None:
        return min(float(number), RETRY_AFTER_SECONDS_MAX)
    try:
        moment = parsedate_to_datetime(text.strip())
    except (ValueError, OverflowError):  # the second for a year or a zone of many digits
        return None
    # "-0000" gives a time without a zone, which the format defines to be UTC.
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return min(max((moment - now).total_seconds(), 0.0), RETRY_AFTER_SECONDS_MAX)


def allowance_of(
    headers: Mapping[str, str], described: Sequence[AllowanceHeaders], *, now: datetime
) -> Allowance | None:
    """What is left, from the first described pair of headers that is there; None when none can be read."""
    for pair in described:
        remaining = _amount(headers.get(pair.remaining), _REMAINING)
        reset = _amount(headers.get(pair.reset), _RESET)
        if remaining is None or reset is None:
            continue
        seconds = reset - now.timestamp() if reset >= MOMENT_FROM_SECONDS else float(reset)
        return Allowance(remaining=remaining, resets_in_seconds=seconds)
    return None


def _amount(text: str | None, parameter: re.Pattern[str]) -> int | None:
    """A header that is a number, or one of the parameters of a header that holds several."""
    number = _whole_number(text)
    if number is not None or text is None:
        return number
    found = parameter.search(text[:HEADER_CHARS_MAX])
    return _whole_number(found[1]) if found is not None else None


def _whole_number(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX else None

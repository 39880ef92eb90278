"""Whether Aeries answers for the wanted school year: the most dangerous trap of Aeries, for no request fails on it.

A year that is left out, misspelt or no longer there is answered from the current one, and no answer tells its year but
that of `systeminfo`. So that is asked before and after each reading, and before a target is looked at or written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from shared.clock import Clock
from shared.errors import NeedsPerson, StopRun
from shared.http import Json, WrongShape
from shared.ports.pacing import Use
from systems.aeries_api.client import AeriesClient
from systems.aeries_api.config import API

CHECKED_SECONDS_MAX: Final = 60.0
"""For how long a target takes the year for granted; a rollover takes far longer."""
_YEAR: Final = re.compile(r"(20[0-9]{2})(?:-20[0-9]{2})?")


@dataclass(frozen=True)
class SystemInfo:
    """What an Aeries says of itself."""

    year: int
    """The year in which the school year begins that answered this request."""
    available: frozenset[int]
    version: str


class YearGuard:
    """Asks whether the wanted year is the one that answers."""

    def __init__(self, client: AeriesClient, *, wanted: int, clock: Clock) -> None:
        self._client = client
        self._wanted = wanted
        self._clock = clock
        self._good_until = 0.0

    async def require(self, *, use: Use) -> SystemInfo:
        """`NeedsPerson` (CONFIG) when another year would answer."""
        info = await self._info(use)
        if (fault := fault_of(info, wanted=self._wanted)) is not None:
            raise NeedsPerson(f"{use}_CONFIG", fault, is_year=True)
        return info

    async def require_still(self) -> None:
        """After a reading: `StopRun` (SRC_UNSTABLE) when the years have moved since it began."""
        if (fault := fault_of(await self._info("SRC"), wanted=self._wanted)) is not None:
            raise StopRun("SRC_UNSTABLE", f"the school years moved while they were read: {fault}")

    async def require_lately(self) -> None:
        """As `require` for a target, but not more often than every `CHECKED_SECONDS_MAX`."""
        if self._clock.monotonic_seconds() < self._good_until:
            return
        await self.require(use="APL")
        self._good_until = self._clock.monotonic_seconds() + CHECKED_SECONDS_MAX

    async def _info(self, use: Use) -> SystemInfo:
        answer = await self._client.get(f"{API}/systeminfo", use=use, area="system information")
        try:
            return info_of(None if answer is None else answer.body)
        except WrongShape as wrong:
            text = f"systeminfo: {wrong}; check base_url, and that Aeries answers version 5 of its API"
            raise StopRun(f"{use}_WRONG_SHAPE", text, pointer=wrong.pointer) from None


def info_of(body: Json) -> SystemInfo:
    """The answer of `systeminfo`; `WrongShape` for another one."""
    if not isinstance(body, dict):
        raise WrongShape("", "is no record")
    listed = body.get("AvailableDatabaseYears")
    if not isinstance(listed, list) or not listed:
        raise WrongShape("/AvailableDatabaseYears", "is no list of school years")
    years = [_year(text, f"/AvailableDatabaseYears/{index}") for index, text in enumerate(listed)]
    version = body.get("AeriesVersion")
    return SystemInfo(
        year=_year(body.get("DatabaseYear"), "/DatabaseYear"),
        available=frozenset(years),
        version=version[:20] if isinstance(version, str) and version[:20].isascii() else "unknown",
    )


def fault_of(info: SystemInfo, *, wanted: int) -> str | None:
    """What is wrong with the year, and what to do; None when it is the wanted one."""
    if wanted not in info.available:
        years = ", ".join(map(str, sorted(info.available)))
        return (
            f"wrong year: database_year is {wanted}, and Aeries has {years}; it would answer for {info.year} without "
            "a word; correct database_year"
        )
    if info.year != wanted:
        return (
            f"wrong year: database_year is {wanted}, which Aeries has, and yet it answers for {info.year}; have the "
            "certificate's database years looked at in Aeries"
        )
    return None


def _year(value: Json, pointer: str) -> int:
    match = _YEAR.fullmatch(str(value)) if isinstance(value, (str, int)) else None
    if match is None:
        raise WrongShape(pointer, "is no school year")
    return int(match[1])

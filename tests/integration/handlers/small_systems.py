"""What the small house of the handlers' tests stands on: its connector, its source, its target and its clock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl

from shared.clock import SystemClock
from shared.ports.system import Column, Finding
from tests.unit.applier.fake_target import FakeTarget, FrameReading

DEFINITION = """
schema_version: 1
name: {name}
version: 1.0.0
title: People to a small target
lifecycle: active
target: {{system: small_system, connection: {target}}}
sources:
  person: {{system: people_system, connection: people, entity: people}}
entities:
  contacts:
    from: {{source: person}}
    key: external_id
    correlate: [email]
    fields:
      external_id: {{from: [person.id], required: true, pii: identifier}}
      first_name: {{from: [person.first], required: true, pii: name}}
      email: {{from: [person.email], is_rename: true, pii: contact}}
      role: {{from: [person.role], is_role: true}}
      active: {{constant: true, format: boolean}}
    removal: {{ladder: suspend, suspended: {{active: false}}}}
partitions: 2
"""


class PeopleSource:
    """People as rows."""

    def __init__(self, rows: Sequence[dict[str, str | None]]) -> None:
        self._frame = pl.DataFrame(list(rows), schema=dict.fromkeys(("id", "first", "email", "role"), pl.String))

    def columns(self, entity: str) -> Sequence[Column]:
        return [Column(name, "text") for name in self._frame.columns]

    def read(self, entity: str) -> FrameReading:
        return FrameReading(self._frame, self._frame.height)

    async def check(self) -> Sequence[Finding]:
        return []

    async def close(self) -> None:
        return


class LateClock(SystemClock):
    """The clock of a house that a test lets run ahead."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.ahead


class HouseTarget(FakeTarget):
    """A target whose check says what a test wants."""

    refuses_credential: bool = False

    def __init__(self) -> None:
        super().__init__()
        self.checks = 0

    async def check(self) -> Sequence[Finding]:
        self.checks += 1
        good = not self.refuses_credential
        return [Finding("network", True, "reached"), Finding("authentication", good, "tried the credential")]

"""Services that answer as a test says, in place of a bus: what is asked is read as the services would read it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from nats.aio.client import Client

from shared.asking import client as client_module
from shared.asking.client import PersonClient
from shared.asking.profiles import Profile, save_profile
from shared.events import commands, queries
from shared.events.documents import FailureNote
from shared.events.model import Document

COMMANDS: dict[str, type[Document]] = {
    "aether.run.request": commands.RequestRun,
    **{f"aether.run.{verb}": commands.NameRun for verb in ("cancel", "pause", "resume", "retry")},
    **{f"aether.run.{verb}": commands.DecideRun for verb in ("approve", "reject")},
    "aether.guard.declare": commands.DeclareDelta,
    "aether.guard.withdraw": commands.WithdrawDelta,
}
BODIES: dict[str, type[Document]] = {
    **COMMANDS,
    **{subject: asked for subject, (asked, _) in queries.QUESTIONS.items()},
    **{subject: asked for subject, (_, asked, _) in queries.SERVICE_QUESTIONS.items()},
}


@dataclass
class FakeBus:
    """Answers by subject, and what was asked."""

    options: list[str]
    """What a command line needs to come here."""
    answers: dict[str, Callable[[Document], Document]] = field(default_factory=dict)
    asked: list[Document] = field(default_factory=list)

    def refuse(self, subject: str, code: str, text: str) -> None:
        """Have a command refused."""
        note = FailureNote(code=code, text=text)
        self.answers[subject] = lambda _: commands.Reply(is_accepted=False, refusal=note)


class _Person(PersonClient):
    def __init__(self, bus: FakeBus) -> None:
        super().__init__(Client(), user="otto")
        self._bus = bus

    async def _request(self, subject: str, data: bytes, headers: dict[str, str] | None) -> bytes:
        body = BODIES[subject].model_validate_json(data)
        self._bus.asked.append(body)
        return self._bus.answers[subject](body).model_dump_json().encode()


def answering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeBus:
    """Every verb finds this instead of a bus."""
    data = tmp_path / "data"
    secret = tmp_path / "secret"
    secret.write_text("not used", encoding="utf-8")
    save_profile(data, "operator", Profile(nats_url="nats://127.0.0.1:1", user="otto", password=f"file:{secret}"))
    bus = FakeBus(["--data", str(data)])

    @asynccontextmanager
    async def connected(profile: Profile) -> AsyncIterator[PersonClient]:
        yield _Person(bus)

    monkeypatch.setattr(client_module, "connected", connected)
    return bus

"""Asking over a real bus: who is silent, who may not, and what is answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import pytest
from nats.aio.msg import Msg

from cli.problem import CommandFailed, NoAnswer
from shared.asking import client as client_module
from shared.asking.client import connected
from shared.asking.profiles import Profile
from shared.bus.embedded import EmbeddedPerson, EmbeddedServer
from shared.bus.topology import inbox_prefix
from shared.events.commands import NameRun, Reply, RequestRun
from shared.events.documents import FailureNote
from shared.events.queries import QueryRefused, RunsAnswer, RunsQuery
from tests.unit.cli.documents import RUN, run_answer

RUN_REQUEST = RequestRun(connector="titanhst-staff", mode="dry-run")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    people = [EmbeddedPerson("otto", frozenset({"operator"})), EmbeddedPerson("vera", frozenset({"viewer"}))]
    with EmbeddedServer(tmp_path_factory.mktemp("bus"), people) as running:
        yield running


def _profile(server: EmbeddedServer, user: str) -> Profile:
    return Profile(nats_url=server.url, user=user, password=f"file:{server.secrets_dir / user}")


@asynccontextmanager
async def _answering(server: EmbeddedServer, service: str, subject: str, body: bytes) -> AsyncIterator[list[bytes]]:
    """A service that gives every request the same answer and keeps what it was asked."""
    asked: list[bytes] = []
    connection = await nats.connect(
        server.url, user=service, password=server.password_of(service), inbox_prefix=inbox_prefix(service)
    )

    async def answer(message: Msg) -> None:
        asked.append(message.data)
        await message.respond(body)

    try:
        await connection.subscribe(subject, cb=answer)
        await connection.flush()
        yield asked
    finally:
        await connection.close()


async def test_silent_service_is_named_at_once_with_how_to_start_it(server: EmbeddedServer) -> None:
    async with connected(_profile(server, "otto")) as client:
        with pytest.raises(NoAnswer, match="no auditor is connected"):
            await client.runs(RunsQuery())
        with pytest.raises(NoAnswer, match="no extractor is connected") as caught:
            await client.request_run(RUN_REQUEST)
    assert "aether up" in caught.value.action


async def test_what_the_bus_forbids_is_told_as_a_missing_role_and_not_as_a_time_out(server: EmbeddedServer) -> None:
    async with connected(_profile(server, "vera")) as client:
        with pytest.raises(CommandFailed) as caught:
            await client.request_run(RUN_REQUEST)
    assert caught.value.code == "APV_NOT_AUTHORISED"
    assert "vera, who lacks the role: operator" in caught.value.text
    assert caught.value.action.startswith("Ask a person with that role")


async def test_one_refusal_does_not_spoil_the_next_question(server: EmbeddedServer) -> None:
    answer = RunsAnswer(runs=())
    async with (
        _answering(server, "auditor", "aether.query.>", answer.model_dump_json().encode()),
        connected(_profile(server, "vera")) as client,
    ):
        with pytest.raises(CommandFailed):
            await client.request_run(RUN_REQUEST)
        assert await client.runs(RunsQuery()) == answer


async def test_question_reaches_the_service_and_its_answer_comes_back_typed(server: EmbeddedServer) -> None:
    answer = run_answer("planned")
    async with (
        _answering(server, "auditor", "aether.query.>", answer.model_dump_json().encode()) as asked,
        connected(_profile(server, "vera")) as client,
    ):
        assert await client.run(RUN) == answer
    assert asked == [f'{{"run":"{RUN}"}}'.encode()]


async def test_refused_command_carries_code_text_and_action(server: EmbeddedServer) -> None:
    note = FailureNote(code="APV_OVERLAP", text="another run is diffing")
    refused = Reply(is_accepted=False, refusal=note)
    async with (
        _answering(server, "extractor", "aether.run.cancel", refused.model_dump_json().encode()),
        connected(_profile(server, "otto")) as client,
    ):
        with pytest.raises(CommandFailed) as caught:
            await client.cancel(NameRun(run=RUN, reason="x"))
    assert (caught.value.code, caught.value.text) == ("APV_OVERLAP", "another run is diffing")
    assert "cancel it" in caught.value.action


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            QueryRefused(refusal=FailureNote(code="APV_MALFORMED", text="limit: too large")).model_dump_json(),
            "too large",
        ),
        ('{"run": {"unknown": 1}}', "different releases"),
        ("not json", "different releases"),
    ],
    ids=["refused", "other shape", "no json"],
)
async def test_answer_that_is_none_is_told_apart(server: EmbeddedServer, body: str, expected: str) -> None:
    async with (
        _answering(server, "auditor", "aether.query.>", body.encode()),
        connected(_profile(server, "vera")) as client,
    ):
        with pytest.raises(CommandFailed) as caught:
            await client.run(RUN)
    assert expected in caught.value.text + caught.value.action


async def test_service_that_never_answers_ends_in_a_bounded_time(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "ANSWER_SECONDS", 0.2)
    connection = await nats.connect(
        server.url, user="auditor", password=server.password_of("auditor"), inbox_prefix=inbox_prefix("auditor")
    )
    try:
        await connection.subscribe("aether.query.>")
        await connection.flush()
        async with connected(_profile(server, "vera")) as client:
            with pytest.raises(NoAnswer, match="the auditor did not answer"):
                await client.run(RUN)
    finally:
        await connection.close()


async def test_wrong_password_and_absent_bus_are_told_apart(server: EmbeddedServer, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("not-the-password-at-all")
    profile = _profile(server, "vera")
    with pytest.raises(CommandFailed, match="does not accept the password of vera") as caught:
        await _enter(profile.model_copy(update={"password": f"file:{wrong}"}))
    assert "not-the-password" not in str(caught.value)
    with pytest.raises(CommandFailed, match="cannot be reached"):
        await _enter(profile.model_copy(update={"nats_url": "nats://127.0.0.1:1"}))


async def _enter(profile: Profile) -> None:
    async with connected(profile):
        pass

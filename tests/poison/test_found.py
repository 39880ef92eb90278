"""What the poison found, each by its smallest example, so that it is told apart when it comes back."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from shared.clock import from_text
from shared.contract.positions import read_yaml
from shared.errors import OutcomeUnknown, TryLater
from shared.events.commands import DraftPlan
from shared.events.documents import TEXT_MAX, FailureNote
from shared.events.envelope import Undecodable, decode
from shared.http.limits import retry_after_of
from shared.ports.connections import Connection, ConnectionsInvalid, load_connections
from shared.ports.surroundings import Surroundings
from shared.ports.system import Target
from shared.secrets import Secret
from tests.conformance.fake_titanhst import contact
from tests.poison.vendor import OneAnswer, http
from tests.support.systems import installed_systems

RUN = "20261122T083455-4k7zq2"
NOW = from_text("2026-11-22T08:00:00Z")


def draft(run: str, subject: str = f"cmd.plan.{RUN}") -> DraftPlan:
    headers = {"ce-type": DraftPlan.event_type}
    return decode(DraftPlan, data=json.dumps({"run": run}).encode(), headers=headers, subject=subject)


@pytest.mark.parametrize("run", ["*", "a b", "", f"{RUN}.>", "x" * 70_000])
def test_event_whose_run_would_spoil_a_subject_is_refused_before_it_gets_into_one(run: str) -> None:
    with pytest.raises(Undecodable, match="is no run id") as caught:
        draft(run)
    assert len(str(caught.value)) < 500


def test_event_under_the_subject_of_another_run_is_refused() -> None:
    assert draft(RUN).run == RUN
    with pytest.raises(Undecodable, match="not the run that the subject names"):
        draft("20261122T083455-aaaaaa")


def test_a_sentence_that_repeats_an_endless_word_is_cut() -> None:
    assert len(FailureNote.of(TryLater("SRC_UNREACHABLE", "x" * 900_000)).text) <= TEXT_MAX + 2


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: !!int abc", "f:1:4: the value cannot be read as int"),
        ("a: !!bool maybe", "f:1:4: the value cannot be read as bool"),
        (f"a: {'9' * 5_000}", "f:1:4: the value cannot be read as int"),
        (f"a: {2**60}", "f:1:4: the number is beyond 9007199254740991"),
        ("a: .nan", "f:1:4: the value is no finite number"),
        ('a: "\\ud800"', "f:1:4: the text holds half a character"),
        ("a: !!map x", "f:1:4: tag tag:yaml.org,2002:map stands before another kind of value"),
        ("- " * 4_000, "f:1:1: the document is nested far more than 20 deep"),
    ],
)
def test_yaml_that_means_nothing_is_told_with_its_place(text: str, place: str) -> None:
    assert [str(problem).startswith(place) for problem in read_yaml(text, "f").problems] == [True]


def test_yaml_of_open_brackets_costs_no_time() -> None:
    began = time.process_time()
    (problem,) = read_yaml("a:\n  " + "[" * 200_000, "f").problems
    assert str(problem).startswith("f:2:103: more than 100 brackets stand open here")
    assert time.process_time() - began < 1


@pytest.mark.parametrize("value", ["2026-99-99", "!!int abc", "9" * 5_000, "2026-01-01T00:00:00+99:99"])
def test_connections_with_an_unreadable_value_are_refused_at_its_place(tmp_path: Path, value: str) -> None:
    path = tmp_path / "connections.yaml"
    path.write_text(f"connections:\n  hr: {{system: x, environment: staging, settings: {{a: {value}}}}}\n")
    with pytest.raises(ConnectionsInvalid) as caught:
        load_connections(path)
    assert caught.value.problems[0].line in (1, 2)


def test_a_time_that_is_none_is_refused_without_being_repeated() -> None:
    with pytest.raises(ValueError, match="is no time") as caught:
        from_text("somebody's name")
    assert "somebody" not in str(caught.value)
    with pytest.raises(ValueError, match="years 1 to 9999"):
        from_text("0001-01-01T00:00:00+23:00")


@pytest.mark.parametrize(
    "text", ["Mon, 01 Jan 99999999999 00:00:00 GMT", "Wed, 21 Oct 2026 07:28:00 +9999999999999999"]
)
def test_a_wait_until_no_day_that_there_is_counts_as_not_said(text: str) -> None:
    assert retry_after_of(text, now=NOW) is None


def target_at(url: str) -> Target:
    registry = installed_systems(surroundings=Surroundings(resolve=lambda _: Secret("token")))
    settings: dict[str, Any] = {"base_url": url, "token": "env:READ"}
    return registry.open_target(Connection(name="alerts", system="titanhst", environment="staging", settings=settings))


@pytest.mark.parametrize(
    "answer",
    [
        http(302, b"{}", "Location: http://xn--/"),
        http(302, b"{}", "Location: javascript:x"),
        http(200, b"null"),
        http(200, json.dumps(contact(1, id="")).encode()),
    ],
    ids=["redirect to no name", "redirect to no address", "null for a record", "record without id"],
)
async def test_a_write_that_may_be_done_never_counts_as_done_or_undone(answer: bytes) -> None:
    wire = installed_systems().wire("titanhst")
    write = wire.write_for("contacts", verb="update", target_id="c-000001", values={"role": "NURSE"})
    async with OneAnswer() as server:
        server.answer = answer
        target = target_at(server.url)
        with pytest.raises(OutcomeUnknown):
            await target.write(write, idempotency_key="k1")
        await target.close()

"""system list, check and new: what is shown, what is exited with, and that whatever is made loads."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from cli.main import exit_code
from cli.scaffolding import AUTHS, CREDENTIALS, PAGINGS, Answers, scaffolded
from shared.events.model import Document
from shared.events.queries import ConnectionAnswer, ConnectionQuery, FindingView
from shared.ports.connections import Connection
from shared.ports.quality import Tier
from shared.ports.surroundings import Surroundings
from shared.secrets import Secret
from tests.support.systems import installed_systems
from tests.unit.cli.answering import FakeBus, answering


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeBus:
    return answering(tmp_path, monkeypatch)


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def finding(subject: str, *, is_good: bool) -> FindingView:
    return FindingView(subject=subject, is_good=is_good, text="what was seen, and what to do")


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ((finding("network", is_good=True), finding("shape", is_good=True)), 0),
        ((finding("network", is_good=True), finding("permission", is_good=False)), 1),
        ((), 1),
    ],
)
def test_a_connection_is_sound_only_when_something_was_tried_and_all_of_it_was_good(
    bus: FakeBus, capsys: pytest.CaptureFixture[str], findings: tuple[FindingView, ...], code: int
) -> None:
    def checked(question: Document) -> ConnectionAnswer:
        assert isinstance(question, ConnectionQuery)
        assert question.connection == "alerts"
        return ConnectionAnswer(
            connection="alerts", system="titanhst", environment="staging", tier="silver", findings=findings
        )

    bus.answers["aether.connection.check"] = checked
    assert exit_code(["system", "check", "alerts", "--json", *bus.options]) == code
    told = document(capsys)
    assert [one["subject"] for one in told["findings"]] == [one.subject for one in findings]
    assert told["exit_code"] == code
    assert exit_code(["system", "check", "alerts", *bus.options]) == code
    assert "titanhst" in capsys.readouterr().out


def test_every_installed_system_is_listed_with_what_it_may_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["system", "list", "--json"]) == 0
    lines = {(one["system"], one["entity"]): one for one in document(capsys)["systems"]}
    contacts = lines["titanhst", "contacts"]
    assert (contacts["roles"], contacts["read_tier"], contacts["write_tier"]) == (
        ["source", "target"],
        "silver",
        "gold",
    )
    assert lines["titanhst", "roles"]["write_tier"] is None
    assert {system for system, _ in lines} == set(installed_systems().names())


ALL = [
    Answers(name="klaxon", auth=auth, paging=paging, is_target=is_target)
    for auth, paging, is_target in itertools.product(AUTHS, PAGINGS, (False, True))
]


@pytest.mark.parametrize(
    "answers", ALL, ids=lambda one: f"{one.auth}-{one.paging}-{'both' if one.is_target else 'read'}"
)
def test_whatever_is_answered_the_new_system_loads_opens_for_reading_and_is_not_let_write(
    tmp_path: Path, answers: Answers
) -> None:
    made = scaffolded(answers, tmp_path)
    assert made.tier == "bronze"
    assert made.red
    registry = installed_systems(
        vendors_folder=tmp_path,
        surroundings=Surroundings(resolve=lambda reference: Secret("secret")),
    )
    assert registry.tier("klaxon", role="source") is Tier.BRONZE
    page = (tmp_path / "klaxon" / "README.md").read_text(encoding="utf-8")
    connection = YAML(typ="safe").load(page.partition("```yaml\n")[2].partition("```")[0])["connections"]["klaxon"]
    opened = registry.open_source(Connection(name="klaxon", **connection))
    assert [column.name for column in opened.columns("people")][:2] == ["target_id", "external_id"]
    if answers.is_target:
        assert registry.tier("klaxon", role="target") < Tier.GOLD
        with pytest.raises(Exception, match="gold"):
            registry.open_target(Connection(name="klaxon", **connection))


def test_credentials_are_told_for_every_way_of_proving_who_asks() -> None:
    assert set(CREDENTIALS) == set(AUTHS)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["Klaxon"], "no name of a system"),
        (["klaxon", "--auth", "magic"], "Say one of: none, basic"),
        (["klaxon", "--paging", "magic"], "Say one of: none, offset_limit"),
        (["klaxon", "--folder", "/no/such/folder"], "is no folder"),
    ],
)
def test_what_cannot_be_made_is_said_with_what_to_say_instead(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], text: str
) -> None:
    folder = [] if "--folder" in arguments else ["--folder", str(tmp_path)]
    assert exit_code(["system", "new", *arguments, *folder]) == 1
    assert text in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "klaxon").mkdir()
    assert exit_code(["system", "new", "klaxon", "--folder", str(tmp_path)]) == 1
    assert "is there already" in capsys.readouterr().err
    assert list((tmp_path / "klaxon").iterdir()) == []
